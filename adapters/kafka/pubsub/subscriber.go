package pubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/filature/filature/adapters/kafka"
)

// redeliverAfter is waited before a message that was refused is delivered again, if nobody says otherwise.
const redeliverAfter = time.Second

// SubscriberConfig is how to subscribe. The zero value is sensible.
type SubscriberConfig struct {
	// Group shares the messages out among all subscribers with the same name, and remembers how far they
	// got; a new one begins with the first message that is kept. Without a name a subscriber gets all
	// messages from the first on, each time, and remembers nothing; partitions that are added
	// later are not read.
	Group          string
	RedeliverAfter time.Duration // after a Nack; 0 is a second
	Log            *slog.Logger  // nil: none
	Metrics        *Metrics      // nil: none
}

// Subscriber is a message.Subscriber on a Kafka cluster. It is safe for many goroutines.
type Subscriber struct {
	cluster kafka.Cluster
	config  SubscriberConfig
	client  *kafka.Client

	life context.Context //nolint:containedctx // the subscriber's own: all subscriptions end with it
	end  context.CancelFunc

	mu            sync.Mutex
	subscriptions sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber hears from the cluster first, and fails with kafka.ErrUnreachable or kafka.ErrLogin. Close it.
func NewSubscriber(ctx context.Context, cluster kafka.Cluster, config SubscriberConfig) (*Subscriber, error) {
	client, err := kafka.Dial(ctx, cluster)
	if err != nil {
		return nil, err
	}
	if config.RedeliverAfter == 0 {
		config.RedeliverAfter = redeliverAfter
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	s := &Subscriber{cluster: cluster, config: config, client: client}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	return s, nil
}

// Subscribe implements message.Subscriber. A topic that is not there is a kafka.ErrTopic. The channel has no
// buffer, and holds one message of each partition at most. It is closed when the context ends or the
// Subscriber is closed; a message that is being handled then has a few seconds to be acknowledged
// before its context ends.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	partitions, err := s.client.Partitions(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, ErrClosed)
	}
	sub := &subscription{
		Subscriber: s, topic: topic, out: make(chan *message.Message),
		log: s.config.Log.With("topic", topic, "group", s.config.Group),
	}
	run := func(ctx context.Context) { sub.readAll(ctx, partitions) }
	if s.config.Group != "" {
		member, err := s.cluster.GroupMember(s.config.Group, topic)
		if err != nil {
			return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
		}
		run = func(ctx context.Context) { sub.takePart(ctx, member) }
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel) //nolint:contextcheck // it ends with either
	s.subscriptions.Go(func() {
		defer close(sub.out)
		defer cancel()
		defer stop()
		run(ctx)
		sub.readers.Wait()
	})
	return sub.out, nil
}

// Close implements message.Subscriber: it ends all subscriptions, commits what was acknowledged, leaves the
// groups, and waits for all that. It may be called again.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.subscriptions.Wait()
	s.client.Close()
	return nil
}

// subscription is one call of Subscribe.
type subscription struct {
	*Subscriber

	topic   string
	out     chan *message.Message
	log     *slog.Logger
	readers sync.WaitGroup // each sends to out, which is closed after them
}

// readAll reads all partitions from the first message on, until the context ends.
func (s *subscription) readAll(ctx context.Context, partitions int) {
	for partition := range partitions {
		s.readers.Go(func() { s.read(context.WithoutCancel(ctx), ctx, partition, kafkago.FirstOffset, func(int64) {}) })
	}
}

// takePart reads what the group gives us, generation by generation, until the context ends.
func (s *subscription) takePart(ctx context.Context, member *kafkago.ConsumerGroup) {
	// Close ends the generation and waits for its readers and its last commit, then leaves the group.
	// Were the readers to end by themselves, the member would join once more before it left.
	defer member.Close()
	for {
		generation, err := member.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			s.work(context.WithoutCancel(ctx), generation)
		case errors.Is(err, kafkago.RebalanceInProgress): // it goes on with the next
		default:
			s.log.Error("member of the group no more; trying again", "error", err)
		}
	}
}

// work reads our partitions for as long as the generation lasts. The group waits for all that is started
// here before it goes on, and ends it.
func (s *subscription) work(ctx context.Context, generation *kafkago.Generation) {
	acked := make(chan mark)
	var readers sync.WaitGroup
	for _, assigned := range generation.Assignments[s.topic] {
		readers.Add(1)
		s.readers.Add(1)
		generation.Start(func(over context.Context) {
			defer s.readers.Done()
			defer readers.Done()
			s.read(ctx, over, assigned.ID, assigned.Offset, func(next int64) { acked <- mark{assigned.ID, next} })
		})
	}
	s.readers.Add(1)
	generation.Start(func(over context.Context) {
		defer s.readers.Done()
		go func() {
			readers.Wait()
			close(acked)
		}()
		s.commit(generation, acked)
		<-over.Done() // a generation ends with the first that returns, and we may have no partition at all
	})
}
