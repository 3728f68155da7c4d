package bigbooks_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/internal/bigbooks"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// small has two days, the second cut off.
var small = projectionstest.Big{Jobs: 1_200, AnHour: 40, Seed: 47}

// TestBooksThatAreMadeQuicklyAreThoseThatProjectionsCommit compares table by table, and finds the books again.
func TestBooksThatAreMadeQuicklyAreThoseThatProjectionsCommit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	folder := t.TempDir()
	want, err := sqlite.OpenScratch(ctx, filepath.Join(folder, "committed.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if err := small.Fill(ctx, want, projections.All()); err != nil {
		t.Fatal(err)
	}
	server := services.OwnPostgres(t, bigbooks.ServerSettings()...)
	told := map[string]bool{}
	tell := func(what string, done, of int) { told[what] = told[what] || done == of }
	for round := range 3 {
		books, err := bigbooks.Open(ctx, small, folder, server, tell)
		if err != nil {
			t.Fatal(err)
		}
		file, err := sqlite.Open(ctx, books.SQLite)
		if err != nil {
			t.Fatal(err)
		}
		database, err := postgres.Open(ctx, postgres.Config{URL: books.Postgres})
		if err != nil {
			t.Fatal(err)
		}
		for _, have := range []projections.Store{file, database} {
			projectionstest.SameRows(ctx, t, want, have, projections.All()...)
			sameCheckpoints(ctx, t, want, have)
		}
		switch round {
		case 0: // what an older program made has nothing of a model
			for _, store := range []projections.Store{file, database} {
				if err := store.Forget(ctx, projections.KindFlows.Table()); err != nil {
					t.Fatal(err)
				}
			}
		case 1:
			tell = func(what string, _, _ int) { t.Errorf("books that are there were made again: %s", what) }
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
		database.Close()
	}
	books, err := bigbooks.Open(ctx, small, folder, server, tell)
	if err != nil {
		t.Fatal(err)
	}
	// The server's own database gets the tables as they are made for everybody.
	database, err := postgres.Open(ctx, postgres.Config{URL: server})
	if err != nil {
		t.Fatal(err)
	}
	database.Close()
	if want, have := indexesOf(ctx, t, server), indexesOf(ctx, t, books.Postgres); !slices.Equal(want, have) {
		t.Errorf("PostgreSQL has indexes\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	if want, have := schemaOf(t, filepath.Join(folder, "committed.db")), schemaOf(t, books.SQLite); !slices.Equal(want, have) {
		t.Errorf("SQLite has\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	if len(told) == 0 {
		t.Error("nobody was told how far it is")
	}
	for what, all := range told {
		if !all {
			t.Errorf("%s: not to the end", what)
		}
	}
}

func sameCheckpoints(ctx context.Context, t *testing.T, want, have projections.Store) {
	t.Helper()
	of := func(store projections.Store) (at projections.Checkpoint) {
		if err := store.View(ctx, func(v projections.View) (err error) {
			at, err = v.Checkpoint(ctx, projections.Jobs.Table())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return at
	}
	if w, h := of(want), of(have); !w.Equal(h) {
		t.Errorf("the books go to %v, want %v", h.Cut(), w.Cut())
	}
}

// indexesOf lists the indexes and the keys of a database.
func indexesOf(ctx context.Context, t *testing.T, dsn string) []string {
	t.Helper()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	const query = `
		SELECT indexdef FROM pg_indexes WHERE schemaname = 'filature'
		UNION ALL SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' ORDER BY 1`
	found, err := conn.Query(ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	indexes, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return indexes
}

// schemaOf lists how all that is in a file is made.
func schemaOf(t *testing.T, path string) (made []string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := db.QueryContext(t.Context(), "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var how string
		if err := found.Scan(&how); err != nil {
			t.Fatal(err)
		}
		made = append(made, how)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return made
}
