package projectionstest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// Harness is what Exercise needs to know of a store.
type Harness struct {
	// Open returns an empty store, which the harness closes with the test.
	Open func(t *testing.T) projections.Store
	// Reopen closes a store and opens it again, as a restart would.
	Reopen func(t *testing.T, store projections.Store) projections.Store
	// MakeTable makes room for another version of a model, as a migration would.
	MakeTable func(t *testing.T, store projections.Store, table projections.Table)
}

// Exercise holds a store to the contract of projections.Store.
func Exercise(t *testing.T, h Harness) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Harness){
		"RowsAndCheckpointSurviveAReopen":           rowsAndCheckpointSurvive,
		"EveryKindOfValueComesBackAsItWas":          everyValueComesBack,
		"OnlyRowsThatAreKeptAreLoaded":              onlyKeptRowsAreLoaded,
		"RowsComeInTheOrderOfTheirKeys":             rowsComeInOrder,
		"AZombieWritesNothing":                      aZombieWritesNothing,
		"AZombieOfAnotherShardWritesNothing":        aZombieOfAnotherShardWritesNothing,
		"OneConflictKeepsAllChangesOut":             oneConflictKeepsAllChangesOut,
		"AWriteOnceRowIsWrittenOnce":                aWriteOnceRowIsWrittenOnce,
		"AnEndedContextWritesNothing":               anEndedContextWritesNothing,
		"AViewSeesOneMoment":                        aViewSeesOneMoment,
		"TwoVersionsLiveSideBySide":                 twoVersionsLiveSideBySide,
		"AForgottenModelIsFoldedAgainToTheSameRows": aForgottenModelComesBack,
		"ItKeepsWhatMemoryKeepsHoweverCommitsFail":  itKeepsWhatMemoryKeeps,
	} {
		t.Run(name, func(t *testing.T) { test(t, h) })
	}
}

// at is a checkpoint of some shards.
func at(ledger ...domain.Offset) projections.Checkpoint {
	c := make(projections.Checkpoint, len(ledger))
	for i, offset := range ledger {
		c[i] = projections.Progress{Ledger: offset, Intake: offset / 2}
	}
	return c
}

func balance(kind, owner string, amount domain.Nano) *projections.Balance {
	return &projections.Balance{BalanceKey: projections.BalanceKey{Kind: kind, Owner: ID[[32]byte](owner)}, Amount: amount, Postings: 1}
}

func change(model projections.Model, from, to projections.Checkpoint, rows ...projections.Row) projections.Change {
	return projections.Change{Table: model.Table(), From: from, To: to, Rows: rows}
}

func mustCommit(ctx context.Context, t *testing.T, store projections.Store, changes ...projections.Change) {
	t.Helper()
	if err := store.Commit(ctx, changes); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// contents prints where a table stands and all its rows.
func contents(ctx context.Context, t *testing.T, store projections.Store, table projections.Table) string {
	t.Helper()
	var out string
	if err := store.View(ctx, func(view projections.View) (err error) {
		out, err = contentsOf(ctx, view, table)
		return err
	}); err != nil {
		t.Fatalf("view %s: %v", table, err)
	}
	return out
}

func contentsOf(ctx context.Context, view projections.View, table projections.Table) (string, error) {
	place, err := view.Checkpoint(ctx, table)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintln(&out, place)
	for row, err := range view.Rows(ctx, table) {
		if err != nil {
			return "", err
		}
		for _, column := range row.Columns(nil) {
			fmt.Fprintf(&out, "%s=%s ", column.Name, column)
		}
		out.WriteByte('\n')
	}
	return out.String(), nil
}

func rowsAndCheckpointSurvive(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	mustCommit(ctx, t, store, change(projections.Balances, at(0, 0), at(3, 4), balance("vault/cash", "", -7), balance("client/available", "a", 7)))
	mustCommit(ctx, t, store, change(projections.Balances, at(3, 4), at(3, 5), balance("client/available", "a", 9)))
	before := contents(ctx, t, store, projections.Balances.Table())
	store = h.Reopen(t, store)
	if after := contents(ctx, t, store, projections.Balances.Table()); after != before {
		t.Errorf("after a reopen:\n%swant\n%s", after, before)
	}
	mustCommit(ctx, t, store, change(projections.Balances, at(3, 5), at(4, 5)))
}

func everyValueComesBack(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	var full domain.Digest
	for i := range full {
		full[i] = 0xff
	}
	report := &projections.Report{
		ReportKey:    projections.ReportKey{Signer: domain.KeyID(full), Shard: math.MaxInt32, Sequence: math.MaxUint64},
		IntakeDigest: full, Intake: math.MaxInt64, Accepted: math.MinInt64,
	}
	offer := &projections.Offer{OfferKey: projections.OfferKey{Worker: ID[domain.WorkerID]("w")}, Coefficient: math.MaxUint32, Withdrawn: true}
	listed := &projections.ListedModel{Model: ID[domain.ModelID]("m"), Name: "Qwen “3” 🪡 'x' \n"}
	tree := &projections.LogTree{Shard: 3, Size: 1, Nodes: []byte{0, 255, 0}}
	empty := &projections.LogTree{Shard: 4, Size: 1}
	mustCommit(ctx, t, store,
		change(projections.Reports, nil, at(1), report), change(projections.Offers, nil, at(1), offer),
		change(projections.Models, nil, at(1), listed), change(projections.LogTrees, nil, at(1), tree, empty))
	for _, c := range []struct {
		model projections.Model
		row   projections.Row
		blank projections.Row
	}{
		{projections.Reports, report, &projections.Report{ReportKey: report.ReportKey}},
		{projections.Offers, offer, &projections.Offer{OfferKey: offer.OfferKey}},
		{projections.Models, listed, &projections.ListedModel{Model: listed.Model}},
		{projections.LogTrees, tree, &projections.LogTree{Shard: 3}},
		{projections.LogTrees, empty, &projections.LogTree{Shard: 4, Nodes: []byte("to be replaced")}},
	} {
		if err := store.Load(ctx, c.model.Table(), []projections.Row{c.blank}); err != nil {
			t.Fatalf("load from %s: %v", c.model.Table(), err)
		}
		want, have := c.row.Columns(nil), c.blank.Columns(nil)
		for i := range want {
			if want[i].String() != have[i].String() {
				t.Errorf("%s: %s is %s, want %s", c.model.Table(), want[i].Name, have[i], want[i])
			}
		}
	}
}

// manyRows is more than a store would put into one statement, and no round number.
const manyRows = 1111

func onlyKeptRowsAreLoaded(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	kept := make([]projections.Row, 0, manyRows)
	asked := make([]projections.Row, 0, manyRows)
	for i := range manyRows {
		if i%3 != 0 {
			kept = append(kept, balance("provider/earned", fmt.Sprint(i), domain.Nano(i)))
		}
		if i%2 == 0 {
			asked = append(asked, balance("provider/earned", fmt.Sprint(i), -1))
		}
	}
	mustCommit(ctx, t, store, change(projections.Balances, nil, at(1), kept...))
	if err := store.Load(ctx, projections.Balances.Table(), asked); err != nil {
		t.Fatalf("load: %v", err)
	}
	for i, row := range asked {
		b, ok := row.(*projections.Balance)
		if !ok {
			t.Fatalf("a row is a %T", row)
		}
		want := domain.Nano(2 * i)
		if (2*i)%3 == 0 {
			want = -1 // is not kept, so it stays as it was
		}
		if b.Amount != want {
			t.Errorf("row %d holds %d, want %d", 2*i, b.Amount, want)
		}
	}
}

func rowsComeInOrder(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	mustCommit(ctx, t, store,
		change(projections.Balances, nil, at(1),
			balance("b", "z", 5), balance("b", "", 4), balance("a", "y", 2), balance("ab", "", 3), balance("a", "x", 1)),
		change(projections.LogTrees, nil, at(1),
			&projections.LogTree{Shard: 10, Size: 5}, &projections.LogTree{Shard: -1, Size: 1}, &projections.LogTree{Shard: 9, Size: 4},
			&projections.LogTree{Shard: 0, Size: 2}, &projections.LogTree{Shard: 2, Size: 3}))
	err := store.View(ctx, func(view projections.View) error {
		next := domain.Nano(1)
		for b, err := range projections.RowsOf(ctx, view, projections.Balances) {
			if err != nil {
				return err
			}
			if b.Amount != next {
				t.Errorf("balance %d comes at place %d", b.Amount, next)
			}
			next++
		}
		size := int64(1)
		for tree, err := range projections.RowsOf(ctx, view, projections.LogTrees) {
			if err != nil {
				return err
			}
			if tree.Size != size {
				t.Errorf("tree %d comes at place %d", tree.Size, size)
			}
			size++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func aZombieWritesNothing(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	mustCommit(ctx, t, store, change(projections.Balances, at(0), at(5), balance("a", "x", 1)))
	before := contents(ctx, t, store, projections.Balances.Table())
	for name, from := range map[string]projections.Checkpoint{
		"from the start": at(0), "from no checkpoint": nil, "from behind": at(4), "from before": at(6),
		"from another intake": {{Ledger: 5, Intake: 1}},
	} {
		err := store.Commit(ctx, []projections.Change{change(projections.Balances, from, at(7), balance("a", "x", 2))})
		if !errors.Is(err, projections.ErrConflict) {
			t.Errorf("%s: error is %v, want ErrConflict", name, err)
		}
	}
	if after := contents(ctx, t, store, projections.Balances.Table()); after != before {
		t.Errorf("the zombies left:\n%swant\n%s", after, before)
	}
}

func aZombieOfAnotherShardWritesNothing(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	mustCommit(ctx, t, store, change(projections.Balances, at(0, 0), at(1, 1), balance("a", "x", 1)))
	mustCommit(ctx, t, store, change(projections.Balances, at(1, 1), at(2, 1), balance("a", "x", 2)))
	before := contents(ctx, t, store, projections.Balances.Table())
	// It loaded row x at 1,1 and moves only the shard that nobody else moved. Writing would undo the 2.
	err := store.Commit(ctx, []projections.Change{change(projections.Balances, at(1, 1), at(1, 2), balance("a", "x", 11))})
	if !errors.Is(err, projections.ErrConflict) {
		t.Errorf("error is %v, want ErrConflict", err)
	}
	if after := contents(ctx, t, store, projections.Balances.Table()); after != before {
		t.Errorf("the zombie left:\n%swant\n%s", after, before)
	}
}

func oneConflictKeepsAllChangesOut(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	mustCommit(ctx, t, store, change(projections.Models, nil, at(5), &projections.ListedModel{Name: "first"}))
	err := store.Commit(ctx, []projections.Change{
		change(projections.Balances, nil, at(5), balance("a", "x", 1)),
		change(projections.Models, at(4), at(5), &projections.ListedModel{Name: "second"}),
	})
	if !errors.Is(err, projections.ErrConflict) {
		t.Errorf("error is %v, want ErrConflict", err)
	}
	if have := contents(ctx, t, store, projections.Balances.Table()); have != fmt.Sprintln(projections.Checkpoint(nil)) {
		t.Errorf("of the change beside the conflict there is:\n%s", have)
	}
}

func aWriteOnceRowIsWrittenOnce(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	line := func(amount domain.Nano) *projections.JournalLine {
		return &projections.JournalLine{PostingKey: projections.PostingKey{Shard: 1, Ledger: 2, Fact: 1, Posting: 1}, Amount: amount}
	}
	mustCommit(ctx, t, store, change(projections.Journal, nil, at(1), line(5)))
	before := contents(ctx, t, store, projections.Journal.Table())
	err := store.Commit(ctx, []projections.Change{
		change(projections.Balances, nil, at(2), balance("a", "x", 1)), change(projections.Journal, at(1), at(2), line(6)),
	})
	if err == nil || errors.Is(err, projections.ErrConflict) {
		t.Errorf("error is %v, want one that is not ErrConflict", err)
	}
	if after := contents(ctx, t, store, projections.Journal.Table()); after != before {
		t.Errorf("the journal is:\n%swant\n%s", after, before)
	}
	if have := contents(ctx, t, store, projections.Balances.Table()); have != fmt.Sprintln(projections.Checkpoint(nil)) {
		t.Errorf("of the change beside it there is:\n%s", have)
	}
}

func anEndedContextWritesNothing(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	ended, end := context.WithCancel(ctx)
	end()
	first := change(projections.Balances, nil, at(1), balance("a", "x", 1))
	if err := store.Commit(ended, []projections.Change{first}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
	mustCommit(ctx, t, store, change(projections.Balances, nil, at(1), balance("a", "x", 1)))
}

func aViewSeesOneMoment(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	table := projections.Balances.Table()
	mustCommit(ctx, t, store, change(projections.Balances, nil, at(1), balance("a", "x", 1)))
	committed := make(chan error, 1)
	err := store.View(ctx, func(view projections.View) error {
		before, err := contentsOf(ctx, view, table)
		if err != nil {
			return err
		}
		begun := make(chan struct{})
		go func() {
			close(begun)
			committed <- store.Commit(ctx, []projections.Change{change(projections.Balances, at(1), at(2), balance("a", "x", 2), balance("a", "y", 3))})
		}()
		<-begun
		for range 50 { // the commit goes on meanwhile, or waits for us; either way we do not see it
			after, err := contentsOf(ctx, view, table)
			if err != nil {
				return err
			}
			if after != before {
				return fmt.Errorf("the view changed from\n%sto\n%s", before, after)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := <-committed; err != nil {
		t.Errorf("commit beside a view: %v", err)
	}
}

func twoVersionsLiveSideBySide(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	next := *projections.Balances
	next.Version++
	h.MakeTable(t, store, next.Table())
	mustCommit(ctx, t, store, change(projections.Balances, nil, at(5), balance("a", "old", 1)))
	mustCommit(ctx, t, store, change(&next, nil, at(3), balance("a", "new", 2)))
	want := contents(ctx, t, store, next.Table())
	if have := contents(ctx, t, store, projections.Balances.Table()); have == want {
		t.Errorf("both versions hold:\n%s", have)
	}
	for range 2 {
		if err := store.Publish(ctx, next.Table()); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	store = h.Reopen(t, store)
	if have := contents(ctx, t, store, next.Table()); have != want {
		t.Errorf("once published, the new version holds:\n%swant\n%s", have, want)
	}
}

func aForgottenModelComesBack(t *testing.T, h Harness) {
	ctx := Context(t)
	store, memory := h.Open(t), projections.NewMemStore()
	story := NewStory(t)
	for _, s := range []projections.Store{store, memory} {
		if err := projections.FoldTo(ctx, story, s, story.Cut(), projections.All()...); err != nil {
			t.Fatalf("fold: %v", err)
		}
	}
	for _, model := range projections.All() {
		if err := store.Forget(ctx, model.Table()); err != nil {
			t.Fatalf("forget %s: %v", model.Table(), err)
		}
		if have := contents(ctx, t, store, model.Table()); have != fmt.Sprintln(projections.Checkpoint(nil)) {
			t.Errorf("of forgotten %s there is:\n%s", model.Table(), have)
		}
		if err := projections.FoldTo(ctx, story, store, story.Cut(), projections.All()...); err != nil {
			t.Fatalf("fold again: %v", err)
		}
	}
	SameRows(ctx, t, memory, store, projections.All()...)
}

func itKeepsWhatMemoryKeeps(t *testing.T, h Harness) {
	ctx := Context(t)
	store := h.Open(t)
	rapid.Check(t, func(rt *rapid.T) {
		memory := projections.NewMemStore()
		ledger := RandomLedger(rt) //nolint:contextcheck // a ledger in memory waits for nothing
		forgetAll(ctx, rt, store)
		if err := projections.FoldTo(ctx, ledger, memory, ledger.Cut(), projections.All()...); err != nil {
			rt.Fatalf("fold into memory: %v", err)
		}
		faulty := &Faulty{Store: store}
		for _, cut := range RandomCuts(rt, ledger) {
			faulty.Faults = rapid.SliceOfN(rapid.SampledFrom([]Fault{0, Lost, Kept}), 0, 3).Draw(rt, "faults")
			for {
				err := projections.FoldTo(ctx, ledger, faulty, cut, projections.All()...)
				if err == nil {
					break
				}
				if !errors.Is(err, ErrInjected) {
					rt.Fatalf("fold to %v: %v", cut, err)
				}
			}
		}
		SameRows(ctx, rt, memory, store, projections.All()...)
	})
}

func forgetAll(ctx context.Context, t Fataler, store projections.Store) {
	t.Helper()
	for _, model := range projections.All() {
		if err := store.Forget(ctx, model.Table()); err != nil {
			t.Fatalf("forget %s: %v", model.Table(), err)
		}
	}
}
