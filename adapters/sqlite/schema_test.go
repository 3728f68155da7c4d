package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

func TestEveryModelHasItsTableAndItsView(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	open(t, path)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, model := range projections.All() {
		table := model.Table()
		var want, wantKey []string
		for i, column := range table.New().Columns(nil) {
			want = append(want, column.Name)
			if i < table.KeyColumns {
				wantKey = append(wantKey, column.Name)
			}
		}
		have := names(t, db, "SELECT name FROM pragma_table_info(? || '_v' || ?) ORDER BY cid", table.Name, table.Version)
		if !slices.Equal(have, want) {
			t.Errorf("table of %s has the columns %v, want %v", table, have, want)
		}
		key := names(t, db, "SELECT name FROM pragma_table_info(? || '_v' || ?) WHERE pk > 0 ORDER BY pk", table.Name, table.Version)
		if !slices.Equal(key, wantKey) {
			t.Errorf("table of %s has the key %v, want %v", table, key, wantKey)
		}
		if nullable := names(t, db, `SELECT name FROM pragma_table_info(? || '_v' || ?) WHERE "notnull" = 0`, table.Name, table.Version); nullable != nil {
			t.Errorf("table of %s can be null in %v", table, nullable)
		}
		if view := names(t, db, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table.Name); !slices.Equal(view, want) {
			t.Errorf("view %s has the columns %v, want %v", table.Name, view, want)
		}
	}
}

func names(t *testing.T, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAFileOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	store := open(t, path)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, "PRAGMA user_version = 9999")
	_, err := sqlite.Open(t.Context(), path)
	if !errors.Is(err, sqlite.ErrNewerSchema) {
		t.Fatalf("error is %v, want ErrNewerSchema", err)
	}
	for _, part := range []string{path, "9999"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %s", err, part)
		}
	}
}

func TestWhatIsNoDatabaseIsRefusedAndNotTouched(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	const text = "this is somebody's letter, and surely no database at all; it is long enough to be one"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v, want one that names the file", err)
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != text {
		t.Errorf("the file holds %q (%v)", kept, err)
	}
}

func TestAStoreInAMissingFolderIsAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "projections.db")
	if _, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v, want one that names the file", err)
	}
}

func TestAPublishedVersionIsTheOneThatReadersFind(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	path := newPath(t)
	store := open(t, path)
	story := projectionstest.NewStory(t)
	next := *projections.Clients
	next.Version = 2
	execute(t, path, createTable(next.Table()))
	models := projections.All()
	if err := projections.FoldTo(ctx, story, store, story.Cut(), append(models, &next)...); err != nil {
		t.Fatal(err)
	}
	if err := store.Publish(ctx, next.Table()); err != nil {
		t.Fatal(err)
	}
	execute(t, path, "UPDATE clients_v2 SET name = 'new'")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if have := names(t, db, "SELECT name FROM clients"); !slices.Equal(have, []string{"new", "new", "new"}) {
		t.Errorf("readers find %v", have)
	}
	if old := names(t, db, "SELECT name FROM sqlite_schema WHERE name = 'clients_v1'"); old != nil {
		t.Errorf("the older version is still there")
	}
}

func TestAChangedRowIsFound(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	path := newPath(t)
	story, store, memory := projectionstest.NewStory(t), open(t, path), projections.NewMemStore()
	for _, s := range []projections.Store{store, memory} {
		if err := projections.FoldTo(ctx, story, s, story.Cut(), projections.All()...); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ tamper, want string }{
		{"UPDATE balances_v1 SET amount_nano = amount_nano + 1 WHERE kind = 'vault/cash'", "amount_nano"},
		{"DELETE FROM jobs_v1 WHERE state = 'expired'", "jobs: row job="},
		{"INSERT INTO accounts_v1 VALUES (x'', x'', 1, 1, 1)", "accounts: row account="},
	} {
		execute(t, path, c.tamper)
		if have := firstDifference(t, memory, store); !strings.Contains(have, c.want) {
			t.Errorf("after %q the first difference is %q, want one with %q", c.tamper, have, c.want)
		}
		for _, model := range projections.All() { // back to what it was
			if err := store.Forget(ctx, model.Table()); err != nil {
				t.Fatal(err)
			}
		}
		if err := projections.FoldTo(ctx, story, store, story.Cut(), projections.All()...); err != nil {
			t.Fatal(err)
		}
		if have := firstDifference(t, memory, store); have != "" {
			t.Fatalf("rebuilt, it still differs: %s", have)
		}
	}
}

func firstDifference(t *testing.T, want, have projections.Store) (found string) {
	t.Helper()
	ctx := t.Context()
	err := want.View(ctx, func(w projections.View) error {
		return have.View(ctx, func(h projections.View) error {
			for _, model := range projections.All() {
				for d, err := range projections.Differences(ctx, model, w, h) {
					if err != nil {
						return err
					}
					found = d.String()
					return nil
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
