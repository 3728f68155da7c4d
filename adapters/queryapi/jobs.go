package queryapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// GetJob implements queryv1.JobServiceHandler.
func (s *server) GetJob(ctx context.Context, asked *queryv1.GetJobRequest) (*queryv1.GetJobResponse, error) {
	id, err := idOf[domain.JobID]("job", asked.Job)
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetJobResponse, error) {
		found, err := mayJob(ctx, r, id)
		if err != nil {
			return nil, err
		}
		return &queryv1.GetJobResponse{Position: at, Job: job(found)}, nil
	})
}

// mayJob returns a job to those whose it is. Whose it is not hears the same of a job that there is and one that there is not.
func mayJob(ctx context.Context, r projections.Reader, id domain.JobID) (projections.Job, error) {
	found, err := r.Job(ctx, id)
	if refused := may(ctx, found.Provider, found.Client); refused != nil {
		return found, refused
	}
	if err != nil {
		return found, fmt.Errorf("job %s: %w", id, err)
	}
	return found, nil
}

// ListJobs implements queryv1.JobServiceHandler.
func (s *server) ListJobs(ctx context.Context, asked *queryv1.ListJobsRequest) (*queryv1.ListJobsResponse, error) {
	which, err := jobsAsked(asked)
	if err != nil {
		return nil, err
	}
	at, jobs, next, err := list(ctx, s, asked, listing[projections.Job, *queryv1.Job]{
		mark:  'j',
		place: func(j *projections.Job) []any { return []any{&j.Submitted.AtMs, &j.Job} },
		rows: func(ctx context.Context, r projections.Reader, below projections.Job, limit int) ([]projections.Job, error) {
			if err := mayJobs(ctx, r, which); err != nil {
				return nil, err
			}
			return r.JobsLike(ctx, which, projections.JobPlace{SubmittedMs: below.Submitted.AtMs, Job: below.Job}, limit)
		},
		message: job,
	})
	return &queryv1.ListJobsResponse{Position: at, Jobs: jobs, NextCursor: next}, err
}

func jobsAsked(asked *queryv1.ListJobsRequest) (which projections.JobFilter, err error) {
	named := 0
	for _, id := range []struct {
		field, text string
		into        *[32]byte
	}{
		{"client", asked.Client, (*[32]byte)(&which.Client)}, {"provider", asked.Provider, (*[32]byte)(&which.Provider)},
		{"worker", asked.Worker, (*[32]byte)(&which.Worker)}, {"model", asked.Model, (*[32]byte)(&which.Model)},
	} {
		if *id.into, err = idIfAny[[32]byte](id.field, id.text); err != nil {
			return which, err
		}
		if *id.into == ([32]byte{}) {
			continue
		}
		if named++; named > 1 {
			return which, wrong(id.field, "want at most one of client, provider, worker and model")
		}
	}
	if which.FromMs, which.ToMs, err = timeAsked(asked.FromMs, asked.ToMs); err != nil {
		return which, err
	}
	which.State, which.Dispute = asked.State, asked.Dispute
	switch {
	case which.State != "" && !slices.Contains(projections.JobStates(), which.State):
		return which, wrong("state", "want a state of jobs, such as completed")
	case which.Dispute != "" && which.Dispute != projections.DisputeOpen && which.Dispute != projections.DisputeResolved:
		return which, wrong("dispute", "want open or resolved")
	}
	if _, err := which.Parts(); err != nil {
		return which, wrong("dispute", "goes with neither state, worker nor model")
	}
	return which, nil
}

// timeAsked checks a span of time.
func timeAsked(fromMs, toMs int64) (from, to int64, err error) {
	return fromMs, toMs, cmp.Or(isMoment("from_ms", fromMs), isMoment("to_ms", toMs))
}

// lastMs ends the year 9999: what is later can't be written as a date, nor asked of every store.
const lastMs = 253_402_300_799_999

// isMoment wants of a field that it is a moment of log time; 0 is what each field says it is.
func isMoment(field string, ms int64) error {
	if ms < 0 || ms > lastMs {
		return wrong(field, "want Unix milliseconds before the year 10000, or 0")
	}
	return nil
}

// mayJobs refuses jobs that are not all the asker's own. A worker's are its provider's.
func mayJobs(ctx context.Context, r projections.Reader, which projections.JobFilter) error {
	provider := which.Provider
	if asker := askerIn(ctx); asker.Role == RoleProvider && which.Worker != (domain.WorkerID{}) {
		worker, err := r.Worker(ctx, which.Worker)
		if err != nil && !errors.Is(err, projections.ErrNotFound) {
			return err
		}
		provider = worker.Provider
	}
	return may(ctx, provider, which.Client)
}

// ListUsage implements queryv1.JobServiceHandler.
func (s *server) ListUsage(ctx context.Context, asked *queryv1.ListUsageRequest) (*queryv1.ListUsageResponse, error) {
	which, by, err := usageAsked(asked)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, which.Provider, which.Client); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListUsageResponse, error) {
		rows, err := r.UsageTotals(ctx, which, by)
		if errors.Is(err, projections.ErrTooMany) {
			return nil, wrong("by", fmt.Sprintf("gives more than %d rows: want a shorter time, or fewer columns", projections.MaxRows))
		}
		if err != nil {
			return nil, err
		}
		return &queryv1.ListUsageResponse{Position: at, Usage: each(rows, usage)}, nil
	})
}

func usageAsked(asked *queryv1.ListUsageRequest) (which projections.UsageFilter, by projections.UsageBy, err error) {
	if which.FromMs, which.ToMs, err = timeAsked(asked.FromMs, asked.ToMs); err != nil {
		return which, by, err
	}
	if which.Model, err = idIfAny[domain.ModelID]("model", asked.Model); err != nil {
		return which, by, err
	}
	if which.Provider, err = idIfAny[domain.ProviderID]("provider", asked.Provider); err != nil {
		return which, by, err
	}
	if which.Client, err = idIfAny[domain.ClientID]("client", asked.Client); err != nil {
		return which, by, err
	}
	for i, column := range asked.By {
		if slices.Contains(asked.By[:i], column) {
			return which, by, wrong("by", "want each column once")
		}
		switch column {
		case queryv1.UsageColumn_USAGE_COLUMN_HOUR, queryv1.UsageColumn_USAGE_COLUMN_DAY:
			if by.Hour || by.Day {
				return which, by, wrong("by", "want hours or days")
			}
			by.Hour, by.Day = column == queryv1.UsageColumn_USAGE_COLUMN_HOUR, column == queryv1.UsageColumn_USAGE_COLUMN_DAY
		case queryv1.UsageColumn_USAGE_COLUMN_MODEL:
			by.Model = true
		case queryv1.UsageColumn_USAGE_COLUMN_PROVIDER:
			by.Provider = true
		case queryv1.UsageColumn_USAGE_COLUMN_CLIENT:
			by.Client = true
		default:
			return which, by, wrong("by", "want hour, day, model, provider or client")
		}
	}
	return which, by, nil
}

func usage(u projections.Usage) *queryv1.Usage {
	return &queryv1.Usage{
		StartMs: u.HourMs, Model: text(u.Model), Provider: text(u.Provider), Client: text(u.Client),
		JobsCompleted: u.Completed, JobsFailed: u.Failed, JobsCancelled: u.Cancelled, JobsExpired: u.Expired,
		Tokens: tokens(u.Tokens), AdjustedTokens: u.AdjustedTokens,
		ChargeNano: int64(u.Charge), WorkerNano: int64(u.WorkerPart), CommissionNano: int64(u.Commission),
	}
}

// Explain implements queryv1.JobServiceHandler.
func (s *server) Explain(ctx context.Context, asked *queryv1.ExplainRequest) (*queryv1.ExplainResponse, error) {
	why, err := s.question(asked)
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ExplainResponse, error) {
		verdict, err := why(ctx, r)
		if err != nil {
			return nil, err
		}
		return &queryv1.ExplainResponse{
			Position: at, Outcome: string(verdict.Outcome), Reason: verdict.Reason, Because: verdict.Because, AmountNano: int64(verdict.Amount),
			Evidence: each(verdict.Facts, func(e projections.Evidence) *queryv1.Evidence {
				return &queryv1.Evidence{Shard: uint32(e.At.Shard), LedgerOffset: int64(e.At.Offset), AtMs: e.AtMs, What: e.What}
			}),
		}, nil
	})
}

// question turns what is asked into what answers it.
func (s *server) question(asked *queryv1.ExplainRequest) (func(context.Context, projections.Reader) (projections.Verdict, error), error) {
	switch asked.Kind {
	case "job":
		id, err := idOf[domain.JobID]("id", asked.Id)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, r projections.Reader) (projections.Verdict, error) {
			if asker := askerIn(ctx); !asker.seesAll() { // a job that was only ever rejected is nobody's
				if _, err := mayJob(ctx, r, id); err != nil {
					return projections.Verdict{}, err
				}
			}
			return projections.WhyJob(ctx, r, id)
		}, nil
	case "provider":
		id, err := idOf[domain.ProviderID]("id", asked.Id)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, r projections.Reader) (projections.Verdict, error) {
			if err := may(ctx, id, domain.ClientID{}); err != nil {
				return projections.Verdict{}, err
			}
			verdict, _, err := projections.WhyProvider(ctx, r, id)
			return verdict, err
		}, nil
	case "report":
		key, err := projections.ParseReportKey(asked.Id)
		if err != nil {
			return nil, wrong("id", "want SIGNER:SHARD:SEQUENCE")
		}
		return func(ctx context.Context, r projections.Reader) (projections.Verdict, error) {
			if err := may(ctx, domain.ProviderID{}, domain.ClientID{}); err != nil { // a report may be about many
				return projections.Verdict{}, err
			}
			return projections.WhyReport(ctx, r, s.Ledger, key)
		}, nil
	default:
		return nil, wrong("kind", "want job, report or provider")
	}
}

// ListRejections implements queryv1.JobServiceHandler.
func (s *server) ListRejections(ctx context.Context, asked *queryv1.ListRejectionsRequest) (*queryv1.ListRejectionsResponse, error) {
	fromMs, toMs, err := timeAsked(asked.FromMs, asked.ToMs)
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListRejectionsResponse, error) {
		reasons, err := r.RejectionTotals(ctx, fromMs, cmp.Or(toMs, math.MaxInt64))
		if err != nil {
			return nil, err
		}
		return &queryv1.ListRejectionsResponse{Position: at, Reasons: each(reasons, func(t projections.ReasonTotal) *queryv1.ReasonTotal {
			return &queryv1.ReasonTotal{Reason: t.Reason, Count: t.Count}
		})}, nil
	})
}

func job(j projections.Job) *queryv1.Job {
	return &queryv1.Job{
		Job: text(j.Job), Shard: uint32(j.Shard), Account: text(j.Account), Client: text(j.Client), Number: j.Number,
		Model: text(j.Model), RateCard: text(j.RateCard), Worker: text(j.Worker), Provider: text(j.Provider),
		State: j.State, Dispute: j.Dispute,
		MaxPromptTokens: j.MaxPromptTokens, MaxCompletionTokens: j.MaxCompletionTokens, MaxCoefficient: j.MaxCoefficient, Coefficient: j.Coefficient,
		ReservedNano: int64(j.Reserved), ExpiresAtMs: j.ExpiresAtMs,
		Tokens: tokens(j.Tokens), AdjustedTokens: j.AdjustedTokens,
		ChargeNano: int64(j.Charge), WorkerNano: int64(j.WorkerPart), CommissionNano: int64(j.Commission),
		Failure: j.Failure, DisputableUntilMs: j.DisputableUntilMs, DisputeReason: j.DisputeReason,
		HeldNano: int64(j.Held), RefundNano: int64(j.Refund), RefundFromWorkerNano: int64(j.RefundFromWorker),
		ReleasedNano: int64(j.Released), SlashedNano: int64(j.Slashed),
		Submitted: moment(j.Submitted), Assigned: moment(j.Assigned), Started: moment(j.Started), Metered: moment(j.Metered),
		Closed: moment(j.Closed), Disputed: moment(j.Disputed), Resolved: moment(j.Resolved),
	}
}
