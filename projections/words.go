package projections

import (
	"reflect"
	"strings"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// KindName is what an account kind is called in tables and on screens: "provider/payable".
func KindName(kind v1.AccountKind) string { return kindNames[kind] }

// ReasonName is what a reason is called in tables: "insufficient_funds".
func ReasonName(reason v1.Reason) string { return reasonNames[reason] }

// FailureName is the word for why a job failed; "" if it did not.
func FailureName(reason v1.FailureReason) string { return failureNames[reason] }

// OutcomeName is the word for how a job ended: "completed", "failed", "cancelled", "expired".
func OutcomeName(outcome v1.Outcome) string { return outcomeNames[outcome] }

// SubjectName is what a kind of subject is called in tables: "worker".
func SubjectName(kind v1.SubjectKind) string { return subjectNames[kind] }

// Words of the schema's enums, short as people say them, by value.
var (
	kindNames          = shortNames(v1.AccountKind_name, "ACCOUNT_KIND_", "/")
	reasonNames        = shortNames(v1.Reason_name, "REASON_", "_")
	failureNames       = shortNames(v1.FailureReason_name, "FAILURE_REASON_", "_")
	outcomeNames       = shortNames(v1.Outcome_name, "OUTCOME_", "_")
	disputeReasonNames = shortNames(v1.DisputeReason_name, "DISPUTE_REASON_", "_")
	roleNames          = shortNames(v1.Role_name, "ROLE_", "_")
	rateRuleNames      = shortNames(v1.RateRule_name, "RATE_RULE_", "/")
	subjectNames       = shortNames(v1.SubjectKind_name, "SUBJECT_KIND_", "_")
	causeNames         = shortNames(v1.UnattestedCause_name, "UNATTESTED_CAUSE_", "_")
	forfeitNames       = shortNames(v1.ForfeitCause_name, "FORFEIT_CAUSE_", "_")
	faultNames         = shortNames(v1.AttestationFault_name, "ATTESTATION_FAULT_", "_")
)

// shortNames returns an enum's names by value, without the prefix, in lower case, with the mark after the
// first word. The unspecified value has no name.
func shortNames(names map[int32]string, prefix, mark string) []string {
	var short []string
	for value, name := range names {
		for int(value) >= len(short) {
			short = append(short, "")
		}
		if value != 0 {
			short[value] = strings.Replace(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", mark, 1)
		}
	}
	return short
}

// FactName is what a fact is called in the schema: "job_completed".
func FactName(fact *v1.Fact) string { return factNames[reflect.TypeOf(fact.Body)] }

var factNames = func() map[reflect.Type]string {
	names := map[reflect.Type]string{}
	bodies := (&v1.Fact{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range bodies.Len() {
		fact := &v1.Fact{}
		message := fact.ProtoReflect()
		message.Set(bodies.Get(i), message.NewField(bodies.Get(i)))
		names[reflect.TypeOf(fact.Body)] = string(bodies.Get(i).Name())
	}
	return names
}()

// jobOf returns the job that a fact is about; zero where there is none.
func jobOf(fact *v1.Fact) domain.JobID {
	switch body := fact.Body.(type) {
	case *v1.Fact_Rejection:
		return id[domain.JobID](body.Rejection.Job)
	case *v1.Fact_JobSubmitted:
		return id[domain.JobID](body.JobSubmitted.Job)
	case *v1.Fact_JobAssigned:
		return id[domain.JobID](body.JobAssigned.Job)
	case *v1.Fact_JobStarted:
		return id[domain.JobID](body.JobStarted.Job)
	case *v1.Fact_JobMetered:
		return id[domain.JobID](body.JobMetered.Job)
	case *v1.Fact_JobDisputed:
		return id[domain.JobID](body.JobDisputed.Job)
	case *v1.Fact_DisputeResolved:
		return id[domain.JobID](body.DisputeResolved.Job)
	case *v1.Fact_PayReleased:
		return id[domain.JobID](body.PayReleased.Job)
	case *v1.Fact_HoldExtended:
		return id[domain.JobID](body.HoldExtended.Job)
	case *v1.Fact_PayRefused:
		return id[domain.JobID](body.PayRefused.Job)
	default:
		if closed, _ := closedOf(fact); closed != nil {
			return id[domain.JobID](closed.Job)
		}
		return domain.JobID{}
	}
}

// closedOf returns the end of a job and how it ended; nil where the fact is another.
func closedOf(fact *v1.Fact) (*v1.JobClosed, string) {
	switch body := fact.Body.(type) {
	case *v1.Fact_JobCompleted:
		return body.JobCompleted, JobCompleted
	case *v1.Fact_JobFailed:
		return body.JobFailed, JobFailed
	case *v1.Fact_JobCancelled:
		return body.JobCancelled, JobCancelled
	case *v1.Fact_JobExpired:
		return body.JobExpired, JobExpired
	default:
		return nil, ""
	}
}

// id takes an id out of a message. A decoded message has ids of 32 bytes, or none where they are
// optional: then it is zero.
func id[T ~[32]byte](raw []byte) T {
	var out T
	copy(out[:], raw)
	return out
}

// add sums amounts and tells of an overflow.
func add[T ~int64](total *T, amount int64) error {
	sum, err := domain.Nano(*total).Add(domain.Nano(amount))
	*total = T(sum)
	return err
}
