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
	at, providers, next, err := list(ctx, s, asked, listing[projections.ProviderTotal, *queryv1.ProviderTotal]{
		mark:  'v',
		place: func(p *projections.ProviderTotal) []any { return []any{&p.Name, &p.Provider} },
		rows: func(ctx context.Context, r projections.Reader, after projections.ProviderTotal, limit int) ([]projections.ProviderTotal, error) {
			return r.ProviderTotals(ctx, after, limit)
		},
		message: providerTotal,
	})
	return &queryv1.ListProvidersResponse{Position: at, Providers: providers, NextCursor: next}, err
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
	at, workers, next, err := list(ctx, s, asked, listing[projections.WorkerTotal, *queryv1.Worker]{
		mark:  'w',
		place: func(w *projections.WorkerTotal) []any { return []any{&w.Worker.Worker} },
		rows: func(ctx context.Context, r projections.Reader, after projections.WorkerTotal, limit int) ([]projections.WorkerTotal, error) {
			return r.WorkerTotals(ctx, provider, after.Worker.Worker, limit)
		},
		message: worker,
	})
	return &queryv1.ListWorkersResponse{Position: at, Workers: workers, NextCursor: next}, err
}

// ListClients implements queryv1.NetworkServiceHandler.
func (s *server) ListClients(ctx context.Context, asked *queryv1.ListClientsRequest) (*queryv1.ListClientsResponse, error) {
	at, clients, next, err := list(ctx, s, asked, listing[projections.ClientTotal, *queryv1.Client]{
		mark:  'c',
		place: func(c *projections.ClientTotal) []any { return []any{&c.Client.Client} },
		rows: func(ctx context.Context, r projections.Reader, after projections.ClientTotal, limit int) ([]projections.ClientTotal, error) {
			return r.ClientTotals(ctx, after.Client.Client, limit)
		},
		message: client,
	})
	return &queryv1.ListClientsResponse{Position: at, Clients: clients, NextCursor: next}, err
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
	at, accounts, next, err := list(ctx, s, asked, listing[projections.AccountTotal, *queryv1.Account]{
		mark:  'a',
		place: func(a *projections.AccountTotal) []any { return []any{&a.Account.Account} },
		rows: func(ctx context.Context, r projections.Reader, after projections.AccountTotal, limit int) ([]projections.AccountTotal, error) {
			return r.AccountsOf(ctx, client, after.Account.Account, limit)
		},
		message: account,
	})
	return &queryv1.ListAccountsResponse{Position: at, Accounts: accounts, NextCursor: next}, err
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
	at, holdbacks, next, err := list(ctx, s, asked, listing[projections.Holdback, *queryv1.Holdback]{
		mark:  'k',
		place: func(h *projections.Holdback) []any { return []any{&h.UntilMs, &h.Shard, &h.BucketMs} },
		rows: func(ctx context.Context, r projections.Reader, after projections.Holdback, limit int) ([]projections.Holdback, error) {
			return r.HoldbacksOf(ctx, provider, after, limit)
		},
		message: holdback,
	})
	return &queryv1.ListHoldbacksResponse{Position: at, Holdbacks: holdbacks, NextCursor: next}, err
}

// ListHolds implements queryv1.NetworkServiceHandler.
func (s *server) ListHolds(ctx context.Context, asked *queryv1.ListHoldsRequest) (*queryv1.ListHoldsResponse, error) {
	worker, err := idIfAny[domain.WorkerID]("worker", asked.Worker)
	if err != nil {
		return nil, err
	}
	at, holds, next, err := list(ctx, s, asked, listing[projections.HoldTotal, *queryv1.HoldTotal]{
		mark:  'h',
		place: func(h *projections.HoldTotal) []any { return []any{&h.Worker, &h.Cause, &h.State, &h.Provider} },
		rows: func(ctx context.Context, r projections.Reader, after projections.HoldTotal, limit int) ([]projections.HoldTotal, error) {
			return r.HoldTotals(ctx, worker, after, limit)
		},
		message: holdTotal,
	})
	return &queryv1.ListHoldsResponse{Position: at, Holds: holds, NextCursor: next}, err
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
