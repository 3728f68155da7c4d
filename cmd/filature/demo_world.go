package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/reporter"
)

// world is everybody who takes part in the demo.
type world struct {
	engine *engine
	seed   uint64

	models    []demoModel
	clients   []*demoClient
	accounts  []*demoAccount // of all clients; Telegram's come first
	providers []*demoProvider
	workers   []*demoWorker
	proxy     *party
	arbiter   *party
	stranger  *party // whom nobody registered

	suspicious bool   // some workers are not simply attested
	ahead      []turn // what will happen to them
	challenges int    // of the verifier, so far
	retired    bool   // the old image
}

// party is somebody with a key, and the numbers of its reports.
type party struct {
	name     string
	key      ed25519.PrivateKey
	sequence map[domain.Shard]uint64
}

func (p *party) next(shard domain.Shard) uint64 {
	p.sequence[shard]++
	return p.sequence[shard]
}

type demoModel struct {
	name string
	id   domain.ModelID
}

type demoClient struct {
	party
	id       domain.ClientID
	wallet   *ton.Wallet
	accounts []*demoAccount
}

type demoAccount struct {
	id     domain.AccountID
	shard  domain.Shard
	client *demoClient
	jobs   uint64
	broke  bool // asks for more than it has
}

type demoProvider struct {
	party
	id domain.ProviderID
}

type demoWorker struct {
	party
	id       domain.WorkerID
	provider *demoProvider
	models   []int
	offers   []uint32 // coefficient, by place in models
}

// Who there is. Telegram is the largest client by far, as on the real network.
var (
	demoModels  = []string{"deepseek-ai/DeepSeek-V3.1", "deepseek-ai/DeepSeek-R1", "Qwen/Qwen3-32B", "Qwen/Qwen3-8B"}
	demoClients = []struct {
		name     string
		accounts int
		coins    domain.Nano // deposited per account
	}{
		{"Telegram", 8, 40 * domain.Coin},
		{"Mosaic Research", 2, 15 * domain.Coin},
		{"Studio Nord", 1, 10 * domain.Coin},
		{"Pocket Labs", 1, domain.Coin / 1000}, // too little for what it asks
	}
	demoProviders = []struct {
		name    string
		workers int
		models  []int
		// coefficient of its first worker; each further one is a little dearer.
		coefficient uint32
	}{
		{"Helios Compute", 6, []int{0, 1}, 1000},
		{"Northern Racks", 5, []int{0, 2, 3}, 900},
		{"Baikal GPU", 4, []int{1, 2}, 1333},
		{"Lagoon AI", 3, []int{2, 3}, 850},
		{"Kepler Farm", 2, []int{0, 1, 2, 3}, 1750},
	}
)

const (
	demoMaxCoefficient = 4000 // what a client takes at most, Cocoon's own default
	// demandPermille is by how much more a worker asks for in the busiest hours, and mindPermille by how much it errs.
	demandPermille, mindPermille = 250, 60
)

// seedOf gives everybody a key of their own, the same for the same seed.
func (w *world) seedOf(format string, args ...any) [32]byte {
	return sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, w.seed), fmt.Sprintf(format, args...)...))
}

func (w *world) party(format string, args ...any) party {
	seed := w.seedOf("key/"+format, args...)
	return party{name: fmt.Sprintf(format, args...), key: ed25519.NewKeyFromSeed(seed[:]), sequence: map[domain.Shard]uint64{}}
}

func newWorld(e *engine, seed uint64) (*world, error) {
	w := &world{engine: e, seed: seed, ahead: turns}
	for _, name := range demoModels {
		w.models = append(w.models, demoModel{name, w.seedOf("model/%s", name)})
	}
	for _, c := range demoClients {
		client := &demoClient{party: w.party("%s", c.name), id: w.seedOf("client/%s", c.name)}
		var err error
		if client.wallet, err = e.chain.Wallet(client.key); err != nil {
			return nil, err
		}
		for i := range c.accounts {
			id := domain.AccountID(w.seedOf("account/%s/%d", c.name, i))
			account := &demoAccount{id: id, shard: domain.ShardOf(id, e.dataShards()), client: client, broke: c.coins < domain.Coin}
			client.accounts = append(client.accounts, account)
			w.accounts = append(w.accounts, account)
		}
		w.clients = append(w.clients, client)
	}
	for _, p := range demoProviders {
		provider := &demoProvider{party: w.party("%s", p.name)}
		wallet, err := e.chain.Wallet(provider.key)
		if err != nil {
			return nil, err
		}
		provider.id = wallet.Address().Account
		w.providers = append(w.providers, provider)
		for i := range p.workers {
			worker := &demoWorker{party: w.party("%s/%d", p.name, i), id: w.seedOf("worker/%s/%d", p.name, i), provider: provider, models: p.models}
			for m := range p.models {
				worker.offers = append(worker.offers, p.coefficient+uint32(50*i+25*m))
			}
			w.workers = append(w.workers, worker)
		}
	}
	w.proxy = &party{name: "proxy", key: e.keys.of("proxy"), sequence: map[domain.Shard]uint64{}}
	w.arbiter = &party{name: "arbiter", key: e.keys.of("arbiter"), sequence: map[domain.Shard]uint64{}}
	stranger := w.party("stranger")
	w.stranger = &stranger
	return w, nil
}

// found registers everybody: models, clients and providers by the operator, workers and offers by their
// provider, attestation results by the verifier, accounts by their client.
func (w *world) found(ctx context.Context) error {
	e := w.engine
	var claims []*v1.Claim
	for _, m := range w.models {
		claims = append(claims, &v1.Claim{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{Model: m.id[:], Name: m.name}}})
	}
	for _, c := range w.clients {
		key := signing.KeyOf(c.key)
		claims = append(claims, &v1.Claim{Body: &v1.Claim_RegisterClient{RegisterClient: &v1.RegisterClient{Client: c.id[:], Key: key[:], Name: c.name}}})
	}
	for _, p := range w.providers {
		key := signing.KeyOf(p.key)
		claims = append(claims, &v1.Claim{Body: &v1.Claim_RegisterProvider{RegisterProvider: &v1.RegisterProvider{Provider: p.id[:], Key: key[:], Name: p.name}}})
	}
	if err := e.claimAs(ctx, e.operator, claims...); err != nil {
		return err
	}
	for _, p := range w.providers {
		if err := e.claimAs(ctx, w.reporter(&p.party), w.fleet(p)...); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if w.suspicious {
		if err := w.policies(ctx); err != nil {
			return err
		}
	}
	if err := w.attestAtFirst(ctx); err != nil {
		return err
	}
	for _, a := range w.accounts {
		open := &v1.Claim{Body: &v1.Claim_OpenAccount{OpenAccount: &v1.OpenAccount{Account: a.id[:], Client: a.client.id[:]}}}
		if err := w.say(ctx, []statement{{&a.client.party, a.shard, open}}); err != nil {
			return err
		}
	}
	return w.decided(ctx)
}

// reporter speaks for a party once; its own numbers go on above.
func (w *world) reporter(p *party) *reporter.Reporter {
	return reporter.New(p.key, w.engine.network, w.engine.gateway, w.engine.now)
}

// fleet is what a provider says of its workers.
func (w *world) fleet(p *demoProvider) []*v1.Claim {
	var claims []*v1.Claim
	for _, worker := range w.workers {
		if worker.provider != p {
			continue
		}
		key := signing.KeyOf(worker.key)
		claims = append(claims, &v1.Claim{Body: &v1.Claim_RegisterWorker{RegisterWorker: &v1.RegisterWorker{Worker: worker.id[:], Provider: p.id[:], Key: key[:]}}})
		for i, m := range worker.models {
			claims = append(claims, &v1.Claim{Body: &v1.Claim_SetOffer{SetOffer: &v1.SetOffer{
				Worker: worker.id[:], Model: w.models[m].id[:], Coefficient: worker.offers[i],
			}}})
		}
	}
	return claims
}

// reprice has every provider ask for what the hour is worth: more when many jobs come, and a little by its own mind. What was
// said before is decided by the old prices, on every machine.
func (w *world) reprice(ctx context.Context, lots *rand.Rand, hour int) error {
	const usual = (busiest + quietest) / 2
	if err := w.decided(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range w.providers {
		mind := lots.IntN(2*mindPermille+1) - mindPermille
		asked := uint32(domain.CoefficientOne + demandPermille*(busyAt(hour)-usual)/usual + mind)
		var claims []*v1.Claim
		for _, worker := range w.workers {
			for i, m := range worker.models {
				if worker.provider == p {
					claims = append(claims, &v1.Claim{Body: &v1.Claim_SetOffer{SetOffer: &v1.SetOffer{
						Worker: worker.id[:], Model: w.models[m].id[:], Coefficient: worker.offers[i] * asked / domain.CoefficientOne,
					}}})
				}
			}
		}
		group.Go(func() error {
			if err := w.engine.claimAs(ctx, w.reporter(&p.party), claims...); err != nil {
				return fmt.Errorf("%s: offers: %w", p.name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// deposit has each client pay into its accounts, on chain, and waits until the ledger has booked it.
func (w *world) deposit(ctx context.Context) (domain.Nano, error) {
	each := make([]domain.Nano, len(w.clients))
	for i := range w.clients {
		each[i] = demoClients[i].coins
	}
	return w.depositEach(ctx, each)
}

// depositEach has each client pay so much into each of its accounts.
func (w *world) depositEach(ctx context.Context, each []domain.Nano) (domain.Nano, error) {
	e := w.engine
	vault := e.vault.Load()
	for i, c := range w.clients {
		coins := each[i]
		if err := e.fund(ctx, c.wallet, domain.Nano(len(c.accounts)+1)*(coins+domain.Coin)); err != nil {
			return 0, err
		}
		var messages []ton.Message
		for _, a := range c.accounts {
			messages = append(messages, vault.DepositMessage(a.id, coins))
		}
		if _, err := c.wallet.Deliver(ctx, messages); err != nil {
			return 0, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	for {
		var total domain.Nano
		booked := 0
		err := e.store.View(ctx, func(view projections.View) error {
			for b, err := range projections.RowsOf(ctx, view, projections.Balances) {
				if err != nil {
					return err
				}
				if b.Kind == projections.KindName(v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE) {
					booked++
					total += b.Amount
				}
			}
			return nil
		})
		if err != nil || booked == len(w.accounts) {
			return total, err
		}
		if err := pause(ctx, localPoll/4); err != nil {
			return 0, err
		}
	}
}

// decided waits until the clerks have answered all that is in intake, and the projections have it.
func (w *world) decided(ctx context.Context) error {
	for shard := range w.engine.intake.Shards() {
		end, err := w.engine.intake.End(ctx, domain.Shard(shard))
		if err != nil {
			return err
		}
		if end > 0 {
			if err := w.engine.books.answered(ctx, domain.Shard(shard), end-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// The accounts that money passes through on its way from a client's deposit to a provider's wallet: up to
// where a batch is made of it, and all the way.
var (
	onItsWayToABatch = []v1.AccountKind{
		v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED,
		v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD, v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE,
	}
	inABatch = []v1.AccountKind{v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED}
	onItsWay = slices.Concat(onItsWayToABatch, inABatch)
)

// left is what accounts of some kinds hold together.
func left(ctx context.Context, r projections.Reader, kinds []v1.AccountKind) (sum domain.Nano, err error) {
	trial, err := r.TrialBalance(ctx)
	for _, total := range trial {
		for _, kind := range kinds {
			if total.Kind == projections.KindName(kind) {
				sum += total.Amount
			}
		}
	}
	return sum, err
}

// awaitBatch waits until a batch after the last one is sealed, or until there is nothing that one could be
// made of; then it has the number 0.
func (w *world) awaitBatch(ctx context.Context, last uint32, progress func(string)) (found projections.Batch, err error) {
	for {
		var waiting domain.Nano
		err := w.engine.store.Read(ctx, func(r projections.Reader) error {
			batches, err := r.BatchesBelow(ctx, math.MaxUint32, projections.MaxRows)
			if err != nil {
				return err
			}
			for _, b := range batches {
				if b.Number > last {
					found = b // in the end it is the first one after the last
				}
			}
			if waiting, err = left(ctx, r, onItsWayToABatch); err != nil {
				return err
			}
			held, err := unattested(ctx, r)
			waiting -= held
			return err
		})
		if err != nil || found.Number != 0 || waiting == 0 {
			return found, err
		}
		progress(fmt.Sprintf("waiting for batch %d: earnings mature a second after their charge", last+1))
		if err := pause(ctx, localPoll/4); err != nil {
			return found, err
		}
	}
}

// awaitPaid waits until nothing is left in some accounts: it has found its owner, and providers have theirs on chain.
func (w *world) awaitPaid(ctx context.Context, kinds []v1.AccountKind, progress func(domain.Nano)) error {
	for {
		var waiting domain.Nano
		err := w.engine.store.Read(ctx, func(r projections.Reader) (err error) {
			waiting, err = left(ctx, r, kinds)
			return err
		})
		if err != nil || waiting == 0 {
			return err
		}
		progress(waiting)
		if err := pause(ctx, localPoll/4); err != nil {
			return err
		}
	}
}
