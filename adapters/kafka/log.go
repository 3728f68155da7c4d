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

// closeGrace is how long Close lets a batch that is on its way learn its fate.
const closeGrace = 5 * time.Second

// Log is a log on a Kafka cluster. It implements eventstore.Log. Several processes may have the same
// log open and append to the same shard.
type Log struct {
	topic   Topic
	client  *kafka.Client
	done    func() // closes the client's connections
	headers []byte
	shards  []*shard
	// patience is the constant, but for tests that need to see it end.
	patience time.Duration

	life    context.Context //nolint:containedctx // the log's own: it ends with Close, and all reading with it
	end     context.CancelCauseFunc
	closing chan struct{}      // closed by Close: lanes take no more batches
	sending context.Context    //nolint:containedctx // the lanes' own: what they send is not bound to a caller
	abort   context.CancelFunc // ends sending: what is on its way is given up
	lanes   sync.WaitGroup
	once    sync.Once
}

var _ eventstore.Log = (*Log)(nil)

// shard is what a Log knows of one shard.
type shard struct {
	number    domain.Shard
	topic     string
	partition int
	lane      lane
	ahead     ahead
}

// Open opens a log whose topics exist (see Create). It fails with ErrUnreachable, ErrLogin or ErrTopic, and
// says what to do. Close it.
func Open(ctx context.Context, cluster Cluster, topic Topic) (*Log, error) {
	if err := topic.check(); err != nil {
		return nil, err
	}
	client, done, err := cluster.connect(ctx, topic)
	if err != nil {
		return nil, err
	}
	if err := cluster.inspect(ctx, client, topic); err != nil {
		done()
		return nil, err
	}
	l := &Log{topic: topic, client: client, done: done, headers: topic.Event.headers(), patience: patience, closing: make(chan struct{})}
	l.life, l.end = context.WithCancelCause(context.WithoutCancel(ctx))
	l.sending, l.abort = context.WithCancel(context.WithoutCancel(ctx))
	for number := range domain.Shard(topic.DataShards + 1) {
		s := &shard{number: number, lane: lane{queue: make(chan request)}}
		s.topic, s.partition = topic.place(number)
		l.shards = append(l.shards, s)
		l.lanes.Go(func() { l.run(s) })
	}
	return l, nil
}

// Close ends all calls, with eventstore.ErrClosed where they had not done anything yet, and waits until a
// batch that is on its way is kept, or given up after a few seconds. It returns
// eventstore.ErrClosed if the log was closed before.
func (l *Log) Close() error {
	err := eventstore.ErrClosed
	l.once.Do(func() {
		close(l.closing)
		l.end(eventstore.ErrClosed)
		timer := time.AfterFunc(closeGrace, l.abort)
		l.lanes.Wait()
		timer.Stop()
		l.abort()
		l.done()
		err = nil
	})
	return err
}

// Shards implements eventstore.Reader.
func (l *Log) Shards() int { return len(l.shards) }

// at returns a shard, or why nothing can be done with it.
func (l *Log) at(ctx context.Context, number domain.Shard) (*shard, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case l.life.Err() != nil:
		return nil, eventstore.ErrClosed
	case number < 0 || int(number) >= len(l.shards):
		return nil, fmt.Errorf("shard %d of %d: %w", number, len(l.shards), eventstore.ErrNoShard)
	}
	return l.shards[number], nil
}

// within joins a caller's context to the life of the log.
func (l *Log) within(ctx context.Context) (context.Context, context.CancelFunc) {
	joined, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.life, func() { cancel(eventstore.ErrClosed) })
	return joined, func() {
		stop()
		cancel(nil)
	}
}

// ended replaces the error of a call by what ended it, if something did: the caller or Close.
func (l *Log) ended(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, eventstore.ErrGap) || errors.Is(err, eventstore.ErrCorrupt):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case l.life.Err() != nil:
		return eventstore.ErrClosed
	}
	return err
}
