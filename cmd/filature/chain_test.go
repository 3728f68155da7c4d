package main

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/workers/auditor"
)

// A network that is not the folder's own, as testnet and mainnet are: named by a global config file, with a
// treasury that somebody has to fill.
func TestAFolderSettlesOnTheNetworkThatAGlobalConfigNames(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	elsewhere, err := localchain.Open(localchain.Options{Dir: t.TempDir(), Interval: localchain.DefaultInterval})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := elsewhere.Close(); err != nil {
			t.Error(err)
		}
	}()
	flags := chainFlags{TonConfig: elsewhere.GlobalConfigFile(), TonUnverified: true}
	dir := t.TempDir()
	start := func() *engine {
		t.Helper()
		p, err := openEmbedded(ctx, dir, 1, flags, time.Now, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		e, err := newEngine(ctx, p, slog.New(slog.DiscardHandler), embeddedRoles(), settleOptions{every: time.Hour},
			&founding{name: "elsewhere", terms: defaultTerms(), delay: time.Second, vaultFloat: domain.Coin})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := start()
	treasury, err := e.chain.Wallet(e.keys.of("treasury"))
	if err != nil {
		t.Fatal(err)
	}
	err = e.run(ctx)
	if err == nil || !strings.Contains(err.Error(), treasury.Address().String()) || !strings.Contains(err.Error(), "send it the difference") {
		t.Errorf("with an empty treasury it ended with %v; want the wallet to fill and how much", err)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}

	if err := elsewhere.Faucet(treasury.Address().Account, 10*domain.Coin); err != nil {
		t.Fatal(err)
	}
	awaitBalance(ctx, t, flags, e.keys.of("treasury"))
	e = start()
	working, stopWork := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.run(working) }()
	select {
	case <-e.ready:
	case err := <-done:
		t.Fatalf("ended with %v", err)
	}
	stopWork()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	report, err := auditFolder(ctx, dir, headFlags{}, flags, nil, nil)
	if err != nil || report.Verdict != auditor.Pass {
		t.Errorf("audit with the network named: %v, %v", report, err)
	}
	if own, _ := filepath.Glob(filepath.Join(dir, chainDir)); len(own) != 0 {
		t.Errorf("a chain of the folder's own was made: %v", own)
	}
}

func awaitBalance(ctx context.Context, t *testing.T, flags chainFlags, key ed25519.PrivateKey) {
	t.Helper()
	client, err := flags.named(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	wallet, err := client.Wallet(key)
	if err != nil {
		t.Fatal(err)
	}
	for {
		balance, err := client.Balance(ctx, wallet.Address())
		if err != nil {
			t.Fatal(err)
		}
		if balance > 0 {
			return
		}
		if err := pause(ctx, localPoll); err != nil {
			t.Fatal(err)
		}
	}
}
