package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/dashboard"
	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/workers/courier"
)

// Where things are in a data folder.
const (
	intakeDir      = "intake"
	ledgerDir      = "ledger"
	projectionFile = "projections.db"
	chainDir       = "chain"
	keysDir        = "keys"
	collateralDir  = "collateral"
	archiveDir     = "attestations"
	poisonDir      = "poison"
)

// localPoll is how often a chain is looked at that makes a block in a second.
const localPoll = 200 * time.Millisecond

// openEmbedded opens a data folder, or makes one: segment logs, SQLite and, unless another network is named, a
// TON chain of the folder's own, all in this process, and all by the same clock. A folder that exists keeps the shards that it was made
// with.
func openEmbedded(ctx context.Context, dir string, dataShards int, chain chainFlags, now func() time.Time, log *slog.Logger) (p parts, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open %s: %w", dir, err), p.close())
		}
	}()
	p = parts{now: now, share: allHere(dataShards + 1), pollChain: localPoll}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return p, err
	}
	if p.keys, err = makeKeys(filepath.Join(dir, keysDir)); err != nil {
		return p, err
	}
	intake, ledgerLog, err := openLogs(dir, dataShards, now)
	for _, l := range []*seglog.Log{intake, ledgerLog} {
		if l == nil {
			continue
		}
		p.closing(l.Close)
		if repair, torn := l.Repaired(); torn {
			log.Warn("torn end of a log repaired; nothing acknowledged was in it", "repair", repair.String())
		}
	}
	if err != nil {
		return p, err
	}
	p.intake, p.ledger, p.share = intake, ledgerLog, allHere(intake.Shards())
	store, err := sqlite.Open(ctx, filepath.Join(dir, projectionFile))
	if err != nil {
		return p, err
	}
	p.store = store
	p.closing(store.Close)
	client, own, err := chain.run(ctx, dir, now)
	if err != nil {
		return p, err
	}
	p.joinChain(client, own)
	if own != nil {
		err = p.keys.claimant(filepath.Join(dir, keysDir))
	} else {
		p.pages.Wallets = dashboard.KnownWallets()
	}
	return p, err
}

// verifyFlags are how the workers of a folder are attested.
type verifyFlags struct {
	Attest     string `type:"existingfile" help:"With --data: attest workers, under this policy (YAML)."`
	Collateral string `type:"path" help:"With --attest: folder of what vendors publish. Default: collateral in the data folder."`
	Offline    bool   `help:"With --attest: fetch nothing from vendors; the folder is filled by hand."`
}

const (
	// waitingAnswers is how many answers wait in memory; who comes then is to come again.
	waitingAnswers = 256
	// localWorkersPoll is how often the workers of a folder are looked at.
	localWorkersPoll = time.Second
)

// verifyHere has the workers of a folder attested. Answers travel in memory: if the process ends, workers are asked again.
// What can't be dealt with is put in files.
func (p *parts) verifyHere(dir string, flags verifyFlags) {
	queue := courier.NewQueue(waitingAnswers)
	p.answers = &answers{
		topic: answersTopic, publisher: queue, poison: poisonFolder(filepath.Join(dir, poisonDir)), poisonTopic: poisonTopic,
		place: func(*message.Message) string { return "" },
		subscribe: func(context.Context, prometheus.Registerer, *slog.Logger) (message.Subscriber, error) {
			return queue, nil
		},
	}
	p.verifying = &verifying{
		policy: flags.Attest, collateral: flags.Collateral, archive: filepath.Join(dir, archiveDir), fetch: !flags.Offline,
		every: localWorkersPoll, verifier: attestation.New(),
	}
	if p.verifying.collateral == "" {
		p.verifying.collateral = filepath.Join(dir, collateralDir)
	}
}

// joinChain takes a client, and the chain that this process runs, if it does.
func (p *parts) joinChain(client *ton.Client, own *localchain.Chain) {
	if own != nil {
		p.closing(own.Close)
		p.faucet = own.Faucet
	}
	p.chain = client
	p.closing(func() error { client.Close(); return nil })
}

// openLogs opens both logs. A folder that exists keeps the number of shards that it was made with.
func openLogs(dir string, dataShards int, now func() time.Time) (intake, ledger *seglog.Log, err error) {
	where, logOptions := filepath.Join(dir, intakeDir), seglog.Options{Shards: dataShards + 1, Now: now}
	intake, err = seglog.Open(where, logOptions)
	if other, is := errors.AsType[*seglog.OtherShardsError](err); is {
		logOptions.Shards = other.Have
		intake, err = seglog.Open(where, logOptions)
	}
	if err != nil {
		return nil, nil, err
	}
	ledger, err = seglog.Open(filepath.Join(dir, ledgerDir), logOptions)
	return intake, ledger, err
}

// allHere does the work of all shards in this process, as there is no other.
func allHere(shards int) func(context.Context, string, func(context.Context, domain.Shard) error) error {
	return func(ctx context.Context, _ string, work func(context.Context, domain.Shard) error) error {
		group, ctx := errgroup.WithContext(ctx)
		for shard := range domain.Shard(shards) {
			group.Go(func() error { return work(ctx, shard) })
		}
		return group.Wait()
	}
}
