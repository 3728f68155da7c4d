package sqlite_test

import (
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

func open(t *testing.T) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "projections.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return store
}

func TestSQLiteAndMemoryKeepTheSameRows(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	store := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		ledger := projectionstest.RandomLedger(rt)
		memory := projections.NewMemStore()
		for _, model := range projections.All() {
			if err := store.Forget(ctx, model.Table()); err != nil {
				rt.Fatal(err)
			}
		}
		for _, cut := range projectionstest.RandomCuts(rt, ledger) {
			for _, s := range []projections.Store{memory, store} {
				if err := projections.FoldTo(ctx, ledger, s, cut, projections.All()...); err != nil {
					rt.Fatalf("fold to %v: %v", cut, err)
				}
			}
		}
		projectionstest.SameRows(ctx, rt, memory, store, projections.All()...)
	})
}
