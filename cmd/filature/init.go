package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
)

// initCmd founds a network in production mode.
type initCmd struct {
	Config string `required:"true" type:"existingfile" help:"The config file."`
	JSON   bool   `help:"Print the result as JSON."`
}

// initResult is what init ends with.
type initResult struct {
	Network string `json:"network"`
	Vault   string `json:"vault"`
	Keys    string `json:"keys"`
	// Operator is the key that may give and take roles.
	Operator domain.KeyID `json:"operator"`
}

// Run makes what is missing of topics, tables, keys, genesis, vault and rules. It can be run again after any
// failure, and beside processes that run already.
func (c *initCmd) Run(ctx context.Context, out *console) error {
	cfg, err := loadConfig(c.Config, os.Environ())
	if err != nil {
		return err
	}
	if err := cfg.needs("filature init", "kafka.brokers", "postgres.url", "ton.config_file", "keys.dir"); err != nil {
		return err
	}
	e, err := openInit(ctx, cfg, out)
	if err != nil {
		return err
	}
	err = errors.Join(e.until(ctx, e.ready), e.close())
	if err != nil {
		return err
	}
	out.stepf("✓ network %s: rules set, roles given", e.network)
	result := initResult{e.network.String(), e.vault.Load().Address().String(), string(cfg.Keys.Dir), e.keys.id("operator")}
	if c.JSON {
		return out.json(result)
	}
	_, err = fmt.Fprintf(out.out, "Network   %s\nVault     %s\nOperator  %s\nKeys are in %s: each role needs its own, and nobody needs operator.key but you.\n"+
		"Start the roles:  filature serve --config %s\n", result.Network, result.Vault, result.Operator, result.Keys, c.Config)
	return err
}

func openInit(ctx context.Context, cfg *config, out *console) (*engine, error) {
	if err := createTopics(ctx, cfg); err != nil {
		return nil, err
	}
	out.stepf("✓ topics %s.* in Kafka", cfg.Kafka.Topics)
	p, err := openServers(ctx, cfg)
	if err != nil {
		return nil, err
	}
	out.stepf("✓ tables in PostgreSQL")
	if p.keys, err = makeKeys(string(cfg.Keys.Dir)); err == nil {
		err = p.reachChain(ctx, cfg)
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	log := slog.New(slog.NewTextHandler(out.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	e, err := newEngine(ctx, p, log, rolesOf(roleClerk, roleProjector), settleOptions{}, &founding{
		name: cfg.Network.Name, terms: cfg.terms(), delay: cfg.Network.Delay.Duration, vaultFloat: cfg.Network.VaultFloat.Nano,
	})
	if err != nil {
		return nil, err
	}
	if have, want := domain.KeyID(e.genesis.Operator), signing.KeyOf(e.keys.of("operator")); have != want {
		return nil, errors.Join(usage("keys.dir %s: operator.key is %s, and this network was founded by %s", cfg.Keys.Dir, want, have), e.close())
	}
	return e, nil
}

// until runs the engine until something is done, and then stops it.
func (e *engine) until(ctx context.Context, done <-chan struct{}) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.run(ctx) })
	group.Go(func() error {
		defer stop()
		select {
		case <-done:
		case <-ctx.Done():
		}
		return context.Cause(ctx)
	})
	return group.Wait()
}
