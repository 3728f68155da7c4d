package projections

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// SettlementProgress is how far settlement has come, summed up so that whoever asks often reads one row, however many payees
// and batches there are.
type SettlementProgress struct {
	Singleton int64  // theNetwork
	Last      uint32 // highest number of a batch, sealed or void
	Open      uint32 // sealed, and neither seen activated nor vetoed; 0: none
	Active    uint32 // the last one seen activated; 0: none
	SealedMs  int64  // when the latest batch was sealed
	Committed domain.Nano
	Paid      domain.Nano // to all payees, in booked transactions
	Cash      domain.Nano // of vault/cash, which is negative: what the vault holds for all others
	// ChainLT is the highest logical time of the vault's transactions that any shard has booked.
	ChainLT uint64
}

// Columns lists the columns.
func (r *SettlementProgress) Columns(c []Column) []Column {
	return append(c,
		Column{"singleton", &r.Singleton},
		Column{"last_batch", &r.Last},
		Column{"open_batch", &r.Open},
		Column{"active_batch", &r.Active},
		Column{"sealed_at_ms", &r.SealedMs},
		Column{"committed_nano", (*int64)(&r.Committed)},
		Column{"paid_nano", (*int64)(&r.Paid)},
		Column{"cash_nano", (*int64)(&r.Cash)},
		Column{"chain_lt", &r.ChainLT},
	)
}

// TheProgress has one row.
var TheProgress = &Definition[int64, SettlementProgress, *SettlementProgress]{
	Name: "settlement_progress", Version: 1, KeyColumns: 1,
	Row: func(k int64) SettlementProgress { return SettlementProgress{Singleton: k} },
	Fold: func(e *Entry, row func(int64) *SettlementProgress) error {
		for _, fact := range e.Facts() {
			for _, p := range fact.Postings {
				if p.Kind == v1.AccountKind_ACCOUNT_KIND_VAULT_CASH {
					if err := add(&row(theNetwork).Cash, p.AmountNano); err != nil {
						return err
					}
				}
			}
			switch fact.Body.(type) {
			case *v1.Fact_AccountFunded, *v1.Fact_BatchSealed, *v1.Fact_BatchProposed, *v1.Fact_BatchActivated,
				*v1.Fact_BatchVetoed, *v1.Fact_EpochVoided, *v1.Fact_PayoutObserved:
				if err := row(theNetwork).take(e, fact); err != nil {
					return err
				}
			}
		}
		return nil
	},
}

func (r *SettlementProgress) take(e *Entry, fact *v1.Fact) error {
	switch body := fact.Body.(type) {
	case *v1.Fact_AccountFunded:
		r.ChainLT = max(r.ChainLT, body.AccountFunded.Lt)
	case *v1.Fact_BatchSealed:
		r.Last, r.Open, r.SealedMs = body.BatchSealed.Number, body.BatchSealed.Number, e.moment().AtMs
	case *v1.Fact_BatchProposed:
		r.ChainLT = max(r.ChainLT, body.BatchProposed.Lt)
	case *v1.Fact_BatchActivated:
		r.Open, r.Active = 0, body.BatchActivated.Number
		r.ChainLT = max(r.ChainLT, body.BatchActivated.Lt)
	case *v1.Fact_BatchVetoed:
		r.Open, r.ChainLT = 0, max(r.ChainLT, body.BatchVetoed.Lt)
	case *v1.Fact_EpochVoided:
		r.Last, r.ChainLT = body.EpochVoided.Number, max(r.ChainLT, body.EpochVoided.Lt)
	case *v1.Fact_PayoutObserved:
		r.ChainLT = max(r.ChainLT, body.PayoutObserved.Lt)
		if err := add(&r.Paid, body.PayoutObserved.AmountNano); err != nil {
			return err
		}
	}
	return eachCommitment(fact, func(_ domain.ProviderID, amount int64) error { return add(&r.Committed, amount) })
}

// ReadProgress reads how far settlement has come.
func ReadProgress(ctx context.Context, store Store) (SettlementProgress, error) {
	p := SettlementProgress{Singleton: theNetwork}
	if err := store.Load(ctx, TheProgress.Table(), []Row{&p}); err != nil {
		return SettlementProgress{}, fmt.Errorf("read the progress of settlement: %w", err)
	}
	return p, nil
}

// ReadBatch reads one batch; its number is zero where the tables have none.
func ReadBatch(ctx context.Context, store Store, number uint32) (Batch, error) {
	b := Batch{Number: number}
	if err := store.Load(ctx, Batches.Table(), []Row{&b}); err != nil {
		return Batch{}, fmt.Errorf("read batch %d: %w", number, err)
	}
	if b.State == "" {
		return Batch{}, nil
	}
	return b, nil
}
