package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/eventstore"
)

// material is the logs and tables of production servers, opened to be read and nothing else.
type material struct {
	intake, ledger eventstore.Reader
	store          *postgres.Store // nil where the config names no database
	closers        []func() error
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
	s = &material{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
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
	if s.store, err = postgres.OpenReadOnly(ctx, c.postgres()); err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() error { s.store.Close(); return nil })
	return s, nil
}

// explorers show transactions of public networks to people. A network is told by the root hash of its zero state.
var explorers = map[string]string{
	"F6OpKZKqvqeFp6CQmFomXNMfMj2EnaUSOXN+Mh+wVWk=": "https://tonviewer.com/transaction/%s",
	"gj+B8wb/AmlPk1z1AhVI484rhrUpgSr2oSFIh56VoSg=": "https://testnet.tonviewer.com/transaction/%s",
}

// explorerOf says where the transactions of the network of a global config are shown; nowhere for any but the public
// ones, and for a folder's own chain, which has no config.
func explorerOf(globalConfig string) (string, error) {
	if globalConfig == "" {
		return "", nil
	}
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
	return explorers[network.Validator.ZeroState.RootHash], nil
}

// programName says which program made a report.
func programName() string {
	version, revision := buildOf()
	return fmt.Sprintf("filature %s (%s)", version, revision)
}
