package queryapi

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// GetNetwork implements queryv1.NetworkServiceHandler.
func (s *server) GetNetwork(ctx context.Context, asked *queryv1.GetNetworkRequest) (*queryv1.GetNetworkResponse, error) {
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetNetworkResponse, error) {
		for n, err := range projections.RowsOf(ctx, r, projections.TheNetwork) {
			if err != nil {
				return nil, err
			}
			return &queryv1.GetNetworkResponse{Position: at, Network: network(n)}, nil
		}
		return nil, fmt.Errorf("the network has not begun: %w", projections.ErrNotFound)
	})
}

// ListProviders implements queryv1.NetworkServiceHandler.
func (s *server) ListProviders(ctx context.Context, asked *queryv1.ListProvidersRequest) (*queryv1.ListProvidersResponse, error) {
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListProvidersResponse, error) {
		totals, err := r.ProviderTotals(ctx)
		if err != nil {
			return nil, err
		}
		return &queryv1.ListProvidersResponse{Position: at, Providers: each(totals, providerTotal)}, nil
	})
}

// ListAccounts implements queryv1.NetworkServiceHandler.
func (s *server) ListAccounts(ctx context.Context, asked *queryv1.ListAccountsRequest) (*queryv1.ListAccountsResponse, error) {
	client, err := idOf[domain.ClientID]("client", asked.Client)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, domain.ProviderID{}, client); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListAccountsResponse, error) {
		accounts, err := r.AccountsOf(ctx, client)
		if err != nil {
			return nil, err
		}
		return &queryv1.ListAccountsResponse{Position: at, Accounts: each(accounts, func(a projections.Account) *queryv1.Account {
			return &queryv1.Account{Account: text(a.Account), Client: text(a.Client), Shard: uint32(a.Shard), Opened: moment(a.Opened)}
		})}, nil
	})
}

// ListStandings implements queryv1.NetworkServiceHandler.
func (s *server) ListStandings(ctx context.Context, asked *queryv1.ListStandingsRequest) (*queryv1.ListStandingsResponse, error) {
	subject, err := idOf[[32]byte]("subject", asked.Subject)
	if err != nil {
		return nil, err
	}
	var kind v1.SubjectKind
	switch asked.Kind {
	case "worker":
		kind = v1.SubjectKind_SUBJECT_KIND_WORKER
	case "provider":
		kind = v1.SubjectKind_SUBJECT_KIND_PROVIDER
	default:
		return nil, wrong("kind", "want worker or provider")
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListStandingsResponse, error) {
		standings, err := r.Standings(ctx, kind, subject)
		if err != nil {
			return nil, fmt.Errorf("standing of %s %s: %w", asked.Kind, asked.Subject, err)
		}
		return &queryv1.ListStandingsResponse{Position: at, Standings: each(standings, standing)}, nil
	})
}

// ListMarketHours implements queryv1.NetworkServiceHandler.
func (s *server) ListMarketHours(ctx context.Context, asked *queryv1.ListMarketHoursRequest) (*queryv1.ListMarketHoursResponse, error) {
	model, err := idIfAny[domain.ModelID]("model", asked.Model)
	if err != nil {
		return nil, err
	}
	if asked.FromMs < 0 || asked.ToMs < 0 {
		return nil, wrong("from_ms", "want Unix milliseconds, or 0")
	}
	which := projections.MarketFilter{FromMs: asked.FromMs, ToMs: cmp.Or(asked.ToMs, math.MaxInt64), Model: model}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListMarketHoursResponse, error) {
		hours, err := projections.Market(ctx, r, which)
		if err != nil {
			return nil, err
		}
		return &queryv1.ListMarketHoursResponse{Position: at, Hours: each(hours, marketHour)}, nil
	})
}

// ListHolds implements queryv1.NetworkServiceHandler.
func (s *server) ListHolds(ctx context.Context, asked *queryv1.ListHoldsRequest) (*queryv1.ListHoldsResponse, error) {
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListHoldsResponse, error) {
		totals, err := r.HoldTotals(ctx)
		if err != nil {
			return nil, err
		}
		return &queryv1.ListHoldsResponse{Position: at, Holds: each(totals, func(h projections.HoldTotal) *queryv1.HoldTotal {
			return &queryv1.HoldTotal{
				Worker: text(h.Worker), Provider: text(h.Provider), Cause: h.Cause, State: h.State,
				Jobs: h.Jobs, AmountNano: int64(h.Amount), ChargeNano: int64(h.Charge),
			}
		})}, nil
	})
}

func network(n projections.Network) *queryv1.Network {
	return &queryv1.Network{
		Id: text(n.ID), Name: n.Name, Shards: n.Shards, Operator: text(n.Operator), CreatedAtMs: n.CreatedMs, Vault: text(n.Vault),
		MaxJobTimeoutMs: n.MaxJobTimeoutMs, MaxOpenJobs: n.MaxOpenJobs, MaturityBucketMs: n.MaturityBucketMs,
		RequireAttestation: n.RequireAttestation, PayoutThresholdNano: int64(n.PayoutThreshold), BatchPayees: n.BatchPayees,
		DisputeWindowMs: n.DisputeWindowMs, ResolveWithinMs: n.ResolveWithinMs, DefaultRefundPermille: n.DefaultRefundPermille,
	}
}

func providerTotal(p projections.ProviderTotal) *queryv1.ProviderTotal {
	return &queryv1.ProviderTotal{
		Provider: text(p.Provider), Name: p.Name, Workers: p.Workers,
		JobsCompleted: p.Completed, JobsFailed: p.Failed, JobsCancelled: p.Cancelled, JobsExpired: p.Expired,
		Tokens: tokens(p.Tokens), AdjustedTokens: p.AdjustedTokens, WorkerNano: int64(p.WorkerPart),
		EarnedNano: int64(p.Earned), HeldNano: int64(p.Held), PayableNano: int64(p.Payable), CommittedNano: int64(p.Committed), PaidNano: int64(p.Paid),
	}
}

func standing(st projections.Standing) *queryv1.Standing {
	out := &queryv1.Standing{
		Shard: uint32(st.Shard), Policy: text(st.Policy), ScorePpm: st.ScorePPM,
		HoldbackPermille: st.HoldbackPermille, HoldBuckets: st.HoldBuckets, SuspendedUntilMs: st.SuspendedUntilMs, Set: moment(st.Set),
	}
	for d, counts := range st.Record.Counts {
		out.Inputs = append(out.Inputs, &queryv1.ScoreInput{
			Dimension: projections.DimensionName(reputation.Dimension(d)), GoodPpm: counts.Good, BadPpm: counts.Bad, MeanPpm: counts.MeanPPM(),
		})
	}
	for kind, count := range st.Record.Seen {
		if count != 0 {
			out.Evidence = append(out.Evidence, &queryv1.EvidenceCount{Kind: projections.EvidenceName(v1.EvidenceKind(kind + 1)), Count: count})
		}
	}
	return out
}

func marketHour(h projections.MarketHour) *queryv1.MarketHour {
	return &queryv1.MarketHour{
		HourMs: h.HourMs, Model: text(h.Model), Active: h.Active, Busy: h.Busy,
		Lowest: h.Lowest, LowerQuartile: h.LowerQuartile, Median: h.Median, UpperQuartile: h.UpperQuartile, Highest: h.Highest,
		Cleared: h.Cleared, Tokens: h.Tokens, ClearedCoefficient: h.ClearedCoefficient, PerMillionNano: int64(h.PerMillion), ChargeNano: int64(h.Charge),
	}
}
