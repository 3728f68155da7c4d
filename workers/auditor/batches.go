package auditor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// foldEntries are folded at a time to make a batch: a few MB, decoded.
const foldEntries = 1000

// remakeBatches makes each sealed batch again, out of the ledger up to the batch's cut and nothing
// else. Cuts never go back, so one pass over the ledger serves them all.
func (a *audit) remakeBatches(ctx context.Context) Step {
	step := Step{Name: "batches"}
	if len(a.shards) == 0 {
		return step.skip("the ledger was not made again")
	}
	sealed := a.shards[domain.Control].books.sealed
	if saved := a.cfg.Saved.batches(); saved != nil && a.allTaken() {
		a.report.Resumed.Batches = true
		a.report.Batches = slices.Clone(saved.Rows)
		a.offences.join(saved.Offences, saved.Totals)
		return saved.Step
	}
	var found offences
	a.progress.begin(a.cfg.Progress, int64(len(sealed)), "making batches again")
	store := projections.NewMemStore()
	var made, lines int64
	for _, batch := range sealed {
		row := a.rowOf(batch)
		again, err := a.remakeBatch(ctx, store, batch)
		switch {
		case err == nil:
			made++
			lines += int64(len(again.Lines))
			row.LogRoot = hex.EncodeToString(again.PayoutRoot)
			if err := a.compareBatch(ctx, &found, batch, again); err != nil {
				step = step.stop(fmt.Errorf("batch %d: %w", batch.number, err))
			}
		case ctx.Err() != nil:
			return step.stop(ctx.Err())
		case a.unsureBelow(batch.cut) || !isEvidence(err):
			step = step.stop(fmt.Errorf("batch %d: %w", batch.number, err))
		default:
			found.add(Offence{
				Kind: ChangedBatch, Log: Ledger, At: placeOf(domain.Control, batch.offset), Batch: batch.number,
				Stored: a.showSealed(ctx, batch), Why: "the log makes no such batch: " + err.Error(),
			})
		}
		a.report.Batches = append(a.report.Batches, row)
		a.progress.add(1)
	}
	step = step.done(count(made, "batches"), count(lines, "payout lines"))
	a.offences.join(found.list, found.totals)
	if a.cfg.Saved != nil && step.State == StepDone && a.believed() {
		rows := slices.Clone(a.report.Batches) // the chain's part comes later
		a.failed = a.cfg.Saved.noteBatches(savedBatches{Step: step, Rows: rows, Offences: found.list, Totals: found.totals})
	}
	return step
}

// believed tells whether all shards were made again to their ends.
func (a *audit) believed() bool {
	return !slices.ContainsFunc(a.shards, func(r *replay) bool { return r.summary.Why != "" })
}

// allTaken tells whether an earlier run had made all shards again to their ends, and this one found nothing else there.
func (a *audit) allTaken() bool {
	return a.report.Resumed != nil && a.believed() &&
		!slices.ContainsFunc(a.shards, func(r *replay) bool { return r.summary.Checked != r.taken.Ledger })
}

// sealedFact reads a sealed batch again, with its lines.
func (a *audit) sealedFact(ctx context.Context, batch sealedBatch) (*v1.SealBatch, error) {
	records, err := a.cfg.Ledger.Read(ctx, domain.Control, batch.offset, 1)
	if err != nil {
		return nil, fmt.Errorf("read it again: %w", err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("read it again: %w", eventstore.ErrGap)
	}
	entry, err := eventstore.DecodeEntry(domain.Control, records[0])
	if err != nil {
		return nil, err
	}
	for _, fact := range entry.GetAnswer().GetFacts() {
		if sealed := fact.GetBatchSealed(); sealed.GetNumber() == batch.number {
			return sealed, nil
		}
	}
	return nil, fmt.Errorf("entry %d: %w", batch.offset, errNoSuchBatch)
}

// showSealed is a sealed batch as an offence shows it; empty where it can't be had any more.
func (a *audit) showSealed(ctx context.Context, batch sealedBatch) string {
	sealed, err := a.sealedFact(ctx, batch)
	if err != nil {
		return ""
	}
	return show(sealed)
}

func (a *audit) rowOf(batch sealedBatch) Batch {
	state := a.shards[domain.Control].books.states[batch.number]
	row := Batch{
		Number: batch.number, Cut: batch.cut, Sealed: *placeOf(domain.Control, batch.offset),
		Root: batch.root.Root.String(), TotalNano: batch.root.Total, Payees: batch.payees, State: state.state,
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

func (a *audit) remakeBatch(ctx context.Context, store projections.Store, sealed sealedBatch) (*v1.SealBatch, error) {
	cut := make([]domain.Offset, len(sealed.cut))
	for shard, offset := range sealed.cut {
		cut[shard] = domain.Offset(offset)
	}
	if err := projections.FoldInBatches(ctx, a.cfg.Ledger, store, cut, foldEntries, projections.SettlementModels()...); err != nil {
		return nil, err
	}
	var again *v1.SealBatch
	err := store.View(ctx, func(view projections.View) error {
		s, err := projections.ReadSettlement(ctx, view)
		if err != nil {
			return err
		}
		if s.Last.Number+1 != sealed.number {
			return fmt.Errorf("at its cut the last batch is %d: %w", s.Last.Number, errNoSuchBatch)
		}
		again, err = settlement.Seal(sealed.number, s.Cut, s.Owed, s.Policy)
		return err
	})
	return again, err
}

var errNoSuchBatch = errors.New("no such batch")

// compareBatch compares a batch with what the log makes of it, down to the byte.
func (a *audit) compareBatch(ctx context.Context, found *offences, batch sealedBatch, again *v1.SealBatch) error {
	sealed, err := a.sealedFact(ctx, batch)
	if err != nil {
		return err
	}
	have, errHave := v1.Encode(sealed)
	want, errWant := v1.Encode(again)
	if errHave == nil && errWant == nil && bytes.Equal(have, want) {
		return nil
	}
	o := Offence{
		Kind: ChangedBatch, Log: Ledger, At: placeOf(domain.Control, batch.offset), Batch: batch.number,
		Stored: show(sealed), Follows: show(again), Why: "is not what the ledger owed at its cut",
	}
	o.Field, o.Have, o.Want = firstDifference(sealed.ProtoReflect(), again.ProtoReflect())
	if strings.HasPrefix(o.Field, "log_roots") {
		o.Why = "the ledger below its cut is not the one that was sealed, though all that it owed is"
	}
	found.add(o)
	return nil
}
