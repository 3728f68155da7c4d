package ledger

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// bucket is what a provider earned in one span of log time and nobody disputes: it matures as one.
type bucket struct {
	key    bucketKey
	jobs   []*job // in no order; each knows its place
	amount domain.Nano
	timer  timer
}

type bucketKey struct {
	provider domain.ProviderID
	endMs    int64
}

func (s *State) bucketOf(j *job) *bucket {
	key := bucketKey{j.provider, j.bucketMs}
	b := s.buckets[key]
	if b == nil {
		b = &bucket{key: key}
		s.buckets[key] = b
		s.timers.set(&b.timer, bucketMatures, key.provider, key.endMs)
	}
	return b
}

func (b *bucket) add(j *job) {
	j.inBucket = len(b.jobs)
	b.jobs = append(b.jobs, j)
	b.amount += j.workerNano
}

// takeOutOfBucket leaves no empty bucket behind: nothing would mature.
func (s *State) takeOutOfBucket(j *job) {
	b := s.bucketOf(j)
	last := len(b.jobs) - 1
	b.jobs[j.inBucket] = b.jobs[last]
	b.jobs[j.inBucket].inBucket = j.inBucket
	b.jobs[last] = nil
	b.jobs = b.jobs[:last]
	b.amount -= j.workerNano
	if len(b.jobs) == 0 {
		s.timers.clear(&b.timer)
		delete(s.buckets, b.key)
	}
}

func (s *State) decideEarningsMatured(b *bucket) *v1.Fact {
	heldBack, untilMs := s.decideHoldback(b)
	return &v1.Fact{
		Postings: postings(
			leg{earned(b.key.provider), -b.amount},
			leg{payable(b.key.provider), b.amount - heldBack},
			leg{held(b.key.provider), heldBack},
		),
		Body: &v1.Fact_EarningsMatured{EarningsMatured: &v1.EarningsMatured{
			Provider: b.key.provider[:], BucketMs: b.key.endMs, AmountNano: int64(b.amount),
			HeldNano: int64(heldBack), HeldUntilMs: untilMs,
		}},
	}
}

// evolveEarningsMatured forgets the bucket's jobs: nothing can happen to them any more. What is held back of them
// is held for the provider's whole fleet.
func (s *State) evolveEarningsMatured(fact *v1.EarningsMatured) {
	key := bucketKey{domain.ProviderID(fact.Provider), fact.BucketMs}
	b := s.buckets[key]
	s.timers.clear(&b.timer)
	for _, j := range b.jobs {
		delete(s.jobs, j.id)
	}
	delete(s.buckets, key)
	if fact.HeldNano > 0 {
		s.holdBack(key.provider, fact)
	}
}

func (s *State) decideDisputeJob(who principal, claim *v1.DisputeJob) *v1.Fact {
	j := s.jobs[domain.JobID(claim.Job)]
	switch {
	case who.kind != v1.SubjectKind_SUBJECT_KIND_CLIENT:
		return forJob(reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer"), claim.Job)
	case j == nil:
		return forJob(reject(v1.Reason_REASON_UNKNOWN_JOB, "job"), claim.Job)
	case j.client != domain.ClientID(who.subject):
		return forJob(reject(v1.Reason_REASON_NOT_YOUR_JOB, "job"), claim.Job)
	case j.state != charged:
		return forJob(wrongState(j, charged), claim.Job)
	case s.nowMs >= j.disputableMs: // decided already, or its pay was released since, or more was due than one answer holds
		return forJob(rejectNumber(v1.Reason_REASON_DISPUTE_WINDOW_CLOSED, "job", s.nowMs, j.disputableMs), claim.Job)
	}
	var moved []*v1.Posting
	if j.hold == nil { // else it is where it should be
		moved = move(j.workerNano, earned(j.provider), held(j.provider))
	}
	return &v1.Fact{
		Postings: moved,
		Body: &v1.Fact_JobDisputed{JobDisputed: &v1.JobDisputed{
			Job: claim.Job, Account: j.account[:], Worker: j.worker[:], Provider: j.provider[:], Reason: claim.Reason,
			HeldNano: int64(j.workerNano), ResolveByMs: s.nowMs + s.control.disputes.ResolveWithinMs,
		}},
	}
}

func (s *State) evolveJobDisputed(fact *v1.JobDisputed) {
	j := s.jobs[domain.JobID(fact.Job)]
	if j.hold == nil {
		s.takeOutOfBucket(j)
	}
	j.state = disputed
	s.timers.set(&j.timer, disputeExpires, j.id, fact.ResolveByMs)
}

func (s *State) decideResolveDispute(who principal, claim *v1.ResolveDispute) *v1.Fact {
	j := s.jobs[domain.JobID(claim.Job)]
	switch {
	case !who.may(v1.Role_ROLE_ARBITER):
		return forJob(reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer"), claim.Job)
	case j == nil:
		return forJob(reject(v1.Reason_REASON_UNKNOWN_JOB, "job"), claim.Job)
	case j.state != disputed && (j.state != charged || j.hold == nil): // held pay can be decided, too
		return forJob(wrongState(j, disputed), claim.Job)
	case claim.RefundPermille > domain.WholePermille:
		return forJob(rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "refund_permille", int64(claim.RefundPermille), domain.WholePermille), claim.Job)
	}
	return resolve(j, claim.RefundPermille, claim.Slashed)
}

// decideDisputeExpired is called by log time: a dispute that no arbiter decided ends as the policy
// says, so that nobody's money is held for ever.
func (s *State) decideDisputeExpired(j *job) *v1.Fact {
	return resolve(j, s.control.disputes.DefaultRefundPermille, false)
}

// resolve splits a disputed charge. The client's refund comes out of the worker's part and of the
// commission in the same proportion; both are rounded down, so the commission gives back at most one
// nanoton more than its share and never more than it got.
func resolve(j *job, refundPermille uint32, slash bool) *v1.Fact {
	refund := j.chargeNano.Share(int64(refundPermille), domain.WholePermille)
	fromWorker := j.workerNano.Share(int64(refundPermille), domain.WholePermille)
	rest := j.workerNano - fromWorker
	resolved := &v1.DisputeResolved{
		Job: j.id[:], Account: j.account[:], Worker: j.worker[:], Provider: j.provider[:],
		RefundPermille: refundPermille, RefundNano: int64(refund), FromWorkerNano: int64(fromWorker),
	}
	restTo := payable(j.provider)
	switch {
	case slash:
		restTo, resolved.SlashedNano = slashed, int64(rest)
	case j.hold != nil && j.state == disputed: // the dispute is decided, the worker is not attested yet
		restTo, resolved.HeldNano = held(j.provider), int64(rest)
	default:
		resolved.ReleasedNano = int64(rest)
	}
	out := leg{held(j.provider), -j.workerNano}
	if restTo == out.key {
		out.amount, rest = -fromWorker, 0
	}
	return &v1.Fact{
		Postings: postings(
			out,
			leg{commission, fromWorker - refund},
			leg{available(j.account), refund},
			leg{restTo, rest},
		),
		Body: &v1.Fact_DisputeResolved{DisputeResolved: resolved},
	}
}

func (s *State) evolveDisputeResolved(fact *v1.DisputeResolved) {
	j := s.jobs[domain.JobID(fact.Job)]
	s.timers.clear(&j.timer)
	if fact.HeldNano > 0 {
		// It waits for the worker alone, and is not disputed again.
		j.state, j.disputableMs, j.bucketMs = charged, s.nowMs, s.nowMs
		j.chargeNano -= domain.Nano(fact.RefundNano)
		j.workerNano = domain.Nano(fact.HeldNano)
		return
	}
	s.endHold(j)
	delete(s.jobs, j.id)
}
