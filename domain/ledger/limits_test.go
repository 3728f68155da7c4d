package ledger

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// dearCard makes the numbers of a closed job large.
const dearCard = "set_rate_card card.rule=exact/v1 card.price_per_token_nano=2_000n card.worker_fee_per_token_nano=1_000n " +
	"card.prompt_multiplier=10000 card.cached_multiplier=10000 card.completion_multiplier=10000 card.reasoning_multiplier=10000 " +
	"card.expired_permille=1000"

// maxClaims is the limit of Report.claims in the schema.
const maxClaims = 1000

func TestTheLedgerKnowsTheSizeOfARecord(t *testing.T) {
	if maxEntryBytes != eventstore.MaxRecordBytes {
		t.Errorf("an entry may have %d bytes, a record %d", maxEntryBytes, eventstore.MaxRecordBytes)
	}
}

// TestTheLargestAnswersFitARecord makes the answers that have most to say: as many claims as a report
// holds, as much due as an answer holds, and numbers as large as money allows. The world refuses an
// entry that fits no record.
func TestTheLargestAnswersFitARecord(t *testing.T) {
	s := newScript(t)
	s.play(`use standard
admin: set_network max_job_timeout_ms=10m max_open_jobs=2000 maturity_bucket_ms=1m payout_threshold_nano=1n batch_payees=100
admin: ` + dearCard + `
admin: set_hold_policy reattest_within_ms=1h appeal_within_ms=1h
admin: set_reputation_policy
admin: register_worker worker=dear provider=fleet key=dear-key
fleet: set_offer worker=dear model=deepseek coefficient=1000 finish_within_ms=8784h
telegram: open_account account=B client=telegram
watcher: observe_deposit account=B amount_nano=9_000_000_000_000_000_000 tx_hash=b lt=2`)
	const usage = "usage=1_000_000_000_000/1_000_000_000_000/200_000_000_000/200_000_000_000"
	claims := func(from, to int, format string) []*v1.Claim {
		var list []*v1.Claim
		for n := from; n <= to; n++ {
			list = append(list, s.claim(fmt.Sprintf(format, n)))
		}
		return list
	}
	accepted := func(entry *v1.Entry) {
		t.Helper()
		for _, fact := range entry.GetAnswer().GetFacts() {
			if r := fact.GetRejection(); r != nil {
				t.Fatalf("%s", s.tellRejection(r))
			}
		}
	}
	const submit = "submit_job account=B number=%d model=deepseek max_prompt_tokens=1_000_000_000_000 " +
		"max_completion_tokens=200_000_000_000 max_coefficient=1000 timeout_ms="
	say := func(signer string, claims []*v1.Claim) *v1.Entry {
		t.Helper()
		entry := s.say(1, s.keyOf(signer), claims...)
		accepted(entry)
		return entry
	}
	say("telegram", claims(1, maxDue, submit+"5m"))
	say("telegram", claims(maxDue+1, maxDue+maxClaims, submit+"10m"))
	for from := 1; from <= maxDue+maxClaims; from += maxClaims {
		to := min(from+maxClaims-1, maxDue+maxClaims)
		say("proxy", claims(from, to, "assign_job job=B/%d worker=dear"))
		say("dear", claims(from, to, "start_job job=B/%d"))
		say("dear", claims(from, to, "meter_job job=B/%d "+usage))
	}
	s.nowMs += 5 * 60 * 1000
	closed := say("dear", claims(maxDue+1, maxDue+maxClaims, "complete_job job=B/%d "+usage))
	if n := len(closed.GetAnswer().Facts); n != maxDue+maxClaims {
		t.Fatalf("the largest answer has %d facts", n)
	}
	if closed.GetAnswer().Facts[maxDue].GetJobCompleted().Hold == nil {
		t.Fatal("the largest end of a job is one whose pay is held")
	}
	t.Logf("%d closed jobs: %d bytes of %d", maxDue+maxClaims, closed.SizeVT(), eventstore.MaxRecordBytes)

	long := "adjust from_kind=client/available from_owner=B to_kind=client/available to_owner=A amount_nano=1c reference=x%d reason=" +
		strings.Repeat("x", 200)
	s.nowMs += 5 * 60 * 1000
	adjusted := s.say(1, s.keyOf("treasurer"), claims(1, maxClaims, long)...)
	t.Logf("%d adjustments: %d bytes", maxClaims, adjusted.SizeVT())
}

// fullBatch is a batch with as many payees as one may have, and amounts as large as they can be.
func fullBatch(t *testing.T, s *script, params *v1.SetNetwork) *v1.SealBatch {
	t.Helper()
	b := s.states[domain.Control].control.batches
	var owed []settlement.Owed
	for n := range maxBatchPayees {
		var payee domain.ProviderID
		binary.BigEndian.PutUint32(payee[:], uint32(n))
		owed = append(owed, settlement.Owed{Payee: payee, Payable: 2_000_000_000_000_000, Committed: b.committed.Of(payee)})
	}
	cut := settlement.Cut{}
	for range s.states {
		cut.Offsets = append(cut.Offsets, domain.Offset(b.lastCutOf(0)))
		cut.LogRoots = append(cut.LogRoots, idNamed("log"))
	}
	batch, err := settlement.Seal(b.last+1, cut, owed, settlement.PolicyOf(params))
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// TestAReportOfManyBatchesFitsARecord: a full batch is accepted beside whatever else a report says. A key
// with all roles that seals, vetoes and seals again in one report is told that there is no room, and can
// say it in the next.
func TestAReportOfManyBatchesFitsARecord(t *testing.T) {
	s := newScript(t)
	s.play(`use standard
admin: set_network max_job_timeout_ms=10m max_open_jobs=3 maturity_bucket_ms=1m payout_threshold_nano=1n batch_payees=4096
admin: set_operator key=all-key roles=admin,proxy,verifier,watcher,settler,arbiter,treasurer,clock`)
	control := s.states[domain.Control]
	var challenges, passes []*v1.Claim
	for n := range maxDue {
		s.play(fmt.Sprintf("admin: register_worker worker=m%d provider=fleet key=m%d-key", n, n))
		challenges = append(challenges, s.claim(fmt.Sprintf("challenge_attestation worker=m%d challenge=c expires_at_ms=@1m", n)))
		passes = append(passes, s.claim(fmt.Sprintf(
			"pass_attestation worker=m%d challenge=c evidence_digest=e policy_digest=p image_hash=i valid_until_ms=@2m", n)))
	}
	s.say(domain.Control, s.keyOf("all"), challenges...)
	s.say(domain.Control, s.keyOf("all"), passes...)
	s.nowMs += 3 * 60 * 1000

	batch := fullBatch(t, s, control.control.params)
	seal := &v1.Claim{Body: &v1.Claim_SealBatch{SealBatch: batch}}
	propose := s.claim("observe_proposal number=1 payout_root=x tx_hash=x lt=1")
	propose.GetObserveProposal().PayoutRoot = batch.PayoutRoot
	veto := s.claim("observe_veto number=1 tx_hash=x lt=1")

	// What the next batch would be if the veto had come to pass.
	next := fullBatch(t, s, control.control.params)
	next.Number = 2
	commitment := settlement.CommitmentOf(next, settlement.PolicyOf(control.control.params))
	next.Commitment = commitment[:]
	claims := []*v1.Claim{seal, propose, veto, {Body: &v1.Claim_SealBatch{SealBatch: next}}}
	for len(claims) < maxClaims {
		claims = append(claims, s.claim(fmt.Sprintf(
			"fail_attestation worker=m%d challenge=c evidence_digest=e policy_digest=p reason=%0200d", len(claims)%maxDue, 0)))
	}
	entry := s.say(domain.Control, s.keyOf("all"), claims...)
	facts := entry.GetAnswer().Facts
	if len(facts) != maxDue+maxClaims {
		t.Fatalf("got %d facts, want %d due and %d answers", len(facts), maxDue, maxClaims)
	}
	answers := facts[maxDue:]
	if answers[0].GetBatchSealed() == nil || answers[1].GetBatchProposed() == nil {
		t.Fatalf("a full batch was refused: %v, %v", answers[0].GetRejection(), answers[1].GetRejection())
	}
	r := answers[2].GetRejection()
	if r.GetReason() != v1.Reason_REASON_OUT_OF_RANGE || r.GetField() != "claims" {
		t.Fatalf("a veto of a full batch beside it: got %v", r)
	}
	t.Logf("a full batch with %d other facts: %d bytes of %d", len(facts)-1, entry.SizeVT(), eventstore.MaxRecordBytes)

	alone := s.say(domain.Control, s.keyOf("all"), veto)
	if alone.GetAnswer().Facts[0].GetBatchVetoed() == nil {
		t.Fatalf("the veto in a report of its own: %v", alone)
	}
	s.checkReplay()
}
