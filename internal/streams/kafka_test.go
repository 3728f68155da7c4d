package streams

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/relay"
)

// read reads a partition to its end, and drops what is not behind the last position that it took, as any reader
// would. doubled counts those.
func (s *site) read(t *testing.T, topic string, partition int, each func(kafka.Message)) (taken []string, doubled int) {
	t.Helper()
	last := domain.FactPosition{}
	for from, end := int64(0), int64(1); from < end; {
		page, err := s.client.Fetch(t.Context(), topic, partition, from, 0)
		must(t, err)
		from, end = page.Next, page.End
		for _, m := range page.Messages {
			at, err := domain.ParseFactPosition(header(m, "position"))
			must(t, err)
			if at.Compare(last) <= 0 {
				doubled++
				continue
			}
			taken, last = append(taken, at.String()), at
			each(m)
		}
	}
	return taken, doubled
}

func header(m kafka.Message, name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return string(h.Value)
		}
	}
	return ""
}

// TestStreamsAreWholeWhoeverRelaysThem shares the relays of all shards out among two processes that come and go, while
// the ledger grows.
func TestStreamsAreWholeWhoeverRelaysThem(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := newSite(t)
	ledger := write(t, 100, 3)
	cut, done := make([]domain.Offset, dataShards+1), make([]domain.Offset, dataShards+1)
	for part := range 3 {
		for shard, end := range ledger.Cut() {
			done[shard] = end * domain.Offset(part+1) / 3
		}
		copyTo(ctx, t, s.log, ledger, cut, done)
		copy(cut, done)

		var mu sync.Mutex
		running := map[*relay.Relay]domain.Shard{}
		working, stop := context.WithCancel(ctx)
		var processes sync.WaitGroup
		for range 2 {
			processes.Go(func() {
				err := kafka.Own(working, s.cluster, s.ledger, s.prefix+".relay", func(ctx context.Context, shard domain.Shard) error {
					r := s.relay(shard)
					mu.Lock()
					running[r] = shard
					mu.Unlock()
					return r.Run(ctx)
				})
				if err != nil {
					t.Errorf("own: %v", err)
				}
			})
		}
		wait(ctx, t, "relays", func() bool {
			mu.Lock()
			defer mu.Unlock()
			relayed := make([]domain.Offset, dataShards+1)
			for r, shard := range running {
				relayed[shard] = max(relayed[shard], r.Relayed())
			}
			return slices.Equal(relayed, cut)
		})
		stop()
		processes.Wait()
	}
	doubles := 0
	for shard := range domain.Shard(dataShards + 1) {
		for _, name := range stream.From(shard) {
			want := told(t, ledger, shard, name)
			taken, doubled := s.read(t, relay.Topic(s.prefix, name), int(max(shard-1, 0)), func(m kafka.Message) {
				if name != stream.Completions {
					return
				}
				completion := &v1.Completion{}
				must(t, v1.Decode(m.Value, completion))
				account := domain.AccountID(completion.Account)
				if account != domain.AccountID(m.Key) || domain.ShardOf(account, dataShards) != shard {
					t.Errorf("a completion of account %s is with those of shard %d, key %x", account, shard, m.Key)
				}
			})
			if len(want) == 0 || !slices.Equal(taken, want) {
				t.Errorf("%s of shard %d: a reader takes %d messages, want %d", name, shard, len(taken), len(want))
			}
			doubles += doubled
		}
	}
	t.Logf("%d messages were doubled", doubles)
}
