package main

import (
	"slices"
	"testing"
	"time"

	"github.com/filature/filature/internal/workload"
)

func TestTheSameSeedDisturbsInTheSameWay(t *testing.T) {
	draw := func() []strike { return drawStrikes(workload.Drawn(7, byPlan), 40) }
	if !slices.Equal(draw(), draw()) {
		t.Error("the same seed draws other disturbances")
	}
}

func TestEachKindComesInTurnBeforeAnyComesAtRandom(t *testing.T) {
	for seed := range uint64(50) {
		strikes := drawStrikes(workload.Drawn(seed, byPlan), 2*len(kinds))
		seen := make(map[kind]bool)
		for i, s := range strikes {
			if alone := i < len(kinds); s.Alone != alone || alone && seen[s.Kind] {
				t.Errorf("seed %d: disturbance %d is %+v", seed, i, s)
			}
			seen[s.Kind] = true
		}
		if len(seen) != len(kinds) {
			t.Errorf("seed %d has %d of %d kinds", seed, len(seen), len(kinds))
		}
	}
}

// TestWhoIsToBeReplacedIsDownForLongEnough, or nobody would see who takes over.
func TestWhoIsToBeReplacedIsDownForLongEnough(t *testing.T) {
	replaced := []kind{killClerk, killProjector, killSettler, killWatcher, killRelay, freezeClerk, freezeProjector}
	for seed := range uint64(50) {
		for _, s := range drawStrikes(workload.Drawn(seed, byPlan), len(kinds)) {
			if slices.Contains(replaced, s.Kind) && s.Down < beyondSession {
				t.Errorf("seed %d: %s is down for %s", seed, s.Kind, s.Down)
			}
			if s.Kind == killBroker && s.Down > 6*time.Second {
				t.Errorf("seed %d: a broker is down for %s", seed, s.Down)
			}
		}
	}
}
