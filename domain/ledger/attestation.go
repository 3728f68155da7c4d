package ledger

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// workerToAttest returns the worker that a verifier speaks of, or the rejection.
func (s *State) workerToAttest(who principal, id []byte) (*worker, *v1.Fact) {
	if !who.may(v1.Role_ROLE_VERIFIER) {
		return nil, reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	w := s.control.workers[domain.WorkerID(id)]
	if w == nil {
		return nil, reject(v1.Reason_REASON_UNKNOWN_WORKER, "worker")
	}
	if w.retired {
		return nil, reject(v1.Reason_REASON_WORKER_RETIRED, "worker")
	}
	return w, nil
}

// refuseChallenge checks that a result answers the open challenge of its worker.
func (s *State) refuseChallenge(w *worker, challenge []byte) *v1.Fact {
	switch {
	case w.challengeEndsMs == 0 || w.challenge != domain.Digest(challenge):
		return reject(v1.Reason_REASON_UNKNOWN_CHALLENGE, "challenge")
	case w.challengeEndsMs <= s.nowMs:
		return rejectNumber(v1.Reason_REASON_CHALLENGE_EXPIRED, "challenge", s.nowMs, w.challengeEndsMs)
	}
	return nil
}

func (s *State) decideChallengeAttestation(who principal, claim *v1.ChallengeAttestation) *v1.Fact {
	if _, refusal := s.workerToAttest(who, claim.Worker); refusal != nil {
		return refusal
	}
	if refusal := outOfRange("expires_at_ms", claim.ExpiresAtMs, s.nowMs+1, s.nowMs+attestationSpan); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_AttestationChallenged{AttestationChallenged: claim}}
}

func (c *control) evolveAttestationChallenged(fact *v1.ChallengeAttestation, atMs int64) {
	w := c.workers[domain.WorkerID(fact.Worker)]
	if w.askedMs == 0 { // to be asked again is no new chance
		w.askedMs = atMs
	}
	w.challenge, w.challengeEndsMs = domain.Digest(fact.Challenge), fact.ExpiresAtMs
}

func (s *State) decidePassAttestation(who principal, claim *v1.PassAttestation) *v1.Fact {
	w, refusal := s.workerToAttest(who, claim.Worker)
	if refusal != nil {
		return refusal
	}
	if refusal := s.refuseChallenge(w, claim.Challenge); refusal != nil {
		return refusal
	}
	if refusal := outOfRange("valid_until_ms", claim.ValidUntilMs, s.nowMs+1, s.nowMs+maxSpanMs); refusal != nil {
		return refusal
	}
	if s.control.retiredImages[domain.Digest(claim.ImageHash)] {
		return reject(v1.Reason_REASON_IMAGE_RETIRED, "image_hash")
	}
	return &v1.Fact{Body: &v1.Fact_AttestationPassed{AttestationPassed: claim}}
}

func (s *State) decideFailAttestation(who principal, claim *v1.FailAttestation) *v1.Fact {
	w, refusal := s.workerToAttest(who, claim.Worker)
	if refusal != nil {
		return refusal
	}
	refusal = s.refuseChallenge(w, claim.Challenge)
	if refusal.GetRejection().GetReason() == v1.Reason_REASON_CHALLENGE_EXPIRED &&
		claim.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
		refusal = nil // a verifier may say late that it was at fault
	}
	if refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_AttestationFailed{AttestationFailed: claim}}
}

func (s *State) decideRevokeAttestation(who principal, claim *v1.RevokeAttestation) *v1.Fact {
	w, refusal := s.workerToAttest(who, claim.Worker)
	if refusal != nil {
		return refusal
	}
	if w.attestedUntilMs == 0 {
		return reject(v1.Reason_REASON_NOT_ATTESTED, "worker")
	}
	return &v1.Fact{Body: &v1.Fact_AttestationRevoked{AttestationRevoked: claim}}
}

// decideRetireImage: an image that is retired stays so. What should run again is built again.
func (s *State) decideRetireImage(who principal, claim *v1.RetireImage) *v1.Fact {
	switch {
	case !who.may(v1.Role_ROLE_ADMIN):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case s.control.retiredImages[domain.Digest(claim.ImageHash)]:
		return reject(v1.Reason_REASON_ALREADY_EXISTS, "image_hash")
	}
	return &v1.Fact{Body: &v1.Fact_ImageRetired{ImageRetired: claim}}
}

// attested is the cause why a worker is not attested, when it is.
const attested = v1.UnattestedCause_UNATTESTED_CAUSE_UNSPECIFIED

// unattestedAt is why a worker has no valid result at a time. A result ends by time, whether or not control has said so
// yet: that waits for somebody to speak.
func (w *worker) unattestedAt(nowMs int64) v1.UnattestedCause {
	switch {
	case w.attestedUntilMs > nowMs:
		return attested
	case w.unattested != attested:
		return w.unattested
	case w.attestedUntilMs != 0:
		return v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED
	default:
		return v1.UnattestedCause_UNATTESTED_CAUSE_NEVER_PASSED
	}
}

// tell takes in the last word on a worker's attestation.
func (c *control) tell(w *worker, untilMs int64, cause v1.UnattestedCause) {
	w.attestedUntilMs, w.unattested, w.toldAt = untilMs, cause, c.next
}

func (c *control) evolveAttestationPassed(fact *v1.PassAttestation) {
	w := c.workers[domain.WorkerID(fact.Worker)]
	c.tell(w, fact.ValidUntilMs, attested)
	w.image, w.passedAt, w.challengeEndsMs = domain.Digest(fact.ImageHash), c.next, 0
	w.askedMs = 0
}

func (c *control) evolveAttestationFailed(fact *v1.FailAttestation) {
	w := c.workers[domain.WorkerID(fact.Worker)]
	w.challengeEndsMs = 0
	if fact.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
		w.askedMs = 0
		return
	}
	c.tell(w, 0, v1.UnattestedCause_UNATTESTED_CAUSE_FAILED)
}

func (c *control) evolveAttestationRevoked(fact *v1.RevokeAttestation) {
	w, cause := c.workers[domain.WorkerID(fact.Worker)], v1.UnattestedCause_UNATTESTED_CAUSE_REVOKED
	if fact.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
		cause, w.askedMs = v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED, 0
	}
	c.tell(w, 0, cause)
	w.challengeEndsMs = 0
}

// evolveAttestationExpired leaves an open challenge open: a worker that renews in good time may be
// asked before its last result ends, and answer after.
func (c *control) evolveAttestationExpired(fact *v1.AttestationExpired) {
	cause := fact.Cause
	if cause == attested {
		cause = v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED
	}
	c.tell(c.workers[domain.WorkerID(fact.Worker)], 0, cause)
}

// evolveWorkerRekeyed ends what was said of the old key. An open challenge ends, too: its answer may be for that. The worker
// was asked all the same: else a new key for each challenge would keep its clients' money waiting.
func (c *control) evolveWorkerRekeyed(w *worker) {
	if c.hold == nil {
		return
	}
	w.challengeEndsMs = 0
	if w.attestedUntilMs != 0 {
		c.tell(w, 0, v1.UnattestedCause_UNATTESTED_CAUSE_KEY_ROTATED)
	}
}

func (c *control) evolveImageRetired(fact *v1.RetireImage) {
	image := domain.Digest(fact.ImageHash)
	c.retiredImages[image] = true
	for _, w := range c.workers {
		if w.attestedUntilMs != 0 && w.image == image {
			c.tell(w, 0, v1.UnattestedCause_UNATTESTED_CAUSE_IMAGE_RETIRED)
		}
	}
}

// decideAttestationEnded is called by log time, at the end of a result: its own, or one that a new key or a retired
// image brought. That end holds from the fact that brought it; this one names the worker.
func (s *State) decideAttestationEnded(due *timer) *v1.Fact {
	ended := &v1.AttestationExpired{Worker: due.id[:], ValidUntilMs: due.atMs}
	if w := s.control.workers[due.id]; w.attestedUntilMs == 0 {
		ended.Cause = w.unattested
	}
	return &v1.Fact{Body: &v1.Fact_AttestationExpired{AttestationExpired: ended}}
}

// scheduleAttestation keeps control's timers in step with the workers' results. Only control decides
// that a result expired; the other shards compare times and are told.
func (s *State) scheduleAttestation(fact *v1.Fact) {
	switch body := fact.Body.(type) {
	case *v1.Fact_AttestationPassed:
		id := domain.WorkerID(body.AttestationPassed.Worker)
		s.timers.set(&s.control.workers[id].expiry, attestationExpires, id, body.AttestationPassed.ValidUntilMs)
	case *v1.Fact_AttestationFailed:
		if body.AttestationFailed.Fault != v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
			s.timers.clear(&s.control.workers[domain.WorkerID(body.AttestationFailed.Worker)].expiry)
		}
	case *v1.Fact_AttestationRevoked:
		s.timers.clear(&s.control.workers[domain.WorkerID(body.AttestationRevoked.Worker)].expiry)
	case *v1.Fact_AttestationExpired:
		s.timers.clear(&s.control.workers[domain.WorkerID(body.AttestationExpired.Worker)].expiry)
	case *v1.Fact_KeyRotated:
		if body.KeyRotated.Kind == v1.SubjectKind_SUBJECT_KIND_WORKER {
			s.endNow(domain.WorkerID(body.KeyRotated.Subject))
		}
	case *v1.Fact_ImageRetired:
		for id := range s.control.workers { // timers have an order of their own
			s.endNow(id)
		}
	}
}

// endNow has the end of a worker's result told that was ended just now.
func (s *State) endNow(id domain.WorkerID) {
	if w := s.control.workers[id]; w.expiry.place != 0 && w.attestedUntilMs == 0 {
		s.timers.set(&w.expiry, attestationExpires, id, s.nowMs)
	}
}
