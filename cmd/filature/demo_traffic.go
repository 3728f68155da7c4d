package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/gateway"
)

const (
	// waveJobs is how many jobs move together from one stage to the next.
	waveJobs = 500
	// reportClaims is how many claims share a signature.
	reportClaims = 64
	// mischiefEvery is how many turns pass between two rounds of mischief.
	mischiefEvery = 4
)

// statement is one claim, who makes it, and where it belongs.
type statement struct {
	who   *party
	shard domain.Shard
	claim *v1.Claim
}

// pack puts statements into signed reports: those of one party for one shard share reports, in order.
func (w *world) pack(statements []statement) ([][]byte, error) {
	type lane struct {
		who   *party
		shard domain.Shard
	}
	var order []lane
	claims := map[lane][]*v1.Claim{}
	for _, s := range statements {
		l := lane{s.who, s.shard}
		if claims[l] == nil {
			order = append(order, l)
		}
		claims[l] = append(claims[l], s.claim)
	}
	var reports [][]byte
	for _, l := range order {
		for some := range slices.Chunk(claims[l], reportClaims) {
			report, err := signing.Report(l.who.key, w.engine.network, l.shard, l.who.next(l.shard), some)
			if err != nil {
				return nil, err
			}
			reports = append(reports, report)
		}
	}
	return reports, nil
}

// submit hands reports to the gateway and returns the receipts.
func (w *world) submit(ctx context.Context, reports [][]byte) ([]*v1.Receipt, error) {
	var receipts []*v1.Receipt
	for some := range slices.Chunk(reports, gateway.MaxReports) {
		got, err := w.engine.gateway.Submit(ctx, some)
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, got...)
	}
	return receipts, nil
}

// say submits statements, all of which must get into the log. What the ledger makes of them is another
// matter.
func (w *world) say(ctx context.Context, statements []statement) error {
	reports, err := w.pack(statements)
	if err != nil {
		return err
	}
	receipts, err := w.submit(ctx, reports)
	if err != nil {
		return err
	}
	for _, r := range receipts {
		if r.Status != v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED {
			return fmt.Errorf("a report was not accepted: %s %s %s", r.Status, r.Reason, r.Field)
		}
	}
	return nil
}

// traffic is the stream of jobs. Each wave of jobs takes a step with every turn: submitted, assigned, started, metered and
// completed. Several waves are on their way at a time. What log time could cut short, a dispute above all, is said right
// after what it follows on, however slow the machine: see hurried.
type traffic struct {
	world *world
	lots  *rand.Rand
	free  bool // jobs may go wrong; otherwise each completes, as a trace wants it
	pace  pace

	turns   int
	claims  int
	refused map[string]int64 // at the gateway, by reason
}

// pace is how fast jobs come.
type pace struct {
	wave     int           // jobs that move together
	mischief int           // turns between two rounds of mischief
	rest     time.Duration // between two turns
}

// asFastAsItCan is the pace of a demo that ends.
var asFastAsItCan = pace{wave: waveJobs, mischief: mischiefEvery}

// overDays is the pace of one that has a few jobs each hour.
var overDays = pace{wave: waveJobs, mischief: demoHours}

func newTraffic(w *world, lots *rand.Rand, free bool) *traffic {
	return &traffic{world: w, lots: lots, free: free, pace: asFastAsItCan, refused: map[string]int64{}}
}

func (t *traffic) refusals() []projections.ReasonTotal {
	var totals []projections.ReasonTotal
	for reason, n := range t.refused {
		totals = append(totals, projections.ReasonTotal{Reason: reason, Count: n})
	}
	slices.SortFunc(totals, func(a, b projections.ReasonTotal) int { return strings.Compare(a.Reason, b.Reason) })
	return totals
}

// runningJob is a job on its way.
type runningJob struct {
	jobPlan
	id      domain.JobID
	number  uint64
	account *demoAccount
	model   int
	worker  *demoWorker
}

// stages are what becomes of a wave, one after the other.
var stages = []func(*traffic, *runningJob) []statement{(*traffic).submitted, (*traffic).assigned, (*traffic).started, (*traffic).ended}

// hurried are the steps that follow at once, and not with the next turn, when a wave has come to its last stage: those that
// must be said before log time has passed by. Each is a few reports that wait for nobody, against demoWindow and demoTimeout.
var hurried = [][]func(*traffic, *runningJob) []statement{
	{(*traffic).disputed, (*traffic).submittedInVain},
	{(*traffic).resolved, (*traffic).assignedInVain},
	{(*traffic).startedInVain},
}

// run streams jobs until the last has ended. progress is told how many have begun.
func (t *traffic) run(ctx context.Context, plan []jobPlan, progress func(jobs int)) error {
	var waves [][]*runningJob
	turns := (len(plan)+t.pace.wave-1)/t.pace.wave + len(stages) - 1
	for turn := range turns {
		if begun := turn * t.pace.wave; begun < len(plan) {
			var wave []*runningJob
			for _, p := range plan[begun:min(begun+t.pace.wave, len(plan))] {
				wave = append(wave, t.draw(p))
			}
			waves = append(waves, wave)
		}
		var statements []statement
		for n, stage := range stages {
			if i := turn - n; i >= 0 && i < len(waves) {
				for _, job := range waves[i] {
					statements = append(statements, stage(t, job)...)
				}
			}
		}
		if t.turns%t.pace.mischief == 0 {
			statements = append(statements, t.overspending()...)
			if err := t.forge(ctx); err != nil {
				return err
			}
		}
		t.turns++
		if err := t.say(ctx, statements); err != nil {
			return err
		}
		if i := turn - len(stages) + 1; i >= 0 {
			if err := t.hurry(ctx, waves[i]); err != nil {
				return err
			}
		}
		progress(min((turn+1)*t.pace.wave, len(plan)))
		if err := pause(ctx, t.pace.rest); err != nil {
			return err
		}
	}
	return nil
}

func (t *traffic) say(ctx context.Context, statements []statement) error {
	t.claims += len(statements)
	return t.world.say(ctx, statements)
}

// hurry takes the hurried steps of a wave.
func (t *traffic) hurry(ctx context.Context, wave []*runningJob) error {
	for _, steps := range hurried {
		var statements []statement
		for _, step := range steps {
			for _, job := range wave {
				statements = append(statements, step(t, job)...)
			}
		}
		if err := t.say(ctx, statements); err != nil {
			return err
		}
	}
	return nil
}

// draw gives a planned job an account, a model and a worker that serves it.
func (t *traffic) draw(p jobPlan) *runningJob {
	w := t.world
	account := w.accounts[t.lots.IntN(len(w.accounts))]
	for account.broke {
		account = w.accounts[t.lots.IntN(len(w.accounts))]
	}
	worker := w.workers[t.lots.IntN(len(w.workers))]
	if !t.free {
		p.fate = completes
	}
	job := &runningJob{jobPlan: p, account: account, model: worker.models[t.lots.IntN(len(worker.models))], worker: worker}
	if p.fate != isAbandoned {
		job.name()
	}
	return job
}

// name gives a job the next number of its account. They are used in their order, so one gets it when it is submitted.
func (j *runningJob) name() {
	j.account.jobs++
	j.number, j.id = j.account.jobs, domain.JobIDOf(j.account.id, j.account.jobs)
}

// by is a statement about the job.
func (j *runningJob) by(p *party, claim *v1.Claim) statement {
	return statement{p, j.account.shard, claim}
}

func (t *traffic) submitted(j *runningJob) []statement {
	if j.fate == isAbandoned {
		return nil // later: its time is short
	}
	return t.submit(j, demoPatience)
}

func (t *traffic) submittedInVain(j *runningJob) []statement {
	if j.fate != isAbandoned {
		return nil
	}
	j.name()
	return t.submit(j, demoTimeout)
}

func (t *traffic) submit(j *runningJob, timeout time.Duration) []statement {
	model := t.world.models[j.model].id
	return []statement{j.by(&j.account.client.party, &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
		Account: j.account.id[:], Number: j.number, Model: model[:],
		MaxPromptTokens: j.usage.PromptTokens, MaxCompletionTokens: max(1000, j.usage.CompletionTokens),
		MaxCoefficient: demoMaxCoefficient, TimeoutMs: timeout.Milliseconds(),
	}}})}
}

func (t *traffic) assigned(j *runningJob) []statement {
	if j.fate == isAbandoned {
		return nil
	}
	return t.assign(j)
}

func (t *traffic) assignedInVain(j *runningJob) []statement {
	if j.fate != isAbandoned {
		return nil
	}
	return t.assign(j)
}

func (t *traffic) assign(j *runningJob) []statement {
	return []statement{j.by(t.world.proxy, &v1.Claim{Body: &v1.Claim_AssignJob{AssignJob: &v1.AssignJob{Job: j.id[:], Worker: j.worker.id[:]}}})}
}

func (t *traffic) started(j *runningJob) []statement {
	if j.fate == isAbandoned {
		return nil
	}
	return t.start(j)
}

func (t *traffic) startedInVain(j *runningJob) []statement {
	if j.fate != isAbandoned {
		return nil
	}
	return t.start(j)
}

func (t *traffic) start(j *runningJob) []statement {
	half := &v1.Usage{PromptTokens: j.usage.PromptTokens, CachedTokens: j.usage.CachedTokens, CompletionTokens: j.usage.CompletionTokens / 2}
	half.ReasoningTokens = min(j.usage.ReasoningTokens, half.CompletionTokens)
	return []statement{
		j.by(&j.worker.party, &v1.Claim{Body: &v1.Claim_StartJob{StartJob: &v1.StartJob{Job: j.id[:]}}}),
		j.by(&j.worker.party, &v1.Claim{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{Job: j.id[:], Usage: half}}}),
	}
}

func (t *traffic) ended(j *runningJob) []statement {
	worker, client := &j.worker.party, &j.account.client.party
	complete := &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: j.id[:], Usage: j.usage}}}
	switch j.fate {
	case fails:
		fail := &v1.FailJob{Job: j.id[:], Reason: v1.FailureReason_FAILURE_REASON_ENGINE_ERROR}
		return []statement{j.by(worker, &v1.Claim{Body: &v1.Claim_FailJob{FailJob: fail}})}
	case isCancelled:
		return []statement{j.by(client, &v1.Claim{Body: &v1.Claim_CancelJob{CancelJob: &v1.CancelJob{Job: j.id[:]}}})}
	case isAbandoned:
		return nil
	case isLiedAbout:
		return append(t.lies(j), j.by(worker, complete))
	case completes, isDisputed:
	}
	return []statement{j.by(worker, complete)}
}

// lies are claims that each break another rule. The ledger rejects all of them and says why.
func (t *traffic) lies(j *runningJob) []statement {
	worker, client := &j.worker.party, &j.account.client.party
	more := &v1.Usage{PromptTokens: j.usage.PromptTokens, CompletionTokens: 1_000_000}
	more.CachedTokens, more.ReasoningTokens = j.usage.CachedTokens, j.usage.ReasoningTokens
	meter := func(u *v1.Usage) *v1.Claim {
		return &v1.Claim{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{Job: j.id[:], Usage: u}}}
	}
	switch t.lots.IntN(6) {
	case 0: // more than the client allowed
		return []statement{j.by(worker, meter(more))}
	case 1: // the counters go back
		return []statement{j.by(worker, meter(&v1.Usage{}))}
	case 2: // more cached than there was
		return []statement{j.by(worker, meter(&v1.Usage{PromptTokens: j.usage.PromptTokens, CachedTokens: j.usage.PromptTokens + 1}))}
	case 3: // somebody else's job
		other := t.world.workers[(slices.Index(t.world.workers, j.worker)+1)%len(t.world.workers)]
		return []statement{j.by(&other.party, &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: j.id[:], Usage: j.usage}}})}
	case 4: // a client completes its own job, for nothing
		return []statement{j.by(client, &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: j.id[:], Usage: &v1.Usage{}}}})}
	default: // a worker takes the job that it wants
		return []statement{j.by(worker, &v1.Claim{Body: &v1.Claim_AssignJob{AssignJob: &v1.AssignJob{Job: j.id[:], Worker: j.worker.id[:]}}})}
	}
}

func (t *traffic) disputed(j *runningJob) []statement {
	if j.fate != isDisputed {
		return nil
	}
	return []statement{j.by(&j.account.client.party, &v1.Claim{Body: &v1.Claim_DisputeJob{DisputeJob: &v1.DisputeJob{
		Job: j.id[:], Reason: v1.DisputeReason_DISPUTE_REASON_WRONG_USAGE,
	}}})}
}

// resolved has the arbiter decide: all back, half back, none, or all back and the worker punished. Some are
// left to the deadline.
func (t *traffic) resolved(j *runningJob) []statement {
	if j.fate != isDisputed {
		return nil
	}
	resolve := &v1.ResolveDispute{Job: j.id[:]}
	switch t.lots.IntN(5) {
	case 0:
		resolve.RefundPermille = domain.WholePermille
	case 1:
		resolve.RefundPermille = domain.WholePermille / 2
	case 2:
		resolve.RefundPermille, resolve.Slashed = domain.WholePermille/2, true
	case 3:
	default:
		return nil
	}
	return []statement{j.by(t.world.arbiter, &v1.Claim{Body: &v1.Claim_ResolveDispute{ResolveDispute: resolve}})}
}

// overspending is a client that asks for more than it has paid for.
func (t *traffic) overspending() []statement {
	var statements []statement
	for _, a := range t.world.accounts {
		if !a.broke {
			continue
		}
		a.jobs++
		model := t.world.models[0].id
		statements = append(statements, statement{&a.client.party, a.shard, &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
			Account: a.id[:], Number: a.jobs, Model: model[:], MaxPromptTokens: 1_000_000, MaxCompletionTokens: 1_000_000,
			MaxCoefficient: demoMaxCoefficient, TimeoutMs: 1000,
		}}}})
	}
	return statements
}

// forge tries what a cheat would: reports with a false signature, by a stranger, a copy, another body under
// a used number; through the gateway, and, as a producer that writes to the log directly could, behind its
// back.
func (t *traffic) forge(ctx context.Context) error {
	w := t.world
	victim := w.workers[0]
	tick := []*v1.Claim{{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}}}
	const shard = domain.Shard(1)
	sign := func(key ed25519.PrivateKey, sequence uint64) []byte {
		report, err := signing.Report(key, w.engine.network, shard, sequence, tick)
		if err != nil {
			panic(err) // a report of a tick can't be too large
		}
		return report
	}
	good := sign(victim.key, victim.next(shard))
	falsified := slices.Clone(good)
	falsified[len(falsified)-1] ^= 1 // in S, so that it stays a well-formed signature
	unknown := sign(w.stranger.key, w.stranger.next(shard))
	other, err := signing.Report(victim.key, w.engine.network, shard, victim.sequence[shard], slices.Concat(tick, tick))
	if err != nil {
		return err
	}
	receipts, err := w.submit(ctx, [][]byte{good, falsified, unknown, []byte("not a report"), good, other})
	if err != nil {
		return err
	}
	for _, r := range receipts {
		switch r.Status {
		case v1.ReceiptStatus_RECEIPT_STATUS_REFUSED:
			t.refused[projections.ReasonName(r.Reason)]++
		case v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE:
			t.refused[projections.ReasonName(v1.Reason_REASON_DUPLICATE_REPORT)]++
		case v1.ReceiptStatus_RECEIPT_STATUS_UNSPECIFIED:
			return errors.New("a receipt without a status")
		case v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED, v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT:
		}
	}
	behind := [][]byte{falsified, unknown, []byte("not a report"), good}
	if _, err := w.engine.intake.Append(ctx, shard, behind); err != nil {
		return fmt.Errorf("write behind the gateway's back: %w", err)
	}
	t.claims += len(behind) + len(receipts)
	return nil
}
