package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/filature/filature/internal/workload"
)

// kind is a way to disturb.
type kind string

// Kinds.
const (
	killBroker      kind = "kill -9 a broker"
	killClerk       kind = "kill -9 a clerk"
	killProjector   kind = "kill -9 the projector"
	killSettler     kind = "kill -9 the settler"
	killWatcher     kind = "kill -9 the watcher"
	killRelay       kind = "kill -9 a relay"
	killGateway     kind = "kill -9 a gateway"
	killPostgres    kind = "kill -9 PostgreSQL"
	freezeClerk     kind = "stop a clerk, and wake it as a zombie"
	freezeProjector kind = "stop the projector, and wake it as a zombie"
	freezeBroker    kind = "stop a broker, and wake it as a zombie"
	moveLeaders     kind = "move all leaders"
	rebalance       kind = "a clerk more, then all clerks leave and come back"
)

var kinds = []kind{
	killBroker, killClerk, killProjector, killSettler, killWatcher, killRelay, killGateway, killPostgres,
	freezeClerk, freezeProjector, freezeBroker, moveLeaders, rebalance,
}

// strike is one disturbance before it has happened.
type strike struct {
	Kind kind
	// Alone: it begins when all is well, and nothing else happens until all is well again. The others come Gap after
	// the one before has begun, whatever that has left behind.
	Alone bool
	Gap   time.Duration
	// Down is how long what was killed or stopped stays so, or how long a further clerk stays.
	Down time.Duration
	// Pick says which one, of those that there are.
	Pick int
}

// byPlan is what is drawn here, besides the workload.
const byPlan = workload.Others

const (
	// beyondSession is longer than Kafka waits for a process that says nothing (6 s, adapters/kafka) and the
	// others need to share its shards: whoever is down for so long is replaced.
	beyondSession = 9 * time.Second
	// zombieUpTo bounds how long a process is stopped.
	zombieUpTo = 12 * time.Second
)

// drawStrikes draws n disturbances: each kind in turn, in an order of the seed, and then at random.
func drawStrikes(lots *rand.Rand, n int) []strike {
	order := slices.Clone(kinds)
	lots.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	strikes := make([]strike, n)
	for i := range strikes {
		s := &strikes[i]
		*s = strike{Pick: lots.IntN(1 << 16), Gap: span(lots, 0, 6*time.Second)}
		if i < len(order) {
			s.Kind, s.Alone = order[i], true
		} else {
			s.Kind = kinds[lots.IntN(len(kinds))]
		}
		s.Down = down(lots, s.Kind, s.Alone)
	}
	return strikes
}

func down(lots *rand.Rand, k kind, alone bool) time.Duration {
	switch k {
	case freezeClerk, freezeProjector:
		return span(lots, beyondSession, zombieUpTo)
	case killClerk, killProjector, killSettler, killWatcher, killRelay:
		if alone { // so that one sees who takes over
			return span(lots, beyondSession, zombieUpTo)
		}
		return span(lots, 100*time.Millisecond, 4*time.Second)
	case killBroker, freezeBroker: // a broker is found dead after 3 s: internal/services
		return span(lots, time.Second, 6*time.Second)
	case rebalance:
		return span(lots, 2*time.Second, 5*time.Second)
	case killGateway, killPostgres:
		return span(lots, 200*time.Millisecond, 3*time.Second)
	case moveLeaders:
	}
	return 0
}

func span(lots *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(lots.Int64N(int64(most-least)))
}

// slicesFor is how much load a plan needs, so that reports flow as long as it lasts.
func slicesFor(strikes []strike) int {
	n := slicesInReserve
	for _, s := range strikes {
		n += s.slices()
	}
	return n
}

const (
	// paceUpTo is waited at random between two requests of a lane, so that its slice, of about eight requests, lasts
	// about three seconds.
	paceUpTo = 700 * time.Millisecond
	// slicesInReserve are for what takes longer than planned.
	slicesInReserve = 8
)

// slices is how many slices of load are let go with a disturbance.
func (s *strike) slices() int {
	if s.Alone {
		return 2 + int(s.Down/(3*time.Second))
	}
	return 1
}
