package settler

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
)

// standing is what a decision needs of the books. To read it costs the same however many payees and batches there are.
type standing struct {
	projections.SettlementProgress
	active, open projections.Batch // zero: none
}

func (s *Settler) read(ctx context.Context) (standing, error) {
	if err := s.cfg.Books.Fresh(ctx); err != nil {
		return standing{}, fmt.Errorf("wait for the books: %w", err)
	}
	progress, err := projections.ReadProgress(ctx, s.cfg.Books)
	if err != nil {
		return standing{}, err
	}
	// The tables may move on from here on. What is taken of a batch is what it was sealed with, and stays.
	b := standing{SettlementProgress: progress}
	if b.active, err = s.batch(ctx, progress.Active); err != nil {
		return standing{}, err
	}
	if b.open, err = s.batch(ctx, progress.Open); err != nil {
		return standing{}, err
	}
	return b, nil
}

func (s *Settler) batch(ctx context.Context, number uint32) (projections.Batch, error) {
	if number == 0 {
		return projections.Batch{}, nil
	}
	batch, err := projections.ReadBatch(ctx, s.cfg.Books, number)
	if err == nil && batch.Number != number {
		err = fmt.Errorf("batch %d is in the progress and in no row: the projections are damaged; rebuild them", number)
	}
	return batch, err
}

// books sums up what was read for a decision.
func (b standing) books() settlement.Books {
	books := settlement.Books{LastNumber: b.Last, LT: b.ChainLT, Active: onChain(b.active), Paid: b.Paid}
	if b.Open != 0 {
		open := onChain(b.open)
		books.Open = &open
	}
	return books
}

func onChain(batch projections.Batch) settlement.OnChain {
	return settlement.OnChain{Epoch: batch.Number, Root: batch.PayoutRoot, Total: batch.Total, Commitment: batch.Commitment}
}

// reading is all batches and their lines, at one place in the log.
type reading struct {
	batches []projections.Batch
	lines   []projections.BatchLine
}

func readBatches(ctx context.Context, view projections.View) (r reading, err error) {
	for batch, err := range projections.RowsOf(ctx, view, projections.Batches) {
		if err != nil {
			return reading{}, err
		}
		r.batches = append(r.batches, batch)
	}
	for line, err := range projections.RowsOf(ctx, view, projections.BatchLines) {
		if err != nil {
			return reading{}, err
		}
		r.lines = append(r.lines, line)
	}
	return r, nil
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
	r, err := readBatches(ctx, view)
	if err != nil {
		return Tree{}, err
	}
	last, active := uint32(0), uint32(0)
	for _, batch := range r.batches {
		last = batch.Number
		if batch.State == projections.BatchActivated {
			active = batch.Number
		}
	}
	if number == 0 {
		number = active
	}
	if number == 0 || number > last {
		return Tree{}, fmt.Errorf("batch %d of %d: %w", number, last, projections.ErrNotFound)
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
