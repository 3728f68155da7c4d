package main

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/eventstore/tlog"
)

// exportCmd hands out what the ledger holds.
type exportCmd struct {
	Archive exportArchiveCmd `cmd:"" help:"Write both logs as an archive that anybody can audit."`
	Table   exportTableCmd   `cmd:"" help:"Write a table as CSV or Parquet."`
	Journal exportJournalCmd `cmd:"" help:"Write the general ledger for hledger, or as CSV for accountants' programs."`
}

// where is a data folder, or production servers.
type where struct {
	Data   string `required:"true" xor:"where" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	Config string `required:"true" xor:"where" type:"existingfile" help:"Config file: logs in Kafka, tables in PostgreSQL."`
}

func (w where) open(ctx context.Context) (*material, error) {
	if w.Data != "" {
		material, err := readMaterial(ctx, w.Data)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usage("--data %s: lacks a log; has serve or demo run there? %w", w.Data, err)
		}
		return material, err
	}
	c, err := loadConfig(w.Config, os.Environ())
	if err != nil {
		return nil, err
	}
	return readServers(ctx, c)
}

// openTables is open where the projections are wanted, too.
func (w where) openTables(ctx context.Context) (*material, error) {
	source, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	if source.store == nil {
		return nil, errors.Join(usage("%s: %w", w.name(), errNoProjections), source.close())
	}
	return source, nil
}

type exportArchiveCmd struct {
	where

	Out       string `arg:"" type:"path" help:"Folder to make, or to go on with; or a .tar file."`
	Tiles     string `type:"existingdir" help:"Folder where the ledger is published, whose checkpoints go into the archive. Default: as filature publish has it."`
	TonConfig string `type:"existingfile" help:"Global config of the TON network that it settles on, for the manifest. Default: the folder's or the config's."`
	JSON      bool   `help:"Print JSON."`
}

// tarSuffix says that an archive is one file.
const tarSuffix = ".tar"

// Run copies both logs up to where they end now. Cut off, it goes on where it stopped.
func (c *exportArchiveCmd) Run(ctx context.Context, out *console) (err error) {
	source, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	source.tiles, source.tonConfig = cmp.Or(c.Tiles, source.tiles), cmp.Or(c.TonConfig, source.tonConfig)
	dir, isTar := strings.CutSuffix(c.Out, tarSuffix)
	if isTar {
		dir += ".parts" // beside the file: it may be large
	}
	manifest, err := exportArchive(ctx, source, dir, newMeter(out, time.Now))
	if errors.Is(err, tlog.ErrRewritten) {
		return &exitError{exitNo, err}
	}
	if err != nil {
		return err
	}
	if isTar {
		if err := pack(dir, c.Out); err != nil {
			return fmt.Errorf("pack %s: %w", c.Out, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	out.stepf("wrote %s", c.Out)
	if c.JSON {
		return out.json(manifest)
	}
	signed := count(int64(len(manifest.Checkpoints()))) + " checkpoints, key " + manifest.LogKey
	if manifest.LogKey == "" {
		signed = "not signed: " + filepath.Join(source.keys, logKey+keySuffix) + " is not there"
	}
	const text = "Network  %s\nIntake   %s records\nLedger   %s records\nFiles    %d\nSigned   %s\n\nTo audit it: filature audit --logs %s --ton-config FILE\n"
	fmt.Fprintf(out.out, text, manifest.Network, count(sumOf(manifest.Intake)), count(sumOf(manifest.Ledger)), len(manifest.Files), signed, quoted(c.Out))
	return nil
}

func sumOf(ends []domain.Offset) (sum domain.Offset) {
	for _, end := range ends {
		sum += end
	}
	return sum
}

// exportArchive makes an archive in a folder, or lets the one that is there grow.
func exportArchive(ctx context.Context, source *material, dir string, m *meter) (archive.Manifest, error) {
	network, err := networkOf(ctx, source.ledger)
	if err != nil {
		return archive.Manifest{}, err
	}
	heads, err := source.readHeads(network)
	if err != nil {
		return archive.Manifest{}, err
	}
	// The ledger's ends before intake's: what they answer was said before.
	manifest := archive.Manifest{Network: network.String()}
	if manifest.Ledger, err = endsOf(ctx, source.ledger); err != nil {
		return archive.Manifest{}, err
	}
	if manifest.Intake, err = endsOf(ctx, source.intake); err != nil {
		return archive.Manifest{}, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return archive.Manifest{}, usage("%s: %w", dir, err)
	}
	if err := archive.Reopen(dir); err != nil {
		return archive.Manifest{}, err
	}
	for _, log := range []struct {
		name string
		from eventstore.Reader
		ends []domain.Offset
	}{{archive.IntakeDir, source.intake, manifest.Intake}, {archive.LedgerDir, source.ledger, manifest.Ledger}} {
		if err := copyLog(ctx, log.from, dir, log.name, network, log.ends, m); err != nil {
			return archive.Manifest{}, fmt.Errorf("export %s: %w", log.name, err)
		}
	}
	if err := describe(ctx, source, heads, dir, &manifest, m); err != nil {
		return archive.Manifest{}, fmt.Errorf("export heads: %w", err)
	}
	if err := archive.Seal(dir, manifest); err != nil {
		return archive.Manifest{}, err
	}
	return archive.Read(dir)
}

// describe takes the heads of the archived ledger, and says which network it is of.
func describe(ctx context.Context, source *material, heads *headsOf, dir string, manifest *archive.Manifest, m *meter) (err error) {
	logs, end, err := readArchive(dir, *manifest)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	if logs == nil {
		return eventstore.ErrCorrupt
	}
	ledgerLog := logs[1]
	if manifest.Roots, err = heads.archive(ctx, dir, ledgerLog, manifest.Ledger, m); err != nil {
		return err
	}
	if manifest.Vault, err = vaultNamedBy(ctx, ledgerLog); err != nil {
		return err
	}
	if heads.key != nil {
		manifest.LogKey = tlog.NetworkKey(heads.network, heads.key.Public().(ed25519.PublicKey))
	}
	if source.tonConfig != "" {
		manifest.ZeroState, err = zeroStateOf(source.tonConfig)
	}
	return err
}

// copyLog copies one log into segments, shards side by side.
func copyLog(ctx context.Context, from eventstore.Reader, dir, name string, network domain.NetworkID, ends []domain.Offset, m *meter) error {
	var mu sync.Mutex
	var done int64
	total := int64(sumOf(ends))
	progress := func(records int64) {
		mu.Lock()
		defer mu.Unlock()
		done += records
		m.progress(done, total, "copying "+name)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, end := range ends {
		group.Go(func() error { return copyShard(ctx, from, domain.Shard(i), end, dir, name, network, progress) })
	}
	return group.Wait()
}

func copyShard(
	ctx context.Context, from eventstore.Reader, shard domain.Shard, end domain.Offset, dir, name string, network domain.NetworkID, progress func(int64),
) (err error) {
	folder := filepath.Join(dir, filepath.FromSlash(archive.Folder(name, shard)))
	clock := &archive.Clock{}
	to, err := seglog.Open(folder, seglog.Options{
		Shards: 1, Now: clock.Now, Random: archive.Name(network, name, shard), Unsynced: true, // Seal syncs
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	there, err := to.End(ctx, 0)
	if err != nil {
		return err
	}
	progress(int64(there))
	return archive.Copy(ctx, from, shard, end, to, clock, progress)
}

var errNoGenesis = errors.New("the ledger has no network yet")

// networkOf reads the network's id out of the first entry.
func networkOf(ctx context.Context, log eventstore.Reader) (domain.NetworkID, error) {
	records, err := log.Read(ctx, domain.Control, 0, 1)
	if err != nil {
		return domain.NetworkID{}, err
	}
	if len(records) == 0 {
		return domain.NetworkID{}, usage("%w", errNoGenesis)
	}
	entry, err := eventstore.DecodeEntry(domain.Control, records[0])
	if err != nil {
		return domain.NetworkID{}, err
	}
	genesis := entry.GetGenesis()
	if genesis == nil {
		return domain.NetworkID{}, usage("%w", errNoGenesis)
	}
	return ledger.NetworkIDOf(genesis)
}

// pack writes an archive as one tar file, in the order of the names, without times or owners: the same archive is the same
// file.
func pack(dir, file string) (err error) {
	m, err := archive.Read(dir)
	if err != nil {
		return err
	}
	out, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	to := tar.NewWriter(out)
	for _, name := range append([]string{archive.ManifestName}, namesOf(m)...) {
		if err = packFile(to, dir, name); err != nil {
			break
		}
	}
	if err = errors.Join(err, to.Close(), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func namesOf(m archive.Manifest) []string {
	names := make([]string, len(m.Files))
	for i, file := range m.Files {
		names[i] = file.Name
	}
	return names
}

func packFile(to *tar.Writer, dir, name string) (err error) {
	from, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if err := to.WriteHeader(&tar.Header{Name: name, Size: info.Size(), Mode: 0o600, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return err
}

var errNotInArchive = errors.New("is no file of an archive")

// unpack takes what is wanted out of a tar file into a folder. It makes no file that an archive has not.
func unpack(file, dir string, wanted func(name string) bool) (err error) {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	from := tar.NewReader(in)
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg || header.Name != archive.ManifestName && !archive.Known(header.Name) {
			return fmt.Errorf("%s: %q: %w", file, header.Name, errNotInArchive)
		}
		if !wanted(header.Name) {
			continue
		}
		if err := unpackFile(from, filepath.Join(dir, filepath.FromSlash(header.Name))); err != nil {
			return err
		}
	}
}

func unpackFile(from io.Reader, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
