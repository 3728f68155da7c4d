package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/internal/workload"
	"github.com/filature/filature/projections"
)

// compare holds both runs to the plan and to each other, and returns all that is wrong.
func compare(ctx context.Context, program string, killed, calm *outcome) ([]string, error) {
	var wrong workload.Findings
	for run, o := range map[string]*outcome{"with kills": killed, "undisturbed": calm} {
		for _, check := range []func(context.Context, *workload.Findings, string) error{o.checkIntake, o.checkBooks, o.checkChain} {
			if err := check(ctx, &wrong, run); err != nil {
				return nil, fmt.Errorf("%s: %w", run, err)
			}
		}
		if err := audit(ctx, program, o.data); err != nil {
			wrong.Addf("%s: %v", run, err)
		}
	}
	if err := workload.CheckSame(ctx, &wrong, "with kills", killed.books, calm.books); err != nil {
		return nil, err
	}
	slices.Sort(wrong)
	return wrong, nil
}

// checkIntake wants each acknowledged report at its place, and nowhere else.
func (o *outcome) checkIntake(ctx context.Context, wrong *workload.Findings, run string) (err error) {
	log, err := seglog.OpenReadOnly(filepath.Join(o.data, "intake"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	copies, err := o.workload.CheckIntake(ctx, wrong, run, log, o.sent.Acks)
	workload.Want(wrong, run, "copies of reports in intake", copies, 0)
	return err
}

// checkBooks wants the program's own tables, and our books, to say what the plan says.
func (o *outcome) checkBooks(ctx context.Context, wrong *workload.Findings, run string) (err error) {
	store, err := sqlite.Open(ctx, filepath.Join(o.data, "projections.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := o.workload.CheckTables(ctx, wrong, run, store); err != nil {
		return err
	}
	return o.books.Store().View(ctx, func(view projections.View) (err error) {
		o.last, err = o.workload.CheckRoot(ctx, wrong, run, view)
		return err
	})
}

// audit runs the program's own audit, which has to pass.
func audit(ctx context.Context, program, data string) error {
	command := exec.CommandContext(ctx, program, "audit", "--data", data, "--json")
	command.Stderr = io.Discard
	text, runErr := command.Output()
	var report struct {
		Verdict  string            `json:"verdict"`
		Offences []json.RawMessage `json:"offences"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("audit printed no report: %w: %w", runErr, err)
	}
	if runErr == nil && report.Verdict != "pass" {
		runErr = errors.New("it ended with exit code 0")
	}
	if runErr != nil {
		offence := json.RawMessage("none")
		if len(report.Offences) > 0 {
			offence = report.Offences[0]
		}
		return fmt.Errorf("audit: verdict %q, first offence %s: %w", report.Verdict, offence, runErr)
	}
	return nil
}
