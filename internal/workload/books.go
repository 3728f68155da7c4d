package workload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Books are our own fold of the ledger that Filature writes. They are kept over all its lives: an entry that
// was seen once and is gone later does not go unnoticed. They are for one goroutine.
type Books struct {
	open  func() (Reader, error)
	store *projections.MemStore
}

// Reader is a log that was opened to be read.
type Reader interface {
	eventstore.Reader
	Close() error
}

// NewBooks returns empty books of a ledger that open opens. Each refresh opens it anew, and closes it. One that
// is not there (fs.ErrNotExist) is empty.
func NewBooks(open func() (Reader, error)) *Books { return &Books{open, projections.NewMemStore()} }

// Store is what the books hold.
func (b *Books) Store() projections.Store { return b.store }

// Refresh takes in what the ledger has now.
func (b *Books) Refresh(ctx context.Context) (err error) {
	log, err := b.open()
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

// Await refreshes until something holds.
func (b *Books) Await(ctx context.Context, what string, holds func(context.Context, projections.View) (bool, error)) error {
	const lookEvery = 100 * time.Millisecond
	for {
		if err := b.Refresh(ctx); err != nil {
			return err
		}
		done := false
		err := b.store.View(ctx, func(view projections.View) (err error) {
			done, err = holds(ctx, view)
			return err
		})
		if err != nil || done {
			return err
		}
		if err := Pause(ctx, lookEvery); err != nil {
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
func (w *Workload) reported(ctx context.Context, view projections.View) (reports, accepted, rejected int64, err error) {
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

// IsSettled tells whether everything is answered and found its owner: no money is reserved, earned, held,
// payable or committed any more.
func (w *Workload) IsSettled(ctx context.Context, view projections.View) (bool, error) {
	reports, _, _, err := w.reported(ctx, view)
	if err != nil || reports < w.Want.Reports {
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
