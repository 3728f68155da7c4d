package queryapi

import (
	"cmp"
	"context"
	"fmt"

	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// rateMinutes are over how many minutes rates are counted.
var rateMinutes = []int64{1, 5, 60, 24 * 60}

// GetOverview implements queryv1.NetworkServiceHandler.
func (s *server) GetOverview(ctx context.Context, asked *queryv1.GetOverviewRequest) (*queryv1.GetOverviewResponse, error) {
	if err := isMoment("at_ms", asked.AtMs); err != nil {
		return nil, err
	}
	atMs := cmp.Or(asked.AtMs, s.Now().UnixMilli())
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetOverviewResponse, error) {
		o := &queryv1.Overview{}
		for _, part := range []func(context.Context, projections.Reader, *queryv1.Overview) error{worked, tookPart, settled, balanced} {
			if err := part(ctx, r, o); err != nil {
				return nil, fmt.Errorf("overview: %w", err)
			}
		}
		endMs := atMs - atMs%projections.MinuteMs
		for _, minutes := range rateMinutes {
			rate, err := rateOf(ctx, r, endMs-minutes*projections.MinuteMs, endMs)
			if err != nil {
				return nil, fmt.Errorf("overview: %w", err)
			}
			o.Rates = append(o.Rates, rate)
		}
		seen, err := s.reconciled(ctx)
		if err != nil {
			return nil, fmt.Errorf("overview: %w", err)
		}
		seen.Differences, o.Vault = nil, seen
		return &queryv1.GetOverviewResponse{Position: at, Overview: o}, nil
	})
}

func rateOf(ctx context.Context, r projections.Reader, fromMs, toMs int64) (*queryv1.Rate, error) {
	done, err := r.UsageOfMinutes(ctx, fromMs, toMs)
	if err != nil {
		return nil, err
	}
	return &queryv1.Rate{
		FromMs: fromMs, ToMs: toMs, JobsCompleted: done.Completed, JobsEnded: done.Completed + done.Failed + done.Cancelled + done.Expired,
		Tokens: tokens(done.Tokens), ChargeNano: int64(done.Charge),
	}, nil
}

func worked(ctx context.Context, r projections.Reader, o *queryv1.Overview) (err error) {
	o.Total = usage(projections.Usage{})
	total, err := r.UsageTotals(ctx, projections.UsageFilter{}, projections.UsageBy{})
	if err != nil {
		return err
	}
	for _, t := range total { // one, or none before the first job has ended
		o.Total = usage(t)
	}
	o.OpenJobs, err = r.OpenJobs(ctx)
	return err
}

func tookPart(ctx context.Context, r projections.Reader, o *queryv1.Overview) error {
	who, err := r.Parties(ctx)
	o.Providers, o.Workers, o.Clients = who.Providers, who.Workers, who.Clients
	return err
}

func settled(ctx context.Context, r projections.Reader, o *queryv1.Overview) error {
	for p, err := range projections.RowsOf(ctx, r, projections.TheProgress) {
		if err != nil {
			return err
		}
		o.PaidNano, o.CommittedNano, o.VaultNano = int64(p.Paid), int64(p.Committed), -int64(p.Cash) // what is held is negative in the books
		o.LastBatch, o.OpenBatch, o.ActiveBatch, o.SealedAtMs = p.Last, p.Open, p.Active, p.SealedMs
	}
	return nil
}

func balanced(ctx context.Context, r projections.Reader, o *queryv1.Overview) error {
	totals, err := r.TrialBalance(ctx)
	if err != nil {
		return err
	}
	o.Books = each(totals, kindTotal)
	moved, err := r.Moved(ctx, v1.AccountKind_ACCOUNT_KIND_VAULT_CASH, [32]byte{})
	o.DepositedNano = int64(moved.Out) // likewise
	return err
}
