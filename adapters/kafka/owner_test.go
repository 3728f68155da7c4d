package kafka_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/services"
)

// process is one caller of Own, as a process of its own would be.
type process struct {
	stop  context.CancelFunc
	ended chan error

	mu     sync.Mutex
	works  map[domain.Shard]bool
	starts int
}

func join(t *testing.T, cluster kafka.Cluster, topic kafka.Topic) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{stop: cancel, ended: make(chan error, 1), works: map[domain.Shard]bool{}}
	go func() {
		p.ended <- kafka.Own(ctx, cluster, topic, topic.Name, func(ctx context.Context, shard domain.Shard) error {
			p.note(shard, true)
			<-ctx.Done()
			p.note(shard, false)
			return nil
		})
	}()
	return p
}

func (p *process) note(shard domain.Shard, works bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if works {
		p.works[shard] = true
		p.starts++
	} else {
		delete(p.works, shard)
	}
}

func (p *process) now() (shards []domain.Shard, starts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.works)), p.starts
}

// await waits until each process has so many shards, and all together have each once.
func await(t *testing.T, total int, want map[*process]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		all, good := []domain.Shard{}, true
		for p, n := range want {
			shards, _ := p.now()
			all = append(all, shards...)
			good = good && len(shards) == n
		}
		slices.Sort(all)
		if good && len(slices.Compact(all)) == total {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatalf("shards %v are worked on; want %d, shared as %v", all, total, slices.Collect(maps.Values(want)))
		}
	}
}

func TestShardsMoveBetweenProcessesAndOnlyThoseThatMust(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := newTopic()
	topic.DataShards = 5
	if err := kafka.Create(t.Context(), cluster, topic, 1); err != nil {
		t.Fatal(err)
	}
	first := join(t, cluster, topic)
	await(t, 6, map[*process]int{first: 6})
	second := join(t, cluster, topic)
	await(t, 6, map[*process]int{first: 3, second: 3})
	third := join(t, cluster, topic)
	await(t, 6, map[*process]int{first: 2, second: 2, third: 2})
	if _, starts := first.now(); starts != 6 {
		t.Errorf("the first process started %d works; want 6, as it never got a shard that it did not have", starts)
	}

	left := time.Now()
	second.stop()
	if err := <-second.ended; err != nil {
		t.Errorf("own: %v", err)
	}
	if shards, _ := second.now(); len(shards) != 0 {
		t.Errorf("it left, and works on %v", shards)
	}
	await(t, 6, map[*process]int{first: 3, third: 3})
	t.Logf("taken over %v after it left", time.Since(left).Round(time.Millisecond))
	for _, p := range []*process{first, third} {
		p.stop()
		if err := <-p.ended; err != nil {
			t.Errorf("own: %v", err)
		}
	}
}

func TestAWorkThatFailsEndsTheOthers(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, result := range map[string]error{"with an error": broken, "without one": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, cluster := fake(t, 1)
			topic := create(t, cluster, 1)
			var others atomic.Int32
			err := kafka.Own(t.Context(), cluster, topic, topic.Name, func(ctx context.Context, shard domain.Shard) error {
				if shard == 1 {
					return result
				}
				others.Add(1)
				defer others.Add(-1)
				<-ctx.Done()
				<-time.After(100 * time.Millisecond) // it has something to finish
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), "work on shard 1") || result != nil && !errors.Is(err, broken) {
				t.Errorf("own: %v", err)
			}
			if n := others.Load(); n != 0 {
				t.Errorf("%d works still run", n)
			}
		})
	}
}

// TestWorksGoOnWhileTheBrokerIsAway: to be out of reach for a while is no reason to stop.
func TestWorksGoOnWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	broker := services.OwnKafka(t, 1)
	cluster := kafka.Cluster{Brokers: broker.Brokers()}
	topic := create(t, cluster, 1)
	p := join(t, cluster, topic)
	await(t, 3, map[*process]int{p: 3})
	broker.Kill(t, 0)
	broker.Restart(t, 0)
	log := open(t, cluster, topic)
	mustAppend(t, log, batch("v", 1))
	other := join(t, cluster, topic)
	await(t, 3, map[*process]int{p: 2, other: 1})
	if _, starts := p.now(); starts > 4 {
		t.Errorf("%d works were started; want 3, and one more if the other process came first", starts)
	}
	p.stop()
	other.stop()
	for _, err := range []error{<-p.ended, <-other.ended} {
		if err != nil {
			t.Errorf("own: %v", err)
		}
	}
}
