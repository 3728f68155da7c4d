package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

func TestTheStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	projectionstest.Exercise(t, harness())
}

func TestTheStoreKeepsTheLastFinding(t *testing.T) {
	t.Parallel()
	projectionstest.ExerciseFindings(t, harness())
}

func harness() projectionstest.Harness {
	urls := map[projections.Store]string{}
	openAt := func(t *testing.T, url string) projections.Store {
		t.Helper()
		store := open(t, url)
		urls[store] = url
		return store
	}
	return projectionstest.Harness{
		Open: func(t *testing.T) projections.Store { return openAt(t, services.Postgres(t)) },
		Reopen: func(t *testing.T, store projections.Store) projections.Store {
			store.(*postgres.Store).Close()
			return openAt(t, urls[store])
		},
		MakeTable: func(t *testing.T, store projections.Store, table projections.Table) {
			execute(t, urls[store], createTable(table))
		},
	}
}

func TestTheReaderKeepsTheContract(t *testing.T) {
	t.Parallel()
	projectionstest.ExerciseReader(t, func(t *testing.T) projectionstest.Readable { return open(t, services.Postgres(t)) })
}

// open opens a store that is closed with the test.
func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// execute changes a database behind the store's back.
func execute(t testing.TB, url, statement string) {
	t.Helper()
	if _, err := connect(t, url).Exec(context.WithoutCancel(t.Context()), statement); err != nil { // cleanups do this too
		t.Fatalf("%s: %v", statement, err)
	}
}

// column returns the first column of what a query selects.
func column[T any](t testing.TB, url, query string, args ...any) []T {
	t.Helper()
	selected, err := connect(t, url).Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	all, err := pgx.CollectRows(selected, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.WithoutCancel(t.Context()), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = conn.Close(ctx) // of a server that a test has crashed, perhaps
	})
	return conn
}

// createTable is what a migration does for a new version of a model.
func createTable(table projections.Table) string {
	var columns, keys []string
	for i, c := range table.New().Columns(nil) {
		kind := "bigint"
		switch c.Field.(type) {
		case *string:
			kind = `text COLLATE "C"`
		case *[32]byte, *[]byte:
			kind = "bytea"
		}
		columns = append(columns, c.Name+" "+kind+" NOT NULL")
		if i < table.KeyColumns {
			keys = append(keys, c.Name)
		}
	}
	return fmt.Sprintf("CREATE TABLE filature.%s_v%d (%s, PRIMARY KEY (%s))", table.Name, table.Version,
		strings.Join(columns, ", "), strings.Join(keys, ", "))
}
