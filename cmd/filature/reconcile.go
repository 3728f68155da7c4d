package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/reconciler"
)

const (
	// reconcileEvery is the pause between two rounds of the standing reconciliation: much less than a difference may last.
	reconcileEvery = time.Minute
	// reconcilePayees is how many claim accounts a standing round asks, a millisecond each.
	reconcilePayees = 500
)

// vaultChain is a vault as a reconciler looks at it.
type vaultChain struct{ *ton.Vault }

// Snapshot implements reconciler.Chain.
func (v vaultChain) Snapshot(ctx context.Context) (reconciler.Snapshot, error) {
	return v.Vault.Snapshot(ctx)
}

// reconcile is the standing reconciliation. It runs where the watcher does, but a watcher in trouble does not stop it.
func (e *engine) reconcile(ctx context.Context) error {
	progress, err := projections.ReadProgress(ctx, e.store)
	if err != nil {
		return err
	}
	since := progress.ChainLT
	if e.resync {
		since = 0
	}
	return reconciler.New(reconciler.Config{
		Chain: vaultChain{e.vault.Load()}, History: ton.Movements{History: e.history(progress)}, SinceLT: since,
		Books: e.books, DataShards: e.dataShards(),
		Payees: reconcilePayees, Every: reconcileEvery,
		Notice: func(report *reconciler.Report, err error) {
			e.metrics.reconciled(report, err)
			if err == nil {
				e.tellAlarms(report)
				err = projections.WriteFinding(ctx, e.store, projections.FoundOnChain, report.AtMs, reconciliationMessage(report))
			}
			switch {
			case errors.Is(err, settlement.ErrBehind):
				e.log.Debug("reconciliation", "error", err)
			case err != nil:
				e.log.Warn("reconciliation", "error", err)
			}
		},
	}).Run(ctx)
}

func (e *engine) tellAlarms(report *reconciler.Report) {
	for _, d := range report.Differences {
		if d.State == settlement.Alarm {
			e.log.Error("ledger and chain differ; see filature reconcile", "kind", string(d.Kind), "subject", d.Subject,
				"ledger", d.Ledger, "chain", d.Chain, "for", (time.Duration(d.AgeMs) * time.Millisecond).String())
		}
	}
}

// reconcileCmd compares ledger and chain once.
type reconcileCmd struct {
	Data   string     `required:"true" xor:"where" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	Config string     `required:"true" xor:"where" type:"existingfile" help:"Config file: tables in PostgreSQL, the chain that it names."`
	JSON   bool       `help:"Print JSON."`
	Chain  chainFlags `embed:""`
}

// Run compares and prints. It exits with 1 where somebody has to look.
func (c *reconcileCmd) Run(ctx context.Context, out *console) (err error) {
	store, client, end, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	network, err := networkIn(ctx, store)
	if err != nil {
		return err
	}
	if network.Vault == ([32]byte{}) {
		return &exitError{exitNo, errNoVault}
	}
	vault := client.Vault(ton.Address{Account: network.Vault})
	report, err := reconciler.New(reconciler.Config{
		Chain: vaultChain{vault}, History: ton.Movements{History: vault.History(0)}, Books: asTheyAre{store}, DataShards: int(network.Shards),
	}).Round(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = out.json(report)
	} else {
		err = writeReconciliation(out, report)
	}
	if err == nil && report.Alarms() > 0 {
		err = &exitError{code: exitNo}
	}
	return err
}

// open opens the tables and the chain, and changes nothing.
func (c *reconcileCmd) open(ctx context.Context) (projections.Store, *ton.Client, func() error, error) {
	if c.Config != "" {
		return c.servers(ctx)
	}
	store, err := readStore(ctx, c.Data)
	if err != nil {
		return nil, nil, nil, err
	}
	client, end, err := c.Chain.look(ctx, c.Data)
	if err != nil {
		return nil, nil, nil, errors.Join(err, store.Close())
	}
	return store, client, func() error { return errors.Join(end(), store.Close()) }, nil
}

func (c *reconcileCmd) servers(ctx context.Context) (projections.Store, *ton.Client, func() error, error) {
	cfg, err := loadConfig(c.Config, os.Environ())
	if err != nil {
		return nil, nil, nil, err
	}
	if err := cfg.needs("filature reconcile", "postgres.url", "ton.config_file"); err != nil {
		return nil, nil, nil, err
	}
	store, err := readTables(ctx, cfg)
	if err != nil {
		return nil, nil, nil, err
	}
	flags := c.Chain
	if flags.TonConfig == "" {
		flags = chainFlags{TonConfig: string(cfg.TON.ConfigFile), TonUnverified: cfg.TON.Unverified}
	}
	client, err := flags.named(ctx)
	if err != nil {
		store.Close()
		return nil, nil, nil, fmt.Errorf("reach the chain: %w", err)
	}
	return store, client, func() error { client.Close(); store.Close(); return nil }, nil
}

// asTheyAre are tables that nobody may be folding: they are compared at the place where they stand.
type asTheyAre struct{ projections.Store }

// Fresh waits for nothing.
func (asTheyAre) Fresh(context.Context) error { return nil }

func networkIn(ctx context.Context, store projections.Store) (network projections.Network, err error) {
	err = store.View(ctx, func(view projections.View) error {
		for row, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil {
				return err
			}
			network = row
		}
		return nil
	})
	return network, err
}

func writeReconciliation(out *console, r *reconciler.Report) error {
	fmt.Fprintf(out.out, "As of     %s, the vault's logical time %d\n", time.UnixMilli(r.AtMs).UTC().Format(time.RFC3339), r.LT)
	fmt.Fprintf(out.out, "Vault     has to hold %s coins, and holds %s beside its reserve\n", r.HasToHold, r.Holds)
	fmt.Fprintf(out.out, "Paid      %s by the ledger, %s by the chain\n", r.PaidLedger, r.PaidChain)
	fmt.Fprintf(out.out, "Topped up %s in all\n", r.ToppedUp)
	fmt.Fprintf(out.out, "Compared  %d movements, %d of %d payees' claim accounts\n", r.Movements, r.Asked, r.Payees)
	if len(r.Differences) == 0 {
		_, err := fmt.Fprintln(out.out, "Ledger and chain agree.")
		return err
	}
	fmt.Fprintln(out.out)
	for _, d := range r.Differences {
		fmt.Fprintf(out.out, "%-9s %s of %s, for %s\n          ledger: %s\n          chain:  %s\n", d.State, d.Kind, d.Subject,
			(time.Duration(d.AgeMs) * time.Millisecond).Round(time.Second), d.Ledger, d.Chain)
	}
	_, err := fmt.Fprintf(out.out, "\n%d differences, %d of them alarms.\n", len(r.Differences), r.Alarms())
	return err
}
