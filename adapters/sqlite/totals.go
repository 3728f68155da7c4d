package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

var errBadLimit = errors.New("limit out of range")

// UsageTotals keeps the columns that are asked for and puts zero where the others were, so that what comes
// out are rows of the model.
func (q reader) UsageTotals(ctx context.Context, which projections.UsageFilter, by projections.UsageBy) ([]projections.Usage, error) {
	keys := []struct {
		column, none string
		keep         bool
	}{
		{"hour_ms", "0", by.Hour}, {"model", "x''", by.Model}, {"provider", "x''", by.Provider}, {"client", "x''", by.Client},
	}
	table := projections.UsageByHour.Table()
	names := columnNames(table)
	columns := make([]string, len(names))
	var kept []string
	for i, name := range names {
		switch {
		case i >= table.KeyColumns:
			columns[i] = fmt.Sprintf("SUM(%s)", name)
		case keys[i].keep:
			columns[i], kept = name, append(kept, name)
		default:
			columns[i] = keys[i].none
		}
	}
	where, args := usageWhere(which)
	query := fmt.Sprintf("SELECT %s FROM usage WHERE %s", strings.Join(columns, ", "), where)
	if len(kept) > 0 {
		query += fmt.Sprintf(" GROUP BY %[1]s ORDER BY %[1]s", strings.Join(kept, ", "))
	} else {
		query += " HAVING COUNT(*) > 0"
	}
	return all(ctx, q, projections.UsageByHour, query, args...)
}

func usageWhere(which projections.UsageFilter) (string, []any) {
	where, args := []string{"hour_ms >= ?"}, []any{which.FromMs}
	and := func(condition string, arg any) { where, args = append(where, condition), append(args, arg) }
	if which.ToMs != 0 {
		and("hour_ms < ?", which.ToMs)
	}
	if which.Model != (domain.ModelID{}) {
		and("model = ?", which.Model[:])
	}
	if which.Provider != (domain.ProviderID{}) {
		and("provider = ?", which.Provider[:])
	}
	if which.Client != (domain.ClientID{}) {
		and("client = ?", which.Client[:])
	}
	return strings.Join(where, " AND "), args
}

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

func (q reader) ProviderTotals(ctx context.Context) ([]projections.ProviderTotal, error) {
	const query = `
		WITH used AS (
			SELECT provider, SUM(jobs_completed) AS completed, SUM(jobs_failed) AS failed, SUM(jobs_cancelled) AS cancelled,
				SUM(jobs_expired) AS expired, SUM(prompt_tokens) AS prompt, SUM(cached_tokens) AS cached,
				SUM(completion_tokens) AS completion, SUM(reasoning_tokens) AS reasoning,
				SUM(adjusted_tokens) AS adjusted, SUM(worker_nano) AS part
			FROM usage GROUP BY provider),
		fleet AS (SELECT provider, COUNT(*) AS workers FROM workers WHERE retired_at_ms = 0 GROUP BY provider)
		SELECT p.provider, p.name, COALESCE(f.workers, 0),
			COALESCE(u.completed, 0), COALESCE(u.failed, 0), COALESCE(u.cancelled, 0), COALESCE(u.expired, 0),
			COALESCE(u.prompt, 0), COALESCE(u.cached, 0), COALESCE(u.completion, 0), COALESCE(u.reasoning, 0),
			COALESCE(u.adjusted, 0), COALESCE(u.part, 0),
			COALESCE((SELECT amount_nano FROM balances WHERE kind = 'provider/earned' AND owner = p.provider), 0),
			COALESCE((SELECT amount_nano FROM balances WHERE kind = 'provider/held' AND owner = p.provider), 0),
			COALESCE((SELECT amount_nano FROM balances WHERE kind = 'provider/payable' AND owner = p.provider), 0),
			COALESCE((SELECT amount_nano FROM balances WHERE kind = 'provider/committed' AND owner = p.provider), 0),
			COALESCE((SELECT paid_nano FROM payouts WHERE payee = p.provider), 0)
		FROM providers AS p LEFT JOIN used AS u ON u.provider = p.provider LEFT JOIN fleet AS f ON f.provider = p.provider
		ORDER BY p.name, p.provider`
	totals, err := scanAll(ctx, q, func(t *projections.ProviderTotal) []any {
		return []any{
			id[domain.ProviderID]{&t.Provider}, &t.Name, &t.Workers,
			&t.Completed, &t.Failed, &t.Cancelled, &t.Expired,
			&t.Tokens.Prompt, &t.Tokens.Cached, &t.Tokens.Completion, &t.Tokens.Reasoning,
			&t.AdjustedTokens, &t.WorkerPart, &t.Earned, &t.Held, &t.Payable, &t.Committed, &t.Paid,
		}
	}, query)
	if err != nil {
		return nil, fmt.Errorf("read provider totals: %w", err)
	}
	return totals, nil
}

func reasonTotal(t *projections.ReasonTotal) []any { return []any{&t.Reason, &t.Count} }

func (q reader) RejectionTotals(ctx context.Context) ([]projections.ReasonTotal, error) {
	return scanAll(ctx, q, reasonTotal, "SELECT reason, COUNT(*) FROM rejections GROUP BY reason ORDER BY COUNT(*) DESC, reason")
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
	return many(ctx, q, projections.Rejections, "WHERE signer = ? AND shard = ? AND sequence = ? ORDER BY ledger_offset, fact LIMIT ?",
		blob(key.Signer), key.Shard, int64(key.Sequence), projections.MaxRows)
}

func (q reader) MaturityOf(ctx context.Context, provider domain.ProviderID, bucketMs int64, from domain.Position) (projections.Maturity, error) {
	return one(ctx, q, projections.Maturities,
		"WHERE provider = ? AND shard = ? AND bucket_ms = ? AND ledger_offset >= ? ORDER BY ledger_offset LIMIT 1",
		blob(provider), from.Shard, bucketMs, from.Offset)
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
