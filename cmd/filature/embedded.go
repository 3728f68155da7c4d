package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/clerk"
	"github.com/filature/filature/workers/gateway"
	"github.com/filature/filature/workers/reporter"
	"github.com/filature/filature/workers/settler"
	"github.com/filature/filature/workers/watcher"
)

// Where things are in a data folder.
const (
	intakeDir      = "intake"
	ledgerDir      = "ledger"
	projectionFile = "projections.db"
	chainDir       = "chain"
	keysDir        = "keys"
)

const (
	// cacheKeys is how many signers' keys are kept ready, 1.5 KiB each: a large fleet's.
	cacheKeys = 16_384
	// pollChain is how often watcher and settler look at a chain that makes a block in a second.
	pollChain = 200 * time.Millisecond
)

// options are what an engine is opened with. A folder that exists keeps the name, the
// shards and the terms that it was made with.
type options struct {
	dir        string
	name       string
	dataShards int
	terms      terms
	settle     settleOptions
	chainFlags
	log *slog.Logger
}

// settleOptions are the pace of settlement.
type settleOptions struct {
	every    time.Duration // between two batches
	delay    time.Duration // a proposed root's challenge delay; whole seconds
	claimFor bool          // pay the payees' fees
	// vaultFloat is what the vault is deployed with, and treasuryFloat what the treasury wallet gets
	// from the local chain's faucet to begin with.
	vaultFloat, treasuryFloat domain.Nano
}

// engine is the whole of Filature in one process: segment logs, SQLite, and a TON chain of its own.
type engine struct {
	options
	keys    *keys
	genesis *v1.Genesis
	network domain.NetworkID

	intake, ledger *seglog.Log
	store          *sqlite.Store
	chain          *localchain.Chain // the folder's own; nil on another network
	client         *ton.Client
	treasury       *ton.Wallet

	verifier *signing.Verifier
	gateway  *gateway.Gateway
	runner   *projections.Runner
	clerks   []*clerk.Clerk
	operator *reporter.Reporter

	vault atomic.Pointer[ton.Vault] // known once the network is set up
	ready chan struct{}             // closed then
}

// openEngine opens a data folder, or makes one.
func openEngine(ctx context.Context, o options) (_ *engine, err error) {
	e := &engine{options: o, verifier: signing.NewVerifier(cacheKeys), ready: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open %s: %w", o.dir, err), e.close())
		}
	}()
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return nil, err
	}
	if e.keys, err = openKeys(filepath.Join(o.dir, keysDir)); err != nil {
		return nil, err
	}
	if err := e.openLogs(); err != nil {
		return nil, err
	}
	for _, l := range []*seglog.Log{e.intake, e.ledger} {
		if repair, torn := l.Repaired(); torn {
			e.log.Warn("torn end of a log repaired; nothing acknowledged was in it", "repair", repair.String())
		}
	}
	if err := e.openGenesis(ctx); err != nil {
		return nil, err
	}
	if e.store, err = sqlite.Open(ctx, filepath.Join(o.dir, projectionFile)); err != nil {
		return nil, err
	}
	if e.client, e.chain, err = e.connect(ctx, o.dir, false); err != nil {
		return nil, err
	}
	if e.treasury, err = e.client.Wallet(e.keys.of("treasury")); err != nil {
		return nil, err
	}
	e.gateway = gateway.New(gateway.Config{
		Intake: e.intake, Ledger: e.ledger, Reports: reports{e.store}, Verifier: e.verifier, Entropy: rand.Reader,
	})
	e.runner = projections.NewRunner(e.ledger, e.store, projections.All()...)
	e.operator = e.reporter("operator")
	clock := reporter.Clock{Reporter: e.reporter("clock")}
	for shard := range e.dataShards + 1 {
		e.clerks = append(e.clerks, clerk.New(clerk.Config{
			Shard: domain.Shard(shard), Intake: e.intake, Ledger: e.ledger, Genesis: e.genesis,
			Verifier: e.verifier, Entropy: rand.Reader, Clock: clock, Now: time.Now,
		}))
	}
	return e, nil
}

// openLogs opens both logs. A folder that exists keeps the number of shards that it was made with.
func (e *engine) openLogs() (err error) {
	intake, logOptions := filepath.Join(e.dir, intakeDir), seglog.Options{Shards: e.dataShards + 1, Now: time.Now}
	e.intake, err = seglog.Open(intake, logOptions)
	if other, is := errors.AsType[*seglog.OtherShardsError](err); is {
		e.dataShards, logOptions.Shards = other.Have-1, other.Have
		e.intake, err = seglog.Open(intake, logOptions)
	}
	if err != nil {
		return err
	}
	e.ledger, err = seglog.Open(filepath.Join(e.dir, ledgerDir), logOptions)
	return err
}

// openGenesis reads the genesis out of the ledger, or makes one for a new folder.
func (e *engine) openGenesis(ctx context.Context) error {
	genesis, err := readGenesis(ctx, e.ledger)
	if err != nil {
		return err
	}
	if genesis == nil {
		key := e.keys.id("operator")
		genesis = &v1.Genesis{Name: e.name, Shards: uint32(e.dataShards), Operator: key[:], CreatedAtMs: time.Now().UnixMilli()}
	}
	e.genesis = genesis
	e.network, err = ledger.NetworkIDOf(genesis)
	return err
}

func (e *engine) reporter(key string) *reporter.Reporter {
	return reporter.New(e.keys.of(key), e.network, e.gateway, time.Now)
}

// run runs all workers until the context ends, and sets the network up if it is new. It returns nil
// when it was told to stop.
func (e *engine) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.gateway.Run(ctx) })
	group.Go(func() error {
		err := e.runner.Run(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		return fmt.Errorf("projections: %w", err)
	})
	for _, c := range e.clerks {
		group.Go(func() error { return c.Run(ctx) })
	}
	group.Go(func() error {
		vault, err := e.setUp(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		if err != nil {
			return fmt.Errorf("set up: %w", err)
		}
		e.vault.Store(vault)
		var booked []uint64
		if err := e.store.View(ctx, func(view projections.View) (err error) {
			booked, err = projections.ReadBooked(ctx, view, e.dataShards+1)
			return err
		}); err != nil {
			return fmt.Errorf("set up: %w", err)
		}
		close(e.ready)
		e.log.Info("ready", "vault", vault.Address().String())
		group.Go(func() error { return e.watch(ctx, vault, booked) })
		group.Go(func() error { return e.settle(ctx, vault) })
		return nil
	})
	return group.Wait()
}

func (e *engine) watch(ctx context.Context, vault *ton.Vault, booked []uint64) error {
	return watcher.Run(ctx, watcher.Config{
		History: ton.Claims{History: vault.History(0)}, Reporter: e.reporter("watcher"),
		Booked: booked, DataShards: e.dataShards, Poll: pollChain,
		Trouble: func(err error) { e.log.Warn("chain", "error", err) },
	})
}

func (e *engine) settle(ctx context.Context, vault *ton.Vault) error {
	return settler.New(settler.Config{
		Chain: &ton.Treasury{Vault: vault, Wallet: e.treasury}, Books: books{e.store, e},
		Reporter: e.reporter("settler"), Every: e.options.settle.every, Poll: pollChain,
		ClaimFor: e.options.settle.claimFor, Now: time.Now,
		Notice: func(d settlement.Decision, err error) {
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

// reports are the projections as a gateway asks them.
type reports struct{ *sqlite.Store }

// AnsweredTo is the intake offset up to which the shard's reports are known.
func (r reports) AnsweredTo(ctx context.Context, shard domain.Shard) (at domain.Offset, err error) {
	err = r.View(ctx, func(view projections.View) error {
		checkpoint, err := view.Checkpoint(ctx, projections.Reports.Table())
		if int(shard) < len(checkpoint) {
			at = checkpoint[shard].Intake
		}
		return err
	})
	return at, err
}

// LastSequence is the highest number that a signer used in a shard.
func (r reports) LastSequence(ctx context.Context, shard domain.Shard, signer domain.KeyID) (last uint64, err error) {
	err = r.Read(ctx, func(reader projections.Reader) error {
		last, err = reader.LastSequence(ctx, signer, shard)
		return err
	})
	return last, err
}

// Heard tells which report of a signer had a number.
func (r reports) Heard(
	ctx context.Context, shard domain.Shard, signer domain.KeyID, sequence uint64,
) (digest domain.Digest, at domain.Offset, ok bool, err error) {
	err = r.Read(ctx, func(reader projections.Reader) error {
		report, err := reader.Report(ctx, projections.ReportKey{Signer: signer, Shard: shard, Sequence: sequence})
		if errors.Is(err, projections.ErrNotFound) {
			return nil
		}
		digest, at, ok = report.IntakeDigest, report.Intake, err == nil
		return err
	})
	return digest, at, ok, err
}

// books are the projections as a settler reads them.
type books struct {
	*sqlite.Store
	engine *engine
}

// Fresh waits until the projections have taken in what the ledger holds now.
func (b books) Fresh(ctx context.Context) error { return b.engine.fresh(ctx) }

func (e *engine) fresh(ctx context.Context) error {
	cut := make([]domain.Offset, e.ledger.Shards())
	for shard := range cut {
		end, err := e.ledger.End(ctx, domain.Shard(shard))
		if err != nil {
			return err
		}
		cut[shard] = end
	}
	return e.runner.Await(ctx, cut)
}

// answered waits until the projections have the answer to an intake record.
func (e *engine) answered(ctx context.Context, shard domain.Shard, at domain.Offset) error {
	const look = 2 * time.Millisecond
	for e.clerks[shard].Answered() <= at {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
	}
	return e.fresh(ctx)
}

// close closes what was opened. The workers must have returned.
func (e *engine) close() error {
	var errs []error
	if e.client != nil {
		e.client.Close()
	}
	if e.chain != nil {
		errs = append(errs, e.chain.Close())
	}
	if e.store != nil {
		errs = append(errs, e.store.Close())
	}
	for _, l := range []*seglog.Log{e.ledger, e.intake} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}
