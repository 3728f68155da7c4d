package auditor

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// heads are the Merkle trees of what a shard's replay has read so far, as far as their roots need them. A nil one counts
// nothing: an audit that is not saved needs none.
type heads struct{ entries, said *compact.Range }

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

func newHeads() *heads { return &heads{ranges.NewEmptyRange(0), ranges.NewEmptyRange(0)} }

// entry takes in the next record of the ledger.
func (h *heads) entry(record eventstore.Record) error {
	if h == nil {
		return nil
	}
	return h.entries.Append(rfc6962.DefaultHasher.HashLeaf(record.Value), nil)
}

// answered takes in the next record of intake. Its log time counts: it decides as well.
func (h *heads) answered(record eventstore.Record) error {
	if h == nil {
		return nil
	}
	leaf := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(record.Value)), uint64(record.Time.UnixMilli()))
	return h.said.Append(rfc6962.DefaultHasher.HashLeaf(append(leaf, record.Value...)), nil)
}

// point is where both trees end.
func (h *heads) point() (at savedPoint, err error) {
	at.Ledger, at.Intake = domain.Offset(h.entries.End()), domain.Offset(h.said.End())
	if at.LedgerHead, err = rootOf(h.entries); err == nil {
		at.IntakeHead, err = rootOf(h.said)
	}
	return at, err
}

func rootOf(r *compact.Range) (domain.Digest, error) {
	if r.End() == 0 {
		return domain.Digest(rfc6962.DefaultHasher.EmptyRoot()), nil
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		return domain.Digest{}, fmt.Errorf("root of %d records: %w", r.End(), err)
	}
	return domain.Digest(root), nil
}

// compareSaved compares both logs, as far as an earlier run had checked them, with what they were then. It comes before
// anything of them is believed, or saved.
func (a *audit) compareSaved(ctx context.Context) error {
	var total int64
	for _, r := range a.shards {
		total += int64(r.taken.Ledger)
	}
	if total == 0 {
		return nil
	}
	a.progress.begin(a.cfg.Progress, total, "comparing with what was checked before")
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, r := range a.shards {
		group.Go(func() error { return r.compareSaved(groupCtx) })
	}
	return group.Wait()
}

func (r *replay) compareSaved(ctx context.Context) error {
	if r.taken.Ledger == 0 {
		return nil
	}
	then := newHeads()
	err := eventstore.Each(ctx, r.cfg.Ledger, r.shard, 0, r.taken.Ledger, func(record eventstore.Record) error {
		r.progress.add(1)
		return then.entry(record)
	})
	if err == nil {
		err = eventstore.Each(ctx, r.cfg.Intake, r.shard, 0, r.taken.Intake, then.answered)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("shard %d: %w: %w", r.shard, ErrOtherState, err)
	}
	at, err := then.point()
	if err == nil && at != r.taken {
		err = r.otherHeads(at)
	}
	return err
}

func (r *replay) otherHeads(at savedPoint) error {
	return fmt.Errorf("shard %d: the first %d entries have the head %s and the %d intake records that they answer %s; they had %s and %s: %w",
		r.shard, at.Ledger, at.LedgerHead, at.Intake, at.IntakeHead, r.taken.LedgerHead, r.taken.IntakeHead, ErrOtherState)
}

// recall takes in an entry that an earlier run found to follow from what was said, and returns what was said where that
// is still needed. It checks no signature and decides nothing.
func (r *replay) recall(ctx context.Context, at domain.Offset, stored *v1.Entry) (*ledger.Said, error) {
	if stored.GetPin() != nil && r.shard != domain.Control {
		if err := r.learn(ctx, at, stored); err != nil {
			return nil, err
		}
	}
	var said *ledger.Said
	if answer := stored.GetAnswer(); answer != nil {
		record, err := r.intake.record(ctx, r.state.NextIntake())
		if err != nil {
			return nil, err
		}
		if err := r.heads.answered(record); err != nil {
			return nil, err
		}
		if answer.GetRefusal().GetReason() != v1.Reason_REASON_MALFORMED {
			r.intake.signatures++ // it was one that could be read, and so was checked
		}
		for _, fact := range answer.Facts {
			if fact.GetRejection() != nil && said == nil {
				read, _ := ledger.Read(record.Offset, record.Time.UnixMilli(), record.Value)
				said = &read
			}
		}
	}
	return said, r.state.Evolve(at, stored)
}

// mark notes that the shard was checked up to here. Where an earlier run had come just as far, both logs have to be what
// they were then.
func (r *replay) mark(work int64) error {
	if r.heads == nil {
		return nil
	}
	at, err := r.heads.point()
	if err != nil {
		return err
	}
	switch {
	case at.Ledger < r.taken.Ledger:
		return nil
	case at.Ledger == r.taken.Ledger && at != r.taken:
		return r.otherHeads(at) // they are written to while they are read
	case at.Ledger == r.taken.Ledger:
		return nil
	default:
		return r.cfg.Saved.note(r.shard, at, work)
	}
}

// sayResumed notes what was taken over.
func (a *audit) sayResumed() {
	var shards []ResumedShard
	for _, r := range a.shards {
		if r.taken.Ledger > 0 {
			shards = append(shards, ResumedShard{r.shard, r.taken.Ledger, r.taken.LedgerHead})
		}
	}
	if len(shards) > 0 {
		a.report.Resumed = &Resumed{Shards: shards}
	}
}

// Resumed says what a report took over from an earlier run of the same audit. The records are the same: their Merkle heads
// say so.
type Resumed struct {
	// Shards are those of which entries were checked earlier.
	Shards []ResumedShard `json:"shards,omitempty"`
	// Batches were made again earlier.
	Batches bool `json:"batches,omitempty"`
	// Folded is how many entries were folded earlier into the tables that the read models are compared with.
	Folded int64 `json:"folded,omitempty"`
}

// ResumedShard names the entries whose signatures and decisions were checked earlier.
type ResumedShard struct {
	Shard   domain.Shard  `json:"shard"`
	Entries domain.Offset `json:"entries"` // so many, from the first on
	Head    domain.Digest `json:"head"`    // RFC 6962 root of them
}
