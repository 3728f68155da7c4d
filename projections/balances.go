package projections

import (
	"github.com/filature/filature/domain"
)

// BalanceKey names one account of the chart.
type BalanceKey struct {
	Kind  string // KindName
	Owner [32]byte
}

// Balance is what an account holds: the sum of all its postings in all shards.
type Balance struct {
	BalanceKey
	Amount   domain.Nano
	Postings int64
	// LastAtMs is the log time of the latest posting.
	LastAtMs int64
}

// Columns lists the columns.
func (r *Balance) Columns(c []Column) []Column {
	return append(c,
		Column{"kind", &r.Kind},
		Column{"owner", &r.Owner},
		Column{"amount_nano", (*int64)(&r.Amount)},
		Column{"postings", &r.Postings},
		Column{"last_at_ms", &r.LastAtMs},
	)
}

// Balances is the balance of every account that was ever posted to.
var Balances = &Definition[BalanceKey, Balance, *Balance]{
	Name: "balances", Version: 1, KeyColumns: 2,
	Row: func(k BalanceKey) Balance { return Balance{BalanceKey: k} },
	Fold: func(e *Entry, row func(BalanceKey) *Balance) error {
		for _, fact := range e.Facts() {
			for _, p := range fact.Postings {
				b := row(BalanceKey{KindName(p.Kind), id[[32]byte](p.Owner)})
				if err := add(&b.Amount, p.AmountNano); err != nil {
					return err
				}
				b.Postings++
				b.LastAtMs = max(b.LastAtMs, e.AtMs)
			}
		}
		return nil
	},
}

// HourMs is the width of the hours that movements and usage are counted by, in log time.
const HourMs = 3_600_000

func hourOf(atMs int64) int64 { return atMs - atMs%HourMs }

// MovementKey names an account and an hour of log time.
type MovementKey struct {
	BalanceKey
	HourMs int64 // its start
}

// Movement is what went into and out of an account in one hour. A balance at a past time is the sum of the months before it, of
// the hours since its month began, and of the journal since its hour did, however old and busy the account is.
type Movement struct {
	MovementKey
	Turnover
}

// Turnover is what postings come to.
type Turnover struct {
	In, Out  domain.Nano // both positive
	Postings int64
}

func (t *Turnover) post(amountNano int64) error {
	t.Postings++
	if amountNano < 0 {
		return add(&t.Out, -amountNano)
	}
	return add(&t.In, amountNano)
}

func (t *Turnover) columns(c []Column) []Column {
	return append(c,
		Column{"in_nano", (*int64)(&t.In)},
		Column{"out_nano", (*int64)(&t.Out)},
		Column{"postings", &t.Postings},
	)
}

// Columns lists the columns.
func (r *Movement) Columns(c []Column) []Column {
	return r.columns(append(c,
		Column{"kind", &r.Kind},
		Column{"owner", &r.Owner},
		Column{"hour_ms", &r.HourMs},
	))
}

// Movements is what moved on every account in every hour.
var Movements = &Definition[MovementKey, Movement, *Movement]{
	Name: "movements", Version: 1, KeyColumns: 3,
	Row: func(k MovementKey) Movement { return Movement{MovementKey: k} },
	Fold: func(e *Entry, row func(MovementKey) *Movement) error {
		for _, fact := range e.Facts() {
			for _, p := range fact.Postings {
				if err := row(MovementKey{BalanceKey{KindName(p.Kind), id[[32]byte](p.Owner)}, hourOf(e.AtMs)}).post(p.AmountNano); err != nil {
					return err
				}
			}
		}
		return nil
	},
}
