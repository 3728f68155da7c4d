package ledger

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

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

// TestAQuietShardEndsAHoldAsABusyOneDoes: one worker does a job in each of two shards. In the first somebody speaks every
// minute, so it learns at once what control says; in the second nobody does until the end. Both come to the same end.
func TestAQuietShardEndsAHoldAsABusyOneDoes(t *testing.T) {
	ends := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		s := newScript(rt)
		s.play(`use standard
admin: set_hold_policy reattest_within_ms=10m appeal_within_ms=5m
telegram: open_account account=B@2 client=telegram
watcher: observe_deposit account=B@2 amount_nano=10c tx_hash=tx2 lt=2
telegram: submit_job account=A number=1 model=deepseek max_prompt_tokens=100 max_coefficient=1000 timeout_ms=5m
telegram: submit_job account=B@2 number=1 model=deepseek max_prompt_tokens=100 max_coefficient=1000 timeout_ms=5m
proxy: assign_job job=A/1 worker=w1
proxy: assign_job job=B@2/1 worker=w1
w1: start_job job=A/1
& complete_job job=A/1 usage=10/0/0/0
w1: start_job job=B@2/1
& complete_job job=B@2/1 usage=10/0/0/0`)
		for minute := range rapid.IntRange(1, 60).Draw(rt, "minutes") {
			s.play("wait 1m")
			challenge := fmt.Sprintf("verifier: challenge_attestation worker=w1 challenge=c%d expires_at_ms=@%dm\n& ", minute, minute+4)
			switch rapid.IntRange(0, 19).Draw(rt, "word") {
			case 0, 1:
				s.play(strings.TrimSuffix(challenge, "\n& "))
			case 2:
				s.play(challenge + fmt.Sprintf("fail_attestation worker=w1 challenge=c%d evidence_digest=e policy_digest=p fault=verifier", minute))
			case 3:
				s.play(challenge + fmt.Sprintf("fail_attestation worker=w1 challenge=c%d evidence_digest=e policy_digest=p", minute))
			case 4:
				s.play(challenge + fmt.Sprintf("pass_attestation worker=w1 challenge=c%d evidence_digest=e policy_digest=p image_hash=i valid_until_ms=@24h", minute))
			case 5:
				s.play("w1: rotate_key kind=worker subject=w1 key=" + fmt.Sprintf("w1-key%d", minute))
			}
			s.play("clock@1: tick")
		}
		s.play("clock@2: tick")
		end := func(shard domain.Shard) string {
			switch balances := s.states[shard].balances; {
			case balances[held(s.id("fleet"))] != 0:
				return "waiting"
			case balances[earned(s.id("fleet"))] != 0:
				return "released"
			default:
				return "refused"
			}
		}
		if busy, quiet := end(1), end(2); busy != quiet {
			rt.Fatalf("in the busy shard it is %s, in the quiet one %s", busy, quiet)
		}
		ends[end(1)]++
	})
	for _, end := range []string{"waiting", "released", "refused"} {
		if ends[end] == 0 {
			t.Errorf("no history ended with %s: %v", end, ends)
		}
	}
}
