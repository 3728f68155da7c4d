package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// books are our own fold of the ledger that the program writes. They are kept over all its lives: an entry
// that was seen once and is gone later does not go unnoticed. Reading changes nothing in the folder, so
// that the program finds there what its predecessor left.
type books struct {
	data  string
	store *projections.MemStore
}

func newBooks(data string) *books { return &books{data, projections.NewMemStore()} }

// refresh takes in what the ledger has now. A folder without a ledger is an empty one.
func (b *books) refresh(ctx context.Context) (err error) {
	log, err := seglog.OpenReadOnly(filepath.Join(b.data, "ledger"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	cut := make([]domain.Offset, log.Shards())
	for shard := range cut {
		if cut[shard], err = log.End(ctx, domain.Shard(shard)); err != nil {
			return err
		}
	}
	if err := projections.FoldTo(ctx, log, b.store, cut, projections.All()...); err != nil {
		return fmt.Errorf("the ledger does not go on from where it was: %w", err)
	}
	return nil
}

// await refreshes until something holds.
func (b *books) await(ctx context.Context, what string, holds func(projections.View) (bool, error)) error {
	const lookEvery = 100 * time.Millisecond
	for {
		if err := b.refresh(ctx); err != nil {
			return err
		}
		done := false
		err := b.store.View(ctx, func(view projections.View) (err error) {
			done, err = holds(view)
			return err
		})
		if err != nil || done {
			return err
		}
		if err := pause(ctx, lookEvery); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
	}
}

// balances are what each account holds.
func balances(ctx context.Context, view projections.View) (map[projections.BalanceKey]domain.Nano, error) {
	all := map[projections.BalanceKey]domain.Nano{}
	for b, err := range projections.RowsOf(ctx, view, projections.Balances) {
		if err != nil {
			return nil, err
		}
		if b.Amount != 0 {
			all[b.BalanceKey] = b.Amount
		}
	}
	return all, nil
}

func isKind(have string, kinds ...v1.AccountKind) bool {
	for _, kind := range kinds {
		if have == projections.KindName(kind) {
			return true
		}
	}
	return false
}

// reported counts answered reports of our own parties, and their claims.
func (w *workload) reported(ctx context.Context, view projections.View) (reports, accepted, rejected int64, err error) {
	operator := signing.KeyOf(w.operator.key)
	for r, err := range projections.RowsOf(ctx, view, projections.Reports) {
		if err != nil {
			return 0, 0, 0, err
		}
		// The program has reported with the operator's key too, under lower numbers.
		if w.signers[r.Signer] && (r.Signer != operator || r.Sequence > operatorFirst) {
			reports++
			accepted += r.Accepted
			rejected += r.Rejected
		}
	}
	return reports, accepted, rejected, nil
}

// isSettled tells whether everything is answered and found its owner: no money is reserved, earned, held,
// payable or committed any more.
func (w *workload) isSettled(ctx context.Context, view projections.View) (bool, error) {
	reports, _, _, err := w.reported(ctx, view)
	if err != nil || reports < w.want.Reports {
		return false, err
	}
	all, err := balances(ctx, view)
	for key := range all {
		if isKind(key.Kind, v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED,
			v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD, v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE, v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED) {
			return false, err
		}
	}
	return true, err
}

// phase is where settlement stood.
type phase string

// Phases.
const (
	noNetwork  phase = "network not set up"
	noBatch    phase = "no batch yet"
	isSealed   phase = "batch sealed, not yet seen proposed"
	isProposed phase = "batch proposed, open to veto"
	isPaying   phase = "batch activated, not all paid"
	isPaid     phase = "all batches paid"
)

var phases = []phase{noNetwork, noBatch, isSealed, isProposed, isPaying, isPaid}

// phase says where settlement stands by the books.
func (b *books) phase(ctx context.Context) (at phase, err error) {
	err = b.store.View(ctx, func(view projections.View) error {
		at = noNetwork
		for network, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil {
				return err
			}
			if network.ParametersSet.AtMs != 0 {
				at = noBatch
			}
		}
		for batch, err := range projections.RowsOf(ctx, view, projections.Batches) {
			if err != nil {
				return err
			}
			switch batch.State {
			case projections.BatchSealed:
				at = isSealed
			case projections.BatchProposed:
				at = isProposed
			case projections.BatchActivated:
				at = isPaid
			}
		}
		for payout, err := range projections.RowsOf(ctx, view, projections.Payouts) {
			if err != nil {
				return err
			}
			if at == isPaid && payout.Paid < payout.Committed {
				at = isPaying
			}
		}
		return nil
	})
	return at, err
}
