package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
	"github.com/filature/filature/workers/reconciler"
)

// read asks the tables of a folder that nobody works on.
func read(t *testing.T, folder string, see func(context.Context, projections.Reader) error) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(folder, projectionFile))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Read(t.Context(), func(r projections.Reader) error { return see(t.Context(), r) }); err != nil {
		t.Fatal(err)
	}
}

// checkBooks wants the trial balance to be zero, everybody paid, and the chain to say so too.
func checkBooks(t *testing.T, result *demoResult) {
	t.Helper()
	var sum, paid domain.Nano
	for _, kind := range result.Trial {
		sum += kind.Amount
		if strings.HasPrefix(kind.Kind, "provider/") && kind.Amount != 0 {
			t.Errorf("%s is left with %s", kind.Kind, kind.Amount)
		}
	}
	if sum != 0 || len(result.Trial) == 0 {
		t.Errorf("the trial balance is %s over %d kinds of accounts, want zero", sum, len(result.Trial))
	}
	for _, p := range result.Providers {
		if left := p.Earned + p.Held + p.Payable + p.Committed; left != 0 {
			t.Errorf("%s is owed %s still", p.Name, left)
		}
		if p.Paid != p.PaidOnChain || p.Paid <= 0 {
			t.Errorf("%s was paid %s by the books, %s on chain", p.Name, p.Paid, p.PaidOnChain)
		}
		paid += p.PaidOnChain
	}
	if result.Topics == "" {
		checkAudit(t, result.Audit)
	} else {
		checkAudit(t, result.Audit, "files") // which there are none of
	}
	last := result.Audit.Batches[len(result.Audit.Batches)-1]
	if last.TotalNano != paid {
		t.Errorf("all batches promise %s, paid on chain is %s", last.TotalNano, paid)
	}
}

// checkAudit wants a report without blemish, and each batch the same in log and chain. Only the steps that are
// named may have been left out.
func checkAudit(t *testing.T, report *auditor.Report, leftOut ...string) {
	t.Helper()
	if report.Verdict != auditor.Pass || len(report.Offences) != 0 {
		t.Fatalf("verdict %s: %+v", report.Verdict, report.Offences)
	}
	for _, step := range report.Steps {
		if step.State != auditor.StepDone && (step.State != auditor.StepSkipped || !slices.Contains(leftOut, step.Name)) {
			t.Errorf("step %s is %s: %s", step.Name, step.State, step.Why)
		}
	}
	if len(report.Batches) == 0 {
		t.Fatal("there is no batch")
	}
	for _, b := range report.Batches {
		if !b.Equal || b.State != projections.BatchActivated || len(b.Root) != 64 || b.Root != b.LogRoot || b.Root != b.ChainRoot {
			t.Errorf("batch %d: root %s, from the log %s, on chain %s, %s", b.Number, b.Root, b.LogRoot, b.ChainRoot, b.State)
		}
	}
	if report.Money == nil || report.Money.Vault == nil || report.Money.TrialBalanceNano != 0 || report.Money.Vault.SurplusNano < 0 {
		t.Errorf("money: %+v", report.Money)
	}
}

func TestTheDemoPaysEverybodyAndPassesItsAudit(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	result := &sharedDemo.result
	checkBooks(t, result)
	if result.Jobs != 300 || result.Claims < 5*300 || len(result.Providers) != len(demoProviders) || len(result.Audit.Batches) < demoParts {
		t.Errorf("%d jobs, %d claims, %d providers, %d batches", result.Jobs, result.Claims, len(result.Providers), len(result.Audit.Batches))
	}
	// What a cheat tries is in the tables, each with its reason.
	rejected := map[string]int64{}
	for _, r := range result.Rejections {
		rejected[r.Reason] = r.Count
	}
	for _, reason := range []v1.Reason{
		v1.Reason_REASON_BAD_SIGNATURE, v1.Reason_REASON_DUPLICATE_REPORT, v1.Reason_REASON_INSUFFICIENT_FUNDS,
		v1.Reason_REASON_MALFORMED, v1.Reason_REASON_SEQUENCE_CONFLICT, v1.Reason_REASON_UNKNOWN_SIGNER,
	} {
		if rejected[projections.ReasonName(reason)] == 0 {
			t.Errorf("nothing was rejected as %s", projections.ReasonName(reason))
		}
	}
	if !strings.Contains(sharedDemo.said.stderr, "all that was earned is paid on chain") {
		t.Errorf("the demo did not say how it went on:\n%s", sharedDemo.said.stderr)
	}

	second := decoded[auditor.Report](t, invoke(t, "audit", "--data", folder, "--json").want(t, exitOK))
	checkAudit(t, &second)
	invoke(t, "audit", "--data", folder).want(t, exitOK, "Verdict: PASS", "root from the log", result.Audit.Batches[0].Root[:16])
	invoke(t, "reconcile", "--data", folder).want(t, exitOK, "Ledger and chain agree.")
	compared := decoded[reconciler.Report](t, invoke(t, "reconcile", "--data", folder, "--json").want(t, exitOK))
	if compared.Asked < len(demoProviders) || compared.Asked != compared.Payees || compared.PaidLedger != compared.PaidChain || compared.PaidChain == 0 {
		t.Errorf("reconciled %+v", compared)
	}
}

func TestWhyKnowsAPaidJobAndTheFactsThatMadeItSo(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	var paid projections.Job
	read(t, folder, func(ctx context.Context, r projections.Reader) error {
		for job, err := range projections.RowsOf(ctx, r, projections.Jobs) {
			if err != nil {
				return err
			}
			if _, err := r.Hold(ctx, job.Job); err == nil {
				continue // its pay waited, and may have gone back
			}
			if job.State == projections.JobCompleted && job.WorkerPart > 0 && job.Dispute == "" {
				paid = job
				return nil
			}
		}
		return errors.New("no job was completed")
	})
	x := decoded[explanation](t, invoke(t, "why", "job", paid.Job.String(), "--data", folder, "--json").want(t, exitOK))
	if x.Outcome != projections.Paid || x.Amount != paid.WorkerPart || x.ID != paid.Job.String() || len(x.AsOf) != 5 {
		t.Errorf("%+v, want %s paid", x, paid.WorkerPart)
	}
	var facts []string
	for _, fact := range x.Facts {
		facts = append(facts, fact.What)
	}
	for _, part := range []string{"submitted", "assigned", "completed", "batch"} {
		if !strings.Contains(strings.Join(facts, "\n"), part) {
			t.Errorf("no fact says %q: %q", part, facts)
		}
	}
	invoke(t, "why", "job", paid.Job.String(), "--data", folder).want(t, exitOK, "PAID", paid.WorkerPart.String(), "As of ledger")
}

func TestWhyKnowsWhyAClaimWasRejected(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	var rejected projections.Rejected
	read(t, folder, func(ctx context.Context, r projections.Reader) error {
		for row, err := range projections.RowsOf(ctx, r, projections.Rejections) {
			if err != nil {
				return err
			}
			if row.Reason == projections.ReasonName(v1.Reason_REASON_INSUFFICIENT_FUNDS) {
				rejected = row
				return nil
			}
		}
		return errors.New("nobody overspent")
	})
	x := decoded[explanation](t, invoke(t, "why", "job", rejected.Job.String(), "--data", folder, "--json").want(t, exitOK))
	if x.Outcome != projections.NotPaid || !strings.Contains(x.Reason, "insufficient_funds") {
		t.Errorf("%+v, want it rejected for insufficient funds", x)
	}
}

func TestWhyKnowsAProviderAndAReport(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	provider := sharedDemo.result.Providers[0]
	x := decoded[explanation](t, invoke(t, "why", "provider", provider.Provider.String(), "--data", folder, "--json").want(t, exitOK))
	if x.Pay == nil || x.Pay.Paid != provider.PaidOnChain || x.Pay.Earned+x.Pay.Held+x.Pay.Payable+x.Pay.Committed != 0 {
		t.Errorf("%+v, pay %+v, want %s paid and nothing left", x, x.Pay, provider.PaidOnChain)
	}
	invoke(t, "why", "provider", provider.Provider.String(), "--data", folder).want(t, exitOK, "paid", provider.Paid.String())

	var report projections.Report
	read(t, folder, func(ctx context.Context, r projections.Reader) error {
		for row, err := range projections.RowsOf(ctx, r, projections.Reports) {
			if err != nil {
				return err
			}
			if row.Rejected > 0 {
				report = row
				return nil
			}
		}
		return errors.New("no report had a rejected claim")
	})
	id := fmt.Sprintf("%s:%d:%d", report.Signer, report.Shard, report.Sequence)
	x = decoded[explanation](t, invoke(t, "why", "report", id, "--data", folder, "--json").want(t, exitOK))
	if x.Outcome == "" || len(x.Facts) == 0 {
		t.Errorf("%+v says nothing of %s", x, id)
	}

	invoke(t, "why", "report", report.Signer.String()+":1:999999999", "--data", folder).want(t, exitNo, "knows nothing of it")
	invoke(t, "why", "job", strings.Repeat("ab", 32), "--data", folder).want(t, exitNo, "knows nothing of it")
	invoke(t, "why", "job", "ab", "--data", folder).want(t, exitUsage, "64 hexadecimal digits")
	invoke(t, "why", "report", "ab:1", "--data", folder).want(t, exitUsage, "SIGNER:SHARD:SEQUENCE")
}

func TestAProofHoldsUnderTheRootOnChainAndUnderNoOther(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	provider := sharedDemo.result.Providers[0]
	file := filepath.Join(t.TempDir(), "proof.boc")
	p := decoded[payoutProof](t, invoke(t, "prove", "payout", provider.Provider.String(), "--data", folder, "--out", file, "--json").want(t, exitOK))
	batches := sharedDemo.result.Audit.Batches
	if last := batches[len(batches)-1]; p.Batch != last.Number || p.Root != last.ChainRoot || p.Cumulative != provider.PaidOnChain {
		t.Errorf("proof of %s in batch %d under %s; on chain is batch %d with %s, paid %s",
			p.Cumulative, p.Batch, p.Root, last.Number, last.ChainRoot, provider.PaidOnChain)
	}
	proof, err := os.ReadFile(file)
	if err != nil || hex.EncodeToString(proof) != p.Proof {
		t.Fatalf("the file is not the proof that was printed: %v", err)
	}
	root, err := domain.ParseID[domain.Digest](p.Root)
	if err != nil {
		t.Fatal(err)
	}
	if amount, err := ton.VerifyPayout(root, provider.Provider, proof); err != nil || amount != p.Cumulative {
		t.Errorf("the proof gives %s, %v", amount, err)
	}
	root[0] ^= 1
	if _, err := ton.VerifyPayout(root, provider.Provider, proof); err == nil {
		t.Error("the proof holds under another root")
	}
	if p.Claim == nil || !strings.HasPrefix(p.Claim.Link, "ton://transfer/"+sharedDemo.result.Vault+"?amount=") ||
		p.Claim.TONConnect.Messages[0].Address != p.Claim.Vault {
		t.Errorf("no claim to be sent to the vault %s: %+v", sharedDemo.result.Vault, p.Claim)
	}
	// By its address, and in the first batch.
	byAddress := decoded[payoutProof](t, invoke(t, "prove", "payout", p.Address, "--data", folder, "--json").want(t, exitOK))
	if byAddress.Claim, p.Claim = nil, nil; byAddress != p {
		t.Errorf("by address the proof is %+v, by id %+v", byAddress, p)
	}
	first := decoded[payoutProof](t, invoke(t, "prove", "payout", p.Address, "--data", folder, "--batch", "2", "--json").want(t, exitOK))
	if first.Claim != nil {
		t.Error("a claim under a root that is not active any more")
	}
	if first.Batch != 2 || first.Root != batches[1].ChainRoot || first.Cumulative >= p.Cumulative {
		t.Errorf("in batch 2: %+v", first)
	}
	invoke(t, "prove", "payout", p.Address, "--data", folder).want(t, exitOK, p.Root, "checked", "ton://transfer/")
	invoke(t, "prove", "payout", strings.Repeat("ab", 32), "--data", folder).want(t, exitNo, "abab")
	invoke(t, "prove", "payout", p.Address, "--data", folder, "--batch", "999").want(t, exitNo, "batch 999")
}

func TestEveryRecordThatTheDemoAcknowledgedIsAnswered(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	intake, err := seglog.OpenReadOnly(filepath.Join(folder, intakeDir))
	if err != nil {
		t.Fatal(err)
	}
	defer intake.Close()
	ledger, err := seglog.OpenReadOnly(filepath.Join(folder, ledgerDir))
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	for shard := range intake.Shards() {
		said, err := intake.End(t.Context(), domain.Shard(shard))
		if err != nil {
			t.Fatal(err)
		}
		end, err := ledger.End(t.Context(), domain.Shard(shard))
		if err != nil {
			t.Fatal(err)
		}
		answered := domain.Offset(0)
		if err := eventstore.Each(t.Context(), ledger, domain.Shard(shard), 0, end, func(rec eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(domain.Shard(shard), rec)
			if err == nil && entry.GetAnswer() != nil {
				if have := domain.Offset(entry.GetAnswer().IntakeOffset); have != answered {
					t.Errorf("shard %d: entry %d answers intake %d, next to be answered is %d", shard, rec.Offset, have, answered)
				}
				answered++
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if answered != said {
			t.Errorf("shard %d: %d of %d intake records are answered", shard, answered, said)
		}
	}
}
