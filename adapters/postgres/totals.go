package postgres

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
		none string
		keep bool
	}{
		{"0::bigint", by.Hour}, {"''::bytea", by.Model}, {"''::bytea", by.Provider}, {"''::bytea", by.Client},
	}
	table := projections.UsageByHour.Table()
	names := columnNames(table)
	columns := make([]string, len(names))
	var kept []string
	for i, name := range names {
		switch {
		case i >= table.KeyColumns:
			columns[i] = fmt.Sprintf("sum(%s)::bigint", name)
		case keys[i].keep:
			columns[i], kept = name, append(kept, name)
		default:
			columns[i] = keys[i].none
		}
	}
	where, args := usageWhere(which)
	query := fmt.Sprintf("SELECT %s FROM filature.usage WHERE %s", strings.Join(columns, ", "), where)
	if len(kept) > 0 {
		query += fmt.Sprintf(" GROUP BY %[1]s ORDER BY %[1]s", strings.Join(kept, ", "))
	} else {
		query += " HAVING count(*) > 0"
	}
	return all(ctx, q, projections.UsageByHour, query, args...)
}

func usageWhere(which projections.UsageFilter) (string, []any) {
	where, args := []string{"hour_ms >= $1"}, []any{which.FromMs}
	and := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf("%s $%d", condition, len(args)))
	}
	if which.ToMs != 0 {
		and("hour_ms <", which.ToMs)
	}
	if which.Model != (domain.ModelID{}) {
		and("model =", which.Model[:])
	}
	if which.Provider != (domain.ProviderID{}) {
		and("provider =", which.Provider[:])
	}
	if which.Client != (domain.ClientID{}) {
		and("client =", which.Client[:])
	}
	return strings.Join(where, " AND "), args
}

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

func (q reader) ProviderTotals(ctx context.Context) ([]projections.ProviderTotal, error) {
	const query = `
		WITH used AS (
			SELECT provider, sum(jobs_completed) AS completed, sum(jobs_failed) AS failed, sum(jobs_cancelled) AS cancelled,
				sum(jobs_expired) AS expired, sum(prompt_tokens) AS prompt, sum(cached_tokens) AS cached,
				sum(completion_tokens) AS completion, sum(reasoning_tokens) AS reasoning,
				sum(adjusted_tokens) AS adjusted, sum(worker_nano) AS part
			FROM filature.usage GROUP BY provider),
		fleet AS (SELECT provider, count(*) AS workers FROM filature.workers WHERE retired_at_ms = 0 GROUP BY provider),
		pay AS (
			SELECT owner AS provider,
				max(amount_nano) FILTER (WHERE kind = 'provider/earned') AS earned,
				max(amount_nano) FILTER (WHERE kind = 'provider/held') AS held,
				max(amount_nano) FILTER (WHERE kind = 'provider/payable') AS payable,
				max(amount_nano) FILTER (WHERE kind = 'provider/committed') AS committed
			FROM filature.balances
			WHERE kind IN ('provider/earned', 'provider/held', 'provider/payable', 'provider/committed') GROUP BY owner)
		SELECT p.provider, p.name, coalesce(f.workers, 0),
			coalesce(u.completed, 0)::bigint, coalesce(u.failed, 0)::bigint, coalesce(u.cancelled, 0)::bigint, coalesce(u.expired, 0)::bigint,
			coalesce(u.prompt, 0)::bigint, coalesce(u.cached, 0)::bigint, coalesce(u.completion, 0)::bigint, coalesce(u.reasoning, 0)::bigint,
			coalesce(u.adjusted, 0)::bigint, coalesce(u.part, 0)::bigint,
			coalesce(b.earned, 0), coalesce(b.held, 0), coalesce(b.payable, 0), coalesce(b.committed, 0), coalesce(o.paid_nano, 0)
		FROM filature.providers AS p
		LEFT JOIN used AS u ON u.provider = p.provider
		LEFT JOIN fleet AS f ON f.provider = p.provider
		LEFT JOIN pay AS b ON b.provider = p.provider
		LEFT JOIN filature.payouts AS o ON o.payee = p.provider
		ORDER BY p.name, p.provider`
	return scanAll(ctx, q, "provider totals", func(t *projections.ProviderTotal) []any {
		return []any{
			id[domain.ProviderID]{&t.Provider}, &t.Name, &t.Workers,
			&t.Completed, &t.Failed, &t.Cancelled, &t.Expired,
			&t.Tokens.Prompt, &t.Tokens.Cached, &t.Tokens.Completion, &t.Tokens.Reasoning,
			&t.AdjustedTokens, &t.WorkerPart, &t.Earned, &t.Held, &t.Payable, &t.Committed, &t.Paid,
		}
	}, query)
}

func reasonTotal(t *projections.ReasonTotal) []any { return []any{&t.Reason, &t.Count} }

func (q reader) RejectionTotals(ctx context.Context) ([]projections.ReasonTotal, error) {
	return scanAll(ctx, q, "rejections", reasonTotal,
		"SELECT reason, count(*) FROM filature.rejections GROUP BY reason ORDER BY count(*) DESC, reason")
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
