package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/internal/services"
)

// writers append to all shards of a log until they are told to stop, and remember where each batch went.
type writers struct {
	stop   context.CancelFunc
	group  sync.WaitGroup
	mu     sync.Mutex
	placed map[domain.Position]string // first record of each batch that was acknowledged
	counts map[domain.Shard]int       // of them
	unsure int
	slow   time.Duration // the longest that an Append took
	moved  chan struct{} // closed at the next acknowledgement
}

// writerPace leaves the machine to the brokers that start.
const writerPace = 5 * time.Millisecond

// perBatch records are in each batch, so that one that was cut would show.
const perBatch = 3

func startWriters(t *testing.T, log *kafka.Log, each int) *writers {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &writers{stop: cancel, placed: map[domain.Position]string{}, counts: map[domain.Shard]int{}, moved: make(chan struct{})}
	for shard := range domain.Shard(log.Shards()) {
		for n := range each {
			w.group.Go(func() {
				pace := time.NewTicker(writerPace)
				defer pace.Stop()
				for i := 0; ctx.Err() == nil; i++ {
					//nolint:contextcheck // a writer stops between two batches
					w.write(t, log, shard, fmt.Sprintf("shard %d writer %d batch %d", shard, n, i))
					<-pace.C
				}
			})
		}
	}
	return w
}

func (w *writers) write(t *testing.T, log *kafka.Log, shard domain.Shard, what string) {
	began := time.Now()
	first, err := log.Append(t.Context(), shard, batch(what, perBatch))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slow = max(w.slow, time.Since(began)); err != nil {
		t.Logf("%s: %v", what, err)
		w.unsure++
		return
	}
	at := domain.Position{Shard: shard, Offset: first}
	if there := w.placed[at]; there != "" {
		t.Errorf("%q and %q were both acknowledged at %v", there, what, at)
	}
	w.placed[at] = what
	w.counts[shard]++
	close(w.moved)
	w.moved = make(chan struct{})
}

// progress waits until some more batches were acknowledged in each shard.
func (w *writers) progress(t *testing.T) {
	t.Helper()
	const batches = 20
	limit := time.After(time.Minute)
	least := func() (int, <-chan struct{}) {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := w.counts[0]
		for _, count := range w.counts {
			n = min(n, count)
		}
		return n, w.moved
	}
	before, moved := least()
	for now := before; now < before+batches; now, moved = least() {
		select {
		case <-moved:
		case <-limit:
			t.Fatalf("some shard did not get %d more batches in a minute", batches)
		}
	}
}

// check stops the writers and reads the log with another client: each acknowledged batch stands where its
// Append said, whole; and what else is there is what an Append was unsure of, once.
func (w *writers) check(t *testing.T, cluster kafka.Cluster, topic kafka.Topic) {
	t.Helper()
	w.stop()
	w.group.Wait()
	log := open(t, cluster, topic)
	batches, strange := 0, 0
	seen := map[string]bool{}
	for shard := range domain.Shard(log.Shards()) {
		records := eventstoretest.ReadAll(t, log, shard, eventstore.MaxBatch)
		if len(records)%perBatch != 0 {
			t.Errorf("shard %d has %d records; batches have %d", shard, len(records), perBatch)
		}
		for i := 0; i+perBatch <= len(records); i += perBatch {
			batches++
			for _, r := range records[i : i+perBatch] {
				if seen[string(r.Value)] {
					t.Errorf("%q is there twice", r.Value)
				}
				seen[string(r.Value)] = true
			}
			what, acknowledged := w.placed[domain.Position{Shard: shard, Offset: domain.Offset(i)}]
			if !acknowledged {
				strange++
				continue
			}
			for n, want := range batch(what, perBatch) {
				if got := records[i+n].Value; string(got) != string(want) {
					t.Errorf("record %d/%d is %q; acknowledged was %q", shard, i+n, got, want)
				}
			}
		}
	}
	if batches-strange != len(w.placed) || strange > w.unsure {
		t.Errorf("%d batches are there, %d of them not acknowledged; acknowledged were %d, and %d were unsure", batches, strange, len(w.placed), w.unsure)
	}
	t.Logf("%d batches acknowledged, %d unsure of which %d were kept; the slowest append took %v",
		len(w.placed), w.unsure, strange, w.slow.Round(time.Millisecond))
}

// TestNothingAcknowledgedIsLostWhenBrokersFail, under load. Each of the three leads a shard.
func TestNothingAcknowledgedIsLostWhenBrokersFail(t *testing.T) { //nolint:tparallel // one cluster, one misfortune after the other
	t.Parallel()
	brokers := services.OwnKafka(t, 3)
	cluster := kafka.Cluster{Brokers: brokers.Brokers()}
	for name, c := range map[string]struct {
		victims int
		fail    func(t *testing.T, load *writers, number int)
	}{
		"killed": {3, func(t *testing.T, load *writers, number int) {
			t.Helper()
			brokers.Kill(t, number)
			load.progress(t)
			brokers.Restart(t, number)
		}},
		// It wakes up as the leader that it no longer is.
		"frozen": {1, func(t *testing.T, load *writers, number int) {
			t.Helper()
			brokers.Freeze(t, number)
			load.progress(t)
			brokers.Thaw(t, number)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			topic := create(t, cluster, 3)
			log := open(t, cluster, topic)
			load := startWriters(t, log, 2)
			load.progress(t)
			for number := range c.victims {
				c.fail(t, load, number)
				load.progress(t)
				inSync(t, cluster, topic) // two brokers away at once are too many
			}
			load.check(t, cluster, topic)
			readersSeeTheSame(t, log, cluster, topic)
		})
	}
}

// inSync waits until each replica of a log has what the others have.
func inSync(t *testing.T, cluster kafka.Cluster, topic kafka.Topic) {
	t.Helper()
	transport := &kafkago.Transport{MetadataTTL: 100 * time.Millisecond}
	defer transport.CloseIdleConnections()
	client := &kafkago.Client{Addr: kafkago.TCP(cluster.Brokers...), Timeout: 10 * time.Second, Transport: transport}
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for {
		metadata, err := client.Metadata(t.Context(), &kafkago.MetadataRequest{Topics: []string{topic.Name, topic.Name + ".control"}})
		behind := 0
		if err == nil {
			for _, found := range metadata.Topics {
				for _, p := range found.Partitions {
					behind += len(p.Replicas) - len(p.Isr)
				}
			}
			if behind == 0 {
				return
			}
		}
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("%d replicas are behind (%v)", behind, err)
		}
	}
}

// readersSeeTheSame compares a log that lived through it with one that was opened after.
func readersSeeTheSame(t *testing.T, lived *kafka.Log, cluster kafka.Cluster, topic kafka.Topic) {
	t.Helper()
	fresh := open(t, cluster, topic)
	for shard := range domain.Shard(fresh.Shards()) {
		a, b := eventstoretest.ReadAll(t, lived, shard, 1000), eventstoretest.ReadAll(t, fresh, shard, eventstore.MaxBatch)
		if len(a) != len(b) {
			t.Fatalf("shard %d: one reads %d records, the other %d", shard, len(a), len(b))
		}
		for i := range a {
			if string(a[i].Value) != string(b[i].Value) || !a[i].Time.Equal(b[i].Time) {
				t.Fatalf("record %d/%d: %v and %v", shard, i, a[i], b[i])
			}
		}
	}
}
