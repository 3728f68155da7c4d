package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/filature/filature/projections"
)

func TestMigrationsAreNumberedWithoutAGap(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"0002_b.sql"}, {"0001_a.sql", "0003_c.sql"}, {"0001_a.sql", "0001_b.sql"}, {"first.sql"}} {
		files := fstest.MapFS{}
		for _, name := range names {
			files[name] = &fstest.MapFile{}
		}
		if _, err := readMigrations(files); !errors.Is(err, errMisnumbered) {
			t.Errorf("%v: error is %v, want errMisnumbered", names, err)
		}
	}
}

func TestAMigrationIsAppliedOnceAndWhole(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	files := fstest.MapFS{"0001_a.sql": {Data: []byte("CREATE TABLE a (x); INSERT INTO a VALUES (1);")}}
	for range 2 {
		if err := migrate(ctx, conn, files); err != nil {
			t.Fatal(err)
		}
	}
	files["0002_b.sql"] = &fstest.MapFile{Data: []byte("INSERT INTO a VALUES (2); INSERT INTO nowhere VALUES (3);")}
	if err := migrate(ctx, conn, files); err == nil {
		t.Error("a migration that fails is no error")
	}
	check := func(wantRows, wantVersion int) {
		t.Helper()
		var rows, version int
		if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM a").Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			t.Fatal(err)
		}
		if rows != wantRows || version != wantVersion {
			t.Errorf("there are %d rows at version %d, want %d at %d", rows, version, wantRows, wantVersion)
		}
	}
	check(1, 1)
	files["0002_b.sql"] = &fstest.MapFile{Data: []byte("INSERT INTO a VALUES (2)")}
	if err := migrate(ctx, conn, files); err != nil {
		t.Fatal(err)
	}
	check(2, 2)
}

func TestOpenedToReadNothingIsChanged(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "rows.db")
	if _, err := OpenReadOnly(ctx, path); err == nil {
		t.Fatal("a file that is not there was opened to read")
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("opening to read made a file")
	}
	store, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	table := projections.Balances.Table()
	reader, err := OpenReadOnly(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.View(ctx, func(view projections.View) error {
		_, err := view.Checkpoint(ctx, table)
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := reader.Commit(ctx, []projections.Change{{Table: table, To: projections.Checkpoint{{Ledger: 1}}}}); err == nil {
		t.Error("a file that was opened to read was written")
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for version, want := range map[int]error{1: ErrOlderSchema, 1000: ErrNewerSchema} {
		if _, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenReadOnly(ctx, path); !errors.Is(err, want) {
			t.Errorf("schema %d: %v, want %v", version, err, want)
		}
	}
}
