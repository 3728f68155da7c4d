package projections

import (
	"strings"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// AttestationKey names one word of control on a worker, by its place there.
type AttestationKey struct {
	Worker domain.WorkerID
	Offset domain.Offset
	Fact   int64 // from 1
}

// Attestation is one thing that control decided about a worker that concerns its attestation. Which columns say
// something follows from What.
type Attestation struct {
	AttestationKey
	// What is the fact's name: "attestation_challenged", "attestation_passed", "attestation_failed",
	// "attestation_revoked", "attestation_expired", "key_rotated", "retired".
	What           string
	Challenge      domain.Digest
	EvidenceDigest domain.Digest
	PolicyDigest   domain.Digest // the verifier's
	ImageHash      domain.Digest
	// UntilMs is until when a result is valid, or a challenge may be answered; of one that expired, until when it was.
	UntilMs int64
	Cause   string // why a result ended before its time: "key_rotated", "image_retired"
	Fault   string // "worker", "verifier"
	Reason  string // in the verifier's words
	AtMs    int64
}

// Columns lists the columns.
func (r *Attestation) Columns(c []Column) []Column {
	return append(c,
		Column{"worker", (*[32]byte)(&r.Worker)},
		Column{"ledger_offset", (*int64)(&r.Offset)},
		Column{"fact", &r.Fact},
		Column{"what", &r.What},
		Column{"challenge", (*[32]byte)(&r.Challenge)},
		Column{"evidence_digest", (*[32]byte)(&r.EvidenceDigest)},
		Column{"policy_digest", (*[32]byte)(&r.PolicyDigest)},
		Column{"image_hash", (*[32]byte)(&r.ImageHash)},
		Column{"until_ms", &r.UntilMs},
		Column{"cause", &r.Cause},
		Column{"fault", &r.Fault},
		Column{"reason", &r.Reason},
		Column{"at_ms", &r.AtMs},
	)
}

// Attestations is every word of control on every worker's attestation. An image that is retired ends results without
// naming workers: the "attestation_expired" that follows does.
var Attestations = &Definition[AttestationKey, Attestation, *Attestation]{
	Name: "attestations", Version: 1, KeyColumns: 3, WriteOnce: true,
	Row: func(k AttestationKey) Attestation { return Attestation{AttestationKey: k} },
	Fold: func(e *Entry, row func(AttestationKey) *Attestation) error {
		for i, fact := range e.Facts() {
			if worker, concerned := attestationOf(fact); concerned {
				r := row(AttestationKey{worker, e.Offset, int64(i + 1)})
				r.What, r.AtMs = FactName(fact), e.AtMs
				r.tell(fact)
			}
		}
		return nil
	},
}

// attestationOf returns the worker whose attestation a fact concerns.
func attestationOf(fact *v1.Fact) (worker domain.WorkerID, concerned bool) {
	switch body := fact.Body.(type) {
	case *v1.Fact_AttestationChallenged:
		return id[domain.WorkerID](body.AttestationChallenged.Worker), true
	case *v1.Fact_AttestationPassed:
		return id[domain.WorkerID](body.AttestationPassed.Worker), true
	case *v1.Fact_AttestationFailed:
		return id[domain.WorkerID](body.AttestationFailed.Worker), true
	case *v1.Fact_AttestationRevoked:
		return id[domain.WorkerID](body.AttestationRevoked.Worker), true
	case *v1.Fact_AttestationExpired:
		return id[domain.WorkerID](body.AttestationExpired.Worker), true
	}
	if subject, ok := rotated(fact, v1.SubjectKind_SUBJECT_KIND_WORKER); ok {
		return domain.WorkerID(subject), true
	}
	subject, ok := retired(fact, v1.SubjectKind_SUBJECT_KIND_WORKER)
	return domain.WorkerID(subject), ok
}

// tell takes over what a fact says beside its worker. Words are cloned, as a decoded message points into its record.
func (r *Attestation) tell(fact *v1.Fact) {
	switch body := fact.Body.(type) {
	case *v1.Fact_AttestationChallenged:
		r.Challenge, r.UntilMs = id[domain.Digest](body.AttestationChallenged.Challenge), body.AttestationChallenged.ExpiresAtMs
	case *v1.Fact_AttestationPassed:
		passed := body.AttestationPassed
		r.Challenge, r.EvidenceDigest = id[domain.Digest](passed.Challenge), id[domain.Digest](passed.EvidenceDigest)
		r.PolicyDigest, r.ImageHash = id[domain.Digest](passed.PolicyDigest), id[domain.Digest](passed.ImageHash)
		r.UntilMs = passed.ValidUntilMs
	case *v1.Fact_AttestationFailed:
		failed := body.AttestationFailed
		r.Challenge, r.EvidenceDigest = id[domain.Digest](failed.Challenge), id[domain.Digest](failed.EvidenceDigest)
		r.PolicyDigest, r.Reason = id[domain.Digest](failed.PolicyDigest), strings.Clone(failed.Reason)
		r.Fault = faultOf(failed.Fault)
	case *v1.Fact_AttestationRevoked:
		r.Reason, r.Fault = strings.Clone(body.AttestationRevoked.Reason), faultOf(body.AttestationRevoked.Fault)
	case *v1.Fact_AttestationExpired:
		r.UntilMs, r.Cause = body.AttestationExpired.ValidUntilMs, causeNames[body.AttestationExpired.Cause]
	}
}

// faultOf names whose fault it is. One that is not said is the worker's.
func faultOf(fault v1.AttestationFault) string {
	if fault == v1.AttestationFault_ATTESTATION_FAULT_UNSPECIFIED {
		fault = v1.AttestationFault_ATTESTATION_FAULT_WORKER
	}
	return faultNames[fault]
}

// Attested is the state of a worker that has a result and nothing against it.
const Attested = "attested"

// Trust is how a worker's attestation stands now. A worker that control never said anything of has none.
type Trust struct {
	Worker domain.WorkerID
	// State is Attested, or a cause why it is not, as far as control has said so of this worker. Time, a retired image and a new
	// key end a result at once, and control says it of each worker with its next entry; until then StateAt sees to the first
	// two.
	State string
	Told  Moment // when control last said something that changed State
	// Of the last result that passed.
	Passed         Moment
	UntilMs        int64
	ImageHash      domain.Digest
	PolicyDigest   domain.Digest
	EvidenceDigest domain.Digest
	// The open challenge; zero where there is none.
	Challenge        domain.Digest
	ChallengeUntilMs int64
	Challenged       Moment // the last one
	// How often, since the beginning. VerifierFaults are not in Failures.
	Challenges, Passes, Failures, VerifierFaults, Revocations, Expiries int64
}

// Columns lists the columns.
func (r *Trust) Columns(c []Column) []Column {
	return append(c,
		Column{"worker", (*[32]byte)(&r.Worker)},
		Column{"state", &r.State},
		Column{"told_at_ms", &r.Told.AtMs}, Column{"told_offset", (*int64)(&r.Told.Offset)},
		Column{"passed_at_ms", &r.Passed.AtMs}, Column{"passed_offset", (*int64)(&r.Passed.Offset)},
		Column{"until_ms", &r.UntilMs},
		Column{"image_hash", (*[32]byte)(&r.ImageHash)},
		Column{"policy_digest", (*[32]byte)(&r.PolicyDigest)},
		Column{"evidence_digest", (*[32]byte)(&r.EvidenceDigest)},
		Column{"challenge", (*[32]byte)(&r.Challenge)},
		Column{"challenge_until_ms", &r.ChallengeUntilMs},
		Column{"challenged_at_ms", &r.Challenged.AtMs}, Column{"challenged_offset", (*int64)(&r.Challenged.Offset)},
		Column{"challenges", &r.Challenges},
		Column{"passes", &r.Passes},
		Column{"failures", &r.Failures},
		Column{"verifier_faults", &r.VerifierFaults},
		Column{"revocations", &r.Revocations},
		Column{"expiries", &r.Expiries},
	)
}

// Trusts is how every worker's attestation stands.
var Trusts = &Definition[domain.WorkerID, Trust, *Trust]{
	Name: "attestation_state", Version: 1, KeyColumns: 1,
	Row: func(k domain.WorkerID) Trust { return Trust{Worker: k} },
	Fold: func(e *Entry, row func(domain.WorkerID) *Trust) error {
		for _, fact := range e.Facts() {
			if worker, concerned := attestationOf(fact); concerned {
				row(worker).take(e, fact)
			}
		}
		return nil
	},
}

func (r *Trust) take(e *Entry, fact *v1.Fact) {
	switch body := fact.Body.(type) {
	case *v1.Fact_AttestationChallenged:
		r.Challenges++
		r.Challenge, r.ChallengeUntilMs = id[domain.Digest](body.AttestationChallenged.Challenge), body.AttestationChallenged.ExpiresAtMs
		r.Challenged = e.moment()
	case *v1.Fact_AttestationPassed:
		passed := body.AttestationPassed
		r.Passes++
		r.answered()
		r.State, r.Told, r.Passed, r.UntilMs = Attested, e.moment(), e.moment(), passed.ValidUntilMs
		r.ImageHash, r.PolicyDigest = id[domain.Digest](passed.ImageHash), id[domain.Digest](passed.PolicyDigest)
		r.EvidenceDigest = id[domain.Digest](passed.EvidenceDigest)
	case *v1.Fact_AttestationFailed:
		r.answered()
		if body.AttestationFailed.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
			r.VerifierFaults++
			return
		}
		r.Failures++
		r.State, r.Told = causeNames[v1.UnattestedCause_UNATTESTED_CAUSE_FAILED], e.moment()
	case *v1.Fact_AttestationRevoked:
		r.answered()
		cause := v1.UnattestedCause_UNATTESTED_CAUSE_REVOKED
		if body.AttestationRevoked.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
			cause = v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED
			r.VerifierFaults++
		} else {
			r.Revocations++
		}
		r.State, r.Told = causeNames[cause], e.moment()
	case *v1.Fact_AttestationExpired:
		r.Expiries++
		cause := body.AttestationExpired.Cause
		if cause == v1.UnattestedCause_UNATTESTED_CAUSE_UNSPECIFIED {
			cause = v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED
		}
		r.State, r.Told = causeNames[cause], e.moment()
	}
}

// answered ends the open challenge.
func (r *Trust) answered() { r.Challenge, r.ChallengeUntilMs = domain.Digest{}, 0 }

// StateAt is the state at a moment of log time, given whether the image of the last result is retired.
func (r *Trust) StateAt(nowMs int64, imageRetired bool) string {
	switch {
	case r.State == "":
		return causeNames[v1.UnattestedCause_UNATTESTED_CAUSE_NEVER_PASSED]
	case r.State != Attested:
		return r.State
	case imageRetired:
		return causeNames[v1.UnattestedCause_UNATTESTED_CAUSE_IMAGE_RETIRED]
	case r.UntilMs <= nowMs:
		return causeNames[v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED]
	default:
		return Attested
	}
}
