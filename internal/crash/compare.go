package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// findings are what is wrong, in words.
type findings []string

func (f *findings) addf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// want notes a figure that is not what it has to be.
func want[T comparable](f *findings, run, what string, have, wanted T) {
	if have != wanted {
		f.addf("%s: %s: %v, want %v", run, what, have, wanted)
	}
}

// compare holds both runs to the plan and to each other, and returns all that is wrong.
func compare(ctx context.Context, program string, killed, calm *outcome) ([]string, error) {
	var wrong findings
	for run, o := range map[string]*outcome{"with kills": killed, "undisturbed": calm} {
		for _, check := range []func(context.Context, *findings, string) error{o.checkIntake, o.checkBooks, o.checkChain} {
			if err := check(ctx, &wrong, run); err != nil {
				return nil, fmt.Errorf("%s: %w", run, err)
			}
		}
		if err := audit(ctx, program, o.data); err != nil {
			wrong.addf("%s: %v", run, err)
		}
	}
	if err := checkEqual(ctx, &wrong, killed, calm); err != nil {
		return nil, err
	}
	slices.Sort(wrong)
	return wrong, nil
}

// checkIntake wants each acknowledged report at its place, with its very bytes, and nowhere else.
func (o *outcome) checkIntake(ctx context.Context, wrong *findings, run string) (err error) {
	log, err := seglog.OpenReadOnly(filepath.Join(o.data, "intake"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	stands := map[place][]byte{}
	copies := map[string]int{}
	for shard := range log.Shards() {
		end, err := log.End(ctx, domain.Shard(shard))
		if err != nil {
			return err
		}
		if err := eventstore.Each(ctx, log, domain.Shard(shard), 0, end, func(rec eventstore.Record) error {
			stands[place{domain.Shard(shard), rec.Offset}] = rec.Value
			copies[string(rec.Value)]++
			return nil
		}); err != nil {
			return err
		}
	}
	distinct := map[string]bool{}
	for _, ack := range o.acks {
		distinct[string(ack.record)] = true
		if !bytes.Equal(stands[ack.place], ack.record) {
			wrong.addf("%s: lost: a report was acknowledged at intake %d/%d, and is not there", run, ack.shard, ack.offset)
		}
	}
	want(wrong, run, "reports acknowledged", int64(len(distinct)), o.workload.want.Reports)
	for _, n := range copies {
		if n > 1 {
			wrong.addf("%s: a report stands %d times in intake", run, n)
		}
	}
	return nil
}

// checkBooks wants the program's own tables to say what the plan says.
func (o *outcome) checkBooks(ctx context.Context, wrong *findings, run string) (err error) {
	store, err := sqlite.Open(ctx, filepath.Join(o.data, "projections.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	plan := &o.workload.want
	err = store.Read(ctx, func(r projections.Reader) error {
		usage, err := r.UsageTotals(ctx, projections.UsageFilter{}, projections.UsageBy{})
		if err != nil {
			return err
		}
		if len(usage) != 1 {
			return fmt.Errorf("usage has %d totals", len(usage))
		}
		u := usage[0]
		want(wrong, run, "jobs completed", u.Completed, plan.Completed)
		want(wrong, run, "jobs failed", u.Failed, plan.Failed)
		want(wrong, run, "jobs cancelled", u.Cancelled, plan.Cancelled)
		want(wrong, run, "jobs expired", u.Expired, 0)
		want(wrong, run, "tokens", u.Tokens, projections.Tokens{Prompt: plan.Prompt, Cached: plan.Cached, Completion: plan.Completion, Reasoning: plan.Reasoning})
		want(wrong, run, "adjusted tokens", u.AdjustedTokens, plan.AdjustedTokens)
		want(wrong, run, "charged", u.Charge, plan.Charge)
		want(wrong, run, "workers' part", u.WorkerPart, plan.WorkerPart)
		want(wrong, run, "commission", u.Commission, plan.Commission)
		reports, accepted, rejected, err := o.workload.reported(ctx, r)
		if err != nil {
			return err
		}
		want(wrong, run, "reports answered", reports, plan.Reports)
		want(wrong, run, "claims accepted", accepted, plan.AcceptedClaims)
		want(wrong, run, "claims rejected", rejected, plan.RejectedClaims)
		deposited, deposits, err := depositsOf(ctx, r)
		if err != nil {
			return err
		}
		want(wrong, run, "deposits", deposits, len(o.workload.lanes))
		trial, err := r.TrialBalance(ctx)
		if err != nil {
			return err
		}
		var sum domain.Nano
		for _, kind := range trial {
			sum += kind.Amount
			switch {
			case isKind(kind.Kind, v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE):
				want(wrong, run, "clients hold", kind.Amount, deposited-plan.Charge+plan.Refunded)
			case isKind(kind.Kind, v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED):
				want(wrong, run, "slashed", kind.Amount, plan.Slashed)
			}
		}
		want(wrong, run, "trial balance", sum, 0)
		for _, payee := range o.workload.providers {
			payout, err := r.Payout(ctx, payee)
			if err != nil {
				return err
			}
			want(wrong, run, fmt.Sprintf("committed to %s", payee), payout.Committed, plan.owed[payee])
			want(wrong, run, fmt.Sprintf("booked as paid to %s", payee), payout.Paid, plan.owed[payee])
		}
		return nil
	})
	return err
}

// checkChain wants each payee to have got on chain what it was owed, to the nanoton.
func (o *outcome) checkChain(ctx context.Context, wrong *findings, run string) error {
	paid, err := o.workload.paidOnChain(ctx, o.data)
	if err != nil {
		return err
	}
	for payee, owed := range o.workload.want.owed {
		want(wrong, run, fmt.Sprintf("paid on chain to %s", payee), paid[payee], owed)
	}
	return nil
}

// audit runs the program's own audit, which has to pass.
func audit(ctx context.Context, program, data string) error {
	command := exec.CommandContext(ctx, program, "audit", "--data", data, "--json")
	command.Stderr = io.Discard
	text, runErr := command.Output()
	var report struct {
		Verdict  string            `json:"verdict"`
		Offences []json.RawMessage `json:"offences"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("audit printed no report: %w: %w", runErr, err)
	}
	if runErr == nil && report.Verdict != "pass" {
		runErr = errors.New("it ended with exit code 0")
	}
	if runErr != nil {
		offence := json.RawMessage("none")
		if len(report.Offences) > 0 {
			offence = report.Offences[0]
		}
		return fmt.Errorf("audit: verdict %q, first offence %s: %w", report.Verdict, offence, runErr)
	}
	return nil
}

// checkEqual wants the same root over all payees and the same balance of every account in both runs, and
// the root to be the plan's.
func checkEqual(ctx context.Context, wrong *findings, killed, calm *outcome) error {
	var leaves []settlement.Leaf
	for payee, owed := range killed.workload.want.owed {
		if owed > 0 {
			leaves = append(leaves, settlement.Leaf{Payee: payee, Cumulative: owed})
		}
	}
	settlement.SortLeaves(leaves)
	root, err := settlement.Root(leaves)
	if err != nil {
		return err
	}
	var held [2]map[projections.BalanceKey]domain.Nano
	for i, o := range []*outcome{killed, calm} {
		run := []string{"with kills", "undisturbed"}[i]
		if err := o.books.store.View(ctx, func(view projections.View) (err error) {
			if held[i], err = balances(ctx, view); err != nil {
				return err
			}
			last, err := lastBatch(ctx, view)
			want(wrong, run, "payout root of the last batch", last.PayoutRoot, root)
			want(wrong, run, "state of the last batch", last.State, projections.BatchActivated)
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
		want(wrong, "with kills", fmt.Sprintf("balance of %s %x, as in the undisturbed run", key.Kind, key.Owner), held[0][key], amount)
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

func lastBatch(ctx context.Context, view projections.View) (last projections.Batch, err error) {
	for batch, err := range projections.RowsOf(ctx, view, projections.Batches) {
		if err != nil {
			return last, err
		}
		last = batch
	}
	return last, nil
}
