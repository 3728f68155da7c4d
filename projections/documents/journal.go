package documents

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// chartAccount is what accountants call a kind of account.
type chartAccount struct {
	kind, code, name, hledger, class string // class is hledger's: A, L, R
}

// chart is the chart of accounts for other people's programs. Codes are ours, and never change.
var chart = []chartAccount{
	{"vault/cash", "1000", "Vault", "assets:vault", "A"},
	{"client/available", "2000", "Clients, available", "liabilities:clients:available", "L"},
	{"client/reserved", "2010", "Clients, reserved", "liabilities:clients:reserved", "L"},
	{"provider/earned", "2100", "Providers, earned", "liabilities:providers:earned", "L"},
	{"provider/held", "2110", "Providers, held", "liabilities:providers:held", "L"},
	{"provider/payable", "2120", "Providers, payable", "liabilities:providers:payable", "L"},
	{"provider/committed", "2130", "Providers, in batches", "liabilities:providers:committed", "L"},
	{"network/commission", "4000", "Commission", "revenues:commission", "R"},
	{"network/slashed", "4100", "Slashed", "revenues:slashed", "R"},
	{rounding, "4900", "Rounding", "revenues:rounding", "R"},
}

// rounding takes what is left when the amounts of an entry were rounded one by one, so that it balances in a currency, too.
const rounding = "rounding"

func chartOf(kind string) (chartAccount, error) {
	at := slices.IndexFunc(chart, func(a chartAccount) bool { return a.kind == kind })
	if at < 0 {
		return chartAccount{}, fmt.Errorf("%s: %w", kind, errNoAccount)
	}
	return chart[at], nil
}

var errNoAccount = errors.New("is in no chart of accounts")

// JournalStyle is whose program a journal is for.
type JournalStyle string

// Styles.
const (
	// Hledger is a journal of plain-text accounting, with the opening balances, the prices, and assertions of the closing
	// balances that hledger checks.
	Hledger JournalStyle = "hledger"
	// JournalCSV has a line for each posting with debit and credit, as most programs import it.
	JournalCSV JournalStyle = "csv"
)

// JournalOptions say what of the ledger is exported, and how.
type JournalOptions struct {
	Options
	Style JournalStyle
	// The span is [FromMs, ToMs) of log time, both at the start of a day, or 0: from the beginning, to the end.
	FromMs, ToMs int64
	// ByDay sums a day's postings by fact and kind of account, without owners: some dozens of lines a day however many jobs.
	ByDay bool
}

// entry is one journal entry: postings that sum to zero.
type entry struct {
	day       string
	number    string // unique in the ledger
	what      string
	reference string
	postings  []entryPosting
}

type entryPosting struct {
	account chartAccount
	owner   string
	debit   domain.Nano // below zero: credit
	fiat    string      // of debit; "" without prices
}

// journalWriter writes entries in one style.
type journalWriter interface {
	begin(h *queryv1.Heading, opening []projections.TrialLine, from string) error
	entry(e entry, rate *queryv1.FiatRate) error
	end(closing []projections.TrialLine, to string) error
}

// WriteJournal writes the general ledger of a span, and returns how many postings went in.
func WriteJournal(ctx context.Context, to io.Writer, r projections.Reader, o JournalOptions) (postings int64, err error) {
	fail := func(err error) (int64, error) { return postings, fmt.Errorf("export journal: %w", err) }
	until, lastMs := o.ToMs, o.ToMs-1
	if until == 0 {
		until, lastMs = math.MaxInt64, math.MaxInt64
	}
	span := o.Options
	span.Currency = "" // rates are those of each day
	h, err := heading(ctx, r, o.ToMs, span)
	if err != nil {
		return fail(err)
	}
	opening, err := r.TrialBalanceAt(ctx, o.FromMs-1)
	if err != nil {
		return fail(err)
	}
	out := bufio.NewWriter(to)
	var w journalWriter
	switch o.Style {
	case Hledger:
		w = &hledger{to: out, coin: h.Coin, declared: map[string]bool{}}
	case JournalCSV:
		w = &journalCSV{to: csv.NewWriter(out), coin: h.Coin, currency: o.Currency}
	default:
		return fail(fmt.Errorf("style %q: want hledger or csv", o.Style))
	}
	if err := w.begin(h, opening, day(o.FromMs)); err != nil {
		return fail(err)
	}
	entries := factEntries(r.Postings(ctx, o.FromMs, until))
	if o.ByDay {
		entries = dayEntries(r.Postings(ctx, o.FromMs, until))
	}
	last, rates := day(o.FromMs), ratesByDay{o.Prices, o.Currency, nil}
	for e, err := range entries {
		if err != nil {
			return fail(err)
		}
		rate, err := rates.of(e.day)
		if err == nil && rate != nil {
			err = e.inFiat(rate)
		}
		if err == nil {
			err = w.entry(e, rate)
		}
		if err != nil {
			return fail(err)
		}
		postings, last = postings+int64(len(e.postings)), e.day
	}
	closing, err := r.TrialBalanceAt(ctx, lastMs)
	if err != nil {
		return fail(err)
	}
	if err := w.end(closing, last); err != nil {
		return fail(err)
	}
	return postings, out.Flush()
}

// ratesByDay looks a rate up once a day.
type ratesByDay struct {
	prices   *Prices
	currency string
	last     *queryv1.FiatRate
}

func (r *ratesByDay) of(day string) (*queryv1.FiatRate, error) {
	if r.currency == "" || r.last != nil && r.last.Day == day {
		return r.last, nil
	}
	var err error
	r.last, err = r.prices.on(r.currency, day)
	return r.last, err
}

// inFiat gives each posting its amount in a currency, and one more that takes what rounding left.
func (e *entry) inFiat(rate *queryv1.FiatRate) error {
	left := int64(0) // in the smallest unit
	for i := range e.postings {
		units, err := fiatUnits(e.postings[i].debit, rate)
		if err != nil {
			return err
		}
		e.postings[i].fiat = decimal(units, rate.Digits)
		left -= units
	}
	if left != 0 {
		account, err := chartOf(rounding)
		if err != nil {
			return err
		}
		e.postings = append(e.postings, entryPosting{account: account, fiat: decimal(left, rate.Digits)})
	}
	return nil
}

// posted is an account and what one entry did to it.
func posted(kind, owner string, amount domain.Nano) (entryPosting, error) {
	account, err := chartOf(kind)
	return entryPosting{account: account, owner: owner, debit: -amount}, err
}

// factEntries makes an entry of each fact.
func factEntries(lines iter.Seq2[projections.JournalLine, error]) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		var e entry
		var key projections.PostingKey
		for line, err := range lines {
			if err != nil {
				yield(e, err)
				return
			}
			if line.Shard != key.Shard || line.Ledger != key.Ledger || line.Fact != key.Fact {
				if len(e.postings) > 0 && !yield(e, nil) {
					return
				}
				e = entry{
					day: day(line.AtMs), number: fmt.Sprintf("%d/%d/%d", line.Shard, line.Ledger, line.Fact), what: line.What, reference: text(line.Job),
				}
				key = line.PostingKey
			}
			p, err := posted(line.Kind, text(line.Owner), line.Amount)
			if err != nil {
				yield(e, err)
				return
			}
			e.postings = append(e.postings, p)
		}
		if len(e.postings) > 0 {
			yield(e, nil)
		}
	}
}

// dayEntries makes one entry of all facts of a kind and a day.
func dayEntries(lines iter.Seq2[projections.JournalLine, error]) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		today := ""
		sums := map[string]byKind{} // by fact
		flush := func() bool {
			for _, what := range inOrder(sums) {
				e := entry{day: today, number: today + "/" + what, what: what}
				for _, account := range chart {
					if moved := sums[what][account.kind]; moved != 0 {
						e.postings = append(e.postings, entryPosting{account: account, debit: -moved})
					}
				}
				if len(e.postings) > 0 && !yield(e, nil) {
					return false
				}
			}
			clear(sums)
			return true
		}
		for line, err := range lines {
			if err == nil {
				_, err = chartOf(line.Kind)
			}
			if err != nil {
				yield(entry{}, err)
				return
			}
			if at := day(line.AtMs); at != today {
				if !flush() {
					return
				}
				today = at
			}
			if sums[line.What] == nil {
				sums[line.What] = byKind{}
			}
			sums[line.What][line.Kind] += line.Amount
		}
		flush()
	}
}

// inOrder lists facts as documents do.
func inOrder(sums map[string]byKind) []string {
	var all []string
	for what := range sums {
		all = append(all, what)
	}
	slices.SortFunc(all, func(a, b string) int {
		if order := orderOf(a) - orderOf(b); order != 0 {
			return order
		}
		return strings.Compare(a, b)
	})
	return all
}
