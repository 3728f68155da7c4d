package main

import (
	"testing"

	"github.com/filature/filature/domain"
)

func TestEachLaneHasAnAccountOfItsOwnInItsShard(t *testing.T) {
	w, err := newWorkload(7, 3)
	if err != nil {
		t.Fatal(err)
	}
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
