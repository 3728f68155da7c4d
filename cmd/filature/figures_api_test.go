package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// everyPage asks for all pages of a list.
func everyPage[Q, A, R any](
	ctx context.Context, t *testing.T, method func(context.Context, *Q) (*A, error), question func(*queryv1.Page) *Q, rows func(*A) ([]R, string),
) (all []R) {
	t.Helper()
	for page := (&queryv1.Page{Size: 500}); ; {
		some, next := rows(answered(ctx, t, method, question(page)))
		if all = append(all, some...); next == "" {
			return all
		}
		page = &queryv1.Page{Size: 500, Cursor: next}
	}
}

// apiFigures are what the API says of everything that there is.
func apiFigures(t *testing.T, url string, of *secondCount) figures {
	t.Helper()
	ctx := projectionstest.Context(t)
	api := clientsOf(url, connect.WithProtoJSON()) // as a program does that knows nothing of protobuf
	f := figures{}
	apiMoney(ctx, t, api, of, f)
	trial := answered(ctx, t, api.GetTrialBalanceAt, &queryv1.GetTrialBalanceAtRequest{})
	for _, line := range trial.TrialBalance.Lines {
		f.add(line.Debit.Nano, "trial balance", line.Kind, "debit")
		f.add(line.Credit.Nano, "trial balance", line.Kind, "credit")
	}
	apiParties(ctx, t, api, f)
	apiWork(ctx, t, api, f)
	for _, job := range of.someJobs() {
		for _, p := range answered(ctx, t, api.ListPostings, &queryv1.ListPostingsRequest{Job: job}).Postings {
			f.add(p.AmountNano, "job postings", job, p.Kind)
		}
	}
	apiBatches(ctx, t, api, f)
	return f
}

func apiMoney(ctx context.Context, t *testing.T, api apiClients, of *secondCount, f figures) {
	t.Helper()
	for _, total := range answered(ctx, t, api.GetTrialBalance, &queryv1.GetTrialBalanceRequest{}).Totals {
		f.add(total.AmountNano, "kind", total.Kind)
		f.add(total.Accounts, "accounts", total.Kind)
		balances := func(atMs int64) []*queryv1.Balance {
			return everyPage(ctx, t, api.ListBalances, func(page *queryv1.Page) *queryv1.ListBalancesRequest {
				return &queryv1.ListBalancesRequest{Kind: total.Kind, AtMs: atMs, Page: page}
			}, func(a *queryv1.ListBalancesResponse) ([]*queryv1.Balance, string) { return a.Balances, a.NextCursor })
		}
		for _, b := range balances(of.thenMs) {
			f.add(b.AmountNano, "balance then", b.Kind, b.Owner)
			f.add(b.AmountNano, "kind then", b.Kind)
		}
		for _, b := range balances(0) {
			f.add(b.AmountNano, "balance", b.Kind, b.Owner)
			for _, p := range everyPage(ctx, t, api.ListPostings, func(page *queryv1.Page) *queryv1.ListPostingsRequest {
				return &queryv1.ListPostingsRequest{Kind: b.Kind, Owner: b.Owner, Page: page}
			}, func(a *queryv1.ListPostingsResponse) ([]*queryv1.Posting, string) { return a.Postings, a.NextCursor }) {
				f.add(p.AmountNano, "flow", b.Kind, b.Owner, p.What)
				if p.AtMs > of.thenMs {
					f.add(p.AmountNano, "flow since", b.Kind, b.Owner, p.What)
				}
			}
		}
	}
	overview := answered(ctx, t, api.GetOverview, &queryv1.GetOverviewRequest{}).Overview
	for what, n := range map[string]int64{
		"money in": overview.DepositedNano, "paid": overview.PaidNano, "promised": overview.CommittedNano, "vault": overview.VaultNano,
	} {
		f.add(n, "network", what)
	}
	for _, total := range overview.Books {
		if strings.HasPrefix(total.Kind, "provider/") {
			f.add(total.AmountNano, "network", "owed to providers")
		}
	}
}

func apiParties(ctx context.Context, t *testing.T, api apiClients, f figures) {
	t.Helper()
	for _, listed := range answered(ctx, t, api.ListProviders, &queryv1.ListProvidersRequest{}).Providers {
		p := answered(ctx, t, api.GetProvider, &queryv1.GetProviderRequest{Provider: listed.Provider}).Provider
		if p.PaidNano != listed.PaidNano || p.WorkerNano != listed.WorkerNano || p.HeldNano != listed.HeldNano {
			t.Errorf("the list of providers has %v, the provider is %v", listed, p)
		}
		for word, n := range map[string]int64{"earned": p.EarnedNano, "held": p.HeldNano, "payable": p.PayableNano, "committed": p.CommittedNano} {
			f.add(n, "provider holds", p.Provider, word)
			f.add(n, "provider owed", p.Provider)
		}
		f.add(p.PaidNano, "provider paid", p.Provider)
		f.add(p.WorkerNano, "provider earned", p.Provider)
		f.add(p.JobsCompleted+p.JobsFailed+p.JobsCancelled+p.JobsExpired, "provider jobs ended", p.Provider)
		payout := answered(ctx, t, api.GetPayout, &queryv1.GetPayoutRequest{Payee: p.Provider}).Payout
		f.add(payout.CommittedNano, "provider promised", p.Provider)
		var paid int64
		for _, payment := range answered(ctx, t, api.ListPayments, &queryv1.ListPaymentsRequest{Payee: p.Provider, Page: &queryv1.Page{Size: 1000}}).Payments {
			paid += payment.AmountNano
		}
		if paid != p.PaidNano || payout.PaidNano != p.PaidNano {
			t.Errorf("provider %s was paid %d, its payments come to %d, its payout says %d", p.Provider, p.PaidNano, paid, payout.PaidNano)
		}
	}
	for _, c := range answered(ctx, t, api.ListClients, &queryv1.ListClientsRequest{}).Clients {
		f.add(c.AvailableNano, "client holds", c.Client, "available")
		f.add(c.ReservedNano, "client holds", c.Client, "reserved")
		for _, account := range answered(ctx, t, api.ListAccounts, &queryv1.ListAccountsRequest{Client: c.Client}).Accounts {
			for _, d := range answered(ctx, t, api.ListDeposits, &queryv1.ListDepositsRequest{Account: account.Account}).Deposits {
				f.add(d.AmountNano, "deposited", account.Account)
			}
		}
	}
}

func apiWork(ctx context.Context, t *testing.T, api apiClients, f figures) {
	t.Helper()
	for _, j := range everyPage(ctx, t, api.ListJobs, func(page *queryv1.Page) *queryv1.ListJobsRequest { return &queryv1.ListJobsRequest{Page: page} },
		func(a *queryv1.ListJobsResponse) ([]*queryv1.Job, string) { return a.Jobs, a.NextCursor }) {
		f.add(1, "jobs", j.State)
		if j.Dispute != "" {
			f.add(1, "disputes", j.Dispute)
		}
		for what, n := range map[string]int64{
			"reserved_nano": j.ReservedNano, "refund_nano": j.RefundNano, "slashed_nano": j.SlashedNano, "adjusted_tokens": j.AdjustedTokens,
			"charge_nano": j.ChargeNano, "worker_nano": j.WorkerNano, "commission_nano": j.CommissionNano,
			"prompt_tokens": j.Tokens.GetPrompt(), "cached_tokens": j.Tokens.GetCached(),
			"completion_tokens": j.Tokens.GetCompletion(), "reasoning_tokens": j.Tokens.GetReasoning(),
		} {
			f.add(n, "job", j.Job, what)
		}
	}
	const (
		hour, day   = queryv1.UsageColumn_USAGE_COLUMN_HOUR, queryv1.UsageColumn_USAGE_COLUMN_DAY
		model       = queryv1.UsageColumn_USAGE_COLUMN_MODEL
		by, forWhom = queryv1.UsageColumn_USAGE_COLUMN_PROVIDER, queryv1.UsageColumn_USAGE_COLUMN_CLIENT
	)
	for _, c := range []struct {
		kind string
		by   []queryv1.UsageColumn
		of   func(*queryv1.Usage) []any
	}{
		{"usage", []queryv1.UsageColumn{hour, model, by, forWhom}, func(u *queryv1.Usage) []any { return []any{u.StartMs, u.Model, u.Provider, u.Client} }},
		{"usage by day", []queryv1.UsageColumn{day, model, by, forWhom}, func(u *queryv1.Usage) []any {
			return []any{time.UnixMilli(u.StartMs).UTC().Format(time.DateOnly), u.Model, u.Provider, u.Client}
		}},
		{"usage by hour", []queryv1.UsageColumn{hour}, func(u *queryv1.Usage) []any { return []any{u.StartMs} }},
		{"usage by model", []queryv1.UsageColumn{model}, func(u *queryv1.Usage) []any { return []any{u.Model} }},
		{"usage by provider", []queryv1.UsageColumn{by}, func(u *queryv1.Usage) []any { return []any{u.Provider} }},
		{"usage by client", []queryv1.UsageColumn{forWhom}, func(u *queryv1.Usage) []any { return []any{u.Client} }},
		{"usage by client and model", []queryv1.UsageColumn{forWhom, model}, func(u *queryv1.Usage) []any { return []any{u.Client, u.Model} }},
		{"usage in all", nil, func(*queryv1.Usage) []any { return nil }},
	} {
		for _, u := range answered(ctx, t, api.ListUsage, &queryv1.ListUsageRequest{By: c.by}).Usage {
			for column, n := range usageOf(u) {
				f.add(n, c.kind, append(c.of(u), column)...)
			}
		}
	}
	for _, h := range answered(ctx, t, api.ListMarketHours, &queryv1.ListMarketHoursRequest{}).Hours {
		for what, n := range map[string]int64{"jobs": h.Cleared, "tokens": h.Tokens, "charge": h.ChargeNano, "per million": h.PerMillionNano} {
			f.add(n, "market", h.HourMs, h.Model, what)
		}
	}
	for _, r := range answered(ctx, t, api.ListRejections, &queryv1.ListRejectionsRequest{}).Reasons {
		f.add(r.Count, "rejected", r.Reason)
	}
}

func usageOf(u *queryv1.Usage) map[string]int64 {
	return map[string]int64{
		"jobs_completed": u.JobsCompleted, "jobs_failed": u.JobsFailed, "jobs_cancelled": u.JobsCancelled, "jobs_expired": u.JobsExpired,
		"prompt_tokens": u.Tokens.GetPrompt(), "cached_tokens": u.Tokens.GetCached(),
		"completion_tokens": u.Tokens.GetCompletion(), "reasoning_tokens": u.Tokens.GetReasoning(),
		"adjusted_tokens": u.AdjustedTokens, "charge_nano": u.ChargeNano, "worker_nano": u.WorkerNano, "commission_nano": u.CommissionNano,
	}
}

func apiBatches(ctx context.Context, t *testing.T, api apiClients, f figures) {
	t.Helper()
	for _, listed := range answered(ctx, t, api.ListBatches, &queryv1.ListBatchesRequest{}).Batches {
		said := answered(ctx, t, api.GetBatch, &queryv1.GetBatchRequest{Number: listed.Number})
		b := said.Batch
		f.add(b.TotalNano, "batch", b.Number, "total")
		f.add(b.Payees, "batch", b.Number, "payees")
		f.add(b.Lines, "batch", b.Number, "lines")
		f.add(digestOf(t, b.PayoutRoot), "batch", b.Number, "payout root")
		f.add(digestOf(t, b.Commitment), "batch", b.Number, "commitment")
		for _, cut := range said.Cut {
			f.add(cut.LedgerOffset, "batch cut", b.Number, cut.Shard, "offset")
			f.add(digestOf(t, cut.LogRoot), "batch cut", b.Number, cut.Shard, "root")
		}
		for _, line := range answered(ctx, t, api.ListBatchLines, &queryv1.ListBatchLinesRequest{Number: b.Number}).Lines {
			f.add(line.DeltaNano, "batch line", b.Number, line.Payee, "delta")
			f.add(line.CumulativeNano, "batch line", b.Number, line.Payee, "cumulative")
		}
	}
}
