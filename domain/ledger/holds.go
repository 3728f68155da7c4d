package ledger

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// A worker is paid for what it metered while a verifier's result for it was valid. The pay of a job of which any usage
// was metered outside of that is held, and this file is about what becomes of it:
//
//   - Where nothing was known (no result yet, an old one, one for another key), the next result that passes releases it.
//   - Where something bad was known, no later result can say that it was otherwise. An arbiter can.
//   - What is not released in time goes back to the client, commission and all: a confidential computation was
//     charged for, and nobody can say that this was one.
//   - Time does not run out on a worker that nobody has asked. A verifier that is away, or at fault, costs it nothing but
//     patience.
//
// Which result a decision went by is in the fact: an offset of control's ledger. A data shard learns of it with a pin,
// so the place from which on a result counts, or no longer does, has a name in each shard's own log.

// hold is why the pay of a charged job waits.
type hold struct {
	cause   v1.UnattestedCause
	sinceMs int64
	untilMs int64
	over    bool // its worker had its chance, whatever control says later
	timer   timer
}

// curable tells whether a later result releases the pay.
func curable(cause v1.UnattestedCause) bool {
	return cause <= v1.UnattestedCause_UNATTESTED_CAUSE_KEY_ROTATED
}

func (s *State) decideSetHoldPolicy(who principal, claim *v1.SetHoldPolicy) *v1.Fact {
	if !who.may(v1.Role_ROLE_ADMIN) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	if refusal := first(
		outOfRange("reattest_within_ms", claim.ReattestWithinMs, 1, maxSpanMs),
		outOfRange("appeal_within_ms", claim.AppealWithinMs, 1, maxSpanMs),
	); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_HoldPolicySet{HoldPolicySet: claim}}
}

// cover notes whether the usage that was metered now is covered by a valid result for its worker.
func (s *State) cover(j *job) {
	if s.control.hold == nil {
		return
	}
	w := s.control.workers[j.worker]
	j.uncovered, j.uncoveredFor = j.uncoveredNow(w, s.nowMs)
	j.uncoveredAt = s.control.next
}

// uncoveredBy is the gravest cause for which usage so far is not covered. What a result since then covers is.
func (j *job) uncoveredBy(w *worker) v1.UnattestedCause {
	if curable(j.uncovered) && w.passedAt >= j.uncoveredAt {
		return attested
	}
	return j.uncovered
}

// uncoveredNow is the same, and by which word of control, if usage is metered now.
func (j *job) uncoveredNow(w *worker, nowMs int64) (cause v1.UnattestedCause, toldAt domain.Offset) {
	cause, toldAt = j.uncoveredBy(w), j.uncoveredFor
	if now := w.unattestedAt(nowMs); now != attested && now >= cause {
		cause, toldAt = now, w.toldAt
	}
	return cause, toldAt
}

// decideHold says why the pay of a job that ends now is held, nil if it is not. Usage is metered now by a claim
// that completes the job; other ends charge what was metered before.
func (s *State) decideHold(j *job, meteredNow bool) *v1.Hold {
	policy := s.control.hold
	if policy == nil || j.state < assigned {
		return nil
	}
	w := s.control.workers[j.worker]
	cause, toldAt := j.uncoveredBy(w), j.uncoveredFor
	if meteredNow {
		cause, toldAt = j.uncoveredNow(w, s.nowMs)
	}
	if cause == attested {
		return nil
	}
	span := policy.AppealWithinMs
	switch {
	case !curable(cause):
	case w.retired: // it will never pass again
		span = 0
	default:
		span = policy.ReattestWithinMs
	}
	return &v1.Hold{Cause: cause, UntilMs: s.nowMs + span, ControlOffset: int64(toldAt)}
}

func (s *State) holdPay(j *job, fact *v1.Hold) {
	j.hold = &hold{cause: fact.Cause, sinceMs: s.nowMs, untilMs: fact.UntilMs}
	s.timers.set(&j.hold.timer, payRefused, j.id, fact.UntilMs)
	of := s.held[j.worker]
	if of == nil {
		of = map[domain.JobID]*job{}
		s.held[j.worker] = of
	}
	of[j.id] = j
}

// endHold forgets that pay was held; who gets it is in the postings.
func (s *State) endHold(j *job) {
	if j.hold == nil {
		return
	}
	s.timers.clear(&j.hold.timer)
	j.hold = nil
	of := s.held[j.worker]
	if delete(of, j.id); len(of) == 0 {
		delete(s.held, j.worker)
	}
}

// longestHoldMs bounds a wait for a verifier, as all else that waits: nobody's money is held for ever.
const longestHoldMs = maxSpanMs

// chanceMs is until when a worker that was asked at a moment may show a result that releases its held pay: it has the
// policy's time from the end of the job, or from when it was asked if that came later. One that was not asked has time.
func (s *State) chanceMs(h *hold, askedMs int64) int64 {
	longest := h.sinceMs + longestHoldMs
	if askedMs == 0 {
		return longest
	}
	return min(max(h.untilMs, askedMs+s.control.hold.ReattestWithinMs), longest)
}

// endWait has the held pay of a worker decided now, if it is of a kind that waits for a result and its chance was not over
// when control spoke. A shard may learn late, where nobody speaks in it: what counts is control's time. The order of the
// map is not seen: timers have one of their own.
func (s *State) endWait(worker domain.WorkerID, what timerKind, controlMs int64) {
	s.endChances(worker, controlMs)
	for _, j := range s.held[worker] {
		if curable(j.hold.cause) && !j.hold.over && j.hold.timer.kind != payReleased {
			s.timers.set(&j.hold.timer, what, j.id, s.nowMs)
		}
	}
}

// endChances notes whose time was over before control said what begins it anew.
func (s *State) endChances(worker domain.WorkerID, controlMs int64) {
	for _, j := range s.held[worker] {
		j.hold.over = j.hold.over || curable(j.hold.cause) && s.chanceMs(j.hold, s.control.workers[worker].askedMs) <= controlMs
	}
}

// decidePayReleased is called by log time, once control has said that the worker passed. Pay that is disputed, too,
// stays in provider/held for the dispute.
func (s *State) decidePayReleased(j *job) *v1.Fact {
	released := &v1.PayReleased{Job: j.id[:], Worker: j.worker[:], Provider: j.provider[:]}
	fact := &v1.Fact{Body: &v1.Fact_PayReleased{PayReleased: released}}
	if j.state == charged {
		bucket := s.control.params.MaturityBucketMs
		released.AmountNano = int64(j.workerNano)
		released.BucketMs = max(j.bucketMs, (s.nowMs/bucket+1)*bucket)
		fact.Postings = move(j.workerNano, held(j.provider), earned(j.provider))
	}
	return fact
}

func (s *State) evolvePayReleased(fact *v1.PayReleased) {
	j := s.jobs[domain.JobID(fact.Job)]
	s.endHold(j)
	if j.state == charged {
		j.bucketMs = fact.BucketMs
		s.bucketOf(j).add(j)
	}
}

// decideHoldEnds is called by log time. Pay that waits for a result is refused only if its worker had its chance.
func (s *State) decideHoldEnds(j *job) *v1.Fact {
	w := s.control.workers[j.worker]
	if !curable(j.hold.cause) || j.hold.over || w.retired {
		return s.decidePayRefused(j)
	}
	chanceMs := s.chanceMs(j.hold, w.askedMs)
	if chanceMs <= s.nowMs {
		return s.decidePayRefused(j)
	}
	return &v1.Fact{Body: &v1.Fact_HoldExtended{HoldExtended: &v1.HoldExtended{
		Job: j.id[:], Worker: j.worker[:], Provider: j.provider[:],
		UntilMs: min(chanceMs, s.nowMs+s.control.hold.ReattestWithinMs), AskedAtMs: w.askedMs,
	}}}
}

func (s *State) evolveHoldExtended(fact *v1.HoldExtended) {
	j := s.jobs[domain.JobID(fact.Job)]
	j.hold.untilMs = fact.UntilMs
	s.timers.set(&j.hold.timer, payRefused, j.id, fact.UntilMs)
}

// decidePayRefused: a hold ends in favour of the client, and with it an open dispute, as there is nothing left to argue
// about.
func (s *State) decidePayRefused(j *job) *v1.Fact {
	return &v1.Fact{
		Postings: postings(
			leg{held(j.provider), -j.workerNano},
			leg{commission, j.workerNano - j.chargeNano},
			leg{available(j.account), j.chargeNano},
		),
		Body: &v1.Fact_PayRefused{PayRefused: &v1.PayRefused{
			Job: j.id[:], Account: j.account[:], Worker: j.worker[:], Provider: j.provider[:], Cause: j.hold.cause,
			RefundNano: int64(j.chargeNano), FromWorkerNano: int64(j.workerNano),
		}},
	}
}

func (s *State) evolvePayRefused(fact *v1.PayRefused) {
	j := s.jobs[domain.JobID(fact.Job)]
	s.endHold(j)
	s.timers.clear(&j.timer)
	delete(s.jobs, j.id)
}

// hear takes in what control decided that concerns what is open in this shard, and is about to take in itself. It is called
// when the shard learns of it; what follows is decided with the next record.
func (s *State) hear(fact *v1.Fact, controlMs int64) {
	switch body := fact.Body.(type) {
	case *v1.Fact_AttestationPassed:
		worker := domain.WorkerID(body.AttestationPassed.Worker)
		s.weighFleet(worker, v1.EvidenceKind_EVIDENCE_KIND_ATTESTED)
		s.endWait(worker, payReleased, controlMs)
	case *v1.Fact_AttestationFailed:
		worker := domain.WorkerID(body.AttestationFailed.Worker)
		if body.AttestationFailed.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
			s.endChances(worker, controlMs)
			return
		}
		s.weighFleet(worker, v1.EvidenceKind_EVIDENCE_KIND_ATTESTATION_FAILED)
	case *v1.Fact_AttestationRevoked:
		worker := domain.WorkerID(body.AttestationRevoked.Worker)
		if body.AttestationRevoked.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
			s.endChances(worker, controlMs)
			return
		}
		s.weighFleet(worker, v1.EvidenceKind_EVIDENCE_KIND_ATTESTATION_REVOKED)
		s.forfeit(s.control.workers[worker].provider, v1.ForfeitCause_FORFEIT_CAUSE_REVOKED, controlMs)
	case *v1.Fact_Retired:
		if body.Retired.Kind == v1.SubjectKind_SUBJECT_KIND_WORKER { // it will never pass again
			s.endWait(domain.WorkerID(body.Retired.Subject), payRefused, controlMs)
		}
	}
}
