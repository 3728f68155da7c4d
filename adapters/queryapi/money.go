package queryapi

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// GetBalance implements queryv1.MoneyServiceHandler.
func (s *server) GetBalance(ctx context.Context, asked *queryv1.GetBalanceRequest) (*queryv1.GetBalanceResponse, error) {
	kind, owner, err := accountOf(asked.Kind, asked.Owner)
	if err != nil {
		return nil, err
	}
	if asked.AtMs < 0 {
		return nil, wrong("at_ms", "want Unix milliseconds, or 0 for now")
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetBalanceResponse, error) {
		if err := mayOwner(ctx, r, asked.Kind, owner); err != nil {
			return nil, err
		}
		held, err := r.Balance(ctx, kind, owner)
		if err == nil && asked.AtMs != 0 {
			held.Amount, err = r.BalanceAt(ctx, kind, owner, asked.AtMs)
		}
		if err != nil {
			return nil, fmt.Errorf("balance of %s %s: %w", asked.Kind, asked.Owner, err)
		}
		return &queryv1.GetBalanceResponse{Position: at, Balance: balance(held)}, nil
	})
}

// ListBalances implements queryv1.MoneyServiceHandler.
func (s *server) ListBalances(ctx context.Context, asked *queryv1.ListBalancesRequest) (*queryv1.ListBalancesResponse, error) {
	owner, err := idIfAny[[32]byte]("owner", asked.Owner)
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListBalancesResponse, error) {
		if err := mayOwner(ctx, r, "", owner); err != nil {
			return nil, err
		}
		held, err := r.BalancesOf(ctx, owner)
		if err != nil {
			return nil, err
		}
		return &queryv1.ListBalancesResponse{Position: at, Balances: each(held, balance)}, nil
	})
}

// GetTrialBalance implements queryv1.MoneyServiceHandler.
func (s *server) GetTrialBalance(ctx context.Context, asked *queryv1.GetTrialBalanceRequest) (*queryv1.GetTrialBalanceResponse, error) {
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetTrialBalanceResponse, error) {
		totals, err := r.TrialBalance(ctx)
		if err != nil {
			return nil, err
		}
		return &queryv1.GetTrialBalanceResponse{Position: at, Totals: each(totals, func(t projections.KindTotal) *queryv1.KindTotal {
			return &queryv1.KindTotal{Kind: t.Kind, Accounts: t.Accounts, AmountNano: int64(t.Amount)}
		})}, nil
	})
}

// ListPostings implements queryv1.MoneyServiceHandler.
func (s *server) ListPostings(ctx context.Context, asked *queryv1.ListPostingsRequest) (*queryv1.ListPostingsResponse, error) {
	kind, owner, err := accountOf(asked.Kind, asked.Owner)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'p'
	var last projections.JournalLine
	var shard int64
	if _, err := after(asked.Page, mark, &last.AtMs, &shard, (*int64)(&last.Ledger), &last.Fact, &last.Posting); err != nil {
		return nil, err
	}
	last.Shard = domain.Shard(shard)
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListPostingsResponse, error) {
		if err := mayOwner(ctx, r, asked.Kind, owner); err != nil {
			return nil, err
		}
		lines, err := r.Journal(ctx, kind, owner, last, size)
		if err != nil {
			return nil, fmt.Errorf("postings of %s %s: %w", asked.Kind, asked.Owner, err)
		}
		page := &queryv1.ListPostingsResponse{Position: at, Postings: each(lines, posting)}
		if len(lines) == size {
			end := lines[size-1]
			page.NextCursor = cursor(mark, end.AtMs, int64(end.Shard), int64(end.Ledger), end.Fact, end.Posting)
		}
		return page, nil
	})
}

// accountOf reads the name of an account of the chart.
func accountOf(kind, owner string) (v1.AccountKind, [32]byte, error) {
	id, err := idIfAny[[32]byte]("owner", owner)
	if err != nil {
		return 0, id, err
	}
	for value := range v1.AccountKind_name {
		if value != 0 && projections.KindName(v1.AccountKind(value)) == kind {
			return v1.AccountKind(value), id, nil
		}
	}
	return 0, id, wrong("kind", "want a word of the chart of accounts, such as client/available")
}

func balance(b projections.Balance) *queryv1.Balance {
	return &queryv1.Balance{Kind: b.Kind, Owner: text(b.Owner), AmountNano: int64(b.Amount), Postings: b.Postings, LastAtMs: b.LastAtMs}
}

func posting(l projections.JournalLine) *queryv1.Posting {
	return &queryv1.Posting{
		AtMs: l.AtMs, Shard: uint32(l.Shard), LedgerOffset: int64(l.Ledger), Fact: l.Fact, Posting: l.Posting,
		AmountNano: int64(l.Amount), What: l.What, Job: text(l.Job),
	}
}
