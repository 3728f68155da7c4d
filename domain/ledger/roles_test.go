package ledger

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// signers are one of each: every role, and a client, provider and worker beside those that a claim is
// about.
var signers = strings.Fields("admin proxy verifier watcher settler arbiter treasurer clock telegram other fleet rival w1 w2 w3")

// TestEachClaimIsForItsRoleAlone makes every claim by every kind of signer, in a state where the right
// ones are accepted. Whoever is not named is told ROLE_NOT_ALLOWED.
func TestEachClaimIsForItsRoleAlone(t *testing.T) {
	s := newScript(t)
	s.play(`use standard
telegram: submit_job account=A number=1 model=deepseek max_prompt_tokens=100 max_coefficient=2000 timeout_ms=5m
& submit_job account=A number=2 model=deepseek max_prompt_tokens=100 max_coefficient=2000 timeout_ms=5m
& submit_job account=A number=3 model=deepseek max_prompt_tokens=100 max_coefficient=2000 timeout_ms=5m
proxy: assign_job job=A/1 worker=w1
& assign_job job=A/2 worker=w1
& assign_job job=A/3 worker=w1
w1: start_job job=A/1
& start_job job=A/2
& complete_job job=A/1 usage=10/0/0/0
& complete_job job=A/2 usage=10/0/0/0
telegram: dispute_job job=A/2 reason=wrong_usage
& submit_job account=A number=4 model=deepseek max_prompt_tokens=100 max_coefficient=2000 timeout_ms=5m
& submit_job account=A number=5 model=deepseek max_prompt_tokens=100 max_coefficient=2000 timeout_ms=5m
& request_withdrawal account=A amount_nano=1c destination=fleet
proxy: assign_job job=A/4 worker=w1
w1: start_job job=A/4
verifier: challenge_attestation worker=w1 challenge=c1 expires_at_ms=@5m
verifier: challenge_attestation worker=w2 challenge=c2 expires_at_ms=@5m
verifier: pass_attestation worker=w2 challenge=c2 evidence_digest=e policy_digest=p image_hash=i valid_until_ms=@1h
`)
	kinds := map[string]bool{}
	for _, c := range []struct {
		before    string // what has to happen first
		claim     string
		by        string // these are accepted
		elsewhere string // these have the role, but this is not theirs: NOT_YOUR_ACCOUNT or NOT_YOUR_JOB
	}{
		{claim: "open_account account=B client=telegram", by: "telegram admin"},
		{claim: "observe_deposit account=A amount_nano=1n tx_hash=x lt=9", by: "watcher"},
		{claim: "request_withdrawal account=A amount_nano=1n destination=fleet", by: "telegram", elsewhere: "other"},
		{claim: "submit_job account=A number=9 model=deepseek timeout_ms=5m", by: "telegram", elsewhere: "other",
			before: "telegram: cancel_job job=A/3"},
		{claim: "assign_job job=A/5 worker=w1", by: "proxy"},
		{claim: "start_job job=A/5", by: "w1", elsewhere: "w2 w3", before: "proxy: assign_job job=A/5 worker=w1"},
		{claim: "meter_job job=A/4 usage=1/0/0/0", by: "w1", elsewhere: "w2 w3"},
		{claim: "complete_job job=A/4 usage=1/0/0/0", by: "w1", elsewhere: "w2 w3"},
		{claim: "fail_job job=A/4 reason=overloaded", by: "w1 proxy", elsewhere: "w2 w3"},
		{claim: "cancel_job job=A/4", by: "telegram proxy", elsewhere: "other"},
		{claim: "dispute_job job=A/1 reason=wrong_usage", by: "telegram", elsewhere: "other"},
		{claim: "resolve_dispute job=A/2 refund_permille=1", by: "arbiter"},
		{claim: "adjust from_kind=vault/cash to_kind=network/slashed amount_nano=1n reference=x", by: "treasurer"},
		{claim: "tick", by: "clock"},
		{claim: "set_network max_job_timeout_ms=1 max_open_jobs=1 maturity_bucket_ms=1s payout_threshold_nano=1n batch_payees=1", by: "admin"},
		{claim: "set_rate_card card.rule=exact/v1", by: "admin"},
		{claim: "set_dispute_policy resolve_within_ms=1", by: "admin"},
		{claim: "set_operator key=new-key roles=admin", by: "admin"},
		{claim: "list_model model=new", by: "admin"},
		{claim: "register_client client=new key=new-key", by: "admin"},
		{claim: "register_provider provider=new key=new-key", by: "admin"},
		{claim: "register_worker worker=new provider=fleet key=new-key", by: "fleet admin"},
		{claim: "rotate_key kind=client subject=telegram key=new-key", by: "telegram admin"},
		{claim: "rotate_key kind=provider subject=fleet key=new-key", by: "fleet admin"},
		{claim: "rotate_key kind=worker subject=w1 key=new-key", by: "w1 fleet admin"},
		{claim: "retire kind=client subject=telegram", by: "telegram admin"},
		{claim: "retire kind=provider subject=fleet", by: "fleet admin"},
		{claim: "retire kind=worker subject=w1", by: "w1 fleet admin"},
		{claim: "set_offer worker=w1 model=qwen coefficient=1", by: "w1 fleet"},
		{claim: "challenge_attestation worker=w1 challenge=c expires_at_ms=@1m", by: "verifier"},
		{claim: "pass_attestation worker=w1 challenge=c1 evidence_digest=e policy_digest=p image_hash=i valid_until_ms=@1h", by: "verifier"},
		{claim: "fail_attestation worker=w1 challenge=c1 evidence_digest=e policy_digest=p", by: "verifier"},
		{claim: "revoke_attestation worker=w2", by: "verifier"},
		{claim: "set_reputation_policy", by: "admin"},
		{claim: "set_hold_policy reattest_within_ms=1 appeal_within_ms=1", by: "admin"},
		{claim: "retire_image image_hash=i", by: "admin"},
		{claim: "seal_batch", by: "settler"},
		{claim: "observe_proposal number=1 payout_root=root.1 tx_hash=x lt=1", by: "watcher", before: "settler: seal_batch"},
		{claim: "observe_activation number=1 payout_root=root.1 tx_hash=x lt=1", by: "watcher",
			before: "watcher: observe_proposal number=1 payout_root=root.1 tx_hash=x lt=1"},
		{claim: "observe_veto number=1 tx_hash=x lt=1", by: "watcher"},
		{claim: "observe_payout payee=fleet amount_nano=1n tx_hash=x lt=9", by: "watcher",
			before: "watcher: observe_activation number=1 payout_root=root.1 tx_hash=x lt=1"},
	} {
		if answer := s.play(c.before); strings.Contains(answer, "!") {
			t.Fatalf("before %s:\n%s", c.claim, answer)
		}
		claim := s.claim(c.claim)
		kinds[strings.Fields(c.claim)[0]] = true
		state := s.states[s.home(c.claim, claim)]
		untouched := state.dump()
		for _, name := range signers {
			who, known := state.control.keyring[s.keyOf(name)]
			if !known {
				t.Fatalf("shard %d does not know %s", state.shard, name)
			}
			fact := state.decide(who, claim)
			reason := fact.GetRejection().GetReason()
			var want v1.Reason
			switch {
			case slices.Contains(strings.Fields(c.by), name):
				want = v1.Reason_REASON_UNSPECIFIED
			case !slices.Contains(strings.Fields(c.elsewhere), name):
				want = v1.Reason_REASON_ROLE_NOT_ALLOWED
			case strings.Contains(c.claim, "account="):
				want = v1.Reason_REASON_NOT_YOUR_ACCOUNT
			default:
				want = v1.Reason_REASON_NOT_YOUR_JOB
			}
			if reason != want {
				t.Errorf("%s: %s: got %s (%s), want %s", name, c.claim, reason, fact.GetRejection().GetField(), want)
			}
		}
		if state.dump() != untouched {
			t.Errorf("%s: to decide changed the state", c.claim)
		}
	}
	bodies := (&v1.Claim{}).ProtoReflect().Descriptor().Fields()
	for i := range bodies.Len() {
		if name := string(bodies.Get(i).Name()); !kinds[name] {
			t.Errorf("no row for %s", name)
		}
	}
}
