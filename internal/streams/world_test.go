package streams

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/relay"
)

const (
	dataShards = 3
	// accounts in each data shard.
	accounts = 4
	patience = 2 * time.Minute
)

// site is a ledger on Kafka and the topics of its streams, under names that no other test knows.
type site struct {
	cluster   kafka.Cluster
	prefix    string
	ledger    kafka.Topic
	log       *kafka.Log
	publisher *pubsub.Publisher
	tail      *pubsub.Tail
	client    *kafka.Client
}

func newSite(t testing.TB) *site {
	t.Helper()
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails
	s := &site{cluster: kafka.Cluster{Brokers: services.Kafka(t)}, prefix: "test.streams." + hex.EncodeToString(raw[:])}
	s.ledger = kafka.Topic{
		Name: s.prefix + ".ledger", DataShards: dataShards,
		Event: kafka.Event{Type: "filature.v1.Entry", Source: "/filature/test"},
	}
	must(t, kafka.Create(t.Context(), s.cluster, s.ledger, 1))
	for _, name := range []stream.Name{stream.Completions, stream.Settlement, stream.Attestation} {
		partitions := 1
		if name == stream.Completions {
			partitions = dataShards
		}
		must(t, pubsub.Create(t.Context(), s.cluster, kafka.Stream{Name: relay.Topic(s.prefix, name), Partitions: partitions, Replicas: 1}))
	}
	var err error
	s.log, err = kafka.Open(t.Context(), s.cluster, s.ledger)
	must(t, err)
	t.Cleanup(func() { _ = s.log.Close() })
	s.publisher, err = pubsub.NewPublisher(t.Context(), s.cluster)
	must(t, err)
	t.Cleanup(func() { _ = s.publisher.Close() })
	s.tail, err = pubsub.NewTail(t.Context(), s.cluster, dataShards)
	must(t, err)
	t.Cleanup(s.tail.Close)
	s.client, err = kafka.Dial(t.Context(), s.cluster)
	must(t, err)
	t.Cleanup(s.client.Close)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) relay(shard domain.Shard) *relay.Relay {
	return relay.New(relay.Config{
		Ledger: s.log, Shard: shard, Publisher: s.publisher, Tail: s.tail, Prefix: s.prefix, Source: "/filature/test",
	})
}

// accountIn returns the n-th account of a shard.
func accountIn(shard domain.Shard, n int) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("account %d", i)
		if domain.ShardOf(projectionstest.ID[domain.AccountID](name), dataShards) != shard {
			continue
		}
		if n--; n < 0 {
			return name
		}
	}
}

// write makes a ledger of so many entries in each data shard, each with the ends of some jobs, and some in control.
func write(t testing.TB, entries, jobs int) *projectionstest.Ledger {
	t.Helper()
	ledger := projectionstest.NewLedger(t, dataShards+1)
	ledger.Begin()
	challenge := &v1.Fact{Body: &v1.Fact_AttestationChallenged{AttestationChallenged: &v1.ChallengeAttestation{
		Worker: projectionstest.Bytes("w1"), Challenge: projectionstest.Bytes("challenge"), ExpiresAtMs: 7,
	}}}
	for shard := domain.Shard(1); shard <= dataShards; shard++ {
		var names []string
		for n := range accounts {
			names = append(names, accountIn(shard, n))
		}
		for i := range entries {
			var facts []*v1.Fact
			for j := range jobs {
				facts = append(facts, projectionstest.Job{
					Name: fmt.Sprintf("job %d/%d/%d", shard, i, j), Account: names[(i+j)%accounts], Client: "tg", Model: "qwen",
					Worker: "w1", Provider: "prov-a", Reserve: 100, Charge: 60, Part: 50, Prompt: 34, Completion: 120,
				}.Completed())
			}
			if i%10 == 9 {
				ledger.Void(shard, facts...)
			}
			ledger.Answer(shard, "w1", uint64(i+1), facts...)
			if i%20 == 0 {
				ledger.Answer(domain.Control, "settler", uint64(i+1), challenge, projectionstest.Paid("prov-a", 5, uint64(i)))
			}
		}
	}
	return ledger
}

// copyTo appends a part of each shard of a ledger to a log: those from an offset up to another.
func copyTo(ctx context.Context, t testing.TB, log eventstore.Appender, ledger *projectionstest.Ledger, from, to []domain.Offset) {
	t.Helper()
	for shard := range from {
		var values [][]byte
		must(t, eventstore.Each(ctx, ledger, domain.Shard(shard), from[shard], to[shard], func(record eventstore.Record) error {
			values = append(values, record.Value)
			return nil
		}))
		for batch := range slices.Chunk(values, 1000) {
			_, err := log.Append(ctx, domain.Shard(shard), batch)
			must(t, err)
		}
	}
}

// told is what a shard of a ledger tells a stream, by position.
func told(t testing.TB, ledger *projectionstest.Ledger, shard domain.Shard, name stream.Name) (positions []string) {
	t.Helper()
	must(t, eventstore.Each(t.Context(), ledger, shard, 0, ledger.Cut()[shard], func(record eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(shard, record)
		for _, m := range stream.Of(shard, record.Offset, entry) {
			if m.Stream == name {
				positions = append(positions, m.Position.String())
			}
		}
		return err
	}))
	return positions
}

// wait waits until a condition holds.
func wait(ctx context.Context, t testing.TB, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
