package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/sqlite"
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
	files := map[projections.Store]string{}
	openAt := func(t *testing.T, path string) projections.Store {
		t.Helper()
		store := open(t, path)
		files[store] = path
		return store
	}
	return projectionstest.Harness{
		Open: func(t *testing.T) projections.Store { return openAt(t, newPath(t)) },
		Reopen: func(t *testing.T, store projections.Store) projections.Store {
			if err := store.(*sqlite.Store).Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
			return openAt(t, files[store])
		},
		MakeTable: func(t *testing.T, store projections.Store, table projections.Table) {
			execute(t, files[store], createTable(table))
		},
	}
}

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "projections with spaces & 100%.db")
}

// open opens a store that is closed with the test, unless the test closes it.
func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return store
}

// execute changes a file behind the store's back.
func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func createTable(table projections.Table) string {
	var names []string
	for _, column := range table.New().Columns(nil) {
		names = append(names, column.Name)
	}
	return fmt.Sprintf("CREATE TABLE %s_v%d (%s, PRIMARY KEY (%s))", table.Name, table.Version,
		strings.Join(names, ", "), strings.Join(names[:table.KeyColumns], ", "))
}

func TestTheReaderKeepsTheContract(t *testing.T) {
	t.Parallel()
	projectionstest.ExerciseReader(t, func(t *testing.T) projectionstest.Readable { return open(t, newPath(t)) })
}
