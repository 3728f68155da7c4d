package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/workers/auditor"
)

// auditCmd replays a data folder.
type auditCmd struct {
	Data  string     `required:"true" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	JSON  bool       `help:"Print the report as JSON."`
	Chain chainFlags `embed:""`
}

// Run audits and prints the report. It exits with 1 where the verdict is not pass.
func (c *auditCmd) Run(ctx context.Context, out *console) error {
	began := time.Now()
	report, err := auditFolder(ctx, c.Data, c.Chain, func(done, total int64, what string) {
		out.progressf("%s: %s of %s", what, count(done), count(total))
	})
	if err != nil {
		return err
	}
	out.stepf("audited in %.1f s", time.Since(began).Seconds())
	if c.JSON {
		err = out.json(report)
	} else {
		err = auditor.WriteText(out.out, *report)
	}
	if err == nil && report.Verdict != auditor.Pass {
		return &exitError{code: exitNo}
	}
	return err
}

// auditFolder audits a data folder and changes nothing in it. What can't be opened is in the report.
func auditFolder(
	ctx context.Context, dir string, flags chainFlags, progress func(done, total int64, what string),
) (_ *auditor.Report, err error) {
	var closers []func() error
	defer func() {
		for _, closer := range closers {
			err = errors.Join(err, closer())
		}
	}()
	cfg := auditor.Config{
		Files:    func(context.Context) ([]auditor.Folder, error) { return verifyFolders(dir) },
		Verifier: signing.NewVerifier(cacheKeys), Entropy: rand.Reader, Progress: progress,
	}
	// A log that is damaged does not open; the files step says where.
	intake, errIntake := seglog.OpenReadOnly(filepath.Join(dir, intakeDir))
	ledgerLog, errLedger := seglog.OpenReadOnly(filepath.Join(dir, ledgerDir))
	for _, l := range []*seglog.ReadOnly{intake, ledgerLog} {
		if l != nil {
			closers = append(closers, l.Close)
		}
	}
	for _, err := range []error{errIntake, errLedger} {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, usage("--data %s: lacks a log; has serve or demo run there? %w", dir, err)
		case err != nil && !errors.Is(err, eventstore.ErrCorrupt):
			return nil, usage("--data %s: %w", dir, err)
		}
	}
	if errIntake == nil && errLedger == nil {
		cfg.Intake, cfg.Ledger = intake, ledgerLog
	}
	store, err := openStore(ctx, dir)
	if err != nil && !errors.Is(err, errNoProjections) {
		return nil, err
	}
	if err == nil {
		cfg.Store = store
		closers = append(closers, store.Close)
	}
	return auditWithChain(ctx, cfg, dir, flags)
}

// auditWithChain audits logs against the chain that the flags name, or else the folder's own.
func auditWithChain(ctx context.Context, cfg auditor.Config, dir string, flags chainFlags) (_ *auditor.Report, failed error) {
	if cfg.Ledger != nil {
		chain, closeChain, err := openChain(ctx, dir, flags, cfg.Ledger)
		if err != nil {
			return nil, err
		}
		if chain != nil {
			cfg.Chain = chain
			defer func() { failed = errors.Join(failed, closeChain()) }()
		}
	}
	report, err := auditor.Audit(ctx, cfg)
	return &report, err
}

// auditServers audits logs in Kafka and tables in PostgreSQL against the chain in a folder, over connections of
// its own.
func auditServers(ctx context.Context, c *config, dir string, progress func(done, total int64, what string)) (_ *auditor.Report, err error) {
	p, err := openServers(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return auditWithChain(ctx, auditor.Config{
		Intake: p.intake, Ledger: p.ledger, Store: p.store,
		Verifier: signing.NewVerifier(cacheKeys), Entropy: rand.Reader, Progress: progress,
	}, dir, chainFlags{})
}

// verifyFolders reads every byte of both logs.
func verifyFolders(dir string) ([]auditor.Folder, error) {
	var folders []auditor.Folder
	for _, log := range []struct {
		dir  string
		name auditor.LogName
	}{{intakeDir, auditor.Intake}, {ledgerDir, auditor.Ledger}} {
		report, err := seglog.Verify(filepath.Join(dir, log.dir))
		folder := auditor.Folder{Log: log.name, Files: report.Segments, Bytes: report.Bytes}
		var damage *seglog.Damage
		switch {
		case errors.As(err, &damage):
			folder.Damage = &auditor.Damage{File: damage.File, Byte: damage.Byte, Why: damage.Why}
			if damage.Placed {
				folder.Damage.Record = &damage.Record
			}
		case err != nil:
			return nil, err
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

var errNoProjections = errors.New("has no projections; has serve or demo run there?")

// openStore opens the projections of a folder; it is errNoProjections where there are none.
func openStore(ctx context.Context, dir string) (*sqlite.Store, error) {
	path := filepath.Join(dir, projectionFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, usage("%s: %w", dir, errNoProjections)
	}
	return sqlite.Open(ctx, path)
}

// chainReader is the vault as an auditor reads it.
type chainReader struct {
	*ton.Vault
	ton.Claims
}

// openChain reaches the vault that the ledger says the network settles on. It is nil where there is no vault
// yet, no ledger that could be read, or no chain that could be asked.
func openChain(ctx context.Context, dir string, flags chainFlags, log eventstore.Reader) (auditor.Chain, func() error, error) {
	vault, err := readVault(ctx, log)
	if errors.Is(err, eventstore.ErrCorrupt) || errors.Is(err, eventstore.ErrGap) || err == nil && vault == [32]byte{} {
		return nil, nil, nil // the report says what is wrong with the ledger, and that the chain was not looked at
	}
	if err != nil {
		return nil, nil, err
	}
	client, end, err := flags.look(ctx, dir)
	if errors.Is(err, errNoChain) {
		return nil, nil, nil // the report says that the chain was not looked at
	}
	if err != nil {
		return nil, nil, err
	}
	at := client.Vault(ton.Address{Account: vault})
	return chainReader{at, ton.Claims{History: at.History(0)}}, end, nil
}

// readVault returns the vault that control set last. It is read out of the ledger, and not out of the
// projections, because the ledger is what is audited.
func readVault(ctx context.Context, log eventstore.Reader) (vault [32]byte, err error) {
	end, err := log.End(ctx, domain.Control)
	if err != nil {
		return vault, err
	}
	err = eventstore.Each(ctx, log, domain.Control, 0, end, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(domain.Control, rec)
		if err != nil || ledger.Void(rec.Offset, entry) {
			return err
		}
		for _, fact := range entry.GetAnswer().GetFacts() {
			if set := fact.GetNetworkSet(); len(set.GetVault()) != 0 {
				vault = [32]byte(set.Vault)
			}
		}
		return nil
	})
	return vault, err
}
