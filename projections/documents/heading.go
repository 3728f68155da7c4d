// Package documents knows what a month comes to on paper: a provider's statement, a client's invoice, the trial balance,
// and the journal as accountants' programs take it, each as a page that prints, as CSV and as JSON.
//
// A document is made of the read models alone, by the same questions as every other figure, and is bound to the place in
// the ledger that it was counted up to. Of a month that is over it is the same bytes wherever it is made and whenever.
// What does not add up is an error, never a document.
package documents

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// DefaultCoin is what amounts are in where nobody says otherwise.
const DefaultCoin = "TON"

// ErrDoesNotAddUp says that figures of different tables, which have to agree, do not. The tables are damaged: filature
// audit names the row.
var ErrDoesNotAddUp = errors.New("the figures do not add up")

// Options are what a document is in.
type Options struct {
	// Coin is its ticker; "" is DefaultCoin.
	Coin string
	// Currency asks for amounts in it, too; Prices has its rates. "" for coins alone.
	Currency string
	Prices   *Prices
}

// Month is a calendar month in UTC.
type Month struct{ FromMs, ToMs int64 }

// monthLayout is how months are written: "2026-11".
const monthLayout = "2006-01"

// dayLayout is how days are written: ISO 8601.
const dayLayout = "2006-01-02"

// ParseMonth reads "2026-11".
func ParseMonth(text string) (Month, error) {
	at, err := time.Parse(monthLayout, text)
	if err != nil || at.UnixMilli() < 0 {
		return Month{}, fmt.Errorf("month %q: want a year and a month, as 2026-11: %w", text, errNoMonth)
	}
	return Month{at.UnixMilli(), domain.NextMonth(at.UnixMilli())}, nil
}

var errNoMonth = errors.New("is no month")

// MonthOf is the month that a moment is in.
func MonthOf(at time.Time) Month {
	from := domain.MonthStart(at.UnixMilli())
	return Month{from, domain.NextMonth(from)}
}

func (m Month) String() string { return time.UnixMilli(m.FromMs).UTC().Format(monthLayout) }

// heading says what a document of a span is made of. The ends are those of the ledger where the span is over in every
// shard, and those of what was read where it is not.
func heading(ctx context.Context, r projections.Reader, toMs int64, options Options) (*queryv1.Heading, error) {
	h := &queryv1.Heading{ToMs: toMs, Coin: options.Coin}
	if h.Coin == "" {
		h.Coin = DefaultCoin
	}
	shards := 0
	for network, err := range projections.RowsOf(ctx, r, projections.TheNetwork) {
		if err != nil {
			return nil, err
		}
		h.Network, h.NetworkName, shards = network.ID.String(), network.Name, int(network.Shards)+1
	}
	begun, err := r.MonthsBegun(ctx, toMs)
	if err != nil {
		return nil, err
	}
	reached := int64(0)
	if h.Draft = toMs == 0 || shards == 0 || len(begun) < shards; h.Draft {
		if begun, reached, err = running(ctx, r); err != nil {
			return nil, err
		}
	}
	for _, month := range begun {
		root, err := month.Root()
		if err != nil {
			return nil, err
		}
		h.Log = append(h.Log, &queryv1.LogHead{Shard: uint32(month.Shard), Entries: month.Size, Root: root.String()})
	}
	day := toMs - 1 // the last one of the span
	if h.Draft && (toMs == 0 || reached < toMs) {
		day = reached
	}
	if options.Currency != "" {
		if h.Rate, err = options.Prices.At(options.Currency, day); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// running returns where each shard stands, and the latest log time of all.
func running(ctx context.Context, r projections.Reader) (at []projections.Month, reachedMs int64, err error) {
	for month, err := range projections.RowsOf(ctx, r, projections.Months) {
		if err != nil {
			return nil, 0, err
		}
		if month.MonthMs == 0 {
			at, reachedMs = append(at, month), max(reachedMs, month.ReachedMs)
		}
	}
	return at, reachedMs, nil
}

// of fills in whose document it is, and of which month.
func of(h *queryv1.Heading, kind string, party [32]byte, name string, month Month) {
	h.Party, h.PartyName = hex.EncodeToString(party[:]), name
	h.Month, h.FromMs, h.ToMs = month.String(), month.FromMs, month.ToMs
	// Twelve digits of a hash tell apart far more parties than there will ever be; each has one document a month.
	h.Number = kind + "-" + h.Month + "-" + h.Party[:12]
}

// amount is one without fiat; see inFiat.
func amount(nano domain.Nano) *queryv1.Amount {
	return &queryv1.Amount{Nano: int64(nano), Coins: nano.String()}
}

// sum adds amounts that were each checked; the sums of a document are far from the range, as the supply is.
func sum(amounts ...*queryv1.Amount) *queryv1.Amount {
	var total int64
	for _, a := range amounts {
		total += a.GetNano()
	}
	return amount(domain.Nano(total))
}

func text[T ~[32]byte](id T) string {
	if id == (T{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

func moment(m projections.Moment) *queryv1.Moment {
	return &queryv1.Moment{AtMs: m.AtMs, Offset: int64(m.Offset)}
}

func tokens(t projections.Tokens) *queryv1.Tokens {
	return &queryv1.Tokens{Prompt: t.Prompt, Cached: t.Cached, Completion: t.Completion, Reasoning: t.Reasoning}
}

func ends(c projections.Closings) *queryv1.Ends {
	return &queryv1.Ends{Completed: c.Completed, Failed: c.Failed, Cancelled: c.Cancelled, Expired: c.Expired}
}

// addWork sums lines of work.
func addWork(jobs *queryv1.Ends, t *queryv1.Tokens, moreJobs *queryv1.Ends, more *queryv1.Tokens) {
	jobs.Completed += moreJobs.Completed
	jobs.Failed += moreJobs.Failed
	jobs.Cancelled += moreJobs.Cancelled
	jobs.Expired += moreJobs.Expired
	t.Prompt += more.Prompt
	t.Cached += more.Cached
	t.Completion += more.Completion
	t.Reasoning += more.Reasoning
}

func day(atMs int64) string { return time.UnixMilli(atMs).UTC().Format(dayLayout) }
