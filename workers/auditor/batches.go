package auditor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// remakeBatches makes each sealed batch again, out of the ledger up to the batch's cut and nothing
// else. Cuts never go back, so one pass over the ledger serves them all.
func (a *audit) remakeBatches(ctx context.Context) Step {
	step := Step{Name: "batches"}
	if len(a.shards) == 0 {
		return step.skip("the ledger was not made again")
	}
	sealed := a.shards[domain.Control].books.sealed
	a.progress.begin(a.cfg.Progress, int64(len(sealed)), "making batches again")
	store := projections.NewMemStore()
	var made, lines int64
	for _, batch := range sealed {
		row := a.rowOf(batch)
		again, err := a.remakeBatch(ctx, store, batch.fact)
		switch {
		case err == nil:
			made++
			lines += int64(len(again.Lines))
			row.LogRoot = hex.EncodeToString(again.PayoutRoot)
			a.compareBatch(batch, again)
		case ctx.Err() != nil:
			return step.stop(ctx.Err())
		case a.unsureBelow(batch.fact.Cut) || !isEvidence(err):
			step = step.stop(fmt.Errorf("batch %d: %w", batch.fact.Number, err))
		default:
			a.offences.add(Offence{
				Kind: ChangedBatch, Log: Ledger, At: placeOf(domain.Control, batch.offset), Batch: batch.fact.Number,
				Stored: show(batch.fact), Why: "the log makes no such batch: " + err.Error(),
			})
		}
		a.report.Batches = append(a.report.Batches, row)
		a.progress.add(1)
	}
	return step.done(count(made, "batches"), count(lines, "payout lines"))
}

func (a *audit) rowOf(batch sealedBatch) Batch {
	state := a.shards[domain.Control].books.states[batch.fact.Number]
	row := Batch{
		Number: batch.fact.Number, Cut: batch.fact.Cut, Sealed: *placeOf(domain.Control, batch.offset),
		Root: hex.EncodeToString(batch.fact.PayoutRoot), TotalNano: domain.Nano(batch.fact.TotalNano),
		Payees: batch.fact.Payees, State: state.state,
	}
	if state.tx != (domain.Digest{}) {
		row.Tx = state.tx.String()
	}
	return row
}

// unsureBelow says that a cut has entries below it that can't be believed, or could not be read.
func (a *audit) unsureBelow(cut []int64) bool {
	for shard, offset := range cut {
		if shard < len(a.shards) && a.shards[shard].summary.Why != "" && domain.Offset(offset) > a.shards[shard].summary.Checked {
			return true
		}
	}
	return false
}

// isEvidence tells what the log itself says from trouble in reading it.
func isEvidence(err error) bool {
	var entry *projections.EntryError
	return errors.As(err, &entry) || errors.Is(err, eventstore.ErrGap) || errors.Is(err, eventstore.ErrCorrupt) ||
		errors.Is(err, eventstore.ErrNoShard) || errors.Is(err, settlement.ErrNothingOwed) || errors.Is(err, errNoSuchBatch)
}

func (a *audit) remakeBatch(ctx context.Context, store projections.Store, sealed *v1.SealBatch) (*v1.SealBatch, error) {
	cut := make([]domain.Offset, len(sealed.Cut))
	for shard, offset := range sealed.Cut {
		cut[shard] = domain.Offset(offset)
	}
	if err := projections.FoldTo(ctx, a.cfg.Ledger, store, cut, projections.SettlementModels()...); err != nil {
		return nil, err
	}
	var again *v1.SealBatch
	err := store.View(ctx, func(view projections.View) error {
		s, err := projections.ReadSettlement(ctx, view)
		if err != nil {
			return err
		}
		if s.Last.Number+1 != sealed.Number {
			return fmt.Errorf("at its cut the last batch is %d: %w", s.Last.Number, errNoSuchBatch)
		}
		again, err = settlement.Seal(sealed.Number, s.Cut, s.Owed, s.Policy)
		return err
	})
	return again, err
}

var errNoSuchBatch = errors.New("no such batch")

// compareBatch compares a batch with what the log makes of it, down to the byte.
func (a *audit) compareBatch(batch sealedBatch, again *v1.SealBatch) {
	have, errHave := v1.Encode(batch.fact)
	want, errWant := v1.Encode(again)
	if errHave == nil && errWant == nil && bytes.Equal(have, want) {
		return
	}
	o := Offence{
		Kind: ChangedBatch, Log: Ledger, At: placeOf(domain.Control, batch.offset), Batch: batch.fact.Number,
		Stored: show(batch.fact), Follows: show(again), Why: "is not what the ledger owed at its cut",
	}
	o.Field, o.Have, o.Want = firstDifference(batch.fact.ProtoReflect(), again.ProtoReflect())
	if strings.HasPrefix(o.Field, "log_roots") {
		o.Why = "the ledger below its cut is not the one that was sealed, though all that it owed is"
	}
	a.offences.add(o)
}
