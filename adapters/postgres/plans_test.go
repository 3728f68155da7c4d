package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// planRows is what makes a table big: reading all of it takes far longer than any answer should.
const planRows = 30_000

// asked collects what a store asks its server.
type asked struct {
	mu      sync.Mutex
	queries []pgx.TraceQueryStartData
}

func (a *asked) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queries = append(a.queries, q)
	return ctx
}

func (a *asked) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// taken returns the reader's queries since the last time.
func (a *asked) taken() []pgx.TraceQueryStartData {
	a.mu.Lock()
	defer a.mu.Unlock()
	var reads []pgx.TraceQueryStartData
	for _, q := range a.queries {
		if first := strings.TrimSpace(q.SQL); strings.HasPrefix(first, "SELECT") || strings.HasPrefix(first, "WITH") {
			reads = append(reads, q)
		}
	}
	a.queries = nil
	return reads
}

func TestAQuestionAboutOneThingNeverReadsAWholeTable(t *testing.T) { //nolint:tparallel // questions share the log of what is asked
	t.Parallel()
	dsn := services.Postgres(t)
	var log asked
	store, err := postgres.OpenTraced(t.Context(), postgres.Config{URL: dsn}, &log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	for _, model := range projections.All() {
		if model.Table().KeyColumns == 1 && model.Table().New().Columns(nil)[0].Name == "singleton" {
			continue
		}
		execute(t, dsn, manyRows(model.Table()))
	}
	execute(t, dsn, "VACUUM ANALYZE") // as the server does by itself, later
	log.taken()
	ctx := projectionstest.Context(t)

	conn := connect(t, dsn)
	grows := map[string]bool{}
	for _, model := range projectionstest.Growing() {
		grows[fmt.Sprintf("%s_v%d", model.Table().Name, model.Table().Version)] = true
	}
	// Postings are asked of an account that is there.
	for name, ask := range projectionstest.NarrowQuestions(ctx, projectionstest.Owned{Kind: projectionstest.Earned, Owner: sum256(5)}) {
		t.Run(name, func(t *testing.T) {
			_ = store.Read(ctx, func(r projections.Reader) error {
				_, _ = ask(r) // what is not there has been asked for all the same
				return nil
			})
			queries := log.taken()
			if len(queries) == 0 {
				t.Fatal("nothing was asked")
			}
			for _, q := range queries {
				for _, table := range wholeTables(ctx, t, conn, q.SQL, q.Args...) {
					if grows[table] || strings.HasPrefix(name, "NamesFrom") || strings.HasPrefix(name, "IDsFrom") {
						t.Errorf("all of %s is read by\n%s", table, q.SQL)
					}
				}
			}
		})
	}
	t.Run("Load", func(t *testing.T) {
		keys, owners := []string{"provider/earned"}, [][]byte{{1}}
		for _, table := range wholeTables(ctx, t, conn, postgres.LoadQuery(projections.Balances.Table()), keys, owners) {
			t.Errorf("all of %s is read", table)
		}
	})
	t.Run("finance's journal of a second", func(t *testing.T) {
		const second = "SELECT amount FROM finance.journal WHERE posted_at BETWEEN '1970-02-20 00:00:00+00' AND '1970-02-21 00:00:00+00'"
		for _, table := range wholeTables(ctx, t, conn, second) {
			t.Errorf("all of %s is read", table)
		}
	})
	t.Run("and the test would see it", func(t *testing.T) {
		if seen := wholeTables(ctx, t, conn, "SELECT job FROM filature.jobs WHERE number = $1", 5); fmt.Sprint(seen) != "[jobs_v1]" {
			t.Errorf("a search without an index reads all of %v", seen)
		}
	})
}

// sum256 is the id that manyRows gives to a row.
func sum256(row int) [32]byte { return [32]byte{byte(row)} }

// manyRows fills a table: row i has i in every number, day i in every time, and an id that is all zeros but for i.
func manyRows(table projections.Table) string {
	var values []string
	for i, c := range table.New().Columns(nil) {
		value := "i"
		if strings.HasSuffix(c.Name, "_ms") {
			value = fmt.Sprintf("i::bigint * %d", projections.DayMs)
		}
		switch c.Field.(type) {
		case *string:
			value = "'provider/earned'"
			if i >= table.KeyColumns {
				value = "'word'"
			}
		case *[32]byte, *[]byte:
			value = "decode(lpad(to_hex(i % 256), 2, '0') || lpad(to_hex(i / 256), 62, '0'), 'hex')"
		}
		values = append(values, value)
	}
	return fmt.Sprintf("INSERT INTO filature.%s_v%d SELECT %s FROM generate_series(1, %d) AS i",
		table.Name, table.Version, strings.Join(values, ", "), planRows)
}

// wholeTables returns the tables of which a query reads all rows: without an index, or with an index that
// it goes through from end to end.
func wholeTables(ctx context.Context, t *testing.T, conn *pgx.Conn, query string, args ...any) []string {
	t.Helper()
	for len(args) > 0 {
		if _, option := args[0].(pgx.QueryResultFormats); !option {
			break
		}
		args = args[1:]
	}
	var raw []byte
	if err := conn.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+query, args...).Scan(&raw); err != nil {
		t.Fatalf("explain %s: %v", query, err)
	}
	var plans []map[string]any
	if err := json.Unmarshal(raw, &plans); err != nil {
		t.Fatal(err)
	}
	return scansOf(plans[0]["Plan"].(map[string]any), nil)
}

// scansOf walks a plan, whose parts have names as people see them.
func scansOf(plan map[string]any, found []string) []string {
	kind, _ := plan["Node Type"].(string)
	table, ofTable := plan["Relation Name"].(string)
	_, search := plan["Index Cond"]
	_, bitmap := plan["Recheck Cond"]
	if strings.HasSuffix(kind, "Scan") && ofTable && table != "checkpoints" && !search && !bitmap {
		found = append(found, table)
	}
	parts, _ := plan["Plans"].([]any)
	for _, part := range parts {
		found = scansOf(part.(map[string]any), found)
	}
	return found
}
