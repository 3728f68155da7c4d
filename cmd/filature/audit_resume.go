package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

// keptAudit is the folder in which an audit keeps how far it has come: what the auditor saves, and the tables that it
// folds. A nil one keeps nothing.
type keptAudit struct {
	dir   string
	saved *auditor.Saved
}

// keepAudit opens the folder that --resume names; there is none where it is empty.
func keepAudit(dir string) (*keptAudit, error) {
	if dir == "" {
		return nil, nil //nolint:nilnil // a nil one keeps nothing
	}
	saved, err := auditor.OpenSaved(dir, programName())
	if err != nil {
		return nil, otherState(dir, err)
	}
	k := &keptAudit{dir, saved}
	if !saved.Resumes() { // then the tables, if there are any, are of who knows what
		err = k.removeTables()
	}
	return k, err
}

// otherState tells what to do about a state that can't be used.
func otherState(dir string, err error) error {
	if !errors.Is(err, auditor.ErrOtherState) {
		return err
	}
	return usage("--resume %s: %w; to audit from the beginning, remove the folder or name another", dir, err)
}

// attach has an audit keep how far it comes.
func (k *keptAudit) attach(cfg *auditor.Config) {
	if k == nil {
		cfg.Scratch = scratchStore
		return
	}
	cfg.Saved, cfg.Scratch = k.saved, k.tables
}

// tables are folded on from where an earlier run was. What it had committed survives a crash, of the machine as well.
func (k *keptAudit) tables(ctx context.Context) (projections.Store, func() error, error) {
	store, err := sqlite.Open(ctx, filepath.Join(k.dir, projectionFile))
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

// over throws away what was kept when an audit came to a verdict. One that could not look at everything may be gone on
// with, say with the chain in reach. Where the audit was interrupted, the error says how to go on.
func (k *keptAudit) over(report *auditor.Report, err error) error {
	switch {
	case errors.Is(err, context.Canceled) && k == nil:
		return fmt.Errorf("interrupted, and nothing was kept: with --resume FOLDER an audit goes on where it was: %w", err)
	case k == nil:
		return err
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted: the same command goes on where it was, from what is in %s: %w", k.dir, err)
	case err != nil:
		return otherState(k.dir, err)
	case report.Verdict == auditor.Incomplete:
		return nil
	}
	if err := errors.Join(k.saved.Remove(), k.removeTables()); err != nil {
		return err
	}
	_ = os.Remove(k.dir) // it stays where there is something else in it
	return nil
}

func (k *keptAudit) removeTables() error {
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(k.dir, projectionFile+suffix)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
