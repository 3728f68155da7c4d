package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/sdk"
	"github.com/filature/filature/workers/auditor"
)

// headFlags say whose word counts for the heads of the ledger's trees, and where else there are some.
type headFlags struct {
	Key    []string `help:"Key of the network's logs, as filature publish prints it: checkpoints have to be signed by it. May be repeated."`
	Policy string   `type:"existingfile" help:"C2SP tlog-policy file: keys of logs, and the witnesses who have to have cosigned."`
	Tiles  string   `type:"existingdir" help:"Folder where the ledger is published, or was. Default: as filature publish has it."`
}

// read is what the flags say to believe; nil where they say nothing.
func (f headFlags) read() (*tlog.Policy, error) {
	switch {
	case len(f.Key) > 0 && f.Policy != "":
		return nil, usage("--key: does not go with --policy; the file has the keys")
	case len(f.Key) > 0:
		policy, err := tlog.Keys(f.Key...)
		if err != nil {
			return nil, usage("--key: %w", err)
		}
		return policy, nil
	case f.Policy != "":
		file, err := readBounded(f.Policy)
		if err != nil {
			return nil, usage("--policy: %w", err)
		}
		policy, err := tlog.ParsePolicy(file)
		if err != nil {
			return nil, usage("--policy %s: %w", f.Policy, err)
		}
		return policy, nil
	}
	return nil, nil //nolint:nilnil // the caller has a default
}

// published are the checkpoints that an audit compares the ledger with: those in a folder, under the keys that the flags
// name, or else that in the folder of the operator's keys. It is nil where there are none and none are wanted.
func (f headFlags) published(ctx context.Context, log eventstore.Reader, tiles, keys string) (*auditor.Published, error) {
	policy, err := f.read()
	if err != nil {
		return nil, err
	}
	if f.Tiles != "" {
		tiles = f.Tiles
	}
	p := &auditor.Published{Policy: policy, Wanted: policy != nil}
	if p.Notes, err = notesIn(tiles, log.Shards()); err != nil {
		return nil, err
	}
	if len(p.Notes) == 0 && !p.Wanted {
		return nil, nil //nolint:nilnil // there are none
	}
	if p.Policy == nil {
		file := filepath.Join(keys, logKey+keySuffix)
		key, err := sdk.ReadKey(file)
		if errors.Is(err, fs.ErrNotExist) {
			return p, nil
		}
		if err != nil {
			return nil, err
		}
		network, err := networkOf(ctx, log)
		if err != nil {
			return p, nil //nolint:nilerr // the report says what is wrong with the ledger
		}
		p.Key = fmt.Sprintf("by the key in %s; to name your own: --key", file)
		p.Policy, err = tlog.Keys(tlog.NetworkKey(network, key.Public().(ed25519.PublicKey)))
		return p, err
	}
	return p, nil
}

// notesIn reads the checkpoints in a folder that filature publish made.
func notesIn(tiles string, shards int) (notes []auditor.Note, err error) {
	if tiles == "" {
		return nil, nil
	}
	for shard := range domain.Shard(shards) {
		signed, err := tlog.ReadCheckpoint(tlog.ReadFolder(tiles).In(logFolder(shard)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		notes = append(notes, auditor.Note{From: filepath.Join(tiles, logFolder(shard), "checkpoint"), Signed: signed})
	}
	return notes, nil
}

// archived are the heads in an archive: its checkpoints, under the keys that the flags name or else the one in the manifest,
// and the roots in the manifest.
func (f headFlags) archived(dir string, m archive.Manifest) (*auditor.Published, error) {
	policy, err := f.read()
	if err != nil {
		return nil, err
	}
	p := &auditor.Published{Policy: policy, Wanted: policy != nil}
	if f.Tiles != "" {
		if p.Notes, err = notesIn(f.Tiles, len(m.Ledger)); err != nil {
			return nil, err
		}
	}
	for _, name := range m.Checkpoints() {
		signed, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the files step says so
		}
		if err != nil {
			return nil, err
		}
		p.Notes = append(p.Notes, auditor.Note{From: name, Signed: signed})
	}
	for shard, root := range m.Roots {
		raw, err := hex.DecodeString(root)
		if err != nil || len(raw) != len(domain.Digest{}) || shard >= len(m.Ledger) {
			return nil, &exitError{exitNo, fmt.Errorf("%s: roots[%d]: %q: %w", archive.ManifestName, shard, root, errBadRoot)}
		}
		p.Told = append(p.Told, auditor.ToldHead{
			From: archive.ManifestName, Shard: domain.Shard(shard), Head: tlog.Head{Size: int64(m.Ledger[shard]), Root: domain.Digest(raw)},
		})
	}
	if p.Policy == nil && m.LogKey != "" {
		p.Key = "by the key in the manifest, which the operator wrote; compare it, or name your own: --key"
		if p.Policy, err = tlog.Keys(m.LogKey); err != nil {
			return nil, &exitError{exitNo, fmt.Errorf("%s: log_key: %w", archive.ManifestName, err)}
		}
	}
	return p, nil
}

var (
	errBadRoot      = errors.New("want a root of 32 bytes in hexadecimal for each shard of the ledger")
	errOtherNetwork = errors.New("its manifest and its ledger are of two networks")
)

// checkManifest compares what a manifest says of the network with what its ledger says.
func checkManifest(ctx context.Context, path string, m archive.Manifest, log eventstore.Reader) error {
	network, err := networkOf(ctx, log)
	if errors.Is(err, eventstore.ErrCorrupt) || errors.Is(err, eventstore.ErrGap) {
		return nil // the report says where
	}
	if err != nil {
		return err
	}
	vault, err := vaultNamedBy(ctx, log)
	if errors.Is(err, eventstore.ErrCorrupt) || errors.Is(err, eventstore.ErrGap) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, field := range []struct{ name, told, is string }{{"network", m.Network, network.String()}, {"vault", m.Vault, vault}} {
		if field.told != field.is {
			return &exitError{exitNo, fmt.Errorf("%s: %w: %s is %q in the manifest, and %q in the ledger", path, errOtherNetwork, field.name, field.told, field.is)}
		}
	}
	return nil
}

// vaultNamedBy is the address of the vault that a ledger names; empty where it names none.
func vaultNamedBy(ctx context.Context, log eventstore.Reader) (string, error) {
	vault, err := readVault(ctx, log)
	if err != nil || vault == [32]byte{} {
		return "", err
	}
	return ton.Address{Account: vault}.String(), nil
}
