package settler

import (
	"context"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
)

// reading is what the books say at one place in the log.
type reading struct {
	projections.Settlement
	batches []projections.Batch
	lines   []projections.BatchLine
	paid    map[domain.ProviderID]domain.Nano
}

func (s *Settler) read(ctx context.Context) (reading, error) {
	if err := s.cfg.Books.Fresh(ctx); err != nil {
		return reading{}, fmt.Errorf("wait for the books: %w", err)
	}
	r := reading{paid: map[domain.ProviderID]domain.Nano{}}
	err := s.cfg.Books.View(ctx, func(view projections.View) (err error) {
		if r.Settlement, err = projections.ReadSettlement(ctx, view); err != nil {
			return err
		}
		for batch, err := range projections.RowsOf(ctx, view, projections.Batches) {
			if err != nil {
				return err
			}
			r.batches = append(r.batches, batch)
		}
		for line, err := range projections.RowsOf(ctx, view, projections.BatchLines) {
			if err != nil {
				return err
			}
			r.lines = append(r.lines, line)
		}
		for payout, err := range projections.RowsOf(ctx, view, projections.Payouts) {
			if err != nil {
				return err
			}
			r.paid[payout.Payee] = payout.Paid
		}
		return nil
	})
	if err != nil {
		return reading{}, fmt.Errorf("read the books: %w", err)
	}
	return r, nil
}

// equal tells whether two readings say the same of batches and payouts.
func (r reading) equal(other reading) bool {
	return slices.Equal(r.batches, other.batches) && r.books().Paid == other.books().Paid
}

// books sums up the reading for a decision.
func (r reading) books() settlement.Books {
	var b settlement.Books
	for _, batch := range r.batches {
		b.LastNumber = batch.Number
		root := settlement.OnChain{Epoch: batch.Number, Root: batch.PayoutRoot, Total: batch.Total, Commitment: batch.Commitment}
		switch batch.State {
		case projections.BatchActivated:
			b.Active = root
		case projections.BatchSealed, projections.BatchProposed:
			b.Open = &root
		}
	}
	for _, paid := range r.paid {
		b.Paid += paid
	}
	return b
}

// leavesOf makes the payout tree's leaves as of a batch out of all lines up to it, and checks them
// against the batch's root: what goes on chain is never taken on trust.
func (r reading) leavesOf(number uint32) ([]settlement.Leaf, error) {
	vetoed := map[uint32]bool{}
	var root domain.Digest
	for _, batch := range r.batches {
		vetoed[batch.Number] = batch.State == projections.BatchVetoed
		if batch.Number == number {
			root = batch.PayoutRoot
		}
	}
	cumulative := map[domain.ProviderID]domain.Nano{}
	for _, line := range r.lines { // in the order of batches
		if line.Number <= number && !vetoed[line.Number] {
			cumulative[line.Payee] = line.Cumulative
		}
	}
	leaves := make([]settlement.Leaf, 0, len(cumulative))
	for payee, amount := range cumulative {
		leaves = append(leaves, settlement.Leaf{Payee: payee, Cumulative: amount})
	}
	settlement.SortLeaves(leaves)
	have, err := settlement.Root(leaves)
	if err != nil {
		return nil, fmt.Errorf("leaves of batch %d: %w", number, err)
	}
	if have != root {
		return nil, fmt.Errorf("leaves of batch %d have root %s, the batch %s: the projections are damaged; rebuild them", number, have, root)
	}
	return leaves, nil
}
