package auditor

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// books is what the checked entries of one shard say of money, of the chain and of batches. It is made
// from postings and facts alone, and shares no code with the ledger's state or the read models.
type books struct {
	shard    domain.Shard
	balances map[account]domain.Nano
	// booked are the chain's events in the ledger, 100 bytes for each deposit and payout.
	booked []bookedEvent
	// heardTo is the logical time of the latest event that a watcher brought, booked or rejected. What
	// the chain did after it is not offence but news.
	heardTo uint64
	sealed  []sealedBatch
	states  map[uint32]batchState
}

type account struct {
	kind  v1.AccountKind
	owner [32]byte
}

type bookedEvent struct {
	event
	offset  domain.Offset
	onChain bool
}

// sealedBatch is a batch without its lines: there may be thousands, and whoever needs them reads them again.
type sealedBatch struct {
	number uint32
	offset domain.Offset
	cut    []int64
	root   settlement.OnChain
	payees int64
}

// batchState is how a batch stands in the books, and the vault's transaction that made it so.
type batchState struct {
	state string
	tx    domain.Digest
}

func newBooks(shard domain.Shard) books {
	return books{shard: shard, balances: map[account]domain.Nano{}, states: map[uint32]batchState{}}
}

// post adds the postings of a fact, and says what can't be: an amount out of range, or a client below
// zero. A client's account has all its postings in one shard.
func (b *books) post(fact *v1.Fact) (why string) {
	for _, p := range fact.Postings {
		key := account{kind: p.Kind}
		copy(key.owner[:], p.Owner)
		sum, err := b.balances[key].Add(domain.Nano(p.AmountNano))
		if err != nil {
			return err.Error()
		}
		b.balances[key] = sum
	}
	for _, p := range fact.Postings {
		key := account{kind: p.Kind}
		copy(key.owner[:], p.Owner)
		if isClients(p.Kind) && b.balances[key] < 0 {
			return fmt.Sprintf("takes %s of %x to %s", projections.KindName(p.Kind), key.owner, b.balances[key])
		}
	}
	return ""
}

func isClients(kind v1.AccountKind) bool {
	return kind == v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE || kind == v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED
}

// note remembers what a fact says of the chain and of batches.
func (b *books) note(at domain.Offset, fact *v1.Fact, said *ledger.Said) {
	if sealed := fact.GetBatchSealed(); sealed != nil {
		b.sealed = append(b.sealed, sealedBatch{
			number: sealed.Number, offset: at, cut: sealed.Cut, root: settlement.OnChainOf(sealed), payees: sealed.Payees,
		})
		b.states[sealed.Number] = batchState{state: projections.BatchSealed}
	}
	if claim := bookedClaim(fact); claim != nil {
		e, _ := eventOf(claim)
		b.booked = append(b.booked, bookedEvent{event: e, offset: at})
		b.heardTo = max(b.heardTo, e.lt)
		b.noteState(fact, e.tx)
	}
	rejection := fact.GetRejection()
	if rejection == nil || fact.Claim == 0 || rejection.Reason == v1.Reason_REASON_ROLE_NOT_ALLOWED {
		return // anybody may say anything; only a watcher is heard
	}
	if e, is := eventOf(said.Report.Claims[fact.Claim-1]); is {
		b.heardTo = max(b.heardTo, e.lt)
	}
}

func (b *books) noteState(fact *v1.Fact, tx domain.Digest) {
	switch body := fact.Body.(type) {
	case *v1.Fact_BatchProposed:
		b.states[body.BatchProposed.Number] = batchState{projections.BatchProposed, tx}
	case *v1.Fact_BatchActivated:
		b.states[body.BatchActivated.Number] = batchState{projections.BatchActivated, tx}
	case *v1.Fact_BatchVetoed:
		b.states[body.BatchVetoed.Number] = batchState{projections.BatchVetoed, tx}
	case *v1.Fact_EpochVoided:
		b.states[body.EpochVoided.Number] = batchState{projections.BatchVoided, tx}
	}
}

// vetoed tells whether the guardian threw away what was proposed under a number, be it a batch of the ledger's or not.
func (b *books) vetoed(number uint32) bool {
	state := b.states[number].state
	return state == projections.BatchVetoed || state == projections.BatchVoided
}

// find returns the booked event of a kind at a logical time. The booked ones are in order.
func (b *books) find(kind eventKind, lt uint64) *bookedEvent {
	i, found := slices.BinarySearchFunc(b.booked, event{kind: kind, lt: lt}, func(e bookedEvent, want event) int { return e.compare(want) })
	if !found {
		return nil
	}
	return &b.booked[i]
}

// eventKind is what the vault did.
type eventKind uint8

const (
	deposit eventKind = iota + 1
	proposal
	activation
	veto
	payout
)

func (k eventKind) String() string {
	return [...]string{"", "deposit", "proposal", "activation", "veto", "payout"}[k]
}

// event is one thing that the vault did. A transaction does one thing of each kind at most.
type event struct {
	lt     uint64
	kind   eventKind
	tx     domain.Digest
	digest domain.Digest // of all that is claimed of it
}

func (e event) compare(other event) int {
	return cmp.Or(cmp.Compare(e.lt, other.lt), cmp.Compare(e.kind, other.kind))
}

// eventOf reads a watcher's claim; false for any other.
func eventOf(claim *v1.Claim) (event, bool) {
	var e event
	var tx []byte
	switch body := claim.Body.(type) {
	case *v1.Claim_ObserveDeposit:
		e.kind, e.lt, tx = deposit, body.ObserveDeposit.Lt, body.ObserveDeposit.TxHash
	case *v1.Claim_ObserveProposal:
		e.kind, e.lt, tx = proposal, body.ObserveProposal.Lt, body.ObserveProposal.TxHash
	case *v1.Claim_ObserveActivation:
		e.kind, e.lt, tx = activation, body.ObserveActivation.Lt, body.ObserveActivation.TxHash
	case *v1.Claim_ObserveVeto:
		e.kind, e.lt, tx = veto, body.ObserveVeto.Lt, body.ObserveVeto.TxHash
	case *v1.Claim_ObservePayout:
		e.kind, e.lt, tx = payout, body.ObservePayout.Lt, body.ObservePayout.TxHash
	default:
		return event{}, false
	}
	copy(e.tx[:], tx)
	raw, err := v1.Encode(claim)
	if err != nil { // of a chain that gives what no claim can hold: it is like nothing that was booked
		return e, true
	}
	e.digest = sha256.Sum256(raw)
	return e, true
}

// bookedClaim returns the claim that a fact about the chain repeats; nil for other facts.
func bookedClaim(fact *v1.Fact) *v1.Claim {
	switch body := fact.Body.(type) {
	case *v1.Fact_AccountFunded:
		return &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: body.AccountFunded}}
	case *v1.Fact_BatchProposed:
		return &v1.Claim{Body: &v1.Claim_ObserveProposal{ObserveProposal: body.BatchProposed}}
	case *v1.Fact_BatchActivated:
		return &v1.Claim{Body: &v1.Claim_ObserveActivation{ObserveActivation: body.BatchActivated}}
	case *v1.Fact_BatchVetoed:
		return &v1.Claim{Body: &v1.Claim_ObserveVeto{ObserveVeto: body.BatchVetoed}}
	case *v1.Fact_EpochVoided:
		return &v1.Claim{Body: &v1.Claim_ObserveVeto{ObserveVeto: body.EpochVoided}}
	case *v1.Fact_PayoutObserved:
		return &v1.Claim{Body: &v1.Claim_ObservePayout{ObservePayout: body.PayoutObserved}}
	default:
		return nil
	}
}
