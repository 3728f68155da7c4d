package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/services"
)

// TestThroughTLSAndLogins goes through both of kafka-go's paths, the log's and the group's, and lets an SDK emit.
//
//nolint:tparallel // its parts share a broker that ends with it
func TestThroughTLSAndLogins(t *testing.T) {
	t.Parallel()
	broker := services.OwnKafka(t, 1)
	secure := &tls.Config{RootCAs: broker.Roots(), MinVersion: tls.VersionTLS12}
	as := func(mechanism kafka.Mechanism, password string) kafka.Cluster {
		return kafka.Cluster{
			Brokers: broker.LoginBrokers(), TLS: secure,
			Login: &kafka.Login{Mechanism: mechanism, User: services.KafkaUser, Password: password},
		}
	}
	for name, cluster := range map[string]kafka.Cluster{
		"TLS":                {Brokers: broker.TLSBrokers(), TLS: secure},
		"TLS and SCRAM":      as(kafka.SCRAM, services.KafkaPassword),
		"TLS and PLAIN":      as(kafka.PLAIN, services.KafkaPassword),
		"nothing of the two": {Brokers: broker.Brokers()},
	} {
		t.Run(name, func(t *testing.T) {
			topic := create(t, cluster, 1)
			log := open(t, cluster, topic)
			mustAppend(t, log, batch("v", 3))
			wantLog(t, log, batch("v", 3))

			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			worked := make(chan domain.Shard, log.Shards())
			err := kafka.Own(ctx, cluster, topic, topic.Name, func(ctx context.Context, shard domain.Shard) error {
				if worked <- shard; len(worked) == cap(worked) {
					cancel()
				}
				<-ctx.Done()
				return nil
			})
			if err != nil || len(worked) != cap(worked) {
				t.Errorf("%d of %d shards in a group of one: %v", len(worked), cap(worked), err)
			}

			prefix := newNetwork(t, cluster)
			begin(t, cluster, prefix)
			e := emitter(t, newDirect(t, cluster, prefix), nil)
			must(t, e.Add(t.Context(), domain.Control, model("emitted")))
			must(t, e.Deliver(t.Context()))
			intake := open(t, cluster, kafka.IntakeTopic(prefix, directShards))
			if names := namesIn(t, intake, domain.Control); !slices.Equal(names, []string{"emitted"}) {
				t.Errorf("emitted straight to it, intake holds %q", names)
			}
		})
	}
	for name, c := range map[string]struct {
		cluster kafka.Cluster
		want    error
		says    string
	}{
		"a wrong password, SCRAM": {as(kafka.SCRAM, "wrong"), kafka.ErrLogin, "check the user, the password and the mechanism"},
		"a wrong password, PLAIN": {as(kafka.PLAIN, "wrong"), kafka.ErrLogin, "check the user, the password and the mechanism"},
		"no login":                {kafka.Cluster{Brokers: broker.LoginBrokers(), TLS: secure}, kafka.ErrUnreachable, "check that the port"},
		"no TLS":                  {kafka.Cluster{Brokers: broker.TLSBrokers()}, kafka.ErrUnreachable, "check that the port"},
		"TLS where there is none": {kafka.Cluster{Brokers: broker.Brokers(), TLS: secure}, kafka.ErrUnreachable, "check that"},
		"an unknown authority": {
			kafka.Cluster{Brokers: broker.TLSBrokers(), TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, kafka.ErrUnreachable, "certificate",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := kafka.Open(t.Context(), c.cluster, newTopic())
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("open: %v; want %v, and %q", err, c.want, c.says)
			}
			_, _, err = newDirect(t, c.cluster, newTopic().Name).Network(t.Context())
			if !errors.Is(err, c.want) || permanent(err) != errors.Is(c.want, kafka.ErrLogin) {
				t.Errorf("emit straight to it: %v; want %v, which needs a person where it is the login", err, c.want)
			}
		})
	}
}

func TestAClusterThatIsNotThereIsSaidToBe(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	cluster := kafka.Cluster{Brokers: []string{nobody}}
	for what, err := range map[string]error{
		"open":   func() error { _, err := kafka.Open(t.Context(), cluster, newTopic()); return err }(),
		"create": kafka.Create(t.Context(), cluster, newTopic(), 1),
	} {
		if !errors.Is(err, kafka.ErrUnreachable) || !strings.Contains(err.Error(), nobody) || !strings.Contains(err.Error(), "check that it runs") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTopicsThatWouldLoseRecordsAreRefused, as a real cluster describes them.
func TestTopicsThatWouldLoseRecordsAreRefused(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	client := &kafkago.Client{Addr: kafkago.TCP(cluster.Brokers...), Timeout: 10 * time.Second, Transport: &kafkago.Transport{}}
	topic := create(t, cluster, 1)
	if err := kafka.Create(t.Context(), cluster, topic, 1); err != nil {
		t.Errorf("create what exists: %v", err)
	}
	alter := func(name, value string) {
		t.Helper()
		answer, err := client.IncrementalAlterConfigs(t.Context(), &kafkago.IncrementalAlterConfigsRequest{
			Resources: []kafkago.IncrementalAlterConfigsRequestResource{{
				ResourceType: kafkago.ResourceTypeTopic, ResourceName: topic.Name,
				Configs: []kafkago.IncrementalAlterConfigsRequestConfig{{Name: name, Value: value, ConfigOperation: kafkago.ConfigOperationSet}},
			}},
		})
		if err != nil || answer.Resources[0].Error != nil {
			t.Fatalf("set %s=%s: %v, %v", name, value, err, answer)
		}
	}
	for name, values := range map[string][2]string{ // a bad one, and the good one
		"cleanup.policy":                 {"compact,delete", "delete"},
		"retention.ms":                   {"604800000", "-1"},
		"retention.bytes":                {"1000000", "-1"},
		"message.timestamp.type":         {"CreateTime", "LogAppendTime"},
		"unclean.leader.election.enable": {"true", "false"},
		"max.message.bytes":              {"1048588", "99999999"},
	} {
		alter(name, values[0])
		wantMisfit(t, cluster, topic, name+"=")
		alter(name, values[1])
	}
	open(t, cluster, topic)

	more := topic
	more.DataShards++
	wantMisfit(t, cluster, more, "it has 2 partitions; want 3")
	wantMisfit(t, cluster, newTopic(), "create the log's topics first")
}

func wantMisfit(t *testing.T, cluster kafka.Cluster, topic kafka.Topic, says string) {
	t.Helper()
	// What was changed a moment ago the broker may not describe yet.
	deadline, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		log, err := kafka.Open(deadline, cluster, topic)
		if err == nil {
			_ = log.Close()
			continue
		}
		if !errors.Is(err, kafka.ErrTopic) || !strings.Contains(err.Error(), says) {
			t.Errorf("open: %v; want %q", err, says)
		}
		return
	}
}

func TestTooManyReplicasAreRefused(t *testing.T) {
	t.Parallel()
	if err := kafka.Create(t.Context(), kafka.Cluster{Brokers: services.Kafka(t)}, newTopic(), 99); !errors.Is(err, kafkago.InvalidReplicationFactor) {
		t.Errorf("create: %v", err)
	}
}

// TestTheLimitsOfALogAreThoseOfThePort: nothing that CheckBatch allows is too large for a topic.
func TestTheLimitsOfALogAreThoseOfThePort(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	log := open(t, cluster, create(t, cluster, 1))
	values := make([][]byte, eventstore.MaxBatch)
	for i := range values {
		values[i] = batch("v", 1)[0]
	}
	mustAppend(t, log, values)
}
