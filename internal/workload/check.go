package workload

import (
	"bytes"
	"context"
	"fmt"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Findings are what is wrong, in words.
type Findings []string

// Addf notes something.
func (f *Findings) Addf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// Want notes a figure that is not what it has to be.
func Want[T comparable](f *Findings, run, what string, have, wanted T) {
	if have != wanted {
		f.Addf("%s: %s: %v, want %v", run, what, have, wanted)
	}
}

// CheckIntake wants each acknowledged report at its place, with its very bytes, and all of the plan's. It returns
// how many copies of reports intake holds besides the first ones: one gateway writes none, two can (and the ledger
// answers them as what they are).
func (w *Workload) CheckIntake(ctx context.Context, wrong *Findings, run string, log eventstore.Reader, acks []Acknowledged) (copies int64, err error) {
	stands := map[domain.Position][]byte{}
	times := map[string]int64{}
	for shard := range domain.Shard(log.Shards()) {
		end, err := log.End(ctx, shard)
		if err != nil {
			return 0, err
		}
		if err := eventstore.Each(ctx, log, shard, 0, end, func(rec eventstore.Record) error {
			stands[domain.Position{Shard: shard, Offset: rec.Offset}] = rec.Value
			times[string(rec.Value)]++
			return nil
		}); err != nil {
			return 0, err
		}
	}
	distinct := map[string]bool{}
	for _, ack := range acks {
		distinct[string(ack.Record)] = true
		if !bytes.Equal(stands[ack.At], ack.Record) {
			wrong.Addf("%s: lost: a report was acknowledged at intake %s, and is not there", run, ack.At)
		}
	}
	Want(wrong, run, "reports acknowledged", int64(len(distinct)), w.Want.Reports)
	for _, n := range times {
		copies += n - 1
	}
	return copies, nil
}

// CheckTables wants Filature's own tables to say what the plan says.
func (w *Workload) CheckTables(ctx context.Context, wrong *Findings, run string, tables projections.Source) error {
	plan := &w.Want
	return tables.Read(ctx, func(r projections.Reader) error {
		usage, err := r.UsageTotals(ctx, projections.UsageFilter{}, projections.UsageBy{})
		if err != nil {
			return err
		}
		if len(usage) != 1 {
			return fmt.Errorf("usage has %d totals", len(usage))
		}
		u := usage[0]
		Want(wrong, run, "jobs completed", u.Completed, plan.Completed)
		Want(wrong, run, "jobs failed", u.Failed, plan.Failed)
		Want(wrong, run, "jobs cancelled", u.Cancelled, plan.Cancelled)
		Want(wrong, run, "jobs expired", u.Expired, 0)
		Want(wrong, run, "tokens", u.Tokens, projections.Tokens{Prompt: plan.Prompt, Cached: plan.Cached, Completion: plan.Completion, Reasoning: plan.Reasoning})
		Want(wrong, run, "adjusted tokens", u.AdjustedTokens, plan.AdjustedTokens)
		Want(wrong, run, "charged", u.Charge, plan.Charge)
		Want(wrong, run, "workers' part", u.WorkerPart, plan.WorkerPart)
		Want(wrong, run, "commission", u.Commission, plan.Commission)
		reports, accepted, rejected, err := w.reported(ctx, r)
		if err != nil {
			return err
		}
		Want(wrong, run, "reports answered", reports, plan.Reports)
		Want(wrong, run, "claims accepted", accepted, plan.AcceptedClaims)
		Want(wrong, run, "claims rejected", rejected, plan.RejectedClaims)
		if rejected != plan.RejectedClaims {
			if err := tellRejections(ctx, wrong, run, r); err != nil {
				return err
			}
		}
		if err := w.checkMoney(ctx, wrong, run, r); err != nil {
			return err
		}
		for _, payee := range w.Providers {
			payout, err := r.Payout(ctx, payee)
			if err != nil {
				return err
			}
			Want(wrong, run, fmt.Sprintf("committed to %s", payee), payout.Committed, plan.Owed[payee])
			Want(wrong, run, fmt.Sprintf("booked as paid to %s", payee), payout.Paid, plan.Owed[payee])
		}
		return nil
	})
}

// tellRejections says what was rejected why, the first of each reason with its place.
func tellRejections(ctx context.Context, wrong *Findings, run string, view projections.View) error {
	counts, first := map[string]int{}, map[string]projections.Rejected{}
	for rejected, err := range projections.RowsOf(ctx, view, projections.Rejections) {
		if err != nil {
			return err
		}
		why := fmt.Sprintf("%v %s", rejected.Reason, rejected.Field)
		if counts[why]++; counts[why] == 1 {
			first[why] = rejected
		}
	}
	for why, n := range counts {
		wrong.Addf("%s: %d claims were rejected because of %s, the first: %+v", run, n, why, first[why])
	}
	return nil
}

// checkMoney wants the trial balance to be zero, and its parts to be the plan's.
func (w *Workload) checkMoney(ctx context.Context, wrong *Findings, run string, r projections.Reader) error {
	deposited, deposits, err := depositsOf(ctx, r)
	if err != nil {
		return err
	}
	Want(wrong, run, "deposits", deposits, len(w.Lanes))
	trial, err := r.TrialBalance(ctx)
	if err != nil {
		return err
	}
	var sum domain.Nano
	for _, kind := range trial {
		sum += kind.Amount
		switch {
		case isKind(kind.Kind, v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE):
			Want(wrong, run, "clients hold", kind.Amount, deposited-w.Want.Charge+w.Want.Refunded)
		case isKind(kind.Kind, v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED):
			Want(wrong, run, "slashed", kind.Amount, w.Want.Slashed)
		}
	}
	Want(wrong, run, "trial balance", sum, 0)
	return nil
}

// CheckPaid wants each payee to have got on chain what it was owed, to the nanoton.
func (w *Workload) CheckPaid(ctx context.Context, wrong *Findings, run string, vault *ton.Vault) error {
	for payee, owed := range w.Want.Owed {
		paid, err := vault.Claimed(ctx, payee)
		if err != nil {
			return err
		}
		Want(wrong, run, fmt.Sprintf("paid on chain to %s", payee), paid, owed)
	}
	return nil
}

// CheckRoot wants the root over all payees to be the plan's, and the batch that has it to be active. It returns
// the batch.
func (w *Workload) CheckRoot(ctx context.Context, wrong *Findings, run string, view projections.View) (last projections.Batch, err error) {
	var leaves []settlement.Leaf
	for payee, owed := range w.Want.Owed {
		if owed > 0 {
			leaves = append(leaves, settlement.Leaf{Payee: payee, Cumulative: owed})
		}
	}
	settlement.SortLeaves(leaves)
	root, err := settlement.Root(leaves)
	if err != nil {
		return last, err
	}
	for batch, err := range projections.RowsOf(ctx, view, projections.Batches) {
		if err != nil {
			return last, err
		}
		last = batch
	}
	Want(wrong, run, "payout root of the last batch", last.PayoutRoot, root)
	Want(wrong, run, "state of the last batch", last.State, projections.BatchActivated)
	return last, nil
}

// CheckSame wants the same balance of every account in two runs of the workload.
func CheckSame(ctx context.Context, wrong *Findings, run string, have, calm *Books) error {
	var held [2]map[projections.BalanceKey]domain.Nano
	for i, books := range []*Books{have, calm} {
		if err := books.store.View(ctx, func(view projections.View) (err error) {
			held[i], err = balances(ctx, view)
			return err
		}); err != nil {
			return err
		}
	}
	for key := range held[0] {
		if _, there := held[1][key]; !there {
			held[1][key] = 0
		}
	}
	for key, amount := range held[1] {
		Want(wrong, run, fmt.Sprintf("balance of %s %x, as in the undisturbed run", key.Kind, key.Owner), held[0][key], amount)
	}
	return nil
}

// depositsOf is what the vault took in for all accounts: what was sent, less its fee.
func depositsOf(ctx context.Context, view projections.View) (sum domain.Nano, number int, err error) {
	for deposit, err := range projections.RowsOf(ctx, view, projections.Deposits) {
		if err != nil {
			return sum, number, err
		}
		sum += deposit.Amount
		number++
	}
	return sum, number, nil
}
