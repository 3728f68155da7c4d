package queryapi

import (
	"cmp"
	"context"
	"errors"
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
	fromMs, toMs, err := timeAsked(asked.FromMs, asked.ToMs)
	if err != nil {
		return nil, err
	}
	which := projections.MarketFilter{FromMs: fromMs, ToMs: cmp.Or(toMs, math.MaxInt64), Model: model}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListMarketHoursResponse, error) {
		hours, err := projections.Market(ctx, r, which)
		if errors.Is(err, projections.ErrTooMany) {
			return nil, wrong("from_ms", fmt.Sprintf("gives more than %d hours and models: want a shorter time, or one model", projections.MaxRows))
		}
		if err != nil {
			return nil, err
		}
		return &queryv1.ListMarketHoursResponse{Position: at, Hours: each(hours, marketHour)}, nil
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
