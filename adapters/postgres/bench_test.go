package postgres_test

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// benchJobs make a hundred thousand entries, which is ten batches of the usual size.
const benchJobs = 20_000

// BenchmarkFoldIntoPostgreSQL folds entries of one fact each into a server with its durable defaults: each
// commit is on disk before the next begins. tx/s is the yardstick: what the same server makes, in the same
// run, of pgbench's transactions of one row each, from two clients.
func BenchmarkFoldIntoPostgreSQL(b *testing.B) {
	server := services.OwnPostgres(b, "shared_buffers=1GB", "max_wal_size=4GB")
	ledger := projectionstest.BusyLedger(b, benchJobs)
	b.Run("yardstick", func(b *testing.B) { pgbench(b, server) })
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
		for _, entries := range []int{1_000, 10_000, 20_000} {
			b.Run(fmt.Sprintf("%s/%d entries", name, entries), func(b *testing.B) { foldBench(b, server, ledger, entries, models) })
		}
	}
}

func foldBench(b *testing.B, server string, ledger *projectionstest.Ledger, entries int, models []projections.Model) {
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
	b.ReportMetric(float64(b.N)*5*benchJobs/b.Elapsed().Seconds(), "facts/s")
}

// pgbench measures how many transactions that write one row the server makes durable in a second.
func pgbench(b *testing.B, server string) {
	address, err := url.Parse(server)
	if err != nil {
		b.Fatal(err)
	}
	password, _ := address.User.Password()
	execute(b, server, "CREATE TABLE IF NOT EXISTS yardstick (id int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 50)")
	execute(b, server, "INSERT INTO yardstick SELECT i, 0 FROM generate_series(1, 1000) AS i ON CONFLICT DO NOTHING")
	script := b.TempDir() + "/one_row.sql"
	const oneRow = "\\set id random(1, 1000)\nUPDATE yardstick SET n = n + 1 WHERE id = :id;\n"
	if err := os.WriteFile(script, []byte(oneRow), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		run := exec.CommandContext(b.Context(), services.PostgresTool(b, "pgbench"), "--no-vacuum", "--protocol=prepared",
			"--client=2", "--jobs=2", "--time=5", "--file="+script, "--host="+address.Hostname(), "--port="+address.Port(),
			"--username="+address.User.Username(), address.Path[1:])
		run.Env = append(os.Environ(), "PGPASSWORD="+password)
		out, err := run.CombinedOutput()
		if err != nil {
			b.Fatalf("pgbench: %v\n%s", err, out)
		}
		rate := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
		if rate == nil {
			b.Fatalf("pgbench says\n%s", out)
		}
		tps, err := strconv.ParseFloat(string(rate[1]), 64)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(tps, "tx/s")
	}
}
