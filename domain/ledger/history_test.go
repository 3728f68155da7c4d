package ledger

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// history makes up what people say to a network: mostly sensible, sometimes wrong, with jumps in time.
// It is drawn as a seed and a number of steps: single draws of rapid lean to small numbers, and would
// seldom bring a job to its end.
type history struct {
	*script
	random  *rand.Rand
	lt      uint64
	numbers map[string]uint64 // the last job of each account
	keys    map[string]string // of workers, as they are now
}

// holdAndJudge are policies under which small numbers of jobs have consequences. Half of the histories begin without.
const holdAndJudge = "admin: set_hold_policy reattest_within_ms=20m appeal_within_ms=5m\n" +
	"admin: set_reputation_policy policy.tiers[0].holdback_permille=333 policy.tiers[0].hold_buckets=2 " +
	"policy.tiers[1].hold_buckets=1000 policy.tiers[2].hold_buckets=1000 policy.tiers[3].hold_buckets=1000 " +
	"policy.suspend_below_ppm=700_000 policy.suspend_ms=1h\n"

// owners are the accounts that histories use, and their clients.
var owners = map[string]string{"A": "telegram", "B@2": "telegram", "C": "other"}

var accountNames = []string{"A", "B@2", "C"}

// oddCard has prices that hardly divide anything.
const oddCard = "set_rate_card card.rule=exact/v1 card.price_per_token_nano=3n card.worker_fee_per_token_nano=1n " +
	"card.prompt_multiplier=5000 card.cached_multiplier=15000 card.completion_multiplier=10001 card.reasoning_multiplier=333 " +
	"card.failed_permille=333 card.cancelled_permille=1000 card.model=qwen"

func newHistory(t *rapid.T) *history {
	seed := rapid.Uint64().Draw(t, "seed")
	h := &history{script: newScript(t), random: rand.New(rand.NewPCG(seed, 0)), lt: 100, numbers: map[string]uint64{}, keys: map[string]string{}}
	h.play(`use standard
` + pick(h, "", holdAndJudge) + `telegram: open_account account=B@2 client=telegram
other: open_account account=C client=other
watcher: observe_deposit account=B@2 amount_nano=40_000n tx_hash=b lt=2
watcher: observe_deposit account=C amount_nano=5_000n tx_hash=c lt=3
admin: ` + oddCard + `
w1: set_offer worker=w1 model=qwen coefficient=1333
w3: set_offer worker=w3 model=qwen coefficient=777
`)
	return h
}

// drawHistory lets up to so many things happen.
func drawHistory(t *rapid.T, most int) *history {
	h := newHistory(t)
	for range rapid.OneOf(rapid.Just(most), rapid.IntRange(1, most)).Draw(t, "steps") {
		h.step()
	}
	return h
}

func pick[T any](h *history, from ...T) T { return from[h.random.IntN(len(from))] }

func (h *history) upTo(n int64) int64 { return h.random.Int64N(n + 1) }

// once in a while.
func (h *history) once(in int) bool { return h.random.IntN(in) == 0 }

// step lets something happen.
func (h *history) step() {
	switch h.random.IntN(20) {
	case 0, 1:
		h.nowMs += pick[int64](h, 0, 1, 999, 60_000, 299_999, 300_000, 3_660_000, 86_400_000)
	case 2:
		h.control()
	case 3:
		h.settle()
	case 4:
		h.money()
	case 5:
		h.mischief()
	case 6:
		h.regret()
	case 7:
		h.mend()
	default:
		h.job()
	}
	h.checkBooks()
}

// utter says a report of a few claims, seldom by somebody else than it should be.
func (h *history) utter(signer, claim string, more ...string) {
	if h.once(20) {
		signer = pick(h, signers...)
	}
	if key, rotated := h.keys[signer]; rotated {
		signer = key
	}
	h.speak(signer, "", "", append([]string{claim}, more...))
}

// job moves some job on. Numbers are of any job that ever was, the next one, and sometimes none.
func (h *history) job() {
	account := pick(h, accountNames...)
	worker := pick(h, "w1", "w1", "w2", "w3")
	number := h.numbers[account]
	if number > 0 {
		number -= uint64(h.upTo(int64(min(number-1, 2))))
	}
	job := fmt.Sprintf("job=%s/%d", account, max(number, 1))
	usage := func() string {
		prompt, completion := h.upTo(51), h.upTo(26)
		return fmt.Sprintf(" usage=%d/%d/%d/%d", prompt, h.upTo(prompt), completion, h.upTo(completion))
	}
	submit := func() {
		if !h.once(15) {
			h.numbers[account]++
		}
		h.utter(owners[account], fmt.Sprintf("submit_job account=%s number=%d model=%s "+
			"max_prompt_tokens=%d max_completion_tokens=%d max_coefficient=%d timeout_ms=%d",
			account, h.numbers[account], pick(h, "deepseek", "qwen"), pick(h, 100, 50), pick(h, 50, 25), pick(h, 1000, 2000), pick(h, 1, 60_000, 600_000)))
	}
	switch h.random.IntN(10) {
	case 0, 1:
		submit()
	case 2:
		h.utter("proxy", "assign_job "+job+" worker="+worker)
	case 3:
		h.utter(worker, "start_job "+job, "meter_job "+job+usage())
	case 4:
		h.utter(worker, "meter_job "+job+usage())
	case 5, 6:
		// A whole life at once, so that many jobs come to an end.
		if h.once(2) {
			submit()
			job = fmt.Sprintf("job=%s/%d", account, h.numbers[account])
		}
		h.utter("proxy", "assign_job "+job+" worker="+worker)
		h.utter(worker, "start_job "+job, "meter_job "+job+usage(), "complete_job "+job+usage(), "complete_job "+job+" usage=50/50/25/25")
	case 7:
		h.utter(pick(h, worker, "proxy"), "fail_job "+job+" reason=engine_error")
	case 8:
		h.utter(pick(h, owners[account], "proxy"), "cancel_job "+job)
	case 9:
		if h.once(2) {
			h.utter(owners[account], "dispute_job "+job+" reason=wrong_usage")
		}
		if h.once(2) {
			h.utter("arbiter", fmt.Sprintf("resolve_dispute %s refund_permille=%d slashed=%t", job, h.upTo(1001), h.once(2)))
		}
	}
}

func (h *history) money() {
	account := pick(h, accountNames...)
	amount := h.upTo(3000)
	switch h.random.IntN(4) {
	case 0:
		h.lt++
		h.utter("watcher", fmt.Sprintf("observe_deposit account=%s amount_nano=%d tx_hash=x lt=%d", account, amount, h.lt-uint64(h.upTo(1))))
	case 1:
		h.utter(owners[account], fmt.Sprintf("request_withdrawal account=%s amount_nano=%d destination=%s", account, amount, pick(h, "wallet", "fleet")))
	case 2:
		h.utter("treasurer", fmt.Sprintf("adjust from_kind=client/available from_owner=%s to_kind=network/slashed amount_nano=%d reference=x", account, amount))
	case 3:
		h.utter("treasurer", fmt.Sprintf("adjust from_kind=vault/cash to_kind=client/available from_owner=none to_owner=A amount_nano=%d reference=x", amount))
	}
}

func (h *history) control() {
	worker := pick(h, "w1", "w2", "w3")
	switch h.random.IntN(10) {
	case 7:
		h.utter("admin", fmt.Sprintf("set_hold_policy reattest_within_ms=%d appeal_within_ms=%d", h.upTo(600_000), h.upTo(600_000)))
	case 8:
		h.utter("admin", fmt.Sprintf("set_reputation_policy policy.jobs.kept_ppm=%d policy.tiers[1].holdback_permille=%d policy.tiers[1].hold_buckets=%d "+
			"policy.suspend_below_ppm=%d policy.suspend_ms=%d policy.slashed_forfeit_permille=%d",
			h.upTo(999_990), h.upTo(1001), h.upTo(5), h.upTo(900_000), 1+h.upTo(3_600_000), h.upTo(1000)))
	case 9:
		if h.once(3) {
			h.utter("admin", "retire_image image_hash="+pick(h, "i", "i2"))
		} else {
			h.lt++
			key := fmt.Sprintf("%s-key%d", worker, h.lt)
			h.utter(worker, "rotate_key kind=worker subject="+worker+" key="+key)
			if h.states[domain.Control].control.workers[h.id(worker)].key == h.keyOf(key) {
				h.keys[worker] = key
			}
		}
	case 0:
		h.utter("admin", fmt.Sprintf("set_rate_card card.rule=%s card.price_per_token_nano=%d card.worker_fee_per_token_nano=%d "+
			"card.prompt_multiplier=%d card.completion_multiplier=10000 card.expired_permille=500",
			pick(h, "exact/v1", "cocoon/v1"), 1+h.upTo(3), h.upTo(2), h.upTo(30_000)))
	case 1:
		h.utter(worker, fmt.Sprintf("set_offer worker=%s model=%s coefficient=%d withdrawn=%t finish_within_ms=%d",
			worker, pick(h, "deepseek", "qwen"), 500+h.upTo(1000), h.once(5), pick[int64](h, 0, 1, 60_000)))
	case 2:
		h.utter("admin", fmt.Sprintf("set_network max_job_timeout_ms=10m max_open_jobs=%d maturity_bucket_ms=%d "+
			"payout_threshold_nano=%d batch_payees=%d require_attestation=%t",
			1+h.upTo(10), pick(h, 1000, 60_000), 1+h.upTo(100), 1+h.upTo(2), h.once(10)))
	case 3:
		h.utter("admin", fmt.Sprintf("set_dispute_policy window_ms=%d resolve_within_ms=%d default_refund_permille=%d",
			pick(h, 0, 60_000, 3_600_000), pick(h, 1, 3_600_000), h.upTo(1000)))
	case 4:
		h.utter("verifier", fmt.Sprintf("challenge_attestation worker=%s challenge=c expires_at_ms=%d", worker, h.nowMs+h.upTo(300_001)))
	case 5:
		if h.once(2) {
			h.utter("verifier", fmt.Sprintf("challenge_attestation worker=%s challenge=c expires_at_ms=%d", worker, h.nowMs+300_000))
		}
		h.utter("verifier", fmt.Sprintf("pass_attestation worker=%s challenge=c evidence_digest=e policy_digest=p "+
			"image_hash=%s valid_until_ms=%d", worker, pick(h, "i", "i2", "i3"), h.nowMs+h.upTo(4_000_000)))
	case 6:
		h.utter("verifier", pick(h, "revoke_attestation worker="+worker, "fail_attestation worker="+worker+" challenge=c evidence_digest=e policy_digest=p",
			"revoke_attestation fault=verifier worker="+worker, "fail_attestation fault=verifier worker="+worker+" challenge=c evidence_digest=e policy_digest=p"))
	}
}

// regret lets time pass until earnings are mature, and then brings something to light about a worker.
func (h *history) regret() {
	worker := pick(h, "w1", "w2", "w3")
	h.nowMs += 3_660_000
	h.speak("clock", "1", "", []string{"tick"})
	h.utter("verifier", fmt.Sprintf("challenge_attestation worker=%s challenge=c expires_at_ms=%d", worker, h.nowMs+300_000),
		fmt.Sprintf("pass_attestation worker=%s challenge=c evidence_digest=e policy_digest=p image_hash=i4 valid_until_ms=%d", worker, h.nowMs+1_000_000),
		pick(h, "tick", "revoke_attestation worker="+worker))
	h.speak("clock", "1", "", []string{"tick"})
}

// mend lets a worker do a job, whatever is known of it, and then pass its attestation.
func (h *history) mend() {
	account, worker := pick(h, accountNames...), pick(h, "w1", "w2", "w3")
	h.numbers[account]++
	job := fmt.Sprintf("job=%s/%d", account, h.numbers[account])
	h.utter(owners[account], fmt.Sprintf("submit_job account=%s number=%d model=deepseek max_prompt_tokens=100 max_coefficient=2000 timeout_ms=1m",
		account, h.numbers[account]))
	h.utter("proxy", "assign_job "+job+" worker="+worker)
	h.utter(worker, "start_job "+job, "complete_job "+job+" usage=33/0/0/0")
	h.utter("verifier", fmt.Sprintf("challenge_attestation worker=%s challenge=c expires_at_ms=%d", worker, h.nowMs+300_000),
		fmt.Sprintf("pass_attestation worker=%s challenge=c evidence_digest=e policy_digest=p image_hash=i4 valid_until_ms=%d",
			worker, h.nowMs+1+h.upTo(600_000)))
	h.speak("clock", strconv.Itoa(int(h.shardOf(account))), "", []string{"tick"})
}

// settle moves the batch on, or says what could be next elsewhere.
func (h *history) settle() {
	b := h.states[domain.Control].control.batches
	h.lt++
	root := fmt.Sprintf("root.%d", b.last)
	if _, known := h.roots[root]; !known {
		root = "none-yet"
	}
	next := h.random.IntN(6)
	if !h.once(3) { // what is next
		switch {
		case b.open == nil:
			next = pick(h, 0, 5)
		case !b.open.proposed:
			next = 2
		default:
			next = pick(h, 3, 3, 4)
		}
	}
	switch next {
	case 0, 1:
		h.utter("settler", "seal_batch")
	case 2:
		h.utter("watcher", fmt.Sprintf("observe_proposal number=%d payout_root=%s tx_hash=x lt=%d", b.last, root, h.lt))
	case 3:
		h.utter("watcher", fmt.Sprintf("observe_activation number=%d payout_root=%s tx_hash=x lt=%d", b.last, root, h.lt))
	case 4:
		h.utter("watcher", fmt.Sprintf("observe_veto number=%d tx_hash=x lt=%d", b.last, h.lt))
	case 5:
		h.utter("watcher", fmt.Sprintf("observe_payout payee=%s amount_nano=%d tx_hash=x lt=%d", pick(h, "fleet", "wallet"), h.upTo(500), h.lt))
	}
}

// mischief is what signers do that are broken or mean.
func (h *history) mischief() {
	shard := domain.Shard(h.random.IntN(scriptShards + 1))
	switch h.random.IntN(4) {
	case 0:
		h.hear(shard, binary.AppendUvarint(nil, h.random.Uint64()), true)
	case 1: // an old record again, perhaps in another shard
		from := h.intake[pick(h, int(shard), int(shard), h.random.IntN(scriptShards+1))]
		if len(from) > 0 {
			h.tell(h.hear(shard, from[len(from)-1-h.random.IntN(min(len(from), 9))].value, true))
		}
	case 2:
		h.speak(pick(h, signers...), fmt.Sprint(shard), pick(h, "unsigned", "sequence=1", "shard=3", "network=other"), []string{"tick"})
	case 3:
		h.speak("clock", fmt.Sprint(shard), "", []string{"tick"})
	}
}

// checkBooks checks what holds at every moment.
func (h *history) checkBooks() {
	h.Helper()
	var sum domain.Nano
	for _, state := range h.states {
		expect := balances{}
		for _, j := range state.jobs {
			switch j.state {
			case submitted, assigned, started:
				expect[reserved(j.account)] += j.reserved
			case charged:
				if j.hold != nil {
					expect[held(j.provider)] += j.workerNano
				} else {
					expect[earned(j.provider)] += j.workerNano
				}
			case disputed:
				expect[held(j.provider)] += j.workerNano
			}
		}
		for _, p := range state.parcels {
			expect[held(p.provider)] += p.amount
		}
		for key, amount := range state.balances {
			sum += amount
			switch key.kind {
			case v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED, v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD:
				if expect[key] != amount {
					h.Fatalf("%s holds %d, the jobs say %d", h.accountName(key), amount, expect[key])
				}
				delete(expect, key)
			case v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, v1.AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION,
				v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED:
				if amount < 0 {
					h.Fatalf("%s holds %d", h.accountName(key), amount)
				}
			case v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE, v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED,
				v1.AccountKind_ACCOUNT_KIND_VAULT_CASH:
				// Payable comes in on the data shards and leaves on control: only their sum says something.
			}
		}
		for key, amount := range expect {
			if amount != 0 {
				h.Fatalf("%s holds nothing, the jobs say %d", h.accountName(key), amount)
			}
		}
	}
	if sum != 0 {
		h.Fatalf("all accounts sum to %d", sum)
	}
	for key, amount := range h.balances() {
		if amount < 0 && key.kind != v1.AccountKind_ACCOUNT_KIND_VAULT_CASH {
			h.Fatalf("%s holds %d", h.accountName(key), amount)
		}
	}
}

// TestTheBooksHoldAtEveryMoment: no client below zero, reservations are those of the open jobs, what is
// earned and held is that of the jobs, and everything sums to zero, after every report of any history.
// In the end, each shard made again from its ledger knows the same.
func TestTheBooksHoldAtEveryMoment(t *testing.T) {
	heard := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t, 2*historySteps)
		h.checkReplay()
		maps.Copy(heard, h.heard)
	})
	// Histories that reach nothing would show nothing.
	for name := range strings.FieldsSeq(`account_funded withdrawal_accepted job_submitted job_assigned job_started job_metered
		job_completed job_failed job_cancelled job_expired job_disputed dispute_resolved adjusted earnings_matured offer_set
		attestation_passed attestation_expired batch_sealed batch_proposed batch_activated batch_vetoed payout_observed
		pay_released pay_refused hold_extended holdback_released holdback_forfeited standing_set image_retired
		REASON_WORKER_SUSPENDED REASON_DUPLICATE_REPORT REASON_SEQUENCE_CONFLICT REASON_INSUFFICIENT_FUNDS REASON_USAGE_OVER_LIMIT`) {
		if !heard[name] {
			t.Errorf("no history came to %s", name)
		}
	}
}

// historySteps makes histories long enough for a few batches.
const historySteps = 150

// TestWhoDecidesAgainDecidesTheSame takes a state made from any prefix of a ledger and lets it answer
// the rest of intake: it writes the very bytes that are there.
func TestWhoDecidesAgainDecidesTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t, historySteps)
		for shard := range h.states {
			from := rapid.IntRange(0, len(h.ledger[shard])).Draw(t, "from")
			h.decideAgain(domain.Shard(shard), from)
		}
	})
}

// decideAgain is what an audit does: it answers each record again and compares the entries.
func (w *world) decideAgain(shard domain.Shard, from int) {
	w.Helper()
	state := w.replay(shard, from)
	for at := from; at < len(w.ledger[shard]); at++ {
		entry := w.decode(w.ledger[shard][at])
		var (
			again *v1.Entry
			err   error
		)
		switch body := entry.Body.(type) {
		case *v1.Entry_Genesis:
			again, err = state.Begin(body.Genesis)
		case *v1.Entry_Pin:
			w.learn(state, domain.Offset(body.Pin.ControlOffset))
			again, err = state.Pin()
		case *v1.Entry_Answer:
			again, err = state.Step(w.said(shard, domain.Offset(body.Answer.IntakeOffset)))
		}
		if err != nil {
			w.Fatalf("entry %d/%d again: %v", shard, at, err)
		}
		if raw, err := v1.Encode(again); err != nil || string(raw) != string(w.ledger[shard][at]) {
			w.Fatalf("entry %d/%d is %v, decided again it is %v (%v)", shard, at, entry, again, err)
		}
	}
	w.compare(state, w.states[shard])
}

// compare finds the first thing that two states know differently. A live one may have learned of
// control after its last pin.
func (w *world) compare(got, want *State) {
	w.Helper()
	w.learn(got, want.KnowsControlTo())
	gots, wants := strings.Split(got.dump(), "\n"), strings.Split(want.dump(), "\n")
	for i := range max(len(gots), len(wants)) {
		if i >= len(gots) || i >= len(wants) || gots[i] != wants[i] {
			w.Fatalf("states differ:\n got  %s\n want %s", strings.Join(gots[min(i, len(gots)):min(i+1, len(gots))], ""),
				strings.Join(wants[min(i, len(wants)):min(i+1, len(wants))], ""))
		}
	}
}

// TestHoweverTheLogIsCutIntoBatchesEverybodyIsOwedTheSame: histories seal, veto and activate wherever
// they like. When all has matured and the last batch is active, each payee's leaf is the sum of all that
// was ever payable to it, and the root is that of these leaves.
func TestHoweverTheLogIsCutIntoBatchesEverybodyIsOwedTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t, historySteps)
		h.finish()
		ever := map[domain.ProviderID]domain.Nano{}
		for _, ledger := range h.ledger[1:] {
			for _, raw := range ledger {
				for _, fact := range h.decode(raw).GetAnswer().GetFacts() {
					for _, p := range fact.Postings {
						if p.Kind == v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE {
							ever[domain.ProviderID(p.Owner)] += domain.Nano(p.AmountNano)
						}
					}
				}
			}
		}
		var leaves []settlement.Leaf
		for payee, amount := range ever {
			leaves = append(leaves, settlement.Leaf{Payee: payee, Cumulative: amount})
		}
		settlement.SortLeaves(leaves)
		root, err := settlement.Root(leaves)
		if err != nil {
			t.Fatal(err)
		}
		b := h.states[domain.Control].control.batches
		for _, leaf := range leaves {
			if b.committed.Of(leaf.Payee) != leaf.Cumulative {
				t.Fatalf("%s was owed %d and got %d", h.nameOf(leaf.Payee[:]), leaf.Cumulative, b.committed.Of(leaf.Payee))
			}
		}
		if len(leaves) > 0 && h.roots[fmt.Sprintf("root.%d", b.last)] != root {
			t.Fatalf("root is %x, over all it is %x", h.roots[fmt.Sprintf("root.%d", b.last)], root)
		}
	})
}

// finish lets everything mature, and seals until nobody is owed anything.
func (h *history) finish() {
	h.Helper()
	h.play(`admin: set_network max_job_timeout_ms=10m max_open_jobs=3 maturity_bucket_ms=1m payout_threshold_nano=1n batch_payees=1
admin: set_dispute_policy window_ms=0 resolve_within_ms=1ms default_refund_permille=0`)
	for range 3 { // open jobs expire, then what they earned matures
		h.nowMs += 4 * 24 * 60 * 60 * 1000
		h.play("clock@1: tick\nclock@2: tick")
	}
	b := h.states[domain.Control].control.batches
	for range 20 {
		if open := b.open; open != nil {
			root := fmt.Sprintf("root.%d", b.last)
			if !open.proposed {
				h.play(fmt.Sprintf("watcher: observe_proposal number=%d payout_root=%s tx_hash=x lt=1", b.last, root))
			}
			h.play(fmt.Sprintf("watcher: observe_activation number=%d payout_root=%s tx_hash=x lt=1", b.last, root))
		}
		owed := false
		for key, amount := range h.balances() {
			owed = owed || key.kind == v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE && amount > 0
		}
		if !owed {
			return
		}
		h.play("settler: seal_batch")
	}
	h.Fatalf("twenty batches of one payee were not enough for three payees")
}
