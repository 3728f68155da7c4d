package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/filature/filature/internal/workload"
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
//
// Where Torn is not empty, these bytes are what a write that the kill cut off has left at the end of a log:
// the kernel cuts a write of a few kilobytes too seldom to wait for it.
type kill struct {
	Moment       moment
	After, Grace time.Duration
	Torn         string
	TornLog      string
}

const (
	// foundationKills are the first ones: a new network is set up once, in about a third of a second.
	foundationKills = 4
	// Of ten others, so many are these; the rest are underLoad.
	startsOfTen, shutdownsOfTen = 2, 2
	// tornOfTen are followed by a torn end.
	tornOfTen = 2
	// tornBytes is less than a block's header, so that nothing can take it for a group that was there.
	tornBytes = 40
)

// What is drawn here, besides the workload.
const (
	byKiller workload.Purpose = workload.Others + iota
	byCradle
)

// drawKills draws the moments of n kills.
func drawKills(lots *rand.Rand, n int) []kill {
	kills := make([]kill, n)
	for i := range kills {
		switch place := i % 10; {
		case place < startsOfTen:
			kills[i].Moment = inStart
		case place < startsOfTen+shutdownsOfTen:
			kills[i].Moment = inShutdown
		default:
			kills[i].Moment = underLoad
		}
	}
	lots.Shuffle(n, func(i, j int) { kills[i], kills[j] = kills[j], kills[i] })
	for i := range kills {
		k := &kills[i]
		if i < min(foundationKills, (n+1)/2) {
			k.Moment = inFoundation
		}
		if k.Moment != inFoundation && lots.IntN(10) < tornOfTen {
			k.TornLog = []string{"intake", "ledger"}[lots.IntN(2)]
			torn := make([]byte, 1+lots.IntN(tornBytes))
			for at := range torn {
				torn[at] = byte(lots.IntN(256))
			}
			k.Torn = string(torn)
		}
		span := func(least, most time.Duration) time.Duration {
			return least + time.Duration(lots.Int64N(int64(most-least)))
		}
		switch k.Moment {
		case inFoundation:
			k.After = span(5*time.Millisecond, 350*time.Millisecond)
		case inStart:
			k.After = span(5*time.Millisecond, 400*time.Millisecond)
		case inShutdown:
			k.After, k.Grace = span(50*time.Millisecond, 800*time.Millisecond), span(0, 40*time.Millisecond)
		case underLoad:
			k.After = span(50*time.Millisecond, 1500*time.Millisecond)
		}
	}
	return kills
}

// tear leaves at the end of a log what a cut write would have.
func (k kill) tear(data string) (err error) {
	segments, err := filepath.Glob(filepath.Join(data, k.TornLog, "*.seg"))
	if err != nil || len(segments) == 0 {
		return errors.Join(err, fmt.Errorf("%s has %d segments", k.TornLog, len(segments)))
	}
	file, err := os.OpenFile(slices.Max(segments), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(k.Torn)
	return errors.Join(err, file.Close())
}
