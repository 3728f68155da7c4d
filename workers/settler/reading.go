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

// Active is the batch whose root the vault pays from, as the books know it.
type Active struct {
	Batch projections.Batch
	Tree  settlement.Tree
	// Payouts are all payees that were ever in a batch, in the order of their ids.
	Payouts []projections.Payout
}

// ReadActive reads the active batch; what that costs grows with the payees, not with the batches. It is
// projections.ErrNotFound while no batch was activated yet.
func ReadActive(ctx context.Context, store projections.Store) (Active, error) {
	var a Active
	var progress projections.SettlementProgress
	if err := store.View(ctx, func(view projections.View) error {
		for row, err := range projections.RowsOf(ctx, view, projections.TheProgress) {
			if err != nil {
				return err
			}
			progress = row
		}
		for payout, err := range projections.RowsOf(ctx, view, projections.Payouts) {
			if err != nil {
				return err
			}
			a.Payouts = append(a.Payouts, payout)
		}
		return nil
	}); err != nil {
		return Active{}, fmt.Errorf("read the active batch: %w", err)
	}
	if progress.Active == 0 {
		return Active{}, fmt.Errorf("no batch was activated yet: %w", projections.ErrNotFound)
	}
	var err error
	if a.Batch, err = projections.ReadBatch(ctx, store, progress.Active); err != nil {
		return Active{}, err
	}
	open, err := openLines(ctx, store, progress.Open, a.Payouts)
	if err != nil {
		return Active{}, err
	}
	leaves := make([]settlement.Leaf, 0, len(a.Payouts))
	for _, p := range a.Payouts {
		if amount := p.Committed - open[p.Payee]; amount > 0 {
			leaves = append(leaves, settlement.Leaf{Payee: p.Payee, Cumulative: amount})
		}
	}
	a.Tree, err = checkedTree(a.Batch, leaves)
	return a, err
}

// openLines returns what the open batch adds to payees, in whose rows it is already. Lines never change once they
// are there.
func openLines(ctx context.Context, store projections.Store, open uint32, payouts []projections.Payout) (map[domain.ProviderID]domain.Nano, error) {
	var rows []projections.Row
	for _, p := range payouts {
		if open != 0 && p.LastBatch == open {
			rows = append(rows, &projections.BatchLine{BatchLineKey: projections.BatchLineKey{Number: open, Payee: p.Payee}})
		}
	}
	if err := store.Load(ctx, projections.BatchLines.Table(), rows); err != nil {
		return nil, fmt.Errorf("read the lines of batch %d: %w", open, err)
	}
	adds := make(map[domain.ProviderID]domain.Nano, len(rows))
	for _, row := range rows {
		line, ok := row.(*projections.BatchLine)
		if !ok {
			panic(fmt.Sprintf("settler: a %T among lines", row))
		}
		adds[line.Payee] = line.Delta
	}
	return adds, nil
}

// ReadTree reads the payout tree of any batch out of the lines of all batches up to it. It is
// projections.ErrNotFound where there is no such batch.
func ReadTree(ctx context.Context, view projections.View, number uint32) (settlement.Tree, error) {
	var r reading
	for batch, err := range projections.RowsOf(ctx, view, projections.Batches) {
		if err != nil {
			return settlement.Tree{}, err
		}
		r.batches = append(r.batches, batch)
	}
	for line, err := range projections.RowsOf(ctx, view, projections.BatchLines) {
		if err != nil {
			return settlement.Tree{}, err
		}
		r.lines = append(r.lines, line)
	}
	return r.tree(number)
}

// reading is all batches and their lines, at one place in the log.
type reading struct {
	batches []projections.Batch
	lines   []projections.BatchLine
}

func (r reading) tree(number uint32) (settlement.Tree, error) {
	vetoed := map[uint32]bool{}
	var of projections.Batch
	for _, batch := range r.batches {
		vetoed[batch.Number] = batch.State == projections.BatchVetoed && batch.Number != number
		if batch.Number == number && batch.State != projections.BatchVoided {
			of = batch
		}
	}
	if of.Number == 0 {
		return settlement.Tree{}, fmt.Errorf("batch %d of %d: %w", number, len(r.batches), projections.ErrNotFound)
	}
	cumulative := map[domain.ProviderID]domain.Nano{}
	for _, line := range r.lines { // in the order of batches
		if line.Number <= number && !vetoed[line.Number] {
			cumulative[line.Payee] = line.Cumulative
		}
	}
	var leaves []settlement.Leaf
	for payee, amount := range cumulative {
		leaves = append(leaves, settlement.Leaf{Payee: payee, Cumulative: amount})
	}
	settlement.SortLeaves(leaves)
	return checkedTree(of, leaves)
}

// checkedTree makes a batch's tree and compares it with the batch's root: what goes on chain is never taken on
// trust.
func checkedTree(batch projections.Batch, leaves []settlement.Leaf) (settlement.Tree, error) {
	tree, err := settlement.NewTree(leaves)
	if err != nil {
		return settlement.Tree{}, fmt.Errorf("tree of batch %d: %w", batch.Number, err)
	}
	if have := tree.Root(); have != batch.PayoutRoot {
		return settlement.Tree{}, fmt.Errorf("tree of batch %d has root %s, the batch %s: the projections are damaged; rebuild them",
			batch.Number, have, batch.PayoutRoot)
	}
	return tree, nil
}
