package postgres_test

import (
	"fmt"
	"testing"

	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// benchJobs make a hundred thousand entries, which is ten batches of the usual size.
const benchJobs = 20_000

// BenchmarkFoldIntoPostgreSQL folds entries of one fact each into a server with its durable defaults: each
// commit is on disk before the next begins. The yardstick, tx/s, is what the same server makes in the same
// run of pgbench's transactions of one row each, from two clients; x-pgbench is facts/s over that.
func BenchmarkFoldIntoPostgreSQL(b *testing.B) {
	server := services.OwnPostgres(b, "shared_buffers=1GB", "max_wal_size=4GB")
	ledger := projectionstest.BusyLedger(b, benchJobs)
	for _, models := range [][]projections.Model{
		{projections.Balances}, {projections.Journal}, {projections.Jobs}, {projections.Reports}, projections.SettlementModels(), projections.All(),
	} {
		name := models[0].Table().Name
		switch len(models) {
		case 1:
		case len(projections.All()):
			name = "all"
		default:
			name = "settlement"
		}
		yardstick := services.PostgresRate(b, server) // each time anew: neighbours come and go
		for _, entries := range []int{1_000, 10_000, 20_000} {
			b.Run(fmt.Sprintf("%s/%d entries", name, entries), func(b *testing.B) { foldBench(b, server, ledger, entries, models, yardstick) })
		}
	}
}

func foldBench(b *testing.B, server string, ledger *projectionstest.Ledger, entries int, models []projections.Model, yardstick float64) {
	for b.Loop() {
		b.StopTimer()
		execute(b, server, "DROP SCHEMA IF EXISTS filature CASCADE; DROP SCHEMA IF EXISTS finance CASCADE")
		execute(b, server, "CHECKPOINT")
		store := open(b, server)
		b.StartTimer()
		if err := projections.FoldInBatches(b.Context(), ledger, store, ledger.Cut(), entries, models...); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		store.Close()
		b.StartTimer()
	}
	rate := float64(b.N) * 5 * benchJobs / b.Elapsed().Seconds()
	b.ReportMetric(rate, "facts/s")
	b.ReportMetric(yardstick, "tx/s")
	b.ReportMetric(rate/yardstick, "x-pgbench")
}
