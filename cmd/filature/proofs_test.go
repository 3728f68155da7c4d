package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/sdk/proof"
)

// aPaidJob is a job of the demo that was completed.
func aPaidJob(t *testing.T, folder string) (job domain.JobID) {
	t.Helper()
	p, err := ledgerFlags{Data: folder}.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	err = p.store.View(t.Context(), func(view projections.View) error {
		for row, err := range projections.RowsOf(t.Context(), view, projections.Jobs) {
			if err != nil {
				return err
			}
			if row.Charge > 0 && row.Dispute == "" {
				job = row.Job
				return nil
			}
		}
		return nil
	})
	if err != nil || job == (domain.JobID{}) {
		t.Fatalf("no paid job: %v", err)
	}
	return job
}

func TestAStrangerBelievesAProofByKeysByTheChainOrByBoth(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	job := aPaidJob(t, folder)
	file := filepath.Join(t.TempDir(), "job.proof")

	// Nothing was published: the proof leads to a batch, and the chain stands for that.
	invoke(t, "prove", "job", job.String(), "--data", folder, "--out", file).want(t, exitOK)
	invoke(t, "verify", file, "--data", folder).want(t, exitOK, job.String(), `"job_completed"`, "by the chain", "Not shown")
	anyKey := decoded[publication](t, invoke(t, "publish", "--data", folder, "--to", t.TempDir(), "--json").want(t, exitOK)).Key
	invoke(t, "verify", file, "--key", anyKey).want(t, exitNo, "nothing that you trust")

	published := decoded[publication](t, invoke(t, "publish", "--data", folder, "--json").want(t, exitOK))
	invoke(t, "prove", "job", job.String(), "--data", folder, "--out", file).want(t, exitOK)
	invoke(t, "verify", file, "--key", published.Key).want(t, exitOK, `"job_completed"`, "by the checkpoint\n", "the chain was not asked")
	got := decoded[verdict](t, invoke(t, "verify", file, "--key", published.Key, "--data", folder, "--json").want(t, exitOK))
	if len(got.Records) < 3 || len(got.Checkpoints) != 1 || !got.ByChain {
		t.Errorf("%+v", got)
	}
	for _, r := range got.Records {
		if !r.BySignature || !r.ByChain || r.Void {
			t.Errorf("%+v", r)
		}
	}

	other := strings.Replace(published.Key, "filature/", "filature/00", 1)
	invoke(t, "verify", file, "--key", other).want(t, exitUsage, "verifier key")
	invoke(t, "verify", file).want(t, exitUsage, "what is to be believed")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(raw, []byte(`"total_nano": `), []byte(`"total_nano": 1`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	invoke(t, "verify", file, "--key", published.Key, "--data", folder).want(t, exitNo, "the chain has")
}

func TestAnEntryOfEveryKindIsProven(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	key := decoded[publication](t, invoke(t, "publish", "--data", folder, "--json").want(t, exitOK)).Key
	file := filepath.Join(t.TempDir(), "fact.proof")
	for at, want := range map[string]string{"0 0": "genesis", "0 2": "answers intake", "1 0": "pin"} {
		shard, offset, _ := strings.Cut(at, " ")
		invoke(t, "prove", "fact", shard, offset, "--data", folder, "--out", file).want(t, exitOK)
		invoke(t, "verify", file, "--key", key).want(t, exitOK, want)
	}
	invoke(t, "prove", "fact", "0", "999999", "--data", folder).want(t, exitNo, "999999")
	invoke(t, "prove", "fact", "99", "0", "--data", folder).want(t, exitUsage, "shard 99")
	invoke(t, "prove", "job", strings.Repeat("ab", 32), "--data", folder).want(t, exitNo, "abab")
}

func TestAPayoutIsProvenByTheChainAlone(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	file := filepath.Join(t.TempDir(), "payout.proof")
	payee := aPayee(t, folder)
	invoke(t, "prove", "payout", payee, "--data", folder, "--proof", file).want(t, exitOK)
	invoke(t, "verify", file, "--data", folder).want(t, exitOK, payee, "was ever owed", "payout root")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(raw, []byte(`"cumulative_nano": `), []byte(`"cumulative_nano": 1`), 1)
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	invoke(t, "verify", file, "--data", folder).want(t, exitNo, "the tree has")
	// An older batch is not active any more, and is looked up in the vault's history.
	invoke(t, "prove", "payout", payee, "--data", folder, "--batch", "2", "--proof", file).want(t, exitOK)
	invoke(t, "verify", file, "--data", folder).want(t, exitOK, "batch 2")
}

func aPayee(t *testing.T, folder string) string {
	t.Helper()
	p, err := ledgerFlags{Data: folder}.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := batches(t.Context(), p.store)
	if err != nil || len(rows) < 3 {
		t.Fatalf("%d batches, %v", len(rows), err)
	}
	sealed, err := readSealed(t.Context(), p.ledger, rows[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
	return domain.ProviderID(sealed.Lines[0].Payee).String()
}

// What is published and what is on chain are two ways to the same tree.
func TestThePublishedTreesBeginWithThoseOfEveryBatch(t *testing.T) {
	t.Parallel()
	folder, tiles := sharedDemo.folder(t), t.TempDir()
	published := decoded[publication](t, invoke(t, "publish", "--data", mustCopy(t, folder), "--to", tiles, "--json").want(t, exitOK))
	p, err := ledgerFlags{Data: folder}.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	policy, err := tlog.Keys(published.Key)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := batches(t.Context(), p.store)
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d batches, %v", len(rows), err)
	}
	for _, row := range rows {
		sealed, err := readSealed(t.Context(), p.ledger, row)
		if err != nil {
			t.Fatal(err)
		}
		for shard, cut := range sealed.Cut {
			files := tlog.ReadFolder(tiles).In(logFolder(domain.Shard(shard)))
			signed, err := tlog.ReadCheckpoint(files)
			if err != nil {
				t.Fatal(err)
			}
			checkpoint, err := policy.Open(signed)
			if err != nil {
				t.Fatal(err)
			}
			head, err := tlog.Read(files, checkpoint.Head).HeadAt(cut)
			if err != nil || head.Root != domain.Digest(sealed.LogRoots[shard]) {
				t.Errorf("batch %d, shard %d: published %v, the batch has %x, %v", row.Number, shard, head, sealed.LogRoots[shard], err)
			}
		}
	}
}

// A stage of everything: serve publishes, two witnesses of two programs cosign, and a stranger wants both.
func TestServePublishesWhatWitnessesCosign(t *testing.T) {
	t.Parallel()
	folder, tiles, keys := t.TempDir(), t.TempDir(), t.TempDir()
	first := startServe(t, folder)
	network := first.network(t)
	first.end(t)
	key := decoded[publication](t, invoke(t, "publish", "--data", folder, "--to", t.TempDir(), "--json").want(t, exitOK)).Key
	policy := "log " + key + "\n"
	for i := range 2 {
		name := fmt.Sprintf("witness.example/w%d", i)
		file := filepath.Join(keys, fmt.Sprint(i))
		invoke(t, "keygen", file).want(t, exitOK)
		w := launch(t, "witness", "--name", name, "--key", file, "--state", filepath.Join(keys, fmt.Sprint("state", i)), "--log", key, "--listen", "127.0.0.1:0")
		w.until(t, func() bool { return strings.Contains(w.out.String(), "\n") })
		words := strings.Fields(w.out.String()) // witness NAME VKEY URL
		policy += fmt.Sprintf("witness w%d %s %s\n", i, words[2], words[3])
	}
	policy += "group both all w0 w1\nquorum both\n"
	policyFile := filepath.Join(keys, "policy")
	if err := os.WriteFile(policyFile, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	s := launch(t, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--publish", tiles, "--policy", policyFile)
	control := tlog.ReadFolder(tiles).In(logFolder(domain.Control))
	s.until(t, func() bool { _, err := tlog.ReadCheckpoint(control); return err == nil })
	s.end(t)
	file := filepath.Join(keys, "fact.proof")
	invoke(t, "prove", "fact", "0", "0", "--data", folder, "--tiles", tiles, "--out", file).want(t, exitOK)
	got := decoded[verdict](t, invoke(t, "verify", file, "--policy", policyFile, "--json").want(t, exitOK))
	if got.Network != network.String() || len(got.Checkpoints) != 1 || len(got.Checkpoints[0].Witnesses) != 2 {
		t.Errorf("%+v", got)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := proof.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(f.Checkpoints[0].Note, "\n")
	f.Checkpoints[0].Note = strings.Join(lines[:len(lines)-2], "") // one witness less
	if raw, err = proof.Encode(f); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	invoke(t, "verify", file, "--policy", policyFile).want(t, exitNo, "too few witnesses")
}
