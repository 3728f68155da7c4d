package auditor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

const program = "a program"

// power is what an audit runs on: after so many reads it is gone.
type power struct {
	left atomic.Int64
	cut  context.CancelFunc
}

// powered is a log that is read on it, a few records at a time.
type powered struct {
	eventstore.Reader
	power *power
	most  int
}

func (l powered) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	if l.power.left.Add(-1) < 0 {
		l.power.cut()
		return nil, ctx.Err()
	}
	return l.Reader.Read(ctx, shard, from, min(limit, l.most))
}

// runFor audits until so many reads were made, and saves often. The error is the context's where they were too few.
func runFor(t rig.Test, cfg auditor.Config, dir string, reads int64) (auditor.Report, error) {
	t.Helper()
	ctx, cut := context.WithCancel(context.Background())
	defer cut()
	p := &power{cut: cut}
	p.left.Store(reads)
	cfg.Intake, cfg.Ledger = powered{cfg.Intake, p, 20}, powered{cfg.Ledger, p, 20}
	var err error
	if cfg.Saved, err = auditor.OpenSaved(dir, program); err != nil {
		return auditor.Report{}, err
	}
	auditor.SaveEvery(cfg.Saved, 60)
	return auditor.Audit(ctx, cfg)
}

// written is a report, but for what it says of earlier runs.
func written(t rig.Test, r auditor.Report) string {
	t.Helper()
	r.Resumed = nil
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(raw)
}

// TestAnAuditThatIsInterruptedAnywhereComesToTheSameReport interrupts audits again and again, of a history as it was and of
// one with offences.
func TestAnAuditThatIsInterruptedAnywhereComesToTheSameReport(t *testing.T) {
	w := lived(t, rig.Options{Seed: 31, Judged: true}, 40)
	honest, forged := config(w), config(w)
	ledger := copyOf(t, w.Ledger)
	at := entryWith(t, ledger, busy(ledger), hasFact((*v1.Fact).GetJobCompleted))
	ledger.edit(t, at, func(e *v1.Entry) { e.GetAnswer().Facts[0].GetJobCompleted().ChargeNano++ })
	forged.Ledger = ledger

	otherwise := earned(t, 12)
	batch := otherwise.NextBatch()
	batch.LogRoots[1] = make([]byte, 32)
	commitment := settlement.CommitmentOf(batch, settlement.Policy{ThresholdNano: 1000, MaxPayees: 100})
	batch.Commitment = commitment[:]
	otherwise.SealThis(batch)
	otherwise.Fold()
	for name, c := range map[string]struct {
		cfg auditor.Config
		w   *rig.World
	}{"as it was": {honest, w}, "forged": {forged, w}, "a batch with another root": {config(otherwise), otherwise}} {
		t.Run(name, func(t *testing.T) {
			cfg, w := c.cfg, c.w
			want := written(t, audit(t, cfg))
			for seed := range uint64(6) {
				lots := rand.New(rand.NewPCG(31, seed))
				dir := t.TempDir()
				for run := int64(1); ; run++ {
					cfg.Chain = w.Vault.History()
					r, err := runFor(t, cfg, dir, run*lots.Int64N(200)) // some run is long enough
					if errors.Is(err, context.Canceled) {
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if have := written(t, r); have != want {
						t.Fatalf("seed %d: after %d runs the report is\n%s\nwant\n%s", seed, run, have, want)
					}
					t.Logf("seed %d: %d runs, the last took over %+v", seed, run, r.Resumed)
					break
				}
			}
		})
	}
}

func TestAReportSaysWhatItTookFromAnEarlierRun(t *testing.T) {
	w := lived(t, rig.Options{Seed: 32}, 40)
	dir := t.TempDir()
	if r, err := runFor(t, config(w), dir, 1<<40); err != nil || r.Resumed != nil {
		t.Fatalf("the first run took over %+v, %v", r.Resumed, err)
	}
	r, err := runFor(t, config(w), dir, 1<<40)
	if err != nil || r.Resumed == nil || !r.Resumed.Batches || len(r.Resumed.Shards) != w.Ledger.Shards() {
		t.Fatalf("the second run took over %+v, %v", r.Resumed, err)
	}
	if page := string(htmlOf(t, r)); !strings.Contains(page, "Taken from an earlier run") || !strings.Contains(page, r.Resumed.Shards[1].Head.String()) {
		t.Error("the page does not say what was taken over")
	}
	for _, shard := range r.Resumed.Shards {
		if end := w.Ends()[shard.Shard]; shard.Entries != end {
			t.Errorf("of shard %d it took %d entries, want %d", shard.Shard, shard.Entries, end)
		}
	}
}

// TestAnAuditGoesToTheCutThatItBeganWith lets the world go on after an audit was interrupted: jobs, a batch, and a head that
// is published of more than the audit looks at.
func TestAnAuditGoesToTheCutThatItBeganWith(t *testing.T) {
	w := lived(t, rig.Options{Seed: 38}, 60)
	want := audit(t, config(w))
	dir, _ := interrupted(t, w)
	w.Live(20)
	w.Work()
	w.Mature()
	w.Work()
	if w.Settle() == nil {
		t.Fatal("nobody is owed anything")
	}
	cfg := config(w)
	cfg.Published = &auditor.Published{}
	for shard, end := range w.Ends() {
		tree := tlog.NewGrowing()
		if err := eventstore.Each(t.Context(), w.Ledger, domain.Shard(shard), 0, end, func(r eventstore.Record) error { return tree.Append(r.Value) }); err != nil {
			t.Fatal(err)
		}
		head, err := tree.Head()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Published.Told = append(cfg.Published.Told, auditor.ToldHead{From: "a manifest", Shard: domain.Shard(shard), Head: head})
	}
	r, err := runFor(t, cfg, dir, 1<<40)
	if err != nil || r.Resumed == nil || r.Verdict != auditor.Pass {
		t.Fatalf("%v:\n%s", err, text(t, r))
	}
	if !slices.Equal(r.Shards, want.Shards) || len(r.Batches) != len(want.Batches) {
		t.Errorf("it looked at\n%+v\nwant\n%+v", r.Shards, want.Shards)
	}
}

// TestTablesThatWereFoldedBeforeAreFoldedOn keeps what an audit folds, and has the next one find it where it was left, and
// then too far, because the live tables were put back.
func TestTablesThatWereFoldedBeforeAreFoldedOn(t *testing.T) {
	w := lived(t, rig.Options{Seed: 39}, 30)
	middle := w.Ends()
	again := projections.NewMemStore()
	cfg, dir := config(w), t.TempDir()
	cfg.Scratch = func(context.Context) (projections.Store, func() error, error) {
		return again, func() error { return nil }, nil
	}
	folded := func(store projections.Store) int64 {
		cfg.Store, cfg.Chain = store, w.Vault.History()
		r, err := runFor(t, cfg, dir, 1<<40)
		if err != nil || r.Verdict != auditor.Pass {
			t.Fatalf("%v:\n%s", err, text(t, r))
		}
		if r.Resumed == nil {
			return 0
		}
		return r.Resumed.Folded
	}
	if n := folded(w.Store); n != 0 {
		t.Fatalf("the first run found %d entries folded", n)
	}
	w.Live(20)
	w.Work()
	w.Fold()
	var sum int64
	for _, end := range middle {
		sum += int64(end)
	}
	if n := folded(w.Store); n != sum {
		t.Errorf("%d entries were folded, want %d", n, sum)
	}
	back := projections.NewMemStore()
	if err := projections.FoldTo(t.Context(), w.Ledger, back, middle, projections.All()...); err != nil {
		t.Fatal(err)
	}
	folded(back)
}

// interrupted is an audit of a world that did not come to its end, and how far it came in the busiest shard.
func interrupted(t *testing.T, w *rig.World) (dir string, reached domain.Position) {
	t.Helper()
	for reads := int64(20); ; reads += 5 {
		dir = t.TempDir()
		if _, err := runFor(t, config(w), dir, reads); !errors.Is(err, context.Canceled) {
			t.Fatalf("the audit was not interrupted where it should be: %v", err)
		}
		reached.Shard = busy(copyOf(t, w.Ledger))
		err := auditor.ClaimChecked(dir, program, reached.Shard, func(ledger, _ *domain.Offset, _ *domain.Digest) { reached.Offset = *ledger })
		if err == nil && reached.Offset > 40 {
			return dir, reached
		}
	}
}

// TestALogThatIsOtherThanItWasIsNotTakenOver changes, below the place where an audit was interrupted, what that audit would
// not look at closely any more.
func TestALogThatIsOtherThanItWasIsNotTakenOver(t *testing.T) {
	w := lived(t, rig.Options{Seed: 33}, 60)
	from, reached := interrupted(t, w)
	answered := copyOf(t, w.Ledger).entry(t, domain.Position{Shard: reached.Shard, Offset: reached.Offset - 1}).GetAnswer().GetIntakeOffset()
	for name, change := range map[string]func(*testing.T, *auditor.Config, paper, paper){
		"the last entry that was checked": func(_ *testing.T, _ *auditor.Config, _, ledger paper) {
			flipBit(ledger, reached.Shard, reached.Offset-1)
		},
		"an entry in the middle, that still makes sense": func(t *testing.T, _ *auditor.Config, _, ledger paper) {
			at := ledger.find(t, reached.Shard, 0, hasFact((*v1.Fact).GetJobCompleted))
			ledger.edit(t, at, func(e *v1.Entry) { e.GetAnswer().Facts[0].GetJobCompleted().AdjustedTokens++ })
		},
		"the last intake record that was answered": func(_ *testing.T, _ *auditor.Config, intake, _ paper) {
			flipBit(intake, reached.Shard, domain.Offset(answered))
		},
		"the time of an intake record": func(_ *testing.T, _ *auditor.Config, intake, _ paper) {
			record := &intake[reached.Shard][answered/2]
			record.Time = record.Time.Add(time.Millisecond)
		},
		"an entry is missing": func(_ *testing.T, _ *auditor.Config, _, ledger paper) {
			ledger.remove(domain.Position{Shard: reached.Shard, Offset: reached.Offset / 2})
		},
		"the ledger is shorter": func(_ *testing.T, _ *auditor.Config, _, ledger paper) {
			ledger[reached.Shard] = ledger[reached.Shard][:reached.Offset]
		},
		"the genesis that is wanted": func(_ *testing.T, cfg *auditor.Config, _, _ paper) { cfg.Genesis = nil },
		"the ledger is of another network": func(t *testing.T, cfg *auditor.Config, _, _ paper) {
			other := lived(t, rig.Options{Seed: 34}, 90)
			cfg.Intake, cfg.Ledger, cfg.Genesis = other.Intake, other.Ledger, w.Genesis
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			copyFile(t, from, dir)
			cfg := config(w)
			intake, ledger := copyOf(t, w.Intake), copyOf(t, w.Ledger)
			cfg.Intake, cfg.Ledger = intake, ledger
			change(t, &cfg, intake, ledger)
			before := stateIn(t, dir)
			if _, err := runFor(t, cfg, dir, 1<<40); !errors.Is(err, auditor.ErrOtherState) {
				t.Fatalf("it was taken over: %v", err)
			}
			if !slices.Equal(stateIn(t, dir), before) {
				t.Error("what was saved is not as it was: the next run could take it over")
			}
		})
	}
}

func flipBit(log paper, shard domain.Shard, at domain.Offset) {
	record := &log[shard][at]
	record.Value = slices.Clone(record.Value)
	record.Value[len(record.Value)/2] ^= 1
}

func stateIn(t *testing.T, dir string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "audit.json"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(to, "audit.json"), stateIn(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAStateThatWasChangedIsNotBelieved(t *testing.T) {
	w := lived(t, rig.Options{Seed: 35}, 60)
	from, reached := interrupted(t, w)
	raw := stateIn(t, from)
	refused := func(t *testing.T, dir string) {
		t.Helper()
		if _, err := runFor(t, config(w), dir, 1<<40); !errors.Is(err, auditor.ErrOtherState) {
			t.Fatalf("it was believed: %v", err)
		}
	}
	t.Run("any byte", func(t *testing.T) {
		dir := t.TempDir()
		for at := 0; at < len(raw); at += 3 {
			changed := slices.Clone(raw)
			changed[at] ^= 1
			if err := os.WriteFile(filepath.Join(dir, "audit.json"), changed, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := auditor.OpenSaved(dir, program); !errors.Is(err, auditor.ErrOtherState) {
				t.Fatalf("byte %d: %v", at, err)
			}
		}
	})
	t.Run("any end", func(t *testing.T) {
		dir := t.TempDir()
		for end := 0; end < len(raw); end += 3 {
			if err := os.WriteFile(filepath.Join(dir, "audit.json"), raw[:end], 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := auditor.OpenSaved(dir, program); !errors.Is(err, auditor.ErrOtherState) {
				t.Fatalf("cut to %d: %v", end, err)
			}
		}
	})
	for name, change := range map[string]func(ledger, intake *domain.Offset, head *domain.Digest){
		"it says that more was checked":          func(ledger, _ *domain.Offset, _ *domain.Digest) { *ledger++ },
		"it says that more was answered":         func(_, intake *domain.Offset, _ *domain.Digest) { *intake++ },
		"it says that all was checked":           func(ledger, _ *domain.Offset, _ *domain.Digest) { *ledger = w.Ends()[reached.Shard] },
		"it says that what is not there was":     func(ledger, _ *domain.Offset, _ *domain.Digest) { *ledger = 1 << 40 },
		"it says that less than nothing was":     func(ledger, _ *domain.Offset, _ *domain.Digest) { *ledger = -1 },
		"it has another head":                    func(_, _ *domain.Offset, head *domain.Digest) { head[0] ^= 1 },
		"it has less checked under the old head": func(ledger, _ *domain.Offset, _ *domain.Digest) { *ledger-- },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			copyFile(t, from, dir)
			if err := auditor.ClaimChecked(dir, program, reached.Shard, change); err != nil {
				t.Fatal(err)
			}
			refused(t, dir)
		})
	}
	t.Run("another program made it", func(t *testing.T) {
		if _, err := auditor.OpenSaved(from, "another program"); !errors.Is(err, auditor.ErrOtherState) {
			t.Fatalf("it was believed: %v", err)
		}
	})
}

// TestAForgeryBehindTheSavedPlaceIsCaught forges what comes after the place up to which an audit was taken over.
func TestAForgeryBehindTheSavedPlaceIsCaught(t *testing.T) {
	w := lived(t, rig.Options{Seed: 36}, 60)
	dir, reached := interrupted(t, w)
	ledger := copyOf(t, w.Ledger)
	at := ledger.find(t, reached.Shard, reached.Offset, hasFact((*v1.Fact).GetJobCompleted))
	ledger.edit(t, at, func(e *v1.Entry) { e.GetAnswer().Facts[0].GetJobCompleted().ChargeNano++ })
	cfg := config(w)
	cfg.Ledger = ledger
	r, err := runFor(t, cfg, dir, 1<<40)
	if err != nil || r.Resumed == nil {
		t.Fatalf("it was not taken over: %v", err)
	}
	names(t, r, auditor.Offence{Kind: auditor.ChangedEntry, Log: auditor.Ledger, At: place(at), Field: "answer.facts[0].job_completed.charge_nano"})
}

func TestAnAuditWhoseStateCannotBeSavedEnds(t *testing.T) {
	w := lived(t, rig.Options{Seed: 37}, 20)
	dir := filepath.Join(t.TempDir(), "state")
	saved, err := auditor.OpenSaved(dir, program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	cfg := config(w)
	cfg.Saved = saved
	if r, err := auditor.Audit(t.Context(), cfg); err == nil {
		t.Fatalf("nobody says that nothing was saved: %s", fmt.Sprint(r.Verdict))
	}
}
