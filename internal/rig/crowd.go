package rig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/clerk"
)

// RoundTakes is how much time passes in a round of a crowd: a job is mature, and forgotten, about a dozen rounds after
// it ended, however many there are.
const RoundTakes = time.Minute

// Crowd makes a world's logs long, and as fast as they can be decided: jobs by the thousand, that all go well, many
// claims under one signature. It has its own clerks, which keep what they know and believe every signature; nobody
// else may let the world's clerks work meanwhile.
type Crowd struct {
	*World
	// Facts counts what was decided since the crowd came.
	Facts int64

	states  []*ledger.State
	settled projections.Store // what a batch is made of, and nothing else
	answers [][]byte          // scratch
}

// Crowd brings a crowd into a world in which all was answered.
func (w *World) Crowd() *Crowd {
	w.t.Helper()
	c := &Crowd{World: w, settled: projections.NewMemStore()}
	for shard := range w.Ledger.Shards() {
		state, err := clerk.Load(w.ctx, w.Ledger, domain.Shard(shard))
		w.must(err)
		c.states = append(c.states, state)
	}
	return c
}

// Round lets each account have so many jobs, from their submission to their end, with each of their five steps in one
// report. All is answered, and time passes.
func (c *Crowd) Round(jobs int) {
	c.t.Helper()
	for i, account := range c.Accounts {
		worker := c.Workers[c.random.IntN(len(c.Workers))]
		c.put(account.Shard, c.lives(account, worker, c.Models[i%len(c.Models)], jobs))
	}
	c.Pass(RoundTakes)
	tick := &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}}
	for shard := range c.states {
		c.put(domain.Shard(shard), [][]byte{c.Sign(c.Clock, domain.Shard(shard), tick)})
		c.answer(domain.Shard(shard))
	}
}

// lives are the reports of an account's next jobs.
func (c *Crowd) lives(account *Account, worker *Worker, model domain.ModelID, jobs int) [][]byte {
	var submitted, assigned, started, metered, completed []*v1.Claim
	for range jobs {
		account.jobs++
		id := domain.JobIDOf(account.ID, account.jobs)
		prompt, completion := int64(10+c.random.IntN(2000)), int64(100+c.random.IntN(900))
		usage := func(part int64) *v1.Usage {
			return &v1.Usage{PromptTokens: prompt, CachedTokens: prompt / 3, CompletionTokens: completion / part, ReasoningTokens: completion / part / 10}
		}
		submitted = append(submitted, &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
			Account: account.ID[:], Number: account.jobs, Model: model[:], MaxPromptTokens: 2048, MaxCompletionTokens: 1024,
			MaxCoefficient: 5000, TimeoutMs: JobTimeout.Milliseconds(),
		}}})
		assigned = append(assigned, &v1.Claim{Body: &v1.Claim_AssignJob{AssignJob: &v1.AssignJob{Job: id[:], Worker: worker.ID[:]}}})
		started = append(started, &v1.Claim{Body: &v1.Claim_StartJob{StartJob: &v1.StartJob{Job: id[:]}}})
		metered = append(metered, &v1.Claim{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{Job: id[:], Usage: usage(2)}}})
		completed = append(completed, &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: id[:], Usage: usage(1)}}})
	}
	return [][]byte{
		c.Sign(account.Client, account.Shard, submitted...), c.Sign(c.Proxy, account.Shard, assigned...),
		c.Sign(worker.Actor, account.Shard, started...), c.Sign(worker.Actor, account.Shard, metered...),
		c.Sign(worker.Actor, account.Shard, completed...),
	}
}

func (c *Crowd) put(shard domain.Shard, reports [][]byte) {
	c.t.Helper()
	_, err := c.Intake.Append(c.ctx, shard, reports)
	c.must(err)
}

// answer decides what a shard's intake has.
func (c *Crowd) answer(shard domain.Shard) {
	c.t.Helper()
	state := c.states[shard]
	end, err := c.Intake.End(c.ctx, shard)
	c.must(err)
	c.must(eventstore.Each(c.ctx, c.Intake, shard, state.NextIntake(), end, func(record eventstore.Record) error {
		said, _ := ledger.Read(record.Offset, record.Time.UnixMilli(), record.Value)
		said.Signed = true
		entry, err := state.Step(said)
		if err != nil {
			return err
		}
		for i, fact := range entry.GetAnswer().Facts {
			if rejection := fact.GetRejection(); rejection != nil {
				return fmt.Errorf("shard %d, intake %d, fact %d: %w: %s", shard, record.Offset, i, errRejected, ledger.Explain(rejection))
			}
		}
		c.Facts += int64(len(entry.GetAnswer().Facts))
		raw, err := v1.Encode(entry)
		c.answers = append(c.answers, raw)
		return err
	}))
	_, err = c.Ledger.Append(c.ctx, shard, c.answers)
	c.must(err)
	c.answers = c.answers[:0]
}

var errRejected = errors.New("a crowd says what is accepted")

// Settle seals a batch of what is owed, if anything is, and takes it through the vault. Nobody is paid.
func (c *Crowd) Settle() {
	c.t.Helper()
	c.must(projections.FoldTo(c.ctx, c.Ledger, c.settled, c.Ends(), projections.SettlementModels()...))
	c.must(c.settled.View(c.ctx, func(view projections.View) error { return c.settle(c.ctx, view) }))
}

func (c *Crowd) settle(ctx context.Context, view projections.View) error {
	s, err := projections.ReadSettlement(ctx, view)
	if err != nil {
		return err
	}
	batch, err := settlement.Seal(s.Last.Number+1, s.Cut, s.Owed, s.Policy)
	if errors.Is(err, settlement.ErrNothingOwed) {
		return nil
	}
	if err != nil {
		return err
	}
	c.put(domain.Control, [][]byte{c.Sign(c.Settler, domain.Control, &v1.Claim{Body: &v1.Claim_SealBatch{SealBatch: batch}})})
	c.answer(domain.Control)
	if err := c.Vault.Propose(ctx, settlement.OnChainOf(batch)); err != nil {
		return err
	}
	c.Pass(c.VaultDelay)
	if err := c.Vault.Activate(ctx); err != nil {
		return err
	}
	for {
		claims, _, err := c.history.Next(ctx)
		if err != nil || len(claims) == 0 {
			return err
		}
		for _, claim := range claims {
			c.put(domain.Control, [][]byte{c.Sign(c.Watcher, domain.Control, claim)})
		}
		c.answer(domain.Control)
	}
}
