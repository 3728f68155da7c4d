package main

import (
	"fmt"
	"time"
)

// meter shows how far a long job is, and how long it will take if it goes on like this.
type meter struct {
	out   *console
	now   func() time.Time
	what  string
	began time.Time
	shown time.Time
}

func newMeter(out *console, now func() time.Time) *meter { return &meter{out: out, now: now} }

// showEvery is often enough to be seen moving, and costs nothing.
const showEvery = 100 * time.Millisecond

// progress takes in how much of a step is done. Another step begins a new estimate.
func (m *meter) progress(done, total int64, what string) {
	now := m.now()
	if what != m.what {
		m.what, m.began, m.shown = what, now, time.Time{}
	}
	if now.Sub(m.shown) < showEvery && done != total {
		return
	}
	m.shown = now
	m.out.progressf("%s: %s", what, progressText(done, total, now.Sub(m.began)))
}

// progressText says how much is done, and from the second second on how long the rest takes.
func progressText(done, total int64, since time.Duration) string {
	if total <= 0 {
		return count(done)
	}
	text := fmt.Sprintf("%s of %s", count(done), count(total))
	if done <= 0 || since < time.Second || done >= total {
		return text
	}
	left := time.Duration(float64(since) / float64(done) * float64(total-done)).Round(time.Second)
	return fmt.Sprintf("%s, %s/s, about %s left", text, count(int64(float64(done)/since.Seconds())), left)
}
