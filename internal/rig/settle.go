package rig

import (
	"errors"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Watch brings what the vault did since the last time into intake.
func (w *World) Watch() {
	w.t.Helper()
	for {
		claims, _, err := w.history.Next(w.ctx)
		w.must(err)
		if len(claims) == 0 {
			return
		}
		for _, claim := range claims {
			shard := domain.Control
			if _, account := happened(claim); account != nil {
				shard = w.shardOf(domain.AccountID(account))
			}
			w.Say(w.Watcher, shard, claim)
		}
	}
}

// NextBatch makes the next batch out of all that the ledger holds, and says it nowhere; nil where
// nobody is owed enough.
func (w *World) NextBatch() *v1.SealBatch {
	w.t.Helper()
	w.Fold()
	var batch *v1.SealBatch
	w.must(w.Store.View(w.ctx, func(view projections.View) error {
		s, err := projections.ReadSettlement(w.ctx, view)
		if err != nil {
			return err
		}
		batch, err = settlement.Seal(s.Last.Number+1, s.Cut, s.Owed, s.Policy)
		if errors.Is(err, settlement.ErrNothingOwed) {
			return nil
		}
		return err
	}))
	return batch
}

// Seal seals the next batch and lets the clerks answer; nil where nobody is owed enough.
func (w *World) Seal() *v1.SealBatch {
	w.t.Helper()
	batch := w.NextBatch()
	if batch == nil {
		return nil
	}
	w.SealThis(batch)
	return batch
}

// SealThis has the settler say a batch, whatever is in it.
func (w *World) SealThis(batch *v1.SealBatch) {
	w.t.Helper()
	w.Say(w.Settler, domain.Control, &v1.Claim{Body: &v1.Claim_SealBatch{SealBatch: batch}})
	w.Work()
}

// Settle seals a batch, takes it through the vault, pays everybody and books it all. It returns the
// batch, or nil where nobody is owed enough.
func (w *World) Settle() *v1.SealBatch {
	w.t.Helper()
	batch := w.Seal()
	if batch == nil {
		return nil
	}
	w.must(w.Vault.Propose(w.ctx, settlement.OnChainOf(batch)))
	w.Pass(w.VaultDelay)
	w.must(w.Vault.Activate(w.ctx))
	w.PayAll()
	w.Watch()
	w.Work()
	w.Fold()
	return batch
}

// PayAll has the vault pay all payees what the active batch gives them.
func (w *World) PayAll() {
	w.t.Helper()
	w.Fold()
	var leaves []settlement.Leaf
	w.must(w.Store.View(w.ctx, func(view projections.View) error {
		for p, err := range projections.RowsOf(w.ctx, view, projections.Payables) {
			if err != nil {
				return err
			}
			if p.Committed > 0 {
				leaves = append(leaves, settlement.Leaf{Payee: p.Payee, Cumulative: p.Committed})
			}
		}
		return nil
	}))
	settlement.SortLeaves(leaves)
	tree, err := settlement.NewTree(leaves)
	w.must(err)
	var due []domain.ProviderID
	for _, leaf := range leaves {
		if leaf.Cumulative > w.Vault.Claimed(leaf.Payee) {
			due = append(due, leaf.Payee)
		}
	}
	for len(due) > 0 {
		claimed, err := w.Vault.Claim(w.ctx, tree, due)
		w.must(err)
		due = due[claimed:]
	}
}
