package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/sdk"
)

func TestWhatIsAddedLingersAndThenGoesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		l := live(t, newWire(g), sdk.Config{SpoolDir: t.TempDir(), Linger: time.Second})
		defer l.end(t)
		for i := range 10 {
			must(t, l.Add(t.Context(), 1, named("%d", i)))
			must(t, l.Add(t.Context(), 2, named("%d", i)))
		}
		<-time.After(990 * time.Millisecond)
		if n := len(g.claims()); n > 0 {
			t.Errorf("claims for %d shards arrived before they had lingered", n)
		}
		<-time.After(20 * time.Millisecond)
		synctest.Wait()
		if have := g.claims(); len(have[1]) != 10 || len(have[2]) != 10 || len(g.taken) != 2 {
			t.Errorf("%d reports arrived: %v; want one for each shard", len(g.taken), have)
		}
	})
}

func TestARunThatIsStoppedLeavesAllInTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(newGateway(t))
		w.set(true)
		l := live(t, w, sdk.Config{SpoolDir: t.TempDir(), Linger: time.Hour})
		must(t, l.Add(t.Context(), 1, named("one")))
		l.stop()
		if err := <-l.ended; err != nil || l.Waiting() != 1 {
			t.Errorf("run: %v, and %d reports wait", err, l.Waiting())
		}
		must(t, l.Close())
	})
}

func TestNobodyWhoEmitsWaitsForTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		w := newWire(g)
		w.fate = []fate{{slow: time.Hour}}
		l := live(t, w, sdk.Config{SpoolDir: t.TempDir()})
		must(t, l.Emit(t.Context(), 1, named("first")))
		synctest.Wait() // it is on its way now, for an hour
		begun := time.Now()
		for i := range 100 {
			must(t, l.Emit(t.Context(), 1, named("%d", i)))
		}
		if took := time.Since(begun); took > 0 || l.Waiting() != 101 {
			t.Errorf("emitting took %v, and %d reports wait", took, l.Waiting())
		}
		<-time.After(time.Hour)
		await(t, time.Second, "all delivered", func() bool { return l.Waiting() == 0 })
		l.end(t)
	})
}

func TestAddWaitsForRoomAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const claims = 200
		g := newGateway(t)
		w := newWire(g)
		w.set(true)
		l := live(t, w, sdk.Config{SpoolDir: t.TempDir(), MaxSpoolBytes: 5000})
		added := make(chan int, claims)
		go func() {
			defer close(added)
			for i := range claims {
				if err := l.Emit(context.Background(), 1, named("%d", i)); err != nil {
					t.Errorf("emit: %v", err)
				}
				added <- i
			}
		}()
		<-time.After(time.Minute)
		before := len(added)
		if err := l.TryAdd(t.Context(), 1, named("not now")); before == 0 || before > 50 || !errors.Is(err, sdk.ErrSpoolFull) {
			t.Errorf("%d claims were emitted into a spool of 5000 bytes; one more: %v", before, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Add(ctx, 1, named("not now")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, sdk.ErrSpoolFull) {
			t.Errorf("add for a second: %v", err)
		}
		w.set(false)
		await(t, time.Minute, "all emitted", func() bool { return len(added) == claims })
		must(t, l.Deliver(t.Context()))
		if have := g.claims()[1]; len(have) != claims || have[claims-1] != fmt.Sprint(claims-1) {
			t.Errorf("%d claims arrived, want %d", len(have), claims)
		}
		l.end(t)
	})
}

func TestManyWhoEmitAtOnceLoseNothing(t *testing.T) {
	const people, each = 16, 200
	g := newGateway(t)
	l := live(t, newWire(g), sdk.Config{SpoolDir: t.TempDir(), MaxSpoolBytes: 50_000})
	var all sync.WaitGroup
	for person := range people {
		all.Go(func() {
			for i := range each {
				if err := l.Emit(context.Background(), domain.Shard(person%3), named("%d of %d", i, person)); err != nil {
					t.Errorf("emit: %v", err)
				}
			}
		})
	}
	all.Wait()
	must(t, l.Deliver(t.Context())) // beside Run
	l.end(t)
	next := map[int]int{}
	for _, names := range g.claims() {
		for _, name := range names {
			var i, person int
			if _, err := fmt.Sscanf(name, "%d of %d", &i, &person); err != nil || i != next[person] {
				t.Fatalf("claim %q arrived where %d belongs: %v", name, next[person], err)
			}
			next[person]++
		}
	}
	for person := range people {
		if next[person] != each {
			t.Errorf("%d claims of %d arrived", next[person], person)
		}
	}
	t.Logf("%d claims in %d reports", people*each, len(g.taken))
}

func TestDeliverGivesUpOnAMistakeAndRunDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		cfg := config(g, t.TempDir())
		var troubles atomic.Int64
		cfg.Trouble = func(error) { troubles.Add(1) }
		e := open(t, cfg)
		must(t, e.Emit(t.Context(), 1, named("one")))
		g.trouble(rude, rude, short, rude)
		if err := e.Deliver(t.Context()); err == nil || errors.Is(err, sdk.ErrUnreachable) {
			t.Errorf("deliver: %v", err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		await(t, time.Minute, "delivered", func() bool { return e.Waiting() == 0 })
		stop()
		if err := <-ended; err != nil || troubles.Load() != 3 {
			t.Errorf("run: %v after %d troubles, want 3", err, troubles.Load())
		}
	})
}

// A gateway that was away may come back as another: it is asked again who it is.
func TestNothingIsSentToAGatewayThatCameBackAsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		w := newWire(g)
		l := live(t, w, sdk.Config{SpoolDir: t.TempDir()})
		must(t, l.Emit(t.Context(), 1, named("one")))
		await(t, time.Second, "delivered", func() bool { return l.Waiting() == 0 })
		w.set(true)
		must(t, l.Emit(t.Context(), 1, named("two")))
		<-time.After(time.Minute)
		w.gateway = newGateway(t)
		w.id.ID = domain.NetworkID{9}
		w.set(false)
		if err := <-l.ended; !errors.Is(err, sdk.ErrOtherNetwork) {
			t.Errorf("run: %v, want %v", err, sdk.ErrOtherNetwork)
		}
		if n := len(w.claims()); n > 0 || l.Waiting() != 1 {
			t.Errorf("claims for %d shards were sent to another network, %d wait", n, l.Waiting())
		}
		must(t, l.Close())
	})
}

func TestCloseEndsWhateverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		w := newWire(g)
		w.fate = []fate{{slow: time.Hour}}
		dir := t.TempDir()
		l := live(t, w, sdk.Config{SpoolDir: dir, MaxSpoolBytes: 500, Linger: time.Minute})
		must(t, l.Emit(t.Context(), 1, fat("one"))) // is on its way for an hour
		must(t, l.Add(t.Context(), 1, fat("two")))  // lingers, and leaves no room
		adds, delivers := make(chan error, 1), make(chan error, 1)
		go func() { adds <- l.Add(context.Background(), 1, fat("three")) }()
		go func() { delivers <- l.Deliver(context.Background()) }()
		synctest.Wait()
		begun := time.Now()
		must(t, l.Close())
		for what, ended := range map[string]chan error{"run": l.ended, "add": adds, "deliver": delivers} {
			if err := <-ended; err == nil {
				t.Errorf("%s goes on after close", what)
			}
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("close took %v", took)
		}
		must(t, l.Close()) // and again

		l = live(t, newWire(g), sdk.Config{SpoolDir: dir})
		must(t, l.Deliver(t.Context()))
		l.end(t)
		if have := g.claims()[1]; len(have) != 2 || slim(have[1]) != "two" {
			t.Errorf("the gateway took %q, want one and two", have)
		}
	})
}

func TestCloseCutsOffADelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(newGateway(t))
		w.fate = []fate{{slow: time.Hour}}
		e := open(t, sdk.Config{Key: annsKey(), Gateway: w, SpoolDir: t.TempDir()})
		must(t, e.Emit(t.Context(), 1, named("one")))
		ended := make(chan error, 1)
		go func() { ended <- e.Deliver(context.Background()) }()
		synctest.Wait()
		begun := time.Now()
		must(t, e.Close())
		if err := <-ended; err == nil || time.Since(begun) > 0 {
			t.Errorf("deliver: %v, %v after close", err, time.Since(begun))
		}
	})
}

func TestPausesDoubleUpToTenSecondsAndAreSpread(t *testing.T) {
	for failures := 1; failures < 100; failures++ {
		most := min(10*time.Second, 100*time.Millisecond<<min(failures-1, 20))
		if least, longest := sdk.PauseBetween(failures, 0), sdk.PauseBetween(failures, uint64(most/2)); least != most/2 || longest != most {
			t.Errorf("after %d failures: from %v to %v, want from %v to %v", failures, least, longest, most/2, most)
		}
		for _, lot := range []uint64{1, rand.Uint64(), math.MaxUint64} {
			if pause := sdk.PauseBetween(failures, lot); pause < most/2 || pause > most {
				t.Errorf("after %d failures: %v", failures, pause)
			}
		}
	}
}
