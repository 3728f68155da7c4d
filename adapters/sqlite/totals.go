package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// id reads an id out of a column.
type id[T ~[32]byte] struct{ to *T }

// Scan is for database/sql.
func (i id[T]) Scan(from any) error {
	var into [32]byte
	if err := (projections.Column{Name: "id", Field: &into}).Set(from); err != nil {
		return err
	}
	*i.to = into
	return nil
}

func reasonTotal(t *projections.ReasonTotal) []any { return []any{&t.Reason, &t.Count} }

func (q reader) RejectionTotals(ctx context.Context, fromMs, toMs int64) ([]projections.ReasonTotal, error) {
	return scanAll(ctx, q, reasonTotal, `SELECT reason, SUM(rejections) FROM rejection_reasons WHERE hour_ms >= ? AND hour_ms < ?
		GROUP BY reason ORDER BY 2 DESC, reason`, fromMs, toMs)
}

func (q reader) RejectionsOfProvider(ctx context.Context, provider domain.ProviderID) ([]projections.ReasonTotal, error) {
	return scanAll(ctx, q, reasonTotal, `
		WITH keys AS (
			SELECT signing_key FROM providers WHERE provider = ?1
			UNION SELECT signing_key FROM workers WHERE provider = ?1)
		SELECT reason, COUNT(*) FROM rejections WHERE signer IN (SELECT signing_key FROM keys)
		GROUP BY reason ORDER BY COUNT(*) DESC, reason`, blob(provider))
}

func (q reader) RejectionsOfJob(ctx context.Context, job domain.JobID) ([]projections.Rejected, error) {
	return many(ctx, q, projections.Rejections, "WHERE job = ? AND job <> x'' ORDER BY shard, ledger_offset, fact LIMIT ?", blob(job), projections.MaxRows)
}

func (q reader) RejectionsOfReport(ctx context.Context, key projections.ReportKey) ([]projections.Rejected, error) {
	table := projections.Rejections.Table()
	return all(ctx, q, projections.Rejections, selectStatement(table, through(table, "by_signer"),
		"WHERE signer = ? AND shard = ? AND sequence = ? ORDER BY ledger_offset, fact LIMIT ?"),
		blob(key.Signer), key.Shard, int64(key.Sequence), projections.MaxRows)
}

func (q reader) MaturityOf(ctx context.Context, provider domain.ProviderID, bucketMs int64, from domain.Position) (projections.Maturity, error) {
	table := projections.Maturities.Table()
	found, err := all(ctx, q, projections.Maturities, selectStatement(table, through(table, "by_bucket"),
		"WHERE provider = ? AND shard = ? AND bucket_ms = ? AND ledger_offset >= ? ORDER BY ledger_offset LIMIT 1"),
		blob(provider), from.Shard, bucketMs, from.Offset)
	return only(projections.Maturities.Name, found, err)
}

func (q reader) FirstLine(ctx context.Context, payee domain.ProviderID, covers domain.Position) (projections.BatchLine, error) {
	return one(ctx, q, projections.BatchLines, `WHERE payee = ?
		AND EXISTS (SELECT 1 FROM batches AS b WHERE b.batch = batch_lines.batch AND b.state <> ?)
		AND EXISTS (SELECT 1 FROM batch_cuts AS c WHERE c.batch = batch_lines.batch AND c.shard = ? AND c.ledger_offset > ?)
		ORDER BY batch LIMIT 1`, blob(payee), projections.BatchVetoed, covers.Shard, covers.Offset)
}

func (q reader) PaymentReaching(ctx context.Context, payee domain.ProviderID, cumulative domain.Nano) (projections.Payment, error) {
	table := projections.Payments.Table()
	running := fmt.Sprintf("(SELECT %s, SUM(amount_nano) OVER (ORDER BY lt) AS reached FROM payments WHERE payee = ?)",
		strings.Join(columnNames(table), ", "))
	query := selectStatement(table, running, "WHERE reached >= ? ORDER BY lt LIMIT 1")
	found, err := all(ctx, q, projections.Payments, query, blob(payee), cumulative)
	return only(projections.Payments.Name, found, err)
}

// providerColumns are what a ProviderTotal has: sums since the beginning, and balances.
const providerColumns = `SELECT p.provider, p.name, (SELECT COUNT(*) FROM workers AS w WHERE w.provider = p.provider AND w.retired_at_ms = 0),
		COALESCE(u.jobs_completed, 0), COALESCE(u.jobs_failed, 0), COALESCE(u.jobs_cancelled, 0), COALESCE(u.jobs_expired, 0),
		COALESCE(u.prompt_tokens, 0), COALESCE(u.cached_tokens, 0), COALESCE(u.completion_tokens, 0), COALESCE(u.reasoning_tokens, 0),
		COALESCE(u.adjusted_tokens, 0), COALESCE(u.worker_nano, 0),
		COALESCE((SELECT amount_nano FROM balances WHERE kind = 'provider/earned' AND owner = p.provider), 0),
		COALESCE((SELECT amount_nano FROM balances WHERE kind = 'provider/held' AND owner = p.provider), 0),
		COALESCE((SELECT amount_nano FROM balances WHERE kind = 'provider/payable' AND owner = p.provider), 0),
		COALESCE((SELECT amount_nano FROM balances WHERE kind = 'provider/committed' AND owner = p.provider), 0),
		COALESCE((SELECT paid_nano FROM payouts WHERE payee = p.provider), 0)
	FROM providers AS p LEFT JOIN usage_totals AS u
		ON u.width = 'all' AND u.told = 'provider' AND u.start_ms = 0 AND u.model = x'' AND u.provider = p.provider AND u.client = x''`

func providerTotal(t *projections.ProviderTotal) []any {
	return []any{
		id[domain.ProviderID]{&t.Provider}, &t.Name, &t.Workers,
		&t.Completed, &t.Failed, &t.Cancelled, &t.Expired,
		&t.Tokens.Prompt, &t.Tokens.Cached, &t.Tokens.Completion, &t.Tokens.Reasoning,
		&t.AdjustedTokens, &t.WorkerPart, &t.Earned, &t.Held, &t.Payable, &t.Committed, &t.Paid,
	}
}

func (q reader) ProviderTotals(ctx context.Context, after projections.ProviderTotal, limit int) ([]projections.ProviderTotal, error) {
	if err := projections.CheckLimit(limit); err != nil {
		return nil, fmt.Errorf("read provider totals: %w", err)
	}
	totals, err := scanAll(ctx, q, providerTotal, providerColumns+" WHERE (p.name, p.provider) > (?, ?) ORDER BY p.name, p.provider LIMIT ?",
		after.Name, blob(after.Provider), limit)
	if err != nil {
		return nil, fmt.Errorf("read provider totals: %w", err)
	}
	return totals, nil
}

func (q reader) ProviderTotal(ctx context.Context, provider domain.ProviderID) (projections.ProviderTotal, error) {
	totals, err := scanAll(ctx, q, providerTotal, providerColumns+" WHERE p.provider = ?", blob(provider))
	return only("provider totals", totals, err)
}
