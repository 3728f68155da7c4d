package projections

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// Bounds of one batch. Ten thousand entries spread the cost of a commit thin (research: throughput
// stops growing between 10 k and 20 k); the bytes bound what large records can make of that in memory.
const (
	batchEntries = 10_000
	batchBytes   = 16 << 20
	// readRecords in one call bound what is read beyond batchBytes, as a read is not cut by size.
	readRecords = 256
)

// Runner keeps read models up to date. Models that stand at the same place in the log move together, in
// one commit, so that readers find them at one place. A model that is behind, because it is new or is
// being rebuilt, catches up first.
type Runner struct {
	log    eventstore.Reader
	store  Store
	models []Model

	mu      sync.Mutex
	at      Checkpoint    // where all models stand
	stopped error         // what Run returned
	moved   chan struct{} // closed when one of the above changes
}

// NewRunner returns a Runner; Run makes it run.
func NewRunner(log eventstore.Reader, store Store, models ...Model) *Runner {
	return &Runner{log: log, store: store, models: models, moved: make(chan struct{})}
}

// Run catches up and then follows the log until the context ends or something is wrong, and says which.
// It may be run again after any error. Two runners on one store do no harm: one of them meets
// ErrConflict, reads where the models stand now, and goes on from there.
//
// A gap, an entry that does not follow from the one before, or an impossible amount stops it: going on
// would make up balances.
func (r *Runner) Run(ctx context.Context) error {
	err := r.run(ctx)
	r.tell(nil, err)
	return err
}

func (r *Runner) run(ctx context.Context) error {
	for {
		if err := r.follow(ctx); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func (r *Runner) follow(ctx context.Context) error {
	at, err := r.meet(ctx)
	if err != nil {
		return err
	}
	if err := reaches(ctx, r.log, at); err != nil {
		return err
	}
	r.tell(at, nil)
	for first := 0; ; first++ {
		batch, err := collect(ctx, r.log, at, nil, batchEntries, first)
		if err != nil {
			return err
		}
		if len(batch.entries) == 0 {
			if err := waitAny(ctx, r.log, at); err != nil {
				return err
			}
			continue
		}
		if err := apply(ctx, r.store, r.models, at, batch); err != nil {
			return err
		}
		at = batch.to
		r.tell(at, nil)
	}
}

// meet brings all models to the place of the foremost and publishes them.
func (r *Runner) meet(ctx context.Context) (Checkpoint, error) {
	places, err := placesOf(ctx, r.store, r.models, r.log.Shards())
	if err != nil {
		return nil, err
	}
	foremost := make([]domain.Offset, r.log.Shards())
	for _, at := range places {
		for shard, p := range at {
			foremost[shard] = max(foremost[shard], p.Ledger)
		}
	}
	if err := foldTo(ctx, r.log, r.store, foremost, batchEntries, r.models, places); err != nil {
		return nil, err
	}
	for _, model := range r.models {
		if err := r.store.Publish(ctx, model.Table()); err != nil {
			return nil, err
		}
	}
	places, err = placesOf(ctx, r.store, r.models, r.log.Shards())
	if err != nil || len(places) == 0 {
		return make(Checkpoint, r.log.Shards()), err
	}
	for _, at := range places[1:] {
		if !at.Equal(places[0]) {
			return nil, fmt.Errorf("catch up: %w", ErrConflict)
		}
	}
	return places[0], nil
}

// reaches checks that the log has what was folded already. One that was put back to an earlier state would
// else be waited for until it is as long again, and what it says by then would never be read.
func reaches(ctx context.Context, log eventstore.Reader, at Checkpoint) error {
	for shard, p := range at {
		end, err := log.End(ctx, domain.Shard(shard))
		if err != nil {
			return err
		}
		if end < p.Ledger {
			return fmt.Errorf("ledger shard %d ends at %d, the models stand at %d: %w", shard, end, p.Ledger, eventstore.ErrGap)
		}
	}
	return nil
}

func (r *Runner) tell(at Checkpoint, stopped error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at != nil {
		r.at = slices.Clone(at)
	}
	r.stopped = stopped
	close(r.moved)
	r.moved = make(chan struct{})
}

// At returns how far all models have come; nil before the first catch-up is over.
func (r *Runner) At() Checkpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.at)
}

// Await blocks until all models have taken in every entry below the cut, one offset per shard, until
// the runner stops (its error) or until the context ends.
func (r *Runner) Await(ctx context.Context, cut []domain.Offset) error {
	for {
		r.mu.Lock()
		at, stopped, moved := r.at, r.stopped, r.moved
		r.mu.Unlock()
		if at != nil && at.Covers(cut) {
			return nil
		}
		if stopped != nil {
			return fmt.Errorf("await projections: %w", stopped)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// FoldTo brings models exactly to a cut, one exclusive ledger offset per shard, and returns. None may
// stand beyond it. If somebody else moves them meanwhile it goes on from there.
func FoldTo(ctx context.Context, log eventstore.Reader, store Store, cut []domain.Offset, models ...Model) error {
	return FoldInBatches(ctx, log, store, cut, batchEntries, models...)
}

// FoldInBatches is FoldTo with so many entries to a commit, to measure what that number does.
func FoldInBatches(ctx context.Context, log eventstore.Reader, store Store, cut []domain.Offset, entries int, models ...Model) error {
	if len(cut) != log.Shards() {
		return fmt.Errorf("fold to a cut of %d shards: the log has %d: %w", len(cut), log.Shards(), eventstore.ErrNoShard)
	}
	for {
		places, err := placesOf(ctx, store, models, log.Shards())
		if err != nil {
			return err
		}
		if err := foldTo(ctx, log, store, cut, entries, models, places); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Rebuild throws a model's rows away and folds them again, up to where they were. Readers see it behind the
// others meanwhile. A Runner that is running on the store finds the model moved, and does the same.
func Rebuild(ctx context.Context, log eventstore.Reader, store Store, model Model) error {
	places, err := placesOf(ctx, store, []Model{model}, log.Shards())
	if err != nil {
		return err
	}
	if err := store.Forget(ctx, model.Table()); err != nil {
		return err
	}
	return FoldTo(ctx, log, store, places[0].Cut(), model)
}

// foldTo moves each group of models that stand together to the cut.
func foldTo(ctx context.Context, log eventstore.Reader, store Store, cut []domain.Offset, entries int, models []Model, places []Checkpoint) error {
	done := make([]bool, len(models))
	for i, at := range places {
		if done[i] {
			continue
		}
		var group []Model
		for j := i; j < len(models); j++ {
			if places[j].Equal(at) {
				group, done[j] = append(group, models[j]), true
			}
		}
		if err := foldGroup(ctx, log, store, cut, entries, group, at); err != nil {
			return err
		}
	}
	return nil
}

func foldGroup(ctx context.Context, log eventstore.Reader, store Store, cut []domain.Offset, entries int, group []Model, at Checkpoint) error {
	for shard, p := range at {
		if p.Ledger > cut[shard] {
			return fmt.Errorf("fold %s to %d/%d: stands at %d already: %w", group[0].Table(), shard, cut[shard], p.Ledger, ErrBeyondCut)
		}
	}
	for first := 0; !at.Covers(cut); first++ {
		batch, err := collect(ctx, log, at, cut, entries, first)
		if err != nil {
			return err
		}
		if len(batch.entries) == 0 {
			return fmt.Errorf("fold %s: the log ends at %v, before the cut %v: %w", group[0].Table(), at.Cut(), cut, eventstore.ErrGap)
		}
		if err := apply(ctx, store, group, at, batch); err != nil {
			return err
		}
		at = batch.to
	}
	return nil
}

// ErrBeyondCut: a model has taken in more than it was asked to. Forget it, or ask for more.
var ErrBeyondCut = errors.New("beyond the cut")

// Lag returns how many ledger entries the rearmost of the models has still to take in.
func Lag(ctx context.Context, log eventstore.Reader, store Store, models ...Model) (int64, error) {
	places, err := placesOf(ctx, store, models, log.Shards())
	if err != nil {
		return 0, err
	}
	var lag int64
	for shard := range log.Shards() {
		end, err := log.End(ctx, domain.Shard(shard))
		if err != nil {
			return 0, err
		}
		rearmost := end
		for _, at := range places {
			rearmost = min(rearmost, at[shard].Ledger)
		}
		lag += int64(end - rearmost)
	}
	return lag, nil
}

// placesOf returns where each model stands, one Progress per shard of the log.
func placesOf(ctx context.Context, store Store, models []Model, shards int) ([]Checkpoint, error) {
	places := make([]Checkpoint, len(models))
	err := store.View(ctx, func(view View) error {
		for i, model := range models {
			kept, err := view.Checkpoint(ctx, model.Table())
			if err != nil {
				return err
			}
			if len(kept) > shards {
				return fmt.Errorf("checkpoint of %s has %d shards, the log %d: %w", model.Table(), len(kept), shards, eventstore.ErrNoShard)
			}
			places[i] = append(kept, make(Checkpoint, shards-len(kept))...)
		}
		return nil
	})
	return places, err
}

type batch struct {
	entries []Entry
	to      Checkpoint
}

// collect reads the next batch of so many entries, up to the cut where there is one. Each batch begins with another shard,
// so that a busy one can't keep the others waiting.
func collect(ctx context.Context, log eventstore.Reader, from Checkpoint, cut []domain.Offset, entries, first int) (batch, error) {
	b := batch{to: slices.Clone(from)}
	size := 0
	for i := range from {
		shard := (first + i) % len(from)
		p := &b.to[shard]
		for {
			limit := min(readRecords, entries-len(b.entries))
			if cut != nil {
				limit = min(limit, int(cut[shard]-p.Ledger))
			}
			if limit <= 0 || size >= batchBytes {
				break
			}
			records, err := log.Read(ctx, domain.Shard(shard), p.Ledger, limit)
			if err != nil {
				return b, fmt.Errorf("read ledger %d/%d: %w", shard, p.Ledger, err)
			}
			if len(records) == 0 {
				break
			}
			for _, record := range records {
				entry, err := p.Advance(domain.Shard(shard), record)
				if err != nil {
					return b, err
				}
				b.entries = append(b.entries, entry)
				size += len(record.Value)
			}
		}
	}
	return b, nil
}

// apply folds a batch into all models, which have nothing to do with each other and so can be folded at
// once, and commits the whole.
func apply(ctx context.Context, store Store, models []Model, from Checkpoint, b batch) error {
	changes := make([]Change, len(models))
	folds, foldCtx := errgroup.WithContext(ctx)
	folds.SetLimit(runtime.GOMAXPROCS(0))
	for i, model := range models {
		folds.Go(func() error {
			rows, err := foldBatch(foldCtx, store, model, b.entries)
			changes[i] = Change{Table: model.Table(), From: from, To: b.to, Rows: rows}
			return err
		})
	}
	if err := folds.Wait(); err != nil {
		return err
	}
	return store.Commit(ctx, changes)
}

func foldBatch(ctx context.Context, store Store, model Model, entries []Entry) ([]Row, error) {
	rows := model.begin()
	for i := range entries {
		rows.touch(&entries[i])
	}
	if load := rows.toLoad(); len(load) > 0 {
		if err := store.Load(ctx, model.Table(), load); err != nil {
			return nil, err
		}
	}
	for i := range entries {
		if err := rows.fold(&entries[i]); err != nil {
			return nil, &EntryError{At: entries[i].Position, Err: fmt.Errorf("fold into %s: %w", model.Table(), err)}
		}
	}
	return rows.toWrite(), nil
}

// waitAny blocks until some shard has an entry beyond the checkpoint. Its goroutines end before it does.
func waitAny(ctx context.Context, log eventstore.Reader, at Checkpoint) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	woken := make(chan error, len(at))
	var waiting sync.WaitGroup
	for shard, p := range at {
		waiting.Go(func() { woken <- log.Wait(ctx, domain.Shard(shard), p.Ledger) })
	}
	first := <-woken
	stop()
	waiting.Wait()
	return first
}
