package rig

import (
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Rules of a world in which workers are judged.
const (
	ReattestWithin = 15 * time.Minute
	AppealWithin   = 5 * time.Minute
	// FinishWithin is what workers promise: log time passes by a millisecond with each thing said.
	FinishWithin = 30 * time.Millisecond
	resultFor    = 10 * time.Minute
	// pledgeBuckets has what is held back outlast one Mature, and not two.
	pledgeBuckets = 60
)

// judge sets the policies about pay and standing, and has every worker attested but the last one.
func (w *World) judge() {
	policy := reputation.Default()
	policy.SuspendBelowPpm, policy.SuspendMs = 500_000, time.Minute.Milliseconds()
	for _, tier := range policy.Tiers[1:] {
		tier.HoldBuckets = pledgeBuckets
	}
	w.Say(w.Admin, domain.Control,
		&v1.Claim{Body: &v1.Claim_SetHoldPolicy{SetHoldPolicy: &v1.SetHoldPolicy{
			ReattestWithinMs: ReattestWithin.Milliseconds(), AppealWithinMs: AppealWithin.Milliseconds(),
		}}},
		&v1.Claim{Body: &v1.Claim_SetReputationPolicy{SetReputationPolicy: &v1.SetReputationPolicy{Policy: policy}}},
	)
	for _, worker := range w.Workers[:len(w.Workers)-1] {
		w.attest(worker)
	}
}

// image is what a worker runs: each time that an image is retired, its successor.
func (w *World) image() [32]byte { return w.id(fmt.Sprintf("image %d", w.images)) }

func (w *World) attest(worker *Worker) {
	challenge, image := w.challenge(worker), w.image()
	w.Say(w.Verifier, domain.Control, &v1.Claim{Body: &v1.Claim_PassAttestation{PassAttestation: &v1.PassAttestation{
		Worker: worker.ID[:], Challenge: challenge[:], EvidenceDigest: challenge[:], PolicyDigest: image[:], ImageHash: image[:],
		ValidUntilMs: w.Now().Add(resultFor).UnixMilli(),
	}}})
}

func (w *World) challenge(worker *Worker) [32]byte {
	w.challenges++
	challenge := w.id(fmt.Sprintf("challenge %d", w.challenges))
	w.Say(w.Verifier, domain.Control, &v1.Claim{Body: &v1.Claim_ChallengeAttestation{ChallengeAttestation: &v1.ChallengeAttestation{
		Worker: worker.ID[:], Challenge: challenge[:], ExpiresAtMs: w.Now().Add(time.Minute).UnixMilli(),
	}}})
	return challenge
}

// verify lets something happen to the attestation of some worker, and the clerks answer: what is known of a worker
// changes between its jobs.
func (w *World) verify() {
	worker := w.Workers[w.random.IntN(len(w.Workers))]
	switch chance := w.random.IntN(20); {
	case chance < 13:
		w.attest(worker)
	case chance < 16:
		challenge := w.challenge(worker)
		fail := &v1.FailAttestation{Worker: worker.ID[:], Challenge: challenge[:], EvidenceDigest: challenge[:], PolicyDigest: challenge[:]}
		if chance == 15 {
			fail.Fault = v1.AttestationFault_ATTESTATION_FAULT_VERIFIER
		}
		w.Say(w.Verifier, domain.Control, &v1.Claim{Body: &v1.Claim_FailAttestation{FailAttestation: fail}})
	case chance < 18:
		w.Say(w.Verifier, domain.Control, &v1.Claim{Body: &v1.Claim_RevokeAttestation{RevokeAttestation: &v1.RevokeAttestation{Worker: worker.ID[:]}}})
	default:
		image := w.image()
		w.images++
		w.Say(w.Admin, domain.Control, &v1.Claim{Body: &v1.Claim_RetireImage{RetireImage: &v1.RetireImage{ImageHash: image[:]}}})
	}
	w.Work()
	w.Pass(time.Duration(w.random.IntN(20)) * time.Second)
}
