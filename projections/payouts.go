package projections

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Payout is what one payee was promised in batches and paid on chain, since the beginning.
type Payout struct {
	Payee     domain.ProviderID
	Committed domain.Nano // in sealed batches that were not vetoed
	Paid      domain.Nano // in finalized transactions
	Payments  int64
	LastBatch uint32 // sealed with a line for the payee, vetoed or not
	LastTx    ChainTx
	LastPaid  Moment // in control
}

// Columns lists the columns.
func (r *Payout) Columns(c []Column) []Column {
	return append(c,
		Column{"payee", (*[32]byte)(&r.Payee)},
		Column{"committed_nano", (*int64)(&r.Committed)},
		Column{"paid_nano", (*int64)(&r.Paid)},
		Column{"payments", &r.Payments},
		Column{"last_batch", &r.LastBatch},
		Column{"last_tx", (*[32]byte)(&r.LastTx.Hash)}, Column{"last_lt", &r.LastTx.LT},
		Column{"last_paid_at_ms", &r.LastPaid.AtMs}, Column{"last_paid_offset", (*int64)(&r.LastPaid.Offset)},
	)
}

// Payouts is the state of every payee that was ever in a batch.
var Payouts = &Definition[domain.ProviderID, Payout, *Payout]{
	Name: "payouts", Version: 1, KeyColumns: 1,
	Row: func(k domain.ProviderID) Payout { return Payout{Payee: k} },
	Fold: func(e *Entry, row func(domain.ProviderID) *Payout) error {
		for _, fact := range e.Facts() {
			if err := eachCommitment(fact, func(payee domain.ProviderID, amount int64) error {
				return add(&row(payee).Committed, amount)
			}); err != nil {
				return err
			}
			switch body := fact.Body.(type) {
			case *v1.Fact_BatchSealed:
				for _, line := range body.BatchSealed.Lines {
					row(id[domain.ProviderID](line.Payee)).LastBatch = body.BatchSealed.Number
				}
			case *v1.Fact_PayoutObserved:
				p := row(id[domain.ProviderID](body.PayoutObserved.Payee))
				if err := add(&p.Paid, body.PayoutObserved.AmountNano); err != nil {
					return err
				}
				p.Payments++
				p.LastTx, p.LastPaid = txOf(body.PayoutObserved.TxHash, body.PayoutObserved.Lt), e.moment()
			}
		}
		return nil
	},
}

// eachCommitment yields what a batch promises to payees when it is sealed, and takes back when it is
// vetoed: the postings on provider/committed of those facts, and of no others.
func eachCommitment(fact *v1.Fact, yield func(payee domain.ProviderID, amount int64) error) error {
	switch fact.Body.(type) {
	case *v1.Fact_BatchSealed, *v1.Fact_BatchVetoed:
	default:
		return nil
	}
	for _, p := range fact.Postings {
		if p.Kind == v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED {
			if err := yield(id[domain.ProviderID](p.Owner), p.AmountNano); err != nil {
				return err
			}
		}
	}
	return nil
}

// PaymentKey names one payment: logical times do not repeat on the vault's account.
type PaymentKey struct {
	Payee domain.ProviderID
	LT    uint64
}

// Payment is one payout that was seen on chain.
type Payment struct {
	PaymentKey
	TxHash domain.Digest
	Amount domain.Nano
	Seen   Moment // in control
}

// Columns lists the columns.
func (r *Payment) Columns(c []Column) []Column {
	return append(c,
		Column{"payee", (*[32]byte)(&r.Payee)},
		Column{"lt", &r.LT},
		Column{"tx_hash", (*[32]byte)(&r.TxHash)},
		Column{"amount_nano", (*int64)(&r.Amount)},
		Column{"seen_at_ms", &r.Seen.AtMs}, Column{"seen_offset", (*int64)(&r.Seen.Offset)},
	)
}

// Payments is every payout that was seen on chain.
var Payments = &Definition[PaymentKey, Payment, *Payment]{
	Name: "payments", Version: 1, KeyColumns: 2, WriteOnce: true,
	Row: func(k PaymentKey) Payment { return Payment{PaymentKey: k} },
	Fold: func(e *Entry, row func(PaymentKey) *Payment) error {
		for _, fact := range e.Facts() {
			if seen := fact.GetPayoutObserved(); seen != nil {
				p := row(PaymentKey{id[domain.ProviderID](seen.Payee), seen.Lt})
				p.TxHash, p.Amount, p.Seen = id[domain.Digest](seen.TxHash), domain.Nano(seen.AmountNano), e.moment()
			}
		}
		return nil
	},
}

// MaturityKey is the place of the fact in the ledger.
type MaturityKey struct {
	Shard  domain.Shard
	Ledger domain.Offset
	Fact   int64 // from 1
}

// Maturity says that what a provider earned in one bucket of log time became payable, but for what was held back of
// it: Holdbacks has that.
type Maturity struct {
	MaturityKey
	Provider domain.ProviderID
	BucketMs int64 // the end of the bucket; Job.DisputableUntilMs names it
	Amount   domain.Nano
	AtMs     int64
}

// Columns lists the columns.
func (r *Maturity) Columns(c []Column) []Column {
	return append(c,
		Column{"shard", (*int32)(&r.Shard)},
		Column{"ledger_offset", (*int64)(&r.Ledger)},
		Column{"fact", &r.Fact},
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"bucket_ms", &r.BucketMs},
		Column{"amount_nano", (*int64)(&r.Amount)},
		Column{"at_ms", &r.AtMs},
	)
}

// Maturities is every bucket of earnings that became payable.
var Maturities = &Definition[MaturityKey, Maturity, *Maturity]{
	Name: "maturities", Version: 1, KeyColumns: 3, WriteOnce: true,
	Row: func(k MaturityKey) Maturity { return Maturity{MaturityKey: k} },
	Fold: func(e *Entry, row func(MaturityKey) *Maturity) error {
		for i, fact := range e.Facts() {
			if matured := fact.GetEarningsMatured(); matured != nil {
				m := row(MaturityKey{e.Shard, e.Offset, int64(i + 1)})
				m.Provider, m.BucketMs = id[domain.ProviderID](matured.Provider), matured.BucketMs
				m.Amount, m.AtMs = domain.Nano(matured.AmountNano), e.AtMs
			}
		}
		return nil
	},
}
