package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// benchJobs make a hundred thousand entries, ten batches.
const benchJobs = 20_000

func BenchmarkFoldIntoSQLite(b *testing.B) {
	ledger := projectionstest.BusyLedger(b, benchJobs)
	run := func(b *testing.B, models ...projections.Model) {
		for b.Loop() {
			store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "projections.db"))
			if err != nil {
				b.Fatal(err)
			}
			if err := projections.FoldTo(b.Context(), ledger, store, ledger.Cut(), models...); err != nil {
				b.Fatal(err)
			}
			if err := store.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*5*benchJobs/b.Elapsed().Seconds(), "facts/s")
	}
	for _, model := range []projections.Model{projections.Balances, projections.Journal, projections.Jobs, projections.Reports} {
		b.Run(model.Table().Name, func(b *testing.B) { run(b, model) })
	}
	b.Run("settlement", func(b *testing.B) { run(b, projections.SettlementModels()...) })
	b.Run("all", func(b *testing.B) { run(b, projections.All()...) })
}
