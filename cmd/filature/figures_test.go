package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/dashboard"
	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/internal/browser"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	"github.com/filature/filature/workers/auditor/recount"
)

// figureTable says which figure is to be had in which ways. Each is compared, whole, with what recount comes to. A way with a
// star has some of them only: a page of a hundred jobs.
var figureTable = []struct{ figure, ways string }{
	// Money, by account.
	{"balance", "sqlite finance api table.csv table.parquet journal.csv journal.hledger page*"},
	{"balance then", "sqlite finance api"},
	{"kind", "sqlite finance api table.csv table.parquet journal.csv journal.hledger page"},
	{"kind then", "sqlite finance api"},
	{"accounts", "sqlite finance api table.csv table.parquet page*"},
	{"trial balance", "finance api document.json document.csv document.html"},
	{"movement", "sqlite finance table.csv table.parquet"},
	{"flow", "sqlite finance api table.csv table.parquet journal.hledger"},
	{"flow since", "sqlite finance api"},
	// The network.
	{"network", "sqlite api page*"},
	{"jobs", "sqlite api table.csv table.parquet"},
	{"disputes", "sqlite api table.csv table.parquet"},
	{"rejected", "sqlite api table.csv table.parquet page*"},
	{"market", "finance api page*"},
	// Usage.
	{"usage", "sqlite api table.csv table.parquet"},
	{"usage by day", "sqlite finance api"},
	{"usage by hour", "api"},
	{"usage by model", "api"},
	{"usage by provider", "sqlite finance api page*"},
	{"usage by client", "sqlite finance api"},
	{"usage by client and model", "api page*"},
	{"usage in all", "sqlite finance api table.csv table.parquet page*"},
	{"job", "sqlite api table.csv table.parquet page*"},
	{"job postings", "sqlite api* page*"},
	// Providers.
	{"provider holds", "api document.json document.csv document.html page"},
	{"provider owed", "sqlite finance api document.json document.html page"},
	{"provider paid", "sqlite finance api table.csv table.parquet document.json document.csv document.html page"},
	{"provider promised", "sqlite api table.csv table.parquet"},
	{"provider jobs ended", "sqlite finance api"},
	{"provider earned", "sqlite finance api document.json document.html page"},
	{"provider charged", "sqlite finance document.json document.html"},
	{"provider fee", "sqlite finance document.json document.html"},
	{"provider taken back", "sqlite table.csv table.parquet document.json document.html"},
	{"statement flow", "document.json document.csv document.html"},
	{"statement batch", "document.json document.csv document.html page*"},
	{"worker", "document.json document.csv document.html"},
	// Clients.
	{"client holds", "sqlite api document.json document.csv document.html page"},
	{"client charged", "sqlite finance document.json document.csv document.html page"},
	{"client deposited", "sqlite document.json document.html"},
	{"client refunded", "sqlite finance document.json document.csv"},
	{"deposited", "sqlite finance api table.csv table.parquet document.json document.csv document.html"},
	{"invoice flow", "document.json document.csv document.html"},
	{"invoice usage", "document.json document.csv document.html"},
	// Batches.
	{"batch", "sqlite* api table.csv table.parquet page"},
	{"batch line", "sqlite api table.csv table.parquet page"},
	{"batch cut", "api table.csv table.parquet page"},
}

// comparison holds ways to numbers against the truth, and notes what was compared.
type comparison struct {
	// counted is how many figures that are not zero were found right, by figure and way.
	counted map[string]int
}

// shownWrong is how many wrong figures of a way are told: they tend to be wrong together.
const shownWrong = 20

// compare wants a way to give every figure that the table says it gives, and no other than the truth.
func (c *comparison) compare(t *testing.T, way string, have figures, of *secondCount) {
	t.Helper()
	gives, whole := map[string]bool{}, map[string]bool{}
	for _, row := range figureTable {
		for name := range strings.FieldsSeq(row.ways) {
			if strings.TrimSuffix(name, "*") == way {
				gives[row.figure], whole[row.figure] = true, name == way
			}
		}
	}
	kindOf := func(name string) string { kind, _, _ := strings.Cut(name, ":"); return kind }
	wrong := 0
	fail := func(format string, args ...any) {
		t.Helper()
		if wrong++; wrong <= shownWrong {
			t.Errorf(format, args...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		kind := kindOf(name)
		switch want := of.figures[name]; {
		case !gives[kind]:
			t.Fatalf("the table of figures has no %q by %s", kind, way)
		case have[name] != want:
			fail("%s: %s is %d, counted again it is %d", way, name, have[name], want)
		case want != 0:
			c.counted[kind+" by "+way]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(of.figures)) {
		if want := of.figures[name]; want != 0 && whole[kindOf(name)] {
			if _, there := have[name]; !there {
				fail("%s: %s is missing, counted again it is %d", way, name, want)
			}
		}
	}
	if wrong > shownWrong {
		t.Errorf("%s: %d more are wrong", way, wrong-shownWrong)
	}
}

// enough wants something to have been compared wherever the table says so.
func (c *comparison) enough(t *testing.T) {
	t.Helper()
	all := 0
	for _, row := range figureTable {
		var line strings.Builder
		for way := range strings.FieldsSeq(row.ways) {
			way = strings.TrimSuffix(way, "*")
			n := c.counted[row.figure+" by "+way]
			if n == 0 {
				t.Errorf("no %q by %s was compared that is not zero", row.figure, way)
			}
			all += n
			fmt.Fprintf(&line, "  %s %d", way, n)
		}
		t.Logf("%-26s%s", row.figure, line.String())
	}
	t.Logf("%d figures that are not zero are what they should be", all)
}

// TestAfterADemoEveryWayToANumberGivesTheNumber counts a demo's ledger again with workers/auditor/recount alone, and compares
// each figure with what people get: SQL, the API, exports, documents, and pages. It does so twice: where the demo has ended
// and all are paid, and in its midst, where money is in every kind of account.
func TestAfterADemoEveryWayToANumberGivesTheNumber(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	ledger, ends := ledgerOf(t, folder)
	end, err := countAgain(t.Context(), ledger, ends)
	if err != nil {
		t.Fatal(err)
	}
	cut := inTheMidst(t, ledger, end)
	midst, err := countAgain(t.Context(), ledger, cut)
	if err != nil {
		t.Fatal(err)
	}
	url := services.Postgres(t)
	server, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	before := mustCopy(t, folder)
	if err := os.Remove(filepath.Join(before, projectionFile)); err != nil {
		t.Fatal(err)
	}

	b := browser.Open(t)
	c := &comparison{counted: map[string]int{}}
	fold(t, ledger, server, cut)
	fold(t, ledger, openTables(t, before), cut)
	c.compare(t, "finance", askSQL(t, "pgx", url, financeSQL(midst)), midst)
	c.exports(t, before, midst)
	c.served(t, b, serveBooks(t, server, ledger), midst)

	fold(t, ledger, server, ends)
	c.compare(t, "finance", askSQL(t, "pgx", url, financeSQL(end)), end)
	c.exports(t, folder, end)
	serving := launch(t, "serve", "--data", folder, "--listen", "127.0.0.1:0")
	serving.awaitReady(t)
	c.served(t, b, serving.url, end)
	serving.end(t)
	c.enough(t)
}

// exports compares what is made of a folder's tables without a server.
func (c *comparison) exports(t *testing.T, folder string, of *secondCount) {
	t.Helper()
	c.compare(t, "sqlite", sqliteFigures(t, filepath.Join(folder, projectionFile), of), of)
	c.compare(t, "table.csv", tableFigures(t, folder, "csv"), of)
	c.compare(t, "table.parquet", tableFigures(t, folder, "parquet"), of)
	c.compare(t, "journal.csv", journalCSVFigures(t, folder), of)
	c.compare(t, "journal.hledger", hledgerFigures(t, folder), of)
	c.compare(t, "document.json", jsonFigures(t, papersOf(t, folder, "json", of)), of)
	c.compare(t, "document.csv", sheetFigures(t, papersOf(t, folder, "csv", of)), of)
}

// served compares what a server answers, to programs and to people.
func (c *comparison) served(t *testing.T, b *browser.Browser, url string, of *secondCount) {
	t.Helper()
	c.compare(t, "api", apiFigures(t, url, of), of)
	c.compare(t, "document.html", printedFigures(t, b, url, of), of)
	c.compare(t, "page", pageFigures(t, b, url, of), of)
}

// inTheMidst is the place in the ledger at the last moment at which the most kinds of account held something.
func inTheMidst(t *testing.T, ledger eventstore.Reader, of *secondCount) (cut []int64) {
	t.Helper()
	postings := slices.Clone(of.books.Postings)
	slices.SortStableFunc(postings, func(a, b recount.Posting) int { return cmp.Compare(a.AtMs, b.AtMs) })
	held, most, momentMs := map[string]int64{}, 0, int64(0)
	for i, p := range postings {
		held[chart[p.Account.Kind]] += p.Amount
		if i+1 < len(postings) && postings[i+1].AtMs == p.AtMs {
			continue
		}
		kinds := 0
		for _, amount := range held {
			if amount != 0 {
				kinds++
			}
		}
		if kinds >= most {
			most, momentMs = kinds, p.AtMs
		}
	}
	if most < len(chart)-3 { // payable, in a batch and slashed come and go
		t.Fatalf("at no moment of the demo more than %d kinds of account held something", most)
	}
	for shard := range ledger.Shards() {
		cut = append(cut, 0)
		end, err := ledger.End(t.Context(), domain.Shard(shard))
		if err != nil {
			t.Fatal(err)
		}
		if err := eventstore.Each(t.Context(), ledger, domain.Shard(shard), 0, end, func(r eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(domain.Shard(shard), r)
			if err == nil && entry.AtMs <= momentMs {
				cut[shard] = int64(r.Offset) + 1
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return cut
}

func fold(t *testing.T, ledger eventstore.Reader, into projections.Store, ends []int64) {
	t.Helper()
	cut := make([]domain.Offset, len(ends))
	for shard, end := range ends {
		cut[shard] = domain.Offset(end)
	}
	if err := projections.FoldTo(t.Context(), ledger, into, cut, projections.All()...); err != nil {
		t.Fatal(err)
	}
}

func openTables(t *testing.T, folder string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(folder, projectionFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// serveBooks answers for tables that nobody moves on, with the handlers that serve has.
func serveBooks(t *testing.T, store *postgres.Store, ledger eventstore.Reader) (url string) {
	t.Helper()
	handler := httpapi.NewServer(httpapi.Config{
		Ready: func(context.Context) error { return nil }, Status: statusOf, Metrics: http.NotFoundHandler(), AtAddress: true, Log: slog.New(slog.DiscardHandler),
		OpenAPI: queryv1.OpenAPI, Pages: dashboard.Handler(dashboard.Config{}),
		Queries: queryapi.New(queryapi.Config{Source: store, Ledger: ledger, Now: time.Now}),
	}).Handler
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func ledgerOf(t *testing.T, folder string) (ledger eventstore.Reader, ends []int64) {
	t.Helper()
	log, err := seglog.OpenReadOnly(filepath.Join(folder, ledgerDir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	for shard := range log.Shards() {
		end, err := log.End(t.Context(), domain.Shard(shard))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int64(end))
	}
	return log, ends
}
