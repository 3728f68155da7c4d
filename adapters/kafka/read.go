package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

const (
	// fetchBytes is what one request asks for: enough to keep a clerk busy for longer than the next takes.
	fetchBytes = 4 << 20
	// pollTime is how long a broker holds a request that waits for the next record. Each holds a connection.
	pollTime = 5 * time.Second
	// gapPatience is how long a gap is doubted: a broker that was the leader until just now ends early.
	// It is longer than we take to hear of another leader.
	gapPatience = 2 * metadataAge
)

// ahead is what was read of a shard and not asked for yet, and how far the shard is known to go.
type ahead struct {
	mu      sync.Mutex
	end     domain.Offset       // of the shard, as far as we saw
	records []eventstore.Record // follow each other
}

// saw notes that the shard goes up to an offset.
func (a *ahead) saw(end domain.Offset) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end = max(a.end, end)
}

// known returns how far the shard goes, as far as we saw.
func (a *ahead) known() domain.Offset {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.end
}

// take returns up to limit records from an offset on, if they were read ahead. Those behind them are kept
// for the next call, those before them are not: readers go forward.
func (a *ahead) take(from domain.Offset, limit int) []eventstore.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.records) == 0 || from < a.records[0].Offset || from > a.records[len(a.records)-1].Offset {
		return nil
	}
	rest := a.records[from-a.records[0].Offset:]
	n := min(limit, len(rest))
	if a.records = rest[n:]; len(a.records) == 0 {
		a.records = nil // lets go of their memory
	}
	return rest[:n:n]
}

func (a *ahead) put(records []eventstore.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = records
}

// Read implements eventstore.Reader.
func (l *Log) Read(ctx context.Context, number domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	s, err := l.at(ctx, number)
	if err != nil {
		return nil, err
	}
	if limit < 1 || limit > eventstore.MaxBatch {
		return nil, fmt.Errorf("read %d records: want 1..%d", limit, eventstore.MaxBatch)
	}
	if from < 0 {
		return nil, fmt.Errorf("read shard %d from %d: %w", number, from, eventstore.ErrGap)
	}
	if records := s.ahead.take(from, limit); records != nil {
		return records, nil
	}
	joined, cancel := l.within(ctx)
	defer cancel()
	records, err := l.load(joined, s, from, 0)
	if err != nil {
		return nil, l.ended(ctx, fmt.Errorf("read shard %d from %d: %w", number, from, err))
	}
	if n := min(limit, len(records)); n < len(records) {
		s.ahead.put(records[n:])
		records = records[:n:n]
	}
	return records, nil
}

// Wait implements eventstore.Reader. What it hears while it waits, the next Read need not ask for.
func (l *Log) Wait(ctx context.Context, number domain.Shard, from domain.Offset) error {
	s, err := l.at(ctx, number)
	if err != nil {
		return err
	}
	joined, cancel := l.within(ctx)
	defer cancel()
	for {
		end := s.ahead.known()
		if end > from {
			return nil
		}
		if from > end { // beyond its end a log can't be asked, and it may be longer than we saw
			end, err = l.endOf(joined, s)
		}
		if err == nil {
			var records []eventstore.Record
			if records, err = l.load(joined, s, min(from, end), pollTime); len(records) > 0 {
				s.ahead.put(records)
			}
		}
		if err != nil {
			return l.ended(ctx, fmt.Errorf("wait for shard %d to pass %d: %w", number, from, err))
		}
	}
}

// End implements eventstore.Reader.
func (l *Log) End(ctx context.Context, number domain.Shard) (domain.Offset, error) {
	s, err := l.at(ctx, number)
	if err != nil {
		return 0, err
	}
	joined, cancel := l.within(ctx)
	defer cancel()
	end, err := l.endOf(joined, s)
	if err != nil {
		return 0, l.ended(ctx, fmt.Errorf("end of shard %d: %w", number, err))
	}
	return end, nil
}

// errDoubted: what a broker said is a gap, unless another broker knows better.
var errDoubted = errors.New("records are missing")

// endOf asks for the end. An end before one that we saw is asked for again, and then is a gap.
func (l *Log) endOf(ctx context.Context, s *shard) (end domain.Offset, err error) {
	err = doubting(ctx, l.patience, func(ctx context.Context) error {
		known := s.ahead.known()
		if end, err = l.listEnd(ctx, s); err != nil {
			return err
		}
		if end < known {
			return fmt.Errorf("it went back from %d to %d: %w", known, end, errDoubted)
		}
		s.ahead.saw(end)
		return nil
	})
	return end, err
}

// load reads what there is from an offset on; none means that the shard ends there. It waits for the next
// record if it is told to, and may return none even so.
func (l *Log) load(ctx context.Context, s *shard, from domain.Offset, wait time.Duration) (records []eventstore.Record, err error) {
	err = doubting(ctx, l.patience, func(ctx context.Context) error {
		known := s.ahead.known()
		reply, err := l.fetch(ctx, s, from, wait)
		if err != nil {
			return err
		}
		if errors.Is(reply.err, kafka.OffsetOutOfRange) {
			return fmt.Errorf("it is not there: kept is from %d up to %d: %w", reply.start, max(domain.Offset(reply.highWater), known), errDoubted)
		}
		if reply.err != nil {
			return reply.err
		}
		end := domain.Offset(reply.highWater)
		if records, err = unbatch(reply.batches, from); err != nil {
			return err
		}
		if len(records) == 0 && (from > end || end < known) {
			return fmt.Errorf("it ends at %d, after %d: %w", end, max(known, from), errDoubted)
		}
		s.ahead.saw(end)
		return nil
	})
	return records, err
}

// doubting is again, for what may find a gap. A gap that does not go away is one.
func doubting(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	var since time.Time
	return again(ctx, limit, func(ctx context.Context) error {
		err := try(ctx)
		if !errors.Is(err, errDoubted) {
			since = time.Time{}
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) > gapPatience {
			return fmt.Errorf("%w: %w", err, eventstore.ErrGap)
		}
		return err
	})
}

// fetch asks a shard's leader once.
func (l *Log) fetch(ctx context.Context, s *shard, from domain.Offset, wait time.Duration) (*fetchReply, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout+wait)
	defer cancel()
	request := &fetchRequest{topic: s.topic, partition: s.partition, offset: int64(from), minBytes: 1, maxBytes: fetchBytes, wait: wait}
	reply, err := l.client.Transport.RoundTrip(ctx, l.client.Addr, request)
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	return reply.(*fetchReply), nil
}

// listEnd asks a shard's leader once where it ends: the first offset that not all replicas in sync have.
func (l *Log) listEnd(ctx context.Context, s *shard) (domain.Offset, error) {
	answer, err := l.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{s.topic: {kafka.LastOffsetOf(s.partition)}},
	})
	if err != nil {
		return 0, err
	}
	for _, p := range answer.Topics[s.topic] {
		if p.Partition == s.partition {
			return domain.Offset(p.LastOffset), p.Error
		}
	}
	return 0, fmt.Errorf("list offsets: no answer about %s/%d", s.topic, s.partition)
}
