package pubsub_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/internal/services"
)

func openPoison(t *testing.T, cluster kafka.Cluster, topic string) *pubsub.Poison {
	t.Helper()
	p, err := pubsub.OpenPoison(t.Context(), cluster, topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// aside lists what was put aside and not replayed.
func aside(t *testing.T, p *pubsub.Poison) (ids []string) {
	t.Helper()
	err := p.Each(t.Context(), func(one pubsub.Poisoned) error {
		ids = append(ids, one.Message.UUID)
		if one.At.IsZero() {
			t.Errorf("%s has no time", one.Place())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestAnyOfWhatWasPutAsideCanBeReplayedOnce: the middle first, then all. What fails again meanwhile is for the
// next time.
func TestAnyOfWhatWasPutAsideCanBeReplayedOnce(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic, back := newStream(t, cluster, 1), newStream(t, cluster, 1)
	publisher := newPublisher(t, cluster)
	if ids := aside(t, openPoison(t, cluster, topic)); len(ids) != 0 {
		t.Errorf("an empty topic has %v", ids)
	}
	if err := publisher.Publish(topic, numbered("a", 0), numbered("a", 1), numbered("a", 2)); err != nil {
		t.Fatal(err)
	}
	p := openPoison(t, cluster, topic)
	replay := func(ids ...string) {
		t.Helper()
		err := p.Each(t.Context(), func(one pubsub.Poisoned) error {
			if !slices.Contains(ids, one.Message.UUID) {
				return nil
			}
			return p.Replay(t.Context(), one, back, message.NewMessage("again "+one.Message.UUID, one.Message.Payload))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	replay("a-1")
	p = openPoison(t, cluster, topic)
	if ids := aside(t, p); !slices.Equal(ids, []string{"a-0", "a-2"}) {
		t.Errorf("left are %v", ids)
	}
	if err := publisher.Publish(topic, numbered("a", 3)); err != nil {
		t.Fatal(err)
	}
	replay("a-0", "a-1", "a-2", "a-3")
	if ids := aside(t, openPoison(t, cluster, topic)); !slices.Equal(ids, []string{"a-3"}) {
		t.Errorf("left are %v", ids)
	}
	messages := subscribe(t, newSubscriber(t, cluster, pubsub.SubscriberConfig{}), back)
	for _, want := range []string{"again a-1", "again a-0", "again a-2"} {
		m := receive(t, messages)
		m.Ack()
		if m.UUID != want {
			t.Errorf("replayed %s; want %s", m.UUID, want)
		}
	}
}

// TestAReplayThatFailsIsNotNoted: it would be lost.
func TestAReplayThatFailsIsNotNoted(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := newStream(t, cluster, 1)
	if err := newPublisher(t, cluster).Publish(topic, numbered("a", 0)); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	p := openPoison(t, cluster, topic)
	err := p.Each(t.Context(), func(one pubsub.Poisoned) error {
		return p.Replay(ended, one, topic, message.NewMessage("again", nil))
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("replay: %v", err)
	}
	// What failed may have been kept all the same, behind the message that it was to replace.
	if ids := aside(t, openPoison(t, cluster, topic)); len(ids) == 0 || ids[0] != "a-0" {
		t.Errorf("left are %v", ids)
	}
}

func TestAPoisonTopicThatIsNotThereIsSaid(t *testing.T) {
	t.Parallel()
	if _, err := pubsub.OpenPoison(t.Context(), kafka.Cluster{Brokers: services.Kafka(t)}, "test.nowhere"); !errors.Is(err, kafka.ErrTopic) {
		t.Errorf("open: %v", err)
	}
}
