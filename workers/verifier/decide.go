package verifier

import (
	"strings"
	"unicode/utf8"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// maxReason is how long the reason of a failure may be, as the schema says.
const maxReason = 200

// Decide returns the claim that follows from a result, or false where there is none, as the verifier could not tell. Its own
// fault never speaks against a worker.
func Decide(r *v1.AttestationResult) (*v1.Claim, bool) {
	switch {
	case r.ValidUntilMs > r.IssuedAtMs:
		return &v1.Claim{Body: &v1.Claim_PassAttestation{PassAttestation: &v1.PassAttestation{
			Worker: r.Worker, Challenge: r.Challenge, EvidenceDigest: r.EvidenceDigest, PolicyDigest: r.PolicyDigest,
			ImageHash: r.ImageHash, ValidUntilMs: r.ValidUntilMs, Models: r.Models,
		}}}, true
	case r.Status == v1.AttestationStatus_ATTESTATION_STATUS_CONTRAINDICATED, r.Status == v1.AttestationStatus_ATTESTATION_STATUS_WARNING:
		return &v1.Claim{Body: &v1.Claim_FailAttestation{FailAttestation: &v1.FailAttestation{
			Worker: r.Worker, Challenge: r.Challenge, EvidenceDigest: r.EvidenceDigest, PolicyDigest: r.PolicyDigest, Reason: reason(r),
		}}}, true
	default:
		return nil, false
	}
}

// Admit returns the claim of a verifier that could not tell until the end: the fault is its own, an earlier result of
// the worker stays valid, and the worker counts as not asked. If it said nothing, time would go on to run against the worker.
func Admit(r *v1.AttestationResult) *v1.Claim {
	return &v1.Claim{Body: &v1.Claim_FailAttestation{FailAttestation: &v1.FailAttestation{
		Worker: r.Worker, Challenge: r.Challenge, EvidenceDigest: r.EvidenceDigest, PolicyDigest: r.PolicyDigest,
		Reason: reason(r), Fault: v1.AttestationFault_ATTESTATION_FAULT_VERIFIER,
	}}}
}

// reason names what a worker failed on: the checks, and the words of the first. Where nothing failed, the reservations
// are what the policy minded.
func reason(r *v1.AttestationResult) string {
	worst := v1.CheckOutcome_CHECK_OUTCOME_WARN
	for _, check := range r.Checks {
		switch {
		case check.Outcome == v1.CheckOutcome_CHECK_OUTCOME_FAIL:
			worst = check.Outcome
		case check.Outcome == v1.CheckOutcome_CHECK_OUTCOME_FAULT && r.Status == v1.AttestationStatus_ATTESTATION_STATUS_NONE:
			worst = check.Outcome
		}
	}
	var names []string
	words := ""
	for _, check := range r.Checks {
		if check.Outcome == worst {
			names = append(names, check.Name)
			if words == "" {
				words = check.Says
			}
		}
	}
	text := strings.Join(names, ", ") + ": " + words
	for len(text) > maxReason || !utf8.ValidString(text) {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
