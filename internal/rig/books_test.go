package rig_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	"github.com/filature/filature/workers/auditor"
)

// In production the books are in PostgreSQL: what finance reads there, what an auditor counts, and what
// the embedded program keeps in SQLite are the same.

func openPostgres(t *testing.T) (store *postgres.Store, url string) {
	t.Helper()
	url = services.Postgres(t)
	store, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store, url
}

func TestFinanceSeesTheSumsThatTheAuditCounts(t *testing.T) {
	t.Parallel()
	store, url := openPostgres(t)
	world := rig.New(t, rig.Options{Seed: 43, Store: store, Judged: true})
	for range 2 {
		world.Live(120)
		world.Work()
		world.Mature()
		world.Work()
		if world.Settle() == nil {
			t.Fatal("nobody is owed anything")
		}
	}
	world.Live(20) // some jobs are under way
	world.Work()
	ctx := projectionstest.Context(t)
	cut := make([]domain.Offset, world.Ledger.Shards())
	for shard := range cut {
		end, err := world.Ledger.End(ctx, domain.Shard(shard))
		if err != nil {
			t.Fatal(err)
		}
		cut[shard] = end
	}
	if err := projections.FoldTo(ctx, world.Ledger, store, cut, projections.All()...); err != nil {
		t.Fatal(err)
	}
	report, err := auditor.Audit(ctx, auditor.Config{
		Genesis: world.Genesis, Intake: world.Intake, Ledger: world.Ledger, Store: store,
		Verifier: signing.NewVerifier(1024), Entropy: rand.Reader, Chain: world.Vault.History(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Verdict != auditor.Pass || report.Money == nil { // it has compared each row of the store
		t.Fatalf("the audit does not pass:\n%s", text(t, report))
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	sum := func(query string) domain.Nano {
		t.Helper()
		var nano int64
		if err := conn.QueryRow(ctx, "SELECT (coalesce(("+query+"), 0) * 1000000000)::bigint").Scan(&nano); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return domain.Nano(nano)
	}
	for _, c := range []struct {
		what, query string
		want        domain.Nano
	}{
		{"clients", "SELECT sum(balance) FROM finance.trial_balance WHERE kind LIKE 'client/%'", report.Money.ClientsNano},
		{"providers", "SELECT sum(balance) FROM finance.trial_balance WHERE kind LIKE 'provider/%'", report.Money.ProvidersNano},
		{"network", "SELECT sum(balance) FROM finance.trial_balance WHERE kind LIKE 'network/%'", report.Money.NetworkNano},
		{"books", "SELECT -sum(balance) FROM finance.trial_balance WHERE kind = 'vault/cash'", report.Money.BooksNano},
		{"trial balance", "SELECT sum(credit) - sum(debit) FROM finance.trial_balance", report.Money.TrialBalanceNano},
		{"clients, account by account", "SELECT sum(balance) FROM finance.balances WHERE kind LIKE 'client/%'", report.Money.ClientsNano},
		{"providers, by journal", "SELECT sum(amount) FROM finance.journal WHERE kind LIKE 'provider/%'", report.Money.ProvidersNano},
		{"clients, by hour", "SELECT sum(credit - debit) FROM finance.movements WHERE kind LIKE 'client/%'", report.Money.ClientsNano},
		{"providers, as of the end", "SELECT sum(balance) FROM finance.balances_as_of('2100-01-01') WHERE kind LIKE 'provider/%'", report.Money.ProvidersNano},
		{"providers, by statement", "SELECT sum(earned + corrections - paid) FROM finance.provider_statement", report.Money.ProvidersNano},
		{
			"clients, by deposit and invoice", `SELECT (SELECT sum(amount) FROM finance.journal WHERE kind = 'client/available' AND what = 'account_funded')
			- (SELECT sum(amount) FROM finance.client_invoice)`, report.Money.ClientsNano,
		},
	} {
		if have := sum(c.query); have != c.want {
			t.Errorf("%s: finance sees %d, the audit counts %d", c.what, have, c.want)
		}
	}
}

func TestAllStoresKeepTheSameRows(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	inPostgres, _ := openPostgres(t)
	inSQLite, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "rows.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inSQLite.Close(); err != nil {
			t.Error(err)
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		ledger := projectionstest.RandomLedger(rt) //nolint:contextcheck // a ledger in memory waits for nothing
		stores := []projections.Store{projections.NewMemStore(), inSQLite, inPostgres}
		for _, store := range stores {
			for _, model := range projections.All() {
				if err := store.Forget(ctx, model.Table()); err != nil {
					rt.Fatalf("forget %s: %v", model.Table(), err)
				}
			}
			for _, cut := range projectionstest.RandomCuts(rt, ledger) { // each store in steps of its own
				if err := projections.FoldTo(ctx, ledger, store, cut, projections.All()...); err != nil {
					rt.Fatalf("fold to %v: %v", cut, err)
				}
			}
		}
		projectionstest.SameRows(ctx, rt, stores[0], stores[1], projections.All()...)
		projectionstest.SameRows(ctx, rt, stores[1], stores[2], projections.All()...)
	})
}
