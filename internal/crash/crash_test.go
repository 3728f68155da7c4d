package main

import (
	"slices"
	"testing"

	"github.com/filature/filature/internal/workload"
)

func TestTheSameSeedKillsAtTheSameMoments(t *testing.T) {
	kills := func() []kill { return drawKills(workload.Drawn(7, byKiller), 36) }
	if !slices.Equal(kills(), kills()) {
		t.Error("the same seed kills at different moments")
	}
}

func TestThirtyKillsHitEveryMoment(t *testing.T) {
	for seed := range uint64(50) {
		hit := make(map[moment]int)
		for _, k := range drawKills(workload.Drawn(seed, byKiller), 30) {
			hit[k.Moment]++
		}
		for _, m := range moments {
			if hit[m] < 2 {
				t.Errorf("seed %d kills %d times %s", seed, hit[m], m)
			}
		}
	}
}
