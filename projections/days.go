package projections

import (
	"errors"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func dayOf(atMs int64) int64 { return atMs - atMs%DayMs }

// WorkerDayKey names a worker and a day by its provider first, because that is how statements are read.
type WorkerDayKey struct {
	Provider domain.ProviderID
	DayMs    int64 // start of the day of log time, UTC
	Worker   domain.WorkerID
}

// WorkerDay is what a worker did in one day, and what was taken back in that day, whenever the job was.
type WorkerDay struct {
	WorkerDayKey
	UsageSums
	// Refunded is what disputes, and held pay that was refused, took of the worker's part; Slashed what arbiters took.
	Refunded, Slashed domain.Nano
}

// Columns lists the columns.
func (r *WorkerDay) Columns(c []Column) []Column {
	c = append(c,
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"day_ms", &r.DayMs},
		Column{"worker", (*[32]byte)(&r.Worker)},
	)
	return append(r.columns(c),
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
				err = day(closed.Provider, closed.Worker).count(closed, state)
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
	ClosedWork
}

// Columns lists the columns.
func (r *ClientDay) Columns(c []Column) []Column {
	c = append(c,
		Column{"client", (*[32]byte)(&r.Client)},
		Column{"day_ms", &r.DayMs},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"rate_card", (*[32]byte)(&r.RateCard)},
	)
	return r.columns(c)
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
			if err := d.count(closed, state); err != nil {
				return err
			}
		}
		return nil
	},
}
