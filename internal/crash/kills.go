package main

import (
	"math/rand/v2"
	"time"
)

// moment is what the program is doing when it is killed.
type moment string

// Moments.
const (
	inFoundation moment = "while it sets a new network up"
	inStart      moment = "while it starts"
	underLoad    moment = "under load"
	inShutdown   moment = "while it shuts down"
)

var moments = []moment{inFoundation, inStart, underLoad, inShutdown}

// kill is one kill before it has happened. After is counted from the start of the process for
// inFoundation and inStart, and from when it is ready for the others. In inShutdown the process is told to
// end after that, and killed Grace later.
type kill struct {
	Moment       moment
	After, Grace time.Duration
}

// foundationKills are the first ones: a new network is set up once.
const foundationKills = 4

// drawKills draws the moments of n kills.
func drawKills(lots *rand.Rand, n int) []kill {
	upTo := func(least, most time.Duration) time.Duration {
		return least + time.Duration(lots.Int64N(int64(most-least)))
	}
	kills := make([]kill, n)
	for i := range kills {
		switch lot := lots.IntN(10); {
		case i < min(foundationKills, (n+1)/2):
			kills[i] = kill{Moment: inFoundation, After: upTo(20*time.Millisecond, 1200*time.Millisecond)}
		case lot < 2:
			kills[i] = kill{Moment: inStart, After: upTo(10*time.Millisecond, 400*time.Millisecond)}
		case lot < 4:
			kills[i] = kill{Moment: inShutdown, After: upTo(50*time.Millisecond, 800*time.Millisecond), Grace: upTo(0, 40*time.Millisecond)}
		default:
			kills[i] = kill{Moment: underLoad, After: upTo(50*time.Millisecond, 1500*time.Millisecond)}
		}
	}
	return kills
}
