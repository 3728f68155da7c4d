package ledger

import (
	"testing"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// TestAVoidEntryOfControlTellsAShardNothing: what a second clerk of control wrote in vain releases no pay, and speaks for
// nobody.
func TestAVoidEntryOfControlTellsAShardNothing(t *testing.T) {
	s := newScript(t)
	s.play(`use standard
admin: set_hold_policy reattest_within_ms=20m appeal_within_ms=5m
admin: set_reputation_policy
telegram: submit_job account=A number=1 model=deepseek max_prompt_tokens=100 max_coefficient=1000 timeout_ms=5m
proxy: assign_job job=A/1 worker=w1
w1: start_job job=A/1
& complete_job job=A/1 usage=10/0/0/0`)
	state := s.states[1]
	entry := &v1.Entry{AtMs: s.nowMs, Body: &v1.Entry_Answer{Answer: &v1.Answer{Facts: []*v1.Fact{{
		Claim: 1, Body: &v1.Fact_AttestationPassed{AttestationPassed: s.claim(
			"pass_attestation worker=w1 challenge=c evidence_digest=e policy_digest=p image_hash=i valid_until_ms=@1h").GetPassAttestation()},
	}}}}}
	at := state.KnowsControlTo()
	for _, c := range []struct {
		means domain.Offset // where the entry was to stand
		told  bool
	}{{at - 1, false}, {at + 1, true}} {
		before := len(state.held[s.id("w1")])
		entry.Offset = int64(c.means)
		if err := state.Learn(state.KnowsControlTo(), entry); err != nil {
			t.Fatal(err)
		}
		due, _ := state.NextDueMs()
		seen := state.standings[subjectKey{v1.SubjectKind_SUBJECT_KIND_WORKER, s.id("w1")}].record.Count(v1.EvidenceKind_EVIDENCE_KIND_ATTESTED)
		if told := due == s.nowMs; before != 1 || told != c.told || (seen == 1) != c.told {
			t.Errorf("an entry that means to stand at %d tells the shard %t, and counts %d times, at %d", c.means, told, seen, at)
		}
	}
}
