package projections_test

import (
	"testing"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// benchJobs make fifty thousand entries, five batches.
const benchJobs = 10_000

func BenchmarkFoldIntoMemory(b *testing.B) {
	ledger := projectionstest.BusyLedger(b, benchJobs)
	run := func(b *testing.B, models ...projections.Model) {
		b.ReportAllocs()
		for b.Loop() {
			if err := projections.FoldTo(b.Context(), ledger, projections.NewMemStore(), ledger.Cut(), models...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*5*benchJobs/b.Elapsed().Seconds(), "facts/s")
	}
	b.Run("none (read and decode)", func(b *testing.B) { run(b, projections.BatchCuts) })
	for _, model := range []projections.Model{
		projections.Balances, projections.Movements, projections.Journal, projections.Jobs, projections.UsageByHour,
		projections.Reports, projections.Payables, projections.LogTrees,
	} {
		b.Run(model.Table().Name, func(b *testing.B) { run(b, model) })
	}
	b.Run("all", func(b *testing.B) { run(b, projections.All()...) })
}
