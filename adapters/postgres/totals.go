package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// id reads an id out of a column.
type id[T ~[32]byte] struct{ to *T }

// ScanBytes is for pgx.
func (i id[T]) ScanBytes(from []byte) error {
	var into [32]byte
	if err := (projections.Column{Name: "id", Field: &into}).Set(from); err != nil {
		return err
	}
	*i.to = into
	return nil
}

func reasonTotal(t *projections.ReasonTotal) []any { return []any{&t.Reason, &t.Count} }

func (q reader) RejectionTotals(ctx context.Context, fromMs, toMs int64) ([]projections.ReasonTotal, error) {
	return scanAll(ctx, q, "rejections", reasonTotal, `SELECT reason, sum(rejections)::bigint FROM filature.rejection_reasons
		WHERE hour_ms >= $1 AND hour_ms < $2 GROUP BY reason ORDER BY 2 DESC, reason`, fromMs, toMs)
}

func (q reader) RejectionsOfProvider(ctx context.Context, provider domain.ProviderID) ([]projections.ReasonTotal, error) {
	return scanAll(ctx, q, "rejections of a provider", reasonTotal, `
		WITH keys AS (
			SELECT signing_key FROM filature.providers WHERE provider = $1
			UNION SELECT signing_key FROM filature.workers WHERE provider = $1)
		SELECT reason, count(*) FROM filature.rejections WHERE signer IN (SELECT signing_key FROM keys)
		GROUP BY reason ORDER BY count(*) DESC, reason`, blob(provider))
}

func (q reader) RejectionsOfJob(ctx context.Context, job domain.JobID) ([]projections.Rejected, error) {
	return many(ctx, q, projections.Rejections, "WHERE job = $1 AND job <> '' ORDER BY shard, ledger_offset, fact LIMIT $2",
		blob(job), projections.MaxRows)
}

func (q reader) RejectionsOfReport(ctx context.Context, key projections.ReportKey) ([]projections.Rejected, error) {
	return many(ctx, q, projections.Rejections, "WHERE signer = $1 AND shard = $2 AND sequence = $3 ORDER BY ledger_offset, fact LIMIT $4",
		blob(key.Signer), key.Shard, int64(key.Sequence), projections.MaxRows)
}

func (q reader) MaturityOf(ctx context.Context, provider domain.ProviderID, bucketMs int64, from domain.Position) (projections.Maturity, error) {
	return one(ctx, q, projections.Maturities,
		"WHERE provider = $1 AND shard = $2 AND bucket_ms = $3 AND ledger_offset >= $4 ORDER BY ledger_offset LIMIT 1",
		blob(provider), from.Shard, bucketMs, from.Offset)
}

func (q reader) FirstLine(ctx context.Context, payee domain.ProviderID, covers domain.Position) (projections.BatchLine, error) {
	return one(ctx, q, projections.BatchLines, `AS l WHERE payee = $1
		AND EXISTS (SELECT FROM filature.batches AS b WHERE b.batch = l.batch AND b.state <> $2)
		AND EXISTS (SELECT FROM filature.batch_cuts AS c WHERE c.batch = l.batch AND c.shard = $3 AND c.ledger_offset > $4)
		ORDER BY batch LIMIT 1`, blob(payee), projections.BatchVetoed, covers.Shard, covers.Offset)
}

func (q reader) PaymentReaching(ctx context.Context, payee domain.ProviderID, cumulative domain.Nano) (projections.Payment, error) {
	table := projections.Payments.Table()
	names := strings.Join(columnNames(table), ", ")
	running := fmt.Sprintf("(SELECT %s, sum(amount_nano) OVER (ORDER BY lt) AS reached FROM %s WHERE payee = $1) AS p", names, viewName(table))
	query := selectStatement(table, running, "WHERE reached >= $2 ORDER BY lt LIMIT 1")
	found, err := all(ctx, q, projections.Payments, query, blob(payee), int64(cumulative))
	return only(projections.Payments.Name, found, err)
}

// providerColumns are what a ProviderTotal has: sums since the beginning, and balances.
const providerColumns = `SELECT p.provider, p.name, (SELECT count(*) FROM filature.workers AS w WHERE w.provider = p.provider AND w.retired_at_ms = 0),
		coalesce(u.jobs_completed, 0), coalesce(u.jobs_failed, 0), coalesce(u.jobs_cancelled, 0), coalesce(u.jobs_expired, 0),
		coalesce(u.prompt_tokens, 0), coalesce(u.cached_tokens, 0), coalesce(u.completion_tokens, 0), coalesce(u.reasoning_tokens, 0),
		coalesce(u.adjusted_tokens, 0), coalesce(u.worker_nano, 0),
		coalesce((SELECT amount_nano FROM filature.balances WHERE kind = 'provider/earned' AND owner = p.provider), 0),
		coalesce((SELECT amount_nano FROM filature.balances WHERE kind = 'provider/held' AND owner = p.provider), 0),
		coalesce((SELECT amount_nano FROM filature.balances WHERE kind = 'provider/payable' AND owner = p.provider), 0),
		coalesce((SELECT amount_nano FROM filature.balances WHERE kind = 'provider/committed' AND owner = p.provider), 0),
		coalesce((SELECT paid_nano FROM filature.payouts WHERE payee = p.provider), 0)
	FROM filature.providers AS p LEFT JOIN filature.usage_totals AS u
		ON u.width = 'all' AND u.told = 'provider' AND u.start_ms = 0 AND u.model = '' AND u.provider = p.provider AND u.client = ''`

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
	return scanAll(ctx, q, "provider totals", providerTotal, providerColumns+" WHERE (p.name, p.provider) > ($1, $2) ORDER BY p.name, p.provider LIMIT $3",
		after.Name, blob(after.Provider), limit)
}

func (q reader) ProviderTotal(ctx context.Context, provider domain.ProviderID) (projections.ProviderTotal, error) {
	totals, err := scanAll(ctx, q, "provider totals", providerTotal, providerColumns+" WHERE p.provider = $1", blob(provider))
	return only("provider totals", totals, err)
}
