package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/workload"
)

// Amounts of the chain.
const (
	// vaultDelay and vaultFloat are serve's; they and the keys make the vault's address.
	vaultDelay = time.Second
	vaultFloat = 10 * domain.Coin
)

// endow gives the clients coins before the program is started for the first time: it makes the program's
// chain, as the program itself would.
func endow(ctx context.Context, data string, w *workload.Workload) error {
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
	for _, l := range w.Lanes {
		wallet, err := client.Wallet(l.Key())
		if err != nil {
			return err
		}
		if err := chain.Faucet(wallet.Address().Account, workload.Endowment); err != nil {
			return err
		}
	}
	for _, l := range w.Lanes {
		wallet, err := client.Wallet(l.Key())
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
			if err := workload.Pause(ctx, lookAt); err != nil {
				return err
			}
		}
	}
	return nil
}

// chainOf is a way to the chain of a program that runs, and to where its vault will be.
func chainOf(data string, w *workload.Workload) workload.Chain {
	return func(ctx context.Context) (*ton.Client, *ton.Vault, error) {
		client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: filepath.Join(data, "chain", localchain.GlobalConfigName)})
		if err != nil {
			return nil, nil, err
		}
		vault, err := vaultOf(client, w)
		if err != nil {
			client.Close()
		}
		return client, vault, err
	}
}

// vaultOf computes where the program's vault is.
func vaultOf(client *ton.Client, w *workload.Workload) (*ton.Vault, error) {
	keys := w.Keys()
	treasury, err := client.Wallet(keys["treasury"])
	if err != nil {
		return nil, err
	}
	guardian, err := client.Wallet(keys["guardian"])
	if err != nil {
		return nil, err
	}
	vault, _, err := client.NewVault(ton.VaultParams{Admin: treasury.Address(), Guardian: guardian.Address(), Delay: vaultDelay}, vaultFloat)
	return vault, err
}

// checkChain wants each payee to have got on chain what it was owed, to the nanoton.
func (o *outcome) checkChain(ctx context.Context, wrong *workload.Findings, run string) error {
	chain, err := localchain.Open(localchain.Options{Dir: filepath.Join(o.data, "chain")})
	if err != nil {
		return err
	}
	defer chain.Close()
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: chain.GlobalConfigFile()})
	if err != nil {
		return err
	}
	defer client.Close()
	vault, err := vaultOf(client, o.workload)
	if err != nil {
		return err
	}
	return o.workload.CheckPaid(ctx, wrong, run, vault)
}
