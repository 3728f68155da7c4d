package postgres

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/internal/services"
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
	conn, err := pgx.Connect(ctx, services.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	files := fstest.MapFS{"0001_a.sql": {Data: []byte("CREATE TABLE a (x int); INSERT INTO a VALUES (1);")}}
	for range 2 {
		if err := setUp(ctx, conn, files, ""); err != nil {
			t.Fatal(err)
		}
	}
	files["0002_b.sql"] = &fstest.MapFile{Data: []byte("INSERT INTO a VALUES (2); INSERT INTO nowhere VALUES (3);")}
	if err := setUp(ctx, conn, files, ""); err == nil {
		t.Error("a migration that fails is no error")
	}
	check := func(wantRows, wantVersion int) {
		t.Helper()
		var rows, version int
		err := conn.QueryRow(ctx, "SELECT (SELECT count(*) FROM a), (SELECT max(number) FROM filature.migrations)").Scan(&rows, &version)
		if err != nil || rows != wantRows || version != wantVersion {
			t.Errorf("there are %d rows at version %d, want %d at %d (%v)", rows, version, wantRows, wantVersion, err)
		}
	}
	check(1, 1)
	files["0002_b.sql"] = &fstest.MapFile{Data: []byte("INSERT INTO a VALUES (2)")}
	if err := setUp(ctx, conn, files, ""); err != nil {
		t.Fatal(err)
	}
	check(2, 2)
}
