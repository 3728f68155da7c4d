package kafka_test

import (
	"crypto/rand"
	"encoding/hex"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/internal/services"
)

// newTopic is a log that no other test knows.
func newTopic() kafka.Topic {
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails
	return kafka.Topic{
		Name: "test." + hex.EncodeToString(raw[:]), DataShards: eventstoretest.Shards - 1,
		Event: kafka.Event{Type: "filature.v1.Entry", Source: "/filature/test/ledger"},
	}
}

// create makes the topics of a new log.
func create(t testing.TB, cluster kafka.Cluster, replicas int) kafka.Topic {
	t.Helper()
	topic := newTopic()
	if err := kafka.Create(t.Context(), cluster, topic, replicas); err != nil {
		t.Fatalf("create topics: %v", err)
	}
	return topic
}

// open opens a log and closes it with the test.
func open(t testing.TB, cluster kafka.Cluster, topic kafka.Topic) *kafka.Log {
	t.Helper()
	log, err := kafka.Open(t.Context(), cluster, topic)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = log.Close() }) // it may be closed already
	return log
}

// fake starts a cluster in this process.
func fake(t testing.TB, brokers int) (*kfake.Cluster, kafka.Cluster) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(brokers))
	if err != nil {
		t.Fatalf("start kfake: %v", err)
	}
	t.Cleanup(cluster.Close)
	return cluster, kafka.Cluster{Brokers: cluster.ListenAddrs()}
}

func conformance(t *testing.T, cluster kafka.Cluster) {
	t.Helper()
	eventstoretest.Exercise(t, func(t *testing.T) eventstoretest.Open {
		t.Helper()
		topic := create(t, cluster, 1)
		return func(t *testing.T) eventstoretest.Log { return open(t, cluster, topic) }
	})
}

func TestALogOnKafkaKeepsTheContract(t *testing.T) {
	t.Parallel()
	conformance(t, kafka.Cluster{Brokers: services.Kafka(t)})
}

func TestALogOnTheFakeKeepsTheContract(t *testing.T) {
	t.Parallel()
	_, cluster := fake(t, 3)
	conformance(t, cluster)
}
