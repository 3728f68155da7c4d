package sqlite

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// JobsLike takes the newest jobs of each state by themselves, out of an index that has them in order, and then the newest
// of those: whatever is asked for, it looks at a page of each state and at the jobs that are open. The numbers of args are
// the same in all parts.
func (q reader) JobsLike(ctx context.Context, which projections.JobFilter, below projections.JobPlace, limit int) ([]projections.Job, error) {
	if err := projections.CheckLimit(limit); err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	if below == (projections.JobPlace{}) {
		below.SubmittedMs = math.MaxInt64
		if which.ToMs != 0 {
			below.SubmittedMs = which.ToMs
		}
	}
	args := []any{which.FromMs, below.SubmittedMs, blob(below.Job), limit}
	parts, err := which.Parts()
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	and := ""
	whose, owner := whoseJobs(which)
	if whose != "" {
		and, args = fmt.Sprintf(" AND %s = ?5", whose), append(args, owner)
	}
	selects := make([]string, len(parts))
	for i, part := range parts {
		selects[i] = `SELECT submitted_at_ms, job FROM (SELECT submitted_at_ms, job FROM ` + jobsInOrder(part, whose) + ` WHERE ` + condition(part) + and + `
			AND submitted_at_ms >= ?1 AND (submitted_at_ms, job) < (?2, ?3) ORDER BY submitted_at_ms DESC, job DESC LIMIT ?4)`
	}
	return many(ctx, q, projections.Jobs, fmt.Sprintf(`WHERE job IN (SELECT job FROM (%s) ORDER BY submitted_at_ms DESC, job DESC LIMIT ?4)
		ORDER BY submitted_at_ms DESC, job DESC`, strings.Join(selects, " UNION ALL ")), args...)
}

// jobsInOrder names the index that has a part in order.
func jobsInOrder(part projections.JobPart, whose string) string {
	var index string
	switch {
	case part.Dispute != "" && whose != "":
		index = "disputed_of_" + whose
	case part.Dispute != "":
		index = "disputed"
	case part.Open:
		index = "open"
	case whose != "":
		index = "of_" + whose
	default:
		index = "closed"
	}
	return through(projections.Jobs.Table(), index)
}

// condition is what the index of a part has, so that it is found.
func condition(part projections.JobPart) string {
	words := []string{}
	switch {
	case part.Dispute != "":
		return fmt.Sprintf("dispute <> '' AND dispute = '%s'", part.Dispute)
	case part.Open:
		words = append(words, "closed_at_ms = 0")
	default:
		words = append(words, "closed_at_ms <> 0")
	}
	if part.State != "" {
		words = append(words, fmt.Sprintf("state = '%s'", part.State))
	}
	return strings.Join(words, " AND ")
}

func whoseJobs(which projections.JobFilter) (column string, owner []byte) {
	switch {
	case which.Client != (domain.ClientID{}):
		return "client", which.Client[:]
	case which.Provider != (domain.ProviderID{}):
		return "provider", which.Provider[:]
	case which.Worker != (domain.WorkerID{}):
		return "worker", which.Worker[:]
	case which.Model != (domain.ModelID{}):
		return "model", which.Model[:]
	default:
		return "", nil
	}
}

func (q reader) OpenJobs(ctx context.Context) (int64, error) {
	var count int64
	const query = "SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE closed_at_ms = 0 AND submitted_at_ms > 0 LIMIT ?)"
	if err := q.tx.QueryRowContext(ctx, query, projections.MaxRows).Scan(&count); err != nil {
		return 0, fmt.Errorf("count open jobs: %w", err)
	}
	return count, nil
}
