package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/settler"
)

const (
	// claimantKey is the wallet which pays for claims that are asked for over the API, on a local chain. It is not the
	// treasury's: two who sign with one wallet at once take each other's sequence number.
	claimantKey = "claimant"
	// claimantCoins is what its wallet is filled up to: for a few hundred claims.
	claimantCoins = 10 * domain.Coin
	// claimRest is how long a claim that is on chain is not sent again: the watcher brings the payment into the books long
	// before, and what does not come was refused by the vault.
	claimRest = 15 * time.Second
	// pricesGood is how long the network's prices are taken to be what they were: validators vote for days to change them.
	pricesGood = time.Minute
	// pricesPatience is how long a question for a claim waits for the network to say its prices.
	pricesPatience = 3 * time.Second
)

// claims makes claims for payees who ask for them, under the active root. Safe for many goroutines.
type claims struct {
	store  store
	vault  func() *ton.Vault           // nil until the network is set up
	wallet func() (*ton.Wallet, error) // nil: nobody here pays for claims
	fund   func(context.Context, *ton.Wallet, domain.Nano) error
	chain  *ton.Client // nil where this process sees none

	pricing  sync.Mutex // held while prices are read, so that one who asks reads them for all
	attach   domain.Nano
	pricedAt time.Time

	reading sync.Mutex // held while a tree is read, so that one who asks reads it for all
	active  settler.Active

	sending *semaphore.Weighted             // one: held while the wallet is at work, and for the rest
	under   uint32                          // the batch under which they were sent
	sent    map[domain.ProviderID]time.Time // what is on chain, and when that was known
}

// claims are those of an engine.
func (e *engine) claims() *claims {
	c := &claims{store: e.store, vault: e.vault.Load, fund: e.fund, chain: e.chain, attach: ton.ClaimValue, sending: semaphore.NewWeighted(1)}
	if key := e.keys.of(claimantKey); e.faucet != nil && key != nil {
		c.wallet = func() (*ton.Wallet, error) { return e.chain.Wallet(key) }
	}
	return c
}

// claimant reads the key that a folder with a chain of its own pays for claims with, or makes it.
func (k *keys) claimant(dir string) error {
	key, err := makeKey(filepath.Join(dir, claimantKey+keySuffix))
	if err != nil {
		return fmt.Errorf("key %s: %w", claimantKey, err)
	}
	k.held[claimantKey] = key
	return nil
}

// tree returns the active batch with its payouts' tree. To read it costs as much as there are payees, so it is read once.
func (c *claims) tree(ctx context.Context) (settler.Active, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	progress, err := projections.ReadProgress(ctx, c.store)
	if err != nil {
		return settler.Active{}, err
	}
	if progress.Active == 0 || progress.Active != c.active.Batch.Number {
		if c.active, err = settler.ReadActive(ctx, c.store); err != nil {
			return settler.Active{}, err
		}
		c.active.Payouts = nil // they change
	}
	return c.active, nil
}

// Offer implements queryapi.Claims.
func (c *claims) Offer(ctx context.Context, payee domain.ProviderID) (offer queryapi.Offer, err error) {
	active, err := c.tree(ctx)
	if err != nil {
		return offer, err
	}
	proof, err := active.Tree.Proof(payee)
	if err != nil {
		return offer, fmt.Errorf("%w: %w", err, projections.ErrNotFound)
	}
	request, err := requestOf(ctx, c.store, payee, proof)
	if err != nil {
		return offer, err
	}
	request.Amount = c.value(ctx)
	return queryapi.Offer{
		Network: c.network(), Batch: active.Batch.Number, Root: active.Tree.Root(), Cumulative: active.Tree.Of(payee),
		Address: ton.PayeeAddress(payee).String(), Vault: request.To.String(), Attach: request.Amount,
		Payload: base64.StdEncoding.EncodeToString(request.Payload), Link: request.Link(),
	}, nil
}

// value is what to attach to a claim at the network's prices. Where nobody says them it is what was last known to be
// enough, at first ton.ClaimValue: the vault sends a message back that has too little, and nothing is lost but a fee.
func (c *claims) value(ctx context.Context) domain.Nano {
	c.pricing.Lock()
	defer c.pricing.Unlock()
	if c.chain == nil || time.Since(c.pricedAt) < pricesGood {
		return c.attach
	}
	ctx, cancel := context.WithTimeout(ctx, pricesPatience)
	defer cancel()
	if value, err := c.chain.ClaimValue(ctx); err == nil {
		c.attach = value
	}
	c.pricedAt = time.Now() // also if it failed: who asks next need not wait again
	return c.attach
}

// network is TON's number for the network, in decimal; empty where this process sees none.
func (c *claims) network() string {
	if c.chain == nil {
		return ""
	}
	return strconv.Itoa(int(c.chain.NetworkID()))
}

// Sends implements queryapi.Claims.
func (c *claims) Sends() bool { return c.wallet != nil && c.vault() != nil }

// Send implements queryapi.Claims. One claim is on its way at a time.
func (c *claims) Send(ctx context.Context, payee domain.ProviderID) error {
	if err := c.sending.Acquire(ctx, 1); err != nil {
		return err
	}
	defer c.sending.Release(1)
	active, err := c.tree(ctx)
	if err != nil {
		return err
	}
	if c.under != active.Batch.Number {
		c.under, c.sent = active.Batch.Number, map[domain.ProviderID]time.Time{}
	}
	if last, is := c.sent[payee]; is && time.Since(last) < claimRest {
		return nil
	}
	wallet, err := c.wallet()
	if err != nil {
		return err
	}
	if err := c.fund(ctx, wallet, claimantCoins); err != nil {
		return err
	}
	if _, err := (&ton.Treasury{Vault: c.vault(), Wallet: wallet}).Claim(ctx, active.Tree, []domain.ProviderID{payee}); err != nil {
		return err
	}
	c.sent[payee] = time.Now()
	return nil
}
