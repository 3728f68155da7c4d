package projections_test

import (
	"fmt"
	"testing"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
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
		projections.Reports, projections.Payables, projections.LogTrees, projections.WorkByHour, projections.Holds,
	} {
		b.Run(model.Table().Name, func(b *testing.B) { run(b, model) })
	}
	b.Run("all", func(b *testing.B) { run(b, projections.All()...) })
}

// BenchmarkFoldOfTrustAndPrices folds a ledger of nothing but what scores and prices are made of: a standing of each of
// some workers at the end of each bucket, and offers.
func BenchmarkFoldOfTrustAndPrices(b *testing.B) {
	const entries, factsEach, workers = 500, 100, 1000
	ledger := projectionstest.NewLedger(b, 2)
	ledger.Begin()
	for n := range entries {
		var standings, offers []*v1.Fact
		for i := range factsEach {
			worker := fmt.Sprintf("w%d", (n*factsEach+i)%workers)
			standings = append(standings, projectionstest.Stands(v1.SubjectKind_SUBJECT_KIND_WORKER, worker, int64(n), 0))
			offers = append(offers, projectionstest.Offered(worker, "qwen", uint32(n+i)))
		}
		ledger.Answer(1, "clock", uint64(n+1), standings...)
		ledger.Answer(0, "fleet", uint64(n+1), offers...)
	}
	for _, c := range []struct {
		model projections.Model
		facts int
	}{{projections.Standings, entries * factsEach}, {projections.OfferHistory, entries * factsEach}} {
		b.Run(c.model.Table().Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := projections.FoldTo(b.Context(), ledger, projections.NewMemStore(), ledger.Cut(), c.model); err != nil {
					b.Fatal(err)
				}
			}
			// Both kinds of facts are read and decoded.
			b.ReportMetric(float64(b.N)*float64(2*c.facts)/b.Elapsed().Seconds(), "facts/s")
		})
	}
}
