package projections

import (
	"errors"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func dayOf(atMs int64) int64 { return atMs - atMs%DayMs }

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

// add sums tokens, and tells of an overflow.
func (t *Tokens) add(other Tokens) error {
	return errors.Join(
		add(&t.Prompt, other.Prompt), add(&t.Cached, other.Cached),
		add(&t.Completion, other.Completion), add(&t.Reasoning, other.Reasoning),
	)
}

// WorkerDayKey names a worker and a day by its provider first, because that is how statements are read.
type WorkerDayKey struct {
	Provider domain.ProviderID
	DayMs    int64 // start of the day of log time, UTC
	Worker   domain.WorkerID
}

// WorkerDay is what a worker did in one day, and what was taken back in that day, whenever the job was.
type WorkerDay struct {
	WorkerDayKey
	Closings
	Tokens                         Tokens
	AdjustedTokens                 int64
	Charge, WorkerPart, Commission domain.Nano
	// Refunded is what disputes, and held pay that was refused, took of the worker's part; Slashed what arbiters took.
	Refunded, Slashed domain.Nano
}

// Columns lists the columns.
func (r *WorkerDay) Columns(c []Column) []Column {
	return append(c,
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"day_ms", &r.DayMs},
		Column{"worker", (*[32]byte)(&r.Worker)},
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
		Column{"refunded_nano", (*int64)(&r.Refunded)},
		Column{"slashed_nano", (*int64)(&r.Slashed)},
	)
}

// WorkerDays is what each worker did by day.
var WorkerDays = &Definition[WorkerDayKey, WorkerDay, *WorkerDay]{
	Name: "worker_days", Version: 1, KeyColumns: 3,
	Row: func(k WorkerDayKey) WorkerDay { return WorkerDay{WorkerDayKey: k} },
	Fold: func(e *Entry, row func(WorkerDayKey) *WorkerDay) error {
		day := func(provider, worker []byte) *WorkerDay {
			return row(WorkerDayKey{id[domain.ProviderID](provider), dayOf(e.AtMs), id[domain.WorkerID](worker)})
		}
		for _, fact := range e.Facts() {
			var err error
			switch body := fact.Body.(type) {
			case *v1.Fact_DisputeResolved:
				d := day(body.DisputeResolved.Provider, body.DisputeResolved.Worker)
				err = errors.Join(add(&d.Refunded, body.DisputeResolved.FromWorkerNano), add(&d.Slashed, body.DisputeResolved.SlashedNano))
			case *v1.Fact_PayRefused:
				err = add(&day(body.PayRefused.Provider, body.PayRefused.Worker).Refunded, body.PayRefused.FromWorkerNano)
			default:
				closed, state := closedOf(fact)
				if closed == nil || len(closed.Worker) == 0 {
					continue
				}
				d := day(closed.Provider, closed.Worker)
				d.count(state)
				err = errors.Join(
					d.Tokens.add(tokensOf(closed.Usage)), add(&d.AdjustedTokens, closed.AdjustedTokens),
					add(&d.Charge, closed.ChargeNano), add(&d.WorkerPart, closed.WorkerNano), add(&d.Commission, closed.CommissionNano),
				)
			}
			if err != nil {
				return err
			}
		}
		return nil
	},
}

// ClientDayKey names what an invoice has a line for.
type ClientDayKey struct {
	Client   domain.ClientID
	DayMs    int64 // start of the day of log time, UTC
	Model    domain.ModelID
	RateCard domain.RateCardID
}

// ClientDay is what a client used in one day of one model, at the prices of one rate card. What disputes gave back
// later is not taken off here: the journal has it.
type ClientDay struct {
	ClientDayKey
	Closings
	Tokens         Tokens
	AdjustedTokens int64
	Charge         domain.Nano
}

// Columns lists the columns.
func (r *ClientDay) Columns(c []Column) []Column {
	return append(c,
		Column{"client", (*[32]byte)(&r.Client)},
		Column{"day_ms", &r.DayMs},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"rate_card", (*[32]byte)(&r.RateCard)},
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
	)
}

// ClientDays is what each client used by day, model and rate card.
var ClientDays = &Definition[ClientDayKey, ClientDay, *ClientDay]{
	Name: "client_days", Version: 1, KeyColumns: 4,
	Row: func(k ClientDayKey) ClientDay { return ClientDay{ClientDayKey: k} },
	Fold: func(e *Entry, row func(ClientDayKey) *ClientDay) error {
		for _, fact := range e.Facts() {
			closed, state := closedOf(fact)
			if closed == nil {
				continue
			}
			d := row(ClientDayKey{
				id[domain.ClientID](closed.Client), dayOf(e.AtMs), id[domain.ModelID](closed.Model), id[domain.RateCardID](closed.RateCard),
			})
			d.count(state)
			if err := errors.Join(
				d.Tokens.add(tokensOf(closed.Usage)), add(&d.AdjustedTokens, closed.AdjustedTokens), add(&d.Charge, closed.ChargeNano),
			); err != nil {
				return err
			}
		}
		return nil
	},
}
