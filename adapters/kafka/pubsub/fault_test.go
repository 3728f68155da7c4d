package pubsub_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/internal/services"
)

// patience is what a test waits for anything: longer than a broker needs to come back.
const patience = time.Minute

// newStream makes a stream that no other test knows.
func newStream(t *testing.T, cluster kafka.Cluster, partitions int) string {
	t.Helper()
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails
	name := "test.stream." + hex.EncodeToString(raw[:])
	if err := pubsub.Create(t.Context(), cluster, kafka.Stream{Name: name, Partitions: partitions, Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	return name
}

func newPublisher(t *testing.T, cluster kafka.Cluster) *pubsub.Publisher {
	t.Helper()
	p, err := pubsub.NewPublisher(t.Context(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func newSubscriber(t *testing.T, cluster kafka.Cluster, config pubsub.SubscriberConfig) *pubsub.Subscriber {
	t.Helper()
	s, err := pubsub.NewSubscriber(t.Context(), cluster, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func subscribe(t *testing.T, s *pubsub.Subscriber, topic string) <-chan *message.Message {
	t.Helper()
	messages, err := s.Subscribe(context.WithoutCancel(t.Context()), topic)
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// numbered is a message with its number as payload.
func numbered(key string, n int) *message.Message {
	m := message.NewMessage(key+"-"+strconv.Itoa(n), []byte(strconv.Itoa(n)))
	if key != "" {
		m.Metadata[pubsub.Key] = key
	}
	return m
}

func receive(t *testing.T, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, open := <-messages:
		if !open {
			t.Fatal("the subscription ended")
		}
		return m
	case <-time.After(patience):
		t.Fatalf("no message after %v", patience)
		return nil
	}
}

func fake(t *testing.T) (*kfake.Cluster, kafka.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, kafka.Cluster{Brokers: cluster.ListenAddrs()}
}

// TestPublishSurvivesWhatABrokerAnswers: REQUEST_TIMED_OUT is answered after the message was kept, so then it
// stands there twice, with the same id. The others are answered instead.
func TestPublishSurvivesWhatABrokerAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault *kerr.Error
		want  int
	}{
		"the acknowledgement is lost": {kerr.RequestTimedOut, 2},
		"the leader moved":            {kerr.NotLeaderForPartition, 1},
		"too few replicas are there":  {kerr.NotEnoughReplicas, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker, cluster := fake(t)
			topic := newStream(t, cluster, 1)
			broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: c.fault, Count: 1})
			if err := newPublisher(t, cluster).Publish(topic, numbered("a", 1)); err != nil {
				t.Fatal(err)
			}
			if err := newPublisher(t, cluster).Publish(topic, numbered("a", 2)); err != nil {
				t.Fatal(err)
			}
			messages := subscribe(t, newSubscriber(t, cluster, pubsub.SubscriberConfig{}), topic)
			ids := []string{}
			for len(ids) == 0 || ids[len(ids)-1] != "a-2" {
				m := receive(t, messages)
				ids = append(ids, m.UUID)
				m.Ack()
			}
			if got := strings.Count(strings.Join(ids, " "), "a-1"); got != c.want {
				t.Errorf("received %v; want a-1 %d times", ids, c.want)
			}
		})
	}
}

func TestPublishSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	p := newPublisher(t, cluster)
	if err := p.Publish("test.nowhere", numbered("", 1)); !errors.Is(err, kafka.ErrTopic) || !strings.Contains(err.Error(), "test.nowhere") {
		t.Errorf("to a topic that is not there: %v", err)
	}
	topic := newStream(t, cluster, 1)
	large := message.NewMessage("2", make([]byte, 2<<20))
	if err := p.Publish(topic, numbered("", 1), large); err == nil || !strings.Contains(err.Error(), "messages[1]: payload") {
		t.Errorf("too large: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late := numbered("", 1)
	late.SetContext(ended)
	if err := p.Publish(topic, late); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := p.Publish(topic); err != nil {
		t.Errorf("nothing: %v", err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if err := p.Publish(topic, numbered("", 1)); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	for name, call := range map[string]func(kafka.Cluster) error{
		"publisher": func(c kafka.Cluster) error { _, err := pubsub.NewPublisher(t.Context(), c); return err },
		"subscriber": func(c kafka.Cluster) error {
			_, err := pubsub.NewSubscriber(t.Context(), c, pubsub.SubscriberConfig{})
			return err
		},
		"create": func(c kafka.Cluster) error { return pubsub.Create(t.Context(), c) },
	} {
		if err := call(kafka.Cluster{Brokers: []string{"127.0.0.1:1"}}); !errors.Is(err, kafka.ErrUnreachable) {
			t.Errorf("%s without a broker: %v", name, err)
		}
	}
}

func TestSubscribeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newSubscriber(t, kafka.Cluster{Brokers: services.Kafka(t)}, pubsub.SubscriberConfig{Group: "test.nobody"})
	if _, err := s.Subscribe(t.Context(), "test.nowhere"); !errors.Is(err, kafka.ErrTopic) {
		t.Errorf("to a topic that is not there: %v", err)
	}
	topic := newStream(t, kafka.Cluster{Brokers: services.Kafka(t)}, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Subscribe(t.Context(), topic); err == nil {
		t.Error("no error after Close")
	}
}

func TestAStreamIsMadeOnceAndKeepsItsPartitions(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := newStream(t, cluster, 3)
	if err := pubsub.Create(t.Context(), cluster, kafka.Stream{Name: topic, Partitions: 3, Replicas: 1}); err != nil {
		t.Errorf("once more: %v", err)
	}
	for says, stream := range map[string]kafka.Stream{
		"has 3 partitions; want 4": {Name: topic, Partitions: 4, Replicas: 1},
		"name is":                  {Name: "a b", Partitions: 1, Replicas: 1},
		"0 partitions":             {Name: "test.a", Replicas: 1},
		"0 replicas":               {Name: "test.a", Partitions: 1},
		"retention is 1s":          {Name: "test.a", Partitions: 1, Replicas: 1, Retention: time.Second},
	} {
		if err := pubsub.Create(t.Context(), cluster, stream); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v; want %q", stream, err, says)
		}
	}
}

// TestNothingIsLostWhileTheBrokerIsKilled, through TLS and a login, with two members of a group. What each key
// says first comes in order; only what was not committed comes again.
func TestNothingIsLostWhileTheBrokerIsKilled(t *testing.T) {
	t.Parallel()
	broker := services.OwnKafka(t, 1)
	cluster := secured(broker)
	topic := newStream(t, cluster, 4)
	const keys, each = 8, 150
	tally := newTally()
	for range 2 {
		messages := subscribe(t, newSubscriber(t, cluster, pubsub.SubscriberConfig{Group: topic}), topic)
		go tally.handle(messages)
	}
	publisher := newPublisher(t, cluster)
	var publishing sync.WaitGroup
	half := make(chan struct{}, keys)
	for k := range keys {
		publishing.Go(func() {
			for n := range each {
				for publisher.Publish(topic, numbered(fmt.Sprint("key", k), n)) != nil {
					if t.Context().Err() != nil {
						return
					}
				}
				if n == each/2 {
					half <- struct{}{}
				}
			}
		})
	}
	for range keys {
		<-half
	}
	broker.Kill(t, 0)
	broker.Restart(t, 0)
	publishing.Wait()
	tally.await(t, keys*each)
	t.Logf("%d messages, %d delivered again", keys*each, tally.repeated())
	if tally.disorder != "" {
		t.Error(tally.disorder)
	}
}

// TestMembersComeAndGoAndNothingIsLostOrDeliveredTwice: who leaves in peace commits what it acknowledged.
func TestMembersComeAndGoAndNothingIsLostOrDeliveredTwice(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := newStream(t, cluster, 6)
	publisher := newPublisher(t, cluster)
	const rounds, each = 6, 300
	tally := newTally()
	join := func() *pubsub.Subscriber {
		s := newSubscriber(t, cluster, pubsub.SubscriberConfig{Group: topic})
		go tally.handle(subscribe(t, s, topic))
		return s
	}
	stays, last := join(), join()
	for round := range rounds {
		batch := make([]*message.Message, each)
		for n := range batch {
			batch[n] = numbered(fmt.Sprint("key", n%20), round*each+n)
		}
		if err := publisher.Publish(topic, batch...); err != nil {
			t.Fatal(err)
		}
		next := join()
		tally.await(t, round*each+each/2) // so some are on their way
		if err := last.Close(); err != nil {
			t.Fatal(err)
		}
		last = next
	}
	tally.await(t, rounds*each)
	if again := tally.repeated(); again != 0 {
		t.Errorf("%d messages were delivered after they were acknowledged", again)
	}
	if tally.disorder != "" {
		t.Error(tally.disorder)
	}
	_ = stays.Close()
	_ = last.Close()
}

// tally handles messages and notes what it got.
type tally struct {
	mu       sync.Mutex
	times    map[string]int
	last     map[string]int // by key
	disorder string
	changed  chan struct{} // has room for one
}

func newTally() *tally {
	return &tally{times: map[string]int{}, last: map[string]int{}, changed: make(chan struct{}, 1)}
}

func (c *tally) handle(messages <-chan *message.Message) {
	for m := range messages {
		n, _ := strconv.Atoi(string(m.Payload))
		key := m.Metadata[pubsub.Key]
		c.mu.Lock()
		if last, seen := c.last[key]; c.times[m.UUID] == 0 && seen && n <= last {
			c.disorder = fmt.Sprintf("%s came after %d", m.UUID, last)
		}
		c.times[m.UUID]++
		c.last[key] = max(c.last[key], n)
		c.mu.Unlock()
		m.Ack()
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}
}

func (c *tally) await(t *testing.T, different int) {
	t.Helper()
	limit := time.After(patience)
	for {
		c.mu.Lock()
		have := len(c.times)
		c.mu.Unlock()
		if have >= different {
			return
		}
		select {
		case <-c.changed:
		case <-limit:
			t.Fatalf("%d of %d messages after %v", have, different, patience)
		}
	}
}

// repeated is how many deliveries there were too many.
func (c *tally) repeated() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.times {
		n += times - 1
	}
	return n
}

// TestAGapIsReportedAndThenPassed: messages that the group had not read are deleted.
func TestAGapIsReportedAndThenPassed(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := newStream(t, cluster, 1)
	publisher := newPublisher(t, cluster)
	for n := range 10 {
		if err := publisher.Publish(topic, numbered("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	registry, said := prometheus.NewRegistry(), &lines{}
	metrics, err := pubsub.NewMetrics(registry)
	if err != nil {
		t.Fatal(err)
	}
	config := pubsub.SubscriberConfig{Group: topic, Metrics: metrics, Log: slog.New(slog.NewTextHandler(said, nil))}
	first := newSubscriber(t, cluster, config)
	messages := subscribe(t, first, topic)
	for range 3 {
		receive(t, messages).Ack()
	}
	receive(t, messages).Nack() // the fourth is not dealt with
	const redelivered = "filature_stream_redelivered_messages_total"
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		if counted, err := testutil.GatherAndCount(registry, redelivered); err == nil && counted == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("it is not delivered again after %v", patience)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	deleteBefore(t, cluster, topic, 7)
	m := receive(t, subscribe(t, newSubscriber(t, cluster, config), topic))
	m.Ack()
	if string(m.Payload) != "7" {
		t.Errorf("it went on at %s; want 7", m.Payload)
	}
	if text := said.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "messages are gone") || !strings.Contains(text, "missing=4") {
		t.Errorf("the log says: %s", text)
	}
	const want = `
# HELP filature_stream_missing_messages_total Messages that were gone before the group read them.
# TYPE filature_stream_missing_messages_total counter
filature_stream_missing_messages_total{group="%[1]s",topic="%[1]s"} 4
# HELP filature_stream_redelivered_messages_total Messages that were delivered again because they were not acknowledged.
# TYPE filature_stream_redelivered_messages_total counter
filature_stream_redelivered_messages_total{group="%[1]s",topic="%[1]s"} 1
`
	err = testutil.GatherAndCompare(registry, strings.NewReader(fmt.Sprintf(want, topic)),
		"filature_stream_missing_messages_total", redelivered)
	if err != nil {
		t.Error(err)
	}
}

// lines is what was logged. It is for several goroutines.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// deleteBefore does what retention does.
func deleteBefore(t *testing.T, cluster kafka.Cluster, topic string, offset int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	partition := kmsg.NewDeleteRecordsRequestTopicPartition()
	partition.Offset = offset
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic, of.Partitions = topic, []kmsg.DeleteRecordsRequestTopicPartition{partition}
	request := kmsg.NewDeleteRecordsRequest()
	request.Topics, request.TimeoutMillis = []kmsg.DeleteRecordsRequestTopic{of}, 10_000
	answer, err := request.RequestWith(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}

// TestAMessageThatIsBeingHandledMayBeAcknowledgedWhileItsSubscriberEnds, and is not delivered again.
func TestAMessageThatIsBeingHandledMayBeAcknowledgedWhileItsSubscriberEnds(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := newStream(t, cluster, 1)
	if err := newPublisher(t, cluster).Publish(topic, numbered("a", 0), numbered("a", 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := newSubscriber(t, cluster, pubsub.SubscriberConfig{Group: topic})
	messages, err := first.Subscribe(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	m := receive(t, messages)
	cancel()
	closed := make(chan error, 1)
	go func() { closed <- first.Close() }()
	select {
	case err := <-closed:
		t.Fatalf("closed (%v) while a message was being handled", err)
	case <-time.After(500 * time.Millisecond): // well below the time that it has
	}
	if err := m.Context().Err(); err != nil {
		t.Errorf("its context ended with the subscription: %v", err)
	}
	m.Ack()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if _, open := <-messages; open {
		t.Error("another message was delivered after the end")
	}
	next := receive(t, subscribe(t, newSubscriber(t, cluster, pubsub.SubscriberConfig{Group: topic}), topic))
	next.Ack()
	if string(next.Payload) != "1" {
		t.Errorf("next is %s; want 1", next.Payload)
	}
}

// TestMembersWithNothingToDoLeaveTheOthersInPeace: five members share one partition.
func TestMembersWithNothingToDoLeaveTheOthersInPeace(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := newStream(t, cluster, 1)
	if err := newPublisher(t, cluster).Publish(topic, numbered("a", 0)); err != nil {
		t.Fatal(err)
	}
	config := pubsub.SubscriberConfig{Group: topic}
	received := make(chan *message.Message)
	const members = 5
	for range members {
		messages := subscribe(t, newSubscriber(t, cluster, config), topic)
		go func() {
			for m := range messages {
				received <- m
			}
		}()
	}
	// A message whose partition is taken away comes again. That may happen with each that comes, where they come slowly, and
	// once more where one is so slow that it is missed. Members that leave nobody in peace take it away for ever.
	const mayTake, peace = 2 * members, 6 * time.Second
	for range mayTake {
		var m *message.Message
		select {
		case m = <-received:
		case <-time.After(patience):
			t.Fatalf("no message after %v", patience)
		}
		select {
		case <-m.Context().Done():
		case <-time.After(peace):
			m.Ack()
			return
		}
	}
	t.Errorf("the partition was taken away %d times", mayTake)
}
