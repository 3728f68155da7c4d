package ledger

import (
	"fmt"
	"testing"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// More is due at once than one answer holds. Whether a job is over must not depend on its place in the queue.
func TestAJobWhoseTimeIsOverIsOverAlsoWhereItsExpiryWaits(t *testing.T) {
	const jobs = maxDue + 50
	s := newScript(t)
	s.play("use standard\nadmin: set_network max_job_timeout_ms=10m max_open_jobs=2000 maturity_bucket_ms=1m " +
		"payout_threshold_nano=1n batch_payees=100")
	submit, assign, start := []*v1.Claim{}, []*v1.Claim{}, []*v1.Claim{}
	var about []*v1.Claim
	for n := 1; n <= jobs; n++ {
		submit = append(submit, s.claim(fmt.Sprintf("submit_job account=A number=%d model=deepseek timeout_ms=1m", n)))
		assign = append(assign, s.claim(fmt.Sprintf("assign_job job=A/%d worker=w1", n)))
		start = append(start, s.claim(fmt.Sprintf("start_job job=A/%d", n)))
		about = append(about, s.claim(fmt.Sprintf("complete_job job=A/%d usage=0/0/0/0", n)))
	}
	s.say(1, s.keyOf("telegram"), submit...)
	s.say(1, s.keyOf("proxy"), assign...)
	s.say(1, s.keyOf("w1"), start...)
	s.nowMs += 2 * 60 * 1000
	expired, refused := 0, 0
	for _, fact := range s.say(1, s.keyOf("w1"), about...).GetAnswer().GetFacts() {
		switch body := fact.Body.(type) {
		case *v1.Fact_JobExpired:
			expired++
		case *v1.Fact_Rejection:
			if body.Rejection.Reason == v1.Reason_REASON_UNKNOWN_JOB {
				refused++
			}
		}
	}
	if expired != maxDue || refused != jobs {
		t.Errorf("%d jobs expired at once and %d claims about them were refused, want %d and %d", expired, refused, maxDue, jobs)
	}
}
