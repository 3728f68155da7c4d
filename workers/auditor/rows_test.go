package auditor_test

import (
	"context"
	"errors"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

// rewrite changes rows behind the back of whoever keeps the read models.
func rewrite(t *testing.T, store projections.Store, table projections.Table, change func(projections.View) []projections.Row) {
	t.Helper()
	var rows []projections.Row
	var at projections.Checkpoint
	err := store.View(t.Context(), func(view projections.View) (err error) {
		rows = change(view)
		at, err = view.Checkpoint(t.Context(), table)
		return err
	})
	if err == nil {
		err = store.Commit(t.Context(), []projections.Change{{Table: table, From: at, To: at, Rows: rows}})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAChangedRowIsNamedByTableKeyAndColumn(t *testing.T) {
	w := lived(t, rig.Options{Seed: 31}, 20)
	rewrite(t, w.Store, projections.Balances.Table(), func(view projections.View) []projections.Row {
		for b, err := range projections.RowsOf(t.Context(), view, projections.Balances) {
			if err == nil && b.Kind == "client/available" {
				b.Amount++
				b.Owner = w.Accounts[0].ID
				return []projections.Row{&b}
			}
		}
		return nil
	})
	r := audit(t, config(w))
	names(t, r, auditor.Offence{
		Kind: auditor.ChangedRow, Log: auditor.ReadModels, Table: "balances", Row: "kind=client/available, owner=" + w.Accounts[0].ID.String(),
		Field: "amount_nano",
	})
	names(t, r, auditor.Offence{Kind: auditor.CountedOtherwise, Log: auditor.ReadModels, Table: "balances"})
	if len(r.Offences) != 2 {
		t.Errorf("one row was changed, which two counts find: %d offences:\n%s", len(r.Offences), text(t, r))
	}
}

// added is a journal line that no fact has.
func added(fact int64) *projections.JournalLine {
	return &projections.JournalLine{PostingKey: projections.PostingKey{Shard: 1, Ledger: 7, Fact: fact, Posting: 1}, Amount: 1}
}

func TestAnAddedJournalLineIsNamedByItsPlace(t *testing.T) {
	w := lived(t, rig.Options{Seed: 32}, 20)
	rewrite(t, w.Store, projections.Journal.Table(), func(projections.View) []projections.Row {
		return []projections.Row{added(9)}
	})
	names(t, audit(t, config(w)), auditor.Offence{
		Kind: auditor.ChangedRow, Log: auditor.ReadModels, Table: "journal", At: &auditor.Place{Shard: 1, Offset: 7},
	})
}

func TestACheckpointThatIsNotTheLedgersIsNamed(t *testing.T) {
	w := lived(t, rig.Options{Seed: 36}, 20)
	table := projections.Jobs.Table()
	err := w.Store.View(t.Context(), func(view projections.View) error {
		at, err := view.Checkpoint(t.Context(), table)
		if err != nil {
			return err
		}
		moved := append(projections.Checkpoint{}, at...)
		moved[1].Intake++
		w.Store = moving{w.Store, table.Name, moved}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	names(t, audit(t, config(w)), auditor.Offence{Kind: auditor.ChangedRow, Log: auditor.ReadModels, Table: "jobs", Row: "checkpoint"})
}

// moving is a store that says another place for one model.
type moving struct {
	projections.Store
	model string
	at    projections.Checkpoint
}

func (m moving) View(ctx context.Context, see func(projections.View) error) error {
	return m.Store.View(ctx, func(view projections.View) error { return see(movingView{view, m}) })
}

type movingView struct {
	projections.View
	store moving
}

func (v movingView) Checkpoint(ctx context.Context, table projections.Table) (projections.Checkpoint, error) {
	if table.Name == v.store.model {
		return v.store.at, nil
	}
	return v.View.Checkpoint(ctx, table)
}

func TestALedgerThatLostItsEndIsNamed(t *testing.T) {
	w := lived(t, rig.Options{Seed: 33}, 20)
	short := copyOf(t, w.Ledger)
	shard := busy(short)
	short[shard] = short[shard][:len(short[shard])-3]
	cfg := config(w)
	cfg.Ledger = short
	names(t, audit(t, cfg), auditor.Offence{
		Kind: auditor.LostRecords, Log: auditor.Ledger, At: place(domain.Position{Shard: shard, Offset: domain.Offset(len(short[shard]))}),
	})
}

func TestReadModelsThatAreBehindAreNoOffence(t *testing.T) {
	w := lived(t, rig.Options{Seed: 34}, 20)
	w.Live(10)
	w.Work()
	if err := w.Store.Forget(t.Context(), projections.Jobs.Table()); err != nil {
		t.Fatal(err)
	}
	if r := audit(t, config(w)); r.Verdict != auditor.Pass {
		t.Fatalf("read models that are behind, one of them being rebuilt:\n%s", text(t, r))
	}
}

var errStore = errors.New("no such file")

type brokenStore struct{ projections.Store }

func (brokenStore) View(context.Context, func(projections.View) error) error { return errStore }

func TestAStoreThatCannotBeReadLeavesTheAuditIncomplete(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 35})
	cfg := config(w)
	cfg.Store = brokenStore{}
	if r := audit(t, cfg); r.Verdict != auditor.Incomplete {
		t.Fatalf("without the rows:\n%s", text(t, r))
	}
}
