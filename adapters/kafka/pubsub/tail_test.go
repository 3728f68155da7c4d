package pubsub_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/services"
)

// tailWorld is a topic of two partitions, a publisher, and what finds its tail.
type tailWorld struct {
	*testing.T

	brokers   []string
	topic     string
	publisher *pubsub.Publisher
	tail      *pubsub.Tail
}

func newTailWorld(t *testing.T, partitions int) tailWorld {
	t.Helper()
	brokers := services.Kafka(t)
	cluster := kafka.Cluster{Brokers: brokers}
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails
	topic := "test.tail." + hex.EncodeToString(raw[:])
	if err := pubsub.Create(t.Context(), cluster, kafka.Stream{Name: topic, Partitions: partitions, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	publisher, err := pubsub.NewPublisher(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = publisher.Close() })
	tail, err := pubsub.NewTail(t.Context(), cluster, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tail.Close)
	return tailWorld{t, brokers, topic, publisher, tail}
}

// publish writes messages to a shard's partition. What does not look like a position is a message that has none;
// "again 1/2/3" is one that came back from the poison topic.
func (w tailWorld) publish(shard domain.Shard, positions ...string) {
	w.Helper()
	account := accountOf(shard)
	messages := make([]*message.Message, len(positions))
	for i, position := range positions {
		m := message.NewMessage(fmt.Sprint(i), []byte("x"))
		m.Metadata[pubsub.Key] = string(account[:])
		if at, again := strings.CutPrefix(position, "again "); again {
			m.Metadata["replayed_from"], position = "7", at
		}
		if strings.Contains(position, "/") {
			m.Metadata["position"] = position
		}
		messages[i] = m
	}
	if err := w.publisher.Publish(w.topic, messages...); err != nil {
		w.Fatal(err)
	}
}

// accountOf is an account of one of two data shards.
func accountOf(shard domain.Shard) domain.AccountID {
	for i := byte(0); ; i++ {
		if account := (domain.AccountID{i}); domain.ShardOf(account, 2) == shard {
			return account
		}
	}
}

func (w tailWorld) want(shard domain.Shard, want string) {
	w.Helper()
	last, found, err := w.tail.Last(w.Context(), w.topic, shard)
	if have := last.String(); err != nil || found != (want != "") || found && have != want {
		w.Errorf("shard %d: last is %s, %v, %v; want %q", shard, last, found, err, want)
	}
}

// repeated is a position, many times.
func repeated(position string, times int) []string {
	all := make([]string, times)
	for i := range all {
		all[i] = position
	}
	return all
}

func TestTheTailIsTheGreatestPositionOfTheShardsPartition(t *testing.T) {
	t.Parallel()
	w := newTailWorld(t, 2)
	w.want(1, "")
	w.publish(1, "stranger")
	w.want(1, "")
	w.publish(1, "1/7/1")
	w.want(1, "1/7/1")
	w.want(2, "")
	w.publish(2, "2/1/1", "2/1/2", "2/10/1")
	w.want(1, "1/7/1")
	w.want(2, "2/10/1")
	// A zombie's copies, what came back from the poison topic, and strangers stand behind.
	w.publish(2, "2/1/1", "2/1/2")
	w.want(2, "2/10/1")
	w.publish(2, "stranger", "again 2/11/1")
	w.want(2, "2/10/1")
	w.publish(1, repeated("again 1/7/1", 10_000)...)
	w.want(1, "1/7/1")
	w.publish(1, "1/8/1")
	w.want(1, "1/8/1")
}

func TestControlHasTheOnlyPartition(t *testing.T) {
	t.Parallel()
	w := newTailWorld(t, 1)
	w.want(domain.Control, "")
	w.publish(1, "0/7/1")
	w.want(domain.Control, "0/7/1")
}

// With another number of partitions another shard's tail would be found, and messages left out.
func TestATopicThatDoesNotFitTheShardsHasNoTail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		partitions int
		shard      domain.Shard
	}{{2, domain.Control}, {1, 1}, {3, 1}, {2, 3}} {
		w := newTailWorld(t, c.partitions)
		if _, _, err := w.tail.Last(t.Context(), w.topic, c.shard); !errors.Is(err, kafka.ErrTopic) {
			t.Errorf("shard %d with %d partitions: %v", c.shard, c.partitions, err)
		}
	}
	w := newTailWorld(t, 1)
	if _, _, err := w.tail.Last(t.Context(), w.topic+".other", domain.Control); !errors.Is(err, kafka.ErrTopic) {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestATopicThatForgotItsTailSaysSo(t *testing.T) {
	t.Parallel()
	w := newTailWorld(t, 2)
	w.publish(1, "1/7/1", "1/8/1", "1/9/1")
	w.forget(0, 2)
	w.want(1, "1/9/1")
	w.publish(1, "stranger")
	w.forget(0, 3)
	for range 2 {
		_, found, err := w.tail.Last(t.Context(), w.topic, 1)
		if found || !errors.Is(err, pubsub.ErrForgotten) || !strings.Contains(err.Error(), "delete the topic") {
			t.Errorf("found %v, %v", found, err)
		}
		w.forget(0, 4)
	}
	w.want(2, "")
}

func TestAPositionThatIsNoneIsNamedByItsPlace(t *testing.T) {
	t.Parallel()
	w := newTailWorld(t, 2)
	w.publish(2, "2/1/1", "2/x/1")
	_, _, err := w.tail.Last(t.Context(), w.topic, 2)
	if err == nil || !strings.Contains(err.Error(), w.topic+`, partition 1, offset 1: fact position "2/x/1"`) {
		t.Errorf("%v", err)
	}
}

// forget drops what stands before an offset, as retention does.
func (w tailWorld) forget(partition int32, before int64) {
	w.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...))
	if err != nil {
		w.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
	defer cancel()
	request := kmsg.NewPtrDeleteRecordsRequest()
	request.TimeoutMillis = 5000
	request.Topics = []kmsg.DeleteRecordsRequestTopic{{
		Topic: w.topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: before}},
	}}
	for _, shard := range client.RequestSharded(ctx, request) {
		if shard.Err != nil {
			w.Fatal(shard.Err)
		}
		for _, topic := range shard.Resp.(*kmsg.DeleteRecordsResponse).Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 {
					w.Fatalf("delete records: error %d", p.ErrorCode)
				}
			}
		}
	}
}
