package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"path/filepath"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
)

// Amounts of the chain.
const (
	// fees is what a client has beside its deposit.
	fees = domain.Coin
	// attempt is how long one try to deposit may take: the chain it talks to may be dead.
	attempt = 3 * time.Second
	// validFor is how long a message may land; a later one is signed with the same number.
	validFor = time.Minute
	// vaultDelay and vaultFloat are serve's; they and the keys make the vault's address.
	vaultDelay = time.Second
	vaultFloat = 10 * domain.Coin
)

// endow gives the clients coins before the program is started for the first time: it makes the program's
// chain, as the program itself would.
func endow(ctx context.Context, data string, w *workload) error {
	chain, err := localchain.Open(localchain.Options{Dir: filepath.Join(data, "chain"), Interval: localchain.DefaultInterval})
	if err != nil {
		return err
	}
	defer chain.Close()
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: chain.GlobalConfigFile()})
	if err != nil {
		return err
	}
	defer client.Close()
	for _, l := range w.lanes {
		wallet, err := client.Wallet(l.client.key)
		if err != nil {
			return err
		}
		if err := chain.Faucet(wallet.Address().Account, deposit+fees); err != nil {
			return err
		}
	}
	for _, l := range w.lanes {
		wallet, err := client.Wallet(l.client.key)
		if err != nil {
			return err
		}
		for {
			balance, err := client.Balance(ctx, wallet.Address())
			if err != nil {
				return err
			}
			if balance > 0 {
				break
			}
			if err := pause(ctx, retryAfter); err != nil {
				return err
			}
		}
	}
	return nil
}

// connect reaches the chain of a program that runs.
func connect(ctx context.Context, data string) (*ton.Client, error) {
	return ton.Connect(ctx, ton.Config{GlobalConfigFile: filepath.Join(data, "chain", localchain.GlobalConfigName)})
}

// vaultOf computes where the program's vault is.
func (w *workload) vaultOf(client *ton.Client) (*ton.Vault, error) {
	treasury, err := client.Wallet(w.key("treasury"))
	if err != nil {
		return nil, err
	}
	guardian, err := client.Wallet(w.key("guardian"))
	if err != nil {
		return nil, err
	}
	vault, _, err := client.NewVault(ton.VaultParams{Admin: treasury.Address(), Guardian: guardian.Address(), Delay: vaultDelay}, vaultFloat)
	return vault, err
}

// deposit pays a client's coins into its account, exactly once, whenever the chain dies: all messages that
// are tried have the wallet's first number, and the chain takes only one with it.
func (l *lane) deposit(ctx context.Context, data string, w *workload) error {
	for {
		done, err := l.tryDeposit(ctx, data, w)
		if done {
			return nil
		}
		if pauseErr := pause(ctx, 10*retryAfter); pauseErr != nil {
			return fmt.Errorf("deposit for %s: %w: %w", l.account, pauseErr, err)
		}
	}
}

func (l *lane) tryDeposit(ctx context.Context, data string, w *workload) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	client, err := connect(ctx, data)
	if err != nil {
		return false, err
	}
	defer client.Close()
	vault, err := w.vaultOf(client)
	if err != nil {
		return false, err
	}
	if _, err := vault.State(ctx); err != nil { // not deployed yet: coins would come back, less fees
		return false, err
	}
	wallet, err := client.Wallet(l.client.key)
	if err != nil {
		return false, err
	}
	head, err := client.Head(ctx)
	if err != nil {
		return false, err
	}
	const small = domain.Coin / 100 // so that a wallet that has paid already can sign too
	probe, err := wallet.Sign(ctx, []ton.Message{ton.Transfer(wallet.Address(), small)}, head.Time.Add(validFor))
	if err != nil || probe.Seqno > 0 {
		return err == nil, err
	}
	external, err := wallet.Sign(ctx, []ton.Message{vault.DepositMessage(l.account, deposit)}, head.Time.Add(validFor))
	if err != nil || external.Seqno > 0 {
		return false, err
	}
	return false, wallet.Send(ctx, external) // the next try sees whether it landed
}

// paidOnChain is what the claim accounts of all payees say they got.
func (w *workload) paidOnChain(ctx context.Context, data string) (_ map[domain.ProviderID]domain.Nano, err error) {
	chain, err := localchain.Open(localchain.Options{Dir: filepath.Join(data, "chain")})
	if err != nil {
		return nil, err
	}
	defer chain.Close()
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: chain.GlobalConfigFile()})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	vault, err := w.vaultOf(client)
	if err != nil {
		return nil, err
	}
	paid := map[domain.ProviderID]domain.Nano{}
	for _, payee := range w.providers {
		if paid[payee], err = vault.Claimed(ctx, payee); err != nil {
			return nil, err
		}
	}
	return paid, nil
}

// operatorKeys are the keys that must be the same whenever the workload is run; serve makes the others.
func (w *workload) operatorKeys() map[string]ed25519.PrivateKey {
	return map[string]ed25519.PrivateKey{"operator": w.operator.key, "treasury": w.key("treasury"), "guardian": w.key("guardian")}
}
