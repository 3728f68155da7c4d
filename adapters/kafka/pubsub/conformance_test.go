package pubsub_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
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

// run runs parts of the suite, each by the name that it has there.
func (s suite) run(t *testing.T, features tests.Features, parts ...part) {
	t.Helper()
	for _, part := range parts {
		name := runtime.FuncForPC(reflect.ValueOf(part).Pointer()).Name()
		t.Run(name[strings.LastIndex(name, ".")+1:], func(t *testing.T) {
			t.Parallel()
			part(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, s.inOneGroup)
		})
	}
	t.Run("TestConsumerGroups", func(t *testing.T) {
		t.Parallel()
		tests.TestConsumerGroups(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, s.inGroup)
	})
}

// everywhere are the parts that any set-up has to pass; the others ask for order, for messages that others
// have read, or for a broker that may be killed.
var everywhere = []part{
	tests.TestPublishSubscribe, tests.TestConcurrentSubscribe, tests.TestConcurrentSubscribeMultipleTopics, tests.TestResendOnError,
	tests.TestContinueAfterSubscribeClose, tests.TestConcurrentClose, tests.TestContinueAfterErrors, tests.TestPublisherClose,
	tests.TestTopic, tests.TestMessageCtx, tests.TestSubscribeCtx,
}

var persistent = tests.Features{ConsumerGroups: true, Persistent: true}

// TestGroupsPassWatermillsSuite on several partitions, where there is no order to ask for.
func TestGroupsPassWatermillsSuite(t *testing.T) {
	t.Parallel()
	suite{kafka.Cluster{Brokers: services.Kafka(t)}, 8}.run(t, persistent, everywhere...)
}

// TestGroupsInOrderPassWatermillsSuite on one partition, and on a broker that is killed and started again.
func TestGroupsInOrderPassWatermillsSuite(t *testing.T) {
	t.Parallel()
	broker := services.OwnKafka(t, 1)
	s := suite{kafka.Cluster{Brokers: broker.Brokers()}, 1}
	features := persistent
	features.GuaranteedOrder = true
	features.RestartServiceCommand = restarting(t, broker)
	t.Run("TestReconnect", func(t *testing.T) { // before the others, which would not like it
		tests.TestReconnect(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, s.inOneGroup)
	})
	s.run(t, features, append([]part{tests.TestPublishSubscribeInOrder, tests.TestNoAck}, everywhere...)...)
}

// TestSubscribersOfEverythingPassWatermillsSuite: here the suite has nothing to leave out, so it chooses the parts.
func TestSubscribersOfEverythingPassWatermillsSuite(t *testing.T) {
	t.Parallel()
	broker := services.OwnKafka(t, 1)
	s := suite{kafka.Cluster{Brokers: broker.Brokers()}, 1}
	features := persistent
	features.GuaranteedOrder, features.NewSubscriberReceivesOldMessages = true, true
	features.RestartServiceCommand = restarting(t, broker)
	tests.TestPubSub(t, features, s.alone, s.inGroup)
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
