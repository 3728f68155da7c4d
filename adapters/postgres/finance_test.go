package postgres_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// books are a ledger, folded.
type books struct {
	url   string
	store *postgres.Store
}

func fold(ctx context.Context, t projectionstest.Fataler, store projections.Store, ledger *projectionstest.Ledger) {
	t.Helper()
	if err := projections.FoldTo(ctx, ledger, store, ledger.Cut(), projections.All()...); err != nil {
		t.Fatalf("fold: %v", err)
	}
}

func storyBooks(t *testing.T) (books, *projectionstest.Story) {
	t.Helper()
	story := projectionstest.NewStory(t)
	b := books{url: services.Postgres(t)}
	b.store = open(t, b.url)
	fold(projectionstest.Context(t), t, b.store, story.Ledger)
	return b, story
}

func (b books) read(ctx context.Context, t projectionstest.Fataler, see func(projections.Reader) error) {
	t.Helper()
	if err := b.store.Read(ctx, see); err != nil {
		t.Fatalf("read: %v", err)
	}
}

// nano reads an amount in coins as the integer of nanotons that it is.
func nano(t projectionstest.Fataler, coins string) domain.Nano {
	t.Helper()
	whole, ok := new(big.Int).SetString(strings.Replace(coins, ".", "", 1), 10)
	if _, fraction, _ := strings.Cut(coins, "."); !ok || len(fraction) != 9 || !whole.IsInt64() {
		t.Fatalf("%q is no amount with nine decimals", coins)
	}
	return domain.Nano(whole.Int64())
}

// amounts sums a column of coins by what another expression says.
func amounts(ctx context.Context, t projectionstest.Fataler, conn *pgx.Conn, query string, args ...any) map[string]domain.Nano {
	t.Helper()
	selected, err := conn.Query(ctx, query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer selected.Close()
	all := map[string]domain.Nano{}
	for selected.Next() {
		var key, coins string
		if err := selected.Scan(&key, &coins); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if _, twice := all[key]; twice {
			t.Fatalf("%s: %s is there twice", query, key)
		}
		all[key] = nano(t, coins)
	}
	if err := selected.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return all
}

func sameAmounts(t projectionstest.Fataler, what string, have, want map[string]domain.Nano) {
	t.Helper()
	for key, amount := range want {
		if have[key] != amount {
			t.Fatalf("%s: %s is %d nano, want %d", what, key, have[key], amount)
		}
	}
	if len(have) != len(want) {
		t.Fatalf("%s: there are %d lines, want %d", what, len(have), len(want))
	}
}

func account(kind string, owner [32]byte) string {
	if owner == ([32]byte{}) {
		return kind + " "
	}
	return kind + " " + hex.EncodeToString(owner[:])
}

func TestFinanceSeesTheSumsThatTheReaderGives(t *testing.T) {
	t.Parallel()
	b := books{url: services.Postgres(t)}
	b.store = open(t, b.url)
	conn := connect(t, b.url)
	ctx := projectionstest.Context(t)
	rapid.Check(t, func(rt *rapid.T) {
		for _, model := range projections.All() {
			if err := b.store.Forget(ctx, model.Table()); err != nil {
				rt.Fatalf("forget: %v", err)
			}
		}
		ledger := projectionstest.RandomLedger(rt) //nolint:contextcheck // a ledger in memory waits for nothing
		fold(ctx, rt, b.store, ledger)
		b.read(ctx, rt, func(r projections.Reader) error {
			checkBalances(ctx, rt, r, conn, ledger)
			checkUsage(ctx, rt, r, conn)
			checkStatements(ctx, rt, r, conn)
			checkMarket(ctx, rt, r, conn)
			return nil
		})
	})
}

func checkBalances(ctx context.Context, t *rapid.T, r projections.Reader, conn *pgx.Conn, ledger *projectionstest.Ledger) {
	now, kinds := map[string]domain.Nano{}, map[string]domain.Nano{}
	var all []projections.Balance
	for row, err := range projections.RowsOf(ctx, r, projections.Balances) {
		if err != nil {
			t.Fatalf("read balances: %v", err)
		}
		all = append(all, row)
		now[account(row.Kind, row.Owner)] = row.Amount
	}
	sameAmounts(t, "balances", amounts(ctx, t, conn, "SELECT kind || ' ' || owner, balance::text FROM finance.balances"), now)
	totals, err := r.TrialBalance(ctx)
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, total := range totals {
		kinds[total.Kind] = total.Amount
	}
	sameAmounts(t, "trial balance", amounts(ctx, t, conn, "SELECT kind, balance::text FROM finance.trial_balance"), kinds)
	const zero = "SELECT 'all', (coalesce(sum(debit) - sum(credit), 0) + coalesce(sum(balance), 0))::numeric(28, 9)::text FROM finance.trial_balance"
	sameAmounts(t, "debits and credits", amounts(ctx, t, conn, zero), map[string]domain.Nano{"all": 0})

	moments := []int64{projectionstest.StartMs - 1, ledger.NowMs + 1}
	for line, err := range projections.RowsOf(ctx, r, projections.Journal) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		moments = append(moments, line.AtMs-1, line.AtMs, line.AtMs+1) // the edges of what counts
	}
	atMs := rapid.SampledFrom(moments).Draw(t, "at")
	then := map[string]domain.Nano{}
	for _, row := range all {
		kind := v1.AccountKind(0)
		for k := range v1.AccountKind_name {
			if projections.KindName(v1.AccountKind(k)) == row.Kind {
				kind = v1.AccountKind(k)
			}
		}
		if then[account(row.Kind, row.Owner)], err = r.BalanceAt(ctx, kind, row.Owner, atMs); err != nil {
			t.Fatalf("%v", err)
		}
	}
	have := amounts(ctx, t, conn, "SELECT kind || ' ' || owner, balance::text FROM finance.balances_as_of($1)", time.UnixMilli(atMs))
	for key, amount := range then {
		if _, there := have[key]; !there && amount == 0 {
			delete(then, key) // nothing was posted to it by then
		}
	}
	sameAmounts(t, "balances as of a time", have, then)
}

func checkUsage(ctx context.Context, t *rapid.T, r projections.Reader, conn *pgx.Conn) {
	used, err := r.UsageTotals(ctx, projections.UsageFilter{}, projections.UsageBy{Client: true, Model: true, Provider: true})
	if err != nil {
		t.Fatalf("%v", err)
	}
	charges, parts, invoices := map[string]domain.Nano{}, map[string]domain.Nano{}, map[string]domain.Nano{}
	for _, u := range used {
		charges[account("", u.Client)] += u.Charge
		invoices[account("", u.Client)] += u.Charge
		parts[account("", u.Provider)] += u.WorkerPart
	}
	for job, err := range projections.RowsOf(ctx, r, projections.Jobs) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		if job.Refund != 0 {
			invoices[account("", job.Client)] -= job.Refund
		}
	}
	for hold, err := range projections.RowsOf(ctx, r, projections.Holds) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		if hold.Refund != 0 {
			invoices[account("", hold.Client)] -= hold.Refund
		}
	}
	sameAmounts(t, "charges", amounts(ctx, t, conn, "SELECT ' ' || client, sum(charge)::text FROM finance.usage_by_day GROUP BY 1"), charges)
	sameAmounts(t, "worker parts", amounts(ctx, t, conn, "SELECT ' ' || provider, sum(worker_part)::text FROM finance.usage_by_day GROUP BY 1"), parts)
	sameAmounts(t, "invoices", amounts(ctx, t, conn, "SELECT ' ' || client, sum(amount)::text FROM finance.client_invoice GROUP BY 1"), invoices)
}

func checkStatements(ctx context.Context, t *rapid.T, r projections.Reader, conn *pgx.Conn) {
	owed, paid, corrected := map[string]domain.Nano{}, map[string]domain.Nano{}, map[string]domain.Nano{}
	for row, err := range projections.RowsOf(ctx, r, projections.Balances) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		if strings.HasPrefix(row.Kind, "provider/") {
			owed[account("", row.Owner)] += row.Amount
		}
	}
	for job, err := range projections.RowsOf(ctx, r, projections.Jobs) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		if job.Provider != (domain.ProviderID{}) {
			corrected[account("", job.Provider)] -= job.RefundFromWorker + job.Slashed
		}
	}
	for hold, err := range projections.RowsOf(ctx, r, projections.Holds) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		if hold.State == projections.HoldRefused {
			corrected[account("", hold.Provider)] -= hold.Amount
		}
	}
	for back, err := range projections.RowsOf(ctx, r, projections.Holdbacks) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		corrected[account("", back.Provider)] -= back.Forfeited
	}
	for payout, err := range projections.RowsOf(ctx, r, projections.Payouts) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		paid[account("", payout.Payee)] = payout.Paid
	}
	statement := func(figure string) map[string]domain.Nano {
		return amounts(ctx, t, conn, "SELECT ' ' || provider, sum("+figure+")::text FROM finance.provider_statement GROUP BY 1")
	}
	for provider, amount := range statement("earned + corrections - paid") { // from the beginning, so this is what is owed
		if amount != owed[provider] {
			t.Fatalf("%s is owed %d, its statement comes to %d", provider, owed[provider], amount)
		}
	}
	for provider, amount := range statement("corrections") {
		if amount != corrected[provider] {
			t.Fatalf("disputes took %d from %s, its statement says %d", corrected[provider], provider, amount)
		}
	}
	for provider, amount := range statement("paid") {
		if amount != paid[provider] {
			t.Fatalf("%s was paid %d, its statement says %d", provider, paid[provider], amount)
		}
	}
	sameAmounts(t, "closing", amounts(ctx, t, conn, `SELECT DISTINCT ON (provider) ' ' || provider, closing::text
		FROM finance.provider_statement WHERE provider IN (SELECT owner FROM finance.balances WHERE kind LIKE 'provider/%')
		ORDER BY provider, day DESC`), owed)
	const broken = `SELECT count(*) FROM (
		SELECT *, lag(closing, 1, 0::numeric) OVER (PARTITION BY provider ORDER BY day) AS before FROM finance.provider_statement) AS s
		WHERE opening <> before OR opening + earned + corrections - paid <> closing`
	var n int
	if err := conn.QueryRow(ctx, broken).Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d lines of statements do not follow from the ones before (%v)", n, err)
	}
}

// checkMarket compares what finance sees of each hour with what Market makes of the same rows.
func checkMarket(ctx context.Context, t *rapid.T, r projections.Reader, conn *pgx.Conn) {
	want, err := projections.Market(ctx, r, projections.MarketFilter{ToMs: math.MaxInt64 - projections.HourMs})
	if err != nil {
		t.Fatalf("%v", err)
	}
	selected, err := conn.Query(ctx, `SELECT (extract(epoch FROM hour) * 1000)::bigint, model, active, busy, coalesce(lowest * 1000, 0)::bigint,
		coalesce(lower_quartile * 1000, 0)::bigint, coalesce(median * 1000, 0)::bigint, coalesce(upper_quartile * 1000, 0)::bigint,
		coalesce(highest * 1000, 0)::bigint, jobs, tokens, coalesce(cleared_coefficient * 1000, 0)::bigint,
		coalesce(per_million_tokens * 1000000000, 0)::bigint, (charge * 1000000000)::bigint FROM finance.market ORDER BY 1, 2`)
	if err != nil {
		t.Fatalf("%v", err)
	}
	have, err := pgx.CollectRows(selected, func(row pgx.CollectableRow) (m projections.MarketHour, err error) {
		var model string
		if err := row.Scan(&m.HourMs, &model, &m.Active, &m.Busy, &m.Lowest, &m.LowerQuartile, &m.Median, &m.UpperQuartile, &m.Highest,
			&m.Cleared, &m.Tokens, &m.ClearedCoefficient, &m.PerMillion, &m.Charge); err != nil {
			return m, err
		}
		m.Model, err = domain.ParseID[domain.ModelID](model)
		return m, err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(want) != 0 && !slices.Equal(have, want) || len(have) != len(want) {
		t.Fatalf("finance sees the market as\n%+v, want\n%+v", have, want)
	}
}

func TestFinanceReadsWordsAndCoins(t *testing.T) {
	t.Parallel()
	b, story := storyBooks(t)
	cut := story.Cut()
	for _, c := range []struct{ query, want string }{
		{
			"SELECT owner_name || ' ' || balance FROM finance.balances WHERE kind = 'client/available' ORDER BY 1",
			"[Other 0.000498300 Telegram 0.000984000 Third 0.000096000 Third 0.000098000]",
		},
		{"SELECT provider_name || ' ' || paid FROM finance.provider_statement WHERE paid <> 0", "[Alpha 0.000001000]"},
		{"SELECT DISTINCT posted_at::text FROM finance.journal WHERE posted_at <= 'epoch'", "[]"},
		{
			"SELECT kind || ' ' || debit || ' ' || credit FROM finance.trial_balance WHERE kind = 'vault/cash'",
			"[vault/cash 0.001699000 0.000000000]",
		},
		{
			`SELECT client_name || ' ' || line || ' ' || model_name || ' ' || amount FROM finance.client_invoice
				WHERE line = 'refund' ORDER BY 1`,
			"[Other refund Qwen/Qwen3@1:2 -0.000000300 Telegram refund Qwen/Qwen3@1:2 -0.000001000 " +
				"Third refund Qwen/Qwen3@1:2 -0.000002000]",
		},
		{"SELECT DISTINCT day::text FROM finance.usage_by_day", "[2026-01-01]"},
		{"SELECT DISTINCT month::text FROM finance.client_invoice", "[2026-01-01]"},
		{
			"SELECT shard || ':' || ledger_offset FROM finance.position ORDER BY shard",
			fmt.Sprintf("[0:%d 1:%d 2:%d]", cut[0], cut[1], cut[2]),
		},
		{
			`SELECT DISTINCT numeric_precision || ',' || numeric_scale FROM information_schema.columns
				WHERE table_schema = 'finance' AND data_type = 'numeric' AND table_name NOT IN ('market', 'reputation')`,
			"[28,9]",
		},
		{
			`SELECT DISTINCT numeric_precision || ',' || numeric_scale FROM information_schema.columns
				WHERE table_name = 'reputation' AND data_type = 'numeric'`,
			"[7,6]",
		},
		{
			`SELECT provider_name || ' ' || kind || ' ' || score || ' ' || completed || ' ' || attested || ' ' || (suspended_until IS NOT NULL)
				FROM finance.reputation ORDER BY kind`,
			"[Gamma provider 0.774039 8 13 false Gamma worker 0.774039 29 25 true]",
		},
		{
			"SELECT provider_name || ' ' || cause || ' ' || state || ' ' || amount || ' ' || refund FROM finance.held_pay ORDER BY cause, state",
			"[Gamma image_retired decided 0.000001000 0.000000000 Gamma image_retired refused 0.000001000 0.000002000 " +
				"Gamma never_passed released 0.000001000 0.000000000 Gamma never_passed waiting 0.000001000 0.000000000]",
		},
		{
			"SELECT provider_name || ' ' || held_back || ' ' || released || ' ' || forfeited || ' ' || remaining FROM finance.holdbacks",
			"[Gamma 0.000000250 0.000000150 0.000000100 0.000000000]",
		},
		{
			`SELECT model_name || ' ' || active || ' ' || busy || ' ' || lowest || ' ' || median || ' ' || highest || ' ' || jobs || ' ' ||
				tokens || ' ' || cleared_coefficient || ' ' || per_million_tokens FROM finance.market ORDER BY hour DESC LIMIT 1`,
			"[Qwen/Qwen3@1:2 4 1 0.900 1.000 4.000 4 4000 1.000 0.002000000]",
		},
		{
			`SELECT provider_name || ' ' || what || ' ' || fault || ' ' || reason || ' ' || cause FROM finance.attestations
				WHERE provider_name = 'Gamma' OR cause <> '' ORDER BY ledger_offset, what`,
			"[Gamma attestation_challenged    Gamma attestation_challenged    " +
				" attestation_expired   image_retired Gamma attestation_failed worker debug is on  Gamma key_rotated   ]",
		},
		{
			`SELECT provider_name || ' ' || attestation || ' ' || (attested_until IS NOT NULL) || ' ' || challenges || ' ' || passes || ' ' ||
				failures || ' ' || verifier_faults || ' ' || revocations || ' ' || held_jobs || ' ' || held_pay FROM finance.workers
				WHERE provider_name <> '' ORDER BY 1`,
			"[Alpha expired true 1 2 0 1 1 0 0.000000000 Beta never_passed false 0 0 0 0 0 0 0.000000000 " +
				"Gamma failed false 2 0 1 0 0 1 0.000001000]",
		},
	} {
		if have := fmt.Sprint(column[string](t, b.url, c.query)); have != c.want {
			t.Errorf("%s:\n%s, want\n%s", c.query, have, c.want)
		}
	}
}

func TestAllThatFinanceSeesIsExplained(t *testing.T) {
	t.Parallel()
	dsn := services.Postgres(t)
	open(t, dsn)
	for what, query := range map[string]string{
		"views": `SELECT relname FROM pg_class WHERE relnamespace = 'finance'::regnamespace AND relkind = 'v'
			AND obj_description(oid, 'pg_class') IS NULL`,
		"columns": `SELECT relname || '.' || attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
			WHERE relnamespace = 'finance'::regnamespace AND attnum > 0 AND col_description(attrelid, attnum) IS NULL`,
		"functions": `SELECT proname FROM pg_proc
			WHERE pronamespace = 'finance'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL`,
		"what is no view, and so holds data": "SELECT relname FROM pg_class WHERE relnamespace = 'finance'::regnamespace AND relkind <> 'v'",
	} {
		if bare := column[string](t, dsn, query); len(bare) > 0 {
			t.Errorf("%s without a comment: %v", what, bare)
		}
	}
	if views := column[string](t, dsn, "SELECT viewname FROM pg_views WHERE schemaname = 'finance'"); len(views) < 7 {
		t.Errorf("finance has the views %v only", views)
	}
}

func TestTheReaderRoleReadsFinanceAndNothingElse(t *testing.T) {
	t.Parallel()
	dsn := services.Postgres(t)
	role := "reader of " + strings.TrimPrefix(parse(t, dsn).Path, "/")
	for range 2 { // the role is there the second time
		store, err := postgres.Open(t.Context(), postgres.Config{URL: dsn, Reader: role})
		if err != nil {
			t.Fatal(err)
		}
		store.Close()
	}
	quoted := pgx.Identifier{role}.Sanitize()
	t.Cleanup(func() { execute(t, dsn, "DROP OWNED BY "+quoted+"; DROP ROLE "+quoted) })
	conn := connect(t, dsn)
	if _, err := conn.Exec(t.Context(), "SET ROLE "+quoted); err != nil {
		t.Fatal(err)
	}
	for _, view := range column[string](t, dsn, "SELECT viewname FROM pg_views WHERE schemaname = 'finance' ") {
		if _, err := conn.Exec(t.Context(), "TABLE finance."+view); err != nil {
			t.Errorf("reading %s: %v", view, err)
		}
	}
	if _, err := conn.Exec(t.Context(), "SELECT sum(balance) FROM finance.balances_as_of(now())"); err != nil {
		t.Errorf("asking for balances as of now: %v", err)
	}
	for _, forbidden := range []string{
		"SELECT * FROM filature.balances", "SELECT * FROM filature.balances_v1", "SELECT * FROM filature.checkpoints",
		"DELETE FROM filature.balances_v1", "CREATE TABLE finance.mine (x int)", "CREATE OR REPLACE VIEW finance.balances AS SELECT 1",
	} {
		var refused *pgconn.PgError
		if _, err := conn.Exec(t.Context(), forbidden); !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: error is %v, want that it is not allowed", forbidden, err)
		}
	}
}
