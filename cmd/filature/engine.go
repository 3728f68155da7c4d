package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/dashboard"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/documents"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/clerk"
	"github.com/filature/filature/workers/gateway"
	"github.com/filature/filature/workers/reporter"
	"github.com/filature/filature/workers/settler"
	"github.com/filature/filature/workers/verifier"
	"github.com/filature/filature/workers/watcher"
)

// cacheKeys is how many signers' keys are kept ready, 1.5 KiB each: a large fleet's.
const cacheKeys = 16_384

// parts are what an engine works on. openEmbedded and openProduction make them; nothing else in this
// program knows which of the two it was.
type parts struct {
	// now is the clock that logs and chain go by, if they are this process's, and all who speak.
	now            func() time.Time
	intake, ledger eventstore.Log
	store          store
	chain          *ton.Client // nil where no role of this process needs it
	// faucet makes coins, on a local chain. It is nil on any other network.
	faucet func(account [32]byte, amount domain.Nano) error
	keys   *keys
	// askers may ask the books; nil: anyone may.
	askers queryapi.Keys
	// prices turn coins into currencies in documents; nil where nobody gave any.
	prices *documents.Prices
	// pages are what the dashboard is told besides: wallets, where the chain is one that they know.
	pages dashboard.Config
	// certificate is who the HTTP server is; nil where it speaks no TLS.
	certificate *tls.Certificate
	// streams is where a relay publishes; nil where there is none.
	streams *outlet
	// publishing is where a publisher publishes; nil where there is none.
	publishing *publishing
	// auditing is what an auditor goes by; nil where there is none.
	auditing *auditing
	// answers is how workers' answers get to a verifier; nil where nobody would look at them.
	answers *answers
	// verifying is what a verifier goes by; nil where there is none.
	verifying *verifying
	// streamMetrics are those of all subscribers of this process; nil where there are no topics.
	streamMetrics func(prometheus.Registerer) (*pubsub.Metrics, error)
	// pollChain is how often watcher and settler look at the chain.
	pollChain time.Duration
	// share calls work for each shard that falls to this process, in a goroutine of its own, until the context
	// ends. With several processes each shard is one's at a time; task is what they share the work under.
	share func(ctx context.Context, task string, work func(context.Context, domain.Shard) error) error
	// lasting says which errors no second try would mend, besides those that are the log's and the ledger's.
	lasting []error
	closers []func() error // last one first
}

// close closes what was opened. The workers must have returned.
func (p *parts) close() error {
	var errs []error
	for len(p.closers) > 0 {
		last := len(p.closers) - 1
		errs = append(errs, p.closers[last]())
		p.closers = p.closers[:last]
	}
	return errors.Join(errs...)
}

// closing notes what close has to close.
func (p *parts) closing(closer func() error) { p.closers = append(p.closers, closer) }

// settleOptions are the pace of settlement.
type settleOptions struct {
	every  time.Duration           // between two batches
	claims *settlement.ClaimPolicy // for whom to claim, and pay the fee; nil: for nobody
	clock  func() time.Time        // when a batch is due; nil: by the clock of all
}

// engine is Filature's workers, or some of them, on the parts that they are given.
type engine struct {
	parts
	log     *slog.Logger
	roles   roles
	pace    settleOptions
	resync  bool      // read the vault's history from its birth
	found   *founding // how to set a new network up; nil where it must be there already
	genesis *v1.Genesis
	network domain.NetworkID

	signatures *signing.Verifier
	gateway    *gateway.Gateway
	books      books
	metrics    *metrics
	operator   *reporter.Reporter

	challenges verifier.Book
	door       *verifier.Door     // of a gateway
	appraiser  *verifier.Verifier // of a verifier, as prover, which speaks for it
	prover     *reporter.Reporter

	vault atomic.Pointer[ton.Vault] // known once the network is set up, to a process with a chain
	ready chan struct{}             // closed then
	works works
}

// newEngine returns an engine that does nothing yet. The parts are its own from here on: closing the engine
// closes them, and so does a failure.
func newEngine(ctx context.Context, p parts, log *slog.Logger, r roles, pace settleOptions, found *founding) (*engine, error) {
	if pace.clock == nil {
		pace.clock = p.now
	}
	e := &engine{
		parts: p, log: log, roles: r, pace: pace, found: found,
		signatures: signing.NewVerifier(cacheKeys), books: books{p.store, p.ledger}, ready: make(chan struct{}),
	}
	if err := e.openGenesis(ctx); err != nil {
		return nil, errors.Join(err, e.close())
	}
	e.gateway = gateway.New(gateway.Config{
		Intake: e.intake, Ledger: e.ledger, Reports: reports{e.store}, Verifier: e.signatures, Entropy: rand.Reader,
	})
	e.operator = e.reporter("operator")
	look := sources{intake: e.intake, ledger: e.ledger, clerks: e.works.answered, works: e.works.all}
	if e.roles[roleProjector] || e.roles[roleSettler] || e.roles[roleAuditor] || e.roles[roleAPI] { // a look sums all balances: a few are enough
		look.tables = e.store
	}
	if e.chain != nil {
		look.vault = e.lookAtVault
	}
	e.metrics = newMetrics(look, e.now)
	if err := e.takePart(); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

var errNoVault = errors.New("the network has no vault yet")

func (e *engine) lookAtVault(ctx context.Context) (settlement.Seen, error) {
	vault := e.vault.Load()
	if vault == nil {
		return settlement.Seen{}, errNoVault
	}
	return (&ton.Treasury{Vault: vault}).Look(ctx)
}

var errNoNetwork = errors.New("no network was founded on this log: run filature init first")

// openGenesis reads the genesis out of the ledger, or makes one for a new network.
func (e *engine) openGenesis(ctx context.Context) (err error) {
	if e.genesis, err = readGenesis(ctx, e.ledger); err != nil {
		return err
	}
	if e.genesis == nil {
		if e.found == nil {
			return errNoNetwork
		}
		key := e.keys.id("operator")
		e.genesis = &v1.Genesis{Name: e.found.name, Shards: uint32(e.dataShards()), Operator: key[:], CreatedAtMs: e.now().UnixMilli()}
	}
	if e.network, err = ledger.NetworkIDOf(e.genesis); err != nil {
		return err
	}
	return e.checkTables(ctx)
}

func (e *engine) dataShards() int { return e.intake.Shards() - 1 }

func (e *engine) reporter(key string) *reporter.Reporter {
	return reporter.New(e.keys.of(key), e.network, e.gateway, e.now)
}

// run runs the engine's roles until the context ends, and sets the network up if it is new. It returns nil
// when it was told to stop.
func (e *engine) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.gateway.Run(ctx) }) // whoever has something to say needs one
	if e.roles[roleProjector] {
		group.Go(func() error { return e.lead(ctx, roleProjector, e.project) })
	}
	if e.roles[roleClerk] {
		group.Go(func() error { return e.share(ctx, string(roleClerk), e.decide) })
	}
	if e.roles[roleRelay] {
		group.Go(func() error { return e.share(ctx, string(roleRelay), e.relay) })
		if len(e.streams.webhooks) > 0 {
			group.Go(func() error { return e.callWebhooks(ctx) })
		}
	}
	if e.door != nil || e.appraiser != nil {
		group.Go(func() error { return e.followChallenges(ctx) })
	}
	if e.appraiser != nil {
		group.Go(func() error { return e.appraise(ctx) })
	}
	group.Go(func() error {
		address, err := e.founded(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		if err != nil {
			return fmt.Errorf("set up: %w", err)
		}
		if e.chain != nil {
			e.vault.Store(e.chain.Vault(address))
		}
		close(e.ready)
		e.log.Info("ready", "vault", address.String(), "roles", e.roles.String(), "network", e.network.String())
		if e.roles[roleWatcher] {
			group.Go(func() error { return e.lead(ctx, roleWatcher, e.watch) })
			group.Go(func() error { return e.lead(ctx, workReconciler, e.reconcile) })
		}
		if e.roles[roleSettler] {
			group.Go(func() error { return e.lead(ctx, roleSettler, e.settle) })
		}
		if e.roles[rolePublisher] {
			group.Go(func() error { return e.lead(ctx, rolePublisher, e.publish) })
		}
		if e.roles[roleAuditor] {
			group.Go(func() error { return e.lead(ctx, roleAuditor, e.auditStanding) })
		}
		if e.appraiser != nil {
			group.Go(func() error { return e.lead(ctx, roleVerifier, e.challenge) })
		}
		return nil
	})
	return group.Wait()
}

// lead does work that one process at a time does for the whole network: the one that control falls to.
func (e *engine) lead(ctx context.Context, r role, work func(context.Context) error) error {
	return e.share(ctx, string(r), func(ctx context.Context, shard domain.Shard) error {
		if shard != domain.Control {
			<-ctx.Done()
			return nil
		}
		return e.keep(ctx, r, shard, work)
	})
}

// decide is the work of a clerk on one shard.
func (e *engine) decide(ctx context.Context, shard domain.Shard) error {
	clock := reporter.Clock{Reporter: e.reporter("clock")}
	return e.keep(ctx, roleClerk, shard, func(ctx context.Context) error {
		c := clerk.New(clerk.Config{
			Shard: shard, Intake: e.intake, Ledger: e.ledger, Genesis: e.genesis,
			Verifier: e.signatures, Entropy: rand.Reader, Clock: clock, Now: e.now, Decided: e.metrics.decided,
		})
		e.works.answers(shard, c.Answered)
		return c.Run(ctx)
	})
}

func (e *engine) project(ctx context.Context) error {
	return projections.NewRunner(e.ledger, e.store, projections.All()...).Run(ctx)
}

// watch books what the vault does. It goes on where the tables are; where they have nothing, or with resync, it reads all that
// the vault ever did.
func (e *engine) watch(ctx context.Context) error {
	progress, err := projections.ReadProgress(ctx, e.store)
	if err != nil {
		return err
	}
	return watcher.Run(ctx, watcher.Config{
		History: ton.Claims{History: e.history(progress)}, Reporter: e.reporter("watcher"),
		Books: bookedIn{e.store, e.dataShards()}, BookedLT: progress.ChainLT, DataShards: e.dataShards(), Poll: e.pollChain,
		Trouble: func(err error) { e.log.Warn("chain", "error", err) },
	})
}

// history is the vault's, from where the tables are.
func (e *engine) history(progress projections.SettlementProgress) *ton.History {
	if e.resync {
		return e.vault.Load().History(0)
	}
	return e.vault.Load().HistoryBehind(progress.ChainLT)
}

// bookedIn are tables as a watcher asks them.
type bookedIn struct {
	store      projections.Store
	dataShards int
}

// Unbooked implements watcher.Books.
func (b bookedIn) Unbooked(ctx context.Context, claims []*v1.Claim) ([]*v1.Claim, error) {
	return projections.Unbooked(ctx, b.store, b.dataShards, claims)
}

func (e *engine) settle(ctx context.Context) error {
	treasury, err := e.chain.Wallet(e.keys.of("treasury"))
	if err != nil {
		return err
	}
	return settler.New(settler.Config{
		Chain: &ton.Treasury{Vault: e.vault.Load(), Wallet: treasury}, Books: e.books,
		Reporter: e.reporter("settler"), Every: e.pace.every, Poll: e.pollChain,
		Claims: e.pace.claims, Now: e.pace.clock,
		Notice: func(d settlement.Decision, err error) {
			e.metrics.settled(d, err)
			switch {
			case err != nil:
				e.log.Warn("settlement", "error", err)
			case d.Step == settlement.StepHalt:
				e.log.Error("settlement halted; nothing is sent any more", "why", d.Why)
			default:
				e.log.Debug("settlement", "step", d.Step.String(), "why", d.Why)
			}
		},
	}).Run(ctx)
}

const (
	// firstRest and lastRest are waited before work that failed is taken up again.
	firstRest = 250 * time.Millisecond
	lastRest  = 15 * time.Second
)

// lastingErrors are those of the log and of the ledger that no second try mends. Anything else, a server that is
// away above all, passes.
var lastingErrors = []error{
	eventstore.ErrCorrupt, eventstore.ErrGap, eventstore.ErrFailed, eventstore.ErrClosed, eventstore.ErrNoShard, reporter.ErrRefused,
}

// keep does work until the context ends, and takes it up again when what stopped it may pass: whatever work
// does, it begins from what the log and the projections say. It returns the error that does not pass.
func (e *engine) keep(ctx context.Context, r role, shard domain.Shard, do func(context.Context) error) error {
	name := workName(r, shard)
	e.log.Info("work taken on", "work", name)
	defer func() {
		e.works.ends(r, shard) // also while it rests: whoever has it now says how it goes
		e.log.Info("work left", "work", name)
	}()
	rest := firstRest
	for {
		began := time.Now()
		e.works.goes(r, shard)
		err := do(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil || e.isLasting(err) {
			return fmt.Errorf("%s: %w", name, err)
		}
		if time.Since(began) > lastRest {
			rest = firstRest
		}
		e.works.fails(r, shard, err)
		e.log.Warn("work stopped, and is taken up again", "work", name, "error", err, "rest", rest.String())
		if pause(ctx, rest) != nil {
			return nil
		}
		rest = min(2*rest, lastRest)
	}
}

func (e *engine) isLasting(err error) bool {
	if _, is := errors.AsType[*projections.EntryError](err); is {
		return true
	}
	for _, some := range [][]error{lastingErrors, e.lasting} {
		for _, lasting := range some {
			if errors.Is(err, lasting) {
				return true
			}
		}
	}
	return false
}
