// Package forger knows how to rewrite a history as cleverly as whoever holds every key of a network can, so that tests can
// show what gives the rewriter away.
//
// It changes what was said, signs it again with the key of whoever said it, and makes all anew that follows: every decision
// and posting, every pin at its place, every batch with its lines, payout root, log roots and commitment, and what a watcher
// reported of roots. Records stay at their places and times. What the chain did, it can't change.
package forger

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Log is a log on paper: records by shard. It implements eventstore.Reader.
type Log [][]eventstore.Record

// Shards implements eventstore.Reader.
func (l Log) Shards() int { return len(l) }

// End implements eventstore.Reader.
func (l Log) End(_ context.Context, shard domain.Shard) (domain.Offset, error) {
	return domain.Offset(len(l[shard])), nil
}

// Read implements eventstore.Reader.
func (l Log) Read(_ context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	if int(from) > len(l[shard]) {
		return nil, eventstore.ErrGap
	}
	return l[shard][from:min(len(l[shard]), int(from)+limit)], nil
}

// Wait implements eventstore.Reader: nothing comes after what is there.
func (Log) Wait(ctx context.Context, _ domain.Shard, _ domain.Offset) error {
	<-ctx.Done()
	return ctx.Err()
}

// Copy is all that is in a log.
func Copy(ctx context.Context, from eventstore.Reader) (Log, error) {
	to := make(Log, from.Shards())
	for shard := range domain.Shard(from.Shards()) {
		end, err := from.End(ctx, shard)
		if err != nil {
			return nil, err
		}
		if err := eventstore.Each(ctx, from, shard, 0, end, func(r eventstore.Record) error {
			r.Value = slices.Clone(r.Value)
			to[shard] = append(to[shard], r)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return to, nil
}

// Forgery is a history that was rewritten.
type Forgery struct {
	Intake, Ledger Log
	// At is the entry that was rewritten first; all else follows from it.
	At domain.Position
}

// ErrNothing says that a change changed nothing.
var ErrNothing = errors.New("nothing was changed")

// Rewrite tells a history anew in which change has changed one claim. It is asked about every claim that the ledger accepted,
// shard by shard from the first one on, until it says that it has. Keys are those of everybody, by their public halves.
func Rewrite(
	ctx context.Context, was Forgery, keys map[domain.KeyID]ed25519.PrivateKey, change func(shard domain.Shard, claim *v1.Claim) bool,
) (*Forgery, error) {
	f := &forger{
		ctx: ctx, was: was, keys: keys, change: change, verifier: signing.NewVerifier(len(keys)), tables: projections.NewMemStore(),
		roots: map[uint32]pair{}, told: Forgery{Intake: make(Log, len(was.Intake)), Ledger: make(Log, len(was.Ledger))},
	}
	for shard := range was.Ledger {
		f.states = append(f.states, ledger.New(domain.Shard(shard)))
	}
	for shard := range was.Ledger {
		if err := f.advance(domain.Shard(shard), len(was.Ledger[shard])); err != nil {
			return nil, fmt.Errorf("rewrite shard %d: %w", shard, err)
		}
	}
	for shard, records := range was.Intake { // what is not answered yet
		f.told.Intake[shard] = append(f.told.Intake[shard], records[len(f.told.Intake[shard]):]...)
	}
	if f.change != nil {
		return nil, ErrNothing
	}
	return &f.told, nil
}

// pair is a payout root as it was, and as it is told.
type pair struct{ was, told []byte }

type forger struct {
	ctx      context.Context //nolint:containedctx // it lives as long as one call
	was      Forgery
	told     Forgery
	keys     map[domain.KeyID]ed25519.PrivateKey
	change   func(domain.Shard, *v1.Claim) bool // nil once it was done
	states   []*ledger.State
	verifier *signing.Verifier
	tables   projections.Store // as of the cut of the last batch
	roots    map[uint32]pair   // by batch
}

// advance rewrites a shard up to a ledger offset, and before each entry what it depends on in other shards: there is one
// entry for each that was, so every place stays what it was.
func (f *forger) advance(shard domain.Shard, to int) error {
	for at := len(f.told.Ledger[shard]); at < to; at = len(f.told.Ledger[shard]) {
		record := f.was.Ledger[shard][at]
		old, err := eventstore.DecodeEntry(shard, record)
		if err != nil {
			return err
		}
		entry, err := f.again(shard, record.Offset, old)
		if err != nil {
			return fmt.Errorf("entry %d: %w", at, err)
		}
		if record.Value, err = v1.Encode(entry); err != nil {
			return err
		}
		f.told.Ledger[shard] = append(f.told.Ledger[shard], record)
	}
	return nil
}

// again makes an entry anew.
func (f *forger) again(shard domain.Shard, at domain.Offset, old *v1.Entry) (*v1.Entry, error) {
	state := f.states[shard]
	switch body := old.Body.(type) {
	case *v1.Entry_Genesis:
		return state.Begin(body.Genesis)
	case *v1.Entry_Pin:
		if err := f.learn(state, domain.Offset(body.Pin.ControlOffset)); err != nil {
			return nil, err
		}
		return state.Pin()
	case *v1.Entry_Answer:
		if ledger.Void(at, old) {
			return old, state.Evolve(at, old)
		}
		record := f.was.Intake[shard][body.Answer.IntakeOffset]
		value, err := f.say(shard, record.Value, body.Answer)
		if err != nil {
			return nil, err
		}
		record.Value = value
		f.told.Intake[shard] = append(f.told.Intake[shard], record)
		said, signed := ledger.Read(record.Offset, record.Time.UnixMilli(), slices.Clone(value))
		if said.Report != nil {
			said.Signed = f.verifier.Verify(domain.KeyID(said.Report.Signer), signed.Report, signed.Signature)
		}
		return state.Step(said)
	default:
		return nil, fmt.Errorf("%T: %w", body, eventstore.ErrCorrupt)
	}
}

func (f *forger) learn(state *ledger.State, to domain.Offset) error {
	if err := f.advance(domain.Control, int(to)); err != nil {
		return err
	}
	for at := state.KnowsControlTo(); at < to; at++ {
		entry, err := eventstore.DecodeEntry(domain.Control, f.told.Ledger[domain.Control][at])
		if err != nil {
			return err
		}
		if err := state.Learn(at, entry); err != nil {
			return err
		}
	}
	return nil
}

// say is a report as it is told now: the same bytes where nothing in it is otherwise.
func (f *forger) say(shard domain.Shard, value []byte, answer *v1.Answer) ([]byte, error) {
	said, _ := ledger.Read(0, 0, slices.Clone(value))
	if said.Report == nil || answer.Refusal != nil {
		return value, nil
	}
	otherwise := false
	for _, fact := range answer.Facts {
		if fact.Claim == 0 || fact.GetRejection() != nil {
			continue
		}
		claim := said.Report.Claims[fact.Claim-1]
		follows, err := f.follow(claim)
		if err != nil {
			return nil, err
		}
		if f.change != nil && f.change(shard, claim) {
			f.change, follows = nil, true
			f.told.At = domain.Position{Shard: shard, Offset: domain.Offset(len(f.told.Ledger[shard]))}
		}
		otherwise = otherwise || follows
	}
	if !otherwise {
		return value, nil
	}
	key := f.keys[domain.KeyID(said.Report.Signer)]
	if key == nil {
		return nil, fmt.Errorf("nobody here has the key %x: %w", said.Report.Signer, ErrNothing)
	}
	return signing.Report(key, domain.NetworkID(said.Report.Network), shard, said.Report.Sequence, said.Report.Claims)
}

// follow changes what follows from the ledger: batches, and what was seen of their roots on chain.
func (f *forger) follow(claim *v1.Claim) (otherwise bool, err error) {
	switch body := claim.Body.(type) {
	case *v1.Claim_SealBatch:
		batch, err := f.seal(body.SealBatch)
		if err != nil {
			return false, fmt.Errorf("batch %d: %w", body.SealBatch.Number, err)
		}
		f.roots[batch.Number] = pair{body.SealBatch.PayoutRoot, batch.PayoutRoot}
		body.SealBatch = batch
		return true, nil
	case *v1.Claim_ObserveProposal:
		return f.see(body.ObserveProposal.Number, &body.ObserveProposal.PayoutRoot), nil
	case *v1.Claim_ObserveActivation:
		return f.see(body.ObserveActivation.Number, &body.ObserveActivation.PayoutRoot), nil
	}
	return false, nil
}

func (f *forger) see(number uint32, root *[]byte) bool {
	roots := f.roots[number]
	if !slices.Equal(*root, roots.was) || slices.Equal(roots.was, roots.told) {
		return false
	}
	*root = roots.told
	return true
}

// seal makes a batch anew at the cut that it had.
func (f *forger) seal(old *v1.SealBatch) (batch *v1.SealBatch, err error) {
	cut := make([]domain.Offset, len(old.Cut))
	for shard, offset := range old.Cut {
		cut[shard] = domain.Offset(offset)
		if domain.Shard(shard) == domain.Control {
			continue // a batch is sealed behind its cut
		}
		if err := f.advance(domain.Shard(shard), int(offset)); err != nil {
			return nil, err
		}
	}
	if err := projections.FoldTo(f.ctx, f.told.Ledger, f.tables, cut, projections.SettlementModels()...); err != nil {
		return nil, err
	}
	err = f.tables.View(f.ctx, func(view projections.View) error {
		s, err := projections.ReadSettlement(f.ctx, view)
		if err != nil {
			return err
		}
		batch, err = settlement.Seal(old.Number, s.Cut, s.Owed, s.Policy)
		return err
	})
	return batch, err
}
