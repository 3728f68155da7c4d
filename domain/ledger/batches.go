package ledger

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// batches is what control knows of settlement: per payee all that was ever committed and all that was
// seen paid, and the one batch that may be on its way.
type batches struct {
	last         uint32 // number of the latest batch, whatever became of it
	lastCut      []int64
	committed    settlement.Tree // all that batches ever gave each payee, the open one's included
	paid         map[domain.ProviderID]domain.Nano
	lastPayoutLT uint64
	open         *openBatch // sealed or proposed; nil when the last one is active or vetoed
}

func newBatches() *batches {
	return &batches{paid: map[domain.ProviderID]domain.Nano{}}
}

func (b *batches) evolve(fact *v1.Fact) {
	switch body := fact.Body.(type) {
	case *v1.Fact_BatchSealed:
		b.evolveSealed(body.BatchSealed)
	case *v1.Fact_BatchProposed:
		b.open.proposed = true
	case *v1.Fact_BatchActivated:
		b.open = nil
	case *v1.Fact_BatchVetoed:
		b.evolveVetoed()
	case *v1.Fact_EpochVoided:
		b.last = body.EpochVoided.Number
	case *v1.Fact_PayoutObserved:
		b.evolvePayout(body.PayoutObserved)
	}
}

type openBatch struct {
	number uint32
	root   domain.Digest
	lines  []*v1.PayoutLine
	// What was before it, and is again if it is vetoed.
	before    settlement.Tree
	cutBefore []int64
	proposed  bool
}

// of is what the batch adds to a payee; its lines are in ascending order. No batch adds nothing.
func (o *openBatch) of(payee domain.ProviderID) domain.Nano {
	if o == nil {
		return 0
	}
	i, found := slices.BinarySearchFunc(o.lines, payee[:], func(line *v1.PayoutLine, payee []byte) int {
		return bytes.Compare(line.Payee, payee)
	})
	if !found {
		return 0
	}
	return domain.Nano(o.lines[i].DeltaNano)
}

// decideSealBatch accepts a batch only if everything in it that control can know is true: the lines
// go on from what was committed, and the root is the root of all payees with these lines. Whether the
// lines are what the shards owe at the cut, the settler's claim says and the audit checks.
func (s *State) decideSealBatch(who principal, claim *v1.SealBatch) *v1.Fact {
	b, params := s.control.batches, s.control.params
	switch {
	case !who.may(v1.Role_ROLE_SETTLER):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case params == nil:
		return reject(v1.Reason_REASON_NOT_SET_UP, "network")
	case b.open != nil:
		return rejectNumber(v1.Reason_REASON_BATCH_OPEN, "number", int64(claim.Number), int64(b.open.number))
	case claim.Number != b.last+1:
		return rejectNumber(v1.Reason_REASON_WRONG_BATCH_NUMBER, "number", int64(claim.Number), int64(b.last+1))
	case len(claim.Cut) != s.control.dataShards+1:
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "cut", int64(len(claim.Cut)), int64(s.control.dataShards+1))
	case len(claim.LogRoots) != len(claim.Cut):
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "log_roots", int64(len(claim.LogRoots)), int64(len(claim.Cut)))
	case claim.Cut[domain.Control] > int64(s.nextEntry):
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "cut[0]", claim.Cut[domain.Control], int64(s.nextEntry))
	}
	for i, offset := range claim.Cut {
		if last := b.lastCutOf(i); offset < last {
			return rejectNumber(v1.Reason_REASON_CUT_WENT_BACK, fmt.Sprintf("cut[%d]", i), offset, last)
		}
	}
	if refusal := outOfRange("lines", int64(len(claim.Lines)), 1, int64(params.BatchPayees)); refusal != nil {
		return refusal
	}
	after, refusal := b.treeAfter(claim)
	if refusal != nil {
		return refusal
	}
	switch {
	case after.Root() != domain.Digest(claim.PayoutRoot):
		return reject(v1.Reason_REASON_WRONG_ROOT, "payout_root")
	case settlement.CommitmentOf(claim, settlement.PolicyOf(params)) != domain.Digest(claim.Commitment):
		return reject(v1.Reason_REASON_WRONG_ROOT, "commitment")
	}
	legs := make([]leg, 0, 2*len(claim.Lines))
	for _, line := range claim.Lines {
		payee, delta := domain.ProviderID(line.Payee), domain.Nano(line.DeltaNano)
		legs = append(legs, leg{payable(payee), -delta}, leg{committed(payee), delta})
	}
	return &v1.Fact{Postings: postings(legs...), Body: &v1.Fact_BatchSealed{BatchSealed: claim}}
}

// lastCutOf is where the last batch ended in a shard; before the first one everything is open.
func (b *batches) lastCutOf(shard int) int64 {
	if shard < len(b.lastCut) {
		return b.lastCut[shard]
	}
	return 0
}

// treeAfter returns the payout tree with the batch in it. It costs what the batch changes, however many payees
// there are.
func (b *batches) treeAfter(claim *v1.SealBatch) (settlement.Tree, *v1.Fact) {
	total := b.committed.Total()
	for i, line := range claim.Lines {
		if i > 0 {
			switch order := bytes.Compare(claim.Lines[i-1].Payee, line.Payee); {
			case order == 0:
				return settlement.Tree{}, reject(v1.Reason_REASON_ALREADY_EXISTS, fmt.Sprintf("lines[%d].payee", i))
			case order > 0:
				return settlement.Tree{}, reject(v1.Reason_REASON_OUT_OF_RANGE, fmt.Sprintf("lines[%d].payee", i))
			}
		}
		if line.DeltaNano <= 0 {
			return settlement.Tree{}, rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, fmt.Sprintf("lines[%d].delta_nano", i), line.DeltaNano, 1)
		}
		var err error
		if total, err = total.Add(domain.Nano(line.DeltaNano)); err != nil {
			return settlement.Tree{}, reject(v1.Reason_REASON_AMOUNT_OVERFLOW, fmt.Sprintf("lines[%d].delta_nano", i))
		}
		// No payee has more than the total, so this can't overflow.
		after := b.committed.Of(domain.ProviderID(line.Payee)) + domain.Nano(line.DeltaNano)
		if after != domain.Nano(line.CumulativeNano) {
			return settlement.Tree{}, rejectNumber(v1.Reason_REASON_WRONG_BATCH_TOTAL, fmt.Sprintf("lines[%d].cumulative_nano", i), line.CumulativeNano, int64(after))
		}
	}
	if total != domain.Nano(claim.TotalNano) {
		return settlement.Tree{}, rejectNumber(v1.Reason_REASON_WRONG_BATCH_TOTAL, "total_nano", claim.TotalNano, int64(total))
	}
	tree, err := b.committed.With(leavesOf(claim.Lines))
	switch {
	case err != nil: // it would be a bug of ours: order, amounts and total were checked above
		return tree, reject(v1.Reason_REASON_WRONG_ROOT, clip("lines: "+err.Error()))
	case tree.Payees() != int(claim.Payees):
		return tree, rejectNumber(v1.Reason_REASON_WRONG_BATCH_TOTAL, "payees", claim.Payees, int64(tree.Payees()))
	}
	return tree, nil
}

func leavesOf(lines []*v1.PayoutLine) []settlement.Leaf {
	leaves := make([]settlement.Leaf, len(lines))
	for i, line := range lines {
		leaves[i] = settlement.Leaf{Payee: domain.ProviderID(line.Payee), Cumulative: domain.Nano(line.CumulativeNano)}
	}
	return leaves
}

func (b *batches) evolveSealed(fact *v1.SealBatch) {
	b.open = &openBatch{number: fact.Number, root: domain.Digest(fact.PayoutRoot), lines: fact.Lines, before: b.committed, cutBefore: b.lastCut}
	b.last, b.lastCut = fact.Number, fact.Cut
	after, err := b.committed.With(leavesOf(fact.Lines))
	if err != nil {
		panic(fmt.Sprintf("ledger: batch %d, which was decided: %v", fact.Number, err))
	}
	b.committed = after
}

// refuseObserved checks that what a watcher saw is about the open batch.
func (s *State) refuseObserved(who principal, number uint32, proposed bool) *v1.Fact {
	open := s.control.batches.open
	switch {
	case !who.may(v1.Role_ROLE_WATCHER):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case number != s.control.batches.last:
		return rejectNumber(v1.Reason_REASON_WRONG_BATCH_NUMBER, "number", int64(number), int64(s.control.batches.last))
	case open == nil || open.proposed != proposed:
		return reject(v1.Reason_REASON_WRONG_BATCH_STATE, "number")
	}
	return nil
}

func (s *State) decideObserveProposal(who principal, claim *v1.ObserveProposal) *v1.Fact {
	if refusal := s.refuseObserved(who, claim.Number, false); refusal != nil {
		return refusal
	}
	if s.control.batches.open.root != domain.Digest(claim.PayoutRoot) {
		return reject(v1.Reason_REASON_WRONG_ROOT, "payout_root")
	}
	return &v1.Fact{Body: &v1.Fact_BatchProposed{BatchProposed: claim}}
}

func (s *State) decideObserveActivation(who principal, claim *v1.ObserveActivation) *v1.Fact {
	if refusal := s.refuseObserved(who, claim.Number, true); refusal != nil {
		return refusal
	}
	if s.control.batches.open.root != domain.Digest(claim.PayoutRoot) {
		return reject(v1.Reason_REASON_WRONG_ROOT, "payout_root")
	}
	return &v1.Fact{Body: &v1.Fact_BatchActivated{BatchActivated: claim}}
}

// decideObserveVeto undoes a batch: what it committed is payable again, and goes into the next one. The batch
// need not have been seen proposed: a veto uses its number up, whatever root somebody proposed under it. So does the
// veto of a root that was never sealed, by a thief of the treasury's key: its number is void, and nothing moves.
func (s *State) decideObserveVeto(who principal, claim *v1.ObserveVeto) *v1.Fact {
	open := s.control.batches.open
	if next := s.control.batches.last + 1; open == nil && claim.Number >= next && who.may(v1.Role_ROLE_WATCHER) {
		if claim.Number > next {
			return rejectNumber(v1.Reason_REASON_WRONG_BATCH_NUMBER, "number", int64(claim.Number), int64(next))
		}
		return &v1.Fact{Body: &v1.Fact_EpochVoided{EpochVoided: claim}}
	}
	if refusal := s.refuseObserved(who, claim.Number, open != nil && open.proposed); refusal != nil {
		return refusal
	}
	lines := s.control.batches.open.lines
	legs := make([]leg, 0, 2*len(lines))
	for _, line := range lines {
		payee, delta := domain.ProviderID(line.Payee), domain.Nano(line.DeltaNano)
		legs = append(legs, leg{committed(payee), -delta}, leg{payable(payee), delta})
	}
	return &v1.Fact{Postings: postings(legs...), Body: &v1.Fact_BatchVetoed{BatchVetoed: claim}}
}

func (b *batches) evolveVetoed() {
	b.committed, b.lastCut = b.open.before, b.open.cutBefore
	b.open = nil
}

// decideObservePayout books what the vault paid. It pays from the active root alone, so what an open
// batch adds is not owed yet.
func (s *State) decideObservePayout(who principal, claim *v1.ObservePayout) *v1.Fact {
	b, payee := s.control.batches, domain.ProviderID(claim.Payee)
	switch {
	case !who.may(v1.Role_ROLE_WATCHER):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case claim.Lt <= b.lastPayoutLT:
		return rejectNumber(v1.Reason_REASON_ALREADY_BOOKED, "lt", int64(claim.Lt), int64(b.lastPayoutLT+1))
	case claim.AmountNano <= 0:
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "amount_nano", claim.AmountNano, 1)
	}
	if owed := b.committed.Of(payee) - b.open.of(payee) - b.paid[payee]; domain.Nano(claim.AmountNano) > owed {
		return rejectNumber(v1.Reason_REASON_PAID_TOO_MUCH, "amount_nano", claim.AmountNano, int64(owed))
	}
	return &v1.Fact{
		Postings: move(domain.Nano(claim.AmountNano), committed(payee), vaultCash),
		Body:     &v1.Fact_PayoutObserved{PayoutObserved: claim},
	}
}

func (b *batches) evolvePayout(fact *v1.ObservePayout) {
	b.paid[domain.ProviderID(fact.Payee)] += domain.Nano(fact.AmountNano)
	b.lastPayoutLT = fact.Lt
}
