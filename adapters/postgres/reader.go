package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Read answers questions as of one moment; see projections.Source. What it gives is good until see returns.
func (s *Store) Read(ctx context.Context, see func(projections.Reader) error) error {
	return s.read(ctx, func(v *view) error { return see(reader{v}) })
}

var _ projections.Source = (*Store)(nil)

// reader asks the views, so it sees the published version of each model.
type reader struct{ *view }

// all returns the rows of a model that a query selects, all columns of it.
func all[K comparable, R any, P interface {
	*R
	projections.Row
}](ctx context.Context, q reader, model *projections.Definition[K, R, P], query string, args ...any) ([]R, error) {
	fail := func(err error) ([]R, error) { return nil, fmt.Errorf("read %s: %w", model.Name, explain(err)) }
	selected, err := q.tx.Query(ctx, query, append([]any{pgx.QueryResultFormats(binaryFormat)}, args...)...)
	if err != nil {
		return fail(err)
	}
	defer selected.Close()
	var found []R
	var columns []projections.Column
	for selected.Next() {
		var row R
		columns = P(&row).Columns(columns[:0])
		if err := setColumns(columns, selected.RawValues()); err != nil {
			return fail(err)
		}
		found = append(found, row)
	}
	if err := selected.Err(); err != nil {
		return fail(err)
	}
	return found, nil
}

// many returns the published rows of a model that a query's tail picks.
func many[K comparable, R any, P interface {
	*R
	projections.Row
}](ctx context.Context, q reader, model *projections.Definition[K, R, P], tail string, args ...any) ([]R, error) {
	return all(ctx, q, model, selectStatement(model.Table(), viewName(model.Table()), tail), args...)
}

// one is many where there can be one at most; it is ErrNotFound where there is none.
func one[K comparable, R any, P interface {
	*R
	projections.Row
}](ctx context.Context, q reader, model *projections.Definition[K, R, P], tail string, args ...any) (R, error) {
	found, err := many(ctx, q, model, tail, args...)
	return only(model.Name, found, err)
}

func only[R any](name string, found []R, err error) (R, error) {
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: %w", name, projections.ErrNotFound)
	}
	if err != nil {
		var none R
		return none, err
	}
	return found[0], nil
}

// scanAll reads rows that are not a model's.
func scanAll[T any](ctx context.Context, q reader, what string, fields func(*T) []any, query string, args ...any) ([]T, error) {
	selected, err := q.tx.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, explain(err))
	}
	found, err := pgx.CollectRows(selected, func(row pgx.CollectableRow) (t T, err error) { return t, row.Scan(fields(&t)...) })
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, explain(err))
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found, nil
}

// scanOne reads one number.
func scanOne[T ~int64](ctx context.Context, q reader, what, query string, args ...any) (T, error) {
	var number T
	if err := q.tx.QueryRow(ctx, query, args...).Scan(&number); err != nil {
		return 0, fmt.Errorf("read %s: %w", what, explain(err))
	}
	return number, nil
}

// blob is how an id stands in the tables.
func blob[T ~[32]byte](id T) []byte {
	if id == (T{}) {
		return []byte{}
	}
	return id[:]
}

func (q reader) At(ctx context.Context) (projections.Checkpoint, error) {
	standing, err := readCheckpoints(ctx, q.tx)
	if err != nil {
		return nil, err
	}
	var at projections.Checkpoint
	for i, model := range projections.All() {
		place := standing[tableName(model.Table())]
		if i > 0 && !place.Equal(at) {
			return nil, fmt.Errorf("%s stands at %v, others at %v: %w", model.Table(), place.Cut(), at.Cut(), projections.ErrNotTogether)
		}
		at = place
	}
	return at, nil
}

func (q reader) Balance(ctx context.Context, kind v1.AccountKind, owner [32]byte) (projections.Balance, error) {
	return one(ctx, q, projections.Balances, "WHERE kind = $1 AND owner = $2", projections.KindName(kind), blob(owner))
}

// BalanceAt goes by the months, then the hours of the month that had begun, then the postings of the hour that had.
func (q reader) BalanceAt(ctx context.Context, kind v1.AccountKind, owner [32]byte, atMs int64) (domain.Nano, error) {
	const query = `SELECT (
		(SELECT coalesce(sum(in_nano - out_nano), 0) FROM filature.month_flows WHERE kind = $1 AND owner = $2 AND month_ms < $3) +
		(SELECT coalesce(sum(in_nano - out_nano), 0) FROM filature.movements WHERE kind = $1 AND owner = $2 AND hour_ms >= $3 AND hour_ms < $4) +
		(SELECT coalesce(sum(amount_nano), 0) FROM filature.journal WHERE kind = $1 AND owner = $2 AND at_ms BETWEEN $4 AND $5)
	)::bigint FROM filature.balances WHERE kind = $1 AND owner = $2`
	since := projections.SinceOf(atMs)
	found, err := scanAll(ctx, q, "balance at a time", func(held *domain.Nano) []any { return []any{held} },
		query, projections.KindName(kind), blob(owner), since.MonthMs, since.HourMs, atMs)
	return only(projections.Balances.Name, found, err)
}

func (q reader) Moved(ctx context.Context, kind v1.AccountKind, owner [32]byte) (projections.Turnover, error) {
	const query = `SELECT coalesce(sum(in_nano), 0)::bigint, coalesce(sum(out_nano), 0)::bigint, coalesce(sum(postings), 0)::bigint
		FROM filature.month_flows WHERE kind = $1 AND owner = $2`
	found, err := scanAll(ctx, q, "what moved", func(t *projections.Turnover) []any { return []any{&t.In, &t.Out, &t.Postings} },
		query, projections.KindName(kind), blob(owner))
	return only(projections.MonthFlows.Name, found, err)
}

func (q reader) BalancesOf(ctx context.Context, owner [32]byte) ([]projections.Balance, error) {
	kinds := make([]string, 0, len(v1.AccountKind_name))
	for kind := range v1.AccountKind_name {
		kinds = append(kinds, projections.KindName(v1.AccountKind(kind)))
	}
	// Naming the kinds makes this some searches in the primary key.
	found, err := many(ctx, q, projections.Balances, "WHERE owner = $1 AND kind = ANY ($2) ORDER BY kind", blob(owner), kinds)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("balances of %x: %w", owner, projections.ErrNotFound)
	}
	return found, err
}

func (q reader) TrialBalance(ctx context.Context) ([]projections.KindTotal, error) {
	return scanAll(ctx, q, "trial balance", func(t *projections.KindTotal) []any { return []any{&t.Kind, &t.Accounts, &t.Amount} },
		"SELECT kind, count(*), sum(amount_nano)::bigint FROM filature.balances GROUP BY kind ORDER BY kind")
}

func (q reader) Journal(ctx context.Context, kind v1.AccountKind, owner [32]byte, after projections.JournalLine, limit int) ([]projections.JournalLine, error) {
	if err := projections.CheckLimit(limit); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if _, err := q.Balance(ctx, kind, owner); err != nil {
		return nil, err
	}
	return many(ctx, q, projections.Journal, `WHERE kind = $1 AND owner = $2
		AND (at_ms, shard, ledger_offset, fact, posting) > ($3, $4, $5, $6, $7)
		ORDER BY at_ms, shard, ledger_offset, fact, posting LIMIT $8`,
		projections.KindName(kind), blob(owner), after.AtMs, after.Shard, after.Ledger, after.Fact, after.Posting, limit)
}

func (q reader) Job(ctx context.Context, job domain.JobID) (projections.Job, error) {
	return one(ctx, q, projections.Jobs, "WHERE job = $1", blob(job))
}

func (q reader) Batch(ctx context.Context, number uint32) (detail projections.BatchDetail, err error) {
	if detail.Batch, err = one(ctx, q, projections.Batches, "WHERE batch = $1", number); err != nil {
		return detail, err
	}
	detail.Cuts, err = many(ctx, q, projections.BatchCuts, "WHERE batch = $1 ORDER BY shard", number)
	return detail, err
}

func (q reader) Payout(ctx context.Context, payee domain.ProviderID) (projections.Payout, error) {
	return one(ctx, q, projections.Payouts, "WHERE payee = $1", blob(payee))
}

func (q reader) Report(ctx context.Context, key projections.ReportKey) (projections.Report, error) {
	return one(ctx, q, projections.Reports, "WHERE signer = $1 AND shard = $2 AND sequence = $3", blob(key.Signer), key.Shard, int64(key.Sequence))
}

func (q reader) LastSequence(ctx context.Context, signer domain.KeyID, shard domain.Shard) (uint64, error) {
	last, err := scanOne[int64](ctx, q, "last sequence",
		"SELECT coalesce(max(sequence), 0) FROM filature.reports WHERE signer = $1 AND shard = $2", blob(signer), shard)
	return uint64(last), err
}

func (q reader) Provider(ctx context.Context, provider domain.ProviderID) (projections.Provider, error) {
	return one(ctx, q, projections.Providers, "WHERE provider = $1", blob(provider))
}

func (q reader) Account(ctx context.Context, account domain.AccountID) (projections.Account, error) {
	return one(ctx, q, projections.Accounts, "WHERE account = $1", blob(account))
}
