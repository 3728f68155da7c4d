package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/filature/filature/internal/browser"
)

// said turns what documents say of facts into the facts, as docs/money.md has them.
var said = map[string]string{
	"Deposits": "account_funded", "Reserved for jobs": "job_submitted", "Jobs completed": "job_completed", "Jobs failed": "job_failed",
	"Jobs cancelled": "job_cancelled", "Jobs expired": "job_expired", "Disputes opened": "job_disputed", "Disputes resolved": "dispute_resolved",
	"Held pay released": "pay_released", "Held pay refused": "pay_refused", "Earnings matured": "earnings_matured", "Holdback released": "holdback_released",
	"Holdback forfeited": "holdback_forfeited", "Withdrawals": "withdrawal_accepted", "Put into batches": "batch_sealed", "Paid on chain": "payout_observed",
}

// printedFigures are what a person reads in documents, as the server hands them to a browser.
func printedFigures(t *testing.T, b *browser.Browser, url string, of *secondCount) figures {
	t.Helper()
	r := &reader{t: t, b: b, url: url, figures: figures{}}
	r.open("/trial-balance/now.html", "")
	r.rows("Accounts, by kind", func(row map[string]pageCell) {
		if kind := row["Account"].Text; kind != "All" {
			r.figures.add(r.amount(row["Debit, TON"]), "trial balance", kind, "debit")
			r.figures.add(r.amount(row["Credit, TON"]), "trial balance", kind, "credit")
		}
	})
	for _, month := range of.months {
		for _, id := range of.providers() {
			r.open(fmt.Sprintf("/statements/%s/%s.html", id, month), "")
			r.statement(id)
		}
		for _, id := range of.clients() {
			r.open(fmt.Sprintf("/invoices/%s/%s.html", id, month), "")
			r.invoice(id)
		}
	}
	return r.figures
}

func (r *reader) statement(id string) {
	columns := map[string]string{"Earned": "earned", "Held": "held", "Payable": "payable", "In batches": "committed"}
	r.rows("What moved", func(row map[string]pageCell) {
		for column, word := range columns {
			switch name := row["TON"].Text; name {
			case "Opening":
			case "Closing":
				r.figures[figure("provider holds", id, word)] = r.amount(row[column])
				r.figures[figure("provider owed", id)] = r.amount(row["Together"])
			default:
				r.figures.add(r.amount(row[column]), "statement flow", id, "provider/"+word, said[name])
			}
		}
	})
	r.rows("Work, by worker", func(row map[string]pageCell) {
		worker := row["Worker"].Title
		if worker == "" { // the sum of all
			r.figures.add(r.amount(row["Gross"]), "provider charged", id)
			r.figures.add(r.amount(row["Fee"]), "provider fee", id)
			r.figures.add(r.amount(row["Earned"]), "provider earned", id)
			r.figures.add(r.amount(row["Taken back"]), "provider taken back", id)
			return
		}
		for column, what := range map[string]string{"Jobs": "jobs", "Prompt": "prompt", "Completion": "completion"} {
			r.figures.add(r.count(row[column].Text), "worker", worker, what)
		}
		for column, what := range map[string]string{"Gross": "gross", "Fee": "fee", "Earned": "earned", "Taken back": "taken back"} {
			r.figures.add(r.amount(row[column]), "worker", worker, what)
		}
	})
	r.rows("Batches", func(row map[string]pageCell) {
		r.figures.add(r.amount(row["TON"]), "statement batch", id, row["Batch"].Text)
	})
	r.rows("Payments", func(row map[string]pageCell) { r.figures.add(r.amount(row["TON"]), "provider paid", id) })
}

func (r *reader) invoice(id string) {
	r.rows("What moved", func(row map[string]pageCell) {
		for column, word := range map[string]string{"Available": "available", "Reserved": "reserved"} {
			switch name := row["TON"].Text; name {
			case "Opening":
			case "Closing":
				r.figures[figure("client holds", id, word)] = r.amount(row[column])
			default:
				r.figures.add(r.amount(row[column]), "invoice flow", id, "client/"+word, said[name])
			}
		}
	})
	r.rows("Usage, by day and model", func(row map[string]pageCell) {
		for column, what := range map[string]string{"Jobs": "jobs", "Prompt": "prompt", "Cached": "cached", "Completion": "completion", "Adjusted": "adjusted"} {
			r.figures.add(r.count(row[column].Text), "invoice usage", id, row["Model"].Text, what)
		}
		r.figures.add(r.amount(row["TON"]), "invoice usage", id, row["Model"].Text, "charge")
		r.figures.add(r.amount(row["TON"]), "client charged", id)
	})
	r.rows("Deposits", func(row map[string]pageCell) {
		r.figures.add(r.amount(row["TON"]), "deposited", row["Account"].Title)
		r.figures.add(r.amount(row["TON"]), "client deposited", id)
	})
}

// hourOf reads the hour of a table of the market.
func hourOf(t *testing.T, text string) int64 {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}
