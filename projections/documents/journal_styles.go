package documents

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"strings"

	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// hledger writes a journal for hledger. Debits are positive there.
type hledger struct {
	to     *bufio.Writer
	coin   string
	priced string // the day of the last price
	// declared are the accounts of owners that were met, as hledger check --strict wants each declared; as many as there are accounts.
	declared map[string]bool
}

func (w *hledger) begin(h *queryv1.Heading, opening []projections.TrialLine, from string) error {
	fmt.Fprintf(w.to, "; General ledger of network %s %s\n", plain(h.NetworkName), h.Network)
	for _, head := range h.Log {
		fmt.Fprintf(w.to, "; shard %d below entry %d, Merkle root %s\n", head.Shard, head.Entries, head.Root)
	}
	fmt.Fprintf(w.to, "\ncommodity 1000.000000000 %s\n\n", w.coin)
	for _, a := range chart {
		if a.kind != rounding { // amounts are exact here, so nothing is left over
			fmt.Fprintf(w.to, "account %s  ; type: %s\n", a.hledger, a.class)
		}
	}
	return w.balances(from+" opening balances", opening, "", " %s")
}

// balances writes one transaction with a line for each kind of account.
func (w *hledger) balances(title string, lines []projections.TrialLine, before, format string) error {
	isEmpty := true
	for _, line := range lines {
		account, err := chartOf(line.Kind)
		if err != nil {
			return err
		}
		if line.Amount != 0 || before != "" {
			if isEmpty {
				fmt.Fprintf(w.to, "\n%s\n", title)
				isEmpty = false
			}
			fmt.Fprintf(w.to, "    %s  %s"+format+" %s\n", account.hledger, before, -line.Amount, w.coin)
		}
	}
	return nil
}

func (w *hledger) entry(e entry, rate *queryv1.FiatRate) error {
	if rate != nil && w.priced != e.day {
		w.priced = e.day
		fmt.Fprintf(w.to, "\nP %s %s %s %s  ; %s", e.day, w.coin, rate.Rate, rate.Currency, plain(rate.Source))
	}
	for _, p := range e.postings {
		if name := p.account.hledger + ":" + p.owner; p.owner != "" && !w.declared[name] {
			w.declared[name] = true
			fmt.Fprintf(w.to, "\naccount %s", name)
		}
	}
	fmt.Fprintf(w.to, "\n\n%s (%s) %s", e.day, e.number, e.what)
	if e.reference != "" {
		fmt.Fprintf(w.to, "  ; job: %s", e.reference)
	}
	fmt.Fprintln(w.to)
	for _, p := range e.postings {
		if p.account.kind == rounding {
			continue
		}
		name := p.account.hledger
		if p.owner != "" {
			name += ":" + p.owner
		}
		fmt.Fprintf(w.to, "    %s  %s %s\n", name, p.debit, w.coin)
	}
	return nil
}

// end asserts what each kind of account holds, with all below it: hledger refuses a journal that does not come to it.
func (w *hledger) end(closing []projections.TrialLine, to string) error {
	return w.balances(to+" closing balances, as the read models have them", closing, "0 "+w.coin+" =*", " %s")
}

// plain keeps a text in its line of a comment.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}

// journalCSV writes debits and credits, one posting a line.
type journalCSV struct {
	to             *csv.Writer
	coin, currency string
}

func (w *journalCSV) begin(_ *queryv1.Heading, opening []projections.TrialLine, from string) error {
	head := []string{"journal_no", "date", "account_code", "account_name", "owner", "description", "reference", "debit", "credit", "currency"}
	if w.currency != "" {
		head = append(head, "fiat_debit", "fiat_credit", "fiat_currency", "rate")
	}
	if err := w.to.Write(head); err != nil {
		return err
	}
	for _, line := range opening {
		if line.Amount == 0 {
			continue
		}
		account, err := chartOf(line.Kind)
		if err != nil {
			return err
		}
		debit, credit := sides((-line.Amount).String())
		row := []string{"opening", from, account.code, account.name, "", "Opening balance", "", debit, credit, w.coin}
		if w.currency != "" {
			row = append(row, "", "", "", "") // of its value when it came in, the ledger knows nothing
		}
		if err := w.to.Write(row); err != nil {
			return err
		}
	}
	return nil
}

func (w *journalCSV) entry(e entry, rate *queryv1.FiatRate) error {
	for _, p := range e.postings {
		debit, credit := sides(p.debit.String())
		row := []string{e.number, e.day, p.account.code, p.account.name, p.owner, wordsOf(e.what), e.reference, debit, credit, w.coin}
		if rate != nil {
			debit, credit := sides(p.fiat)
			row = append(row, debit, credit, rate.Currency, rate.Rate)
		}
		if err := w.to.Write(row); err != nil {
			return err
		}
	}
	return nil
}

func (w *journalCSV) end([]projections.TrialLine, string) error {
	w.to.Flush()
	return w.to.Error()
}

// sides puts an amount to the debit, or, if it is below zero, without its sign to the credit.
func sides(amount string) (debit, credit string) {
	if rest, isCredit := strings.CutPrefix(amount, "-"); isCredit {
		return "", rest
	}
	return amount, ""
}

// decimal writes smallest units with their digits: 12345 with two is 123.45.
func decimal(units int64, digits uint32) string {
	text := fmt.Sprintf("%0*d", int(digits)+1, max(units, -units))
	sign := ""
	if units < 0 {
		sign = "-"
	}
	if digits == 0 {
		return sign + text
	}
	return sign + text[:len(text)-int(digits)] + "." + text[len(text)-int(digits):]
}
