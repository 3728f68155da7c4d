package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
)

// chainCmd is about the chain: one of your own to run, and the guardian's hand on a vault.
type chainCmd struct {
	Start   chainRunCmd     `cmd:"" name:"run" default:"withargs" help:"Run a TON chain of your own, with a lite-server. What chain does without a subcommand."`
	Status  chainStatusCmd  `cmd:"" help:"Say what a vault holds, and what it waits for."`
	Veto    chainVetoCmd    `cmd:"" help:"Throw the pending root away. For the guardian."`
	Pause   chainPauseCmd   `cmd:"" help:"Stop proposals, activations and payouts. For the guardian, or the admin."`
	Unpause chainUnpauseCmd `cmd:"" help:"Let a paused vault go on. For the guardian."`
	Propose chainProposeCmd `cmd:"" name:"propose-admin" help:"Announce a new admin, who has to accept. For the admin."`
	Accept  chainAcceptCmd  `cmd:"" name:"accept-admin" help:"Become the admin, when the delay is over. For whoever was announced."`
}

// chainRunCmd runs a TON chain for others to settle on.
type chainRunCmd struct {
	Data   string   `required:"true" type:"path" help:"Folder of the chain. Made if it is missing."`
	Listen string   `default:"127.0.0.1:0" help:"IPv4 address and port of its lite-server."`
	Fund   []string `placeholder:"KEYFILE=COINS" help:"See to it that the wallet of a key has so many coins. The key is made if it is missing. May be repeated."`
}

// endowment is a wallet and what it is to have.
type endowment struct {
	keyFile string
	coins   domain.Nano
}

// Run runs the chain until it is told to stop.
func (c *chainRunCmd) Run(ctx context.Context, out *console) (err error) {
	var endowments []endowment
	for _, fund := range c.Fund {
		file, amount, _ := strings.Cut(fund, "=")
		coins, err := domain.ParseCoins(amount)
		if err != nil || coins <= 0 || file == "" {
			return usage("--fund %q: want KEYFILE=COINS, such as treasury.key=100", fund)
		}
		endowments = append(endowments, endowment{file, coins})
	}
	chain, err := localchain.Open(localchain.Options{Dir: c.Data, Listen: c.Listen, Interval: localchain.DefaultInterval})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, chain.Close()) }()
	if err := endow(ctx, chain, endowments, out); err != nil {
		return err
	}
	address, _ := chain.LiteServer()
	fmt.Fprintf(out.out, "lite-server at %s, for clients: %s\n", address, chain.GlobalConfigFile())
	<-ctx.Done()
	return chain.Err()
}

// endow gives wallets what they lack, and returns when they have it.
func endow(ctx context.Context, chain *localchain.Chain, endowments []endowment, out *console) error {
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: chain.GlobalConfigFile()})
	if err != nil {
		return err
	}
	defer client.Close()
	p := parts{now: time.Now, chain: client, faucet: chain.Faucet, pollChain: localPoll}
	for _, one := range endowments {
		key, err := makeKey(one.keyFile)
		if err != nil {
			return usage("--fund: %w", err)
		}
		wallet, err := client.Wallet(key)
		if err != nil {
			return err
		}
		if err := p.fund(ctx, wallet, one.coins); err != nil {
			return fmt.Errorf("fund %s: %w", one.keyFile, err)
		}
		out.stepf("✓ %s has at least %s coins (%s)", wallet.Address(), one.coins, one.keyFile)
	}
	return nil
}
