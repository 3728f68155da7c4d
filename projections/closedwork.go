package projections

import (
	"errors"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Closings counts jobs by how they ended.
type Closings struct {
	Completed, Failed, Cancelled, Expired int64
}

func (c *Closings) count(state string) {
	switch state {
	case JobCompleted:
		c.Completed++
	case JobFailed:
		c.Failed++
	case JobCancelled:
		c.Cancelled++
	case JobExpired:
		c.Expired++
	}
}

// ClosedWork sums jobs that were closed, whatever their end. Tokens are as metered; AdjustedTokens, after multipliers and coefficient,
// are what charges are made of. What a dispute gave back later is not taken off here; jobs and journal have that.
type ClosedWork struct {
	Closings
	Tokens         Tokens
	AdjustedTokens int64
	Charge         domain.Nano
}

func (w *ClosedWork) columns(c []Column) []Column {
	return append(c,
		Column{"jobs_completed", &w.Completed},
		Column{"jobs_failed", &w.Failed},
		Column{"jobs_cancelled", &w.Cancelled},
		Column{"jobs_expired", &w.Expired},
		Column{"prompt_tokens", &w.Tokens.Prompt},
		Column{"cached_tokens", &w.Tokens.Cached},
		Column{"completion_tokens", &w.Tokens.Completion},
		Column{"reasoning_tokens", &w.Tokens.Reasoning},
		Column{"adjusted_tokens", &w.AdjustedTokens},
		Column{"charge_nano", (*int64)(&w.Charge)},
	)
}

// count takes in a job that was closed.
func (w *ClosedWork) count(closed *v1.JobClosed, state string) error {
	w.Closings.count(state)
	return errors.Join(w.Tokens.add(tokensOf(closed.Usage)), add(&w.AdjustedTokens, closed.AdjustedTokens), add(&w.Charge, closed.ChargeNano))
}

// add takes in other work. It is for sums of what was counted, each of which is in range.
func (w *ClosedWork) add(other ClosedWork) {
	w.Completed, w.Failed, w.Cancelled, w.Expired = w.Completed+other.Completed, w.Failed+other.Failed, w.Cancelled+other.Cancelled, w.Expired+other.Expired
	w.Tokens = Tokens{
		w.Tokens.Prompt + other.Tokens.Prompt, w.Tokens.Cached + other.Tokens.Cached,
		w.Tokens.Completion + other.Tokens.Completion, w.Tokens.Reasoning + other.Tokens.Reasoning,
	}
	w.AdjustedTokens += other.AdjustedTokens
	w.Charge += other.Charge
}

// add sums tokens, and tells of an overflow.
func (t *Tokens) add(other Tokens) error {
	return errors.Join(
		add(&t.Prompt, other.Prompt), add(&t.Cached, other.Cached),
		add(&t.Completion, other.Completion), add(&t.Reasoning, other.Reasoning),
	)
}

// UsageSums is work, and who got what was charged for it.
type UsageSums struct {
	ClosedWork
	WorkerPart, Commission domain.Nano
}

func (r *UsageSums) columns(c []Column) []Column {
	return append(r.ClosedWork.columns(c),
		Column{"worker_nano", (*int64)(&r.WorkerPart)},
		Column{"commission_nano", (*int64)(&r.Commission)},
	)
}

func (r *UsageSums) count(closed *v1.JobClosed, state string) error {
	return errors.Join(r.ClosedWork.count(closed, state), add(&r.WorkerPart, closed.WorkerNano), add(&r.Commission, closed.CommissionNano))
}

// Add takes in other sums.
func (r *UsageSums) Add(other UsageSums) {
	r.add(other.ClosedWork)
	r.WorkerPart, r.Commission = r.WorkerPart+other.WorkerPart, r.Commission+other.Commission
}
