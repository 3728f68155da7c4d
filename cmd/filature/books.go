package main

import (
	"context"
	"errors"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
)

// lookEvery is the pause between two looks at how far the projections have come. Whoever folds them may be
// another process, so there is nobody to be woken by.
const lookEvery = 5 * time.Millisecond

// store keeps the projections and answers from them.
type store interface {
	projections.Store
	projections.Source
	projections.Findings
}

// reports are the projections as a gateway asks them.
type reports struct{ store }

// AnsweredTo is the intake offset up to which the shard's reports are known.
func (r reports) AnsweredTo(ctx context.Context, shard domain.Shard) (at domain.Offset, err error) {
	err = r.View(ctx, func(view projections.View) error {
		checkpoint, err := view.Checkpoint(ctx, projections.Reports.Table())
		if int(shard) < len(checkpoint) {
			at = checkpoint[shard].Intake
		}
		return err
	})
	return at, err
}

// LastSequence is the highest number that a signer used in a shard.
func (r reports) LastSequence(ctx context.Context, shard domain.Shard, signer domain.KeyID) (last uint64, err error) {
	err = r.Read(ctx, func(reader projections.Reader) error {
		last, err = reader.LastSequence(ctx, signer, shard)
		return err
	})
	return last, err
}

// Heard tells which report of a signer had a number.
func (r reports) Heard(
	ctx context.Context, shard domain.Shard, signer domain.KeyID, sequence uint64,
) (digest domain.Digest, at domain.Offset, ok bool, err error) {
	err = r.Read(ctx, func(reader projections.Reader) error {
		report, err := reader.Report(ctx, projections.ReportKey{Signer: signer, Shard: shard, Sequence: sequence})
		if errors.Is(err, projections.ErrNotFound) {
			return nil
		}
		digest, at, ok = report.IntakeDigest, report.Intake, err == nil
		return err
	})
	return digest, at, ok, err
}

// books are the projections as a settler reads them.
type books struct {
	store
	ledger eventstore.Reader
}

// Fresh waits until the projections have taken in what the ledger holds now.
func (b books) Fresh(ctx context.Context) error {
	cut := make([]domain.Offset, b.ledger.Shards())
	for shard := range cut {
		end, err := b.ledger.End(ctx, domain.Shard(shard))
		if err != nil {
			return err
		}
		cut[shard] = end
	}
	return b.await(ctx, func(at projections.Checkpoint) bool { return at.Covers(cut) })
}

// answered waits until the projections have the answer to an intake record.
func (b books) answered(ctx context.Context, shard domain.Shard, at domain.Offset) error {
	return b.await(ctx, func(have projections.Checkpoint) bool { return int(shard) < len(have) && have[shard].Intake > at })
}

// await waits until all models stand together at a place that is far enough.
func (b books) await(ctx context.Context, enough func(projections.Checkpoint) bool) error {
	for {
		var at projections.Checkpoint
		err := b.Read(ctx, func(reader projections.Reader) (err error) {
			at, err = reader.At(ctx)
			return err
		})
		switch {
		case errors.Is(err, projections.ErrNotTogether): // one of them is being rebuilt
		case err != nil:
			return err
		case enough(at):
			return nil
		}
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}
