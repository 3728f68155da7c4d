package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// wantSameEnd compares how two demos of one seed ended. Their last batch is all that anybody ever earned, so its root
// is a function of the seed. Where the batches before it were cut is not: that is when the settler looked, in
// either mode. What each of them holds is compared with log and chain by the audit.
func wantSameEnd(t *testing.T, embedded, production *demoResult) {
	t.Helper()
	checkBooks(t, embedded)
	checkBooks(t, production)
	last := func(r *demoResult) (root string, total domain.Nano) {
		b := r.Audit.Batches[len(r.Audit.Batches)-1]
		return b.ChainRoot, b.TotalNano
	}
	rootHere, totalHere := last(embedded)
	rootThere, totalThere := last(production)
	if rootHere != rootThere || totalHere != totalThere {
		t.Errorf("embedded ends with root %s of %s, production with %s of %s", rootHere, totalHere, rootThere, totalThere)
	}
	for what, pair := range map[string][2]any{
		"providers":     {embedded.Providers, production.Providers},
		"tokens":        {embedded.Tokens, production.Tokens},
		"rejections":    {embedded.Rejections, production.Rejections},
		"trial balance": {embedded.Trial, production.Trial},
		"at the door":   {embedded.AtTheDoor, production.AtTheDoor},
	} {
		if here, there := fmt.Sprintf("%+v", pair[0]), fmt.Sprintf("%+v", pair[1]); here != there {
			t.Errorf("%s differ\nembedded   %s\nproduction %s", what, here, there)
		}
	}
}

func TestTheDemoOnKafkaAndPostgreSQLEndsWithTheEmbeddedDemosRoot(t *testing.T) {
	t.Parallel()
	embedded, production := sharedDemo.onServers(t)
	wantSameEnd(t, embedded, production)
	if embedded.Network == production.Network || production.Topics == "" {
		t.Errorf("networks %s and %s, topics %q: was it production at all?", embedded.Network, production.Network, production.Topics)
	}
}

func TestATraceOnKafkaAndPostgreSQLEndsWithTheEmbeddedDemosRoot(t *testing.T) {
	t.Parallel()
	embedded, production := sharedTrace.onServers(t)
	wantSameEnd(t, embedded, production)
}

func TestTheDemoWantsAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	foldGenesis(t, s.database)
	invoke(t, "demo", "--production", "--config", s.config(t), "--data", filepath.Join(s.dir, "demo")).
		want(t, exitUsage, "holds a network already", "CREATE DATABASE")
}

func TestInitCanBeRunAgainAndBesideWhatRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.runChain(t)
	first := s.found(t)
	if second := s.found(t); second != first {
		t.Errorf("the second time it founds %+v, the first time %+v", second, first)
	}
	all := s.serve(t)
	if third := s.found(t); third != first {
		t.Errorf("beside serve it founds %+v, the first time %+v", third, first)
	}
	if network := all.network(t); network.String() != first.Network {
		t.Errorf("serve works for network %s, init founded %s", network, first.Network)
	}
	all.end(t)

	// Somebody else's operator can't take it over.
	other := s
	other.keys = "other"
	invoke(t, "init", "--config", other.config(t)).want(t, exitUsage, "operator.key", "was founded by "+first.Operator.String())
}

// cast is who takes part in one job.
type cast struct {
	network                           domain.NetworkID
	operator, proxy, client, provider *party
	worker                            *party
	clientWallet, providerWallet      *ton.Wallet
	vault                             *ton.Vault
	account                           domain.AccountID
	shard                             domain.Shard
	model                             domain.ModelID
	clientID                          domain.ClientID
	workerID                          domain.WorkerID
}

func newCast(t *testing.T, s site, founded initResult) *cast {
	t.Helper()
	client, err := ton.Connect(t.Context(), ton.Config{GlobalConfigFile: filepath.Join(s.dir, chainDir, localchain.GlobalConfigName)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	c := &cast{
		operator: speaker(t, s.keyFile("operator")), proxy: speaker(t, s.keyFile("proxy")),
		client: speaker(t, filepath.Join(s.dir, "client.key")), provider: speaker(t, filepath.Join(s.dir, "provider.key")),
		worker: speaker(t, filepath.Join(s.dir, "worker.key")),
	}
	for _, id := range [][]byte{c.account[:], c.model[:], c.clientID[:], c.workerID[:]} {
		_, _ = rand.Read(id) // never fails
	}
	c.shard = domain.ShardOf(c.account, s.shards)
	var errs [4]error
	var vault ton.Address
	c.network, errs[0] = domain.ParseID[domain.NetworkID](founded.Network)
	vault, errs[1] = ton.ParseAddress(founded.Vault)
	c.clientWallet, errs[2] = client.Wallet(c.client.key)
	c.providerWallet, errs[3] = client.Wallet(c.provider.key)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	c.vault = client.Vault(vault)
	// The operator has spoken before: init numbers reports by the clock.
	c.operator.sequence[domain.Control] = uint64(time.Now().UnixMicro())
	return c
}

// register makes everybody known.
func (c *cast) register(t *testing.T, gateway *served) {
	t.Helper()
	provider := c.providerWallet.Address().Account
	c.operator.tell(t, gateway, c.network, domain.Control,
		&v1.Claim{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{Model: c.model[:], Name: "Qwen/Qwen3-8B"}}},
		&v1.Claim{Body: &v1.Claim_RegisterClient{RegisterClient: &v1.RegisterClient{Client: c.clientID[:], Key: keyOf(c.client), Name: "client"}}},
		&v1.Claim{Body: &v1.Claim_RegisterProvider{RegisterProvider: &v1.RegisterProvider{Provider: provider[:], Key: keyOf(c.provider), Name: "provider"}}})
	c.provider.tell(t, gateway, c.network, domain.Control,
		&v1.Claim{Body: &v1.Claim_RegisterWorker{RegisterWorker: &v1.RegisterWorker{Worker: c.workerID[:], Provider: provider[:], Key: keyOf(c.worker)}}},
		&v1.Claim{Body: &v1.Claim_SetOffer{SetOffer: &v1.SetOffer{Worker: c.workerID[:], Model: c.model[:], Coefficient: 1000}}})
	c.client.tell(t, gateway, c.network, c.shard,
		&v1.Claim{Body: &v1.Claim_OpenAccount{OpenAccount: &v1.OpenAccount{Account: c.account[:], Client: c.clientID[:]}}})
}

// work runs one job through.
func (c *cast) work(t *testing.T, gateway *served) {
	t.Helper()
	job := domain.JobIDOf(c.account, 1)
	usage := &v1.Usage{PromptTokens: 1000, CompletionTokens: 500}
	c.client.tell(t, gateway, c.network, c.shard, &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
		Account: c.account[:], Number: 1, Model: c.model[:], MaxPromptTokens: 1000, MaxCompletionTokens: 1000, MaxCoefficient: 1000, TimeoutMs: 60_000,
	}}})
	c.proxy.tell(t, gateway, c.network, c.shard, &v1.Claim{Body: &v1.Claim_AssignJob{AssignJob: &v1.AssignJob{Job: job[:], Worker: c.workerID[:]}}})
	c.worker.tell(t, gateway, c.network, c.shard,
		&v1.Claim{Body: &v1.Claim_StartJob{StartJob: &v1.StartJob{Job: job[:]}}},
		&v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: job[:], Usage: usage}}})
}

func TestRolesInProcessesOfTheirOwnPayAProvider(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	chain := s.runChain(t, filepath.Join(s.dir, "client.key"))
	founded := s.found(t)
	gateway := s.serve(t, roleGateway, roleAPI)
	processes := []*served{gateway, s.serve(t, roleClerk), s.serve(t, roleProjector), s.serve(t, roleSettler), s.serve(t, roleWatcher), s.serve(t, roleRelay)}

	c := newCast(t, s, founded)
	c.register(t, gateway)
	if _, err := c.clientWallet.Deliver(t.Context(), []ton.Message{c.vault.DepositMessage(c.account, domain.Coin)}); err != nil {
		t.Fatal(err)
	}
	store := s.open(t).store
	gateway.until(t, func() bool { return c.funds(t, store) > 0 }) // the coin, less its way
	c.work(t, gateway)
	provider := domain.ProviderID(c.providerWallet.Address().Account)
	var pay *queryv1.ProviderTotal
	gateway.until(t, func() bool {
		all, err := queryv1.NewNetworkServiceClient(http.DefaultClient, gateway.url).ListProviders(t.Context(), &queryv1.ListProvidersRequest{})
		if err == nil && len(all.Providers) == 1 {
			pay = all.Providers[0]
		}
		return pay.GetPaidNano() > 0
	})
	// 1000 prompt tokens and 500 of completion, which count eightfold, at 19 nano.
	if want := int64(19 * (1000 + 8*500)); pay.PaidNano != want || pay.EarnedNano+pay.HeldNano+pay.PayableNano+pay.CommittedNano != 0 {
		t.Errorf("the provider was paid %v, want %d and nothing left", pay, want)
	}
	if claimed, err := c.vault.Claimed(t.Context(), provider); err != nil || int64(claimed) != pay.PaidNano {
		t.Errorf("on chain it has %s (%v), by the books %d", claimed, err, pay.PaidNano)
	}
	for _, p := range slices.Backward(processes) {
		p.end(t)
	}
	s.audit(t)
	chain.end(t)
}

// funds is what the client's account has.
func (c *cast) funds(t *testing.T, store store) (amount domain.Nano) {
	t.Helper()
	if err := store.View(t.Context(), func(view projections.View) error {
		for b, err := range projections.RowsOf(t.Context(), view, projections.Balances) {
			if err != nil {
				return err
			}
			if b.Kind == projections.KindName(v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE) {
				amount += b.Amount
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return amount
}

func TestASecondProcessTakesOverWhereTheFirstStops(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.runChain(t)
	founded := s.found(t)
	network, err := domain.ParseID[domain.NetworkID](founded.Network)
	if err != nil {
		t.Fatal(err)
	}
	gateway := s.serve(t, roleGateway, roleAPI)
	ledger := s.open(t).ledger
	proxy := speaker(t, s.keyFile("proxy"))
	// everywhere reports to each shard, and returns where.
	everywhere := func() []httpReceipt {
		var all []httpReceipt
		for shard := range domain.Shard(s.shards + 1) {
			all = append(all, proxy.tell(t, gateway, network, shard, idle()))
		}
		return all
	}
	answered := func(receipts []httpReceipt) bool {
		for _, r := range receipts {
			if answeredTo(t, ledger, domain.Shard(r.Shard)) <= domain.Offset(r.Offset) {
				return false
			}
		}
		return true
	}
	projected := func() bool {
		for shard, sequence := range proxy.sequence {
			if _, err := gateway.explains(t, "report", fmt.Sprintf("%s:%d:%d", signing.KeyOf(proxy.key), shard, sequence)); err != nil {
				return false
			}
		}
		return true
	}

	// sharing is a process that has its part of the shards: whoever stops then leaves work behind.
	sharing := func() *served {
		p := s.serve(t, roleClerk, roleProjector)
		p.until(t, func() bool { return worksOf(p.log, roleClerk) > 0 })
		return p
	}
	first, standby := sharing(), sharing()
	said := everywhere()
	gateway.until(t, func() bool { return answered(said) && projected() })
	// Whoever had a shard, and whoever led the projector: it is one of these two, and each in turn is alone.
	first.end(t)
	said = everywhere()
	standby.until(t, func() bool { return answered(said) && projected() })
	third := sharing()
	standby.end(t)
	said = everywhere()
	third.until(t, func() bool { return answered(said) && projected() })
	third.end(t)
	gateway.end(t)
}

// acknowledged is a report that a gateway said is durable.
type acknowledged struct {
	shard  domain.Shard
	offset domain.Offset
	report []byte
}

// load reports to one shard, some reports at a time, until the gateway is gone, and tells of each that was
// acknowledged.
func (p *party) load(ctx context.Context, url string, network domain.NetworkID, shard domain.Shard, note func([]acknowledged)) error {
	const together = 20
	for {
		reports := make([][]byte, together)
		for i := range reports {
			var err error
			if reports[i], err = signing.Report(p.key, network, shard, p.next(shard), []*v1.Claim{idle()}); err != nil {
				return err
			}
		}
		receipts, err := post(ctx, url, reports)
		if err != nil {
			return nil //nolint:nilerr // it has ended, as it was told to
		}
		var taken []acknowledged
		for i, r := range receipts {
			if r.Status != "accepted" {
				return fmt.Errorf("shard %d: a report was %s: %s: %w", shard, r.Status, r.Reason, errNotTaken)
			}
			taken = append(taken, acknowledged{domain.Shard(r.Shard), domain.Offset(r.Offset), reports[i]})
		}
		note(taken)
	}
}

func TestStoppingUnderLoadLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	chain := s.runChain(t)
	network, err := domain.ParseID[domain.NetworkID](s.found(t).Network)
	if err != nil {
		t.Fatal(err)
	}
	all := s.serve(t)
	proxy := speaker(t, s.keyFile("proxy"))
	proxy.tell(t, all, network, 1, idle()) // the gateway knows the key now
	var (
		mu    sync.Mutex
		taken []acknowledged
		loads sync.WaitGroup
	)
	for shard := range domain.Shard(s.shards) {
		mine := &party{key: proxy.key, sequence: map[domain.Shard]uint64{shard + 1: proxy.sequence[shard+1]}}
		loads.Go(func() {
			if err := mine.load(t.Context(), all.url, network, shard+1, func(more []acknowledged) {
				mu.Lock()
				defer mu.Unlock()
				taken = append(taken, more...)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	const enough = 1000
	all.until(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(taken) >= enough
	})
	all.end(t)
	loads.Wait()

	p := s.open(t)
	for _, a := range taken {
		records, err := p.intake.Read(t.Context(), a.shard, a.offset, 1)
		if err != nil || len(records) != 1 || !bytes.Equal(records[0].Value, a.report) {
			t.Fatalf("acknowledged at %d/%d is not there: %d records, %v", a.shard, a.offset, len(records), err)
		}
	}
	all = s.serve(t)
	all.until(t, func() bool {
		for shard := range domain.Shard(s.shards + 1) {
			end, err := p.intake.End(t.Context(), shard)
			if err != nil {
				t.Fatal(err)
			}
			if answeredTo(t, p.ledger, shard) < end {
				return false
			}
		}
		return true
	})
	all.end(t)
	chain.end(t)
}
