package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
)

// material is logs and tables, opened to be read and nothing else.
type material struct {
	intake, ledger eventstore.Reader
	store          store // nil where there are no tables
	closers        []func() error

	// What belongs to the ledger, and need not be there: the folder of the operator's keys, the folder where its trees are
	// published, and the global config of its chain.
	keys, tiles, tonConfig string
}

func (s *material) close() error {
	var errs []error
	for _, closer := range slices.Backward(s.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// readServers opens what a config names. It creates no topic and migrates no table.
func readServers(ctx context.Context, c *config) (s *material, err error) {
	s = &material{keys: string(c.Keys.Dir), tiles: string(c.Transparency.Folder), tonConfig: string(c.TON.ConfigFile)}
	defer func(opened *material) { // s is nil where it failed
		if err != nil {
			err = errors.Join(err, opened.close())
		}
	}(s)
	if err := c.needs("filature audit and export", "kafka.brokers"); err != nil {
		return nil, err
	}
	cluster, err := c.cluster()
	if err != nil {
		return nil, err
	}
	open := func(topic kafka.Topic) (*kafka.Log, error) {
		log, err := kafka.Open(ctx, cluster, topic)
		if err == nil {
			s.closers = append(s.closers, log.Close)
		}
		return log, err
	}
	if s.intake, err = open(c.intakeTopic()); err != nil {
		return nil, err
	}
	if s.ledger, err = open(c.ledgerTopic()); err != nil {
		return nil, err
	}
	if c.Postgres.URL == "" {
		return s, nil
	}
	tables, err := readTables(ctx, c)
	if err != nil {
		return nil, err
	}
	s.store = tables
	s.closers = append(s.closers, func() error { tables.Close(); return nil })
	return s, nil
}

// readTables opens the tables that a config names, and changes nothing in them, not even an old schema.
func readTables(ctx context.Context, c *config) (*postgres.Store, error) {
	tables, err := postgres.OpenReadOnly(ctx, c.postgres())
	if errors.Is(err, postgres.ErrOlderSchema) {
		return nil, fmt.Errorf("%w: start \"filature serve --config FILE\" of this version, all roles or the projector; it brings the tables "+
			"up to date, and folds from the ledger what they lack", err)
	}
	return tables, err
}

// readMaterial opens what is in a data folder. Tables may be missing.
func readMaterial(ctx context.Context, dir string) (s *material, err error) {
	s = &material{keys: filepath.Join(dir, keysDir), tiles: filepath.Join(dir, tilesDir)}
	if own := filepath.Join(dir, chainDir, localchain.GlobalConfigName); isThere(own) {
		s.tonConfig = own
	}
	defer func(opened *material) { // s is nil where it failed
		if err != nil {
			err = errors.Join(err, opened.close())
		}
	}(s)
	open := func(name string) (*seglog.ReadOnly, error) {
		log, err := seglog.OpenReadOnly(filepath.Join(dir, name))
		if err == nil {
			s.closers = append(s.closers, log.Close)
		}
		return log, err
	}
	if s.intake, err = open(intakeDir); err != nil {
		return nil, err
	}
	if s.ledger, err = open(ledgerDir); err != nil {
		return nil, err
	}
	tables, err := readStore(ctx, dir)
	if errors.Is(err, errNoProjections) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.store = tables
	s.closers = append(s.closers, tables.Close)
	return s, nil
}

// explorers show transactions of public networks to people. A network is told by the root hash of its zero state, which stands
// in the global configs that ton-blockchain.github.io publishes: global.config.json is the main network's,
// testnet-global.config.json the test network's (MyTonCtrl's is_testnet goes by the same hash).
var explorers = map[string]string{
	"F6OpKZKqvqeFp6CQmFomXNMfMj2EnaUSOXN+Mh+wVWk=": "https://tonviewer.com/transaction/%s",
	"gj+B8wb/AmlPk1z1AhVI484rhrUpgSr2oSFIh56VoSg=": "https://testnet.tonviewer.com/transaction/%s",
}

func isThere(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// explorerOf says where the transactions of the network of a global config are shown; nowhere for any but the public
// ones, and for a folder's own chain, which has no config.
func explorerOf(globalConfig string) (string, error) {
	if globalConfig == "" {
		return "", nil
	}
	zero, err := zeroStateOf(globalConfig)
	return explorers[zero], err
}

// zeroStateOf is the root hash of the zero state that a global config names, in base64; empty where it names none.
func zeroStateOf(globalConfig string) (string, error) {
	raw, err := os.ReadFile(globalConfig)
	if err != nil {
		return "", usage("--ton-config: %w", err)
	}
	var network struct {
		Validator struct {
			ZeroState struct {
				RootHash string `json:"root_hash"`
			} `json:"zero_state"`
		} `json:"validator"`
	}
	if err := json.Unmarshal(raw, &network); err != nil {
		return "", usage("--ton-config %s: %w", globalConfig, err)
	}
	return network.Validator.ZeroState.RootHash, nil
}

// programName says which program made a report.
func programName() string {
	version, revision := buildOf()
	return fmt.Sprintf("filature %s (%s)", version, revision)
}
