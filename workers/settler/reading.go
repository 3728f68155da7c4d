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
		if err := r.readBatches(ctx, view); err != nil {
			return err
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

func (r *reading) readBatches(ctx context.Context, view projections.View) error {
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
	return nil
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

// Tree is the payout tree of a batch.
type Tree struct {
	Number uint32
	Root   domain.Digest
	Leaves []settlement.Leaf
}

// ReadTree reads the tree of a batch, or, for number 0, of the one that is active. It is
// projections.ErrNotFound where there is no such batch.
func ReadTree(ctx context.Context, view projections.View, number uint32) (Tree, error) {
	r := reading{}
	if err := r.readBatches(ctx, view); err != nil {
		return Tree{}, err
	}
	if number == 0 {
		number = r.books().Active.Epoch
	}
	if number == 0 || number > r.books().LastNumber {
		return Tree{}, fmt.Errorf("batch %d of %d: %w", number, r.books().LastNumber, projections.ErrNotFound)
	}
	return r.tree(number)
}

// tree makes the payout tree as of a batch out of all lines up to it, and checks it against the batch's
// root: what goes on chain is never taken on trust.
func (r reading) tree(number uint32) (Tree, error) {
	vetoed := map[uint32]bool{}
	tree := Tree{Number: number}
	for _, batch := range r.batches {
		vetoed[batch.Number] = batch.State == projections.BatchVetoed && batch.Number != number
		if batch.Number == number {
			tree.Root = batch.PayoutRoot
		}
	}
	cumulative := map[domain.ProviderID]domain.Nano{}
	for _, line := range r.lines { // in the order of batches
		if line.Number <= number && !vetoed[line.Number] {
			cumulative[line.Payee] = line.Cumulative
		}
	}
	for payee, amount := range cumulative {
		tree.Leaves = append(tree.Leaves, settlement.Leaf{Payee: payee, Cumulative: amount})
	}
	settlement.SortLeaves(tree.Leaves)
	have, err := settlement.Root(tree.Leaves)
	if err != nil {
		return tree, fmt.Errorf("tree of batch %d: %w", number, err)
	}
	if have != tree.Root {
		return tree, fmt.Errorf("tree of batch %d has root %s, the batch %s: the projections are damaged; rebuild them", number, have, tree.Root)
	}
	return tree, nil
}
