package main

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/sdk"
	"github.com/filature/filature/workers/auditor"
)

// seenByAWitness publishes a folder's trees where a witness cosigns them, and returns the policy that asks for it.
func seenByAWitness(t *testing.T, folder string) (policyFile string) {
	t.Helper()
	keys := t.TempDir()
	key := decoded[publication](t, invoke(t, "publish", "--data", folder, "--to", t.TempDir(), "--json").want(t, exitOK)).Key
	own := filepath.Join(keys, "witness.key")
	invoke(t, "keygen", own).want(t, exitOK)
	w := launch(t, "witness", "--name", "witness.example/w", "--key", own, "--state", filepath.Join(keys, "state"), "--log", key, "--listen", "127.0.0.1:0")
	w.until(t, func() bool { return strings.Contains(w.out.String(), "\n") })
	words := strings.Fields(w.out.String()) // witness NAME VKEY URL
	policyFile = filepath.Join(keys, "policy")
	policy := fmt.Sprintf("log %s\nwitness w %s %s\nquorum w\n", key, words[2], words[3])
	if err := os.WriteFile(policyFile, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	invoke(t, "publish", "--data", folder, "--policy", policyFile).want(t, exitOK)
	return policyFile
}

func TestAnArchiveHasTheHeadsOfItsLogsSignedAndWitnessed(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	policy := seenByAWitness(t, folder)
	key, err := sdk.ReadKey(filepath.Join(folder, keysDir, logKey+keySuffix))
	if err != nil {
		t.Fatal(err)
	}
	dir, globalConfig := handedOver(t, folder)
	m, err := archive.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	network, err := domain.ParseID[domain.NetworkID](m.Network)
	if err != nil {
		t.Fatal(err)
	}
	want := tlog.NetworkKey(network, key.Public().(ed25519.PublicKey))
	if m.LogKey != want || len(m.Checkpoints()) != len(m.Ledger) || m.Vault == "" || m.ZeroState == "" {
		t.Fatalf("%+v, want the key %s", m, want)
	}
	audit := func(flags ...string) answer {
		return invoke(t, append([]string{"audit", "--logs", dir, "--ton-config", globalConfig, "--ton-unverified"}, flags...)...)
	}
	audit().want(t, exitOK, "by the key in the manifest")
	audit("--key", m.LogKey).want(t, exitOK, "Verdict: PASS")
	report := decoded[auditor.Report](t, audit("--policy", policy, "--json").want(t, exitOK))
	for shard, row := range report.Shards {
		if row.WitnessedTo != int64(row.End) {
			t.Errorf("shard %d has %d entries, and a witness saw %d", shard, row.End, row.WitnessedTo)
		}
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	audit("--key", tlog.NetworkKey(network, stranger.Public().(ed25519.PublicKey))).want(t, exitNo, "bad_checkpoint")

	// A checkpoint that is missing is missed, by the manifest and by whoever wants a witness.
	name := filepath.Join(dir, filepath.FromSlash(m.Checkpoints()[1]))
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	audit("--policy", policy).want(t, exitNo, "damaged_file", name, "no checkpoint that meets the policy (witness w)")
}

func TestAnArchiveThatSaysItIsOfAnotherNetworkIsRefused(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	dir, globalConfig := handedOver(t, folder)
	audit := func() answer {
		return invoke(t, "audit", "--logs", dir, "--ton-config", globalConfig, "--ton-unverified")
	}
	name := filepath.Join(dir, archive.ManifestName)
	manifest, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := archive.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for field, value := range map[string]string{"network": m.Network, "vault": m.Vault, "roots": m.Roots[1]} {
		other := []byte(value)
		if other[7] = 'a'; value[7] == 'a' {
			other[7] = 'b'
		}
		if err := os.WriteFile(name, bytes.Replace(manifest, []byte(value), other, 1), 0o600); err != nil {
			t.Fatal(err)
		}
		audit().want(t, exitNo, map[string]string{"network": "network is", "vault": "vault is", "roots": "rewritten_log"}[field])
	}
	if err := os.WriteFile(name, manifest, 0o600); err != nil {
		t.Fatal(err)
	}

	// A chain with the same vault address at best; a lite-server that is not of the network that its config names.
	other, err := localchain.Open(localchain.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	invoke(t, "audit", "--logs", dir, "--ton-config", other.GlobalConfigFile(), "--ton-unverified").want(t, exitUsage, "is another TON network", m.ZeroState)
	theirs, err := os.ReadFile(other.GlobalConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	zero, err := zeroStateOf(other.GlobalConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	disguised := filepath.Join(t.TempDir(), "global.config.json")
	if err := os.WriteFile(disguised, bytes.ReplaceAll(theirs, []byte(zero), []byte(m.ZeroState)), 0o600); err != nil {
		t.Fatal(err)
	}
	invoke(t, "audit", "--logs", dir, "--ton-config", disguised, "--ton-unverified").want(t, exitUnfinished, "the lite-server's zero state is")
}

func TestNobodySignsAnArchiveThatContradictsWhatWasPublished(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	invoke(t, "publish", "--data", folder).want(t, exitOK)
	checkpoint := filepath.Join(folder, tilesDir, logFolder(1), "checkpoint")
	signed, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	log, head, err := tlog.Peek(signed)
	if err != nil {
		t.Fatal(err)
	}
	key, err := sdk.ReadKey(filepath.Join(folder, keysDir, logKey+keySuffix))
	if err != nil {
		t.Fatal(err)
	}
	head.Root[0] ^= 1
	if signed, err = tlog.Sign(log, head, key); err == nil {
		err = os.WriteFile(checkpoint, signed, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	invoke(t, "export", "archive", filepath.Join(t.TempDir(), "handed"), "--data", folder).want(t, exitNo, "contradicts what was published", head.Root.String())
	invoke(t, "audit", "--data", folder).want(t, exitNo, "rewritten_log", head.Root.String())
}
