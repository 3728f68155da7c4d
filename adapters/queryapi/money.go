package queryapi

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

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
	if err := isMoment("at_ms", asked.AtMs); err != nil {
		return nil, err
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
	if err := isMoment("at_ms", asked.AtMs); err != nil {
		return nil, err
	}
	kind := kindNamed(asked.Kind)
	if kind == 0 && asked.Kind != "" {
		return nil, errNoKind()
	}
	at, balances, next, err := list(ctx, s, asked, listing[projections.Balance, *queryv1.Balance]{
		mark:  'o',
		place: func(b *projections.Balance) []any { return []any{&b.Kind, &b.Owner} },
		rows: func(ctx context.Context, r projections.Reader, after projections.Balance, limit int) (held []projections.Balance, err error) {
			if kind != 0 && asked.Owner == "" {
				held, err = balancesOfKind(ctx, r, kind, after, limit)
			} else {
				held, err = balancesOf(ctx, r, asked.Kind, owner, after)
			}
			for i := 0; err == nil && asked.AtMs != 0 && i < len(held); i++ {
				held[i].Amount, err = r.BalanceAt(ctx, kindNamed(held[i].Kind), held[i].Owner, asked.AtMs)
			}
			return held, err
		},
		message: balance,
	})
	return &queryv1.ListBalancesResponse{Position: at, Balances: balances, NextCursor: next}, err
}

// balancesOfKind returns accounts of a kind after one, by owner.
func balancesOfKind(ctx context.Context, r projections.Reader, kind v1.AccountKind, after projections.Balance, limit int) ([]projections.Balance, error) {
	if asker := askerIn(ctx); !asker.seesAll() {
		return nil, errForbidden(asker)
	}
	if after.Kind == "" { // the network's own accounts have the zero owner
		return r.BalancesOfKind(ctx, kind, nil, limit)
	}
	return r.BalancesOfKind(ctx, kind, &after.Owner, limit)
}

// balancesOf returns the accounts of an owner after one, by kind, or the one of a kind. They are as few as there are kinds.
func balancesOf(ctx context.Context, r projections.Reader, kind string, owner [32]byte, after projections.Balance) (held []projections.Balance, err error) {
	if err := mayOwner(ctx, r, kind, owner); err != nil {
		return nil, err
	}
	if kind == "" {
		held, err = r.BalancesOf(ctx, owner)
	} else {
		held = make([]projections.Balance, 1)
		held[0], err = r.Balance(ctx, kindNamed(kind), owner)
	}
	return slices.DeleteFunc(held, func(b projections.Balance) bool { return b.Kind <= after.Kind }), err
}

// ListDeposits implements queryv1.MoneyServiceHandler.
func (s *server) ListDeposits(ctx context.Context, asked *queryv1.ListDepositsRequest) (*queryv1.ListDepositsResponse, error) {
	account, err := idOf[domain.AccountID]("account", asked.Account)
	if err != nil {
		return nil, err
	}
	at, deposits, next, err := list(ctx, s, asked, listing[projections.Deposit, *queryv1.Deposit]{
		mark:  'd',
		place: func(d *projections.Deposit) []any { return []any{&d.LT} },
		first: projections.Deposit{DepositKey: projections.DepositKey{LT: math.MaxInt64}},
		rows: func(ctx context.Context, r projections.Reader, below projections.Deposit, limit int) ([]projections.Deposit, error) {
			if err := mayOwner(ctx, r, "client/available", account); err != nil {
				return nil, err
			}
			return r.DepositsOf(ctx, account, below.LT, limit)
		},
		message: func(d projections.Deposit) *queryv1.Deposit {
			return &queryv1.Deposit{
				Account: text(d.Account), Tx: &queryv1.ChainTx{Hash: text(d.TxHash), Lt: d.LT}, AmountNano: int64(d.Amount), Booked: moment(d.Booked),
			}
		},
	})
	return &queryv1.ListDepositsResponse{Position: at, Deposits: deposits, NextCursor: next}, err
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
	at, postings, next, err := list(ctx, s, asked, listing[projections.JournalLine, *queryv1.Posting]{
		mark: 'p',
		place: func(l *projections.JournalLine) []any {
			return []any{&l.AtMs, &l.Shard, &l.Ledger, &l.Fact, &l.Posting}
		},
		rows: func(ctx context.Context, r projections.Reader, after projections.JournalLine, limit int) ([]projections.JournalLine, error) {
			if err := mayOwner(ctx, r, asked.Kind, owner); err != nil {
				return nil, err
			}
			return r.Journal(ctx, kind, owner, after, limit)
		},
		message: posting,
	})
	return &queryv1.ListPostingsResponse{Position: at, Postings: postings, NextCursor: next}, err
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
func accountOf(kind, owner string) (named v1.AccountKind, id [32]byte, err error) {
	if named = kindNamed(kind); named == 0 {
		return 0, id, errNoKind()
	}
	if id, err = idIfAny[[32]byte]("owner", owner); err != nil {
		return 0, id, err
	}
	side, _, _ := strings.Cut(kind, "/")
	switch owned := side == "client" || side == "provider"; {
	case owned && owner == "":
		return 0, id, wrong("owner", "want the id of the account (client/*) or of the provider (provider/*)")
	case !owned && owner != "":
		return 0, id, wrong("owner", "want none: "+kind+" is the network's own")
	}
	return named, id, nil
}

func errNoKind() error {
	var kinds []string
	for value := range v1.AccountKind_name {
		if value != 0 {
			kinds = append(kinds, projections.KindName(v1.AccountKind(value)))
		}
	}
	slices.Sort(kinds)
	return wrong("kind", "want one of "+strings.Join(kinds, ", "))
}

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
