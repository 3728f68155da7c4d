package projections

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// What became of held pay.
const (
	HoldWaiting  = "waiting"
	HoldReleased = "released" // the worker was attested in time
	HoldRefused  = "refused"  // the client got its charge back
	HoldDecided  = "decided"  // an arbiter said what became of it; the job's dispute columns have that
)

// Hold is pay that was held because usage was metered outside of a valid attestation.
type Hold struct {
	Job      domain.JobID
	Shard    domain.Shard
	Client   domain.ClientID
	Model    domain.ModelID
	Worker   domain.WorkerID
	Provider domain.ProviderID
	Cause    string // CauseName
	State    string
	// Amount is the worker's part that is held, or was at the end; Charge is all that the client paid for it.
	Amount, Charge domain.Nano
	UntilMs        int64
	// Control is the entry of control that last said something of the worker's attestation; 0: none did.
	Control domain.Offset
	// BucketMs is the end of the bucket in which released pay matures; zero where it was disputed, too.
	BucketMs    int64
	Refund      domain.Nano // that a refusal gave back to the client
	Held, Ended Moment
}

// Columns lists the columns.
func (r *Hold) Columns(c []Column) []Column {
	return append(c,
		Column{"job", (*[32]byte)(&r.Job)},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"client", (*[32]byte)(&r.Client)},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"worker", (*[32]byte)(&r.Worker)},
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"cause", &r.Cause},
		Column{"state", &r.State},
		Column{"amount_nano", (*int64)(&r.Amount)},
		Column{"charge_nano", (*int64)(&r.Charge)},
		Column{"until_ms", &r.UntilMs},
		Column{"control_offset", (*int64)(&r.Control)},
		Column{"bucket_ms", &r.BucketMs},
		Column{"refund_nano", (*int64)(&r.Refund)},
		Column{"held_at_ms", &r.Held.AtMs}, Column{"held_offset", (*int64)(&r.Held.Offset)},
		Column{"ended_at_ms", &r.Ended.AtMs}, Column{"ended_offset", (*int64)(&r.Ended.Offset)},
	)
}

// Holds is the pay of every job that was ever held for its worker's attestation.
var Holds = &Definition[domain.JobID, Hold, *Hold]{
	Name: "holds", Version: 1, KeyColumns: 1,
	Row:  func(k domain.JobID) Hold { return Hold{Job: k} },
	Fold: foldHolds,
}

func foldHolds(e *Entry, row func(domain.JobID) *Hold) error {
	for _, fact := range e.Facts() {
		switch body := fact.Body.(type) {
		case *v1.Fact_PayReleased:
			r := row(jobOf(fact))
			r.State, r.BucketMs, r.Ended = HoldReleased, body.PayReleased.BucketMs, e.moment()
		case *v1.Fact_HoldExtended:
			row(jobOf(fact)).UntilMs = body.HoldExtended.UntilMs
		case *v1.Fact_PayRefused:
			r := row(jobOf(fact))
			r.State, r.Refund, r.Ended = HoldRefused, domain.Nano(body.PayRefused.RefundNano), e.moment()
		case *v1.Fact_DisputeResolved:
			row(jobOf(fact)).resolve(e, body.DisputeResolved)
		default:
			if closed, _ := closedOf(fact); closed != nil && closed.Hold != nil {
				row(jobOf(fact)).begin(e, closed)
			}
		}
	}
	return nil
}

func (r *Hold) begin(e *Entry, closed *v1.JobClosed) {
	r.Shard, r.Client, r.Model = e.Shard, id[domain.ClientID](closed.Client), id[domain.ModelID](closed.Model)
	r.Worker, r.Provider = id[domain.WorkerID](closed.Worker), id[domain.ProviderID](closed.Provider)
	r.Cause, r.State = causeNames[closed.Hold.Cause], HoldWaiting
	r.Amount, r.Charge = domain.Nano(closed.WorkerNano), domain.Nano(closed.ChargeNano)
	r.UntilMs, r.Control, r.Held = closed.Hold.UntilMs, domain.Offset(closed.Hold.ControlOffset), e.moment()
}

// resolve is for a dispute about held pay, or an arbiter's word on the hold itself. Most disputes are about neither.
func (r *Hold) resolve(e *Entry, fact *v1.DisputeResolved) {
	switch {
	case r.State != HoldWaiting:
	case fact.HeldNano > 0:
		r.Amount = domain.Nano(fact.HeldNano)
		r.Charge -= domain.Nano(fact.RefundNano)
	default:
		r.State, r.Ended = HoldDecided, e.moment()
	}
}

// HoldExtensionKey names a longer time for held pay by its place in the job's shard.
type HoldExtensionKey struct {
	Job    domain.JobID
	Offset domain.Offset
}

// HoldExtension is more time for held pay, as its worker had no chance yet to show a result.
type HoldExtension struct {
	HoldExtensionKey
	Shard     domain.Shard
	UntilMs   int64
	AskedAtMs int64 // when the verifier asked the worker; zero: it had not
	AtMs      int64
}

// Columns lists the columns.
func (r *HoldExtension) Columns(c []Column) []Column {
	return append(c,
		Column{"job", (*[32]byte)(&r.Job)},
		Column{"ledger_offset", (*int64)(&r.Offset)},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"until_ms", &r.UntilMs},
		Column{"asked_at_ms", &r.AskedAtMs},
		Column{"at_ms", &r.AtMs},
	)
}

// HoldExtensions is all the time that was added to holds. A hold is extended once in an entry at most.
var HoldExtensions = &Definition[HoldExtensionKey, HoldExtension, *HoldExtension]{
	Name: "hold_extensions", Version: 1, KeyColumns: 2, WriteOnce: true,
	Row: func(k HoldExtensionKey) HoldExtension { return HoldExtension{HoldExtensionKey: k} },
	Fold: func(e *Entry, row func(HoldExtensionKey) *HoldExtension) error {
		for _, fact := range e.Facts() {
			if extended := fact.GetHoldExtended(); extended != nil {
				r := row(HoldExtensionKey{jobOf(fact), e.Offset})
				r.Shard, r.UntilMs, r.AskedAtMs, r.AtMs = e.Shard, extended.UntilMs, extended.AskedAtMs, e.AtMs
			}
		}
		return nil
	},
}

// HoldbackKey names what was held back of one bucket of a provider's earnings in one shard.
type HoldbackKey struct {
	Provider domain.ProviderID
	Shard    domain.Shard
	BucketMs int64 // the end of the bucket
}

// Holdback is a part of mature earnings that is paid out later, or taken.
type Holdback struct {
	HoldbackKey
	Amount    domain.Nano
	UntilMs   int64
	Released  domain.Nano // to provider/payable
	Forfeited domain.Nano // to network/slashed
	// Cause of the last forfeit: "slashed", "revoked".
	Cause                          string
	Held, ReleasedAt, LastForfeits Moment
}

// Columns lists the columns.
func (r *Holdback) Columns(c []Column) []Column {
	return append(c,
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"bucket_ms", &r.BucketMs},
		Column{"amount_nano", (*int64)(&r.Amount)},
		Column{"until_ms", &r.UntilMs},
		Column{"released_nano", (*int64)(&r.Released)},
		Column{"forfeited_nano", (*int64)(&r.Forfeited)},
		Column{"cause", &r.Cause},
		Column{"held_at_ms", &r.Held.AtMs}, Column{"held_offset", (*int64)(&r.Held.Offset)},
		Column{"released_at_ms", &r.ReleasedAt.AtMs}, Column{"released_offset", (*int64)(&r.ReleasedAt.Offset)},
		Column{"forfeited_at_ms", &r.LastForfeits.AtMs}, Column{"forfeited_offset", (*int64)(&r.LastForfeits.Offset)},
	)
}

// Holdbacks is all that was ever held back.
var Holdbacks = &Definition[HoldbackKey, Holdback, *Holdback]{
	Name: "holdbacks", Version: 1, KeyColumns: 3,
	Row: func(k HoldbackKey) Holdback { return Holdback{HoldbackKey: k} },
	Fold: func(e *Entry, row func(HoldbackKey) *Holdback) error {
		for _, fact := range e.Facts() {
			switch body := fact.Body.(type) {
			case *v1.Fact_EarningsMatured:
				if m := body.EarningsMatured; m.HeldNano > 0 {
					r := row(HoldbackKey{id[domain.ProviderID](m.Provider), e.Shard, m.BucketMs})
					r.Amount, r.UntilMs, r.Held = domain.Nano(m.HeldNano), m.HeldUntilMs, e.moment()
				}
			case *v1.Fact_HoldbackReleased:
				m := body.HoldbackReleased
				r := row(HoldbackKey{id[domain.ProviderID](m.Provider), e.Shard, m.BucketMs})
				r.Released, r.ReleasedAt = domain.Nano(m.AmountNano), e.moment()
			case *v1.Fact_HoldbackForfeited:
				m := body.HoldbackForfeited
				r := row(HoldbackKey{id[domain.ProviderID](m.Provider), e.Shard, m.BucketMs})
				r.Cause, r.LastForfeits = forfeitNames[m.Cause], e.moment()
				if err := add(&r.Forfeited, m.AmountNano); err != nil {
					return err
				}
			}
		}
		return nil
	},
}
