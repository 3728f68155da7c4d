package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	kafkago "github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/kafka"
)

const (
	// batchMessages and batchBytes bound one write to a partition: enough that the round trip does not count,
	// and within what a topic takes.
	batchMessages = 1000
	batchBytes    = 1 << 20
	// parallelWrites is how many partitions one Publish writes to at the same time. Each holds a connection.
	parallelWrites = 8
	// closeGrace is how long Close lets what is on its way learn its fate.
	closeGrace = 5 * time.Second
)

// ErrClosed: the Publisher or Subscriber was closed. Nothing was written.
var ErrClosed = errors.New("closed")

// Publisher is a message.Publisher on a Kafka cluster. It is safe for many goroutines.
type Publisher struct {
	client *kafka.Client
	turn   atomic.Uint32 // where messages without a key go next

	life context.Context //nolint:containedctx // the publisher's own: Publish has none but the messages'
	end  context.CancelFunc

	mu       sync.Mutex
	closed   bool
	underway sync.WaitGroup
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher hears from the cluster first, and fails with kafka.ErrUnreachable or kafka.ErrLogin. Close it.
func NewPublisher(ctx context.Context, cluster kafka.Cluster) (*Publisher, error) {
	client, err := kafka.Dial(ctx, cluster)
	if err != nil {
		return nil, err
	}
	p := &Publisher{client: client}
	p.life, p.end = context.WithCancel(context.WithoutCancel(ctx))
	return p, nil
}

// Publish implements message.Publisher: it returns nil when all replicas in sync have all messages. Those
// of one call with the same key, and those without any, follow each other in the order given. After an error
// some of them may have been published, and all may be published again. The context of the first
// message is the call's; besides, a call gives up after half a minute without an answer.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return fmt.Errorf("publish %d messages to %s: %w", len(messages), topic, ErrClosed)
	}
	p.underway.Add(1)
	p.mu.Unlock()
	defer p.underway.Done()
	ctx, cancel := context.WithCancel(messages[0].Context())
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()

	records := make([]kafka.Message, len(messages))
	for i, m := range messages {
		var err error
		if records[i], err = encode(m); err != nil {
			return fmt.Errorf("publish %d messages to %s: messages[%d]: %w", len(messages), topic, i, err)
		}
	}
	partitions, err := p.client.Partitions(ctx, topic)
	if err != nil {
		return fmt.Errorf("publish %d messages to %s: %w", len(messages), topic, err)
	}
	var writes errgroup.Group
	writes.SetLimit(parallelWrites)
	errs := make([]error, partitions)
	for partition, own := range distribute(records, partitions, int(p.turn.Add(1))) {
		if len(own) > 0 {
			writes.Go(func() error {
				errs[partition] = p.write(ctx, topic, partition, own)
				return nil
			})
		}
	}
	_ = writes.Wait() // they are in errs, all of them
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// write writes to one partition. What follows a batch that failed is not written, so that order holds.
func (p *Publisher) write(ctx context.Context, topic string, partition int, records []kafka.Message) error {
	for len(records) > 0 {
		n := batchLength(records)
		if _, err := p.client.Produce(ctx, topic, partition, records[:n]); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// Close implements message.Publisher. It waits until what is on its way has been answered, or given up after a
// few seconds. It may be called again.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	timer := time.AfterFunc(closeGrace, p.end)
	p.underway.Wait()
	timer.Stop()
	p.end()
	p.client.Close()
	return nil
}

// distribute gives each record its partition: by its key, as Kafka's own clients do, and all without a key
// together to the one whose turn it is.
func distribute(records []kafka.Message, partitions, turn int) [][]kafka.Message {
	all := make([]int, partitions)
	for i := range all {
		all[i] = i
	}
	out := make([][]kafka.Message, partitions)
	for _, r := range records {
		partition := turn % partitions
		if r.Key != nil {
			partition = kafkago.Murmur2Balancer{Consistent: true}.Balance(kafkago.Message{Key: r.Key}, all...)
		}
		out[partition] = append(out[partition], r)
	}
	return out
}

// batchLength is how many of the records go into the next batch: one at least.
func batchLength(records []kafka.Message) int {
	size := 0
	for i, r := range records {
		size += sizeOf(r)
		if i > 0 && (i == batchMessages || size > batchBytes) {
			return i
		}
	}
	return len(records)
}

func sizeOf(r kafka.Message) int {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Name) + len(h.Value)
	}
	return size
}
