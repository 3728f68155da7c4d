package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// Somebody has the treasury's key and proposes a root of his own. The guardian has a key, the network's config file and
// the vault's address, and nothing of the operator's.
func TestAGuardianVetoesAThiefsRootAndTheNetworkGoesOn(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	chain, err := localchain.Open(localchain.Options{Dir: t.TempDir(), Interval: localchain.DefaultInterval})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := chain.Close(); err != nil {
			t.Error(err)
		}
	}()
	flags := chainFlags{TonConfig: chain.GlobalConfigFile(), TonUnverified: true}
	dir := t.TempDir()
	p, err := openEmbedded(ctx, dir, 1, flags, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(ctx, p, slog.New(slog.DiscardHandler), embeddedRoles(), settleOptions{every: time.Hour},
		&founding{name: "robbed", terms: defaultTerms(), delay: time.Hour, vaultFloat: domain.Coin})
	if err != nil {
		t.Fatal(err)
	}
	thief, err := e.chain.Wallet(e.keys.of("treasury"))
	if err != nil {
		t.Fatal(err)
	}
	guardian, err := e.chain.Wallet(e.keys.of("guardian"))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*ton.Wallet{thief, guardian} {
		if err := chain.Faucet(w.Address().Account, 10*domain.Coin); err != nil {
			t.Fatal(err)
		}
	}
	awaitBalance(ctx, t, flags, e.keys.of("treasury"))
	awaitBalance(ctx, t, flags, e.keys.of("guardian"))
	working, stopWork := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.run(working) }()
	defer func() {
		stopWork()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := e.close(); err != nil {
			t.Error(err)
		}
	}()
	select {
	case <-e.ready:
	case <-ctx.Done():
		t.Fatal("the network is not ready")
	}
	vault := e.vault.Load()
	theirs, err := vault.ProposeMessage(ton.Root{Epoch: 1, Root: domain.Digest{66}, Total: domain.Coin / 2})
	if err != nil {
		t.Fatal(err)
	}
	if fate, err := thief.Deliver(ctx, []ton.Message{theirs}); err != nil || fate.Sent != 1 {
		t.Fatalf("the thief's proposal: %+v, %v", fate, err)
	}
	awaitVaultThat(ctx, t, vault, func(s ton.VaultState) bool { return s.Pending != nil })

	named := []string{"--vault", vault.Address().String(), "--ton-config", chain.GlobalConfigFile(), "--ton-unverified"}
	filature := func(want int, words string, args ...string) answer {
		t.Helper()
		return invoke(t, append(args, named...)...).want(t, want, words)
	}
	key := filepath.Join(dir, keysDir, "guardian"+keySuffix)
	stolen := filepath.Join(dir, keysDir, "treasury"+keySuffix)
	filature(exitOK, "epoch 1, 0.500000000 coins in all", "chain", "status")
	filature(exitNo, "pending is epoch 1, not 2", "chain", "veto", "2", "--key", key)
	filature(exitNo, "guardian is "+guardian.Address().String(), "chain", "veto", "1", "--key", stolen)
	filature(exitOK, "paused", "chain", "pause", "--key", key)
	filature(exitNo, "paused already", "chain", "pause", "--key", key)
	filature(exitNo, "guardian is", "chain", "unpause", "--key", stolen)
	filature(exitOK, "Pending   none", "chain", "veto", "1", "--key", key)
	filature(exitNo, "nothing is pending", "chain", "veto", "1", "--key", key)
	status := decoded[vaultStatus](t, filature(exitOK, "", "chain", "unpause", "--json", "--key", key))
	if status.Paused || status.LastEpoch != 1 || status.Pending != nil || status.Active != nil {
		t.Errorf("it ends as %+v", status)
	}

	change, err := announceCode(ctx, thief, vault)
	if err != nil {
		t.Fatal(err)
	}
	filature(exitOK, change, "chain", "status")
	filature(exitNo, "guardian is", "chain", "veto", change, "--key", stolen)
	filature(exitOK, "Pending   none", "chain", "veto", change, "--key", key)
	filature(exitNo, "no change", "chain", "veto", change, "--key", key)
	filature(exitUsage, "want an epoch", "chain", "veto", "all", "--key", key)

	for { // the books take the number in
		batch, err := projections.ReadBatch(ctx, e.store, 1)
		if err != nil {
			t.Fatal(err)
		}
		if batch.State == projections.BatchVoided {
			break
		}
		if err := pause(ctx, localPoll); err != nil {
			t.Fatal("the ledger did not book the veto")
		}
	}
}

func awaitVaultThat(ctx context.Context, t *testing.T, vault *ton.Vault, holds func(ton.VaultState) bool) {
	t.Helper()
	if _, err := awaitVault(ctx, vault, holds); err != nil {
		t.Fatal(err)
	}
}

// announceCode has the admin announce other code, and returns the id under which it waits.
func announceCode(ctx context.Context, admin *ton.Wallet, vault *ton.Vault) (string, error) {
	if _, err := admin.Deliver(ctx, []ton.Message{vault.ProposeUpgradeMessage(domain.Digest{7})}); err != nil {
		return "", err
	}
	state, err := awaitVault(ctx, vault, func(s ton.VaultState) bool { return s.Change != nil })
	if err != nil {
		return "", err
	}
	return state.Change.ID.String(), nil
}
