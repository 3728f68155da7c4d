package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

func (q reader) Client(ctx context.Context, client domain.ClientID) (projections.Client, error) {
	return one(ctx, q, projections.Clients, "WHERE client = $1", blob(client))
}

func (q reader) MonthsBegun(ctx context.Context, fromMs int64) ([]projections.Month, error) {
	return many(ctx, q, projections.Months, `WHERE month_ms = (
		SELECT min(next.month_ms) FROM filature.months AS next WHERE next.shard = months.shard AND next.month_ms >= $1 AND next.month_ms > 0)
		ORDER BY shard`, fromMs)
}

// heldBy picks the accounts of a holder, so that they are found by their key.
func heldBy(whose projections.Holder) (where string, arg any) {
	if whose.Client != (domain.ClientID{}) {
		return `kind IN ('client/available', 'client/reserved') AND owner IN (SELECT account FROM filature.accounts WHERE client = $1)`, blob(whose.Client)
	}
	return `kind IN ('provider/earned', 'provider/held', 'provider/payable', 'provider/committed') AND owner = $1`, blob(whose.Provider)
}

func (q reader) FlowsOf(ctx context.Context, whose projections.Holder, fromMs, toMs int64) ([]projections.Flow, error) {
	where, arg := heldBy(whose)
	return scanAll(ctx, q, "what moved", func(m *projections.Flow) []any { return []any{&m.Kind, &m.What, &m.Postings, &m.In, &m.Out} },
		`SELECT kind, what, sum(postings)::bigint, sum(in_nano)::bigint, sum(out_nano)::bigint FROM filature.month_flows
		WHERE `+where+` AND month_ms >= $2 AND month_ms < $3 GROUP BY kind, what ORDER BY kind COLLATE "C", what COLLATE "C"`, arg, fromMs, toMs)
}

func (q reader) HeldBefore(ctx context.Context, whose projections.Holder, fromMs int64) ([]projections.KindTotal, error) {
	where, arg := heldBy(whose)
	return scanAll(ctx, q, "what was held", func(t *projections.KindTotal) []any { return []any{&t.Kind, &t.Accounts, &t.Amount} },
		`SELECT kind, count(DISTINCT owner), sum(in_nano - out_nano)::bigint FROM filature.month_flows
		WHERE `+where+` AND month_ms < $2 GROUP BY kind ORDER BY kind COLLATE "C"`, arg, fromMs)
}

func (q reader) WorkerDaysOf(ctx context.Context, provider domain.ProviderID, fromMs, toMs int64) ([]projections.WorkerDay, error) {
	return all(ctx, q, projections.WorkerDays, `SELECT provider, 0::bigint, worker,
		sum(jobs_completed)::bigint, sum(jobs_failed)::bigint, sum(jobs_cancelled)::bigint, sum(jobs_expired)::bigint,
		sum(prompt_tokens)::bigint, sum(cached_tokens)::bigint, sum(completion_tokens)::bigint, sum(reasoning_tokens)::bigint, sum(adjusted_tokens)::bigint,
		sum(charge_nano)::bigint, sum(worker_nano)::bigint, sum(commission_nano)::bigint, sum(refunded_nano)::bigint, sum(slashed_nano)::bigint
		FROM filature.worker_days WHERE provider = $1 AND day_ms >= $2 AND day_ms < $3 GROUP BY provider, worker ORDER BY worker`, blob(provider), fromMs, toMs)
}

func (q reader) ClientDaysOf(ctx context.Context, client domain.ClientID, fromMs, toMs int64) ([]projections.ClientDay, error) {
	return many(ctx, q, projections.ClientDays,
		"WHERE client = $1 AND day_ms >= $2 AND day_ms < $3 ORDER BY day_ms, model, rate_card", blob(client), fromMs, toMs)
}

func (q reader) DepositsIn(ctx context.Context, client domain.ClientID, fromMs, toMs int64) ([]projections.Deposit, error) {
	return many(ctx, q, projections.Deposits, `WHERE account IN (SELECT account FROM filature.accounts WHERE client = $1)
		AND booked_at_ms >= $2 AND booked_at_ms < $3 ORDER BY booked_at_ms, shard, lt`, blob(client), fromMs, toMs)
}

func (q reader) LinesTo(ctx context.Context, payee domain.ProviderID) ([]projections.BatchLine, error) {
	return many(ctx, q, projections.BatchLines, "WHERE payee = $1 ORDER BY batch", blob(payee))
}

func (q reader) PaymentsBefore(ctx context.Context, payee domain.ProviderID, toMs int64) ([]projections.Payment, error) {
	return many(ctx, q, projections.Payments, "WHERE payee = $1 AND seen_at_ms < $2 ORDER BY lt", blob(payee), toMs)
}

// TrialBalanceAt adds up months, days, hours and minutes, and the postings of the minute that had begun, which the index by time
// finds: that is why they are compared as timestamps.
func (q reader) TrialBalanceAt(ctx context.Context, atMs int64) ([]projections.TrialLine, error) {
	before, since := projections.Until(atMs)
	args := []any{since.MonthMs, since.DayMs, since.HourMs, since.MinuteMs}
	parts := `SELECT kind, in_nano - out_nano AS moved FROM filature.kind_flows WHERE width = 'month' AND start_ms < $1
		UNION ALL SELECT kind, in_nano - out_nano FROM filature.kind_flows WHERE width = 'day' AND start_ms >= $1 AND start_ms < $2
		UNION ALL SELECT kind, in_nano - out_nano FROM filature.kind_flows WHERE width = 'hour' AND start_ms >= $2 AND start_ms < $3
		UNION ALL SELECT kind, in_nano - out_nano FROM filature.kind_flows WHERE width = 'minute' AND start_ms >= $3 AND start_ms < $4`
	if since.MinuteMs < before {
		args = append(args, before)
		parts += `
		UNION ALL SELECT kind, amount_nano FROM filature.journal
			WHERE to_timestamp(at_ms / 1000.0) >= to_timestamp($4 / 1000.0) AND to_timestamp(at_ms / 1000.0) < to_timestamp($5 / 1000.0)`
	}
	return scanAll(ctx, q, "trial balance", func(t *projections.TrialLine) []any { return []any{&t.Kind, &t.Amount} },
		"SELECT kind, sum(moved)::bigint FROM ("+parts+") AS parts GROUP BY kind ORDER BY kind", args...)
}

func (q reader) Postings(ctx context.Context, fromMs, toMs int64) iter.Seq2[projections.JournalLine, error] {
	return func(yield func(projections.JournalLine, error) bool) {
		table := projections.Journal.Table()
		query := selectStatement(table, viewName(table), fmt.Sprintf(
			"WHERE at_ms >= %d AND at_ms < %d ORDER BY at_ms, shard, ledger_offset, fact, posting", fromMs, toMs))
		err := q.eachOf(ctx, table, query, func(row projections.Row) bool {
			line, ok := row.(*projections.JournalLine)
			if !ok {
				panic(fmt.Sprintf("postgres: a row of %s is a %T", table, row))
			}
			return yield(*line, nil)
		})
		if err != nil {
			yield(projections.JournalLine{}, fmt.Errorf("read postings: %w", explain(err)))
		}
	}
}
