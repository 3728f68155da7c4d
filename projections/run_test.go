package projections_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func TestARunnerFollowsTheLogAndStopsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ledger, store := projectionstest.NewLedger(t, 3), projections.NewMemStore()
		runner := projections.NewRunner(ledger, store, projections.All()...)
		ended := make(chan error, 1)
		go func() { ended <- runner.Run(ctx) }()
		ledger.Begin()
		for i := range 5 {
			ledger.Answer(domain.Shard(1+i%2), "watcher", uint64(i+1), projectionstest.Funded("acc", 100, uint64(i+1)))
			if err := runner.Await(ctx, ledger.Cut()); err != nil {
				t.Fatalf("await: %v", err)
			}
			if lag, err := projections.Lag(ctx, ledger, store, projections.All()...); err != nil || lag != 0 {
				t.Errorf("after Await the lag is %d (%v)", lag, err)
			}
			if have := balanceOf(t, store, "client/available", "acc"); have != domain.Nano(100*(i+1)) {
				t.Errorf("after %d deposits there is %d", i+1, have)
			}
		}
		synctest.Wait() // nothing to do: all goroutines are blocked, none is spinning
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the runner ended with %v", err)
		}
		if err := runner.Await(t.Context(), []domain.Offset{99, 99, 99}); !errors.Is(err, context.Canceled) {
			t.Errorf("awaiting a stopped runner gives %v, want why it stopped", err)
		}
	})
}

func balanceOf(t *testing.T, store projections.Store, kind, owner string) (amount domain.Nano) {
	t.Helper()
	err := store.View(t.Context(), func(view projections.View) error {
		for b, err := range projections.RowsOf(t.Context(), view, projections.Balances) {
			if err != nil {
				return err
			}
			if b.Kind == kind && b.Owner == projectionstest.ID[[32]byte](owner) {
				amount = b.Amount
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return amount
}

func TestTwoRunnersOnOneStoreCountNothingTwice(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(projectionstest.Context(t))
	defer stop()
	ledger, store := projectionstest.NewLedger(t, 2), projections.NewMemStore()
	ledger.Begin()
	first := projections.NewRunner(ledger, store, projections.All()...)
	second := projections.NewRunner(ledger, store, projections.All()...)
	ended := make(chan error, 2)
	for _, runner := range []*projections.Runner{first, second} {
		go func() { ended <- runner.Run(ctx) }()
	}
	for i := range 200 {
		ledger.Answer(1, "watcher", uint64(i+1), projectionstest.Funded("acc", 1, uint64(i+1)))
	}
	for _, runner := range []*projections.Runner{first, second} {
		if err := runner.Await(ctx, ledger.Cut()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a runner ended with %v", err)
		}
	}
	if have := balanceOf(t, store, "client/available", "acc"); have != 200 {
		t.Errorf("200 deposits of 1 make %d", have)
	}
}

func TestAModelThatIsBehindCatchesUpAndGoesOnWithTheOthers(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(projectionstest.Context(t))
	defer stop()
	story, store, whole := projectionstest.NewStory(t), projections.NewMemStore(), projections.NewMemStore()
	half := []domain.Offset{5, 12, 3}
	if err := projections.FoldTo(ctx, story, store, half, projections.All()...); err != nil {
		t.Fatal(err)
	}
	for _, behind := range []projections.Model{projections.Jobs, projections.Payables} {
		if err := store.Forget(ctx, behind.Table()); err != nil {
			t.Fatal(err)
		}
	}
	// One has got further in another shard than the rest: there is no foremost model at all.
	if err := projections.FoldTo(ctx, story, store, []domain.Offset{5, 12, 9}, projections.Payables); err != nil {
		t.Fatal(err)
	}
	runner := projections.NewRunner(story, store, projections.All()...)
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	if err := runner.Await(ctx, story.Cut()); err != nil {
		t.Fatal(err)
	}
	stop()
	mustBeStopped(t, <-ended)
	mustFold(t.Context(), t, story.Ledger, whole, projections.All()...)
	projectionstest.SameRows(t.Context(), t, whole, store, projections.All()...)
	err := store.View(t.Context(), func(view projections.View) error {
		_, err := projections.ReadSettlement(t.Context(), view)
		return err
	})
	if err != nil {
		t.Errorf("the models do not stand together: %v", err)
	}
}

// cutLog hides the first records of a shard, as a retention that was set by mistake would.
type cutLog struct {
	eventstore.Reader
	from domain.Offset
}

func (l cutLog) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	return l.Reader.Read(ctx, shard, max(from, l.from), limit)
}

func TestAGapInTheLogStopsTheRunnerAndNamesThePlace(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story := projectionstest.NewStory(t)
	runner := projections.NewRunner(cutLog{story, 2}, projections.NewMemStore(), projections.All()...)
	err := runner.Run(ctx)
	var entry *projections.EntryError
	if !errors.Is(err, eventstore.ErrGap) || !errors.As(err, &entry) || entry.At != (domain.Position{Shard: 0, Offset: 2}) {
		t.Errorf("the runner ended with %v, want a gap at 0/2", err)
	}
}

func TestALedgerThatLeavesAnIntakeRecordOutStopsTheRunner(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	for name, intake := range map[string]int64{"left out": 1, "answered twice": -1} {
		ledger := projectionstest.NewLedger(t, 2)
		ledger.Begin()
		ledger.Answer(1, "watcher", 1, projectionstest.Funded("acc", 1, 1))
		ledger.Write(1, &v1.Entry{Body: &v1.Entry_Answer{Answer: &v1.Answer{
			IntakeOffset: 1 + intake, IntakeDigest: projectionstest.Bytes("d"), Signer: projectionstest.Bytes("s"), Sequence: 2,
		}}})
		err := projections.FoldTo(ctx, ledger, projections.NewMemStore(), ledger.Cut(), projections.Balances)
		var entry *projections.EntryError
		if !errors.Is(err, projections.ErrOutOfOrder) || !errors.As(err, &entry) || entry.At != (domain.Position{Shard: 1, Offset: 1}) {
			t.Errorf("%s: error is %v, want ErrOutOfOrder at 1/1", name, err)
		}
	}
}

func TestAnAmountThatCannotBeStopsTheRunnerAndNamesTheEntry(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	ledger := projectionstest.NewLedger(t, 2)
	ledger.Begin()
	ledger.Answer(1, "watcher", 1, projectionstest.Funded("acc", 1<<62, 1))
	ledger.Answer(1, "watcher", 2, projectionstest.Funded("acc", 1<<62, 2))
	err := projections.FoldTo(ctx, ledger, projections.NewMemStore(), ledger.Cut(), projections.All()...)
	if !errors.Is(err, domain.ErrAmountOverflow) || !strings.Contains(err.Error(), "1/1") || !strings.Contains(err.Error(), "fold into") {
		t.Errorf("error is %v, want an overflow at 1/1 that names the model", err)
	}
}

func TestFoldToNeitherStopsShortNorGoesBack(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story, store := projectionstest.NewStory(t), projections.NewMemStore()
	beyond := story.Cut()
	beyond[1]++
	if err := projections.FoldTo(ctx, story, store, beyond, projections.Balances); !errors.Is(err, eventstore.ErrGap) {
		t.Errorf("a cut beyond the log gives %v, want ErrGap", err)
	}
	if err := projections.FoldTo(ctx, story, store, []domain.Offset{1, 1, 1}, projections.Balances); err == nil {
		t.Error("a cut behind the model is no error")
	}
	if err := projections.FoldTo(ctx, story, store, []domain.Offset{1}, projections.Balances); !errors.Is(err, eventstore.ErrNoShard) {
		t.Errorf("a cut of one shard gives %v, want ErrNoShard", err)
	}
}

// peeker is a model whose fold breaks the rule: what it asks for depends on what it finds.
var peeker = &projections.Definition[int64, projections.Network, *projections.Network]{
	Name: "peeker", Version: 1, KeyColumns: 1,
	Row: func(k int64) projections.Network { return projections.Network{Singleton: k} },
	Fold: func(_ *projections.Entry, row func(int64) *projections.Network) error {
		first := row(1)
		if first.Shards++; first.Shards > 1 {
			row(2).Shards++
		}
		return nil
	},
}

func TestAFoldThatAsksForRowsByWhatItFindsIsCaught(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story, store := projectionstest.NewStory(t), projections.NewMemStore()
	var err error
	for offset := domain.Offset(1); offset < 4 && err == nil; offset++ {
		err = projections.FoldTo(ctx, story, store, []domain.Offset{offset, 0, 0}, peeker)
	}
	if err == nil || !strings.Contains(err.Error(), "peeker") {
		t.Errorf("error is %v, want one that names the model", err)
	}
}

func TestAnIdleRunnerDoesNotReadTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ledger := projectionstest.NewLedger(t, 5)
		ledger.Begin()
		counted := &countingLog{Reader: ledger}
		runner := projections.NewRunner(counted, projections.NewMemStore(), projections.All()...)
		ended := make(chan error, 1)
		go func() { ended <- runner.Run(ctx) }()
		synctest.Wait()
		before := counted.reads.Load()
		ledger.Answer(2, "watcher", 1, projectionstest.Funded("acc", 1, 1))
		synctest.Wait()
		if reads := counted.reads.Load() - before; reads > 2*5+1 {
			t.Errorf("one entry took %d reads of 5 shards", reads)
		}
		stop()
		mustBeStopped(t, <-ended)
	})
}

type countingLog struct {
	eventstore.Reader
	reads atomic.Int64
}

func (l *countingLog) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	l.reads.Add(1)
	return l.Reader.Read(ctx, shard, from, limit)
}

func mustBeStopped(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the runner ended with %v, want the end of its context", err)
	}
}

func TestARebuiltModelHasTheSameRows(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story, store, whole := projectionstest.NewStory(t), projections.NewMemStore(), projections.NewMemStore()
	mustFold(ctx, t, story.Ledger, whole, projections.All()...)
	mustFold(ctx, t, story.Ledger, store, projections.All()...)
	for _, model := range projections.All() {
		if err := projections.Rebuild(ctx, story, store, model); err != nil {
			t.Fatalf("rebuild %s: %v", model.Table(), err)
		}
	}
	projectionstest.SameRows(ctx, t, whole, store, projections.All()...)
}

func TestAModelThatIsForgottenUnderARunningRunnerComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		story, store, whole := projectionstest.NewStory(t), projections.NewMemStore(), projections.NewMemStore()
		runner := projections.NewRunner(story, store, projections.All()...)
		ended := make(chan error, 1)
		go func() { ended <- runner.Run(ctx) }()
		synctest.Wait()
		if err := store.Forget(ctx, projections.Jobs.Table()); err != nil {
			t.Fatal(err)
		}
		story.Answer(1, "watcher", 1000, projectionstest.Funded("acc-tg", 1, 1000))
		if err := runner.Await(ctx, story.Cut()); err != nil {
			t.Fatal(err)
		}
		stop()
		mustBeStopped(t, <-ended)
		mustFold(t.Context(), t, story.Ledger, whole, projections.All()...)
		projectionstest.SameRows(t.Context(), t, whole, store, projections.All()...)
	})
}

func TestALedgerThatWasPutBackStopsTheRunner(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story, store := projectionstest.NewStory(t), projections.NewMemStore()
	mustFold(ctx, t, story.Ledger, store, projections.All()...)
	shorter := projectionstest.NewLedger(t, projectionstest.StoryShards)
	shorter.Begin()
	if err := projections.NewRunner(shorter, store, projections.All()...).Run(ctx); !errors.Is(err, eventstore.ErrGap) {
		t.Errorf("the runner ended with %v, want ErrGap", err)
	}
}
