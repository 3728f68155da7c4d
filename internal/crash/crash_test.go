package main

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
	for _, l := range w.lanes {
		if seen[l.account] || domain.ShardOf(l.account, dataShards) != l.shard {
			t.Errorf("account %s is taken, or not of shard %d", l.account, l.shard)
		}
		seen[l.account] = true
		shards[l.shard]++
	}
	for shard := range dataShards {
		if shards[domain.Shard(shard+1)] != laneCount/dataShards {
			t.Errorf("shard %d has %d lanes", shard+1, shards[domain.Shard(shard+1)])
		}
	}
}

func TestTheSameSeedGivesTheSameWorkloadAndTheSameKills(t *testing.T) {
	a, b := mustWorkload(t, 7), mustWorkload(t, 7)
	network := domain.NetworkID{1}
	for i, l := range a.lanes {
		for s := range l.slices {
			for k, body := range l.slices[s] {
				one, errOne := body.reports(network, l.shard)
				two, errTwo := b.lanes[i].slices[s][k].reports(network, l.shard)
				if errOne != nil || errTwo != nil || !slices.EqualFunc(one, two, bytes.Equal) {
					t.Fatalf("lane %d, slice %d, request %d differs: %v, %v", i, s, k, errOne, errTwo)
				}
			}
		}
	}
	if !maps.Equal(a.want.owed, b.want.owed) {
		t.Error("the same seed owes different amounts")
	}
	kills := func() []kill { return drawKills(drawn(7, byKiller), 36) }
	if !slices.Equal(kills(), kills()) {
		t.Error("the same seed kills at different moments")
	}
}

func TestThirtyKillsHitEveryMoment(t *testing.T) {
	for seed := range uint64(50) {
		hit := make(map[moment]int)
		for _, k := range drawKills(drawn(seed, byKiller), 30) {
			hit[k.Moment]++
		}
		for _, m := range moments {
			if hit[m] < 2 {
				t.Errorf("seed %d kills %d times %s", seed, hit[m], m)
			}
		}
	}
}

func mustWorkload(t *testing.T, seed uint64) *workload {
	t.Helper()
	w, err := newWorkload(seed, 3)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
