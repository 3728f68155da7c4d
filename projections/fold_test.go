package projections_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

func TestAnyCuttingIntoBatchesGivesTheSameRows(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	rapid.Check(t, func(rt *rapid.T) {
		ledger := projectionstest.RandomLedger(rt) //nolint:contextcheck // a ledger in memory waits for nothing
		whole, pieces := projections.NewMemStore(), projections.NewMemStore()
		mustFold(ctx, rt, ledger, whole, projections.All()...)
		for _, cut := range projectionstest.RandomCuts(rt, ledger) {
			if err := projections.FoldTo(ctx, ledger, pieces, cut, projections.All()...); err != nil {
				rt.Fatalf("fold to %v: %v", cut, err)
			}
		}
		projectionstest.SameRows(ctx, rt, whole, pieces, projections.All()...)
	})
}

// mustFold brings models to the end of a ledger.
func mustFold(ctx context.Context, t projectionstest.Fataler, ledger *projectionstest.Ledger, store projections.Store, models ...projections.Model) {
	t.Helper()
	if err := projections.FoldTo(ctx, ledger, store, ledger.Cut(), models...); err != nil {
		t.Fatalf("fold: %v", err)
	}
}
