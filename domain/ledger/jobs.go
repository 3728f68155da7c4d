package ledger

import (
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// jobState is where a job stands. A job is forgotten when nothing can happen to it any more.
type jobState uint8

const (
	submitted jobState = iota
	assigned
	started
	charged  // closed; may be disputed until its bucket matures
	disputed // waits for an arbiter
)

func (s jobState) String() string {
	switch s {
	case submitted:
		return "submitted"
	case assigned:
		return "assigned"
	case started:
		return "started"
	case charged:
		return "charged"
	case disputed:
		return "disputed"
	default:
		return fmt.Sprintf("job state %d", uint8(s))
	}
}

// job is one inference from submission to the end of its dispute window.
type job struct {
	id      domain.JobID
	state   jobState
	account domain.AccountID
	client  domain.ClientID
	model   domain.ModelID
	card    domain.RateCardID
	timer   timer // expiry while open, the arbiter's deadline while disputed

	// The client's limits.
	maxPromptTokens, maxCompletionTokens int64
	maxCoefficient                       uint32

	reserved domain.Nano

	worker      domain.WorkerID
	provider    domain.ProviderID
	coefficient uint32
	usage       usage

	assignedAtMs, promisedMs int64

	// uncovered is why some of the usage was metered without a valid attestation, by the word of control at
	// uncoveredFor, and as of uncoveredAt.
	uncovered                 v1.UnattestedCause
	uncoveredFor, uncoveredAt domain.Offset
	hold                      *hold // of the pay; nil where it is not held

	chargeNano, workerNano domain.Nano
	disputableMs           int64 // until then its client may dispute it
	bucketMs               int64
	inBucket               int // its place among the bucket's jobs while it is charged
}

// usage is a running count of tokens, as v1.Usage.
type usage struct{ prompt, cached, completion, reasoning int64 }

func usageOf(u *v1.Usage) usage {
	return usage{prompt: u.PromptTokens, cached: u.CachedTokens, completion: u.CompletionTokens, reasoning: u.ReasoningTokens}
}

func (s *State) decideSubmitJob(who principal, claim *v1.SubmitJob) *v1.Fact {
	account, id := domain.AccountID(claim.Account), domain.JobIDOf(domain.AccountID(claim.Account), claim.Number)
	acc, refusal := s.accountOf(who, account)
	if refusal != nil {
		return forJob(refusal, id[:])
	}
	return forJob(s.decideSubmitJobOf(acc, account, id, claim), id[:])
}

func (s *State) decideSubmitJobOf(acc *account, account domain.AccountID, id domain.JobID, claim *v1.SubmitJob) *v1.Fact {
	if s.control.params == nil {
		return reject(v1.Reason_REASON_NOT_SET_UP, "network")
	}
	model := domain.ModelID(claim.Model)
	card, cardID := s.control.cardFor(model)
	switch {
	case !s.control.models[model]:
		return reject(v1.Reason_REASON_UNKNOWN_MODEL, "model")
	case card == nil:
		return reject(v1.Reason_REASON_NO_RATE_CARD, "model")
	case claim.Number <= acc.lastNumber:
		return rejectNumber(v1.Reason_REASON_JOB_NUMBER_USED, "number", int64(claim.Number), int64(acc.lastNumber+1))
	case acc.openJobs >= s.control.params.MaxOpenJobs:
		return rejectNumber(v1.Reason_REASON_TOO_MANY_OPEN_JOBS, "account", int64(acc.openJobs), int64(s.control.params.MaxOpenJobs))
	}
	if refusal := outOfRange("timeout_ms", claim.TimeoutMs, 1, s.control.params.MaxJobTimeoutMs); refusal != nil {
		return refusal
	}
	worst, err := domain.WorstCase(card, claim.MaxCoefficient, claim.MaxPromptTokens, claim.MaxCompletionTokens)
	if err != nil {
		return rejectError(err)
	}
	if free := s.balances[available(account)]; free < worst {
		return rejectNumber(v1.Reason_REASON_INSUFFICIENT_FUNDS, "account", int64(free), int64(worst))
	}
	made := &submittedFact{job: id, card: cardID}
	made.submitted = v1.JobSubmitted{
		Job: made.job[:], Terms: claim, Client: acc.client[:], RateCard: made.card[:],
		ReservedNano: int64(worst), ExpiresAtMs: s.nowMs + claim.TimeoutMs,
	}
	made.body.JobSubmitted = &made.submitted
	made.fact.Postings, made.fact.Body = move(worst, available(account), reserved(account)), &made.body
	return &made.fact
}

// submittedFact is a fact and what it points to, in one piece of memory: there is one for every job.
type submittedFact struct {
	fact      v1.Fact
	body      v1.Fact_JobSubmitted
	submitted v1.JobSubmitted
	job       domain.JobID
	card      domain.RateCardID
}

// rejectError turns an error of the rating rules into a rejection.
func rejectError(err error) *v1.Fact {
	if outOfRange, is := errors.AsType[*domain.RangeError](err); is {
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, outOfRange.Field, outOfRange.Have, outOfRange.Want)
	}
	if overflow, is := errors.AsType[*domain.OverflowError](err); is {
		return reject(v1.Reason_REASON_AMOUNT_OVERFLOW, overflow.Field)
	}
	return reject(v1.Reason_REASON_AMOUNT_OVERFLOW, clip(err.Error()))
}

func (s *State) evolveJobSubmitted(fact *v1.JobSubmitted) {
	j := &job{
		id: domain.JobID(fact.Job), account: domain.AccountID(fact.Terms.Account), client: domain.ClientID(fact.Client),
		model: domain.ModelID(fact.Terms.Model), card: domain.RateCardID(fact.RateCard), reserved: domain.Nano(fact.ReservedNano),
		maxPromptTokens: fact.Terms.MaxPromptTokens, maxCompletionTokens: fact.Terms.MaxCompletionTokens,
		maxCoefficient: fact.Terms.MaxCoefficient,
	}
	s.jobs[j.id] = j
	s.timers.set(&j.timer, jobExpires, j.id, fact.ExpiresAtMs)
	acc := s.accounts[j.account]
	acc.lastNumber = fact.Terms.Number
	acc.openJobs++
}

// alive returns a job that something can still be said about, or nil. A job whose time is over is none, also
// where so much is due at once that its expiry is decided with a later record.
func (s *State) alive(id []byte) *job {
	j := s.jobs[domain.JobID(id)]
	if j != nil && j.state <= started && j.timer.atMs <= s.nowMs {
		return nil
	}
	return j
}

func (s *State) decideAssignJob(who principal, claim *v1.AssignJob) *v1.Fact {
	if !who.may(v1.Role_ROLE_PROXY) {
		return forJob(reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer"), claim.Job)
	}
	j := s.alive(claim.Job)
	if j == nil {
		return forJob(reject(v1.Reason_REASON_UNKNOWN_JOB, "job"), claim.Job)
	}
	return forJob(s.decideAssignJobTo(j, s.control.workers[domain.WorkerID(claim.Worker)], claim), claim.Job)
}

func (s *State) decideAssignJobTo(j *job, w *worker, claim *v1.AssignJob) *v1.Fact {
	if w == nil {
		return reject(v1.Reason_REASON_UNKNOWN_WORKER, "worker")
	}
	if j.state > assigned { // a job that no worker has begun may go to another
		return wrongState(j, assigned)
	}
	offer, offered := w.offers[j.model]
	switch {
	case w.retired || s.control.providers[w.provider].retired:
		return reject(v1.Reason_REASON_WORKER_RETIRED, "worker")
	case s.control.params.RequireAttestation && w.attestedUntilMs <= s.nowMs:
		return rejectNumber(v1.Reason_REASON_NOT_ATTESTED, "worker", w.attestedUntilMs, s.nowMs)
	case s.suspendedUntilMs(domain.WorkerID(claim.Worker)) != 0:
		return rejectNumber(v1.Reason_REASON_WORKER_SUSPENDED, "worker", s.suspendedUntilMs(domain.WorkerID(claim.Worker)), s.nowMs)
	case !offered:
		return reject(v1.Reason_REASON_NO_OFFER, "worker")
	case offer.coefficient > j.maxCoefficient:
		return rejectNumber(v1.Reason_REASON_COEFFICIENT_TOO_HIGH, "worker", int64(offer.coefficient), int64(j.maxCoefficient))
	}
	return &v1.Fact{Body: &v1.Fact_JobAssigned{JobAssigned: &v1.JobAssigned{
		Job: claim.Job, Worker: claim.Worker, Provider: w.provider[:], Coefficient: offer.coefficient, PromisedMs: offer.promisedMs,
	}}}
}

func (s *State) evolveJobAssigned(fact *v1.JobAssigned) {
	j := s.jobs[domain.JobID(fact.Job)]
	j.state = assigned
	j.worker, j.provider, j.coefficient = domain.WorkerID(fact.Worker), domain.ProviderID(fact.Provider), fact.Coefficient
	j.assignedAtMs, j.promisedMs = s.nowMs, fact.PromisedMs
}

// jobOfWorker returns the job that the signing worker is assigned to and that is in a state, or the
// rejection.
func (s *State) jobOfWorker(who principal, id []byte, want jobState) (*job, *v1.Fact) {
	if who.kind != v1.SubjectKind_SUBJECT_KIND_WORKER {
		return nil, forJob(reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer"), id)
	}
	j := s.alive(id)
	switch {
	case j == nil:
		return nil, forJob(reject(v1.Reason_REASON_UNKNOWN_JOB, "job"), id)
	case !j.isOf(who):
		return nil, forJob(reject(v1.Reason_REASON_NOT_YOUR_JOB, "job"), id)
	case j.state != want:
		return nil, forJob(wrongState(j, want), id)
	}
	return j, nil
}

// isOf tells whether a worker is the one that the job is assigned to.
func (j *job) isOf(who principal) bool {
	return j.state >= assigned && who.is(v1.SubjectKind_SUBJECT_KIND_WORKER, j.worker)
}

func wrongState(j *job, want jobState) *v1.Fact {
	return rejectNumber(v1.Reason_REASON_WRONG_JOB_STATE, "job", int64(j.state), int64(want))
}

func (s *State) decideStartJob(who principal, claim *v1.StartJob) *v1.Fact {
	if _, refusal := s.jobOfWorker(who, claim.Job, assigned); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_JobStarted{JobStarted: claim}}
}

func (s *State) evolveJobStarted(fact *v1.StartJob) { s.jobs[domain.JobID(fact.Job)].state = started }

func (s *State) decideMeterJob(who principal, claim *v1.MeterJob) *v1.Fact {
	j, refusal := s.jobOfWorker(who, claim.Job, started)
	if refusal != nil {
		return refusal
	}
	if refusal := j.refuseUsage(claim.Usage); refusal != nil {
		return forJob(refusal, claim.Job)
	}
	return &v1.Fact{Body: &v1.Fact_JobMetered{JobMetered: claim}}
}

// refuseUsage checks a running count against the last one and against what the client allowed: a
// worker can neither take back nor go beyond. Cocoon itself has no such cap.
func (j *job) refuseUsage(u *v1.Usage) *v1.Fact {
	if err := domain.ValidateUsage(u); err != nil {
		refusal := rejectError(err)
		refusal.GetRejection().Reason = v1.Reason_REASON_USAGE_INCONSISTENT
		return refusal
	}
	for _, count := range [...]struct {
		field      string
		have, past int64
	}{
		{"usage.prompt_tokens", u.PromptTokens, j.usage.prompt},
		{"usage.cached_tokens", u.CachedTokens, j.usage.cached},
		{"usage.completion_tokens", u.CompletionTokens, j.usage.completion},
		{"usage.reasoning_tokens", u.ReasoningTokens, j.usage.reasoning},
	} {
		if count.have < count.past {
			return rejectNumber(v1.Reason_REASON_USAGE_WENT_BACK, count.field, count.have, count.past)
		}
	}
	switch {
	case u.PromptTokens > j.maxPromptTokens:
		return rejectNumber(v1.Reason_REASON_USAGE_OVER_LIMIT, "usage.prompt_tokens", u.PromptTokens, j.maxPromptTokens)
	case u.CompletionTokens > j.maxCompletionTokens:
		return rejectNumber(v1.Reason_REASON_USAGE_OVER_LIMIT, "usage.completion_tokens", u.CompletionTokens, j.maxCompletionTokens)
	}
	return nil
}

func (s *State) evolveJobMetered(fact *v1.MeterJob) {
	j := s.jobs[domain.JobID(fact.Job)]
	j.usage = usageOf(fact.Usage)
	s.cover(j)
}

func (s *State) decideCompleteJob(who principal, claim *v1.CompleteJob) *v1.Fact {
	j, refusal := s.jobOfWorker(who, claim.Job, started)
	if refusal != nil {
		return refusal
	}
	if refusal := j.refuseUsage(claim.Usage); refusal != nil {
		return forJob(refusal, claim.Job)
	}
	closed, moved, err := s.closeJob(j, usageOf(claim.Usage), domain.WholePermille, s.decideHold(j, true))
	if err != nil {
		return forJob(rejectError(err), claim.Job)
	}
	return &v1.Fact{Postings: moved, Body: &v1.Fact_JobCompleted{JobCompleted: closed}}
}

func (s *State) decideFailJob(who principal, claim *v1.FailJob) *v1.Fact {
	j := s.alive(claim.Job)
	switch {
	case who.kind != v1.SubjectKind_SUBJECT_KIND_WORKER && !who.may(v1.Role_ROLE_PROXY):
		return forJob(reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer"), claim.Job)
	case j == nil:
		return forJob(reject(v1.Reason_REASON_UNKNOWN_JOB, "job"), claim.Job)
	case !who.may(v1.Role_ROLE_PROXY) && !j.isOf(who):
		return forJob(reject(v1.Reason_REASON_NOT_YOUR_JOB, "job"), claim.Job)
	case j.state > started:
		return forJob(wrongState(j, started), claim.Job)
	}
	closed, moved, err := s.closeJob(j, j.usage, s.control.cards[j.card].FailedPermille, s.decideHold(j, false))
	if err != nil {
		return forJob(rejectError(err), claim.Job)
	}
	closed.Failure = claim.Reason
	return &v1.Fact{Postings: moved, Body: &v1.Fact_JobFailed{JobFailed: closed}}
}

func (s *State) decideCancelJob(who principal, claim *v1.CancelJob) *v1.Fact {
	j := s.alive(claim.Job)
	switch {
	case who.kind != v1.SubjectKind_SUBJECT_KIND_CLIENT && !who.may(v1.Role_ROLE_PROXY):
		return forJob(reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer"), claim.Job)
	case j == nil:
		return forJob(reject(v1.Reason_REASON_UNKNOWN_JOB, "job"), claim.Job)
	case !who.may(v1.Role_ROLE_PROXY) && j.client != domain.ClientID(who.subject):
		return forJob(reject(v1.Reason_REASON_NOT_YOUR_JOB, "job"), claim.Job)
	case j.state > started:
		return forJob(wrongState(j, started), claim.Job)
	}
	closed, moved, err := s.closeJob(j, j.usage, s.control.cards[j.card].CancelledPermille, s.decideHold(j, false))
	if err != nil {
		return forJob(rejectError(err), claim.Job)
	}
	return &v1.Fact{Postings: moved, Body: &v1.Fact_JobCancelled{JobCancelled: closed}}
}

// decideJobExpired is called by log time. A job that could not be rated is released whole: time can't
// be rejected.
func (s *State) decideJobExpired(j *job) *v1.Fact {
	closed, moved, err := s.closeJob(j, j.usage, s.control.cards[j.card].ExpiredPermille, s.decideHold(j, false))
	if err != nil {
		closed, moved, _ = s.closeJob(j, usage{}, 0, nil)
	}
	return &v1.Fact{Postings: moved, Body: &v1.Fact_JobExpired{JobExpired: closed}}
}

// closeJob works out the end of a job: the part of its usage's price that is charged, and the rest of
// the reservation, which goes back. The worker's part is earned, or held.
func (s *State) closeJob(j *job, used usage, permille uint32, wait *v1.Hold) (*v1.JobClosed, []*v1.Posting, error) {
	made := &struct { // in one piece of memory
		closed v1.JobClosed
		usage  v1.Usage
	}{usage: v1.Usage{
		PromptTokens: used.prompt, CachedTokens: used.cached, CompletionTokens: used.completion, ReasoningTokens: used.reasoning,
	}}
	charge, err := domain.Rate(s.control.cards[j.card], j.coefficient, &made.usage)
	if err != nil {
		return nil, nil, err
	}
	total := charge.Client.Share(int64(permille), domain.WholePermille)
	toWorker := charge.Worker.Share(int64(permille), domain.WholePermille)
	if total > j.reserved { // WorstCase says that this can't be; if it is wrong, nobody is overcharged
		return nil, nil, &domain.RangeError{Field: "charge_nano", Have: int64(total), Want: int64(j.reserved)}
	}
	made.closed = v1.JobClosed{
		Job: j.id[:], Account: j.account[:], Client: j.client[:], Model: j.model[:], RateCard: j.card[:],
		Usage: &made.usage, AdjustedTokens: charge.AdjustedTokens,
		ChargeNano: int64(total), WorkerNano: int64(toWorker), CommissionNano: int64(total - toWorker),
		ReleasedNano: int64(j.reserved - total),
	}
	closed := &made.closed
	if j.state >= assigned {
		closed.Worker, closed.Provider, closed.Coefficient = j.worker[:], j.provider[:], j.coefficient
	}
	if total > 0 {
		closed.DisputableUntilMs = s.control.maturityMs(s.nowMs)
	}
	if j.promisedMs != 0 {
		closed.TookMs, closed.PromisedMs = s.nowMs-j.assignedAtMs, j.promisedMs
	}
	worker := earned(j.provider)
	if wait != nil && toWorker > 0 {
		worker, closed.Hold = held(j.provider), wait
	}
	return closed, postings(
		leg{reserved(j.account), -j.reserved},
		leg{available(j.account), j.reserved - total},
		leg{worker, toWorker},
		leg{commission, total - toWorker},
	), nil
}

func (s *State) evolveJobClosed(fact *v1.JobClosed) {
	j := s.jobs[domain.JobID(fact.Job)]
	s.timers.clear(&j.timer)
	s.accounts[j.account].openJobs--
	if fact.ChargeNano == 0 {
		delete(s.jobs, j.id)
		return
	}
	j.state = charged
	j.chargeNano, j.workerNano = domain.Nano(fact.ChargeNano), domain.Nano(fact.WorkerNano)
	j.disputableMs, j.bucketMs = fact.DisputableUntilMs, fact.DisputableUntilMs
	if fact.Hold != nil {
		s.holdPay(j, fact.Hold)
		return
	}
	s.bucketOf(j).add(j)
}
