package postgres_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
)

func TestTheSchemasVersionIsToldAndNothingChanged(t *testing.T) {
	t.Parallel()
	c := postgres.Config{URL: services.Postgres(t)}
	for range 2 {
		have, want, err := postgres.SchemaVersion(t.Context(), c)
		if err != nil || have != 0 || want < 1 {
			t.Fatalf("an empty database has schema %d of %d (%v)", have, want, err)
		}
	}
	store, err := postgres.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	have, want, err := postgres.SchemaVersion(t.Context(), c)
	if err != nil || have != want {
		t.Errorf("a database that was opened has schema %d of %d (%v)", have, want, err)
	}

	conn, err := pgx.Connect(t.Context(), c.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "INSERT INTO filature.migrations (number, name) VALUES ($1, 'later')", want+1); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := postgres.SchemaVersion(t.Context(), c); !errors.Is(err, postgres.ErrNewerSchema) {
		t.Errorf("a newer schema is %v", err)
	}
}

func TestOpenedToReadNothingIsChanged(t *testing.T) {
	t.Parallel()
	c := postgres.Config{URL: services.Postgres(t)}
	if _, err := postgres.OpenReadOnly(t.Context(), c); !errors.Is(err, postgres.ErrOlderSchema) {
		t.Fatalf("an empty database, opened to read: %v", err)
	}
	if have, _, err := postgres.SchemaVersion(t.Context(), c); err != nil || have != 0 {
		t.Fatalf("opening to read made schema %d (%v)", have, err)
	}
	store, err := postgres.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	reader, err := postgres.OpenReadOnly(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	table := projections.Balances.Table()
	if err := reader.View(t.Context(), func(view projections.View) error {
		_, err := view.Checkpoint(t.Context(), table)
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := reader.Commit(t.Context(), []projections.Change{{Table: table, To: projections.Checkpoint{{Ledger: 1}}}}); err == nil {
		t.Error("a database that was opened to read was written")
	}
}

func TestWhatKeepsTheSchemaFromViewSaysWhatToDo(t *testing.T) {
	t.Parallel()
	wrong := parse(t, services.Postgres(t))
	wrong.User = url.UserPassword(wrong.User.Username(), "wr0ng")
	_, _, err := postgres.SchemaVersion(t.Context(), postgres.Config{URL: wrong.String()})
	if err == nil || !strings.Contains(err.Error(), "its password is wrong") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("a wrong password says %v", err)
	}
}
