package postgres

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// page returns rows of a model as many does; the last argument of the tail is the limit.
func page[K comparable, R any, P interface {
	*R
	projections.Row
}](ctx context.Context, q reader, model *projections.Definition[K, R, P], limit int, tail string, args ...any) ([]R, error) {
	if err := projections.CheckLimit(limit); err != nil {
		return nil, fmt.Errorf("read %s: %w", model.Name, err)
	}
	return many(ctx, q, model, tail+fmt.Sprintf(" LIMIT $%d", len(args)+1), append(args, limit)...)
}

// widened returns rows of a model, each with more columns behind it; the last argument of the tail is the limit.
func widened[K comparable, R any, T any, P interface {
	*R
	projections.Row
}](ctx context.Context, q reader, model *projections.Definition[K, R, P], row func(*T) *R, more func(*T) []projections.Column,
	limit int, columns []string, tail string, args ...any,
) ([]T, error) {
	if err := projections.CheckLimit(limit); err != nil {
		return nil, fmt.Errorf("read %s: %w", model.Name, err)
	}
	names := append(columnsOf("t", model.Table()), columns...)
	query := fmt.Sprintf("SELECT %s FROM %s AS t %s LIMIT $%d", strings.Join(names, ", "), viewName(model.Table()), tail, len(args)+1)
	fail := func(err error) ([]T, error) { return nil, fmt.Errorf("read %s: %w", model.Name, explain(err)) }
	selected, err := q.tx.Query(ctx, query, append([]any{pgx.QueryResultFormats(binaryFormat)}, append(args, limit)...)...)
	if err != nil {
		return fail(err)
	}
	defer selected.Close()
	var found []T
	for selected.Next() {
		var t T
		if err := setColumns(append(P(row(&t)).Columns(nil), more(&t)...), selected.RawValues()); err != nil {
			return fail(err)
		}
		found = append(found, t)
	}
	if err := selected.Err(); err != nil {
		return fail(err)
	}
	return found, nil
}

// columnsOf are a table's columns where the table has another name.
func columnsOf(name string, table projections.Table) []string {
	columns := columnNames(table)
	for i, column := range columns {
		columns[i] = name + "." + column
	}
	return columns
}

// lowerThan is a place that all is below where none is given.
func lowerThan(place int64) int64 {
	if place == 0 {
		return math.MaxInt64
	}
	return place
}

func (q reader) BalancesOfKind(ctx context.Context, kind v1.AccountKind, after *[32]byte, limit int) ([]projections.Balance, error) {
	if after == nil {
		return page(ctx, q, projections.Balances, limit, "WHERE kind = $1 ORDER BY owner", projections.KindName(kind))
	}
	return page(ctx, q, projections.Balances, limit, "WHERE kind = $1 AND owner > $2 ORDER BY owner", projections.KindName(kind), blob(*after))
}

func (q reader) DepositsOf(ctx context.Context, account domain.AccountID, belowLT uint64, limit int) ([]projections.Deposit, error) {
	return page(ctx, q, projections.Deposits, limit, "WHERE account = $1 AND lt < $2 ORDER BY lt DESC", blob(account), int64(belowLT))
}

func (q reader) BatchesBelow(ctx context.Context, number uint32, limit int) ([]projections.Batch, error) {
	return page(ctx, q, projections.Batches, limit, "WHERE batch < $1 ORDER BY batch DESC", number)
}

func (q reader) LinesOf(ctx context.Context, number uint32, after domain.ProviderID, limit int) ([]projections.BatchLine, error) {
	return page(ctx, q, projections.BatchLines, limit, "WHERE batch = $1 AND payee > $2 ORDER BY payee", number, blob(after))
}

func (q reader) LinesFor(ctx context.Context, payee domain.ProviderID, below uint32, limit int) ([]projections.BatchLine, error) {
	return page(ctx, q, projections.BatchLines, limit, "WHERE payee = $1 AND batch < $2 ORDER BY batch DESC", blob(payee), below)
}

func (q reader) PaymentsTo(ctx context.Context, payee domain.ProviderID, belowLT uint64, limit int) ([]projections.Payment, error) {
	return page(ctx, q, projections.Payments, limit, "WHERE payee = $1 AND lt < $2 ORDER BY lt DESC", blob(payee), int64(belowLT))
}

func (q reader) HoldbacksOf(ctx context.Context, provider domain.ProviderID, after projections.Holdback, limit int) ([]projections.Holdback, error) {
	return page(ctx, q, projections.Holdbacks, limit, `WHERE provider = $1 AND amount_nano > released_nano + forfeited_nano
		AND (until_ms, shard, bucket_ms) > ($2, $3, $4) ORDER BY until_ms, shard, bucket_ms`,
		blob(provider), after.UntilMs, after.Shard, after.BucketMs)
}

func (q reader) HoldTotals(ctx context.Context, worker domain.WorkerID, after projections.HoldTotal, limit int) ([]projections.HoldTotal, error) {
	if err := projections.CheckLimit(limit); err != nil {
		return nil, fmt.Errorf("read held pay: %w", err)
	}
	of := ""
	args := []any{blob(after.Worker), after.Cause, after.State, blob(after.Provider), limit}
	if worker != (domain.WorkerID{}) {
		of, args = "worker = $6 AND ", append(args, blob(worker))
	}
	return scanAll(ctx, q, "held pay", func(t *projections.HoldTotal) []any {
		return []any{id[domain.WorkerID]{&t.Worker}, id[domain.ProviderID]{&t.Provider}, &t.Cause, &t.State, &t.Jobs, &t.Amount, &t.Charge}
	}, `SELECT worker, provider, cause, state, count(*), sum(amount_nano)::bigint, sum(charge_nano)::bigint FROM filature.holds
		WHERE `+of+`(worker, cause, state, provider) > ($1, $2, $3, $4)
		GROUP BY worker, cause, state, provider ORDER BY worker, cause, state, provider LIMIT $5`, args...)
}

func (q reader) AccountsOf(ctx context.Context, client domain.ClientID, after domain.AccountID, limit int) ([]projections.AccountTotal, error) {
	return widened(ctx, q, projections.Accounts, func(a *projections.AccountTotal) *projections.Account { return &a.Account },
		func(a *projections.AccountTotal) []projections.Column {
			return []projections.Column{{Name: "available_nano", Field: (*int64)(&a.Available)}, {Name: "reserved_nano", Field: (*int64)(&a.Reserved)}}
		}, limit, []string{
			"coalesce((SELECT amount_nano FROM filature.balances WHERE kind = 'client/available' AND owner = t.account), 0)",
			"coalesce((SELECT amount_nano FROM filature.balances WHERE kind = 'client/reserved' AND owner = t.account), 0)",
		}, "WHERE client = $1 AND account > $2 ORDER BY account", blob(client), blob(after))
}

func (q reader) ClientTotals(ctx context.Context, after domain.ClientID, limit int) ([]projections.ClientTotal, error) {
	const held = `coalesce((SELECT sum(b.amount_nano)::bigint FROM filature.accounts AS a JOIN filature.balances AS b ON b.kind = '%s' AND b.owner = a.account
		WHERE a.client = t.client), 0)`
	return widened(ctx, q, projections.Clients, func(c *projections.ClientTotal) *projections.Client { return &c.Client },
		func(c *projections.ClientTotal) []projections.Column {
			return []projections.Column{
				{Name: "accounts", Field: &c.Accounts},
				{Name: "available_nano", Field: (*int64)(&c.Available)}, {Name: "reserved_nano", Field: (*int64)(&c.Reserved)},
			}
		}, limit, []string{
			"(SELECT count(*) FROM filature.accounts AS a WHERE a.client = t.client)", fmt.Sprintf(held, "client/available"), fmt.Sprintf(held, "client/reserved"),
		}, "WHERE client > $1 ORDER BY client", blob(after))
}

func (q reader) WorkerTotals(ctx context.Context, provider domain.ProviderID, after domain.WorkerID, limit int) ([]projections.WorkerTotal, error) {
	const standing = "coalesce((SELECT %s FROM filature.standings AS s WHERE s.kind = 'worker' AND s.subject = t.worker), 0)"
	columns := []string{
		"coalesce((SELECT state FROM filature.attestation_state AS a WHERE a.worker = t.worker), '')",
		fmt.Sprintf(standing, "min(score_ppm)"), fmt.Sprintf(standing, "count(*)"), fmt.Sprintf(standing, "max(suspended_until_ms)"),
		"(SELECT count(*) FROM filature.offers AS o WHERE o.worker = t.worker AND " + inForce("o") + ")",
	}
	tail, args := "WHERE worker > $1 ORDER BY worker", []any{blob(after)}
	if provider != (domain.ProviderID{}) {
		tail, args = "WHERE provider = $1 AND worker > $2 ORDER BY worker", []any{blob(provider), blob(after)}
	}
	return widened(ctx, q, projections.Workers, func(w *projections.WorkerTotal) *projections.Worker { return &w.Worker },
		func(w *projections.WorkerTotal) []projections.Column {
			return []projections.Column{
				{Name: "state", Field: &w.State}, {Name: "score_ppm", Field: &w.ScorePPM}, {Name: "judged_by", Field: &w.JudgedBy},
				{Name: "suspended_until_ms", Field: &w.SuspendedUntilMs}, {Name: "offers", Field: &w.Offers},
			}
		}, limit, columns, tail, args...)
}

func (q reader) Parties(ctx context.Context) (p projections.Parties, err error) {
	const query = `SELECT (SELECT count(*) FROM filature.providers WHERE retired_at_ms = 0),
		(SELECT count(*) FROM filature.workers WHERE retired_at_ms = 0), (SELECT count(*) FROM filature.clients WHERE retired_at_ms = 0)`
	if err := q.tx.QueryRow(ctx, query).Scan(&p.Providers, &p.Workers, &p.Clients); err != nil {
		return p, fmt.Errorf("count who takes part: %w", explain(err))
	}
	return p, nil
}

func (q reader) AttestationsLike(
	ctx context.Context, which projections.AttestationFilter, below projections.AttestationKey, limit int,
) ([]projections.Attestation, error) {
	where, args := "(ledger_offset, fact) < ($1, $2)", []any{lowerThan(int64(below.Offset)), below.Fact}
	if which.What != "" {
		args = append(args, which.What)
		where += fmt.Sprintf(" AND what = $%d", len(args))
	}
	if which.Worker != (domain.WorkerID{}) {
		args = append(args, blob(which.Worker))
		where += fmt.Sprintf(" AND worker = $%d", len(args))
	}
	return page(ctx, q, projections.Attestations, limit, "WHERE "+where+" ORDER BY ledger_offset DESC, fact DESC", args...)
}
