package pubsub

import (
	"context"
	"errors"
	"fmt"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
)

const (
	// positionHeader says of which fact of the ledger a message is: shard/offset/fact.
	positionHeader = "position"
	// replayedHeader marks a message that came back from the poison topic. It is of an old fact, so it
	// says nothing about how far a stream is.
	replayedHeader = "replayed_from"
	// tailMessages is how many of the newest messages are looked at first. One would do, but for copies of
	// older ones (see Tail), and a read brings about as many anyway.
	tailMessages = 256
	// tailGrowth is how many times more are looked at if none of them says what is sought.
	tailGrowth = 16
)

// ErrForgotten: a stream's topic had messages, and keeps none that says how far the stream is.
var ErrForgotten = errors.New("the topic forgot how far the stream is")

// Tail finds out how far a stream is from its newest messages. It relies on what who feeds the stream keeps to:
// the messages of shard s are in partition s-1, those of control in the only one, and a partition holds a
// shard's messages up to some fact without a hole; between them may be copies of earlier ones. So the greatest
// position among the newest ones is how far the stream is. Where copies hide greater ones, an earlier
// position is found, and some messages are doubled. It is safe for many goroutines.
type Tail struct {
	client     *kafka.Client
	dataShards int
}

// NewTail hears from the cluster first, and fails with kafka.ErrUnreachable or kafka.ErrLogin. Close it.
func NewTail(ctx context.Context, cluster kafka.Cluster, dataShards int) (*Tail, error) {
	client, err := kafka.Dial(ctx, cluster)
	if err != nil {
		return nil, err
	}
	return &Tail{client, dataShards}, nil
}

// Close closes the connections.
func (t *Tail) Close() { t.client.Close() }

// Last returns the greatest position of a shard in a topic, or false if nothing of the shard was ever written
// there. A topic that is not there, or has another number of partitions than its streams need, is a
// kafka.ErrTopic; one whose messages are gone is an ErrForgotten.
func (t *Tail) Last(ctx context.Context, topic string, shard domain.Shard) (last domain.FactPosition, found bool, err error) {
	partition, err := t.place(ctx, topic, shard)
	if err != nil {
		return last, false, err
	}
	first, end, err := t.client.Bounds(ctx, topic, partition)
	if err != nil {
		return last, false, err
	}
	for window := int64(tailMessages); ; window *= tailGrowth {
		from := max(first, end-window)
		last, found, err = t.greatest(ctx, topic, partition, from, end)
		switch {
		case err != nil || found:
			return last, found, err
		case from > first:
		case first > 0:
			return last, false, fmt.Errorf("topic %s, partition %d: %w: of %d messages it keeps %d, and none of them names its fact: "+
				"delete the topic and let it be made again; all of the stream is published anew, and who keeps positions drops what is known",
				topic, partition, ErrForgotten, end, end-first)
		default:
			return last, false, nil
		}
	}
}

// place returns the partition of a shard's messages. With another number of partitions, keys would have other
// places than accounts have shards.
func (t *Tail) place(ctx context.Context, topic string, shard domain.Shard) (partition int, err error) {
	have, err := t.client.Partitions(ctx, topic)
	if err != nil {
		return 0, err
	}
	want := 1
	if shard != domain.Control {
		partition, want = int(shard)-1, t.dataShards
	}
	if have != want || partition >= want {
		return 0, fmt.Errorf("topic %s: %w: it has %d partitions; want %d for the messages of shard %d", topic, kafka.ErrTopic, have, want, shard)
	}
	return partition, nil
}

// greatest returns the greatest position among the messages in [from, end).
func (t *Tail) greatest(ctx context.Context, topic string, partition int, from, end int64) (last domain.FactPosition, found bool, err error) {
	for from < end {
		page, err := t.client.Fetch(ctx, topic, partition, from, 0)
		if err != nil {
			return last, false, err
		}
		if page.Next <= from { // the end went back, or its leader is a new one
			return last, false, fmt.Errorf("topic %s, partition %d: ends at %d, and ended at %d just now", topic, partition, page.End, end)
		}
		from = page.Next
		for _, m := range page.Messages {
			at, told, err := positionOf(m)
			if err != nil {
				return last, false, fmt.Errorf("topic %s, partition %d, offset %d: %w", topic, partition, m.Offset, err)
			}
			if told && (!found || at.Compare(last) > 0) {
				last, found = at, true
			}
		}
	}
	return last, found, nil
}

// positionOf returns of which fact a message is. A message from elsewhere does not say, and a replayed one is
// a copy.
func positionOf(m kafka.Message) (at domain.FactPosition, told bool, err error) {
	for _, h := range m.Headers {
		switch h.Name {
		case replayedHeader:
			return domain.FactPosition{}, false, nil
		case positionHeader:
			if at, err = domain.ParseFactPosition(string(h.Value)); err != nil {
				return domain.FactPosition{}, false, err
			}
			told = true
		}
	}
	return at, told, nil
}
