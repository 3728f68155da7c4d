package pubsub_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/internal/services"
)

// payloadBytes is about what a completion has.
const payloadBytes = 300

// benchStream is a stream, and messages for it.
func benchStream(b *testing.B, partitions, count int) (cluster kafka.Cluster, topic string, messages []*message.Message) {
	b.Helper()
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails
	topic = "test.bench." + hex.EncodeToString(raw[:])
	cluster = kafka.Cluster{Brokers: services.Kafka(b)}
	if err := pubsub.Create(b.Context(), cluster, kafka.Stream{Name: topic, Partitions: partitions, Replicas: 1}); err != nil {
		b.Fatal(err)
	}
	for i := range count {
		payload := make([]byte, payloadBytes)
		_, _ = rand.Read(payload) // never fails
		m := message.NewMessage(fmt.Sprint(i), payload)
		m.Metadata[pubsub.Key] = string(payload[:32])
		messages = append(messages, m)
	}
	return cluster, topic, messages
}

// BenchmarkPublish is one Publish of so many messages on four partitions; messages/s is what counts.
func BenchmarkPublish(b *testing.B) {
	for _, batch := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			cluster, topic, messages := benchStream(b, 4, batch)
			publisher, err := pubsub.NewPublisher(b.Context(), cluster)
			if err != nil {
				b.Fatal(err)
			}
			defer publisher.Close()
			for b.Loop() {
				if err := publisher.Publish(topic, messages...); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkReceive is one message of a group, acknowledged at once, of four partitions.
func BenchmarkReceive(b *testing.B) {
	cluster, topic, messages := benchStream(b, 4, 1000)
	publisher, err := pubsub.NewPublisher(b.Context(), cluster)
	if err != nil {
		b.Fatal(err)
	}
	defer publisher.Close()
	for sent := 0; sent < b.N; sent += len(messages) {
		if err := publisher.Publish(topic, messages...); err != nil {
			b.Fatal(err)
		}
	}
	subscriber, err := pubsub.NewSubscriber(b.Context(), cluster, pubsub.SubscriberConfig{Group: topic})
	if err != nil {
		b.Fatal(err)
	}
	defer subscriber.Close()
	received, err := subscriber.Subscribe(context.WithoutCancel(b.Context()), topic)
	if err != nil {
		b.Fatal(err)
	}
	(<-received).Ack() // to join takes a while
	b.ResetTimer()
	for range b.N - 1 {
		(<-received).Ack()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
