package pubsub_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/internal/services"
)

// suite is what Watermill's conformance suite needs to know of a way to set us up.
type suite struct {
	cluster    kafka.Cluster
	partitions int
}

// creating makes a topic before it is subscribed to, as an operator would: brokers do not do it by themselves.
type creating struct {
	*pubsub.Subscriber

	suite suite
}

func (c creating) SubscribeInitialize(topic string) error {
	return pubsub.Create(context.Background(), c.suite.cluster, kafka.Stream{Name: topic, Partitions: c.suite.partitions, Replicas: 1})
}

// inGroup is a pair whose subscriber belongs to a group.
func (s suite) inGroup(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	publisher, err := pubsub.NewPublisher(context.Background(), s.cluster)
	if err != nil {
		t.Fatal(err)
	}
	subscriber, err := pubsub.NewSubscriber(context.Background(), s.cluster, pubsub.SubscriberConfig{Group: group, RedeliverAfter: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return publisher, creating{subscriber, s}
}

// inOneGroup gives all pairs of one test the same group.
func (s suite) inOneGroup(t *testing.T) (message.Publisher, message.Subscriber) {
	t.Helper()
	digest := sha256.Sum256([]byte(t.Name()))
	return s.inGroup(t, "suite-"+hex.EncodeToString(digest[:8]))
}

// alone is a pair whose subscriber gets everything.
func (s suite) alone(t *testing.T) (message.Publisher, message.Subscriber) {
	t.Helper()
	return s.inGroup(t, "")
}

// part is one test of the suite.
type part func(*testing.T, tests.TestContext, tests.PubSubConstructor)

// run runs parts of the suite, each by the name that it has there. The suite's own list, TestPubSub, skips what a
// set-up does not promise; here a set-up names what it does.
func (s suite) run(t *testing.T, features tests.Features, pair tests.PubSubConstructor, parts ...part) {
	t.Helper()
	for _, part := range parts {
		name := runtime.FuncForPC(reflect.ValueOf(part).Pointer()).Name()
		t.Run(name[strings.LastIndex(name, ".")+1:], func(t *testing.T) {
			t.Parallel()
			part(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, pair)
		})
	}
	t.Run("TestConsumerGroups", func(t *testing.T) {
		t.Parallel()
		tests.TestConsumerGroups(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, s.inGroup)
	})
}

// everywhere are the parts that any set-up has to pass.
var everywhere = []part{
	tests.TestPublishSubscribe, tests.TestConcurrentSubscribe, tests.TestConcurrentSubscribeMultipleTopics, tests.TestResendOnError,
	tests.TestContinueAfterSubscribeClose, tests.TestConcurrentClose, tests.TestContinueAfterErrors, tests.TestPublisherClose,
	tests.TestTopic, tests.TestMessageCtx, tests.TestSubscribeCtx,
}

// inOrder are those that ask for order, which is kept within a partition.
var inOrder = append(slices.Clip(everywhere), tests.TestPublishSubscribeInOrder, tests.TestNoAck)

var (
	shared  = tests.Features{ConsumerGroups: true, Persistent: true}
	ordered = tests.Features{ConsumerGroups: true, Persistent: true, GuaranteedOrder: true}
	// everything has fewer messages in some parts: each of its fifty subscribers gets all of them.
	everything = tests.Features{
		ConsumerGroups: true, Persistent: true, GuaranteedOrder: true, NewSubscriberReceivesOldMessages: true, ForceShort: true,
	}
)

func TestAGroupOnSeveralPartitionsPassesWatermillsSuite(t *testing.T) {
	t.Parallel()
	s := suite{kafka.Cluster{Brokers: services.Kafka(t)}, 8}
	s.run(t, shared, s.inOneGroup, everywhere...)
}

func TestAGroupOnOnePartitionPassesWatermillsSuite(t *testing.T) {
	t.Parallel()
	s := suite{kafka.Cluster{Brokers: services.Kafka(t)}, 1}
	s.run(t, ordered, s.inOneGroup, inOrder...)
}

func TestASubscriberWithoutAGroupPassesWatermillsSuite(t *testing.T) {
	t.Parallel()
	s := suite{kafka.Cluster{Brokers: services.Kafka(t)}, 1}
	s.run(t, everything, s.alone, append(slices.Clip(inOrder), tests.TestNewSubscriberReceivesOldMessages)...)
}

// TestReconnectPassesWatermillsSuite is the suite's TestReconnect: a broker is killed twice, and started again, while
// a hundred publishers are at work.
func TestReconnectPassesWatermillsSuite(t *testing.T) {
	t.Parallel()
	if raceDetector {
		// The suite's test has a race of its own: it reads the list of what was published while it is
		// written. So the very same runs in a process without the detector; ours with it is
		// TestNothingIsLostWhileTheBrokerIsKilled.
		again := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "^"+t.Name()+"$", ".")
		if out, err := again.CombinedOutput(); err != nil {
			t.Fatalf("without the race detector: %v\n%s", err, out)
		}
		return
	}
	for name, features := range map[string]tests.Features{"in a group": ordered, "without a group": everything} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker := services.OwnKafka(t, 1)
			s := suite{kafka.Cluster{Brokers: broker.Brokers()}, 1}
			features.RestartServiceCommand = restarting(t, broker)
			pair := s.inOneGroup
			if features.NewSubscriberReceivesOldMessages {
				pair = s.alone
			}
			tests.TestReconnect(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, func(t *testing.T) (message.Publisher, message.Subscriber) {
				t.Helper()
				publisher, subscriber := pair(t)
				slow := &counting{Publisher: publisher, all: make(chan struct{})}
				return slow, holding{subscriber, s, slow.all}
			})
		})
	}
}

// reconnectMessages is how many the suite's TestReconnect publishes.
const reconnectMessages = 10_000

// counting says when all messages were published.
type counting struct {
	message.Publisher

	all   chan struct{}
	count atomic.Int64
}

func (c *counting) Publish(topic string, messages ...*message.Message) error {
	err := c.Publisher.Publish(topic, messages...)
	if err == nil && c.count.Add(1) == reconnectMessages {
		// TestReconnect notes what it published after it was published, and compares as soon as it got all.
		time.AfterFunc(time.Second, func() { close(c.all) })
	}
	return err
}

// holding holds the last of all messages back until TestReconnect has noted that it published it: it may be
// here before its publisher knows, and the suite takes that for a message that nobody sent.
type holding struct {
	message.Subscriber

	suite suite
	noted chan struct{}
}

func (h holding) SubscribeInitialize(topic string) error {
	return creating{suite: h.suite}.SubscribeInitialize(topic)
}

func (h holding) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := h.Subscriber.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		seen := map[string]bool{}
		for m := range in {
			if seen[m.UUID] = true; len(seen) == reconnectMessages {
				<-h.noted
			}
			out <- m
		}
	}()
	return out, nil
}

// restarting returns a command that kills a broker and returns when it is there again. The broker belongs to this
// process, so the command writes a line to a pipe that we read, and waits for ours.
func restarting(t *testing.T, broker *services.KafkaCluster) []string {
	t.Helper()
	asked, done := filepath.Join(t.TempDir(), "asked"), filepath.Join(t.TempDir(), "done")
	for _, pipe := range []string{asked, done} {
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Open for both, so that neither open nor read ends when a command does.
	requests, err := os.OpenFile(asked, os.O_RDWR, fs.ModeNamedPipe)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := os.OpenFile(done, os.O_RDWR, fs.ModeNamedPipe)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for line := make([]byte, len("restart\n")); ; {
			if _, err := io.ReadFull(requests, line); err != nil {
				if !errors.Is(err, os.ErrClosed) {
					t.Errorf("read what the suite asks for: %v", err)
				}
				return
			}
			broker.Kill(t, 0)
			broker.Restart(t, 0)
			if _, err := answers.WriteString("done\n"); err != nil {
				t.Errorf("answer the suite: %v", err)
			}
		}
	}()
	t.Cleanup(func() {
		_ = requests.Close()
		<-ended
		_ = answers.Close()
	})
	return []string{"/bin/sh", "-c", `echo restart >"$1" && read -r answer <"$2" && test "$answer" = done`, "sh", asked, done}
}
