package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/internal/workload"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

const (
	// settleLimit is how long it may take, once nothing is disturbed any more, until all is answered and paid.
	settleLimit = 4 * time.Minute
	// auditKeys are kept ready by the audit; the workload has less than a hundred.
	auditKeys = 1024
)

// outcome is what a run of the workload left.
type outcome struct {
	say    *workload.Workload
	books  *workload.Books
	sent   workload.Sent
	counts counts
	told   streamCounts
	copies int64 // of reports in intake
	last   projections.Batch
	audit  auditor.Report
	crew   crewFigures
	hits   map[kind]int
	took   map[kind]takeover
	lasted time.Duration
	wrong  workload.Findings
}

// perform runs a workload in a network of its own, disturbs it as planned, lets it end in peace, and looks for what
// is wrong with what is left.
func perform(ctx context.Context, out io.Writer, s *servers, program, dir, name string, seed uint64, slices int, strikes []strike) (o *outcome, err error) {
	began := time.Now()
	say, err := workload.New(seed, slices)
	if err != nil {
		return nil, err
	}
	st := &stage{servers: s, name: name, dir: filepath.Join(dir, name), say: say}
	if err := os.MkdirAll(st.dir, 0o700); err != nil {
		return nil, err
	}
	defer st.close()
	if err := st.build(ctx, program); err != nil {
		return nil, fmt.Errorf("build the network: %w", err)
	}
	fmt.Fprintf(out, "%s: a network of %d processes stands after %s\n", name, len(st.crew.posts), since(began))
	o = &outcome{say: say, books: st.books()}

	var hurry atomic.Bool // once nothing is disturbed any more
	hurry.Store(len(strikes) == 0)
	gate := workload.NewGate(2)
	sender := workload.NewSender(st.gateway, pace(seed, &hurry), gate)
	d := &director{stage: st, gate: gate, began: began, out: out, took: make(map[kind]takeover), hits: make(map[kind]int)}
	flowing := make(chan struct{})
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		deposit := func(ctx context.Context, l *workload.Lane) error { return l.Deposit(ctx, st.reach) }
		return say.Say(groupCtx, sender, st.books(), deposit, flowing) // with books of this goroutine
	})
	group.Go(func() error {
		select {
		case <-flowing:
		case <-groupCtx.Done():
			return groupCtx.Err()
		}
		if err := d.carryOut(groupCtx, strikes); err != nil {
			return err
		}
		hurry.Store(true)
		gate.Admit(say.Slices())
		return nil
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	o.sent, o.hits, o.took, o.wrong = sender.Sent(), d.hits, d.took, d.wrong
	if err := o.finish(ctx, st); err != nil {
		return nil, err
	}
	o.lasted = since(began)
	return o, nil
}

// pace returns pauses between two requests.
func pace(seed uint64, hurry *atomic.Bool) func() time.Duration {
	slow := workload.Pacing(seed, paceUpTo)
	return func() time.Duration {
		if hurry.Load() {
			return 0
		}
		return slow()
	}
}

// finish waits until all is paid, checks everything, and ends the processes.
func (o *outcome) finish(ctx context.Context, s *stage) error {
	settling, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if err := o.books.Await(settling, "all is paid", o.say.IsSettled); err != nil {
		return err
	}
	m, err := s.mark(ctx, time.Now())
	if err != nil {
		return err
	}
	if err := s.awaitCut(settling, m.decided); err != nil {
		return err
	}
	if o.told, err = s.checkStreams(settling, &o.wrong); err != nil {
		return err
	}
	var others []*post
	for _, p := range s.crew.named("") {
		if p != s.chain {
			others = append(others, p)
		}
	}
	if err := s.crew.dismiss(others...); err != nil {
		o.wrong.Addf("%s: %v", s.name, err)
	}
	if err := o.check(ctx, s); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if err := s.crew.dismiss(s.chain); err != nil {
		o.wrong.Addf("%s: %v", s.name, err)
	}
	o.crew = s.crew.sum()
	for _, misbehaved := range o.crew.Misbehaved {
		o.wrong.Addf("%s: %s", s.name, misbehaved)
	}
	return nil
}

// check holds what is left to the plan, and has it audited.
func (o *outcome) check(ctx context.Context, s *stage) (err error) {
	if err := o.books.Refresh(ctx); err != nil {
		return err
	}
	if o.copies, err = o.say.CheckIntake(ctx, &o.wrong, s.name, s.intake, o.sent.Acks); err != nil {
		return err
	}
	if o.counts, err = s.count(ctx, &o.wrong); err != nil {
		return err
	}
	if err := o.say.CheckTables(ctx, &o.wrong, s.name, s.tables); err != nil {
		return err
	}
	if err := o.books.Store().View(ctx, func(view projections.View) (err error) {
		o.last, err = o.say.CheckRoot(ctx, &o.wrong, s.name, view)
		return err
	}); err != nil {
		return err
	}
	client, vault, err := s.reach(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := o.say.CheckPaid(ctx, &o.wrong, s.name, vault); err != nil {
		return err
	}
	o.audit, err = auditor.Audit(ctx, auditor.Config{
		Intake: s.intake, Ledger: s.ledger, Store: s.tables, Chain: chainReader{vault, ton.Claims{History: vault.History(0)}},
		Verifier: signing.NewVerifier(auditKeys), Entropy: rand.Reader,
	})
	if err != nil {
		return err
	}
	workload.Want(&o.wrong, s.name, "verdict of the audit", o.audit.Verdict, auditor.Pass)
	for _, offence := range o.audit.Offences {
		o.wrong.Addf("%s: audit: %+v", s.name, offence)
	}
	return nil
}

// chainReader is the vault as an auditor reads it.
type chainReader struct {
	*ton.Vault
	ton.Claims
}
