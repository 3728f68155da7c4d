package verifier_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/verifier"
)

// roster plays the ledger for a challenger: it takes challenges, and lets each worker answer or not.
type roster struct {
	t         *testing.T
	standings map[domain.WorkerID]int64
	silent    map[domain.WorkerID]bool
	asked     map[domain.WorkerID][]time.Time
	nonces    map[domain.Digest]bool
	away      atomic.Bool
}

func (r *roster) Standings(context.Context) ([]verifier.Standing, error) {
	if r.away.Load() {
		return nil, errors.New("the tables are away")
	}
	var all []verifier.Standing
	for worker, until := range r.standings {
		all = append(all, verifier.Standing{Worker: worker, AttestedUntilMs: until})
	}
	return all, nil
}

func (r *roster) Report(_ context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error) {
	now := time.Now()
	if shard != domain.Control || len(claims) > 1000 {
		r.t.Errorf("%d claims for shard %d", len(claims), shard)
	}
	for _, claim := range claims {
		asked := claim.GetChallengeAttestation()
		if err := claim.Check(); err != nil || asked == nil {
			r.t.Fatalf("%v: %v", claim, err)
		}
		if nonce := domain.Digest(asked.Challenge); r.nonces[nonce] {
			r.t.Error("a nonce comes twice")
		} else {
			r.nonces[nonce] = true
		}
		if asked.ExpiresAtMs != now.Add(5*time.Minute).UnixMilli() {
			r.t.Errorf("it ends at %d", asked.ExpiresAtMs)
		}
		worker := domain.WorkerID(asked.Worker)
		r.asked[worker] = append(r.asked[worker], now)
		if !r.silent[worker] {
			r.standings[worker] = now.Add(time.Hour).UnixMilli()
		}
	}
	return 0, nil
}

// TestWorkersAreAskedBeforeTheirResultsEnd: an honest one three quarters of an hour after the last time, one that does not
// answer every five minutes, and nobody more often, whatever fails in between.
func TestWorkersAreAskedBeforeTheirResultsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		honest, silent := id("one"), id("two")
		r := &roster{
			t: t, standings: map[domain.WorkerID]int64{honest: 0, silent: 0}, silent: map[domain.WorkerID]bool{silent: true},
			asked: map[domain.WorkerID][]time.Time{}, nonces: map[domain.Digest]bool{},
		}
		troubles := 0
		c := &verifier.Challenger{Roster: r, Reporter: r, Now: time.Now, Entropy: rand.Reader, Every: 10 * time.Second, Trouble: func(error) { troubles++ }}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		<-time.After(90 * time.Minute)
		synctest.Wait()
		r.away.Store(true)
		<-time.After(time.Minute)
		synctest.Wait()
		r.away.Store(false)
		<-time.After(90 * time.Minute)
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if troubles != 6 {
			t.Errorf("heard of %d troubles, want 6", troubles)
		}
		for worker, want := range map[domain.WorkerID]time.Duration{honest: 45 * time.Minute, silent: 5 * time.Minute} {
			times := r.asked[worker]
			for i := 1; i < len(times); i++ {
				if gap := times[i].Sub(times[i-1]); gap < want || gap > want+2*time.Minute {
					t.Errorf("worker %s is asked again after %s, want %s", worker, gap, want)
				}
			}
			if len(times) < 4 {
				t.Errorf("worker %s is asked %d times", worker, len(times))
			}
		}
	})
}

// TestThoseWhoseResultsEndFirstAreAskedFirst, a thousand at a time.
func TestThoseWhoseResultsEndFirstAreAskedFirst(t *testing.T) {
	now := time.UnixMilli(1_795_000_000_000)
	var standings []verifier.Standing
	for i := range 1500 {
		worker := domain.WorkerID{byte(i >> 8), byte(i)}
		standings = append(standings, verifier.Standing{Worker: worker, AttestedUntilMs: now.UnixMilli() - int64(i)})
	}
	late := verifier.Standing{Worker: id("late"), AttestedUntilMs: now.Add(time.Hour).UnixMilli()}
	waiting := verifier.Standing{Worker: id("waiting")}
	due := verifier.Due(append(standings, late, waiting), map[domain.WorkerID]time.Time{waiting.Worker: now.Add(-time.Minute)}, now)
	if len(due) != 1000 || due[0] != standings[1499].Worker || due[999] != standings[500].Worker {
		t.Fatalf("%d are due, from %s", len(due), due[0])
	}
	if slices.Contains(due, late.Worker) || slices.Contains(due, waiting.Worker) {
		t.Error("somebody is asked too early")
	}
	reversed := slices.Clone(standings)
	slices.Reverse(reversed)
	again := verifier.Due(reversed, nil, now)
	if !slices.EqualFunc(due, again, func(a, b domain.WorkerID) bool { return bytes.Equal(a[:], b[:]) }) {
		t.Error("the order depends on the roster's")
	}
}
