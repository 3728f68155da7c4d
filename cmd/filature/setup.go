package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// terms are the rules that a new network begins with. An admin can change them by claims later.
type terms struct {
	network  *v1.SetNetwork // without the vault
	disputes *v1.SetDisputePolicy
	card     *v1.RateCard
}

// readGenesis returns what control's ledger begins with, or nil if it is empty.
func readGenesis(ctx context.Context, log eventstore.Reader) (*v1.Genesis, error) {
	records, err := log.Read(ctx, domain.Control, 0, 1)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	entry, err := eventstore.DecodeEntry(domain.Control, records[0])
	if err != nil {
		return nil, err
	}
	if entry.GetGenesis() == nil || ledger.Void(0, entry) {
		return nil, fmt.Errorf("ledger 0/0 is no genesis: %w", eventstore.ErrCorrupt)
	}
	return entry.GetGenesis(), nil
}

// checkTables refuses tables of another network: a ledger would be folded into them behind the other's.
func (e *engine) checkTables(ctx context.Context) error {
	return e.store.View(ctx, func(view projections.View) error {
		for row, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil {
				return err
			}
			if row.ID != e.network {
				return usage("the tables are of network %s, the ledger is of network %s: give it tables of its own: CREATE DATABASE and name "+
					"that in postgres.url; or, in a folder, delete %s while nothing runs", row.ID, e.network, projectionFile)
			}
		}
		return nil
	})
}

// founding is what a new network is set up with.
type founding struct {
	name  string
	terms terms
	delay time.Duration // a proposed root's challenge delay; whole seconds
	// vaultFloat is what the vault is deployed with, and treasuryFloat what the treasury wallet gets to begin
	// with from a local chain's faucet.
	vaultFloat, treasuryFloat domain.Nano
}

// founded returns the vault of the network, which it sets up if it is new and this process is to.
func (e *engine) founded(ctx context.Context) (vault ton.Address, err error) {
	if err := e.ledger.Wait(ctx, domain.Control, 0); err != nil { // for the genesis
		return vault, err
	}
	network, err := e.readNetwork(ctx)
	for err == nil && network.ParametersSet.AtMs == 0 {
		if e.found != nil {
			err = e.setUp(ctx)
		} else {
			err = pause(ctx, e.pollChain) // filature init is at work
		}
		if err == nil {
			network, err = e.readNetwork(ctx)
		}
	}
	return ton.Address{Account: network.Vault}, err
}

// setUp brings a new network to where it can work: the vault on chain, the rules, roles for the operator's
// keys. The vault's address follows from the keys and the rules are one report, so whatever a crash leaves
// half done is done again with the same outcome.
func (e *engine) setUp(ctx context.Context) error {
	vault, err := e.deploy(ctx)
	if err != nil {
		return fmt.Errorf("deploy the vault: %w", err)
	}
	return e.claimAs(ctx, e.operator, e.foundingClaims(vault)...)
}

// foundingClaims are the operator's first claims.
func (e *engine) foundingClaims(vault *ton.Vault) []*v1.Claim {
	network := e.found.terms.network
	address := vault.Address().Account
	network.Vault = address[:]
	claims := []*v1.Claim{
		{Body: &v1.Claim_SetNetwork{SetNetwork: network}},
		{Body: &v1.Claim_SetDisputePolicy{SetDisputePolicy: e.found.terms.disputes}},
		{Body: &v1.Claim_SetRateCard{SetRateCard: &v1.SetRateCard{Card: e.found.terms.card}}},
	}
	for _, o := range operators {
		if o.role == v1.Role_ROLE_UNSPECIFIED {
			continue
		}
		key := e.keys.id(o.name)
		claims = append(claims, &v1.Claim{Body: &v1.Claim_SetOperator{SetOperator: &v1.SetOperator{Key: key[:], Roles: []v1.Role{o.role}}}})
	}
	return claims
}

// readNetwork reads what the network was set up with, once the projections have caught up.
func (e *engine) readNetwork(ctx context.Context) (network projections.Network, err error) {
	if err := e.books.Fresh(ctx); err != nil {
		return network, err
	}
	err = e.store.View(ctx, func(view projections.View) error {
		for row, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil {
				return err
			}
			network = row
		}
		return nil
	})
	return network, err
}

// claimant is a reporter.
type claimant interface {
	Report(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error)
}

// claimAs reports claims to control and waits for their answers. Each must be accepted.
func (e *engine) claimAs(ctx context.Context, who claimant, claims ...*v1.Claim) error {
	const shard = domain.Control
	at, err := who.Report(ctx, shard, claims...)
	if err != nil {
		return err
	}
	if err := e.books.answered(ctx, shard, at); err != nil {
		return err
	}
	return e.store.View(ctx, func(view projections.View) error {
		for rejected, err := range projections.RowsOf(ctx, view, projections.Rejections) {
			if err != nil {
				return err
			}
			if rejected.Shard == shard && rejected.Intake == at {
				return fmt.Errorf("claim %d of intake %d/%d: %s: %s", rejected.Claim, shard, at, rejected.Field, rejected.Reason)
			}
		}
		return nil
	})
}

// deploy brings the vault to the chain, paid for by the treasury wallet, or, on a chain of our own, by its
// faucet.
func (e *engine) deploy(ctx context.Context) (*ton.Vault, error) {
	guardian, err := e.chain.Wallet(e.keys.of("guardian"))
	if err != nil {
		return nil, err
	}
	treasury, err := e.chain.Wallet(e.keys.of("treasury"))
	if err != nil {
		return nil, err
	}
	vault, message, err := e.chain.NewVault(ton.VaultParams{
		Admin: treasury.Address(), Guardian: guardian.Address(), Delay: e.found.delay,
	}, e.found.vaultFloat)
	if err != nil {
		return nil, err
	}
	if _, err := vault.State(ctx); err == nil {
		return vault, nil
	} else if !errors.Is(err, ton.ErrNoVault) {
		return nil, err
	}
	float := e.found.treasuryFloat
	if e.faucet == nil {
		float = e.found.vaultFloat + domain.Coin // and fees for some hundred batches
	}
	if err := e.fund(ctx, treasury, float); err != nil {
		return nil, err
	}
	if e.faucet != nil { // elsewhere a guardian fills its own wallet, and its key may not be here to know its address
		if err := e.fund(ctx, guardian, domain.Coin); err != nil {
			return nil, err
		}
	}
	if _, err := treasury.Deliver(ctx, []ton.Message{message}); err != nil {
		return nil, err
	}
	for {
		_, err := vault.State(ctx)
		if !errors.Is(err, ton.ErrNoVault) {
			return vault, err
		}
		if err := pause(ctx, e.pollChain); err != nil {
			return nil, err
		}
	}
}

// fund gives a wallet coins from the local chain's faucet and waits until they are there. On any other network
// the wallet must have them.
func (p *parts) fund(ctx context.Context, wallet *ton.Wallet, amount domain.Nano) error {
	before, err := p.chain.Balance(ctx, wallet.Address())
	if err != nil {
		return err
	}
	if before >= amount {
		return nil
	}
	if p.faucet == nil {
		return fmt.Errorf("wallet %s holds %s coins and needs %s: send it the difference, then start again", wallet.Address(), before, amount)
	}
	if err := p.faucet(wallet.Address().Account, amount); err != nil {
		return err
	}
	for {
		balance, err := p.chain.Balance(ctx, wallet.Address())
		if err != nil || balance > before {
			return err
		}
		if err := pause(ctx, p.pollChain/4); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
