package auditor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
)

// Listen reads a shard of intake as a replay does, and returns how many signatures it checked.
func Listen(ctx context.Context, intake eventstore.Reader, shard domain.Shard, verifier *signing.Verifier) (int, error) {
	end, err := intake.End(ctx, shard)
	if err != nil {
		return 0, err
	}
	h := newHearing(Config{Intake: intake, Verifier: verifier, Entropy: rand.Reader}, shard, end)
	for at := range end {
		if _, _, err := h.next(ctx, at); err != nil {
			return 0, err
		}
	}
	return int(h.signatures), nil
}

// DecideAgain makes a ledger again, one shard after the other, and believes every signature. It returns how many facts
// there were.
func DecideAgain(ctx context.Context, cfg Config) (int64, error) {
	return replayAll(ctx, cfg, func(r *replay) error {
		h, end := r.intake, r.end
		for r.state.NextEntry() < end { // so many entries answer so many records at most
			if err := h.read(ctx, r.state.NextIntake()); err != nil {
				return err
			}
			for _, record := range h.records {
				said, _ := ledger.Read(record.Offset, record.Time.UnixMilli(), record.Value)
				said.Signed = true
				h.said = append(h.said, said)
			}
			r.end = min(end, r.state.NextEntry()+domain.Offset(len(h.records)))
			if err := r.entries(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// ReplayAll makes a ledger again, one shard after the other. It returns how many facts there were.
func ReplayAll(ctx context.Context, cfg Config) (int64, error) {
	return replayAll(ctx, cfg, func(*replay) error { return nil })
}

// RecallAll is ReplayAll of an audit that goes on where it was saved, and saves where this one ends.
func RecallAll(ctx context.Context, cfg Config) (int64, error) {
	facts, err := replayAll(ctx, cfg, func(r *replay) error { return r.compareSaved(ctx) })
	return facts, errors.Join(err, cfg.Saved.flush())
}

func replayAll(ctx context.Context, cfg Config, prepare func(*replay) error) (facts int64, err error) {
	a := audit{cfg: cfg}
	if _, err := a.cut(ctx); err != nil {
		return 0, err
	}
	for _, r := range a.shards {
		if r.shard != domain.Control {
			r.control = a.shards[domain.Control]
		}
		if err := prepare(r); err != nil {
			return 0, err
		}
		if r.run(ctx); r.summary.Why != "" {
			return 0, fmt.Errorf("shard %d: %s", r.shard, r.summary.Why)
		}
		facts += r.summary.Facts
	}
	return facts, nil
}

// SaveEvery has an audit save when so many entries and facts were checked.
func SaveEvery(s *Saved, work int64) { s.every = work }

// ClaimChecked has a state say that a shard was checked up to a place with such heads, and seals it as the program does:
// what somebody could write who knows how.
func ClaimChecked(dir, program string, shard domain.Shard, change func(ledger, intake *domain.Offset, head *domain.Digest)) error {
	s, err := OpenSaved(dir, program)
	if err != nil {
		return err
	}
	s.now = *s.found
	at := &s.now.Shards[shard].Checked
	change(&at.Ledger, &at.Intake, &at.LedgerHead)
	return s.write()
}
