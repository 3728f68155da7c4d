package auditor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// maxLooks is how often the vault is looked at until nothing happens between its history and its state:
// a vault does something every few seconds at most, and a look takes less than one.
const maxLooks = 10

// vault is what the chain says of the vault, as of one block.
type vault struct {
	seen      settlement.Seen
	events    int64
	proposals map[uint32]*v1.ObserveProposal
	active    *v1.ObserveActivation // the latest
	paid      domain.Nano
	otherwise map[uint32]bool // batches that were named already
	// What is not booked yet, because it is younger than all that a watcher brought.
	pending               int64
	pendingIn, pendingOut domain.Nano
	readTo                uint64 // logical time
	// offences are those of events. They come after those of batches, which say the most.
	offences offences
}

// readChain compares the vault's history with what is booked of it, event by event and both ways, and
// its state with the batches.
func (a *audit) readChain(ctx context.Context) Step {
	step := Step{Name: "chain"}
	switch {
	case a.cfg.Chain == nil:
		return step.skip("no chain was given: nobody vouches for the log as a whole")
	case len(a.shards) == 0:
		return step.skip("the ledger was not made again")
	}
	a.progress.begin(a.cfg.Progress, 0, "reading the chain")
	for _, shard := range a.shards {
		slices.SortStableFunc(shard.books.booked, func(a, b bookedEvent) int { return a.compare(b.event) })
	}
	v := &vault{proposals: map[uint32]*v1.ObserveProposal{}, otherwise: map[uint32]bool{}}
	defer func() { a.offences.join(v.offences.list, v.offences.totals) }()
	if err := a.lookAtVault(ctx, v); err != nil {
		return step.stop(err)
	}
	a.vault = v
	if err := a.compareRoots(ctx); err != nil {
		step = step.stop(err)
	}
	a.findInvented(ctx)
	booked := v.events - v.pending
	return step.done(count(booked, "events booked"), count(v.pending, "events not booked yet"))
}

// lookAtVault reads the history and the state such that nothing happened in between.
func (a *audit) lookAtVault(ctx context.Context, v *vault) error {
	if _, err := a.drain(ctx, v); err != nil {
		return err
	}
	for range maxLooks {
		var err error
		if v.seen, err = a.cfg.Chain.Look(ctx); err != nil {
			return fmt.Errorf("look at the vault: %w", err)
		}
		if moved, err := a.drain(ctx, v); err != nil || !moved {
			return err
		}
	}
	return errRestless
}

var (
	errRestless  = errors.New("the vault did not hold still for a look")
	errNoEvent   = errors.New("is no event of the vault")
	errToldTwice = errors.New("is told of twice by the chain's history")
)

// drain takes in the history up to its present end.
func (a *audit) drain(ctx context.Context, v *vault) (moved bool, err error) {
	for {
		claims, upTo, err := a.cfg.Chain.Next(ctx)
		if err != nil {
			return moved, fmt.Errorf("history of the vault from logical time %d: %w", v.readTo, err)
		}
		if len(claims) == 0 && upTo == v.readTo {
			return moved, nil
		}
		moved, v.readTo = true, upTo
		for _, claim := range claims {
			if err := a.match(ctx, v, claim); err != nil {
				return moved, err
			}
		}
		a.progress.add(int64(len(claims)))
	}
}

// match looks for one event of the chain in the books.
func (a *audit) match(ctx context.Context, v *vault, claim *v1.Claim) error {
	e, is := eventOf(claim)
	if !is {
		return fmt.Errorf("%T: %w", claim.Body, errNoEvent)
	}
	v.events++
	amount, err := v.note(claim)
	if err != nil {
		return fmt.Errorf("%s at logical time %d: %w", e.kind, e.lt, err)
	}
	shard := domain.Control
	if body := claim.GetObserveDeposit(); body != nil {
		shard = domain.ShardOf(domain.AccountID(body.Account), len(a.shards)-1)
	}
	r := a.shards[shard]
	booked := r.books.find(e.kind, e.lt)
	switch {
	case booked == nil && e.lt > r.books.heardTo:
		v.pending++
		return v.wait(e.kind, amount)
	case booked == nil && e.kind == proposal && r.books.vetoed(claim.GetObserveProposal().Number):
		// Not the ledger's root, and it came to nothing.
	case booked == nil:
		v.offences.add(Offence{
			Kind: UnbookedEvent, Log: OnChain, LT: e.lt, Tx: e.tx.String(), Follows: show(claim),
			Why: fmt.Sprintf("a %s that the ledger of shard %d passed over: later ones were brought to it", e.kind, shard),
		})
	case booked.onChain:
		return fmt.Errorf("%s at logical time %d: %w", e.kind, e.lt, errToldTwice)
	default:
		booked.onChain = true
		if booked.digest != e.digest {
			v.offences.add(a.otherwise(ctx, shard, booked, claim))
		}
	}
	return nil
}

// otherwise is a booked event that is not what the chain says it was.
func (a *audit) otherwise(ctx context.Context, shard domain.Shard, booked *bookedEvent, claim *v1.Claim) Offence {
	o := Offence{
		Kind: ChangedEvent, Log: Ledger, At: placeOf(shard, booked.offset), LT: booked.lt, Tx: booked.tx.String(), Follows: show(claim),
		Why: fmt.Sprintf("books a %s otherwise than it was on chain", booked.kind),
	}
	if stored := a.bookedAt(ctx, shard, booked); stored != nil {
		o.Field, o.Have, o.Want = firstDifference(stored.ProtoReflect(), claim.ProtoReflect())
		o.Stored = show(stored)
	}
	return o
}

// note takes in what an event says of the vault, and returns the coins that it moved.
func (v *vault) note(claim *v1.Claim) (domain.Nano, error) {
	switch body := claim.Body.(type) {
	case *v1.Claim_ObserveDeposit:
		return domain.Nano(body.ObserveDeposit.AmountNano), nil
	case *v1.Claim_ObserveProposal:
		v.proposals[body.ObserveProposal.Number] = body.ObserveProposal
	case *v1.Claim_ObserveActivation:
		v.active = body.ObserveActivation
	case *v1.Claim_ObservePayout:
		amount := domain.Nano(body.ObservePayout.AmountNano)
		var err error
		v.paid, err = v.paid.Add(amount)
		return amount, err
	}
	return 0, nil
}

func (v *vault) wait(kind eventKind, amount domain.Nano) (err error) {
	switch kind {
	case deposit:
		v.pendingIn, err = v.pendingIn.Add(amount)
	case payout:
		v.pendingOut, err = v.pendingOut.Add(amount)
	case proposal, activation, veto:
	}
	return err
}

// bookedAt reads a booked event again; nil where it can't be had any more.
func (a *audit) bookedAt(ctx context.Context, shard domain.Shard, booked *bookedEvent) *v1.Claim {
	records, err := a.cfg.Ledger.Read(ctx, shard, booked.offset, 1)
	if err != nil || len(records) == 0 {
		return nil
	}
	entry, err := eventstore.DecodeEntry(shard, records[0])
	if err != nil {
		return nil
	}
	for _, fact := range entry.GetAnswer().GetFacts() {
		if claim := bookedClaim(fact); claim != nil {
			if e, _ := eventOf(claim); e == booked.event {
				return claim
			}
		}
	}
	return nil
}

// findInvented names what is booked and never was on chain.
func (a *audit) findInvented(ctx context.Context) {
	for _, r := range a.shards {
		for i := range r.books.booked {
			booked := &r.books.booked[i]
			if booked.onChain {
				continue
			}
			o := Offence{
				Kind: InventedEvent, Log: Ledger, At: placeOf(r.shard, booked.offset), LT: booked.lt, Tx: booked.tx.String(),
				Why: fmt.Sprintf("books a %s that the chain, read to logical time %d, does not know", booked.kind, a.vault.readTo),
			}
			if stored := a.bookedAt(ctx, r.shard, booked); stored != nil {
				o.Stored = show(stored)
			}
			if other := r.books.sameTransaction(booked); other != nil {
				o.Kind = BookedTwice
				o.Why = fmt.Sprintf("books a %s again: entry %d/%d has its transaction", booked.kind, r.shard, other.offset)
			}
			a.vault.offences.add(o)
		}
	}
}

// sameTransaction returns another event of the same kind and transaction that was on chain.
func (b *books) sameTransaction(event *bookedEvent) *bookedEvent {
	for i := range b.booked {
		if other := &b.booked[i]; other.onChain && other.tx == event.tx && other.kind == event.kind {
			return other
		}
	}
	return nil
}

// compareRoots compares the sealed batches with what the vault took: each root, and of the active and
// the pending one all that the vault keeps. The commitment of a batch covers the whole log up to its
// cut, so the latest vouches for all before it.
func (a *audit) compareRoots(ctx context.Context) error {
	v := a.vault
	sealed := map[uint32]sealedBatch{}
	for _, batch := range a.shards[domain.Control].books.sealed {
		sealed[batch.number] = batch
	}
	for i := range a.report.Batches {
		row := &a.report.Batches[i]
		proposal := v.proposals[row.Number]
		if proposal == nil {
			continue
		}
		row.ChainRoot = hex.EncodeToString(proposal.PayoutRoot)
		row.Equal = row.LogRoot == row.Root && row.ChainRoot == row.Root
		if row.Root != row.ChainRoot && row.State != projections.BatchVetoed {
			a.onChain(ctx, sealed, row.Number, "payout_root", row.ChainRoot, row.Root)
		}
	}
	if v.active != nil && v.active.Number != v.seen.Active.Epoch {
		a.onChain(ctx, sealed, v.active.Number, "number", fmt.Sprint(v.seen.Active.Epoch), fmt.Sprint(v.active.Number))
	}
	if err := a.compareRoot(ctx, sealed, v.seen.Active); err != nil {
		return err
	}
	if v.seen.Pending != nil {
		if err := a.compareRoot(ctx, sealed, *v.seen.Pending); err != nil {
			return err
		}
	}
	if v.seen.Paid != v.paid {
		a.offences.add(Offence{
			Kind: BatchOnChain, Log: OnChain, Field: "paid", Have: v.seen.Paid.String(), Want: v.paid.String(),
			Why: "the vault counts another sum of payouts than its history has",
		})
	}
	return a.findDivergence(ctx, sealed)
}

// compareRoot compares a root as the vault keeps it with the sealed batch.
func (a *audit) compareRoot(ctx context.Context, sealed map[uint32]sealedBatch, have settlement.OnChain) error {
	if have.Epoch == 0 {
		return nil
	}
	batch, is := sealed[have.Epoch]
	if !is {
		young, err := a.sealedSince(ctx, have.Epoch)
		if err != nil || young || a.shards[domain.Control].summary.Why != "" {
			return err
		}
		a.offences.add(Offence{
			Kind: BatchOnChain, Log: OnChain, Batch: have.Epoch, Field: "payout_root", Have: have.Root.String(),
			Why: "the vault has a batch that the ledger did not seal",
		})
		return nil
	}
	want := batch.root
	switch {
	case have.Root != want.Root:
		a.onChain(ctx, sealed, batch.number, "payout_root", have.Root.String(), want.Root.String())
	case have.Total != want.Total:
		a.onChain(ctx, sealed, batch.number, "total_nano", fmt.Sprint(int64(have.Total)), fmt.Sprint(int64(want.Total)))
	case have.Commitment != want.Commitment:
		a.onChain(ctx, sealed, batch.number, "commitment", have.Commitment.String(), want.Commitment.String())
	}
	return nil
}

// sealedSince tells whether control sealed a batch after this audit began. A batch is sealed before the
// vault hears of it, and the vault was looked at last, so control has it by now.
func (a *audit) sealedSince(ctx context.Context, number uint32) (found bool, err error) {
	control := a.shards[domain.Control]
	end, err := a.cfg.Ledger.End(ctx, domain.Control)
	if err != nil {
		return false, fmt.Errorf("end of control: %w", err)
	}
	err = eventstore.Each(ctx, a.cfg.Ledger, domain.Control, control.end, end, func(record eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(domain.Control, record)
		if err != nil {
			return err
		}
		for _, fact := range entry.GetAnswer().GetFacts() {
			found = found || fact.GetBatchSealed().GetNumber() == number
		}
		return nil
	})
	return found, err
}

// onChain notes once for each batch that the vault has another one than was sealed.
func (a *audit) onChain(ctx context.Context, sealed map[uint32]sealedBatch, number uint32, field, have, want string) {
	batch, is := sealed[number]
	if !is || a.vault.otherwise[number] {
		return
	}
	a.vault.otherwise[number] = true
	for i := range a.report.Batches {
		if row := &a.report.Batches[i]; row.Number == number {
			row.Equal = false
		}
	}
	a.offences.add(Offence{
		Kind: BatchOnChain, Log: Ledger, At: placeOf(domain.Control, batch.offset), Batch: number,
		Field: field, Have: have, Want: want, Stored: a.showSealed(ctx, batch), Why: "the vault took another batch than was sealed",
	})
}
