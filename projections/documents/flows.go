package documents

import (
	"context"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// words say in people's words what a fact did to money, and in which order documents list them: as money moves.
var words = []struct{ what, words string }{
	{"account_funded", "Deposits"},
	{"job_submitted", "Reserved for jobs"},
	{"job_completed", "Jobs completed"},
	{"job_failed", "Jobs failed"},
	{"job_cancelled", "Jobs cancelled"},
	{"job_expired", "Jobs expired"},
	{"job_disputed", "Disputes opened"},
	{"dispute_resolved", "Disputes resolved"},
	{"pay_released", "Held pay released"},
	{"pay_refused", "Held pay refused"},
	{"earnings_matured", "Earnings matured"},
	{"holdback_released", "Holdback released"},
	{"holdback_forfeited", "Holdback forfeited"},
	{"withdrawal_accepted", "Withdrawals"},
	{"adjusted", "Adjustments"},
	{"batch_sealed", "Put into batches"},
	{"batch_vetoed", "Batches vetoed"},
	{"payout_observed", "Paid on chain"},
}

func wordsOf(what string) string {
	for _, w := range words {
		if w.what == what {
			return w.words
		}
	}
	return what // a fact that is younger than this table
}

func orderOf(what string) int {
	for i, w := range words {
		if w.what == what {
			return i
		}
	}
	return len(words)
}

// byKind is money by kind of account.
type byKind map[string]domain.Nano

// flow is what one kind of fact moved.
type flow struct {
	what     string
	postings int64
	moved    byKind
}

// book is what a holder's accounts held when a month began and when it ended, and what moved in between.
type book struct {
	opening, closing byKind
	flows            []flow
	moved            []projections.Flow
}

// read asks for a holder's book, and holds the answers against each other. That the months are the journal's is the audit's to say.
func read(ctx context.Context, r projections.Reader, whose projections.Holder, month Month) (book, error) {
	var b book
	before, err := r.HeldBefore(ctx, whose, month.FromMs)
	if err != nil {
		return b, err
	}
	after, err := r.HeldBefore(ctx, whose, month.ToMs)
	if err != nil {
		return b, err
	}
	if b.moved, err = r.FlowsOf(ctx, whose, month.FromMs, month.ToMs); err != nil {
		return b, err
	}
	b.opening, b.closing = kinds(before), kinds(after)
	have := byKind{}
	for kind, held := range b.opening {
		have[kind] += held
	}
	for _, m := range b.moved {
		at := slices.IndexFunc(b.flows, func(f flow) bool { return f.what == m.What })
		if at < 0 {
			at = len(b.flows)
			b.flows = append(b.flows, flow{what: m.What, moved: byKind{}})
		}
		b.flows[at].postings += m.Postings
		b.flows[at].moved[m.Kind] += m.In - m.Out
		have[m.Kind] += m.In - m.Out
	}
	for kind := range have {
		if have[kind] != b.closing[kind] {
			return b, fmt.Errorf("%s in %s: opening and flows come to %s, closing is %s: %w", kind, month, have[kind], b.closing[kind], ErrDoesNotAddUp)
		}
	}
	slices.SortStableFunc(b.flows, func(x, y flow) int { return orderOf(x.what) - orderOf(y.what) })
	return b, nil
}

func kinds(totals []projections.KindTotal) byKind {
	all := byKind{}
	for _, t := range totals {
		all[t.Kind] = t.Amount
	}
	return all
}

// in returns what facts put into accounts of a kind, or, below zero, took out.
func (b book) in(kind string, facts ...string) (total domain.Nano) {
	for _, f := range b.flows {
		if slices.Contains(facts, f.what) {
			total += f.moved[kind]
		}
	}
	return total
}

// isEmpty says that nothing ever moved, up to the end of the month.
func (b book) isEmpty() bool { return len(b.opening) == 0 && len(b.moved) == 0 }

// closings are the facts that end jobs.
var closings = []string{"job_completed", "job_failed", "job_cancelled", "job_expired"}
