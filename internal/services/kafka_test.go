package services_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/filature/filature/internal/services"
)

func TestThreeBrokersSurviveTheKillingOfOne(t *testing.T) {
	t.Parallel()
	cluster := services.OwnKafka(t, 3)
	cluster.Kill(t, 1)
	if _, err := kafka.DialContext(t.Context(), "tcp", cluster.Brokers()[1]); err == nil {
		t.Error("a killed broker still answers")
	}
	cluster.Restart(t, 1)
	askForBrokers(t, &kafka.Dialer{}, cluster.Brokers()[1], 3)

	// The same cluster, to save a start: each listener takes what it is for.
	secure := &tls.Config{RootCAs: cluster.Roots(), MinVersion: tls.VersionTLS12}
	askForBrokers(t, &kafka.Dialer{TLS: secure}, cluster.TLSBrokers()[0], 3)
	bySCRAM, err := scram.Mechanism(scram.SHA512, services.KafkaUser, services.KafkaPassword)
	if err != nil {
		t.Fatal(err)
	}
	for _, mechanism := range []sasl.Mechanism{bySCRAM, plain.Mechanism{Username: services.KafkaUser, Password: services.KafkaPassword}} {
		askForBrokers(t, &kafka.Dialer{TLS: secure, SASLMechanism: mechanism}, cluster.LoginBrokers()[2], 3)
	}
}

func TestTestsShareOneKafka(t *testing.T) {
	t.Parallel()
	first, second := services.Kafka(t), services.Kafka(t)
	if first[0] != second[0] {
		t.Errorf("one got %s, the other %s", first[0], second[0])
	}
	askForBrokers(t, &kafka.Dialer{}, first[0], len(first))
}

func askForBrokers(t *testing.T, dialer *kafka.Dialer, address string, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatalf("dial %s: %v", address, err)
	}
	defer conn.Close()
	if brokers, err := conn.Brokers(); err != nil || len(brokers) < want {
		t.Errorf("%s knows %d brokers (%v); want %d", address, len(brokers), err, want)
	}
}
