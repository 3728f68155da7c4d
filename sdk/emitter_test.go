package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

func TestClaimsArriveOnceAndInOrderWithinTheirShard(t *testing.T) {
	g := newGateway(t)
	seen := 0
	cfg := config(g, t.TempDir())
	cfg.Receipts = func(r sdk.Receipt) {
		seen += r.Claims
		if r.Status != sdk.Accepted {
			t.Errorf("receipt %+v", r)
		}
	}
	e := open(t, cfg)
	want := map[domain.Shard][]string{}
	for i := range 1000 {
		shard := domain.Shard(i % 3)
		name := fmt.Sprintf("claim %d", i)
		must(t, e.Add(t.Context(), shard, named("%s", name)))
		want[shard] = append(want[shard], name)
	}
	must(t, e.Deliver(t.Context()))
	if have := g.claims(); !equal(have, want) {
		t.Errorf("the gateway took %v", have)
	}
	if seen != 1000 || e.Waiting() != 0 {
		t.Errorf("receipts for %d claims, %d reports wait", seen, e.Waiting())
	}
	if reports := len(g.taken); reports != 3*6 { // of 64 claims
		t.Errorf("%d reports for 3 times 333 claims", reports)
	}
}

func equal(a, b map[domain.Shard][]string) bool {
	if len(a) != len(b) {
		return false
	}
	for shard := range a {
		if !slices.Equal(a[shard], b[shard]) {
			return false
		}
	}
	return true
}

func TestTroubleIsWaitedOutAndNothingIsDoubled(t *testing.T) {
	for _, c := range []struct {
		name string
		plan []trouble
	}{
		{"nobody there", []trouble{down, down, down}},
		{"busy", []trouble{busy, busy}},
		{"the answer is lost", []trouble{deaf}},
		{"it does not know whether it took them", []trouble{broken, broken}},
		{"half an answer", []trouble{mumbling}},
		{"all of it", []trouble{down, busy, deaf, broken, mumbling, down, deaf, busy}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGateway(t)
				e := open(t, config(g, t.TempDir()))
				must(t, e.Emit(t.Context(), 1, named("one")))
				g.trouble(c.plan...)
				must(t, e.Deliver(t.Context()))
				if have := g.claims(); len(have[1]) != 1 || e.Waiting() != 0 {
					t.Errorf("the gateway took %v, %d wait", have, e.Waiting())
				}
			})
		})
	}
}

func TestAGatewayThatStaysAwayLeavesAllInTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		dir := t.TempDir()
		e := open(t, config(g, dir))
		must(t, e.Emit(t.Context(), 1, named("one")))
		for range 100 {
			g.trouble(down)
		}
		begun := time.Now()
		if err := e.Deliver(t.Context()); !errors.Is(err, sdk.ErrUnreachable) || !errors.Is(err, errDown) {
			t.Errorf("deliver: %v, want %v because of %v", err, sdk.ErrUnreachable, errDown)
		}
		if took := time.Since(begun); took < 5*time.Second || took > time.Minute {
			t.Errorf("it gave up after %v", took)
		}
		must(t, e.Close())
		g.plan = nil
		e = open(t, config(g, dir))
		if e.Waiting() != 1 {
			t.Errorf("%d reports wait, want 1", e.Waiting())
		}
		must(t, e.Deliver(t.Context()))
		if have := g.claims(); len(have[1]) != 1 {
			t.Errorf("the gateway took %v", have)
		}
	})
}

func TestWhatIsNoTroubleButAMistakeIsNotTriedAgain(t *testing.T) {
	for name, what := range map[string]trouble{"a request it does not understand": rude, "a receipt too few": short} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			e := open(t, config(g, t.TempDir()))
			must(t, e.Emit(t.Context(), 1, named("one")))
			g.trouble(what)
			if err := e.Deliver(t.Context()); err == nil || errors.Is(err, sdk.ErrUnreachable) {
				t.Errorf("deliver: %v", err)
			}
			if g.requests != 1 || e.Waiting() != 1 {
				t.Errorf("%d requests, %d reports wait; want 1 and 1", g.requests, e.Waiting())
			}
			must(t, e.Deliver(t.Context()))
		})
	}
}

func TestAnEndedContextEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		e := open(t, config(g, t.TempDir()))
		must(t, e.Emit(t.Context(), 1, named("one")))
		for range 100 {
			g.trouble(down)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if err := e.Deliver(ctx); err == nil || e.Waiting() != 1 {
			t.Errorf("deliver: %v, %d wait", err, e.Waiting())
		}
		if took := time.Since(begun); took != 250*time.Millisecond {
			t.Errorf("it ended after %v", took)
		}
	})
}

// What the gateway will never take is kept, with what was said and why, and does not stand in the way.
func TestARefusedReportIsKeptAndReported(t *testing.T) {
	g := newGateway(t)
	var seen []sdk.Receipt
	cfg := config(g, t.TempDir())
	cfg.Receipts = func(r sdk.Receipt) { seen = append(seen, r) }
	e := open(t, cfg)
	ann := signing.KeyOf(annsKey()).String()
	g.refuse[ann] = "unknown"
	must(t, e.Emit(t.Context(), 1, named("one"), named("two")))
	must(t, e.Deliver(t.Context()))
	if r := seen[0]; len(seen) != 1 || !r.Status.Lost() || r.Reason != "unknown_signer" || r.Field != "signer" || r.Claims != 2 {
		t.Errorf("receipts %+v", seen)
	}
	delete(g.refuse, ann)
	must(t, e.Emit(t.Context(), 1, named("three")))
	must(t, e.Deliver(t.Context()))
	if have := g.claims()[1]; !slices.Equal(have, []string{"three"}) {
		t.Errorf("the gateway took %q", have)
	}
	kept := lines(t, e.RefusedFile())
	if len(kept) != 1 {
		t.Fatalf("refused.jsonl has %d lines", len(kept))
	}
	var line struct {
		Status string            `json:"status"`
		Reason string            `json:"reason"`
		Report string            `json:"report"`
		Said   []json.RawMessage `json:"said"`
		Shard  int               `json:"shard"`
	}
	must(t, json.Unmarshal([]byte(kept[0]), &line))
	if line.Status != "refused" || line.Reason != "unknown_signer" || line.Shard != 1 || len(line.Said) != 2 || line.Report == "" {
		t.Errorf("refused.jsonl says %s", kept[0])
	}
	if c, err := v1.ParseClaim(line.Said[1]); err != nil || c.GetListModel().Name != "two" {
		t.Errorf("what was said can't be said again: %v, %v", c, err)
	}
}

// A photograph of the spool is what a kill -9 leaves. Each is opened again, and whatever Emit had
// acknowledged by then must be at the gateway once.
func TestACrashAnywhereLosesAndDoublesNothing(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	type moment struct {
		what, spool string
		sure        int // claims that Emit had acknowledged
	}
	var (
		moments []moment
		sure    int
	)
	snap := func(what string) {
		moments = append(moments, moment{what, photograph(t, dir), sure})
	}
	cfg := config(g, dir)
	cfg.Receipts = func(sdk.Receipt) { snap("after the cursor") }
	e := open(t, cfg)
	g.before = func() { snap("before the gateway took a body") }
	g.after = func() { snap("before its answer arrives") }
	for range 3 {
		for i := range 3 {
			must(t, e.Emit(t.Context(), domain.Shard(i%2), named("claim %d", sure)))
			sure++
			snap("after Emit")
		}
		must(t, e.Deliver(t.Context()))
		snap("after Deliver")
	}
	must(t, e.Close())
	g.before, g.after = func() {}, func() {}
	for _, m := range moments {
		again := open(t, config(g, m.spool))
		must(t, again.Deliver(t.Context()))
		must(t, again.Emit(t.Context(), 0)) // nothing, and no trouble
		must(t, again.Close())
		have := map[string]int{}
		for _, claims := range g.claims() {
			for _, name := range claims {
				have[name]++
			}
		}
		for i := range m.sure {
			if n := have[fmt.Sprintf("claim %d", i)]; n != 1 {
				t.Errorf("%s: claim %d is at the gateway %d times", m.what, i, n)
			}
		}
	}
	if len(moments) < 20 {
		t.Errorf("%d moments only", len(moments))
	}
}

// The same for what is refused: it stands in refused.jsonl once.
func TestACrashAnywhereKeepsARefusalOnce(t *testing.T) {
	g := newGateway(t)
	g.refuse[signing.KeyOf(annsKey()).String()] = "unknown"
	dir := t.TempDir()
	e := open(t, config(g, dir))
	must(t, e.Emit(t.Context(), 1, named("one")))
	must(t, e.Emit(t.Context(), 2, named("two")))
	beforeAnswer := ""
	g.after = func() { beforeAnswer = photograph(t, dir) }
	must(t, e.Deliver(t.Context()))
	g.after = func() {}
	// The worst: the refusals were written, and the cursor was not moved.
	between := photograph(t, beforeAnswer)
	raw, err := os.ReadFile(e.RefusedFile())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(between, "refused.jsonl"), raw[:len(raw)-5], 0o600))
	for name, spool := range map[string]string{"before the answer": beforeAnswer, "between": between, "after": photograph(t, dir)} {
		again := open(t, config(g, spool))
		must(t, again.Deliver(t.Context()))
		if n := len(lines(t, again.RefusedFile())); n != 2 {
			t.Errorf("%s: %d refusals are kept, want 2", name, n)
		}
		must(t, again.Close())
	}
}

func TestNumbersGrowOverRestartsThoughTheClockGoesBack(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	now := time.UnixMicro(1_000_000)
	var last uint64
	for round, step := range []time.Duration{time.Hour, -2 * time.Hour, 0, time.Microsecond} {
		now = now.Add(step)
		cfg := config(g, dir)
		cfg.Now = func() time.Time { return now }
		cfg.Receipts = func(r sdk.Receipt) { // the fake polices the order, too
			if r.Sequence <= last {
				t.Errorf("round %d: number %d after %d", round, r.Sequence, last)
			}
			last = r.Sequence
		}
		e := open(t, cfg)
		must(t, e.Emit(t.Context(), 1, named("a %d", round)))
		must(t, e.Emit(t.Context(), 1, named("b %d", round)))
		if round%2 == 0 {
			must(t, e.Deliver(t.Context()))
		}
		must(t, e.Close())
	}
	must(t, open(t, config(g, dir)).Deliver(t.Context()))
	if n := len(g.claims()[1]); n != 8 {
		t.Errorf("%d claims arrived, want 8", n)
	}
}

func TestAFullSpoolTakesNothingUntilSomeIsDelivered(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	cfg := config(g, dir)
	cfg.MaxSpoolBytes = 2000
	e := open(t, cfg)
	taken := 0
	for full := false; !full; {
		switch err := e.TryAdd(t.Context(), 1, named("claim %d", taken)); {
		case err == nil:
			taken++
			must(t, e.Flush(t.Context()))
		case errors.Is(err, sdk.ErrSpoolFull) && taken > 0:
			full = true
		default:
			t.Fatalf("after %d claims: %v, want %v", taken, err, sdk.ErrSpoolFull)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Add(ctx, 1, named("not now")); !errors.Is(err, sdk.ErrSpoolFull) || !errors.Is(err, context.Canceled) {
		t.Errorf("add, with nobody who makes room: %v, want %v", err, sdk.ErrSpoolFull)
	}
	must(t, e.Close())
	e = open(t, cfg)
	if err := e.TryAdd(t.Context(), 1, named("not now")); !errors.Is(err, sdk.ErrSpoolFull) {
		t.Errorf("add after it was opened again: %v, want %v", err, sdk.ErrSpoolFull)
	}
	must(t, e.Deliver(t.Context()))
	must(t, e.TryAdd(t.Context(), 1, named("claim %d", taken)))
	must(t, e.Deliver(t.Context()))
	if n := len(g.claims()[1]); n != taken+1 {
		t.Errorf("%d claims arrived, want %d", n, taken+1)
	}
	if logs := logsIn(t, dir); len(logs) != 1 || logs[0] == "log-000000000001" {
		t.Errorf("the spool has the logs %q, want a later one alone", logs)
	}
	if err := e.Add(t.Context(), 1, slices.Repeat([]*v1.Claim{named("x")}, 100)...); !errors.Is(err, sdk.ErrTooLarge) {
		t.Errorf("more than the spool ever holds: %v, want %v", err, sdk.ErrTooLarge)
	}
}

func logsIn(t *testing.T, dir string) []string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "log-*"))
	must(t, err)
	for i := range logs {
		logs[i] = filepath.Base(logs[i])
	}
	return logs
}

// A crash before the next log is there, and one before the old log is gone.
func TestACrashBetweenTwoLogsIsMended(t *testing.T) {
	const second = "log-000000000002"
	for name, crash := range map[string]func(dir string) error{
		"no next log yet": func(dir string) error { return os.RemoveAll(filepath.Join(dir, second)) },
		"the next one is empty": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, second)), os.Mkdir(filepath.Join(dir, second), 0o700))
		},
		"the old one is there": func(dir string) error {
			// The second report was sent, so the cursor is there now.
			return os.CopyFS(filepath.Join(dir, "log-000000000000"), os.DirFS(filepath.Join(dir, "log-000000000001")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			dir := t.TempDir()
			cfg := config(g, dir)
			cfg.MaxSpoolBytes = 2000 // a log has one report then
			e := open(t, cfg)
			must(t, e.Emit(t.Context(), 1, named("one")))
			before := photograph(t, dir)
			must(t, e.Emit(t.Context(), 1, named("two")))
			if logs := logsIn(t, dir); len(logs) != 2 || logs[1] != second {
				t.Fatalf("the spool has the logs %q", logs)
			}
			must(t, crash(before))
			must(t, e.Close())
			cfg.SpoolDir = before
			e = open(t, cfg)
			must(t, e.Emit(t.Context(), 1, named("three")))
			must(t, e.Deliver(t.Context()))
			if have := g.claims()[1]; !slices.Equal(have, []string{"one", "three"}) {
				t.Errorf("the gateway took %q", have)
			}
			if logs := logsIn(t, before); len(logs) != 1 || logs[0] != second {
				t.Errorf("the spool has the logs %q, want %s alone", logs, second)
			}
		})
	}
}

func TestALogThatIsMissingIsNotPassedOver(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	cfg := config(g, dir)
	cfg.MaxSpoolBytes = 2000
	e := open(t, cfg)
	for i := range 4 {
		must(t, e.Emit(t.Context(), 1, named("claim %d", i)))
	}
	must(t, e.Close())
	must(t, os.RemoveAll(filepath.Join(dir, "log-000000000002")))
	if _, err := sdk.Open(t.Context(), cfg); !errors.Is(err, eventstore.ErrGap) {
		t.Errorf("open: %v, want %v", err, eventstore.ErrGap)
	}
}

func TestASpoolHasOneOwner(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	e := open(t, config(g, dir))
	if _, err := sdk.Open(t.Context(), config(g, dir)); !errors.Is(err, seglog.ErrInUse) {
		t.Errorf("a second open: %v, want %v", err, seglog.ErrInUse)
	}
	must(t, e.Close())
	open(t, config(g, dir))
}

func TestASpoolIsOfOneNetwork(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	e := open(t, config(g, dir))
	must(t, e.Emit(t.Context(), 1, named("one")))
	must(t, e.Close())

	other := newGateway(t)
	other.id.ID = domain.NetworkID{9}
	e = open(t, config(other, dir))
	if err := e.Deliver(t.Context()); !errors.Is(err, sdk.ErrOtherNetwork) || other.requests != 0 {
		t.Errorf("deliver elsewhere: %v after %d requests, want %v", err, other.requests, sdk.ErrOtherNetwork)
	}
	must(t, e.Close())
	cfg := config(g, dir)
	cfg.Network = other.id
	if _, err := sdk.Open(t.Context(), cfg); !errors.Is(err, sdk.ErrOtherNetwork) {
		t.Errorf("open as another: %v, want %v", err, sdk.ErrOtherNetwork)
	}
}

func TestOneCanEmitWhileTheGatewayIsAwayIfTheNetworkIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		for range 100 {
			g.trouble(down)
		}
		fresh := open(t, config(g, t.TempDir()))
		if err := fresh.Emit(t.Context(), 1, named("one")); !errors.Is(err, sdk.ErrUnreachable) {
			t.Errorf("emit in a network that nobody knows: %v, want %v", err, sdk.ErrUnreachable)
		}
		cfg := config(g, t.TempDir())
		cfg.Network = network
		e := open(t, cfg)
		must(t, e.Emit(t.Context(), 1, named("one")))
		must(t, e.Close())
		cfg.Network = sdk.Network{}
		e = open(t, cfg) // the spool remembers
		must(t, e.Emit(t.Context(), 1, named("two")))
		if e.Waiting() != 2 {
			t.Errorf("%d reports wait, want 2", e.Waiting())
		}
	})
}

func TestWhatCanNotBeAReportIsNotTaken(t *testing.T) {
	g := newGateway(t)
	e := open(t, config(g, t.TempDir()))
	for name, err := range map[string]error{
		"no such shard":      e.Emit(t.Context(), 5, named("one")),
		"a shard below zero": e.Emit(t.Context(), -1, named("one")),
		"half a claim":       e.Emit(t.Context(), 1, named("one"), &v1.Claim{}),
		"a wrong claim":      e.Emit(t.Context(), 1, named("%s", strings.Repeat("long", 1000))),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if e.Waiting() != 0 {
		t.Errorf("%d reports wait", e.Waiting())
	}
}

func TestAnUnusableConfigurationIsRefused(t *testing.T) {
	for name, change := range map[string]func(*sdk.Config){
		"no key":         func(c *sdk.Config) { c.Key = nil },
		"no gateway":     func(c *sdk.Config) { c.Gateway = nil },
		"no spool":       func(c *sdk.Config) { c.SpoolDir = "" },
		"a time below 0": func(c *sdk.Config) { c.Linger = -1 },
	} {
		cfg := config(newGateway(t), t.TempDir())
		change(&cfg)
		if _, err := sdk.Open(t.Context(), cfg); !errors.Is(err, sdk.ErrConfig) {
			t.Errorf("%s: %v, want %v", name, err, sdk.ErrConfig)
		}
	}
	for _, address := range []string{"", "gateway", "ftp://gateway", "http://"} {
		if _, err := sdk.NewHTTP(address, nil); !errors.Is(err, sdk.ErrConfig) {
			t.Errorf("gateway %q: %v, want %v", address, err, sdk.ErrConfig)
		}
	}
}

func TestADamagedSpoolIsNotOpened(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"cursor":      func(dir string) error { return os.WriteFile(filepath.Join(dir, "cursor"), []byte("{}"), 0o600) },
		"cursor text": func(dir string) error { return os.WriteFile(filepath.Join(dir, "cursor"), []byte("x"), 0o600) },
		"log gone":    func(dir string) error { return os.RemoveAll(filepath.Join(dir, "log-000000000001")) },
	} {
		g := newGateway(t)
		dir := t.TempDir()
		e := open(t, config(g, dir))
		must(t, e.Emit(t.Context(), 1, named("one")))
		must(t, e.Deliver(t.Context()))
		must(t, e.Close())
		must(t, damage(dir))
		if _, err := sdk.Open(t.Context(), config(g, dir)); !errors.Is(err, eventstore.ErrCorrupt) && !errors.Is(err, eventstore.ErrGap) {
			t.Errorf("%s: open: %v", name, err)
		}
	}
}

func TestCloseKeepsWhatWasAdded(t *testing.T) {
	g := newGateway(t)
	dir := t.TempDir()
	e := open(t, config(g, dir))
	must(t, e.Add(t.Context(), 1, named("one")))
	must(t, e.Close())
	if n := open(t, config(g, dir)).Waiting(); n != 1 {
		t.Errorf("%d reports wait, want 1", n)
	}
}

func TestAClosedEmitterTakesNothing(t *testing.T) {
	e := open(t, config(newGateway(t), t.TempDir()))
	must(t, e.Emit(t.Context(), 1, named("one")))
	must(t, e.Close())
	for what, err := range map[string]error{
		"emit": e.Emit(t.Context(), 1, named("two")), "flush": e.Flush(t.Context()), "deliver": e.Deliver(t.Context()),
	} {
		if err == nil {
			t.Errorf("%s after close works", what)
		}
	}
}
