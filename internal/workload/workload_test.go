package workload

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/filature/filature/domain"
)

func TestEachLaneHasAnAccountOfItsOwnInItsShard(t *testing.T) {
	w := mustWorkload(t, 7)
	seen := map[domain.AccountID]bool{}
	shards := map[domain.Shard]int{}
	for _, l := range w.Lanes {
		if seen[l.account] || domain.ShardOf(l.account, DataShards) != l.shard {
			t.Errorf("account %s is taken, or not of shard %d", l.account, l.shard)
		}
		seen[l.account] = true
		shards[l.shard]++
	}
	for shard := range DataShards {
		if shards[domain.Shard(shard+1)] != laneCount/DataShards {
			t.Errorf("shard %d has %d lanes", shard+1, shards[domain.Shard(shard+1)])
		}
	}
}

func TestTheSameSeedGivesTheSameWorkload(t *testing.T) {
	a, b := mustWorkload(t, 7), mustWorkload(t, 7)
	network := domain.NetworkID{1}
	for i, l := range a.Lanes {
		for s := range l.slices {
			for k, body := range l.slices[s] {
				one, errOne := body.reports(network, l.shard)
				two, errTwo := b.Lanes[i].slices[s][k].reports(network, l.shard)
				if errOne != nil || errTwo != nil || !slices.EqualFunc(one, two, bytes.Equal) {
					t.Fatalf("lane %d, slice %d, request %d differs: %v, %v", i, s, k, errOne, errTwo)
				}
			}
		}
	}
	if !maps.Equal(a.Want.Owed, b.Want.Owed) {
		t.Error("the same seed owes different amounts")
	}
}

func mustWorkload(t *testing.T, seed uint64) *Workload {
	t.Helper()
	w, err := New(seed, 3)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
