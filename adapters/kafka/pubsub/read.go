package pubsub

import (
	"context"
	"errors"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/filature/filature/adapters/kafka"
)

const (
	// pollTime is how long a broker holds a request that waits for the next message. A partition that we lose keeps
	// its connection for as long.
	pollTime = time.Second
	// readPause is waited after a read that failed for good, which was tried for half a minute.
	readPause = time.Second
	// drainTime is how long a message that is being handled when its partition goes away, or when the subscriber
	// is closed, may still be acknowledged. It is well below the time that the group waits for us.
	drainTime = 3 * time.Second
)

// read delivers the messages of a partition, one after the other, until over ends: a context of kafka-go's own
// kind, which holds none of the subscriber's values, as ctx does. acked hears how far it got.
func (s *subscription) read(ctx, over context.Context, partition int, next int64, acked func(next int64)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(over, cancel)()
	defer s.config.Metrics.forget(s.config.Group, s.topic, partition)
	log := s.log.With("partition", partition)
	for ctx.Err() == nil {
		if next == kafkago.FirstOffset {
			first, _, err := s.client.Bounds(ctx, s.topic, partition)
			if err != nil {
				s.stumble(ctx, func() { log.Error("not read; trying again", "error", err) })
				continue
			}
			next = first
		}
		page, err := s.client.Fetch(ctx, s.topic, partition, next, pollTime)
		var gap *kafka.GapError
		switch {
		case errors.As(err, &gap):
			log.Error("messages are gone; going on at the first that is kept", "error", err, "missing", gap.First-next)
			s.config.Metrics.misses(s.config.Group, s.topic, max(gap.First-next, 1))
			next = gap.First
			continue
		case err != nil:
			s.stumble(ctx, func() { log.Error("not read; trying again", "error", err) })
			continue
		}
		s.config.Metrics.lags(s.config.Group, s.topic, partition, page.End-next)
		for _, m := range page.Messages {
			if !s.deliver(ctx, partition, m) {
				return
			}
			next = m.Offset + 1
			acked(next)
			s.config.Metrics.lags(s.config.Group, s.topic, partition, page.End-next)
		}
		if page.Next > next { // nothing but markers
			next = page.Next
			acked(next)
		}
	}
}

// stumble says what went wrong, unless that we are to end, and waits.
func (*subscription) stumble(ctx context.Context, say func()) {
	if ctx.Err() == nil {
		say()
		pause(ctx, readPause)
	}
}

// deliver hands a message over until it is acknowledged. It returns false if ctx ends before.
func (s *subscription) deliver(ctx context.Context, partition int, record kafka.Message) bool {
	handling, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for ctx.Err() == nil {
		m := decode(s.topic, partition, record)
		m.SetContext(handling)
		select {
		case s.out <- m:
		case <-ctx.Done():
			return false
		}
		select {
		case <-m.Acked():
			return true
		case <-m.Nacked():
			s.config.Metrics.redelivers(s.config.Group, s.topic)
			if !pause(ctx, s.config.RedeliverAfter) {
				return false
			}
		case <-ctx.Done():
			return drained(m.Acked(), m.Nacked())
		}
	}
	return false
}

// drained gives a message that is being handled some time, and says whether it was acknowledged.
func drained(acked, nacked <-chan struct{}) bool {
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-acked:
		return true
	case <-nacked:
	case <-timer.C:
	}
	return false
}

// pause waits. It returns false if the context ended before.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
