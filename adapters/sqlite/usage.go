package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// UsageTotals keeps the columns that are asked for and puts zero where the others were, so that what comes
// out are rows of the model.
func (q reader) UsageTotals(ctx context.Context, which projections.UsageFilter, by projections.UsageBy) ([]projections.Usage, error) {
	from, start, where, args := usageSource(which, by)
	keys := []struct {
		column, none string
		keep         bool
	}{
		{"hour_ms", "0", by.Hour || by.Day}, {"model", "x''", by.Model}, {"provider", "x''", by.Provider}, {"client", "x''", by.Client},
	}
	table := projections.UsageByHour.Table()
	names := columnNames(table)
	columns := make([]string, len(names))
	var kept []string
	for i, name := range names {
		switch {
		case i >= table.KeyColumns:
			columns[i] = fmt.Sprintf("SUM(%s)", name)
		case i == 0 && by.Day:
			columns[i], kept = fmt.Sprintf("%[1]s - %[1]s %% %d AS hour_ms", start, projections.DayMs), append(kept, "1")
		case i == 0 && by.Hour:
			columns[i], kept = start+" AS hour_ms", append(kept, "1")
		case keys[i].keep:
			columns[i], kept = name, append(kept, name)
		default:
			columns[i] = keys[i].none
		}
	}
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(columns, ", "), from, strings.Join(where, " AND "))
	if len(kept) > 0 {
		query += fmt.Sprintf(" GROUP BY %[1]s ORDER BY %[1]s LIMIT %[2]d", strings.Join(kept, ", "), projections.MaxRows+1)
	} else {
		query += " HAVING COUNT(*) > 0"
	}
	found, err := all(ctx, q, projections.UsageByHour, query, args...)
	if err == nil && len(found) > projections.MaxRows {
		err = fmt.Errorf("usage has more than %d rows: %w", projections.MaxRows, projections.ErrTooMany)
	}
	return found, err
}

// usageSource says out of what usage is read, what its column of time is called, and which rows are meant.
func usageSource(which projections.UsageFilter, by projections.UsageBy) (from, start string, where []string, args []any) {
	and := func(condition string, arg any) { where, args = append(where, condition), append(args, arg) }
	from, start = "usage", "hour_ms"
	if source := which.Source(by); source.Width != "" {
		from, start = "usage_totals", "start_ms"
		and("width = ?", source.Width)
		and("told = ?", source.Told)
		switch {
		case which.Client != (domain.ClientID{}):
			from, where = through(projections.UsageSummed.Table(), "of_client"), append(where, "client <> x''")
		case which.Provider != (domain.ProviderID{}):
			from, where = through(projections.UsageSummed.Table(), "of_provider"), append(where, "provider <> x''")
		}
	}
	and(start+" >= ?", which.FromMs)
	if which.ToMs != 0 {
		and(start+" < ?", which.ToMs)
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
	return from, start, where, args
}

func (q reader) UsageOfMinutes(ctx context.Context, fromMs, toMs int64) (projections.UsageSums, error) {
	table := projections.UsageSummed.Table()
	names := columnNames(table)
	columns := []string{"''", "''", "0", "x''", "x''", "x''"}
	for _, name := range names[table.KeyColumns:] {
		columns = append(columns, fmt.Sprintf("COALESCE(SUM(%s), 0)", name))
	}
	found, err := all(ctx, q, projections.UsageSummed, fmt.Sprintf(`SELECT %s FROM usage_totals
		WHERE width = 'minute' AND told = '' AND start_ms >= ? AND start_ms < ?`, strings.Join(columns, ", ")), fromMs, toMs)
	if err != nil {
		return projections.UsageSums{}, err
	}
	return found[0].UsageSums, nil
}
