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
	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// planRows is what makes a table big: reading all of it takes far longer than any answer should.
const planRows = 100_000

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
	for _, model := range []projections.Model{ // what grows, and is asked about one by one
		projections.Balances, projections.Movements, projections.Journal, projections.Jobs, projections.UsageByHour,
		projections.Batches, projections.BatchCuts, projections.BatchLines, projections.Payouts, projections.Payments,
		projections.Maturities, projections.Reports, projections.Rejections, projections.Providers, projections.Workers, projections.Accounts,
		projections.Standings, projections.Holds, projections.Holdbacks, projections.OfferHistory, projections.WorkByHour,
		projections.Attestations, projections.Trusts, projections.RetiredImages, projections.HoldExtensions,
	} {
		execute(t, dsn, manyRows(model.Table()))
	}
	execute(t, dsn, "VACUUM ANALYZE") // as the server does by itself, later
	log.taken()
	ctx := projectionstest.Context(t)

	conn := connect(t, dsn)
	key := projections.ReportKey{Signer: [32]byte{1}, Shard: 1, Sequence: 7}
	for name, ask := range map[string]func(projections.Reader) (any, error){
		"Balance":              func(r projections.Reader) (any, error) { return r.Balance(ctx, projectionstest.Available, [32]byte{1}) },
		"BalancesOf":           func(r projections.Reader) (any, error) { return r.BalancesOf(ctx, [32]byte{1}) },
		"Job":                  func(r projections.Reader) (any, error) { return r.Job(ctx, domain.JobID{1}) },
		"Batch":                func(r projections.Reader) (any, error) { return r.Batch(ctx, 77) },
		"Payout":               func(r projections.Reader) (any, error) { return r.Payout(ctx, domain.ProviderID{1}) },
		"PaymentsTo":           func(r projections.Reader) (any, error) { return r.PaymentsTo(ctx, domain.ProviderID{1}) },
		"Report":               func(r projections.Reader) (any, error) { return r.Report(ctx, key) },
		"LastSequence":         func(r projections.Reader) (any, error) { return r.LastSequence(ctx, key.Signer, 1) },
		"Provider":             func(r projections.Reader) (any, error) { return r.Provider(ctx, domain.ProviderID{1}) },
		"AccountsOf":           func(r projections.Reader) (any, error) { return r.AccountsOf(ctx, domain.ClientID{1}) },
		"RejectionsOfJob":      func(r projections.Reader) (any, error) { return r.RejectionsOfJob(ctx, domain.JobID{1}) },
		"RejectionsOfReport":   func(r projections.Reader) (any, error) { return r.RejectionsOfReport(ctx, key) },
		"RejectionsOfProvider": func(r projections.Reader) (any, error) { return r.RejectionsOfProvider(ctx, domain.ProviderID{1}) },
		"MaturityOf": func(r projections.Reader) (any, error) {
			return r.MaturityOf(ctx, domain.ProviderID{1}, 5, domain.Position{Shard: 1})
		},
		"FirstLine": func(r projections.Reader) (any, error) {
			return r.FirstLine(ctx, domain.ProviderID{1}, domain.Position{Shard: 1})
		},
		"PaymentReaching": func(r projections.Reader) (any, error) { return r.PaymentReaching(ctx, domain.ProviderID{1}, 5) },
		"UsageTotals of a day": func(r projections.Reader) (any, error) {
			return r.UsageTotals(ctx, projections.UsageFilter{FromMs: 500, ToMs: 524}, projections.UsageBy{Hour: true})
		},
		"Standings": func(r projections.Reader) (any, error) {
			return r.Standings(ctx, v1.SubjectKind_SUBJECT_KIND_WORKER, [32]byte{1})
		},
		"Hold": func(r projections.Reader) (any, error) { return r.Hold(ctx, domain.JobID{1}) },
		"Holdback": func(r projections.Reader) (any, error) {
			return r.Holdback(ctx, projections.HoldbackKey{Provider: domain.ProviderID{1}, Shard: 1, BucketMs: 5})
		},
		"HoldbacksOf":    func(r projections.Reader) (any, error) { return r.HoldbacksOf(ctx, domain.ProviderID{1}) },
		"HoldExtensions": func(r projections.Reader) (any, error) { return r.HoldExtensions(ctx, domain.JobID{1}) },
		"AttestationAt":  func(r projections.Reader) (any, error) { return r.AttestationAt(ctx, domain.WorkerID{1}, 5) },
		"Trust":          func(r projections.Reader) (any, error) { return r.Trust(ctx, domain.WorkerID{1}) },
		"AttestationsOf": func(r projections.Reader) (any, error) { return r.AttestationsOf(ctx, domain.WorkerID{1}, 100) },
		"RetiredImage":   func(r projections.Reader) (any, error) { return r.RetiredImage(ctx, domain.Digest{1}) },
		"WorkersOf":      func(r projections.Reader) (any, error) { return r.WorkersOf(ctx, domain.ProviderID{1}) },
		"Work of a day": func(r projections.Reader) (any, error) {
			return r.Work(ctx, projections.MarketFilter{FromMs: 500, ToMs: 524})
		},
		// These two ask for the balance first, which is there.
		"BalanceAt": func(r projections.Reader) (any, error) {
			return r.BalanceAt(ctx, projectionstest.Earned, sum256(5), 5_000_000)
		},
		"Journal": func(r projections.Reader) (any, error) {
			return r.Journal(ctx, projectionstest.Earned, sum256(5), projections.JournalLine{}, 10)
		},
	} {
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
					t.Errorf("all of %s is read by\n%s", table, q.SQL)
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
		const second = "SELECT amount FROM finance.journal WHERE posted_at BETWEEN '1970-01-01 00:00:50+00' AND '1970-01-01 00:00:51+00'"
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

// manyRows fills a table: row i has i in every number, and an id that is all zeros but for i.
func manyRows(table projections.Table) string {
	var values []string
	for i, c := range table.New().Columns(nil) {
		value := "i"
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
