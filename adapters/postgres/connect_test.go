package postgres_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
)

func TestWhatKeepsAStoreFromOpeningSaysWhatToDo(t *testing.T) {
	t.Parallel()
	good := services.Postgres(t)
	with := func(change func(*url.URL)) string {
		changed := parse(t, good)
		change(changed)
		return changed.String()
	}
	for name, c := range map[string]struct{ url, advice string }{
		"no server":       {with(func(u *url.URL) { u.Host = closedPort(t) }), "start PostgreSQL"},
		"no such host":    {with(func(u *url.URL) { u.Host = "nowhere.invalid:5432" }), "correct the URL"},
		"wrong password":  {with(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wr0ng") }), "its password is wrong"},
		"unknown user":    {with(func(u *url.URL) { u.User = url.UserPassword("nobody", "wr0ng") }), "correct it in the URL"},
		"no database":     {with(func(u *url.URL) { u.Path = "/missing" }), "CREATE DATABASE"},
		"no URL":          {"postgres://user:wr0ng@host:port", "port"},
		"a user's rights": {poorUser(t, good), "granted CREATE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, err := postgres.Open(t.Context(), postgres.Config{URL: c.url})
			if err == nil {
				store.Close()
				t.Fatal("it opens")
			}
			if !strings.Contains(err.Error(), c.advice) {
				t.Errorf("error %q does not say %q", err, c.advice)
			}
			for _, secret := range []string{"wr0ng", services.PostgresPassword} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error %q gives the password away", err)
				}
			}
		})
	}
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// poorUser may log in and nothing else.
func poorUser(t *testing.T, dsn string) string {
	t.Helper()
	poor := parse(t, dsn)
	name := "poor_" + strings.TrimPrefix(poor.Path, "/")
	execute(t, dsn, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'poor'", name))
	t.Cleanup(func() { execute(t, dsn, "DROP ROLE "+name) })
	poor.User = url.UserPassword(name, "poor")
	return poor.String()
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	dsn := services.Postgres(t)
	open(t, dsn)
	execute(t, dsn, "INSERT INTO filature.migrations (number, name) VALUES (9999, '9999_later.sql')")
	_, err := postgres.Open(t.Context(), postgres.Config{URL: dsn})
	if !errors.Is(err, postgres.ErrNewerSchema) {
		t.Fatalf("error is %v, want ErrNewerSchema", err)
	}
	for _, part := range []string{"127.0.0.1", "9999", "use that program"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %s", err, part)
		}
	}
}

func TestProgramsThatStartAtOnceMigrateOnce(t *testing.T) {
	t.Parallel()
	dsn := services.Postgres(t)
	var starts errgroup.Group
	for range 4 {
		starts.Go(func() error {
			store, err := postgres.Open(t.Context(), postgres.Config{URL: dsn, Reader: "filature_reader"})
			if err == nil {
				store.Close()
			}
			return err
		})
	}
	if err := starts.Wait(); err != nil {
		t.Fatal(err)
	}
	if numbers := column[int32](t, dsn, "SELECT number FROM filature.migrations ORDER BY number"); fmt.Sprint(numbers) != "[1 2 3 4 5 6 7 8 9 10 11 12 13]" {
		t.Errorf("the migrations are %v", numbers)
	}
}

func TestEveryModelHasItsTableAndItsView(t *testing.T) {
	t.Parallel()
	dsn := services.Postgres(t)
	open(t, dsn)
	const columns = `SELECT column_name || ' ' || data_type || coalesce(' ' || collation_name, '') FROM information_schema.columns
		WHERE table_schema = 'filature' AND table_name = $1 ORDER BY ordinal_position`
	const key = `SELECT column_name FROM information_schema.key_column_usage
		WHERE table_schema = 'filature' AND table_name = $1 ORDER BY ordinal_position`
	const nullable = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'filature' AND table_name = $1 AND is_nullable <> 'NO'"
	for _, model := range projections.All() {
		table := model.Table()
		name := fmt.Sprintf("%s_v%d", table.Name, table.Version)
		var want, wantKey []string
		for i, c := range table.New().Columns(nil) {
			kind := "bigint"
			switch c.Field.(type) {
			case *string:
				kind = "text C"
			case *[32]byte, *[]byte:
				kind = "bytea"
			}
			want = append(want, c.Name+" "+kind)
			if i < table.KeyColumns {
				wantKey = append(wantKey, c.Name)
			}
		}
		same := func(what string, have, want any) {
			t.Helper()
			if fmt.Sprint(have) != fmt.Sprint(want) {
				t.Errorf("%s of %s: %v, want %v", what, table, have, want)
			}
		}
		same("columns of the table", column[string](t, dsn, columns, name), want)
		same("columns of the view", column[string](t, dsn, columns, table.Name), want)
		same("key", column[string](t, dsn, key, name), wantKey)
		same("nullable columns", column[string](t, dsn, nullable, name), []string{})
		same("published version", column[int64](t, dsn, "SELECT version FROM filature.published WHERE model = $1", table.Name), []int{table.Version})
	}
}
