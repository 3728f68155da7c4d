package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/archive"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	logs "github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/workers/verifier"
)

// attestationAudit is the part of an audit that looks at archived evidence.
type attestationAudit struct {
	Attestations bool   `help:"Also appraise the archived evidence of attestations again, and compare with the ledger."`
	Archive      string `type:"existingdir" help:"With --attestations: folder of archived evidence. Default: attestations in the data folder, or the config's."`
}

// attested audits the attestations in the ledger that is audited; nil where nobody asked for it, or where the ledger
// can't be read, which the report says.
func (c *auditCmd) attested(ctx context.Context, out *console) (report *verifier.AuditReport, err error) {
	if !c.Attestations {
		if c.Archive != "" {
			err = usage("--archive: goes with --attestations")
		}
		return nil, err
	}
	folder := c.Archive
	if c.Config != "" {
		cfg, err := loadConfig(c.Config, os.Environ())
		if err != nil {
			return nil, err
		}
		if folder = cmp.Or(folder, string(cfg.Verifier.Archive)); folder == "" {
			return nil, usage("--attestations: %s names no verifier.archive; say where it is: --archive", c.Config)
		}
		return attestedServers(ctx, cfg, folder, out)
	}
	if c.Logs != "" {
		return attestedArchive(ctx, c.Logs, folder, out)
	}
	log, err := seglog.OpenReadOnly(filepath.Join(c.Data, ledgerDir))
	if errors.Is(err, eventstore.ErrCorrupt) {
		return nil, nil //nolint:nilnil // the report says where
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return auditAttestations(ctx, log, archive.Open(cmp.Or(folder, filepath.Join(c.Data, archiveDir))), attestation.New(), out)
}

// attestedServers audits the attestations in a ledger in Kafka.
func attestedServers(ctx context.Context, cfg *config, folder string, out *console) (_ *verifier.AuditReport, err error) {
	found, err := readServers(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.close()) }()
	return auditAttestations(ctx, found.ledger, archive.Open(folder), attestation.New(), out)
}

// attestedArchive audits the attestations in an archived ledger. They are all in control, so of a tar file no more is taken out.
func attestedArchive(ctx context.Context, path, folder string, out *console) (_ *verifier.AuditReport, err error) {
	dir := path
	if info, err := os.Stat(path); err != nil {
		return nil, usage("--logs: %w", err)
	} else if !info.IsDir() {
		if dir, err = os.MkdirTemp("", "filature-archive-"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		control := logs.Folder(logs.LedgerDir, domain.Control) + "/"
		if err := unpack(path, dir, func(name string) bool { return strings.HasPrefix(name, control) }); err != nil {
			return nil, usage("--logs: %w", err)
		}
	}
	log, err := seglog.OpenReadOnly(filepath.Join(dir, filepath.FromSlash(logs.Folder(logs.LedgerDir, domain.Control))))
	if errors.Is(err, eventstore.ErrCorrupt) {
		return nil, nil //nolint:nilnil // the report says where
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	return auditAttestations(ctx, log, archive.Open(folder), attestation.New(), out)
}

// auditAttestations appraises again what an archive holds, and compares it with the ledger.
func auditAttestations(
	ctx context.Context, log eventstore.Reader, shelf *archive.Folder, again *attestation.Verifier, out *console,
) (*verifier.AuditReport, error) {
	genesis, err := readGenesis(ctx, log)
	if err == nil && genesis == nil {
		err = errNoNetwork
	}
	if err != nil {
		return nil, err
	}
	network, err := ledger.NetworkIDOf(genesis)
	if err != nil {
		return nil, err
	}
	return verifier.Audit(ctx, verifier.AuditConfig{
		Ledger: log, Network: network, Shelf: shelf, Reappraiser: again, Progress: func(done, total int64) {
			out.progressf("attestations: %s of %s", count(done), count(total))
		},
	})
}
