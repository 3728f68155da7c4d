package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestADaysJobsComeByTheHour: all of them in a day, each once, and more at noon than at midnight.
func TestADaysJobsComeByTheHour(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 250_000).Draw(t, "jobs")
		if first, last := byHour(n, -1), byHour(n, demoHours-1); first != 0 || last != n {
			t.Fatalf("of %d jobs %d come before the day and %d before its end", n, first, last)
		}
		for hour := range demoHours {
			if byHour(n, hour) < byHour(n, hour-1) {
				t.Fatalf("jobs are taken back in hour %d", hour)
			}
		}
		midnight, noon := byHour(n, 0), byHour(n, demoHours/2)-byHour(n, demoHours/2-1)
		if n > 1000 && noon < 2*midnight {
			t.Fatalf("%d jobs come at noon, %d at midnight", noon, midnight)
		}
	})
}

// TestALapseCatchesUpWithTheMachinesClockAndNeverGoesBack, however much it is told to skip; the settler's clock stands at the
// end of the last day until then.
func TestALapseCatchesUpWithTheMachinesClockAndNeverGoesBack(t *testing.T) {
	t.Parallel()
	l := lapseOf(2 * demoDay)
	last := l.now()
	if behind := time.Since(last); behind < 2*demoDay {
		t.Fatalf("it begins %s ago", behind)
	}
	if at := l.books(); at.Unix() != 0 {
		t.Errorf("before a day has ended, it is %s for the settler", at)
	}
	for _, d := range []time.Duration{demoDay, 0, demoDay - time.Hour, 3 * time.Hour} {
		l.skip(d)
		now := l.now()
		if now.Before(last) || now.After(time.Now()) {
			t.Fatalf("%s after %s", now, last)
		}
		last = now
		if d == 0 {
			l.closeDay()
		}
		if at := l.books(); d == demoDay-time.Hour && last.Sub(at) < demoDay-2*time.Hour {
			t.Errorf("the settler's clock went on to %s while the day went on to %s", at, last)
		}
	}
	if behind := time.Since(last); behind > time.Hour {
		t.Errorf("in the end it is %s behind", behind)
	}
	if at := l.books(); at.Before(last) {
		t.Errorf("in the end it is %s for the settler", at)
	}
}

// TestJobsComeInEachHourOfTheClock, whenever the demo begins, and within the hour of the demo's own that they belong to.
func TestJobsComeInEachHourOfTheClock(t *testing.T) {
	t.Parallel()
	for minute := range 60 {
		now := time.Date(2026, 11, 23, 4, minute, 59, 0, time.UTC)
		ahead := untilJobs(now)
		if ahead < 0 || ahead > time.Hour-jobsWithin {
			t.Errorf("at minute %d jobs come after %s", minute, ahead)
		}
		if first, last := now.Add(ahead), now.Add(ahead+jobsWithin); first.Truncate(time.Hour) != last.Add(-time.Second).Truncate(time.Hour) {
			t.Errorf("at minute %d jobs come from %s to %s, in two hours", minute, first, last)
		}
	}
}
