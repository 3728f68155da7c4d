package documents

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// csvColumns are those of every document, so that many can be put under each other. A row is one figure.
var csvColumns = []string{
	"number", "status", "party", "party_name", "month", "section", "item", "name", "figure",
	"jobs", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "adjusted_tokens",
	"amount", "coin", "fiat", "currency",
}

// sheet writes rows of one document.
type sheet struct {
	to *csv.Writer
	h  *queryv1.Heading
}

// line is a row. Work is there where the row is about jobs.
type line struct {
	section, item, name, figure string
	jobs                        *queryv1.Ends
	tokens                      *queryv1.Tokens
	adjusted                    int64
	amount                      *queryv1.Amount
}

func (s sheet) write(l line) {
	status := "final"
	if s.h.Draft {
		status = "draft"
	}
	work := make([]string, 6)
	if l.jobs != nil {
		all := l.jobs.Completed + l.jobs.Failed + l.jobs.Cancelled + l.jobs.Expired
		for i, n := range []int64{all, l.tokens.Prompt, l.tokens.Cached, l.tokens.Completion, l.tokens.Reasoning, l.adjusted} {
			work[i] = strconv.FormatInt(n, 10)
		}
	}
	money := make([]string, 4)
	if l.amount != nil {
		money = []string{l.amount.Coins, s.h.Coin, l.amount.Fiat, s.h.Rate.GetCurrency()}
	}
	row := []string{s.h.Number, status, s.h.Party, harmless(s.h.PartyName), s.h.Month, l.section, l.item, harmless(l.name), l.figure}
	_ = s.to.Write(append(append(row, work...), money...)) // Flush returns its error
}

// harmless keeps a spreadsheet from taking somebody's name for a formula.
func harmless(name string) string {
	if strings.TrimLeft(name, "=+-@\t\r") != name {
		return "'" + name
	}
	return name
}

// writeCSV writes one row for each figure of a document.
func writeCSV(to io.Writer, document Document) error {
	s := sheet{csv.NewWriter(to), document.GetHeading()}
	_ = s.to.Write(csvColumns)
	switch d := document.(type) {
	case *queryv1.Statement:
		s.statement(d)
	case *queryv1.Invoice:
		s.invoice(d)
	case *queryv1.TrialBalance:
		for _, l := range d.Lines {
			s.write(line{section: "account", item: l.Kind, figure: "debit", amount: l.Debit})
			s.write(line{section: "account", item: l.Kind, figure: "credit", amount: l.Credit})
		}
		s.write(line{section: "total", figure: "debit", amount: d.Debit})
		s.write(line{section: "total", figure: "credit", amount: d.Credit})
	}
	if rate := s.h.Rate; rate != nil {
		s.write(line{section: "rate", item: rate.Day, name: rate.Source, figure: rate.Rate})
	}
	for _, head := range s.h.Log {
		s.write(line{section: "log", item: fmt.Sprintf("shard %d below %d", head.Shard, head.Entries), figure: head.Root})
	}
	s.to.Flush()
	if err := s.to.Error(); err != nil {
		return fmt.Errorf("write as CSV: %w", err)
	}
	return nil
}

func (s sheet) statement(d *queryv1.Statement) {
	s.providerFunds("opening", "", "", d.Opening)
	for _, w := range d.Workers {
		s.write(line{section: "worker", item: w.Worker, figure: "gross", jobs: w.Jobs, tokens: w.Tokens, adjusted: w.AdjustedTokens, amount: w.Gross})
		s.write(line{section: "worker", item: w.Worker, figure: "fee", amount: w.Fee})
		s.write(line{section: "worker", item: w.Worker, figure: "earned", amount: w.Earned})
		s.write(line{section: "worker", item: w.Worker, figure: "refunded", amount: w.Refunded})
		s.write(line{section: "worker", item: w.Worker, figure: "slashed", amount: w.Slashed})
	}
	for _, f := range d.Flows {
		s.providerFunds("flow", f.What, f.Words, f.Moved)
	}
	s.providerFunds("closing", "", "", d.Closing)
	for _, b := range d.Batches {
		s.write(line{section: "batch", item: strconv.FormatUint(uint64(b.Number), 10), figure: b.PayoutRoot, amount: b.Amount})
	}
	for _, p := range d.Payments {
		s.write(line{section: "payment", item: strconv.FormatUint(uint64(p.Batch), 10), figure: p.Tx.Hash, amount: p.Amount})
	}
}

func (s sheet) providerFunds(section, item, name string, f *queryv1.ProviderFunds) {
	for _, class := range []struct {
		figure string
		amount *queryv1.Amount
	}{{"earned", f.Earned}, {"held", f.Held}, {"payable", f.Payable}, {"committed", f.Committed}} {
		s.write(line{section: section, item: item, name: name, figure: "provider/" + class.figure, amount: class.amount})
	}
}

func (s sheet) invoice(d *queryv1.Invoice) {
	s.clientFunds("opening", "", "", d.Opening)
	for _, u := range d.Usage {
		s.write(line{
			section: "usage", item: u.Day, name: u.ModelName, figure: u.RateCard,
			jobs: u.Jobs, tokens: u.Tokens, adjusted: u.AdjustedTokens, amount: u.Charge,
		})
	}
	for _, f := range d.Flows {
		s.clientFunds("flow", f.What, f.Words, f.Moved)
	}
	s.clientFunds("closing", "", "", d.Closing)
	for _, x := range d.Deposits {
		s.write(line{section: "deposit", item: x.Account, figure: x.Tx.Hash, amount: x.Amount})
	}
	s.write(line{section: "total", figure: "charged", amount: d.Charged})
	s.write(line{section: "total", figure: "refunded", amount: d.Refunded})
	s.write(line{section: "total", figure: "net", amount: d.Net})
}

func (s sheet) clientFunds(section, item, name string, f *queryv1.ClientFunds) {
	s.write(line{section: section, item: item, name: name, figure: "client/available", amount: f.Available})
	s.write(line{section: section, item: item, name: name, figure: "client/reserved", amount: f.Reserved})
}
