package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/workload"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// recoveryLimit is how long it may take until all goes on after a disturbance: Kafka gives up on a process after
// 6 s and on a broker after 3, a killed server is back after 12 and is asked again after up to 15 more.
const recoveryLimit = 90 * time.Second

// mark is how far everything was at a moment.
type mark struct {
	at            time.Time
	said, decided []domain.Offset // ends of intake and of the ledger
}

// mark looks how far everything is. at is when whatever is watched for happened, before the look.
func (s *stage) mark(ctx context.Context, at time.Time) (m mark, err error) {
	m.at = at
	for shard := range domain.Shard(s.intake.Shards()) {
		said, err := s.intake.End(ctx, shard)
		if err != nil {
			return m, err
		}
		decided, err := s.ledger.End(ctx, shard)
		if err != nil {
			return m, err
		}
		m.said, m.decided = append(m.said, said), append(m.decided, decided)
	}
	return m, nil
}

// recovery is how long it took until all went on. Each began at the mark.
type recovery struct {
	Answers time.Duration // until each data shard had answered something that was said after the mark
	Tables  time.Duration // until the tables held something that was decided after the mark
}

// awaitRecovery waits until everything goes on. more is called every few seconds, for load to be there.
func (s *stage) awaitRecovery(ctx context.Context, m mark, more func()) (r recovery, err error) {
	ctx, cancel := context.WithTimeout(ctx, recoveryLimit)
	defer cancel()
	recovered := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		loading := time.NewTicker(2 * time.Second)
		defer loading.Stop()
		for {
			select {
			case <-loading.C:
				more()
			case <-recovered:
				return nil
			case <-ctx.Done():
				return nil
			}
		}
	})
	group.Go(func() error {
		defer close(recovered)
		if err := s.awaitAnswers(ctx, m); err != nil {
			return err
		}
		r.Answers = since(m.at)
		if err := s.awaitTables(ctx, m); err != nil {
			return err
		}
		r.Tables = since(m.at)
		return nil
	})
	return r, group.Wait()
}

func (s *stage) awaitAnswers(ctx context.Context, m mark) error {
	group, ctx := errgroup.WithContext(ctx)
	for shard := domain.Control + 1; int(shard) < len(m.said); shard++ {
		group.Go(func() error {
			if err := s.awaitAnswer(ctx, shard, m); err != nil {
				return fmt.Errorf("shard %d answers nothing that was said after intake %d: %w", shard, m.said[shard], err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *stage) awaitAnswer(ctx context.Context, shard domain.Shard, m mark) error {
	errFound := errors.New("found")
	for from := m.decided[shard]; ; {
		if err := s.ledger.Wait(ctx, shard, from); err != nil {
			return err
		}
		end, err := s.ledger.End(ctx, shard)
		if err != nil {
			return err
		}
		err = eventstore.Each(ctx, s.ledger, shard, from, end, func(rec eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(shard, rec)
			if err == nil && !ledger.Void(rec.Offset, entry) && entry.GetAnswer() != nil && entry.GetAnswer().IntakeOffset >= int64(m.said[shard]) {
				return errFound
			}
			return err
		})
		if errors.Is(err, errFound) {
			return nil
		}
		if err != nil {
			return err
		}
		from = end
	}
}

// awaitTables waits until the tables are beyond the mark in some shard.
func (s *stage) awaitTables(ctx context.Context, m mark) error {
	err := s.awaitAt(ctx, func(at projections.Checkpoint) bool {
		for shard, place := range at {
			if place.Ledger > m.decided[shard] {
				return true
			}
		}
		return false
	})
	if err != nil {
		return fmt.Errorf("the tables have nothing that was decided after %v: %w", m.decided, err)
	}
	return nil
}

// awaitCut waits until the tables have all that is before a cut.
func (s *stage) awaitCut(ctx context.Context, cut []domain.Offset) error {
	if err := s.awaitAt(ctx, func(at projections.Checkpoint) bool { return at.Covers(cut) }); err != nil {
		return fmt.Errorf("the tables have not all that was decided before %v: %w", cut, err)
	}
	return nil
}

// awaitAt waits until the tables are far enough. PostgreSQL may be away meanwhile.
func (s *stage) awaitAt(ctx context.Context, enough func(projections.Checkpoint) bool) error {
	for {
		var at projections.Checkpoint
		err := s.tables.Read(ctx, func(r projections.Reader) (err error) {
			at, err = r.At(ctx)
			return err
		})
		if err == nil && enough(at) {
			return nil
		}
		if pauseErr := workload.Pause(ctx, lookAt); pauseErr != nil {
			return errors.Join(pauseErr, err)
		}
	}
}

// awaitTaken waits until each of some works was taken on by another process than the one that had it, and returns
// by which posts.
func (s *stage) awaitTaken(ctx context.Context, works []string, from *process) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, recoveryLimit)
	defer cancel()
	for {
		by, missing := s.crew.takers(works, from)
		if len(missing) == 0 {
			return by, nil
		}
		if err := workload.Pause(ctx, lookAt); err != nil {
			return by, fmt.Errorf("nobody has taken on %v: %w", missing, err)
		}
	}
}

// takers returns the posts whose processes have works that one had before, and those works that nobody has.
func (c *crew) takers(works []string, from *process) (by, missing []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, work := range works {
		holder := c.holders[work]
		if holder == from {
			missing = append(missing, work)
			continue
		}
		for _, p := range c.posts {
			if p.process == holder && !slices.Contains(by, p.name) {
				by = append(by, p.name)
			}
		}
	}
	return by, missing
}

// counts is what the two logs hold.
type counts struct {
	Said, Answered int64 // reports in intake, and entries that answer one
	Void           int64 // entries that a clerk wrote behind another one's back, and that do not count
	Pins           int64
}

// count reads both logs, and wants each report to have exactly one answer, in order.
func (s *stage) count(ctx context.Context, wrong *workload.Findings) (n counts, err error) {
	for shard := range domain.Shard(s.intake.Shards()) {
		said, err := s.intake.End(ctx, shard)
		if err != nil {
			return n, err
		}
		end, err := s.ledger.End(ctx, shard)
		if err != nil {
			return n, err
		}
		next := int64(0)
		if err := eventstore.Each(ctx, s.ledger, shard, 0, end, func(rec eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(shard, rec)
			if err != nil {
				return err
			}
			switch body := entry.Body.(type) {
			case *v1.Entry_Answer:
				if ledger.Void(rec.Offset, entry) {
					break
				}
				if body.Answer.IntakeOffset != next {
					wrong.Addf("%s: ledger %d/%d answers intake %d, and %d is next", s.name, shard, rec.Offset, body.Answer.IntakeOffset, next)
				}
				next = body.Answer.IntakeOffset + 1
				n.Answered++
				return nil
			case *v1.Entry_Pin:
				n.Pins++
			}
			if ledger.Void(rec.Offset, entry) {
				n.Void++
			}
			return nil
		}); err != nil {
			return n, err
		}
		n.Said += int64(said)
		workload.Want(wrong, s.name, fmt.Sprintf("answers in shard %d", shard), next, int64(said))
	}
	return n, nil
}
