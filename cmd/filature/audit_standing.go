package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

const (
	// auditDir is the folder of the standing audit in a data folder.
	auditDir = "audit"
	// In it: the newest report, as filature audit --json and --html write it, and what an audit that was cut off left.
	auditReport, auditPage, auditStateDir = "report.json", "report.html", "state"
	// leastAuditEvery: an audit reads all there is.
	leastAuditEvery = 5 * time.Second
)

// How the chain was read, as queryv1.Audit has it.
const (
	chainLocal      = "local"
	chainUnverified = "unverified"
	chainVerified   = "verified"
	chainNone       = "none"
)

// auditing is what an auditor goes by.
type auditing struct {
	folder string // its own
	every  time.Duration
	chain  string // how it reads the chain, if it can
	// audit makes one audit, and keeps in kept how far it has come.
	audit func(ctx context.Context, kept *keptAudit) (*auditor.Report, error)
	// command makes the same audit.
	command string
	// reached is a verdict that is not kept yet; nil where there is none. It is the goroutine's that audits.
	reached *reached
}

// reached is what an audit came to, and when it was made.
type reached struct {
	report auditor.Report
	span   auditor.Span
}

// auditsFolder has a process audit the data folder that it works on. It reads it as a stranger does, and changes nothing.
func (p *parts) auditsFolder(dir string, every time.Duration, heads headFlags, chain chainFlags) error {
	again := auditCmd{Data: dir, Chain: chain, headFlags: heads}
	p.auditing = &auditing{
		folder: filepath.Join(dir, auditDir), every: every, chain: chainReadBy(chain, chainLocal), command: again.again(),
		audit: func(ctx context.Context, kept *keptAudit) (*auditor.Report, error) {
			return auditFolder(ctx, dir, heads, chain, nil, kept)
		},
	}
	return os.MkdirAll(p.auditing.folder, 0o750)
}

// auditsServers has a process audit what a config file names, over connections of its own.
func (p *parts) auditsServers(c *config, file string) error {
	chain := chainFlags{TonConfig: string(c.TON.ConfigFile), TonUnverified: c.TON.Unverified}
	again := auditCmd{Config: file}
	p.auditing = &auditing{
		folder: string(c.Audit.Folder), every: c.Audit.Every.Duration, chain: chainReadBy(chain, chainNone), command: again.again(),
		audit: func(ctx context.Context, kept *keptAudit) (*auditor.Report, error) {
			return auditServers(ctx, c, "", headFlags{}, chain, nil, kept)
		},
	}
	return os.MkdirAll(p.auditing.folder, 0o750)
}

// chainReadBy is how the chain is read that flags name; own where they name none.
func chainReadBy(flags chainFlags, own string) string {
	switch {
	case flags.TonConfig == "":
		return own
	case flags.TonUnverified:
		return chainUnverified
	default:
		return chainVerified
	}
}

// auditStanding audits again and again. The last verdict is in the store, for all who look at the tables. One that could not be
// kept there is kept before there is another audit, which may take an hour.
func (e *engine) auditStanding(ctx context.Context) error {
	if err := e.keepVerdict(ctx); err != nil {
		return err
	}
	last, err := lastAudit(ctx, e.store)
	if err != nil {
		return err
	}
	return auditor.Standing{
		Last: auditor.Span{Began: msTime(last.BeganAtMs), Ended: msTime(last.EndedAtMs)}, Every: e.auditing.every, Now: e.now,
		Audit: e.auditing.once,
		Keep: func(ctx context.Context, report auditor.Report, span auditor.Span) error {
			e.auditing.reached = &reached{report, span}
			return e.keepVerdict(ctx)
		},
	}.Run(ctx)
}

// msTime is a time of a message; zero for none.
func msTime(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// once makes one audit. One that was cut off goes on where it was; what it left is thrown away where it does not fit, as it
// saves time and is no evidence.
func (a *auditing) once(ctx context.Context) (auditor.Report, error) {
	state := filepath.Join(a.folder, auditStateDir)
	report, err := a.goOn(ctx, state)
	if errors.Is(err, auditor.ErrOtherState) {
		if err = os.RemoveAll(state); err == nil {
			report, err = a.goOn(ctx, state)
		}
	}
	if err != nil {
		return auditor.Report{}, err
	}
	return *report, os.RemoveAll(state) // it also stays behind an audit that could not look at everything
}

func (a *auditing) goOn(ctx context.Context, state string) (*auditor.Report, error) {
	kept, err := keepAudit(state)
	if err != nil {
		return nil, err
	}
	report, err := a.audit(ctx, kept)
	return report, kept.over(report, err)
}

// keepVerdict writes the report that was reached into the auditor's folder, and then the verdict into the store. If we crash in
// between, the verdict before stands, and the next process audits at once.
func (e *engine) keepVerdict(ctx context.Context) error {
	if e.auditing.reached == nil {
		return nil
	}
	report, span := e.auditing.reached.report, e.auditing.reached.span
	run := auditor.Run{At: span.Began, Took: span.Ended.Sub(span.Began), Command: e.auditing.command, Program: programName()}
	for name, write := range map[string]func(io.Writer) error{
		auditReport: func(to io.Writer) error { return (&console{out: to}).json(report) },
		auditPage:   func(to io.Writer) error { return auditor.WriteHTML(to, report, run) },
	} {
		to, done, err := replacing(filepath.Join(e.auditing.folder, name))
		if err != nil {
			return err
		}
		if err := done(write(to)); err != nil {
			return err
		}
	}
	verdict := auditMessage(&report, span, e.auditing.every, e.auditing.chain)
	if err := projections.WriteFinding(ctx, e.store, projections.FoundByAudit, span.Began.UnixMilli(), verdict); err != nil {
		return err
	}
	e.auditing.reached = nil
	log := e.log.Info
	if report.Verdict != auditor.Pass {
		log = e.log.Error
	}
	log("audited", "verdict", string(report.Verdict), "offences", len(report.Offences), "took", run.Duration(),
		"report", filepath.Join(e.auditing.folder, auditPage))
	return nil
}
