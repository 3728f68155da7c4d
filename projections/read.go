package projections

import (
	"context"
	"fmt"
	"iter"
)

// RowsOf yields all rows of a model, in the order of their keys, each a copy.
func RowsOf[K comparable, R any, P interface {
	*R
	Row
}](ctx context.Context, view View, model *Definition[K, R, P]) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for row, err := range view.Rows(ctx, model.Table()) {
			if err != nil {
				var none R
				yield(none, err)
				return
			}
			typed, ok := row.(P)
			if !ok {
				panic(fmt.Sprintf("projections: store gave a %T for %s", row, model.Table()))
			}
			if !yield(*typed, nil) {
				return
			}
		}
	}
}

// together returns where models stand, or ErrNotTogether.
func together(ctx context.Context, view View, models ...Model) (Checkpoint, error) {
	var at Checkpoint
	for i, model := range models {
		place, err := view.Checkpoint(ctx, model.Table())
		if err != nil {
			return nil, err
		}
		if i > 0 && !place.Equal(at) {
			return nil, fmt.Errorf("%s stands at %v, %s at %v: %w", models[0].Table(), at.Cut(), model.Table(), place.Cut(), ErrNotTogether)
		}
		at = place
	}
	return at, nil
}

// Difference is a row that two stores do not agree on.
type Difference struct {
	Table Table
	// Key names the row: "payee=3f…".
	Key string
	// Column is the first one that differs; empty where one store has no such row.
	Column     string
	Want, Have string
}

func (d Difference) String() string {
	if d.Column == "" {
		return fmt.Sprintf("%s: row %s is %s, want it %s", d.Table.Name, d.Key, d.Have, d.Want)
	}
	return fmt.Sprintf("%s: row %s: %s is %s, want %s", d.Table.Name, d.Key, d.Column, d.Have, d.Want)
}

// Differences compares the rows of one model in two stores and yields those that differ, in the order of
// their keys. Whether the stores stand at the same place in the log is for the caller to see to.
func Differences(ctx context.Context, model Model, want, have View) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		table := model.Table()
		nextWant, stopWant := iter.Pull2(want.Rows(ctx, table))
		defer stopWant()
		nextHave, stopHave := iter.Pull2(have.Rows(ctx, table))
		defer stopHave()
		w, errW, okW := nextWant()
		h, errH, okH := nextHave()
		for okW || okH {
			for _, err := range []error{errW, errH} {
				if err != nil {
					yield(Difference{Table: table}, err)
					return
				}
			}
			d, order := compareNext(table, w, h, okW, okH)
			if d != nil && !yield(*d, nil) {
				return
			}
			if order <= 0 {
				w, errW, okW = nextWant()
			}
			if order >= 0 {
				h, errH, okH = nextHave()
			}
		}
	}
}

// compareNext compares the rows that two ordered sequences have come to. order says which of them to
// move on: negative the wanted one, positive the other, zero both.
func compareNext(table Table, w, h Row, okW, okH bool) (*Difference, int) {
	var want, have []Column
	var order int
	switch {
	case !okH:
		want, order = w.Columns(nil), -1
	case !okW:
		have, order = h.Columns(nil), 1
	default:
		want, have = w.Columns(nil), h.Columns(nil)
		order = compareRows(want, have, table.KeyColumns)
	}
	switch {
	case order < 0:
		return &Difference{Table: table, Key: describe(want[:table.KeyColumns]), Want: "there", Have: "missing"}, order
	case order > 0:
		return &Difference{Table: table, Key: describe(have[:table.KeyColumns]), Want: "missing", Have: "there"}, order
	}
	for i := range want {
		if want[i].compare(have[i]) != 0 {
			return &Difference{
				Table: table, Key: describe(want[:table.KeyColumns]), Column: want[i].Name,
				Want: want[i].String(), Have: have[i].String(),
			}, 0
		}
	}
	return nil, 0
}

// All lists every read model. A new one is one line here.
func All() []Model {
	return []Model{
		Balances, Movements, Journal,
		Jobs, UsageByHour, UsageSummed,
		Deposits, Batches, BatchCuts, BatchLines, Payouts, Payments, TheProgress, Maturities,
		Payables, LogTrees,
		Reports, Rejections, Reasons,
		TheNetwork, RateCards, Operators,
		Clients, Providers, Workers, Models, Offers, Accounts,
		Standings, ThePayRules, RetiredImages, Holds, Holdbacks,
		OfferHistory, WorkByHour,
		Attestations, Trusts, HoldExtensions,
		Months, WorkerDays, ClientDays, MonthFlows, KindFlows,
	}
}
