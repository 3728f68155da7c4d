package projections

import (
	"math"

	"github.com/filature/filature/domain"
)

// KindFlowKey names a kind of account and a width of log time.
type KindFlowKey struct {
	Width   string // "minute", "hour", "day", "month"
	StartMs int64  // of the minute, hour, day or month, UTC
	Kind    string // KindName
}

// KindFlow is what moved on all accounts of a kind in a width of log time: a past trial balance is summed from some hundred of
// them, however many accounts there are and however far back it lies.
type KindFlow struct {
	KindFlowKey
	Turnover
}

// Columns lists the columns.
func (r *KindFlow) Columns(c []Column) []Column {
	return r.columns(append(c,
		Column{"width", &r.Width},
		Column{"start_ms", &r.StartMs},
		Column{"kind", &r.Kind},
	))
}

// KindFlows is the journal, summed by kind of account and each width of log time.
var KindFlows = &Definition[KindFlowKey, KindFlow, *KindFlow]{
	Name: "kind_flows", Version: 1, KeyColumns: 3,
	Row: func(k KindFlowKey) KindFlow { return KindFlow{KindFlowKey: k} },
	Fold: func(e *Entry, row func(KindFlowKey) *KindFlow) error {
		since := SinceOf(e.AtMs)
		keys := [...]KindFlowKey{
			{Width: widthMinute, StartMs: since.MinuteMs}, {Width: widthHour, StartMs: since.HourMs},
			{Width: widthDay, StartMs: since.DayMs}, {Width: widthMonth, StartMs: since.MonthMs},
		}
		for _, fact := range e.Facts() {
			for _, p := range fact.Postings {
				for _, key := range keys {
					key.Kind = KindName(p.Kind)
					if err := row(key).post(p.AmountNano); err != nil {
						return err
					}
				}
			}
		}
		return nil
	},
}

// Since says when the month, day, hour and minute of a moment began. What was posted before the moment is what moved in the months
// before MonthMs, the days from there to DayMs, the hours from there to HourMs and the minutes from there to MinuteMs, and the
// postings from there on.
type Since struct{ MonthMs, DayMs, HourMs, MinuteMs int64 }

// SinceOf takes Unix milliseconds.
func SinceOf(atMs int64) Since {
	return Since{domain.MonthStart(atMs), atMs - atMs%DayMs, hourOf(atMs), atMs - atMs%MinuteMs}
}

// Until turns the moment of a past question, which is included, into the first that is not. Of math.MaxInt64, now, it is the same
// and all of it began then, so that the months before it are all.
func Until(atMs int64) (beforeMs int64, since Since) {
	if atMs == math.MaxInt64 {
		return atMs, Since{atMs, atMs, atMs, atMs}
	}
	return atMs + 1, SinceOf(atMs + 1)
}
