package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Read answers questions as of one moment; see projections.Source. What it gives is good until see returns.
func (s *Store) Read(ctx context.Context, see func(projections.Reader) error) error {
	return s.read(ctx, func(tx *sql.Tx) error { return see(reader{view{moment{tx: tx}}}) })
}

var _ projections.Source = (*Store)(nil)

// reader asks the views, so it sees the published version of each model.
type reader struct{ view }

// all returns the rows of a model that a query selects, all columns of it.
func all[K comparable, R any, P interface {
	*R
	projections.Row
}](ctx context.Context, q reader, model *projections.Definition[K, R, P], query string, args ...any) ([]R, error) {
	var found []R
	for row, err := range rows(ctx, q.tx, model.Table(), query, args...) {
		if err != nil {
			return nil, err
		}
		typed, ok := row.(P)
		if !ok {
			panic(fmt.Sprintf("sqlite: a row of %s is a %T", model.Name, row))
		}
		found = append(found, *typed)
	}
	return found, nil
}

// many returns the published rows of a model that a query's tail picks.
func many[K comparable, R any, P interface {
	*R
	projections.Row
}](ctx context.Context, q reader, model *projections.Definition[K, R, P], tail string, args ...any) ([]R, error) {
	return all(ctx, q, model, selectStatement(model.Table(), model.Name, tail), args...)
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
func scanAll[T any](ctx context.Context, q reader, fields func(*T) []any, query string, args ...any) ([]T, error) {
	found, err := q.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []T
	for found.Next() {
		var t T
		if err := found.Scan(fields(&t)...); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, found.Err()
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
	return one(ctx, q, projections.Balances, "WHERE kind = ? AND owner = ?", projections.KindName(kind), blob(owner))
}

// BalanceAt goes by the months, then the hours of the month that had begun, then the postings of the hour that had.
func (q reader) BalanceAt(ctx context.Context, kind v1.AccountKind, owner [32]byte, atMs int64) (domain.Nano, error) {
	const query = `SELECT (
		(SELECT COALESCE(SUM(in_nano - out_nano), 0) FROM month_flows WHERE kind = ?1 AND owner = ?2 AND month_ms < ?3) +
		(SELECT COALESCE(SUM(in_nano - out_nano), 0) FROM movements WHERE kind = ?1 AND owner = ?2 AND hour_ms >= ?3 AND hour_ms < ?4) +
		(SELECT COALESCE(SUM(amount_nano), 0) FROM journal WHERE kind = ?1 AND owner = ?2 AND at_ms BETWEEN ?4 AND ?5)
	) FROM balances WHERE kind = ?1 AND owner = ?2`
	since := projections.SinceOf(atMs)
	found, err := scanAll(ctx, q, func(held *domain.Nano) []any { return []any{held} },
		query, projections.KindName(kind), blob(owner), since.MonthMs, since.HourMs, atMs)
	return only(projections.Balances.Name, found, err)
}

func (q reader) Moved(ctx context.Context, kind v1.AccountKind, owner [32]byte) (projections.Turnover, error) {
	const query = `SELECT COALESCE(SUM(in_nano), 0), COALESCE(SUM(out_nano), 0), COALESCE(SUM(postings), 0)
		FROM month_flows WHERE kind = ?1 AND owner = ?2`
	found, err := scanAll(ctx, q, func(t *projections.Turnover) []any { return []any{&t.In, &t.Out, &t.Postings} },
		query, projections.KindName(kind), blob(owner))
	return only(projections.MonthFlows.Name, found, err)
}

func (q reader) BalancesOf(ctx context.Context, owner [32]byte) ([]projections.Balance, error) {
	kinds := make([]string, 0, len(v1.AccountKind_name))
	args := make([]any, 0, 1+len(v1.AccountKind_name))
	args = append(args, blob(owner))
	for kind := range v1.AccountKind_name {
		kinds, args = append(kinds, "?"), append(args, projections.KindName(v1.AccountKind(kind)))
	}
	// Naming the kinds makes this some searches in the primary key.
	found, err := many(ctx, q, projections.Balances, "WHERE owner = ? AND kind IN ("+strings.Join(kinds, ", ")+") ORDER BY kind", args...)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("balances of %x: %w", owner, projections.ErrNotFound)
	}
	return found, err
}

func (q reader) TrialBalance(ctx context.Context) ([]projections.KindTotal, error) {
	return scanAll(ctx, q, func(t *projections.KindTotal) []any { return []any{&t.Kind, &t.Accounts, &t.Amount} },
		"SELECT kind, COUNT(*), SUM(amount_nano) FROM balances GROUP BY kind ORDER BY kind")
}

func (q reader) Journal(ctx context.Context, kind v1.AccountKind, owner [32]byte, after projections.JournalLine, limit int) ([]projections.JournalLine, error) {
	if err := projections.CheckLimit(limit); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if _, err := q.Balance(ctx, kind, owner); err != nil {
		return nil, err
	}
	return many(ctx, q, projections.Journal, `WHERE kind = ? AND owner = ?
		AND (at_ms, shard, ledger_offset, fact, posting) > (?, ?, ?, ?, ?)
		ORDER BY at_ms, shard, ledger_offset, fact, posting LIMIT ?`,
		projections.KindName(kind), blob(owner), after.AtMs, after.Shard, after.Ledger, after.Fact, after.Posting, limit)
}

func (q reader) Job(ctx context.Context, job domain.JobID) (projections.Job, error) {
	return one(ctx, q, projections.Jobs, "WHERE job = ?", blob(job))
}

func (q reader) Batch(ctx context.Context, number uint32) (detail projections.BatchDetail, err error) {
	if detail.Batch, err = one(ctx, q, projections.Batches, "WHERE batch = ?", number); err != nil {
		return detail, err
	}
	detail.Cuts, err = many(ctx, q, projections.BatchCuts, "WHERE batch = ? ORDER BY shard", number)
	return detail, err
}

func (q reader) Payout(ctx context.Context, payee domain.ProviderID) (projections.Payout, error) {
	return one(ctx, q, projections.Payouts, "WHERE payee = ?", blob(payee))
}

func (q reader) Report(ctx context.Context, key projections.ReportKey) (projections.Report, error) {
	return one(ctx, q, projections.Reports, "WHERE signer = ? AND shard = ? AND sequence = ?", blob(key.Signer), key.Shard, int64(key.Sequence))
}

func (q reader) LastSequence(ctx context.Context, signer domain.KeyID, shard domain.Shard) (uint64, error) {
	var last int64
	err := q.tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(sequence), 0) FROM reports WHERE signer = ? AND shard = ?", blob(signer), shard).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("read last sequence of %s: %w", signer, err)
	}
	return uint64(last), nil
}

func (q reader) Provider(ctx context.Context, provider domain.ProviderID) (projections.Provider, error) {
	return one(ctx, q, projections.Providers, "WHERE provider = ?", blob(provider))
}

func (q reader) Account(ctx context.Context, account domain.AccountID) (projections.Account, error) {
	return one(ctx, q, projections.Accounts, "WHERE account = ?", blob(account))
}
