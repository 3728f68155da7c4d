package documents

import (
	"context"
	"fmt"
	"math"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// TrialBalance sums all accounts by kind, as they were when log time was atMs, that moment included; 0 is now.
func TrialBalance(ctx context.Context, r projections.Reader, atMs int64, options Options) (*queryv1.TrialBalance, error) {
	until, spanMs := atMs, int64(0) // now is a draft: the ledger goes on
	if atMs == 0 {
		until = math.MaxInt64
	} else {
		spanMs = atMs + 1
	}
	lines, err := r.TrialBalanceAt(ctx, until)
	if err != nil {
		return nil, fmt.Errorf("trial balance: %w", err)
	}
	t := &queryv1.TrialBalance{AtMs: atMs, Debit: amount(0), Credit: amount(0)}
	if t.Heading, err = heading(ctx, r, spanMs, options); err != nil {
		return nil, fmt.Errorf("trial balance: %w", err)
	}
	t.Heading.Number = "TB-now"
	if atMs != 0 {
		t.Heading.Number = "TB-" + day(atMs)
	}
	for _, line := range lines {
		if line.Amount == 0 { // a kind that was in use later, or no more
			continue
		}
		debit, credit := amount(line.Debit()), amount(line.Credit())
		t.Lines = append(t.Lines, &queryv1.TrialBalanceLine{Kind: line.Kind, Debit: debit, Credit: credit})
		t.Debit, t.Credit = sum(t.Debit, debit), sum(t.Credit, credit)
	}
	if t.Debit.Nano != t.Credit.Nano {
		return nil, fmt.Errorf("trial balance: debits are %s, credits %s: %w", domain.Nano(t.Debit.Nano), domain.Nano(t.Credit.Nano), ErrDoesNotAddUp)
	}
	return t, inFiat(t, t.Heading.Rate)
}
