package projections

import "github.com/filature/filature/domain"

// UsageKey names what usage is counted by.
type UsageKey struct {
	HourMs   int64 // start of the hour of log time in which the job was closed
	Model    domain.ModelID
	Provider domain.ProviderID // zero where the job was never assigned
	Client   domain.ClientID
}

// Usage is what was used and charged in one hour.
type Usage struct {
	UsageKey
	UsageSums
}

// Columns lists the columns.
func (r *Usage) Columns(c []Column) []Column {
	c = append(c,
		Column{"hour_ms", &r.HourMs},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"client", (*[32]byte)(&r.Client)})
	return r.columns(c)
}

// UsageByHour is usage by hour, model, provider and client.
var UsageByHour = &Definition[UsageKey, Usage, *Usage]{
	Name: "usage", Version: 1, KeyColumns: 4,
	Row: func(k UsageKey) Usage { return Usage{UsageKey: k} },
	Fold: func(e *Entry, row func(UsageKey) *Usage) error {
		for _, fact := range e.Facts() {
			closed, state := closedOf(fact)
			if closed == nil {
				continue
			}
			u := row(UsageKey{
				HourMs: hourOf(e.AtMs), Model: id[domain.ModelID](closed.Model),
				Provider: id[domain.ProviderID](closed.Provider), Client: id[domain.ClientID](closed.Client),
			})
			if err := u.count(closed, state); err != nil {
				return err
			}
		}
		return nil
	},
}
