package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/witness"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/workers/publisher"
)

// tilesDir is where, in a data folder, the ledger's trees are published, if nobody says otherwise.
const tilesDir = "tiles"

// logKey is the key that signs checkpoints.
const logKey = "log"

// ledgerFlags say where a ledger is.
type ledgerFlags struct {
	Data   string `required:"true" xor:"where" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	Config string `required:"true" xor:"where" type:"existingfile" help:"Config file of production mode."`
}

// ledgerParts are a ledger and its tables, to be read.
type ledgerParts struct {
	ledger  eventstore.Reader
	store   store
	network domain.NetworkID
	keys    string // folder
	site    transparencyConfig
	close   func() error
}

// open opens a ledger for reading.
func (f ledgerFlags) open(ctx context.Context) (p *ledgerParts, err error) {
	if f.Config != "" {
		p, err = openLedgerOf(ctx, f.Config)
	} else {
		p, err = openLedgerIn(ctx, f.Data)
	}
	if err != nil {
		return nil, err
	}
	genesis, err := readGenesis(ctx, p.ledger)
	if err == nil && genesis == nil {
		err = &exitError{exitUsage, errNoNetwork}
	}
	if err == nil {
		p.network, err = ledger.NetworkIDOf(genesis)
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func openLedgerIn(ctx context.Context, dir string) (*ledgerParts, error) {
	store, err := readStore(ctx, dir)
	if err != nil {
		return nil, err
	}
	log, err := seglog.OpenReadOnly(filepath.Join(dir, ledgerDir))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &ledgerParts{
		ledger: log, store: store, keys: filepath.Join(dir, keysDir), site: transparencyConfig{Folder: filePath(filepath.Join(dir, tilesDir))},
		close: func() error { return errors.Join(log.Close(), store.Close()) },
	}, nil
}

func openLedgerOf(ctx context.Context, file string) (*ledgerParts, error) {
	cfg, err := loadConfig(file, os.Environ())
	if err != nil {
		return nil, err
	}
	p, err := openServers(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &ledgerParts{ledger: p.ledger, store: p.store, keys: string(cfg.Keys.Dir), site: cfg.Transparency, close: p.close}, nil
}

// publishCmd publishes the ledger's trees once.
type publishCmd struct {
	ledgerFlags `embed:""`

	To     string `type:"path" help:"Folder to publish in. Default: tiles in the data folder, or transparency.folder of the config."`
	Policy string `type:"existingfile" help:"C2SP tlog-policy file: who is asked to cosign, and how many have to. Default: none, or transparency.policy."`
	JSON   bool   `help:"Print JSON."`
}

// publication is what publish prints.
type publication struct {
	Folder  string `json:"folder"`
	Network string `json:"network"`
	// Key stands for the logs of all shards; those of the logs are for witnesses and monitors.
	Key  string         `json:"key"`
	Logs []publishedLog `json:"logs"`
}

type publishedLog struct {
	Origin string `json:"origin"`
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	Root   string `json:"root"`
}

// Run brings what is published up to the ledger as it is now.
func (c *publishCmd) Run(ctx context.Context, out *console) (err error) {
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if c.To != "" {
		p.site.Folder = filePath(c.To)
	}
	if c.Policy != "" {
		p.site.Policy = filePath(c.Policy)
	}
	if p.site.Folder == "" {
		return usage("--to: want a folder, here or as transparency.folder of the config")
	}
	key, err := makeKey(filepath.Join(p.keys, logKey+keySuffix))
	if err != nil {
		return fmt.Errorf("key %s: %w", logKey, err)
	}
	to, err := openPublishing(p.site, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.folder.Close()) }()
	public := key.Public().(ed25519.PublicKey)
	result := publication{Folder: string(p.site.Folder), Network: p.network.String(), Key: tlog.NetworkKey(p.network, public)}
	for shard := range domain.Shard(p.ledger.Shards()) {
		log := tlog.Log{Network: p.network, Shard: shard}
		cfg := to.config(log, p.ledger)
		cfg.Published = func(head tlog.Head) { out.progressf("%s: %s records", log.Origin(), count(head.Size)) }
		head, err := publisher.Once(ctx, cfg)
		if errors.Is(err, tlog.ErrRewritten) {
			return &exitError{exitNo, err}
		}
		if err != nil {
			return err
		}
		result.Logs = append(result.Logs, publishedLog{log.Origin(), tlog.LogKey(log, public), head.Size, head.Root.String()})
	}
	out.stepf("published in %s", result.Folder)
	if c.JSON {
		return out.json(result)
	}
	for _, log := range result.Logs {
		fmt.Fprintf(out.out, "%s  %s records, root %s\n", log.Origin, count(log.Size), log.Root)
	}
	fmt.Fprintf(out.out, "\nKey, for filature verify --key:\n%s\n", result.Key)
	return nil
}

// publishing is where a process publishes, and whom it asks before.
type publishing struct {
	folder    *tlog.Folder
	key       ed25519.PrivateKey
	policy    *tlog.Policy
	witnesses []publisher.Witness
	pace      transparencyConfig
}

// openPublishing opens the folder and reads the policy.
func openPublishing(cfg transparencyConfig, key ed25519.PrivateKey) (*publishing, error) {
	s := &publishing{key: key, pace: cfg}
	if cfg.Policy != "" {
		raw, err := readBounded(string(cfg.Policy))
		if err != nil {
			return nil, usage("policy: %w", err)
		}
		if s.policy, err = tlog.ParsePolicy(raw); err != nil {
			return nil, usage("%s: %w", cfg.Policy, err)
		}
		for _, w := range s.policy.Witnesses() {
			if w.URL != "" {
				s.witnesses = append(s.witnesses, witness.NewClient(w.URL))
			}
		}
	}
	var err error
	if s.folder, err = tlog.OpenFolder(string(cfg.Folder)); errors.Is(err, tlog.ErrInUse) {
		return nil, &exitError{exitUsage, err}
	}
	return s, err
}

func (s *publishing) config(log tlog.Log, ledger eventstore.Reader) publisher.Config {
	return publisher.Config{
		Log: log, Ledger: ledger, Files: s.folder.In(logFolder(log.Shard)), Key: s.key, Policy: s.policy, Witnesses: s.witnesses,
		Every: s.pace.Every.Duration,
	}
}

// logFolder is where the log of a shard is among what is published.
func logFolder(shard domain.Shard) string { return ledgerDir + "/" + strconv.Itoa(int(shard)) }

// publish follows all shards of the ledger. What contradicts what was published stops it, and nothing else.
func (e *engine) publish(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for shard := range domain.Shard(e.ledger.Shards()) {
		cfg := e.publishing.config(tlog.Log{Network: e.network, Shard: shard}, e.ledger)
		cfg.Trouble = func(err error) { e.log.Warn("checkpoint not published", "log", cfg.Log.Origin(), "error", err) }
		group.Go(func() error { return publisher.Run(ctx, cfg) })
	}
	return group.Wait()
}

// publishes makes the process a publisher.
func (p *parts) publishes(cfg transparencyConfig) error {
	to, err := openPublishing(cfg, p.keys.of(logKey))
	if err != nil {
		return err
	}
	p.publishing = to
	p.closing(to.folder.Close)
	return nil
}
