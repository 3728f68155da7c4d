package sqlite

import (
	"context"
	"fmt"
	"iter"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

func (q reader) Client(ctx context.Context, client domain.ClientID) (projections.Client, error) {
	return one(ctx, q, projections.Clients, "WHERE client = ?", blob(client))
}

func (q reader) MonthsBegun(ctx context.Context, fromMs int64) ([]projections.Month, error) {
	return many(ctx, q, projections.Months, `WHERE month_ms = (
		SELECT MIN(next.month_ms) FROM months AS next WHERE next.shard = months.shard AND next.month_ms >= ? AND next.month_ms > 0)
		ORDER BY shard`, fromMs)
}

// heldBy picks the accounts of a holder, so that they are found by their key.
func heldBy(whose projections.Holder) (where string, arg any) {
	if whose.Client != (domain.ClientID{}) {
		return `kind IN ('client/available', 'client/reserved') AND owner IN (SELECT account FROM accounts WHERE client = ?1)`, blob(whose.Client)
	}
	return `kind IN ('provider/earned', 'provider/held', 'provider/payable', 'provider/committed') AND owner = ?1`, blob(whose.Provider)
}

func (q reader) FlowsOf(ctx context.Context, whose projections.Holder, fromMs, toMs int64) ([]projections.Flow, error) {
	where, arg := heldBy(whose)
	return scanAll(ctx, q, func(m *projections.Flow) []any { return []any{&m.Kind, &m.What, &m.Postings, &m.In, &m.Out} },
		`SELECT kind, what, SUM(postings), SUM(in_nano), SUM(out_nano) FROM month_flows
		WHERE `+where+` AND month_ms >= ?2 AND month_ms < ?3 GROUP BY kind, what ORDER BY kind, what`, arg, fromMs, toMs)
}

func (q reader) HeldBefore(ctx context.Context, whose projections.Holder, fromMs int64) ([]projections.KindTotal, error) {
	where, arg := heldBy(whose)
	return scanAll(ctx, q, func(t *projections.KindTotal) []any { return []any{&t.Kind, &t.Accounts, &t.Amount} },
		`SELECT kind, COUNT(DISTINCT owner), SUM(in_nano - out_nano) FROM month_flows
		WHERE `+where+` AND month_ms < ?2 GROUP BY kind ORDER BY kind`, arg, fromMs)
}

func (q reader) WorkerDaysOf(ctx context.Context, provider domain.ProviderID, fromMs, toMs int64) ([]projections.WorkerDay, error) {
	return all(ctx, q, projections.WorkerDays, `SELECT provider, 0, worker, SUM(jobs_completed), SUM(jobs_failed), SUM(jobs_cancelled), SUM(jobs_expired),
		SUM(prompt_tokens), SUM(cached_tokens), SUM(completion_tokens), SUM(reasoning_tokens), SUM(adjusted_tokens),
		SUM(charge_nano), SUM(worker_nano), SUM(commission_nano), SUM(refunded_nano), SUM(slashed_nano)
		FROM worker_days WHERE provider = ? AND day_ms >= ? AND day_ms < ? GROUP BY provider, worker ORDER BY worker`, blob(provider), fromMs, toMs)
}

func (q reader) ClientDaysOf(ctx context.Context, client domain.ClientID, fromMs, toMs int64) ([]projections.ClientDay, error) {
	return many(ctx, q, projections.ClientDays, "WHERE client = ? AND day_ms >= ? AND day_ms < ? ORDER BY day_ms, model, rate_card", blob(client), fromMs, toMs)
}

func (q reader) DepositsIn(ctx context.Context, client domain.ClientID, fromMs, toMs int64) ([]projections.Deposit, error) {
	return many(ctx, q, projections.Deposits, `WHERE account IN (SELECT account FROM accounts WHERE client = ?)
		AND booked_at_ms >= ? AND booked_at_ms < ? ORDER BY booked_at_ms, shard, lt`, blob(client), fromMs, toMs)
}

func (q reader) LinesTo(ctx context.Context, payee domain.ProviderID) ([]projections.BatchLine, error) {
	return many(ctx, q, projections.BatchLines, "WHERE payee = ? ORDER BY batch", blob(payee))
}

func (q reader) PaymentsBefore(ctx context.Context, payee domain.ProviderID, toMs int64) ([]projections.Payment, error) {
	return many(ctx, q, projections.Payments, "WHERE payee = ? AND seen_at_ms < ? ORDER BY lt", blob(payee), toMs)
}

// TrialBalanceAt adds up months, days, hours and minutes, and the postings of the minute that had begun, which it looks for account
// by account: the journal is kept by account.
func (q reader) TrialBalanceAt(ctx context.Context, atMs int64) ([]projections.TrialLine, error) {
	before, since := projections.Until(atMs)
	args := []any{since.MonthMs, since.DayMs, since.HourMs, since.MinuteMs}
	parts := `SELECT kind, in_nano - out_nano AS moved FROM kind_flows WHERE width = 'month' AND start_ms < ?1
		UNION ALL SELECT kind, in_nano - out_nano FROM kind_flows WHERE width = 'day' AND start_ms >= ?1 AND start_ms < ?2
		UNION ALL SELECT kind, in_nano - out_nano FROM kind_flows WHERE width = 'hour' AND start_ms >= ?2 AND start_ms < ?3
		UNION ALL SELECT kind, in_nano - out_nano FROM kind_flows WHERE width = 'minute' AND start_ms >= ?3 AND start_ms < ?4`
	if since.MinuteMs < before {
		args = append(args, before)
		parts += `
		UNION ALL SELECT b.kind, j.amount_nano FROM balances AS b
			CROSS JOIN journal AS j ON j.kind = b.kind AND j.owner = b.owner AND j.at_ms >= ?4 AND j.at_ms < ?5`
	}
	return scanAll(ctx, q, func(t *projections.TrialLine) []any { return []any{&t.Kind, &t.Amount} },
		"SELECT kind, SUM(moved) FROM ("+parts+") GROUP BY kind ORDER BY kind", args...)
}

func (q reader) Postings(ctx context.Context, fromMs, toMs int64) iter.Seq2[projections.JournalLine, error] {
	return func(yield func(projections.JournalLine, error) bool) {
		table := projections.Journal.Table()
		query := selectStatement(table, table.Name, "WHERE at_ms >= ? AND at_ms < ? ORDER BY at_ms, shard, ledger_offset, fact, posting")
		for row, err := range rows(ctx, q.tx, table, query, fromMs, toMs) {
			if err != nil {
				yield(projections.JournalLine{}, err)
				return
			}
			line, ok := row.(*projections.JournalLine)
			if !ok {
				panic(fmt.Sprintf("sqlite: a row of %s is a %T", table, row))
			}
			if !yield(*line, nil) {
				return
			}
		}
	}
}
