package recount

import (
	"errors"
	"fmt"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// leg is a posting that docs/money.md, "What each fact posts", asks for.
type leg struct {
	account Account
	amount  int64
}

func available(owner []byte) Account {
	return accountOf(v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, owner)
}
func reserved(owner []byte) Account {
	return accountOf(v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, owner)
}
func earned(owner []byte) Account {
	return accountOf(v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED, owner)
}
func held(owner []byte) Account { return accountOf(v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD, owner) }
func payable(owner []byte) Account {
	return accountOf(v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE, owner)
}
func committed(owner []byte) Account {
	return accountOf(v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED, owner)
}

var (
	commission = Account{Kind: v1.AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION}
	slashed    = Account{Kind: v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED}
	cash       = Account{Kind: v1.AccountKind_ACCOUNT_KIND_VAULT_CASH}
)

func move(amount int64, from, to Account) []leg { return []leg{{from, -amount}, {to, amount}} }

var (
	errNoJob    = errors.New("is about a job that is not open")
	errNoCard   = errors.New("names a rate card that control never set")
	errNotRated = errors.New("costs more than an int64 holds")
	errNoBatch  = errors.New("is about another batch than the latest")
)

// follow takes in what a fact says, and returns what it has to post. An error says that the ledger makes no sense: an
// audit that comes to this has named a greater offence already.
func (s *shard) follow(entry *v1.Entry, fact *v1.Fact) ([]leg, error) {
	switch body := fact.Body.(type) {
	case *v1.Fact_AccountFunded:
		return move(body.AccountFunded.AmountNano, cash, available(body.AccountFunded.Account)), nil
	case *v1.Fact_WithdrawalAccepted:
		w := body.WithdrawalAccepted
		return move(w.AmountNano, available(w.Account), payable(w.Destination)), nil
	case *v1.Fact_Adjusted:
		a := body.Adjusted
		return move(a.AmountNano, accountOf(a.FromKind, a.FromOwner), accountOf(a.ToKind, a.ToOwner)), nil
	case *v1.Fact_JobSubmitted:
		return s.submitted(body.JobSubmitted)
	case *v1.Fact_JobAssigned:
		return nil, s.assigned(body.JobAssigned)
	case *v1.Fact_JobMetered:
		return nil, s.metered(body.JobMetered)
	case *v1.Fact_JobCompleted:
		return s.ended(entry, body.JobCompleted, nil)
	case *v1.Fact_JobFailed:
		return s.ended(entry, body.JobFailed, (*v1.RateCard).GetFailedPermille)
	case *v1.Fact_JobCancelled:
		return s.ended(entry, body.JobCancelled, (*v1.RateCard).GetCancelledPermille)
	case *v1.Fact_JobExpired:
		return s.ended(entry, body.JobExpired, (*v1.RateCard).GetExpiredPermille)
	case *v1.Fact_JobDisputed:
		return s.disputed(body.JobDisputed)
	case *v1.Fact_DisputeResolved:
		return s.resolved(body.DisputeResolved)
	case *v1.Fact_PayReleased:
		return s.released(body.PayReleased)
	case *v1.Fact_PayRefused:
		return s.refused(body.PayRefused)
	case *v1.Fact_EarningsMatured:
		return s.matured(body.EarningsMatured), nil
	case *v1.Fact_HoldbackReleased:
		return s.holdbackReleased(body.HoldbackReleased), nil
	case *v1.Fact_HoldbackForfeited:
		return s.holdbackForfeited(body.HoldbackForfeited), nil
	case *v1.Fact_StandingSet:
		if set := body.StandingSet; set.Kind == v1.SubjectKind_SUBJECT_KIND_PROVIDER {
			s.standings[id(set.Subject)] = standing{int64(set.HoldbackPermille), int64(set.HoldBuckets)}
		}
	case *v1.Fact_RateCardSet:
		return nil, s.ownID("rate_card_set.rate_card", body.RateCardSet.RateCard, func() ([32]byte, error) { return cardID(body.RateCardSet.Card) })
	case *v1.Fact_ReputationPolicySet:
		set := body.ReputationPolicySet
		return nil, s.ownID("reputation_policy_set.id", set.Id, func() ([32]byte, error) { return policyID(set.Policy) })
	case *v1.Fact_BatchSealed:
		return s.batchSealed(body.BatchSealed), nil
	case *v1.Fact_BatchVetoed:
		return s.batchVetoed(body.BatchVetoed)
	case *v1.Fact_PayoutObserved:
		return move(body.PayoutObserved.AmountNano, committed(body.PayoutObserved.Payee), cash), nil
	}
	return nil, nil // facts that are not listed move nothing
}

// ownID compares the id of a thing that is named by its hash.
func (s *shard) ownID(field string, have []byte, hash func() ([32]byte, error)) error {
	want, err := hash()
	if err == nil && id(have) != want {
		s.disagreeText(field, fmt.Sprintf("%x", have), fmt.Sprintf("%x", want), "is not the hash of what it names")
	}
	return err
}

func (s *shard) submitted(fact *v1.JobSubmitted) ([]leg, error) {
	card := s.rules.cards[id(fact.RateCard)]
	if card == nil {
		return nil, fmt.Errorf("job_submitted.rate_card %x: %w", fact.RateCard, errNoCard)
	}
	want, ok := worstCase(card, fact.Terms)
	if !ok {
		return nil, fmt.Errorf("job_submitted %x: %w", fact.Job, errNotRated)
	}
	s.equal("job_submitted.reserved_nano", fact.ReservedNano, want, "is not the worst case that the terms allow")
	account := fact.Terms.GetAccount()
	s.jobs[id(fact.Job)] = &job{
		account: id(account), card: id(fact.RateCard), reserved: fact.ReservedNano, usage: &v1.Usage{},
	}
	return move(fact.ReservedNano, available(account), reserved(account)), nil
}

// equal compares two numbers.
func (s *shard) equal(field string, have, want int64, why string) {
	if have != want {
		s.disagree(field, have, want, why)
	}
}

// job returns one that is remembered, and in the state that a fact is for.
func (s *shard) job(name []byte, closed bool) (*job, error) {
	j := s.jobs[id(name)]
	if j == nil || j.closed != closed {
		return nil, fmt.Errorf("job %x: %w", name, errNoJob)
	}
	return j, nil
}

func (s *shard) assigned(fact *v1.JobAssigned) error {
	j, err := s.job(fact.Job, false)
	if err == nil {
		j.provider, j.coefficient = id(fact.Provider), fact.Coefficient
	}
	return err
}

func (s *shard) metered(fact *v1.MeterJob) error {
	j, err := s.job(fact.Job, false)
	if err == nil {
		j.usage = fact.Usage
	}
	return err
}

// ended rates a job again. One that completed is charged whole and brings its last count with it; of the others a part
// of what was metered is charged.
func (s *shard) ended(entry *v1.Entry, fact *v1.JobClosed, part func(*v1.RateCard) uint32) ([]leg, error) {
	j, err := s.job(fact.Job, false)
	if err != nil {
		return nil, err
	}
	card := s.rules.cards[j.card]
	usage, thousandths := fact.Usage, int64(1000)
	if part != nil {
		usage, thousandths = j.usage, int64(part(card))
	}
	cost, ok := rate(card, j.coefficient, usage)
	if !ok {
		return nil, fmt.Errorf("job %x: %w", fact.Job, errNotRated)
	}
	s.totals.Charges++
	charge, worker := permille(cost.charge, thousandths), permille(cost.worker, thousandths)
	s.equal("job_closed.adjusted_tokens", fact.AdjustedTokens, cost.adjustedTokens, "is not what its usage comes to")
	s.equal("job_closed.charge_nano", fact.ChargeNano, charge, "is not what its usage costs under its rate card")
	s.equal("job_closed.worker_nano", fact.WorkerNano, worker, "is not the worker's part under its rate card")
	s.equal("job_closed.commission_nano", fact.CommissionNano, charge-worker, "charge and worker's part leave another commission")
	s.equal("job_closed.released_nano", fact.ReleasedNano, j.reserved-charge, "is not what is left of the reservation")
	if id(fact.RateCard) != j.card {
		s.disagreeText("job_closed.rate_card", fmt.Sprintf("%x", fact.RateCard), fmt.Sprintf("%x", j.card), "is another than when it was submitted")
	}
	if charge > 0 {
		bucketMs := s.force.network.MaturityBucketMs
		want := ((entry.AtMs+s.force.disputes.WindowMs)/max(bucketMs, 1) + 1) * bucketMs
		s.equal("job_closed.disputable_until_ms", fact.DisputableUntilMs, want, "is not the end of its bucket")
	}
	legs := []leg{
		{reserved(j.account[:]), -j.reserved},
		{available(j.account[:]), j.reserved - charge},
		{commission, charge - worker},
	}
	j.closed, j.charge, j.worker, j.bucketMs, j.held, j.usage = true, charge, worker, fact.DisputableUntilMs, fact.Hold != nil, nil
	switch {
	case charge == 0:
		delete(s.jobs, id(fact.Job))
	case j.held:
		legs = append(legs, leg{held(j.provider[:]), worker})
	default:
		s.earn(id(fact.Job), j)
		legs = append(legs, leg{earned(j.provider[:]), worker})
	}
	return legs, nil
}

// earn puts a job into the bucket that it matures with.
func (s *shard) earn(name [32]byte, j *job) {
	key := bucketOf{j.provider, j.bucketMs}
	b := s.buckets[key]
	if b == nil {
		b = &bucket{jobs: map[[32]byte]struct{}{}}
		s.buckets[key] = b
	}
	b.jobs[name] = struct{}{}
	b.sum += j.worker
}

func (s *shard) disputed(fact *v1.JobDisputed) ([]leg, error) {
	j, err := s.job(fact.Job, true)
	if err != nil {
		return nil, err
	}
	s.equal("job_disputed.held_nano", fact.HeldNano, j.worker, "is not the worker's part")
	j.disputed = true
	if j.held { // it is where it should be
		return nil, nil
	}
	key := bucketOf{j.provider, j.bucketMs}
	if b := s.buckets[key]; b != nil {
		b.sum -= j.worker
		if delete(b.jobs, id(fact.Job)); len(b.jobs) == 0 {
			delete(s.buckets, key)
		}
	}
	return move(j.worker, earned(j.provider[:]), held(j.provider[:])), nil
}

func (s *shard) resolved(fact *v1.DisputeResolved) ([]leg, error) {
	j, err := s.job(fact.Job, true)
	if err != nil {
		return nil, err
	}
	refund, fromWorker := permille(j.charge, int64(fact.RefundPermille)), permille(j.worker, int64(fact.RefundPermille))
	rest := j.worker - fromWorker
	s.equal("dispute_resolved.refund_nano", fact.RefundNano, refund, "is not that part of the charge")
	s.equal("dispute_resolved.from_worker_nano", fact.FromWorkerNano, fromWorker, "is not that part of the worker's part")
	s.equal("dispute_resolved", fact.ReleasedNano+fact.SlashedNano+fact.HeldNano, rest, "the rest of the worker's part goes somewhere")
	legs := []leg{{held(j.provider[:]), -j.worker}, {commission, fromWorker - refund}, {available(j.account[:]), refund}}
	switch {
	case fact.HeldNano > 0: // the dispute is over, and the pay waits for the attestation
		legs = append(legs, leg{held(j.provider[:]), rest})
		j.disputed, j.charge, j.worker = false, j.charge-refund, rest
		return legs, nil
	case fact.SlashedNano > 0:
		legs = append(legs, leg{slashed, rest})
	default:
		legs = append(legs, leg{payable(j.provider[:]), rest})
	}
	delete(s.jobs, id(fact.Job))
	return legs, nil
}

func (s *shard) released(fact *v1.PayReleased) ([]leg, error) {
	j, err := s.job(fact.Job, true)
	if err != nil {
		return nil, err
	}
	j.held = false
	if j.disputed {
		s.equal("pay_released.amount_nano", fact.AmountNano, 0, "the job is disputed: nothing is released")
		return nil, nil
	}
	s.equal("pay_released.amount_nano", fact.AmountNano, j.worker, "is not what was held")
	j.bucketMs = fact.BucketMs
	s.earn(id(fact.Job), j)
	return move(j.worker, held(j.provider[:]), earned(j.provider[:])), nil
}

func (s *shard) refused(fact *v1.PayRefused) ([]leg, error) {
	j, err := s.job(fact.Job, true)
	if err != nil {
		return nil, err
	}
	delete(s.jobs, id(fact.Job))
	s.equal("pay_refused.refund_nano", fact.RefundNano, j.charge, "is not the whole charge")
	s.equal("pay_refused.from_worker_nano", fact.FromWorkerNano, j.worker, "is not the whole of the worker's part")
	return []leg{{held(j.provider[:]), -j.worker}, {commission, j.worker - j.charge}, {available(j.account[:]), j.charge}}, nil
}

func (s *shard) matured(fact *v1.EarningsMatured) []leg {
	s.totals.Matured++
	key := bucketOf{id(fact.Provider), fact.BucketMs}
	var sum int64
	if b := s.buckets[key]; b != nil {
		sum = b.sum
		for name := range b.jobs {
			delete(s.jobs, name)
		}
		delete(s.buckets, key)
	}
	s.equal("earnings_matured.amount_nano", fact.AmountNano, sum, "is not what was earned in the bucket and is not disputed")
	back, untilMs := s.holdback(key, sum)
	s.equal("earnings_matured.held_nano", fact.HeldNano, back, "is not what the provider's standing says")
	s.equal("earnings_matured.held_until_ms", fact.HeldUntilMs, untilMs, "is not what the provider's standing says")
	if back > 0 {
		s.heldBack[key] = back
	}
	return []leg{{earned(fact.Provider), -sum}, {payable(fact.Provider), sum - back}, {held(fact.Provider), back}}
}

// holdback is docs/reputation.md, "Holdback".
func (s *shard) holdback(key bucketOf, sum int64) (amount, untilMs int64) {
	policy := s.force.reputation
	if policy == nil {
		return 0, 0
	}
	st, known := s.standings[key.provider]
	if !known {
		st = newcomer(policy)
	}
	if amount = permille(sum, st.permille); amount == 0 {
		return 0, 0
	}
	return amount, key.endMs + st.buckets*s.force.network.MaturityBucketMs
}

func (s *shard) holdbackReleased(fact *v1.HoldbackReleased) []leg {
	key := bucketOf{id(fact.Provider), fact.BucketMs}
	amount := s.heldBack[key]
	delete(s.heldBack, key)
	s.equal("holdback_released.amount_nano", fact.AmountNano, amount, "is not what was held back of the bucket")
	return move(amount, held(fact.Provider), payable(fact.Provider))
}

func (s *shard) holdbackForfeited(fact *v1.HoldbackForfeited) []leg {
	key := bucketOf{id(fact.Provider), fact.BucketMs}
	taken := permille(s.heldBack[key], forfeitPermille(s.force.reputation, fact.Cause))
	s.equal("holdback_forfeited.amount_nano", fact.AmountNano, taken, "is not the part that the policy names")
	if s.heldBack[key] -= taken; s.heldBack[key] == 0 {
		delete(s.heldBack, key)
	}
	return move(taken, held(fact.Provider), slashed)
}

func (s *shard) batchSealed(fact *v1.SealBatch) []leg {
	var legs []leg
	for _, line := range fact.Lines {
		s.promised[id(line.Payee)] += line.DeltaNano
		legs = append(legs, move(line.DeltaNano, payable(line.Payee), committed(line.Payee))...)
	}
	s.last = fact
	return legs
}

func (s *shard) batchVetoed(fact *v1.ObserveVeto) ([]leg, error) {
	if s.last.GetNumber() != fact.Number {
		return nil, fmt.Errorf("batch_vetoed %d: %w", fact.Number, errNoBatch)
	}
	var legs []leg
	for _, line := range s.last.Lines {
		s.promised[id(line.Payee)] -= line.DeltaNano
		legs = append(legs, move(line.DeltaNano, committed(line.Payee), payable(line.Payee))...)
	}
	return legs, nil
}
