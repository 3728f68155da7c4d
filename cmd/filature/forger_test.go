package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/internal/forger"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
	"github.com/filature/filature/workers/auditor"
)

// forgeries are what a forger who holds every key of the demo changes: one thing that moves money, and one that moves none.
var forgeries = map[string]struct {
	change func(*v1.Claim) bool
	field  string // of the first batch, by which the chain gives it away
}{
	"a worker made one token more": {
		func(claim *v1.Claim) bool {
			done := claim.GetCompleteJob()
			if done != nil {
				done.Usage.CompletionTokens++
			}
			return done != nil
		},
		"payout_root",
	},
	"a client has another name": {
		func(claim *v1.Claim) bool {
			client := claim.GetRegisterClient()
			if client != nil {
				client.Name = "Nobody"
			}
			return client != nil
		},
		"commitment",
	},
}

// everyKey is all keys of a demo, by their public halves.
func everyKey(t *testing.T, folder string) map[domain.KeyID]ed25519.PrivateKey {
	t.Helper()
	all := map[domain.KeyID]ed25519.PrivateKey{}
	files, err := filepath.Glob(filepath.Join(folder, keysDir, "*"+keySuffix))
	if err != nil || len(files) < len(operators) {
		t.Fatalf("%d keys: %v", len(files), err)
	}
	for _, file := range files {
		key, err := sdk.ReadKey(file)
		if err != nil {
			t.Fatal(err)
		}
		all[signing.KeyOf(key)] = key
	}
	w := &world{seed: sharedDemo.result.Seed}
	for _, provider := range demoProviders {
		for i := range provider.workers {
			worker := w.party("%s/%d", provider.name, i)
			all[signing.KeyOf(worker.key)] = worker.key
		}
	}
	return all
}

// historyOf is both logs of a folder.
func historyOf(t *testing.T, folder string) (h forger.Forgery) {
	t.Helper()
	source, err := readMaterial(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	if h.Intake, err = forger.Copy(t.Context(), source.intake); err == nil {
		h.Ledger, err = forger.Copy(t.Context(), source.ledger)
	}
	if err = errors.Join(err, source.close()); err != nil {
		t.Fatal(err)
	}
	return h
}

// rewritten is the demo's history with one change, and all that follows from it. The first claim is changed for whose sake
// the first batch gets another payout root, or keeps it, as is wanted.
func rewritten(t *testing.T, folder string, change func(*v1.Claim) bool, field string) *forger.Forgery {
	t.Helper()
	was, keys := historyOf(t, folder), everyKey(t, folder)
	const tries = 50 // some jobs are paid later
	for before := range tries {
		told, err := forger.Rewrite(t.Context(), was, keys, func(_ domain.Shard, claim *v1.Claim) bool {
			if before > 0 && change(proto.CloneOf(claim)) {
				before--
				return false
			}
			return change(claim)
		})
		if err != nil {
			t.Fatal(err)
		}
		if same := firstRoot(t, was) == firstRoot(t, *told); same == (field != "payout_root") && accepted(t, told) {
			return told
		}
	}
	t.Fatalf("no change of %d makes the first batch's %s another", tries, field)
	return nil
}

// accepted tells whether the ledger takes what was changed.
func accepted(t *testing.T, told *forger.Forgery) bool {
	t.Helper()
	entry, err := eventstore.DecodeEntry(told.At.Shard, told.Ledger[told.At.Shard][told.At.Offset])
	if err != nil {
		t.Fatal(err)
	}
	return !slices.ContainsFunc(entry.GetAnswer().GetFacts(), func(fact *v1.Fact) bool { return fact.GetRejection() != nil })
}

// firstRoot is the payout root of batch 1.
func firstRoot(t *testing.T, h forger.Forgery) (root domain.Digest) {
	t.Helper()
	for _, record := range h.Ledger[domain.Control] {
		entry, err := eventstore.DecodeEntry(domain.Control, record)
		if err != nil {
			t.Fatal(err)
		}
		for _, fact := range entry.GetAnswer().GetFacts() {
			if sealed := fact.GetBatchSealed(); sealed.GetNumber() == 1 {
				root = domain.Digest(sealed.PayoutRoot)
			}
		}
	}
	return root
}

// replace puts another history into a data folder, tables included.
func replace(t *testing.T, folder string, told *forger.Forgery) {
	t.Helper()
	for name, log := range map[string]forger.Log{intakeDir: told.Intake, ledgerDir: told.Ledger} {
		if err := os.RemoveAll(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name), log)
	}
	tables, err := filepath.Glob(filepath.Join(folder, projectionFile+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tables {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(folder, projectionFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(foldAll(t.Context(), told.Ledger, store), store.Close()); err != nil {
		t.Fatal(err)
	}
}

func foldAll(ctx context.Context, log eventstore.Reader, store projections.Store) error {
	ends, err := endsOf(ctx, log)
	if err != nil {
		return err
	}
	return projections.FoldTo(ctx, log, store, ends, projections.All()...)
}

// write makes a segment log of records at their times.
func write(t *testing.T, folder string, log forger.Log) {
	t.Helper()
	type placed struct {
		eventstore.Record
		shard domain.Shard
	}
	var all []placed
	for shard, records := range log {
		for _, record := range records {
			all = append(all, placed{record, domain.Shard(shard)})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.shard, b.shard)) })
	var now time.Time
	to, err := seglog.Open(folder, seglog.Options{Shards: len(log), Now: func() time.Time { return now }, Unsynced: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range all {
		now = record.Time
		at, err := to.Append(t.Context(), record.shard, [][]byte{record.Value})
		if err != nil || at != record.Offset {
			t.Fatalf("record %d/%d was written at %d: %v", record.shard, record.Offset, at, err)
		}
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
}

// givenAway wants an audit to fail for the chain's sake alone, at the first batch, and to show what the chain has.
func givenAway(t *testing.T, report *auditor.Report, field string, looked ...string) {
	t.Helper()
	if report.Verdict != auditor.Fail || report.Diverges == nil || report.Diverges.Batch != 1 || report.Diverges.Field != field {
		t.Fatalf("verdict %s, divergence %+v", report.Verdict, report.Diverges)
	}
	true1 := sharedDemo.result.Audit.Batches[0].Root
	if d := report.Diverges; d.OnChain == d.FromLog || field == "payout_root" && (d.OnChain != true1 || d.FromLog != report.Batches[0].Root) {
		t.Errorf("it is told %s; the chain has the root %s", d, true1)
	}
	for _, step := range report.Steps {
		if step.State != auditor.StepDone && !slices.Contains(looked, step.Name) {
			t.Errorf("step %s is %s: %s", step.Name, step.State, step.Why)
		}
	}
	for _, o := range report.Offences {
		if o.Kind != auditor.BatchOnChain && o.Kind != auditor.ChangedEvent {
			t.Errorf("something besides the roots on chain gave it away: %s", o)
		}
	}
	if o := report.Offences[0]; o.Kind != auditor.BatchOnChain || o.Field != field {
		t.Errorf("the first offence is %s, field %s", o, o.Field)
	}
	for _, b := range report.Batches {
		if b.Root != b.LogRoot || b.Root != b.SecondRoot {
			t.Errorf("batch %d: sealed %s, from the log %s, by the second count %s", b.Number, b.Root, b.LogRoot, b.SecondRoot)
		}
	}
}

// TestTheCleverestForgerIsGivenAwayByTheRootOnChainAlone: whoever has every key of a network, all logs, tables, trees and
// archives of it, and unlimited patience, still can't change one early fact: the vault took the root of the history as it
// was.
func TestTheCleverestForgerIsGivenAwayByTheRootOnChainAlone(t *testing.T) {
	t.Parallel()
	for name, f := range forgeries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := sharedDemo.copied(t)
			policy := seenByAWitness(t, folder)
			seen := filepath.Join(t.TempDir(), "seen")
			if err := os.Rename(filepath.Join(folder, tilesDir), seen); err != nil {
				t.Fatal(err)
			}
			told := rewritten(t, folder, f.change, f.field)
			replace(t, folder, told)
			invoke(t, "publish", "--data", folder).want(t, exitOK) // with the key that signed the true history

			// Somebody who saw the true history still has it; a witness signs no other.
			invoke(t, "publish", "--data", folder, "--to", t.TempDir(), "--policy", policy).want(t, exitUnfinished, "too few witnesses have cosigned")
			invoke(t, "audit", "--data", folder, "--tiles", seen).want(t, exitNo, "rewritten_log", "the log's key")

			report := decoded[auditor.Report](t, invoke(t, "audit", "--data", folder, "--json").want(t, exitNo))
			givenAway(t, &report, f.field)
			invoke(t, "audit", "--data", folder).want(t, exitNo, "Verdict: FAIL", report.Diverges.OnChain, report.Diverges.FromLog)

			// Without the chain nothing is wrong: it all agrees with itself.
			alone := mustCopy(t, folder)
			if err := os.RemoveAll(filepath.Join(alone, chainDir)); err != nil {
				t.Fatal(err)
			}
			report = decoded[auditor.Report](t, invoke(t, "audit", "--data", alone, "--json").want(t, exitNo))
			if report.Verdict != auditor.Incomplete || len(report.Offences) != 0 {
				t.Errorf("without the chain: %s, %+v", report.Verdict, report.Offences)
			}
			for _, step := range report.Steps {
				if step.State != auditor.StepDone && step.Name != "chain" {
					t.Errorf("without the chain step %s is %s: %s", step.Name, step.State, step.Why)
				}
			}

			archive, globalConfig := handedOver(t, folder)
			audit := []string{"audit", "--logs", archive, "--ton-config", globalConfig, "--ton-unverified"}
			report = decoded[auditor.Report](t, invoke(t, append(audit, "--json")...).want(t, exitNo))
			givenAway(t, &report, f.field, "projections")
			said := invoke(t, append(audit, "--policy", policy)...).want(t, exitNo, "no checkpoint that meets the policy (witness w)", report.Diverges.OnChain)
			if strings.Contains(said.stdout, "damaged_file") {
				t.Errorf("the archive is not whole:\n%s", said.stdout)
			}
		})
	}
}
