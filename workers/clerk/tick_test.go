package clerk_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// ticking is a clock that speaks as the operator.
type ticking struct {
	*world
	ticks atomic.Int64
	fail  error
}

func (c *ticking) Tick(_ context.Context, of domain.Shard) error {
	c.ticks.Add(1)
	if c.fail != nil {
		return c.fail
	}
	c.say(of, "operator", &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}}) //nolint:contextcheck // the world has its own
	return nil
}

// attested is a world where a worker's attestation ends after a span of time, and nobody speaks of it.
func attested(t *testing.T, span time.Duration) (*world, *ticking) {
	t.Helper()
	w := newWorld(t)
	w.moving = time.Now()
	w.found()
	challenge := &v1.ChallengeAttestation{Worker: id("gpu"), Challenge: id("challenge"), ExpiresAtMs: startMs + 60_000}
	pass := &v1.PassAttestation{
		Worker: id("gpu"), Challenge: id("challenge"), EvidenceDigest: id("evidence"), PolicyDigest: id("policy"),
		ImageHash: id("image"), ValidUntilMs: startMs + span.Milliseconds(),
	}
	w.say(domain.Control, "operator",
		&v1.Claim{Body: &v1.Claim_ChallengeAttestation{ChallengeAttestation: challenge}},
		&v1.Claim{Body: &v1.Claim_PassAttestation{PassAttestation: pass}},
	)
	return w, &ticking{world: w}
}

// expired is when control's ledger says that the attestation ended, if it does.
func (w *world) expired(entries []*v1.Entry) (atMs int64, ok bool) {
	for _, entry := range entries {
		for _, fact := range entry.GetAnswer().GetFacts() {
			if fact.GetAttestationExpired() != nil {
				return entry.AtMs, true
			}
		}
	}
	return 0, false
}

func TestWhatIsDueHappensThoughNobodySpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const span = time.Hour
		w, clock := attested(t, span)
		log := w.newLog()
		cfg := w.config(domain.Control, log)
		cfg.Clock, cfg.Now = clock, w.now
		c := start(cfg)
		<-time.After(span - time.Millisecond) // of the bubble's time
		synctest.Wait()
		if n := clock.ticks.Load(); n != 0 {
			t.Errorf("%d ticks before anything is due", n)
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if at, ok := w.expired(w.entries(log, domain.Control)); !ok || at != startMs+span.Milliseconds() {
			t.Errorf("it expired %v, at %d; want it at %d", ok, at, startMs+span.Milliseconds())
		}
		<-time.After(span)
		if err := c.stop(); err != nil || clock.ticks.Load() != 1 {
			t.Errorf("%d ticks in all, want 1; %v", clock.ticks.Load(), err)
		}
	})
}

// TestAMonthEndsThoughNobodySpeaks: once, in a shard that has seen nothing yet, too. Else its documents would stay drafts.
func TestAMonthEndsThoughNobodySpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.moving = time.Now()
		w.found()
		log := w.newLog()
		var clocks [2]ticking
		var clerks [2]*running
		for shard := range clocks {
			clocks[shard].world = w
			cfg := w.config(domain.Shard(shard), log)
			cfg.Clock, cfg.Now = &clocks[shard], w.now
			clerks[shard] = start(cfg)
		}
		end := time.UnixMilli(domain.NextMonth(w.now().UnixMilli()))
		<-time.After(end.Sub(w.now()) - time.Millisecond) // of the bubble's time
		synctest.Wait()
		for shard := range clocks {
			if n := clocks[shard].ticks.Load(); n != 0 {
				t.Errorf("shard %d: %d ticks before the month ends", shard, n)
			}
		}
		<-time.After(24 * time.Hour)
		for shard, c := range clerks {
			if err := c.stop(); err != nil || clocks[shard].ticks.Load() != 1 {
				t.Errorf("shard %d: %d ticks in all, want 1; %v", shard, clocks[shard].ticks.Load(), err)
			}
			entries := w.entries(log, domain.Shard(shard))
			if last := entries[len(entries)-1].AtMs; last != end.UnixMilli() {
				t.Errorf("shard %d: log time came to %d, want %d", shard, last, end.UnixMilli())
			}
		}
	})
}

func TestALogWhoseClockIsBehindGetsFewTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const span, behind = time.Minute, 2 * time.Second
		w, clock := attested(t, span)
		log := w.newLog()
		cfg := w.config(domain.Control, log)
		cfg.Clock, cfg.Now = clock, func() time.Time { return w.now().Add(behind) }
		c := start(cfg)
		<-time.After(2 * span)
		if err := c.stop(); err != nil {
			t.Error(err)
		}
		if _, ok := w.expired(w.entries(log, domain.Control)); !ok {
			t.Error("it did not expire")
		}
		if n := clock.ticks.Load(); n > 25 {
			t.Errorf("%d ticks in two seconds", n)
		}
	})
}

func TestWithoutAClockNothingIsDueUntilSomebodySpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := attested(t, time.Minute)
		log := w.newLog()
		c := start(w.config(domain.Control, log))
		<-time.After(time.Hour)
		if _, ok := w.expired(w.entries(log, domain.Control)); ok {
			t.Error("it expired by itself")
		}
		w.say(domain.Control, "admin", &v1.Claim{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{Model: id("qwen"), Name: "qwen"}}})
		synctest.Wait()
		if at, ok := w.expired(w.entries(log, domain.Control)); !ok || at != startMs+time.Hour.Milliseconds() {
			t.Errorf("it expired %v, at %d; want it with the next word", ok, at)
		}
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAClockThatCanNotSpeakEndsTheClerk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, clock := attested(t, time.Minute)
		clock.fail = errors.New("no gateway")
		cfg := w.config(domain.Control, w.newLog())
		cfg.Clock, cfg.Now = clock, w.now
		c := start(cfg)
		if err := <-c.ended; !errors.Is(err, clock.fail) {
			t.Errorf("run: %v, want %v", err, clock.fail)
		}
	})
}
