package projections

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// States of a job. A job that is closed can still be disputed; Job.Dispute says that.
const (
	JobSubmitted = "submitted"
	JobAssigned  = "assigned"
	JobStarted   = "started"
	JobCompleted = "completed"
	JobFailed    = "failed"
	JobCancelled = "cancelled"
	JobExpired   = "expired"
)

// States of a dispute; "" where there was none.
const (
	DisputeOpen     = "open"
	DisputeResolved = "resolved"
)

// Moment is when something happened: the log time, and the ledger offset in the shard of the row. AtMs
// is zero where it has not happened.
type Moment struct {
	AtMs   int64
	Offset domain.Offset
}

func (e *Entry) moment() Moment { return Moment{e.AtMs, e.Offset} }

// Tokens counts tokens of the four classes. Cached are a part of Prompt, Reasoning a part of Completion.
type Tokens struct {
	Prompt     int64 `json:"prompt"`
	Cached     int64 `json:"cached"`
	Completion int64 `json:"completion"`
	Reasoning  int64 `json:"reasoning"`
}

// Job is one inference: what was asked for, what came of it, what it cost, and where the ledger says so.
type Job struct {
	Job      domain.JobID
	Shard    domain.Shard
	Account  domain.AccountID
	Client   domain.ClientID
	Number   uint64
	Model    domain.ModelID
	RateCard domain.RateCardID
	Worker   domain.WorkerID   // zero until assigned
	Provider domain.ProviderID // likewise
	State    string
	Dispute  string

	MaxPromptTokens, MaxCompletionTokens int64
	MaxCoefficient, Coefficient          uint32
	Reserved                             domain.Nano
	ExpiresAtMs                          int64

	Tokens         Tokens
	AdjustedTokens int64
	Charge         domain.Nano // WorkerPart + Commission
	WorkerPart     domain.Nano
	Commission     domain.Nano
	Unused         domain.Nano // of what was reserved
	Failure        string
	// DisputableUntilMs is also the bucket in which the worker's part matures.
	DisputableUntilMs int64

	DisputeReason    string
	Held             domain.Nano
	ResolveByMs      int64
	RefundPermille   uint32
	Refund           domain.Nano
	RefundFromWorker domain.Nano
	Released         domain.Nano // to provider/payable, when the dispute was resolved
	Slashed          domain.Nano

	Submitted, Assigned, Started, Metered, Closed, Disputed, Resolved Moment
}

// Columns lists the columns.
func (r *Job) Columns(c []Column) []Column {
	return append(c,
		Column{"job", (*[32]byte)(&r.Job)},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"account", (*[32]byte)(&r.Account)},
		Column{"client", (*[32]byte)(&r.Client)},
		Column{"number", &r.Number},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"rate_card", (*[32]byte)(&r.RateCard)},
		Column{"worker", (*[32]byte)(&r.Worker)},
		Column{"provider", (*[32]byte)(&r.Provider)},
		Column{"state", &r.State},
		Column{"dispute", &r.Dispute},
		Column{"max_prompt_tokens", &r.MaxPromptTokens},
		Column{"max_completion_tokens", &r.MaxCompletionTokens},
		Column{"max_coefficient", &r.MaxCoefficient},
		Column{"coefficient", &r.Coefficient},
		Column{"reserved_nano", (*int64)(&r.Reserved)},
		Column{"expires_at_ms", &r.ExpiresAtMs},
		Column{"prompt_tokens", &r.Tokens.Prompt},
		Column{"cached_tokens", &r.Tokens.Cached},
		Column{"completion_tokens", &r.Tokens.Completion},
		Column{"reasoning_tokens", &r.Tokens.Reasoning},
		Column{"adjusted_tokens", &r.AdjustedTokens},
		Column{"charge_nano", (*int64)(&r.Charge)},
		Column{"worker_nano", (*int64)(&r.WorkerPart)},
		Column{"commission_nano", (*int64)(&r.Commission)},
		Column{"unused_nano", (*int64)(&r.Unused)},
		Column{"failure", &r.Failure},
		Column{"disputable_until_ms", &r.DisputableUntilMs},
		Column{"dispute_reason", &r.DisputeReason},
		Column{"held_nano", (*int64)(&r.Held)},
		Column{"resolve_by_ms", &r.ResolveByMs},
		Column{"refund_permille", &r.RefundPermille},
		Column{"refund_nano", (*int64)(&r.Refund)},
		Column{"refund_from_worker_nano", (*int64)(&r.RefundFromWorker)},
		Column{"released_nano", (*int64)(&r.Released)},
		Column{"slashed_nano", (*int64)(&r.Slashed)},
		Column{"submitted_at_ms", &r.Submitted.AtMs}, Column{"submitted_offset", (*int64)(&r.Submitted.Offset)},
		Column{"assigned_at_ms", &r.Assigned.AtMs}, Column{"assigned_offset", (*int64)(&r.Assigned.Offset)},
		Column{"started_at_ms", &r.Started.AtMs}, Column{"started_offset", (*int64)(&r.Started.Offset)},
		Column{"metered_at_ms", &r.Metered.AtMs}, Column{"metered_offset", (*int64)(&r.Metered.Offset)},
		Column{"closed_at_ms", &r.Closed.AtMs}, Column{"closed_offset", (*int64)(&r.Closed.Offset)},
		Column{"disputed_at_ms", &r.Disputed.AtMs}, Column{"disputed_offset", (*int64)(&r.Disputed.Offset)},
		Column{"resolved_at_ms", &r.Resolved.AtMs}, Column{"resolved_offset", (*int64)(&r.Resolved.Offset)},
	)
}

// Jobs is every job that was accepted, and how it stands.
var Jobs = &Definition[domain.JobID, Job, *Job]{
	Name: "jobs", Version: 1, KeyColumns: 1,
	Row:  func(k domain.JobID) Job { return Job{Job: k} },
	Fold: foldJobs,
}

func foldJobs(e *Entry, row func(domain.JobID) *Job) error {
	for _, fact := range e.Facts() {
		switch body := fact.Body.(type) {
		case *v1.Fact_JobSubmitted:
			row(jobOf(fact)).submit(e, body.JobSubmitted)
		case *v1.Fact_JobAssigned:
			row(jobOf(fact)).assign(e, body.JobAssigned)
		case *v1.Fact_JobStarted:
			j := row(jobOf(fact))
			j.State, j.Started = JobStarted, e.moment()
		case *v1.Fact_JobMetered:
			j := row(jobOf(fact))
			j.Tokens, j.Metered = tokensOf(body.JobMetered.Usage), e.moment()
		case *v1.Fact_JobDisputed:
			row(jobOf(fact)).contest(e, body.JobDisputed)
		case *v1.Fact_DisputeResolved:
			row(jobOf(fact)).resolve(e, body.DisputeResolved)
		default:
			if closed, state := closedOf(fact); closed != nil {
				row(jobOf(fact)).end(e, closed, state)
			}
		}
	}
	return nil
}

func (r *Job) submit(e *Entry, fact *v1.JobSubmitted) {
	r.State, r.Submitted, r.Shard = JobSubmitted, e.moment(), e.Shard
	r.Account, r.Client = id[domain.AccountID](fact.Terms.Account), id[domain.ClientID](fact.Client)
	r.Number, r.Model, r.RateCard = fact.Terms.Number, id[domain.ModelID](fact.Terms.Model), id[domain.RateCardID](fact.RateCard)
	r.MaxPromptTokens, r.MaxCompletionTokens = fact.Terms.MaxPromptTokens, fact.Terms.MaxCompletionTokens
	r.MaxCoefficient = fact.Terms.MaxCoefficient
	r.Reserved, r.ExpiresAtMs = domain.Nano(fact.ReservedNano), fact.ExpiresAtMs
}

func (r *Job) assign(e *Entry, fact *v1.JobAssigned) {
	r.State, r.Assigned = JobAssigned, e.moment()
	r.Worker, r.Provider = id[domain.WorkerID](fact.Worker), id[domain.ProviderID](fact.Provider)
	r.Coefficient = fact.Coefficient
}

func (r *Job) end(e *Entry, fact *v1.JobClosed, state string) {
	r.State, r.Closed = state, e.moment()
	r.Tokens, r.AdjustedTokens = tokensOf(fact.Usage), fact.AdjustedTokens
	r.Charge, r.WorkerPart = domain.Nano(fact.ChargeNano), domain.Nano(fact.WorkerNano)
	r.Commission, r.Unused = domain.Nano(fact.CommissionNano), domain.Nano(fact.ReleasedNano)
	r.DisputableUntilMs, r.Failure = fact.DisputableUntilMs, failureNames[fact.Failure]
}

func (r *Job) contest(e *Entry, fact *v1.JobDisputed) {
	r.Dispute, r.Disputed = DisputeOpen, e.moment()
	r.DisputeReason, r.Held, r.ResolveByMs = disputeReasonNames[fact.Reason], domain.Nano(fact.HeldNano), fact.ResolveByMs
}

func (r *Job) resolve(e *Entry, fact *v1.DisputeResolved) {
	r.Dispute, r.Resolved = DisputeResolved, e.moment()
	r.RefundPermille, r.Refund = fact.RefundPermille, domain.Nano(fact.RefundNano)
	r.RefundFromWorker = domain.Nano(fact.FromWorkerNano)
	r.Released, r.Slashed = domain.Nano(fact.ReleasedNano), domain.Nano(fact.SlashedNano)
}

func tokensOf(u *v1.Usage) Tokens {
	return Tokens{
		Prompt: u.GetPromptTokens(), Cached: u.GetCachedTokens(),
		Completion: u.GetCompletionTokens(), Reasoning: u.GetReasoningTokens(),
	}
}
