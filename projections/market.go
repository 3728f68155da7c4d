package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"github.com/filature/filature/domain"
)

// OfferChangeKey names one word of a worker on a model, by its place in control.
type OfferChangeKey struct {
	Model  domain.ModelID
	Worker domain.WorkerID
	Offset domain.Offset
	Fact   int64 // from 1
}

// OfferChange is an offer that was set, or withdrawn: it is in force until the worker's next one for the model.
type OfferChange struct {
	OfferChangeKey
	Coefficient    uint32 // 1000 is 1.0
	Withdrawn      bool
	FinishWithinMs int64 // after the assignment; zero: no promise
	AtMs           int64
}

// Columns lists the columns.
func (r *OfferChange) Columns(c []Column) []Column {
	return append(c,
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"worker", (*[32]byte)(&r.Worker)},
		Column{"ledger_offset", (*int64)(&r.Offset)},
		Column{"fact", &r.Fact},
		Column{"coefficient", &r.Coefficient},
		Column{"withdrawn", &r.Withdrawn},
		Column{"finish_within_ms", &r.FinishWithinMs},
		Column{"at_ms", &r.AtMs},
	)
}

// OfferHistory is every word of every worker on every model.
var OfferHistory = &Definition[OfferChangeKey, OfferChange, *OfferChange]{
	Name: "offer_history", Version: 1, KeyColumns: 4, WriteOnce: true,
	Row: func(k OfferChangeKey) OfferChange { return OfferChange{OfferChangeKey: k} },
	Fold: func(e *Entry, row func(OfferChangeKey) *OfferChange) error {
		for i, fact := range e.Facts() {
			if o := fact.GetOfferSet(); o != nil {
				r := row(OfferChangeKey{id[domain.ModelID](o.Model), id[domain.WorkerID](o.Worker), e.Offset, int64(i + 1)})
				r.Coefficient, r.Withdrawn, r.FinishWithinMs, r.AtMs = o.Coefficient, o.Withdrawn, o.FinishWithinMs, e.AtMs
			}
		}
		return nil
	},
}

// WorkKey names what work is counted by.
type WorkKey struct {
	HourMs int64 // start of the hour of log time in which the job was closed
	Model  domain.ModelID
	Worker domain.WorkerID
}

// Work is what one worker did for one model in one hour. A completed job cleared at its worker's coefficient; other
// ends say nothing of a price.
type Work struct {
	WorkKey
	Cleared   int64 // jobs completed
	NotDone   int64 // failed, cancelled, expired
	Tokens    int64 // prompt and completion, of the cleared jobs as all below
	BaseUnits int64 // tokens after the multipliers of their classes, before the coefficient
	Adjusted  int64 // BaseUnits × coefficient / 1000, as charges are made of
	Charge    domain.Nano
	WorkerPay domain.Nano
}

// Columns lists the columns.
func (r *Work) Columns(c []Column) []Column {
	return append(c,
		Column{"hour_ms", &r.HourMs},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"worker", (*[32]byte)(&r.Worker)},
		Column{"cleared", &r.Cleared},
		Column{"not_done", &r.NotDone},
		Column{"tokens", &r.Tokens},
		Column{"base_units", &r.BaseUnits},
		Column{"adjusted_tokens", &r.Adjusted},
		Column{"charge_nano", (*int64)(&r.Charge)},
		Column{"worker_nano", (*int64)(&r.WorkerPay)},
	)
}

// WorkByHour is what every worker did, by hour and model.
var WorkByHour = &Definition[WorkKey, Work, *Work]{
	Name: "work", Version: 1, KeyColumns: 3,
	Row: func(k WorkKey) Work { return Work{WorkKey: k} },
	Fold: func(e *Entry, row func(WorkKey) *Work) error {
		for _, fact := range e.Facts() {
			closed, state := closedOf(fact)
			if closed == nil || len(closed.Worker) == 0 {
				continue
			}
			w := row(WorkKey{hourOf(e.AtMs), id[domain.ModelID](closed.Model), id[domain.WorkerID](closed.Worker)})
			if state != JobCompleted {
				w.NotDone++
				continue
			}
			w.Cleared++
			base, err := baseUnits(closed.AdjustedTokens, closed.Coefficient)
			if err := errors.Join(
				err, add(&w.Tokens, closed.Usage.PromptTokens), add(&w.Tokens, closed.Usage.CompletionTokens),
				add(&w.BaseUnits, base), add(&w.Adjusted, closed.AdjustedTokens),
				add(&w.Charge, closed.ChargeNano), add(&w.WorkerPay, closed.WorkerNano),
			); err != nil {
				return err
			}
		}
		return nil
	},
}

// baseUnits takes a coefficient out of adjusted tokens, rounded down. A free job (coefficient 0) has none.
func baseUnits(adjusted int64, coefficient uint32) (int64, error) {
	return ratio(adjusted, 1000, int64(coefficient))
}

// MarketFilter picks hours that begin at or after FromMs and before ToMs, and one model, or all.
type MarketFilter struct {
	FromMs, ToMs int64
	Model        domain.ModelID
}

// MarketHour is the market for one model in one hour of log time: what was asked for, at the end of the hour, and at
// what jobs cleared in it.
type MarketHour struct {
	HourMs int64          `json:"hour_ms"`
	Model  domain.ModelID `json:"model"`
	// Active is how many workers offered the model, and Busy how many completed a job.
	Active int64 `json:"active"`
	Busy   int64 `json:"busy"`
	// Coefficients that were offered, by quantile: a quarter of the active workers asked for LowerQuartile or less.
	Lowest        uint32 `json:"lowest"`
	LowerQuartile uint32 `json:"lower_quartile"`
	Median        uint32 `json:"median"`
	UpperQuartile uint32 `json:"upper_quartile"`
	Highest       uint32 `json:"highest"`
	Cleared       int64  `json:"cleared"` // jobs
	Tokens        int64  `json:"tokens"`
	// ClearedCoefficient is the coefficient at which jobs cleared, weighted by their base units; rounded down.
	ClearedCoefficient int64 `json:"cleared_coefficient"`
	// PerMillion is what clients paid for a million tokens, prompt and completion, weighted by tokens; rounded down.
	PerMillion domain.Nano `json:"per_million_nano"`
	Charge     domain.Nano `json:"charge_nano"`
}

// Market returns the market hour by hour, then by model: the hours in which a job was closed or an offer changed, and
// at most MaxRows of them. The same log gives the same figures on every machine.
func Market(ctx context.Context, r Reader, which MarketFilter) ([]MarketHour, error) {
	work, err := r.Cleared(ctx, which)
	if err != nil {
		return nil, fmt.Errorf("market: %w", err)
	}
	offers, err := r.OffersUntil(ctx, which)
	if err != nil {
		return nil, fmt.Errorf("market: %w", err)
	}
	out, err := r.OutOfService(ctx)
	if err != nil {
		return nil, fmt.Errorf("market: %w", err)
	}
	return cleared(work, offers, out, which.FromMs)
}

type marketKey struct {
	hourMs int64
	model  domain.ModelID
}

func compareMarketKeys(a, b marketKey) int {
	return cmp.Or(cmp.Compare(a.hourMs, b.hourMs), slices.Compare(a.model[:], b.model[:]))
}

// cleared makes market hours of work and of offers, which are in the order in which they were made; out is who is out of
// service, and since when.
func cleared(work []Cleared, offers []OfferChange, out map[domain.WorkerID]int64, fromMs int64) ([]MarketHour, error) {
	hours := map[marketKey]Cleared{}
	for _, w := range work {
		hours[marketKey{w.HourMs, w.Model}] = w
	}
	for _, o := range offers {
		key := marketKey{hourOf(o.AtMs), o.Model}
		if _, there := hours[key]; !there && key.hourMs >= fromMs {
			hours[key] = Cleared{}
		}
	}
	keys := slices.SortedFunc(maps.Keys(hours), compareMarketKeys)
	if len(keys) > MaxRows {
		return nil, fmt.Errorf("market of %d hours and models, %d at most: %w", len(keys), MaxRows, ErrTooMany)
	}
	inForce := map[domain.ModelID]map[domain.WorkerID]uint32{}
	result := make([]MarketHour, 0, len(keys))
	next := 0
	for _, key := range keys {
		endMs := key.hourMs + HourMs
		for ; next < len(offers) && offers[next].AtMs < endMs; next++ {
			offers[next].enter(inForce)
		}
		m := MarketHour{HourMs: key.hourMs, Model: key.model}
		m.ask(inForce[key.model], out, endMs)
		if err := m.settle(hours[key]); err != nil {
			return nil, err
		}
		result = append(result, m)
	}
	return result, nil
}

// enter brings an offer into force.
func (r *OfferChange) enter(inForce map[domain.ModelID]map[domain.WorkerID]uint32) {
	of := inForce[r.Model]
	if of == nil {
		of = map[domain.WorkerID]uint32{}
		inForce[r.Model] = of
	}
	if r.Withdrawn {
		delete(of, r.Worker)
		return
	}
	of[r.Worker] = r.Coefficient
}

// ask looks at the offers in force at the end of the hour; out is since when workers are out of service.
func (m *MarketHour) ask(offers map[domain.WorkerID]uint32, out map[domain.WorkerID]int64, endMs int64) {
	asked := make([]uint32, 0, len(offers))
	for worker, coefficient := range offers {
		if since, gone := out[worker]; !gone || since >= endMs {
			asked = append(asked, coefficient)
		}
	}
	if m.Active = int64(len(asked)); m.Active == 0 {
		return
	}
	slices.Sort(asked)
	m.Lowest, m.Highest = asked[0], asked[len(asked)-1]
	m.LowerQuartile, m.Median, m.UpperQuartile = quantile(asked, 25), quantile(asked, 50), quantile(asked, 75)
}

// quantile is the least value such that a percentage of all are at most as large: SQL's percentile_disc.
func quantile(sorted []uint32, percent int) uint32 {
	return sorted[(len(sorted)*percent+99)/100-1]
}

func (m *MarketHour) settle(work Cleared) error {
	m.Busy, m.Cleared, m.Tokens, m.Charge = work.Busy, work.Cleared, work.Tokens, work.Charge
	var err error
	if m.ClearedCoefficient, err = ratio(work.Adjusted, 1000, work.BaseUnits); err != nil {
		return err
	}
	perMillion, err := ratio(int64(m.Charge), 1_000_000, m.Tokens)
	m.PerMillion = domain.Nano(perMillion)
	return err
}

// ratio is n × scale / den, rounded down; of nothing it is zero.
func ratio(n, scale, den int64) (int64, error) {
	if den == 0 {
		return 0, nil
	}
	hi, lo := bits.Mul64(uint64(n), uint64(scale))
	if hi >= uint64(den) {
		return 0, domain.ErrAmountOverflow
	}
	quotient, _ := bits.Div64(hi, lo, uint64(den))
	if int64(quotient) < 0 {
		return 0, domain.ErrAmountOverflow
	}
	return int64(quotient), nil
}
