package queryapi

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// ListProviders implements queryv1.NetworkServiceHandler.
func (s *server) ListProviders(ctx context.Context, asked *queryv1.ListProvidersRequest) (*queryv1.ListProvidersResponse, error) {
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'v'
	var last projections.ProviderTotal
	if _, err := after(asked.Page, mark, &last.Name, (*[32]byte)(&last.Provider)); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListProvidersResponse, error) {
		found, err := r.ProviderTotals(ctx, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListProvidersResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(p projections.ProviderTotal) string { return cursor(mark, p.Name, [32]byte(p.Provider)) })
		page.Providers = each(found, providerTotal)
		return page, nil
	})
}

// GetProvider implements queryv1.NetworkServiceHandler.
func (s *server) GetProvider(ctx context.Context, asked *queryv1.GetProviderRequest) (*queryv1.GetProviderResponse, error) {
	provider, err := idOf[domain.ProviderID]("provider", asked.Provider)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, provider, domain.ClientID{}); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetProviderResponse, error) {
		total, err := r.ProviderTotal(ctx, provider)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", provider, err)
		}
		return &queryv1.GetProviderResponse{Position: at, Provider: providerTotal(total)}, nil
	})
}

// ListWorkers implements queryv1.NetworkServiceHandler.
func (s *server) ListWorkers(ctx context.Context, asked *queryv1.ListWorkersRequest) (*queryv1.ListWorkersResponse, error) {
	provider, err := idIfAny[domain.ProviderID]("provider", asked.Provider)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'w'
	var last domain.WorkerID
	if _, err := after(asked.Page, mark, (*[32]byte)(&last)); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListWorkersResponse, error) {
		found, err := r.WorkerTotals(ctx, provider, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListWorkersResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(w projections.WorkerTotal) string { return cursor(mark, [32]byte(w.Worker.Worker)) })
		page.Workers = each(found, worker)
		return page, nil
	})
}

// ListClients implements queryv1.NetworkServiceHandler.
func (s *server) ListClients(ctx context.Context, asked *queryv1.ListClientsRequest) (*queryv1.ListClientsResponse, error) {
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'c'
	var last domain.ClientID
	if _, err := after(asked.Page, mark, (*[32]byte)(&last)); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListClientsResponse, error) {
		found, err := r.ClientTotals(ctx, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListClientsResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(c projections.ClientTotal) string { return cursor(mark, [32]byte(c.Client.Client)) })
		page.Clients = each(found, client)
		return page, nil
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
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'a'
	var last domain.AccountID
	if _, err := after(asked.Page, mark, (*[32]byte)(&last)); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListAccountsResponse, error) {
		found, err := r.AccountsOf(ctx, client, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListAccountsResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(a projections.AccountTotal) string { return cursor(mark, [32]byte(a.Account.Account)) })
		page.Accounts = each(found, account)
		return page, nil
	})
}

// ListHoldbacks implements queryv1.NetworkServiceHandler.
func (s *server) ListHoldbacks(ctx context.Context, asked *queryv1.ListHoldbacksRequest) (*queryv1.ListHoldbacksResponse, error) {
	provider, err := idOf[domain.ProviderID]("provider", asked.Provider)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, provider, domain.ClientID{}); err != nil {
		return nil, err
	}
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'k'
	var last projections.Holdback
	var shard int64
	if _, err := after(asked.Page, mark, &last.UntilMs, &shard, &last.BucketMs); err != nil {
		return nil, err
	}
	last.Shard = domain.Shard(shard)
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListHoldbacksResponse, error) {
		found, err := r.HoldbacksOf(ctx, provider, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListHoldbacksResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(h projections.Holdback) string { return cursor(mark, h.UntilMs, int64(h.Shard), h.BucketMs) })
		page.Holdbacks = each(found, holdback)
		return page, nil
	})
}

// ListHolds implements queryv1.NetworkServiceHandler.
func (s *server) ListHolds(ctx context.Context, asked *queryv1.ListHoldsRequest) (*queryv1.ListHoldsResponse, error) {
	worker, err := idIfAny[domain.WorkerID]("worker", asked.Worker)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'h'
	var last projections.HoldTotal
	if _, err := after(asked.Page, mark, (*[32]byte)(&last.Worker), &last.Cause, &last.State, (*[32]byte)(&last.Provider)); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListHoldsResponse, error) {
		found, err := r.HoldTotals(ctx, worker, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListHoldsResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(h projections.HoldTotal) string {
			return cursor(mark, [32]byte(h.Worker), h.Cause, h.State, [32]byte(h.Provider))
		})
		page.Holds = each(found, holdTotal)
		return page, nil
	})
}

func providerTotal(p projections.ProviderTotal) *queryv1.ProviderTotal {
	return &queryv1.ProviderTotal{
		Provider: text(p.Provider), Name: p.Name, Workers: p.Workers,
		JobsCompleted: p.Completed, JobsFailed: p.Failed, JobsCancelled: p.Cancelled, JobsExpired: p.Expired,
		Tokens: tokens(p.Tokens), AdjustedTokens: p.AdjustedTokens, WorkerNano: int64(p.WorkerPart),
		EarnedNano: int64(p.Earned), HeldNano: int64(p.Held), PayableNano: int64(p.Payable), CommittedNano: int64(p.Committed), PaidNano: int64(p.Paid),
	}
}

func worker(w projections.WorkerTotal) *queryv1.Worker {
	return &queryv1.Worker{
		Worker: text(w.Worker.Worker), Provider: text(w.Provider), Registered: moment(w.Registered), RetiredAtMs: w.RetiredAtMs,
		AttestedUntilMs: w.AttestedUntilMs, Attestation: w.State,
		ScorePpm: w.ScorePPM, JudgedBy: w.JudgedBy, SuspendedUntilMs: w.SuspendedUntilMs, Offers: w.Offers,
	}
}

func client(c projections.ClientTotal) *queryv1.Client {
	return &queryv1.Client{
		Client: text(c.Client.Client), Name: c.Name, Registered: moment(c.Registered), RetiredAtMs: c.RetiredAtMs,
		Accounts: c.Accounts, AvailableNano: int64(c.Available), ReservedNano: int64(c.Reserved),
	}
}

func account(a projections.AccountTotal) *queryv1.Account {
	return &queryv1.Account{
		Account: text(a.Account.Account), Client: text(a.Client), Shard: uint32(a.Shard), Opened: moment(a.Opened),
		AvailableNano: int64(a.Available), ReservedNano: int64(a.Reserved),
	}
}

func holdback(h projections.Holdback) *queryv1.Holdback {
	return &queryv1.Holdback{
		Shard: uint32(h.Shard), BucketMs: h.BucketMs, UntilMs: h.UntilMs,
		AmountNano: int64(h.Amount), ReleasedNano: int64(h.Released), ForfeitedNano: int64(h.Forfeited), Held: moment(h.Held),
	}
}

func holdTotal(h projections.HoldTotal) *queryv1.HoldTotal {
	return &queryv1.HoldTotal{
		Worker: text(h.Worker), Provider: text(h.Provider), Cause: h.Cause, State: h.State,
		Jobs: h.Jobs, AmountNano: int64(h.Amount), ChargeNano: int64(h.Charge),
	}
}
