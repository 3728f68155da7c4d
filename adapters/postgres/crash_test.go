package postgres_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// crashModels are enough to have a commit of several tables, written once and over and over.
func crashModels() []projections.Model {
	return []projections.Model{projections.Balances, projections.Journal, projections.Jobs, projections.LogTrees}
}

const (
	beginCommit = "begin isolation level read committed"
	endCommit   = "commit"
)

func memoryOf(t *testing.T, ledger *projectionstest.Ledger, models ...projections.Model) *projections.MemStore {
	t.Helper()
	memory := projections.NewMemStore()
	if err := projections.FoldTo(projectionstest.Context(t), ledger, memory, ledger.Cut(), models...); err != nil {
		t.Fatal(err)
	}
	return memory
}

func TestACommitThatIsCutAtAnyMessageIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	ctx, models := projectionstest.Context(t), crashModels()
	story := projectionstest.NewStory(t)
	want := memoryOf(t, story.Ledger, models...)
	dsn := services.Postgres(t)
	line := newWire(t, dsn)
	store, direct := open(t, line.url), open(t, dsn)
	empty := projections.NewMemStore()
	for last := 1; ; last++ {
		inCommit, sent := false, 0
		var fired atomic.Bool
		line.onMessage(func(m message) fate {
			inCommit = inCommit || m.isQuery(beginCommit)
			if inCommit {
				sent++
			}
			if sent != last || fired.Swap(true) {
				return passes
			}
			return cut
		})
		err := projections.FoldTo(ctx, story, store, story.Cut(), models...)
		if !fired.Load() {
			if err != nil || last < 20 {
				t.Fatalf("a commit has %d messages (%v)", last-1, err)
			}
			return
		}
		if err == nil {
			t.Fatalf("cut at message %d, the commit says that it is done", last)
		}
		projectionstest.SameRows(ctx, t, empty, direct, models...)
		if err := projections.FoldTo(ctx, story, store, story.Cut(), models...); err != nil {
			t.Fatalf("after a cut at message %d: %v", last, err)
		}
		projectionstest.SameRows(ctx, t, want, direct, models...)
		for _, model := range models {
			if err := direct.Forget(ctx, model.Table()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestACommitWhoseAnswerIsLostIsKept(t *testing.T) {
	t.Parallel()
	ctx, models := projectionstest.Context(t), crashModels()
	story := projectionstest.NewStory(t)
	dsn := services.Postgres(t)
	line := newWire(t, dsn)
	store := open(t, line.url)
	line.onMessage(func(m message) fate {
		if m.isQuery(endCommit) {
			return answers
		}
		return passes
	})
	if err := projections.FoldTo(ctx, story, store, story.Cut(), models...); err == nil {
		t.Fatal("a commit that nobody has confirmed says that it is done")
	}
	direct, want := open(t, dsn), memoryOf(t, story.Ledger, models...)
	projectionstest.SameRows(ctx, t, want, direct, models...)
	line.onMessage(nil)
	if err := projections.FoldTo(ctx, story, store, story.Cut(), models...); err != nil {
		t.Fatalf("going on after it: %v", err)
	}
	projectionstest.SameRows(ctx, t, want, direct, models...)
}

func TestAServerProcessThatIsKilledInACommitLosesNothing(t *testing.T) {
	t.Parallel()
	ctx, models := projectionstest.Context(t), crashModels()
	story := projectionstest.NewStory(t)
	want := memoryOf(t, story.Ledger, models...)
	dsn := services.OwnPostgres(t)
	line := newWire(t, dsn)
	store := open(t, line.url)
	kills := 0
	kill := func() { // with -9, as the kernel does when memory runs out: the server starts again
		for _, pid := range column[int32](t, dsn, "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'") {
			if err := syscall.Kill(int(pid), syscall.SIGKILL); err != nil {
				t.Errorf("kill %d: %v", pid, err)
			}
			kills++
		}
	}
	commits := 0
	line.onMessage(func(m message) fate {
		if m.isQuery(endCommit) {
			if commits++; commits%3 != 0 { // two of three commits end like this
				kill()
			}
		}
		return passes
	})
	failures := 0
	for cut := range manyCuts(story.Cut()) {
		for {
			err := projections.FoldTo(ctx, story, store, cut, models...)
			if err == nil {
				break
			}
			if failures++; ctx.Err() != nil {
				t.Fatalf("fold to %v: %v", cut, err)
			}
		}
	}
	if kills < 4 || failures < kills {
		t.Errorf("%d kills led to %d failures", kills, failures)
	}
	line.onMessage(nil)
	projectionstest.SameRows(ctx, t, want, store, models...)
}

// manyCuts leads to a cut in a few steps.
func manyCuts(end []domain.Offset) func(yield func([]domain.Offset) bool) {
	const steps = 4
	return func(yield func([]domain.Offset) bool) {
		for step := domain.Offset(1); step <= steps; step++ {
			cut := make([]domain.Offset, len(end))
			for shard, offset := range end {
				cut[shard] = offset * step / steps
			}
			if !yield(cut) {
				return
			}
		}
	}
}

func TestAWriterThatStopsHoldsUpItsSuccessorForAWhileOnly(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	dsn := services.Postgres(t)
	line := newWire(t, dsn)
	impatient := parse(t, line.url)
	settings := impatient.Query()
	settings.Set("idle_in_transaction_session_timeout", "200ms")
	impatient.RawQuery = settings.Encode()
	stalled := open(t, impatient.String())
	successor := open(t, dsn)
	change := func(amount domain.Nano) []projections.Change {
		row := &projections.Balance{BalanceKey: projections.BalanceKey{Kind: "a"}, Amount: amount}
		return []projections.Change{{Table: projections.Balances.Table(), To: projections.Checkpoint{{Ledger: 1}}, Rows: []projections.Row{row}}}
	}
	holdsLocks, writes := make(chan struct{}), 0
	line.onMessage(func(m message) fate {
		if !m.runs("stmt_") {
			return passes
		}
		if writes++; writes != 2 { // the rows; the second one is the checkpoint
			return passes
		}
		close(holdsLocks)
		return hangs
	})
	var zombie errgroup.Group
	zombie.Go(func() error { return stalled.Commit(ctx, change(1)) })
	<-holdsLocks
	if err := successor.Commit(ctx, change(2)); err != nil {
		t.Errorf("the successor: %v", err)
	}
	if err := zombie.Wait(); err == nil {
		t.Error("the one that stopped says that it is done")
	}
	if err := stalled.Commit(ctx, change(3)); !errors.Is(err, projections.ErrConflict) {
		t.Errorf("woken up, it gets %v, want ErrConflict", err)
	}
	if have := column[int64](t, dsn, "SELECT amount_nano FROM filature.balances"); len(have) != 1 || have[0] != 2 {
		t.Errorf("the rows are %v, want the successor's", have)
	}
}

func TestAppliersThatRaceCountNothingTwice(t *testing.T) {
	t.Parallel()
	const appliers, each = 4, 25
	ctx := projectionstest.Context(t)
	dsn := services.Postgres(t)
	models := []projections.Model{projections.Balances, projections.Movements}
	key := projections.BalanceKey{Kind: "a"}
	var lost atomic.Int64
	var race errgroup.Group
	for range appliers {
		store := open(t, dsn)
		race.Go(func() error {
			for range each {
				for {
					won, err := addOne(t, store, key, models)
					if err != nil {
						return err
					}
					if won {
						break
					}
					lost.Add(1)
				}
			}
			return nil
		})
	}
	if err := race.Wait(); err != nil {
		t.Fatal(err)
	}
	if lost.Load() == 0 {
		t.Error("nobody ever lost: there was no race")
	}
	have := column[int64](t, dsn, "SELECT amount_nano FROM filature.balances UNION ALL SELECT in_nano FROM filature.movements")
	if !slices.Equal(have, []int64{appliers * each, appliers * each}) {
		t.Errorf("%d times one is %v", appliers*each, have)
	}
	if ctx.Err() != nil {
		t.Error("it took a minute")
	}
}

// addOne reads where the models stand and what they hold, and commits one more; it loses if somebody else
// did meanwhile.
func addOne(t *testing.T, store projections.Store, key projections.BalanceKey, models []projections.Model) (won bool, err error) {
	ctx := t.Context()
	var at projections.Checkpoint
	if err := store.View(ctx, func(view projections.View) (err error) {
		at, err = view.Checkpoint(ctx, models[0].Table())
		return err
	}); err != nil {
		return false, err
	}
	balance := &projections.Balance{BalanceKey: key}
	movement := &projections.Movement{MovementKey: projections.MovementKey{BalanceKey: key}}
	to := projections.Checkpoint{{Ledger: 1}}
	if len(at) > 0 {
		to[0].Ledger = at[0].Ledger + 1
	}
	changes := make([]projections.Change, len(models))
	for i, row := range []projections.Row{balance, movement} {
		if err := store.Load(ctx, models[i].Table(), []projections.Row{row}); err != nil {
			return false, err
		}
		changes[i] = projections.Change{Table: models[i].Table(), From: at, To: to, Rows: []projections.Row{row}}
	}
	balance.Amount++
	movement.In++
	err = store.Commit(ctx, changes)
	if errors.Is(err, projections.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

func TestTwoRunnersOnOneDatabaseFoldTheLedgerOnce(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	ledger := projectionstest.BusyLedger(t, 1000)
	dsn := services.Postgres(t)
	var race errgroup.Group
	for range 2 {
		store := open(t, dsn)
		race.Go(func() error {
			for cut := range manyCuts(ledger.Cut()) {
				err := projections.FoldTo(ctx, ledger, store, cut, projections.All()...)
				if err != nil && !errors.Is(err, projections.ErrBeyondCut) { // the other one is ahead
					return err
				}
			}
			return nil
		})
	}
	if err := race.Wait(); err != nil {
		t.Fatal(err)
	}
	projectionstest.SameRows(ctx, t, memoryOf(t, ledger, projections.All()...), open(t, dsn), projections.All()...)
}
