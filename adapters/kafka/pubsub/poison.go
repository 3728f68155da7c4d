package pubsub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/adapters/kafka"
)

// replayedMark is the header of a record that says of another in its partition, by offset, that it was replayed. Such
// a record has nothing else. What was replayed stands in the topic itself, and not in a consumer group's
// offset: that is one number, so it can't leave out the middle, and Kafka forgets it after a week.
const replayedMark = "poison_replayed"

// Poison reads the topic of messages that were put aside, and brings them back. It sees what was there when it was
// opened, so that a message that fails once more is not brought back for ever.
type Poison struct {
	client    *kafka.Client
	publisher *Publisher
	topic     string
	bounds    []bound // by partition
}

type bound struct{ first, end int64 }

// Poisoned is a message that was put aside and not replayed since.
type Poisoned struct {
	Message   *message.Message
	At        time.Time // when it was put aside
	partition int
	offset    int64
}

// Place says where it stands: topic/partition/offset.
func (p Poisoned) Place() string { return Place(p.Message) }

// OpenPoison looks at the poison topic. One that is not there is a kafka.ErrTopic. Close it.
func OpenPoison(ctx context.Context, cluster kafka.Cluster, topic string) (p *Poison, err error) {
	publisher, err := NewPublisher(ctx, cluster)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, publisher.Close())
		}
	}()
	client := publisher.client
	partitions, err := client.Partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	p = &Poison{client: client, publisher: publisher, topic: topic, bounds: make([]bound, partitions)}
	for i := range p.bounds {
		if p.bounds[i].first, p.bounds[i].end, err = client.Bounds(ctx, topic, i); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Close closes the connections.
func (p *Poison) Close() error { return p.publisher.Close() }

// Each visits the messages that were not replayed, oldest first within a partition, and stops at an error. Memory
// is needed for what was replayed, by place, and for one read.
func (p *Poison) Each(ctx context.Context, visit func(Poisoned) error) error {
	for partition := range p.bounds {
		replayed := map[int64]bool{}
		err := p.scan(ctx, partition, func(m kafka.Message) error {
			offset, is, err := markOf(m)
			if is {
				replayed[offset] = true
			}
			return err
		})
		if err != nil {
			return err
		}
		err = p.scan(ctx, partition, func(m kafka.Message) error {
			if _, is, _ := markOf(m); is || replayed[m.Offset] {
				return nil
			}
			return visit(Poisoned{Message: decode(p.topic, partition, m), At: m.Time, partition: partition, offset: m.Offset})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scan reads a partition up to where it ended when it was opened. What retention takes meanwhile is left out.
func (p *Poison) scan(ctx context.Context, partition int, visit func(kafka.Message) error) error {
	for from := p.bounds[partition].first; from < p.bounds[partition].end; {
		page, err := p.client.Fetch(ctx, p.topic, partition, from, 0)
		if gap := (*kafka.GapError)(nil); errors.As(err, &gap) && gap.First > from {
			from = gap.First
			continue
		}
		if err != nil {
			return err
		}
		if page.Next == from {
			return fmt.Errorf("read %s/%d: it ends at %d, and ended at %d before", p.topic, partition, from, p.bounds[partition].end)
		}
		for _, m := range page.Messages {
			if m.Offset >= p.bounds[partition].end {
				break
			}
			if err := visit(m); err != nil {
				return err
			}
		}
		from = page.Next
	}
	return nil
}

// Replay publishes what is made of a message, and then notes that it was replayed. If we crash between the two, or
// two do the same at once, it is replayed once more: who counts ids has it once.
func (p *Poison) Replay(ctx context.Context, poisoned Poisoned, topic string, again *message.Message) error {
	again.SetContext(ctx)
	if err := p.publisher.Publish(topic, again); err != nil { //nolint:contextcheck // it is in the message
		return fmt.Errorf("replay %s: %w", poisoned.Place(), err)
	}
	note := kafka.Message{Headers: []kafka.Header{{Name: replayedMark, Value: strconv.AppendInt(nil, poisoned.offset, 10)}}}
	if _, err := p.client.Produce(ctx, p.topic, poisoned.partition, []kafka.Message{note}); err != nil {
		return fmt.Errorf("%s was replayed, and that could not be noted, so it will be replayed again: %w", poisoned.Place(), err)
	}
	return nil
}

// markOf reads a note that another message was replayed.
func markOf(m kafka.Message) (offset int64, is bool, err error) {
	for _, h := range m.Headers {
		if h.Name == replayedMark {
			if offset, err = strconv.ParseInt(string(h.Value), 10, 64); err != nil {
				return 0, true, fmt.Errorf("note of a replay at offset %d: %w", m.Offset, err)
			}
			return offset, true, nil
		}
	}
	return 0, false, nil
}
