package sdk_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// wire is how one life of a worker reaches the gateway. It breaks as it is told to.
type wire struct {
	*gateway
	mu    sync.Mutex
	dead  bool          // nobody answers
	tries int           // of Network and Submit
	fate  []fate        // of the next Submits
	cut   chan struct{} // closed when the worker has crashed: nothing it still sends arrives
}

// fate is what happens to one Submit.
type fate struct {
	lost, unheard bool          // on the way there, or the answer
	slow          time.Duration // how long the answer takes
}

func newWire(g *gateway) *wire { return &wire{gateway: g, cut: make(chan struct{})} }

func (w *wire) try() (dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tries++
	select {
	case <-w.cut:
		return true
	default:
		return w.dead
	}
}

// Network implements sdk.Gateway.
func (w *wire) Network(context.Context) (domain.NetworkID, int, error) {
	if w.try() {
		return domain.NetworkID{}, 0, errDown
	}
	return w.id.ID, w.id.DataShards, nil
}

// Submit implements sdk.Gateway.
func (w *wire) Submit(ctx context.Context, reports [][]byte) ([]*v1.Receipt, error) {
	if w.try() {
		return nil, errDown
	}
	w.mu.Lock()
	var now fate
	if len(w.fate) > 0 {
		now, w.fate = w.fate[0], w.fate[1:]
	}
	w.mu.Unlock()
	if now.lost {
		return nil, errDown
	}
	if size := len(bytes.Join(reports, nil)); len(reports) > sdk.MaxReports || size > sdk.MaxBytes || size == 0 {
		w.t.Errorf("%d reports of %d bytes at once", len(reports), size)
	}
	receipts := make([]*v1.Receipt, len(reports))
	w.gateway.mu.Lock()
	for i, report := range reports {
		receipts[i] = w.judge(report)
	}
	w.gateway.mu.Unlock()
	if now.slow > 0 {
		select {
		case <-time.After(now.slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-w.cut:
			return nil, errDown
		}
	}
	if now.unheard {
		return nil, errDown
	}
	return receipts, nil
}

func (w *wire) tried() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tries
}

func (w *wire) set(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = dead
}

// life is one life of a worker: its emitter, and its Run.
type life struct {
	*sdk.Emitter
	wire  *wire
	dir   string
	stop  context.CancelFunc
	ended chan error
	over  sync.Once
}

// live begins a life on a spool.
func live(t failer, w *wire, cfg sdk.Config) *life {
	t.Helper()
	cfg.Key, cfg.Gateway, cfg.Network = annsKey(), w, network
	e, err := sdk.Open(context.Background(), cfg)
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	l := &life{Emitter: e, wire: w, dir: cfg.SpoolDir, stop: stop, ended: make(chan error, 1)}
	go func() { l.ended <- e.Run(ctx) }()
	return l
}

// end ends a life as it should be ended.
func (l *life) end(t failer) {
	t.Helper()
	l.over.Do(func() {
		l.stop()
		if err := <-l.ended; err != nil {
			t.Errorf("run: %v", err)
		}
		must(t, l.Close())
	})
}

// crash ends a life as kill -9 does, and returns the spool that it leaves. It works in a bubble only: nobody
// writes while the photograph is taken.
func (l *life) crash(t testing.TB) (spool string) {
	t.Helper()
	synctest.Wait()
	spool = photograph(t, l.dir)
	close(l.wire.cut)
	l.end(t)
	return spool
}

// await lets time pass until something is so.
func await(t failer, most time.Duration, what string, is func() bool) {
	t.Helper()
	for begun := time.Now(); !is(); <-time.After(50 * time.Millisecond) {
		if time.Since(begun) > most {
			t.Fatalf("after %v: not %s", most, what)
		}
	}
}

func sizeOf(t testing.TB, dir string) (size int64) {
	t.Helper()
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		size += info.Size()
		return err
	}))
	return size
}

func heapBytes() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// The worker emits all the hour, is restarted every ten minutes, and crashes every ten minutes between.
func TestAWorkerWithADeadNetworkForAnHourLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			atOnce     = 50
			mostTries  = 3600/5 + 200 // a pause is five seconds at least, but for the first of each life
			spoolBytes = 64 << 20
			heapGrowth = 4 << 20
		)
		g := newGateway(t)
		var (
			want, have []string
			troubles   atomic.Int64
			tries      int
		)
		cfg := sdk.Config{
			SpoolDir: t.TempDir(), MaxSpoolBytes: spoolBytes, Entropy: rand.NewChaCha8([32]byte{1}),
			Trouble: func(error) { troubles.Add(1) },
		}
		w := newWire(g)
		w.set(true)
		l := live(t, w, cfg)
		for second := 0; second < 3600; second += 2 {
			for i := range atOnce {
				want = append(want, fmt.Sprintf("%d.%d", second, i))
			}
		}
		before := heapBytes()
		for second := 0; second < 3600; second += 2 {
			names := want[second/2*atOnce:][:atOnce]
			for _, name := range names { // it gathers for a moment, and shares signatures and syncs
				must(t, l.Add(t.Context(), 1, fat(name)))
			}
			<-time.After(time.Second)
			must(t, l.Emit(t.Context(), 2, fat(names[0]), fat(names[1])))
			<-time.After(time.Second)
			if second%300 != 198 {
				continue
			}
			tries += w.tried()
			w = newWire(g)
			w.set(true)
			if second%600 == 498 {
				cfg.SpoolDir = l.crash(t)
			} else {
				l.end(t)
			}
			l = live(t, w, cfg)
		}
		waited, onDisk, grown := l.Waiting(), sizeOf(t, cfg.SpoolDir), heapBytes()-before
		if tries += w.tried(); tries > mostTries || troubles.Load() < 300 || len(g.claims()) > 0 {
			t.Errorf("%d tries, %d troubles, and claims arrived in the dead hour in %d shards", tries, troubles.Load(), len(g.claims()))
		}
		if grown > heapGrowth || onDisk < 2*heapGrowth {
			t.Errorf("the heap has grown by %d bytes, the spool to %d", grown, onDisk)
		}
		w.set(false)
		back := time.Now()
		await(t, time.Minute, "all delivered", func() bool { return l.Waiting() == 0 })
		t.Logf("%d reports of %d MB waited, the heap grew by %d kB, %d tries; all delivered %v after the network was back",
			waited, onDisk>>20, grown>>10, tries, time.Since(back))
		l.end(t)
		arrived := g.claims()
		for _, name := range arrived[1] {
			have = append(have, slim(name))
		}
		if !slices.Equal(have, want) {
			t.Errorf("%d claims arrived of %d", len(have), len(want))
		}
		if n := len(arrived[2]); n != 3600 || slim(arrived[2][n-1]) != "3598.1" {
			t.Errorf("%d claims arrived in shard 2", n)
		}
	})
}

// fat is a claim of a job event's size.
func fat(name string) *v1.Claim { return named("%s %s", name, strings.Repeat("x", 80)) }

func slim(name string) string {
	name, _, _ = strings.Cut(name, " ")
	return name
}

// A worker's lives, drawn by lot: it emits, waits, is restarted, crashes; the network dies and comes back,
// loses requests and answers, and is slow; for a while the gateway does not know the key. Whatever Emit
// took is then at the gateway or in refused.jsonl, once, in order.
func TestWhateverHappensAllThatWasEmittedIsAnsweredOnceAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bubble := struct{ rapid.TB }{t} // a bubble has no deadline, and rapid would ask a *testing.T
		rapid.Check(bubble, func(r *rapid.T) { (&worker{T: r, tb: t}).liveOn() })
	})
}

type worker struct {
	*rapid.T
	tb     *testing.T // for folders
	g      *gateway
	cfg    sdk.Config
	life   *life
	said   int           // claims, each named by its number
	sure   map[int]bool  // those that are durable
	unsure []int         // added, and not flushed yet
	seen   []sdk.Receipt // of this life
}

func (w *worker) liveOn() {
	w.g, w.sure = newGateway(w.tb), map[int]bool{}
	w.cfg = sdk.Config{
		SpoolDir: filepath.Join(w.tb.TempDir(), "spool"), MaxSpoolBytes: int64(rapid.SampledFrom([]int{3_000, 20_000, 1 << 20}).Draw(w.T, "spool bytes")),
		Entropy:  rand.NewChaCha8([32]byte{}),
		Receipts: func(r sdk.Receipt) { w.seen = append(w.seen, r) },
	}
	w.begin()
	defer func() { w.life.end(w) }() // though the property failed: the bubble waits for it
	w.Repeat(map[string]func(*rapid.T){
		"add":   func(r *rapid.T) { w.say(r, false) },
		"emit":  func(r *rapid.T) { w.say(r, true) },
		"flush": func(*rapid.T) { w.flush() },
		"wait": func(r *rapid.T) {
			<-time.After(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 20 * time.Second}).Draw(r, "wait"))
		},
		"network": func(r *rapid.T) { w.life.wire.set(rapid.Bool().Draw(r, "dead")) },
		"trouble": func(r *rapid.T) {
			f := fate{
				lost: rapid.Bool().Draw(r, "lost"), unheard: rapid.Bool().Draw(r, "unheard"),
				slow: rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(r, "slow"),
			}
			w.life.wire.mu.Lock()
			defer w.life.wire.mu.Unlock()
			w.life.wire.fate = append(w.life.wire.fate, f)
		},
		"key": func(r *rapid.T) {
			w.g.mu.Lock()
			defer w.g.mu.Unlock()
			delete(w.g.refuse, signing.KeyOf(annsKey()).String())
			if rapid.Bool().Draw(r, "unknown") {
				w.g.refuse[signing.KeyOf(annsKey()).String()] = "unknown"
			}
		},
		"restart": func(*rapid.T) {
			w.life.end(w)
			w.isSure()
			w.begin()
		},
		"crash": func(*rapid.T) {
			w.cfg.SpoolDir = w.life.crash(w.tb)
			w.unsure = nil // it may be there or not
			w.begin()
		},
	})
	w.life.wire.set(false)
	w.life.wire.mu.Lock()
	w.life.wire.fate = nil
	w.life.wire.mu.Unlock()
	await(w, 5*time.Minute, "all answered", func() bool { return w.life.Waiting() == 0 })
	must(w, w.life.Deliver(context.Background()))
	w.isSure()
	w.life.end(w)
	w.check()
}

func (w *worker) begin() {
	w.seen = nil
	w.life = live(w, newWire(w.g), w.cfg)
}

func (w *worker) say(r *rapid.T, durable bool) {
	var claims []*v1.Claim
	shard := domain.Shard(rapid.IntRange(0, 2).Draw(r, "shard"))
	first := w.said
	for range rapid.IntRange(1, 100).Draw(r, "claims") {
		claims = append(claims, named("%d", w.said))
		w.said++
	}
	err := w.life.TryAdd(context.Background(), shard, claims...)
	switch {
	case errors.Is(err, sdk.ErrSpoolFull) || errors.Is(err, sdk.ErrTooLarge):
		w.said = first
		return
	case err != nil:
		w.Fatalf("add: %v", err)
	}
	for n := first; n < w.said; n++ {
		w.unsure = append(w.unsure, n)
	}
	if durable {
		w.flush()
	}
}

func (w *worker) flush() {
	must(w, w.life.Flush(context.Background()))
	w.isSure()
}

func (w *worker) isSure() {
	for _, n := range w.unsure {
		w.sure[n] = true
	}
	w.unsure = nil
}

func (w *worker) check() {
	for i := 1; i < len(w.seen); i++ {
		if w.seen[i].Sequence <= w.seen[i-1].Sequence {
			w.Errorf("the receipt of report %d comes after that of %d", w.seen[i].Sequence, w.seen[i-1].Sequence)
		}
	}
	taken, lost := map[string]int{}, map[string]int{}
	for shard, names := range w.g.claims() {
		w.inOrder(fmt.Sprintf("shard %d", shard), names)
		for _, name := range names {
			taken[name]++
		}
	}
	refused := map[uint32][]string{}
	for _, line := range lines(w.tb, w.life.RefusedFile()) {
		var kept struct {
			Report string `json:"report"`
		}
		must(w, json.Unmarshal([]byte(line), &kept))
		record, err := hex.DecodeString(kept.Report)
		must(w, err)
		signed, report := &v1.SignedReport{}, &v1.Report{}
		must(w, errors.Join(v1.Decode(record, signed), v1.Decode(signed.Report, report)))
		for _, c := range report.Claims {
			refused[report.Shard] = append(refused[report.Shard], c.GetListModel().Name)
			lost[c.GetListModel().Name]++
		}
	}
	for shard, names := range refused {
		w.inOrder(fmt.Sprintf("refused of shard %d", shard), names)
	}
	// One that was taken, and of which the answer was lost, may be refused when it comes again: the gateway
	// does not look at what an unknown key says, not even for a copy.
	for n := range w.sure {
		if name := fmt.Sprint(n); taken[name]+lost[name] == 0 {
			w.Errorf("claim %d was emitted, and is not answered", n)
		}
	}
	for n := range w.said {
		if name := fmt.Sprint(n); taken[name] > 1 || lost[name] > 1 {
			w.Errorf("claim %d was taken %d times, and refused %d times", n, taken[name], lost[name])
		}
	}
}

func (w *worker) inOrder(where string, names []string) {
	last := -1
	for _, name := range names {
		var n int
		if _, err := fmt.Sscan(name, &n); err != nil || n <= last {
			w.Errorf("%s: claim %s after %d", where, name, last)
		}
		last = n
	}
}
