package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/filature/filature/internal/services"
)

func TestAStoppedWriterIsEndedUnlessTheURLSaysOtherwise(t *testing.T) {
	t.Parallel()
	url := services.Postgres(t)
	for _, c := range []struct {
		url              string
		writing, reading string
	}{
		{url, stalledWriter, "0"},
		{url + "&idle_in_transaction_session_timeout=3s", "3s", "3s"},
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
