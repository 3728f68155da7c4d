package projections

import (
	"github.com/filature/filature/domain"
)

// MonthFlowKey names an account, a month of log time and what moved money in it.
type MonthFlowKey struct {
	BalanceKey
	MonthMs int64  // its start, UTC
	What    string // FactName
}

// MonthFlow is what one kind of fact moved on an account in a month: what statements are summed from, however busy the account was.
type MonthFlow struct {
	MonthFlowKey
	Turnover
}

// Columns lists the columns.
func (r *MonthFlow) Columns(c []Column) []Column {
	return r.columns(append(c,
		Column{"kind", &r.Kind},
		Column{"owner", &r.Owner},
		Column{"month_ms", &r.MonthMs},
		Column{"what", &r.What},
	))
}

// MonthFlows is the journal, summed by month and fact.
var MonthFlows = &Definition[MonthFlowKey, MonthFlow, *MonthFlow]{
	Name: "month_flows", Version: 1, KeyColumns: 4,
	Row: func(k MonthFlowKey) MonthFlow { return MonthFlow{MonthFlowKey: k} },
	Fold: func(e *Entry, row func(MonthFlowKey) *MonthFlow) error {
		month := domain.MonthStart(e.AtMs)
		for _, fact := range e.Facts() {
			for _, p := range fact.Postings {
				if err := row(MonthFlowKey{BalanceKey{KindName(p.Kind), id[[32]byte](p.Owner)}, month, FactName(fact)}).post(p.AmountNano); err != nil {
					return err
				}
			}
		}
		return nil
	},
}
