package ledger

import (
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// reject answers a claim with the rule it broke and the field that broke it.
func reject(reason v1.Reason, field string) *v1.Fact {
	return &v1.Fact{Body: &v1.Fact_Rejection{Rejection: &v1.Rejection{Reason: reason, Field: field}}}
}

// rejectNumber is reject where the rule compares two numbers.
func rejectNumber(reason v1.Reason, field string, have, want int64) *v1.Fact {
	return &v1.Fact{Body: &v1.Fact_Rejection{Rejection: &v1.Rejection{Reason: reason, Field: field, Have: have, Want: want}}}
}

// forJob adds the job that the claim was about, so that its provider can ask why.
func forJob(fact *v1.Fact, job []byte) *v1.Fact {
	if body, ok := fact.Body.(*v1.Fact_Rejection); ok {
		body.Rejection.Job = job
	}
	return fact
}
