package services_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/filature/filature/internal/services"
)

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	first, second := connect(t, services.Postgres(t)), connect(t, services.Postgres(t))
	if _, err := first.Exec(t.Context(), "CREATE TABLE mine (x int)"); err != nil {
		t.Fatal(err)
	}
	var tables int
	if err := second.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE tablename = 'mine'").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("another database has %d of our tables (%v)", tables, err)
	}
}

func TestAServerEndsWithItsTest(t *testing.T) {
	var dsn string
	t.Run("the one test", func(t *testing.T) {
		dsn = services.OwnPostgres(t, "work_mem=5MB")
		var memory string
		if err := connect(t, dsn).QueryRow(t.Context(), "SHOW work_mem").Scan(&memory); err != nil || memory != "5MB" {
			t.Errorf("work_mem is %s (%v)", memory, err)
		}
	})
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		t.Error("the server still answers")
		_ = conn.Close(t.Context())
	}
}

func TestAServerThatWasKilledComesBackWithItsDisk(t *testing.T) {
	server, err := services.StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if _, err := connect(t, server.URL()).Exec(t.Context(), "CREATE TABLE mine AS SELECT 7 AS x"); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if conn, err := pgx.Connect(t.Context(), server.URL()); err == nil {
		t.Error("the server still answers")
		_ = conn.Close(t.Context())
	}
	if err := server.Revive(t.Context()); err != nil {
		t.Fatal(err)
	}
	var x int
	if err := connect(t, server.URL()).QueryRow(t.Context(), "SELECT x FROM mine").Scan(&x); err != nil || x != 7 {
		t.Errorf("it has %d (%v); want the 7 that was committed", x, err)
	}
}

func TestTheServerAsksForThePassword(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(services.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(address.User.Username(), "wrong")
	var refused *pgconn.PgError
	if _, err := pgx.Connect(t.Context(), address.String()); !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("error is %v, want that the password is wrong", err)
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}
