package projections

import (
	"errors"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// UsageKey names what usage is counted by.
type UsageKey struct {
	HourMs   int64 // start of the hour of log time in which the job was closed
	Model    domain.ModelID
	Provider domain.ProviderID // zero where the job was never assigned
	Client   domain.ClientID
}

// Usage is what was used and charged in one hour: all closed jobs, whatever their end. Tokens are as
// metered; Adjusted, after multipliers and coefficient, are what charges are made of. What a dispute gave
// back later is not taken off here; jobs and journal have that.
type Usage struct {
	UsageKey
	UsageSums
}

// UsageSums is what was done and charged, summed.
type UsageSums struct {
	Completed, Failed, Cancelled, Expired int64
	Tokens                                Tokens
	AdjustedTokens                        int64
	Charge, WorkerPart, Commission        domain.Nano
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

func (r *UsageSums) columns(c []Column) []Column {
	return append(c,
		Column{"jobs_completed", &r.Completed},
		Column{"jobs_failed", &r.Failed},
		Column{"jobs_cancelled", &r.Cancelled},
		Column{"jobs_expired", &r.Expired},
		Column{"prompt_tokens", &r.Tokens.Prompt},
		Column{"cached_tokens", &r.Tokens.Cached},
		Column{"completion_tokens", &r.Tokens.Completion},
		Column{"reasoning_tokens", &r.Tokens.Reasoning},
		Column{"adjusted_tokens", &r.AdjustedTokens},
		Column{"charge_nano", (*int64)(&r.Charge)},
		Column{"worker_nano", (*int64)(&r.WorkerPart)},
		Column{"commission_nano", (*int64)(&r.Commission)},
	)
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

// Add takes in other sums.
func (r *UsageSums) Add(other UsageSums) {
	r.Completed, r.Failed, r.Cancelled, r.Expired = r.Completed+other.Completed, r.Failed+other.Failed, r.Cancelled+other.Cancelled, r.Expired+other.Expired
	r.Tokens = Tokens{
		r.Tokens.Prompt + other.Tokens.Prompt, r.Tokens.Cached + other.Tokens.Cached,
		r.Tokens.Completion + other.Tokens.Completion, r.Tokens.Reasoning + other.Tokens.Reasoning,
	}
	r.AdjustedTokens += other.AdjustedTokens
	r.Charge, r.WorkerPart, r.Commission = r.Charge+other.Charge, r.WorkerPart+other.WorkerPart, r.Commission+other.Commission
}

// count takes in a job that was closed.
func (r *UsageSums) count(closed *v1.JobClosed, state string) error {
	switch state {
	case JobCompleted:
		r.Completed++
	case JobFailed:
		r.Failed++
	case JobCancelled:
		r.Cancelled++
	case JobExpired:
		r.Expired++
	}
	tokens := tokensOf(closed.Usage)
	return errors.Join(
		add(&r.Tokens.Prompt, tokens.Prompt), add(&r.Tokens.Cached, tokens.Cached),
		add(&r.Tokens.Completion, tokens.Completion), add(&r.Tokens.Reasoning, tokens.Reasoning),
		add(&r.AdjustedTokens, closed.AdjustedTokens),
		add(&r.Charge, closed.ChargeNano), add(&r.WorkerPart, closed.WorkerNano), add(&r.Commission, closed.CommissionNano),
	)
}
