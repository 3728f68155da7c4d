package auditor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

// loud lets a world live in a goroutine of its own: what goes wrong there panics.
type loud struct{}

func (loud) Helper() {}

func (loud) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func liveOn(w *rig.World) {
	w.Live(20)
	w.Work()
	w.Fold()
	w.Mature()
	w.Work()
	w.Settle()
}

func TestAnAuditPassesWhileEverybodyGoesOn(t *testing.T) {
	w := rig.New(loud{}, rig.Options{Seed: 51})
	ctx, stop := context.WithCancel(t.Context())
	var living sync.WaitGroup
	grown := make(chan struct{}, 1)
	living.Go(func() {
		for ctx.Err() == nil {
			liveOn(w) //nolint:contextcheck // a world has its own
			select {
			case grown <- struct{}{}:
			default:
			}
		}
	})
	defer living.Wait()
	defer stop()
	for range 5 {
		<-grown
		r := audit(t, config(w))
		if r.Verdict != auditor.Pass || len(r.Batches) == 0 {
			t.Fatalf("while the world lives:\n%s", text(t, r))
		}
	}
}

// growing is a ledger whose control was shorter when it was first asked for its end.
type growing struct {
	eventstore.Reader
	was   domain.Offset
	asked bool
}

func (g *growing) End(ctx context.Context, shard domain.Shard) (domain.Offset, error) {
	if shard == domain.Control && !g.asked {
		g.asked = true
		return g.was, nil
	}
	return g.Reader.End(ctx, shard)
}

func TestWhatIsYoungerThanTheAuditIsLeftToTheNext(t *testing.T) {
	w := lived(t, rig.Options{Seed: 60}, 60)
	all := audit(t, config(w))
	for was := all.Shards[0].End; was > domain.Offset(all.Batches[1].Sealed.Offset); was-- {
		cfg := config(w)
		cfg.Ledger = &growing{Reader: w.Ledger, was: was}
		r := audit(t, cfg)
		if r.Verdict != auditor.Pass || r.Shards[0].End != was {
			t.Fatalf("control had %d entries when the audit began:\n%s", was, text(t, r))
		}
		// After the batch everybody was told of it, and what was said since is younger.
		if shard := r.Shards[busy(copyOf(t, w.Ledger))]; was < all.Shards[0].End && (shard.End >= all.Shards[shard.Shard].End || shard.Pending == 0) {
			t.Fatalf("control had %d entries, shard %d still goes to %d", was, shard.Shard, shard.End)
		}
	}
}

func TestAnAuditEndsWithItsContext(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 52})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := auditor.Audit(ctx, config(w)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestProgressComesToTheTotal(t *testing.T) {
	w := lived(t, rig.Options{Seed: 53, DataShards: 4}, 20)
	cfg := config(w)
	last := map[string][2]int64{}
	cfg.Progress = func(done, total int64, what string) { last[what] = [2]int64{done, total} }
	audit(t, cfg)
	entries := int64(0)
	for _, end := range w.Ends() {
		entries += int64(end)
	}
	if got := last["making the ledger again"]; got != [2]int64{entries, entries} {
		t.Errorf("entries: %d of %d, want %d", got[0], got[1], entries)
	}
	for what, got := range last {
		if got[1] > 0 && got[0] != got[1] {
			t.Errorf("%s: %d of %d", what, got[0], got[1])
		}
	}
}

// failing is a log that can't be read from a place on.
type failing struct {
	eventstore.Reader
	from domain.Offset
	err  error
}

func (f failing) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	if shard != domain.Control && from >= f.from {
		return nil, f.err
	}
	return f.Reader.Read(ctx, shard, from, limit)
}

var errDisk = errors.New("disk is away")

func TestALogThatCannotBeReadIsNoOffenceUnlessItIsDamaged(t *testing.T) {
	w := lived(t, rig.Options{Seed: 54}, 20)
	for _, log := range []string{"intake", "ledger"} {
		for err, want := range map[error]auditor.Verdict{
			errDisk: auditor.Incomplete, eventstore.ErrGap: auditor.Fail, eventstore.ErrCorrupt: auditor.Fail,
		} {
			cfg := config(w)
			cfg.Store = nil
			if log == "intake" {
				cfg.Intake = failing{w.Intake, 0, err}
			} else {
				cfg.Ledger = failing{w.Ledger, 0, err}
			}
			r := audit(t, cfg)
			if r.Verdict != want || r.Money != nil {
				t.Errorf("%s gives %v: %s, want %s:\n%s", log, err, r.Verdict, want, text(t, r))
			}
			if want == auditor.Fail && r.Offences[0].Kind != auditor.UnreadableLog {
				t.Errorf("%s gives %v: named is %s", log, err, r.Offences[0])
			}
		}
	}
}

func TestAnAuditWithoutEntropyIsIncomplete(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 55})
	cfg := config(w)
	cfg.Entropy = io.LimitReader(cfg.Entropy, 0)
	if r := audit(t, cfg); r.Verdict != auditor.Incomplete {
		t.Fatalf("no signature can be checked:\n%s", text(t, r))
	}
}

func TestLogsThatCouldNotBeOpenedAreNeverAPass(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 56})
	cfg := config(w)
	cfg.Intake, cfg.Ledger = nil, nil
	if r := audit(t, cfg); r.Verdict != auditor.Incomplete {
		t.Fatalf("without logs:\n%s", text(t, r))
	}
	cfg.Files = func(context.Context) ([]auditor.Folder, error) { return nil, errDisk }
	if r := audit(t, cfg); r.Verdict != auditor.Incomplete {
		t.Fatalf("without files:\n%s", text(t, r))
	}
}

func TestAnotherNetworksLedgerIsNamed(t *testing.T) {
	w, other := rig.New(t, rig.Options{Seed: 57}), rig.New(t, rig.Options{Seed: 58})
	cfg := config(w)
	cfg.Genesis = other.Genesis
	names(t, audit(t, cfg), auditor.Offence{Kind: auditor.ChangedEntry, Log: auditor.Ledger, At: &auditor.Place{}, Field: "genesis.operator"})
}

func TestManyOffencesAreCountedAndFewAreListed(t *testing.T) {
	w := lived(t, rig.Options{Seed: 59}, 20)
	rewrite(t, w.Store, projections.Journal.Table(), func(projections.View) (rows []projections.Row) {
		for fact := range int64(500) {
			rows = append(rows, added(100+fact))
		}
		return rows
	})
	forged := copyOf(t, w.Ledger)
	at := entryWith(t, forged, busy(forged), anyAnswer)
	forged.edit(t, at, func(e *v1.Entry) { e.AtMs++ })
	cfg := config(w)
	cfg.Ledger = forged
	r := audit(t, cfg)
	total := func(kind auditor.Kind) int64 {
		at := slices.IndexFunc(r.Totals, func(k auditor.KindTotal) bool { return k.Kind == kind })
		return r.Totals[at].Total
	}
	listed := 0
	for _, o := range r.Offences {
		if o.Kind == auditor.ChangedRow {
			listed++
		}
	}
	if total(auditor.ChangedRow) < 500 || listed != 20 || total(auditor.ChangedEntry) != 1 || r.Offences[0].Kind != auditor.ChangedEntry {
		t.Fatalf("%v, of rows %d are listed:\n%s", r.Totals, listed, text(t, r))
	}
}

func TestLogsOfAnotherShapeThanTheGenesisAreNamed(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 61})
	cfg := config(w)
	cfg.Intake, cfg.Ledger = append(copyOf(t, w.Intake), nil), append(copyOf(t, w.Ledger), nil)
	names(t, audit(t, cfg), auditor.Offence{Kind: auditor.ChangedEntry, Log: auditor.Ledger, At: &auditor.Place{}})
	cfg.Ledger = w.Ledger
	names(t, audit(t, cfg), auditor.Offence{Kind: auditor.UnreadableLog, Log: auditor.Intake})
}
