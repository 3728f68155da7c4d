package postgres

import (
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/filature/filature/internal/services"
)

func TestAStoppedWriterIsEndedUnlessTheURLSaysOtherwise(t *testing.T) {
	t.Parallel()
	dsn := services.Postgres(t)
	address, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	settings := address.Query()
	settings.Set("idle_in_transaction_session_timeout", "3s")
	address.RawQuery = settings.Encode()
	for _, c := range []struct {
		url              string
		writing, reading string
	}{
		{dsn, stalledWriter, "0"},
		{address.String(), "3s", "3s"},
	} {
		store, err := Open(t.Context(), Config{URL: c.url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		for pool, want := range map[*pgxpool.Pool]string{store.writing: c.writing, store.reading: c.reading} {
			var have string
			if err := pool.QueryRow(t.Context(), "SHOW idle_in_transaction_session_timeout").Scan(&have); err != nil || have != want {
				t.Errorf("it is %s, want %s (%v)", have, want, err)
			}
		}
	}
}
