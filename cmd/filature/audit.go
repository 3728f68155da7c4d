package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

// auditCmd replays logs from wherever they are.
type auditCmd struct {
	Data    string     `required:"true" xor:"where" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	Config  string     `required:"true" xor:"where" type:"existingfile" help:"Config file: logs in Kafka, tables in PostgreSQL if it names them."`
	Logs    string     `required:"true" xor:"where" type:"path" help:"Archive of both logs that export made: a folder or a .tar file."`
	HTML    string     `name:"html" type:"path" help:"Also write the report to this file, as one page for a browser."`
	JSON    bool       `help:"Print the report as JSON."`
	Metrics string     `type:"path" help:"Also write how it ended to this file, for the textfile collector of Prometheus's node exporter: audit.prom."`
	Resume  string     `type:"path" placeholder:"FOLDER" help:"Keep in this folder how far the audit has come, so that the same command goes on from there."`
	Chain   chainFlags `embed:""`

	headFlags
	attestationAudit
}

// Run audits and prints the report. It exits with 1 where the verdict is not pass.
func (c *auditCmd) Run(ctx context.Context, out *console) error {
	run := auditor.Run{At: time.Now(), Command: c.again(), Program: programName()}
	if c.Logs != "" && c.Attestations && c.Archive == "" {
		return usage("--attestations: an archive of logs has no evidence; say where it is: --archive")
	}
	meter := newMeter(out, time.Now)
	kept, err := keepAudit(c.Resume)
	if err != nil {
		return err
	}
	var report *auditor.Report
	switch {
	case c.Config != "":
		report, err = c.servers(ctx, &run, meter.progress, kept)
	case c.Logs != "":
		if run.Transaction, err = explorerOf(c.Chain.TonConfig); err == nil {
			report, err = auditArchive(ctx, c.Logs, c.headFlags, c.Chain, meter.progress, kept)
		}
	default:
		if run.Transaction, err = explorerOf(c.Chain.TonConfig); err == nil {
			report, err = auditFolder(ctx, c.Data, c.headFlags, c.Chain, meter.progress, kept)
		}
	}
	if err = kept.over(report, err); err != nil {
		return err
	}
	attested, err := c.attested(ctx, out)
	if err != nil {
		return err
	}
	if attested != nil {
		report.Attest(attested)
	}
	run.Took = time.Since(run.At)
	out.stepf("audited in %.1f s", run.Took.Seconds())
	if c.HTML != "" {
		if err := writePage(c.HTML, *report, run); err != nil {
			return err
		}
		out.stepf("wrote %s", c.HTML)
	}
	passed := report.Verdict == auditor.Pass
	if c.Metrics != "" {
		if err := writeAuditMetrics(c.Metrics, report, passed, run.At); err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
	}
	if c.JSON {
		err = out.json(report)
	} else {
		err = auditor.WriteText(out.out, *report)
	}
	if err == nil && !passed {
		return &exitError{code: exitNo}
	}
	return err
}

// servers audits what a config file names.
func (c *auditCmd) servers(ctx context.Context, run *auditor.Run, progress func(done, total int64, what string), kept *keptAudit) (*auditor.Report, error) {
	cfg, err := loadConfig(c.Config, os.Environ())
	if err != nil {
		return nil, err
	}
	flags := c.Chain
	if flags.TonConfig == "" {
		flags = chainFlags{TonConfig: string(cfg.TON.ConfigFile), TonUnverified: cfg.TON.Unverified}
	}
	if run.Transaction, err = explorerOf(flags.TonConfig); err != nil {
		return nil, err
	}
	return auditServers(ctx, cfg, "", c.headFlags, flags, progress, kept)
}

// again is the command that makes the same audit.
func (c *auditCmd) again() string {
	words := []string{"filature", "audit"}
	for _, flag := range []struct{ name, value string }{
		{"--data", c.Data}, {"--config", c.Config}, {"--logs", c.Logs}, {"--ton-config", c.Chain.TonConfig},
		{"--policy", c.Policy}, {"--tiles", c.Tiles}, {"--html", c.HTML},
		{"--archive", c.Archive},
	} {
		if flag.value != "" {
			words = append(words, flag.name, quoted(flag.value))
		}
	}
	for _, key := range c.Key {
		words = append(words, "--key", quoted(key))
	}
	if c.Chain.TonUnverified {
		words = append(words, "--ton-unverified")
	}
	if c.Attestations {
		words = append(words, "--attestations")
	}
	return strings.Join(words, " ")
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	if strings.IndexFunc(word, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%=,", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func writePage(name string, report auditor.Report, run auditor.Run) error {
	file, err := os.Create(name)
	if err != nil {
		return usage("--html: %w", err)
	}
	return errors.Join(auditor.WriteHTML(file, report, run), file.Close())
}

// auditFolder audits a data folder and changes nothing in it. What can't be opened is in the report.
func auditFolder(
	ctx context.Context, dir string, heads headFlags, flags chainFlags,
	progress func(done, total int64, what string), kept *keptAudit,
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
	if cfg.Intake, cfg.Ledger, closers, err = readLogs("--data", dir); err != nil {
		return nil, err
	}
	if cfg.Ledger != nil {
		cfg.Published, err = heads.published(ctx, cfg.Ledger, filepath.Join(dir, tilesDir), filepath.Join(dir, keysDir))
		if err != nil {
			return nil, err
		}
	}
	store, err := readStore(ctx, dir)
	if err != nil && !errors.Is(err, errNoProjections) {
		return nil, err
	}
	if err == nil {
		cfg.Store = store
		closers = append(closers, store.Close)
	}
	return auditWithChain(ctx, cfg, dir, flags, kept)
}

// readLogs opens the two logs in a folder. Both are nil where one is so damaged that it does not open: the files step says
// where.
func readLogs(flag, dir string) (intake, ledgerLog eventstore.Reader, closers []func() error, err error) {
	first, errIntake := seglog.OpenReadOnly(filepath.Join(dir, intakeDir))
	second, errLedger := seglog.OpenReadOnly(filepath.Join(dir, ledgerDir))
	for _, l := range []*seglog.ReadOnly{first, second} {
		if l != nil {
			closers = append(closers, l.Close)
		}
	}
	for _, err := range []error{errIntake, errLedger} {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil, closers, usage("%s %s: lacks a log; has serve or demo run there? %w", flag, dir, err)
		case err != nil && !errors.Is(err, eventstore.ErrCorrupt):
			return nil, nil, closers, usage("%s %s: %w", flag, dir, err)
		}
	}
	if errIntake == nil && errLedger == nil {
		return first, second, closers, nil
	}
	return nil, nil, closers, nil
}

// auditArchive audits an archive. A tar file is taken apart into a folder of its own first.
func auditArchive(
	ctx context.Context, path string, heads headFlags, flags chainFlags,
	progress func(done, total int64, what string), kept *keptAudit,
) (_ *auditor.Report, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usage("--logs: %w", err)
	}
	dir := path
	if !info.IsDir() {
		if dir, err = os.MkdirTemp("", "filature-archive-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		if err := unpack(path, dir, func(string) bool { return true }); err != nil {
			return nil, usage("--logs: %w", err)
		}
	}
	manifest, err := archive.Read(dir)
	if err != nil {
		return nil, usage("--logs %s: %w; is it an archive, and was its export not cut off?", path, err)
	}
	cfg := auditor.Config{
		Files:    func(ctx context.Context) ([]auditor.Folder, error) { return verifyArchive(ctx, dir, manifest) },
		Verifier: signing.NewVerifier(cacheKeys), Entropy: rand.Reader, Progress: progress,
	}
	logs, end, err := readArchive(dir, manifest)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	if cfg.Published, err = heads.archived(dir, manifest); err != nil {
		return nil, err
	}
	if logs != nil {
		cfg.Intake, cfg.Ledger = logs[0], logs[1]
		if err := checkManifest(ctx, path, manifest, cfg.Ledger); err != nil {
			return nil, err
		}
	}
	flags.zeroState = manifest.ZeroState
	return auditWithChain(ctx, cfg, dir, flags, kept)
}

// readArchive opens the two logs of an archive, intake first. There are none where one is so damaged that it does not open:
// the files step says where.
func readArchive(dir string, manifest archive.Manifest) (logs []archive.Shards, end func() error, err error) {
	var closers []func() error
	end = func() error {
		var errs []error
		for _, closer := range closers {
			errs = append(errs, closer())
		}
		return errors.Join(errs...)
	}
	for _, log := range logsOf(manifest) {
		var shards archive.Shards
		for shard := range log.ends {
			reader, err := seglog.OpenReadOnly(filepath.Join(dir, filepath.FromSlash(archive.Folder(log.name, domain.Shard(shard)))))
			switch {
			case errors.Is(err, eventstore.ErrCorrupt):
				return nil, end, nil
			case err != nil:
				return nil, end, errors.Join(usage("--logs: %w", err), end())
			}
			closers = append(closers, reader.Close)
			shards = append(shards, reader)
		}
		logs = append(logs, shards)
	}
	return logs, end, nil
}

type archivedLog struct {
	name string
	ends []domain.Offset
}

func logsOf(m archive.Manifest) [2]archivedLog {
	return [2]archivedLog{{archive.IntakeDir, m.Intake}, {archive.LedgerDir, m.Ledger}}
}

// verifyArchive compares every file of an archive with its manifest, and then reads the logs as such, which can say which
// record a damaged byte belongs to.
func verifyArchive(ctx context.Context, dir string, manifest archive.Manifest) ([]auditor.Folder, error) {
	wrong, err := archive.Check(ctx, dir, manifest)
	if err != nil {
		return nil, err
	}
	var folders []auditor.Folder
	for _, log := range logsOf(manifest) {
		for shard := range log.ends {
			name := archive.Folder(log.name, domain.Shard(shard))
			folder, err := verifyFolder(filepath.Join(dir, filepath.FromSlash(name)), auditor.LogName(log.name))
			if err != nil {
				return nil, err
			}
			if folder.Damage != nil && folder.Damage.Record != nil {
				folder.Damage.Record.Shard = domain.Shard(shard) // it is the only one of its own log
			}
			for _, w := range wrong {
				if folder.Damage == nil && strings.HasPrefix(w.Name, name+"/") {
					folder.Damage = &auditor.Damage{File: filepath.Join(dir, filepath.FromSlash(w.Name)), Why: w.Why}
				}
			}
			folders = append(folders, folder)
		}
	}
	for _, w := range wrong {
		if strings.HasPrefix(w.Name, archive.CheckpointsDir+"/") {
			damage := &auditor.Damage{File: filepath.Join(dir, filepath.FromSlash(w.Name)), Why: w.Why}
			folders = append(folders, auditor.Folder{Log: auditor.Ledger, Files: 1, Damage: damage})
		}
	}
	return folders, nil
}

// auditWithChain audits logs against the chain that the flags name, or else the folder's own.
func auditWithChain(ctx context.Context, cfg auditor.Config, dir string, flags chainFlags, kept *keptAudit) (_ *auditor.Report, failed error) {
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
	kept.attach(&cfg)
	report, err := auditor.Audit(ctx, cfg)
	return &report, err
}

// scratchStore is an empty store in the temporary folder. It may become as large as the tables that it is compared with.
func scratchStore(ctx context.Context) (projections.Store, func() error, error) {
	dir, err := os.MkdirTemp("", "filature-audit-")
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.OpenScratch(ctx, filepath.Join(dir, projectionFile))
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }, nil
}

// auditServers audits logs in Kafka, and tables in PostgreSQL if the config names them, over connections of its own that
// only read. The chain is the one that the flags name, or else that of a folder, if there is one.
func auditServers(
	ctx context.Context, c *config, dir string, heads headFlags, flags chainFlags,
	progress func(done, total int64, what string), kept *keptAudit,
) (_ *auditor.Report, err error) {
	found, err := readServers(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.close()) }()
	cfg := auditor.Config{
		Intake: found.intake, Ledger: found.ledger, Verifier: signing.NewVerifier(cacheKeys), Entropy: rand.Reader, Progress: progress,
	}
	if found.store != nil {
		cfg.Store = found.store
	}
	if cfg.Published, err = heads.published(ctx, cfg.Ledger, found.tiles, found.keys); err != nil {
		return nil, err
	}
	return auditWithChain(ctx, cfg, dir, flags, kept)
}

// verifyFolders reads every byte of both logs of a data folder.
func verifyFolders(dir string) ([]auditor.Folder, error) {
	var folders []auditor.Folder
	for _, log := range []struct {
		dir  string
		name auditor.LogName
	}{{intakeDir, auditor.Intake}, {ledgerDir, auditor.Ledger}} {
		folder, err := verifyFolder(filepath.Join(dir, log.dir), log.name)
		if err != nil {
			return nil, err
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

func verifyFolder(dir string, name auditor.LogName) (auditor.Folder, error) {
	report, err := seglog.Verify(dir)
	folder := auditor.Folder{Log: name, Files: report.Segments, Bytes: report.Bytes}
	if damage, is := errors.AsType[*seglog.Damage](err); is {
		folder.Damage = &auditor.Damage{File: damage.File, Byte: damage.Byte, Why: damage.Why}
		if damage.Placed {
			folder.Damage.Record = &damage.Record
		}
		return folder, nil
	}
	return folder, err
}

var errNoProjections = errors.New("has no projections; has serve or demo run there?")

// readStore opens the projections of a folder and changes nothing in them, not even an old schema. It is errNoProjections
// where there are none.
func readStore(ctx context.Context, dir string) (*sqlite.Store, error) {
	path := filepath.Join(dir, projectionFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, usage("%s: %w", dir, errNoProjections)
	}
	store, err := sqlite.OpenReadOnly(ctx, path)
	if errors.Is(err, sqlite.ErrOlderSchema) {
		return nil, fmt.Errorf("%w: run \"filature serve --data %s\" of this version until it is ready; it brings the tables up to date, "+
			"and folds from the ledger what they lack", err, dir)
	}
	return store, err
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
