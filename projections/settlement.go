package projections

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Payable is what one payee is owed.
type Payable struct {
	Payee domain.ProviderID
	// Owed is mature and in no batch yet: the balance of provider/payable over all shards.
	Owed domain.Nano
	// Committed is all that batches ever promised, less what was vetoed: the payee's leaf in the latest
	// payout tree.
	Committed domain.Nano
	Postings  int64
}

// Columns lists the columns.
func (r *Payable) Columns(c []Column) []Column {
	return append(c,
		Column{"payee", (*[32]byte)(&r.Payee)},
		Column{"owed_nano", (*int64)(&r.Owed)},
		Column{"committed_nano", (*int64)(&r.Committed)},
		Column{"postings", &r.Postings},
	)
}

// Payables is what every payee is owed.
var Payables = &Definition[domain.ProviderID, Payable, *Payable]{
	Name: "payables", Version: 1, KeyColumns: 1,
	Row: func(k domain.ProviderID) Payable { return Payable{Payee: k} },
	Fold: func(e *Entry, row func(domain.ProviderID) *Payable) error {
		for _, fact := range e.Facts() {
			for _, p := range fact.Postings {
				if p.Kind != v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE {
					continue
				}
				r := row(id[domain.ProviderID](p.Owner))
				if err := add(&r.Owed, p.AmountNano); err != nil {
					return err
				}
				r.Postings++
			}
			if err := eachCommitment(fact, func(payee domain.ProviderID, amount int64) error {
				r := row(payee)
				r.Postings++
				return add(&r.Committed, amount)
			}); err != nil {
				return err
			}
		}
		return nil
	},
}

// Settlement is all that a batch is made of, at one place in the log.
type Settlement struct {
	Cut settlement.Cut
	// Network has the parameters in force at the cut; Policy is the part of them that Seal wants.
	Network Network
	Policy  settlement.Policy
	// Last is the latest batch; its number is zero before the first.
	Last Batch
	// Owed are all payees that were ever owed anything, in the order of their ids.
	Owed []settlement.Owed
}

// SettlementModels are the models that ReadSettlement reads.
func SettlementModels() []Model {
	return []Model{Payables, LogTrees, TheNetwork, Batches}
}

// ReadSettlement reads what the next batch is made of. It is ErrNotTogether while one of the models is
// being rebuilt, and ErrNotFound before the genesis.
func ReadSettlement(ctx context.Context, view View) (Settlement, error) {
	at, err := together(ctx, view, SettlementModels()...)
	if err != nil {
		return Settlement{}, fmt.Errorf("read settlement: %w", err)
	}
	var s Settlement
	for network, err := range RowsOf(ctx, view, TheNetwork) {
		if err != nil {
			return Settlement{}, fmt.Errorf("read settlement: %w", err)
		}
		s.Network = network
		s.Policy = settlement.Policy{ThresholdNano: network.PayoutThreshold, MaxPayees: int(network.BatchPayees)}
	}
	if s.Network.Singleton == 0 {
		return Settlement{}, fmt.Errorf("read settlement: no genesis yet: %w", ErrNotFound)
	}
	// A shard in which nobody has spoken yet has no place in a checkpoint. It has one in every cut.
	at = append(slices.Clip(at), make(Checkpoint, max(0, int(s.Network.Shards)+1-len(at)))...)
	s.Cut = settlement.Cut{Offsets: at.Cut(), LogRoots: make([]domain.Digest, len(at))}
	for shard := range s.Cut.LogRoots {
		s.Cut.LogRoots[shard] = sha256.Sum256(nil) // of a shard without records
	}
	for tree, err := range RowsOf(ctx, view, LogTrees) {
		if err != nil {
			return Settlement{}, fmt.Errorf("read settlement: %w", err)
		}
		if int(tree.Shard) >= len(at) || domain.Offset(tree.Size) != at[tree.Shard].Ledger {
			return Settlement{}, fmt.Errorf("read settlement: tree of shard %d has %d records, the cut is %v: %w",
				tree.Shard, tree.Size, s.Cut.Offsets, ErrNotTogether)
		}
		if s.Cut.LogRoots[tree.Shard], err = tree.Root(); err != nil {
			return Settlement{}, fmt.Errorf("read settlement: %w", err)
		}
	}
	for batch, err := range RowsOf(ctx, view, Batches) {
		if err != nil {
			return Settlement{}, fmt.Errorf("read settlement: %w", err)
		}
		s.Last = batch
	}
	for payable, err := range RowsOf(ctx, view, Payables) {
		if err != nil {
			return Settlement{}, fmt.Errorf("read settlement: %w", err)
		}
		s.Owed = append(s.Owed, settlement.Owed{Payee: payable.Payee, Payable: payable.Owed, Committed: payable.Committed})
	}
	return s, nil
}
