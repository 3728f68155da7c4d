// Package memlog knows how to keep a log in memory: for tests of those who read and write logs, and
// for nothing that should outlive the process. It keeps the whole contract of eventstore.Log.
package memlog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// Log is a log in memory. It implements eventstore.Log.
type Log struct {
	kept   *kept
	closed bool // guarded by kept.mu
}

// kept is what outlives a Close.
type kept struct {
	now func() time.Time

	mu     sync.Mutex
	shards [][]eventstore.Record
	last   time.Time
	moved  chan struct{} // closed and replaced at each Append and Close
}

var _ eventstore.Log = (*Log)(nil)

// New makes an empty log. now is its clock; it may jump, times of records never go back.
func New(shards int, now func() time.Time) *Log {
	return &Log{kept: &kept{
		now: now, shards: make([][]eventstore.Record, shards),
		last: time.UnixMilli(0).UTC(), moved: make(chan struct{}),
	}}
}

// Reopen closes the log, as a restart would, and opens it again with all its records.
func (l *Log) Reopen() *Log {
	_ = l.Close() // has no way to fail
	return &Log{kept: l.kept}
}

// Close ends all Waits with eventstore.ErrClosed. It always returns nil.
func (l *Log) Close() error {
	k := l.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	l.closed = true
	k.wake()
	return nil
}

// wake needs mu.
func (k *kept) wake() {
	close(k.moved)
	k.moved = make(chan struct{})
}

// Shards implements eventstore.Reader.
func (l *Log) Shards() int { return len(l.kept.shards) }

// Append implements eventstore.Appender.
func (l *Log) Append(ctx context.Context, shard domain.Shard, values [][]byte) (domain.Offset, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := eventstore.CheckBatch(values); err != nil {
		return 0, fmt.Errorf("append to shard %d: %w", shard, err)
	}
	k := l.kept
	k.mu.Lock()
	defer k.mu.Unlock()
	first, err := l.end(shard)
	if err != nil || len(values) == 0 {
		return first, err
	}
	if now := k.now().UTC().Truncate(time.Millisecond); now.After(k.last) {
		k.last = now
	}
	for i, v := range values {
		k.shards[shard] = append(k.shards[shard], eventstore.Record{
			Offset: first + domain.Offset(i), Time: k.last, Value: append([]byte{}, v...),
		})
	}
	k.wake()
	return first, nil
}

// end needs mu.
func (l *Log) end(shard domain.Shard) (domain.Offset, error) {
	if l.closed {
		return 0, eventstore.ErrClosed
	}
	if shard < 0 || int(shard) >= len(l.kept.shards) {
		return 0, fmt.Errorf("shard %d of %d: %w", shard, len(l.kept.shards), eventstore.ErrNoShard)
	}
	return domain.Offset(len(l.kept.shards[shard])), nil
}

// End implements eventstore.Reader.
func (l *Log) End(ctx context.Context, shard domain.Shard) (domain.Offset, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.kept.mu.Lock()
	defer l.kept.mu.Unlock()
	return l.end(shard)
}

// Read implements eventstore.Reader.
func (l *Log) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if limit < 1 || limit > eventstore.MaxBatch {
		return nil, fmt.Errorf("read %d records: want 1..%d", limit, eventstore.MaxBatch)
	}
	l.kept.mu.Lock()
	defer l.kept.mu.Unlock()
	end, err := l.end(shard)
	if err != nil {
		return nil, err
	}
	if from < 0 || from > end {
		return nil, fmt.Errorf("read shard %d from %d of %d: %w", shard, from, end, eventstore.ErrGap)
	}
	to := min(end, from+domain.Offset(limit))
	return append([]eventstore.Record(nil), l.kept.shards[shard][from:to]...), nil
}

// Wait implements eventstore.Reader.
func (l *Log) Wait(ctx context.Context, shard domain.Shard, from domain.Offset) error {
	for {
		l.kept.mu.Lock()
		end, err := l.end(shard)
		moved := l.kept.moved
		l.kept.mu.Unlock()
		if err != nil || end > from {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
