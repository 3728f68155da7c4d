package main

import (
	"sync/atomic"
	"time"
)

const (
	// demoHours is into how many hours a part's jobs are put: a day.
	demoHours = 24
	// jobsAt and jobsWithin are when in an hour of the clock its jobs come, so that each hour of a plot has some.
	jobsAt, jobsWithin = 25 * time.Minute, 10 * time.Minute
	// lull is a while in which nothing happens: by far enough for what was earned before it to mature.
	lull = time.Minute
	// demoDay is how long a part takes, by its own clock.
	demoDay = demoHours*time.Hour + 2*lull
	// repriceHours is how often providers look at their prices.
	repriceHours = 6
	// busiest and quietest are how many jobs come in an hour, against each other: a network sleeps a little, as its users do.
	busiest, quietest = 10, 3
)

// lapse is the clock of a demo that shows days in seconds: the machine's, set back by what is to be skipped. It goes at the
// machine's pace, jumps ahead where nothing happens, and has caught up when the demo ends. Logs, chain and everybody who
// numbers what they say by the time go by it, so it never goes back. A lapse of nothing is the machine's clock.
type lapse struct {
	behind atomic.Int64 // nanoseconds
	closed atomic.Int64 // when the last day ended, Unix nanoseconds; 0: none has
}

// lapseOf is a clock that has so much to skip.
func lapseOf(all time.Duration) *lapse {
	l := &lapse{}
	l.behind.Store(int64(all))
	return l
}

func (l *lapse) now() time.Time { return time.Now().Add(-time.Duration(l.behind.Load())) }

// caughtUp tells whether there is nothing left to skip.
func (l *lapse) caughtUp() bool { return l.behind.Load() == 0 }

// skip lets time pass, up to where the machine's clock is.
func (l *lapse) skip(d time.Duration) { l.behind.Store(max(0, l.behind.Load()-int64(d))) }

// closeDay says that all of a day is in the books, and may be settled.
func (l *lapse) closeDay() { l.closed.Store(l.now().UnixNano()) }

// books is the settler's clock: it stands at the end of the last day, so that there is one batch for each, whatever the
// machine's pace, and goes with all others when there is nothing to skip any more.
func (l *lapse) books() time.Time {
	if l.caughtUp() {
		return l.now()
	}
	return time.Unix(0, l.closed.Load())
}

// untilJobs is how long it is until jobs may come, less than an hour and time enough for them to come in it.
func untilJobs(now time.Time) time.Duration {
	ahead := now.Truncate(time.Hour).Add(jobsAt).Sub(now)
	if ahead < 0 {
		ahead += time.Hour
	}
	return min(ahead, time.Hour-jobsWithin)
}

// busyAt is how busy an hour is, from quietest to busiest: it rises for half a day, and falls for half a day.
func busyAt(hour int) int {
	return quietest + (busiest-quietest)*min(hour, demoHours-hour)/(demoHours/2)
}

// byHour is how many of n jobs have come by the end of an hour of the day.
func byHour(n, hour int) int {
	until, all := 0, 0
	for h := range demoHours {
		if all += busyAt(h); h <= hour {
			until = all
		}
	}
	return n * until / all
}
