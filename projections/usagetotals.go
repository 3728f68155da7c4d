package projections

import (
	"math"
	"slices"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// UsageTotalKey names a sum of usage: over a time, of what has the ids that are told apart. An id that is not told apart is
// zero; so is a provider that is, where the job was never assigned.
type UsageTotalKey struct {
	Width    string // of the time: "minute", "hour", "day", "all"
	Told     string // what is told apart: "", "model", "provider", "client", "model provider", "model client"
	StartMs  int64  // of the minute, hour or day of log time; 0 of "all"
	Model    domain.ModelID
	Provider domain.ProviderID
	Client   domain.ClientID
}

// UsageTotal is Usage, summed beforehand, so that a year of a network or of one busy client is read in some hundred rows.
type UsageTotal struct {
	UsageTotalKey
	UsageSums
}

// Columns lists the columns.
func (r *UsageTotal) Columns(c []Column) []Column {
	c = append(c,
		Column{"width", &r.Width},
		Column{"told", &r.Told},
		Column{"start_ms", &r.StartMs},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"client", (*[32]byte)(&r.Client)})
	return r.columns(c)
}

// MinuteMs and DayMs are widths of log time, as HourMs is.
const (
	MinuteMs = 60_000
	DayMs    = 24 * HourMs // of Unix time, which has no leap seconds
)

// Widths that usage and money are summed over.
const (
	widthMinute = "minute"
	widthHour   = "hour"
	widthDay    = "day"
	widthMonth  = "month"
	widthAll    = "all"
)

// told says which ids are told apart.
type told struct{ model, provider, client bool }

func (t told) String() string {
	switch t {
	case told{model: true}:
		return "model"
	case told{provider: true}:
		return "provider"
	case told{client: true}:
		return "client"
	case told{model: true, provider: true}:
		return "model provider"
	case told{model: true, client: true}:
		return "model client"
	default:
		return ""
	}
}

// summed are the sums that are kept. A job that is closed is counted in each, so there are as few as pages need.
var summed = []struct {
	width string
	ms    int64
	told  []told
}{
	{widthMinute, MinuteMs, []told{{}}},
	{widthHour, HourMs, []told{{}, {model: true}, {provider: true}, {client: true}}},
	{widthDay, DayMs, []told{{}, {model: true}, {provider: true}, {client: true}, {model: true, provider: true}, {model: true, client: true}}},
	{widthAll, math.MaxInt64, []told{{}, {model: true}, {provider: true}, {client: true}, {model: true, provider: true}, {model: true, client: true}}},
}

// UsageSummed is usage by time and by what pages tell apart.
var UsageSummed = &Definition[UsageTotalKey, UsageTotal, *UsageTotal]{
	Name: "usage_totals", Version: 1, KeyColumns: 6,
	Row: func(k UsageTotalKey) UsageTotal { return UsageTotal{UsageTotalKey: k} },
	Fold: func(e *Entry, row func(UsageTotalKey) *UsageTotal) error {
		for _, fact := range e.Facts() {
			closed, state := closedOf(fact)
			if closed == nil {
				continue
			}
			for _, s := range summed {
				for _, t := range s.told {
					if err := row(t.key(s.width, e.AtMs-e.AtMs%s.ms, closed)).count(closed, state); err != nil {
						return err
					}
				}
			}
		}
		return nil
	},
}

func (t told) key(width string, startMs int64, closed *v1.JobClosed) UsageTotalKey {
	key := UsageTotalKey{Width: width, Told: t.String(), StartMs: startMs}
	if width == widthAll {
		key.StartMs = 0
	}
	if t.model {
		key.Model = id[domain.ModelID](closed.Model)
	}
	if t.provider {
		key.Provider = id[domain.ProviderID](closed.Provider)
	}
	if t.client {
		key.Client = id[domain.ClientID](closed.Client)
	}
	return key
}

// UsageSource says where an answer about usage is read.
type UsageSource struct {
	// Width and Told name the sums; both are "" where there are none for the question, and usage itself is read.
	Width, Told string
}

// Source picks the fewest rows that a question about usage can be answered from. Sums of days answer only for whole days.
func (f UsageFilter) Source(by UsageBy) UsageSource {
	t := told{
		model:    by.Model || f.Model != (domain.ModelID{}),
		provider: by.Provider || f.Provider != (domain.ProviderID{}),
		client:   by.Client || f.Client != (domain.ClientID{}),
	}
	width := widthHour
	switch {
	case by.Hour:
	case !by.Day && f.FromMs == 0 && f.ToMs == 0:
		width = widthAll
	case f.FromMs%DayMs == 0 && f.ToMs%DayMs == 0:
		width = widthDay
	}
	for _, s := range summed {
		if s.width == width && slices.Contains(s.told, t) {
			return UsageSource{Width: width, Told: t.String()}
		}
	}
	return UsageSource{}
}
