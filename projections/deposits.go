package projections

import "github.com/filature/filature/domain"

// DepositKey names a deposit: logical times do not repeat on the vault's account.
type DepositKey struct {
	Shard domain.Shard
	LT    uint64
}

// Deposit is money that the vault received for an account, in a final transaction.
type Deposit struct {
	DepositKey
	TxHash  domain.Digest
	Account domain.AccountID
	Amount  domain.Nano
	Booked  Moment // in the account's shard
}

// Columns lists the columns.
func (r *Deposit) Columns(c []Column) []Column {
	return append(c,
		Column{"shard", (*int32)(&r.Shard)},
		Column{"lt", &r.LT},
		Column{"tx_hash", (*[32]byte)(&r.TxHash)},
		Column{"account", (*[32]byte)(&r.Account)},
		Column{"amount_nano", (*int64)(&r.Amount)},
		Column{"booked_at_ms", &r.Booked.AtMs}, Column{"booked_offset", (*int64)(&r.Booked.Offset)},
	)
}

// Deposits is every deposit that was booked.
var Deposits = &Definition[DepositKey, Deposit, *Deposit]{
	Name: "deposits", Version: 1, KeyColumns: 2, WriteOnce: true,
	Row: func(k DepositKey) Deposit { return Deposit{DepositKey: k} },
	Fold: func(e *Entry, row func(DepositKey) *Deposit) error {
		for _, fact := range e.Facts() {
			if funded := fact.GetAccountFunded(); funded != nil {
				d := row(DepositKey{e.Shard, funded.Lt})
				d.TxHash, d.Account = id[domain.Digest](funded.TxHash), id[domain.AccountID](funded.Account)
				d.Amount, d.Booked = domain.Nano(funded.AmountNano), e.moment()
			}
		}
		return nil
	},
}
