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

func (c *control) evolveAttestationChallenged(fact *v1.ChallengeAttestation) {
	w := c.workers[domain.WorkerID(fact.Worker)]
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
	return &v1.Fact{Body: &v1.Fact_AttestationPassed{AttestationPassed: claim}}
}

func (s *State) decideFailAttestation(who principal, claim *v1.FailAttestation) *v1.Fact {
	w, refusal := s.workerToAttest(who, claim.Worker)
	if refusal != nil {
		return refusal
	}
	if refusal := s.refuseChallenge(w, claim.Challenge); refusal != nil {
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

// evolveAttestation ends the challenge and sets until when the worker counts as attested; 0 is not.
func (c *control) evolveAttestation(id []byte, untilMs int64) {
	w := c.workers[domain.WorkerID(id)]
	w.attestedUntilMs, w.challengeEndsMs = untilMs, 0
}

// evolveAttestationExpired leaves an open challenge open: a worker that renews in good time may be
// asked before its last result ends, and answer after.
func (c *control) evolveAttestationExpired(fact *v1.AttestationExpired) {
	c.workers[domain.WorkerID(fact.Worker)].attestedUntilMs = 0
}

// scheduleAttestation keeps control's timer in step with a worker's result. Only control decides
// that a result expired; the other shards compare times and are told.
func (s *State) scheduleAttestation(fact *v1.Fact) {
	switch body := fact.Body.(type) {
	case *v1.Fact_AttestationPassed:
		id := domain.WorkerID(body.AttestationPassed.Worker)
		s.timers.set(&s.control.workers[id].expiry, attestationExpires, id, body.AttestationPassed.ValidUntilMs)
	case *v1.Fact_AttestationFailed:
		s.timers.clear(&s.control.workers[domain.WorkerID(body.AttestationFailed.Worker)].expiry)
	case *v1.Fact_AttestationRevoked:
		s.timers.clear(&s.control.workers[domain.WorkerID(body.AttestationRevoked.Worker)].expiry)
	case *v1.Fact_AttestationExpired:
		s.timers.clear(&s.control.workers[domain.WorkerID(body.AttestationExpired.Worker)].expiry)
	}
}
