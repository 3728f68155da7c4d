package queryapi

import (
	"context"
	"fmt"
	"math"

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
	list, err := s.balancesAsked(asked)
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListBalancesResponse, error) {
		held, next, err := list(ctx, r)
		if err != nil {
			return nil, err
		}
		for i := range held {
			if asked.AtMs == 0 {
				break
			}
			if held[i].Amount, err = r.BalanceAt(ctx, kindNamed(held[i].Kind), held[i].Owner, asked.AtMs); err != nil {
				return nil, err
			}
		}
		return &queryv1.ListBalancesResponse{Position: at, Balances: each(held, balance), NextCursor: next}, nil
	})
}

type balanceList func(context.Context, projections.Reader) (held []projections.Balance, next string, err error)

// balancesAsked turns what is asked into what lists it: all of an owner, all of a kind, or the one that is both.
func (s *server) balancesAsked(asked *queryv1.ListBalancesRequest) (balanceList, error) {
	owner, err := idIfAny[[32]byte]("owner", asked.Owner)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'o'
	var last [32]byte
	going, err := after(asked.Page, mark, &last)
	if err != nil {
		return nil, err
	}
	kind := kindNamed(asked.Kind)
	switch {
	case asked.AtMs < 0:
		return nil, wrong("at_ms", "want Unix milliseconds, or 0 for now")
	case kind == 0 && asked.Kind != "":
		return nil, errNoKind
	case kind == 0:
		return func(ctx context.Context, r projections.Reader) ([]projections.Balance, string, error) {
			if err := mayOwner(ctx, r, "", owner); err != nil {
				return nil, "", err
			}
			held, err := r.BalancesOf(ctx, owner)
			return held, "", err
		}, nil
	case asked.Owner != "":
		return func(ctx context.Context, r projections.Reader) ([]projections.Balance, string, error) {
			if err := mayOwner(ctx, r, asked.Kind, owner); err != nil {
				return nil, "", err
			}
			held, err := r.Balance(ctx, kind, owner)
			return []projections.Balance{held}, "", err
		}, nil
	default:
		from := &last
		if !going {
			from = nil
		}
		return func(ctx context.Context, r projections.Reader) ([]projections.Balance, string, error) {
			if asker := askerIn(ctx); !asker.seesAll() {
				return nil, "", errForbidden(asker)
			}
			held, err := r.BalancesOfKind(ctx, kind, from, size+1)
			held, next := turn(held, size, func(b projections.Balance) string { return cursor(mark, b.Owner) })
			return held, next, err
		}, nil
	}
}

// ListDeposits implements queryv1.MoneyServiceHandler.
func (s *server) ListDeposits(ctx context.Context, asked *queryv1.ListDepositsRequest) (*queryv1.ListDepositsResponse, error) {
	account, err := idOf[domain.AccountID]("account", asked.Account)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'd'
	below := int64(math.MaxInt64)
	if _, err := after(asked.Page, mark, &below); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListDepositsResponse, error) {
		if err := mayOwner(ctx, r, "client/available", account); err != nil {
			return nil, err
		}
		deposits, err := r.DepositsOf(ctx, account, uint64(below), size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListDepositsResponse{Position: at}
		deposits, page.NextCursor = turn(deposits, size, func(d projections.Deposit) string { return cursor(mark, int64(d.LT)) })
		page.Deposits = each(deposits, func(d projections.Deposit) *queryv1.Deposit {
			return &queryv1.Deposit{
				Account: text(d.Account), Tx: &queryv1.ChainTx{Hash: text(d.TxHash), Lt: d.LT}, AmountNano: int64(d.Amount), Booked: moment(d.Booked),
			}
		})
		return page, nil
	})
}

// GetTrialBalance implements queryv1.MoneyServiceHandler.
func (s *server) GetTrialBalance(ctx context.Context, asked *queryv1.GetTrialBalanceRequest) (*queryv1.GetTrialBalanceResponse, error) {
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetTrialBalanceResponse, error) {
		totals, err := r.TrialBalance(ctx)
		if err != nil {
			return nil, err
		}
		return &queryv1.GetTrialBalanceResponse{Position: at, Totals: each(totals, kindTotal)}, nil
	})
}

// ListPostings implements queryv1.MoneyServiceHandler.
func (s *server) ListPostings(ctx context.Context, asked *queryv1.ListPostingsRequest) (*queryv1.ListPostingsResponse, error) {
	if asked.Job != "" {
		return s.jobPostings(ctx, asked)
	}
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
		lines, err := r.Journal(ctx, kind, owner, last, size+1)
		if err != nil {
			return nil, fmt.Errorf("postings of %s %s: %w", asked.Kind, asked.Owner, err)
		}
		page := &queryv1.ListPostingsResponse{Position: at}
		lines, page.NextCursor = turn(lines, size, func(l projections.JournalLine) string {
			return cursor(mark, l.AtMs, int64(l.Shard), int64(l.Ledger), l.Fact, l.Posting)
		})
		page.Postings = each(lines, posting)
		return page, nil
	})
}

// jobPostings is ListPostings of one job.
func (s *server) jobPostings(ctx context.Context, asked *queryv1.ListPostingsRequest) (*queryv1.ListPostingsResponse, error) {
	id, err := idOf[domain.JobID]("job", asked.Job)
	if err != nil {
		return nil, err
	}
	if asked.Kind != "" || asked.Owner != "" || asked.Page != nil {
		return nil, wrong("job", "want no kind, owner or page beside it")
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListPostingsResponse, error) {
		job, err := mayJob(ctx, r, id)
		if err != nil {
			return nil, err
		}
		lines, err := projections.JobPostings(ctx, r, job)
		if err != nil {
			return nil, fmt.Errorf("postings of job %s: %w", id, err)
		}
		return &queryv1.ListPostingsResponse{Position: at, Postings: each(lines, posting)}, nil
	})
}

// accountOf reads the name of an account of the chart.
func accountOf(kind, owner string) (v1.AccountKind, [32]byte, error) {
	id, err := idIfAny[[32]byte]("owner", owner)
	if err != nil {
		return 0, id, err
	}
	if named := kindNamed(kind); named != 0 {
		return named, id, nil
	}
	return 0, id, errNoKind
}

var errNoKind = wrong("kind", "want a word of the chart of accounts, such as client/available")

// kindNamed returns the kind of a name, or 0.
func kindNamed(name string) v1.AccountKind {
	for value := range v1.AccountKind_name {
		if value != 0 && projections.KindName(v1.AccountKind(value)) == name {
			return v1.AccountKind(value)
		}
	}
	return 0
}

func kindTotal(t projections.KindTotal) *queryv1.KindTotal {
	return &queryv1.KindTotal{Kind: t.Kind, Accounts: t.Accounts, AmountNano: int64(t.Amount)}
}

func balance(b projections.Balance) *queryv1.Balance {
	return &queryv1.Balance{Kind: b.Kind, Owner: text(b.Owner), AmountNano: int64(b.Amount), Postings: b.Postings, LastAtMs: b.LastAtMs}
}

func posting(l projections.JournalLine) *queryv1.Posting {
	return &queryv1.Posting{
		AtMs: l.AtMs, Shard: uint32(l.Shard), LedgerOffset: int64(l.Ledger), Fact: l.Fact, Posting: l.Posting,
		AmountNano: int64(l.Amount), What: l.What, Job: text(l.Job), Kind: l.Kind, Owner: text(l.Owner),
	}
}
