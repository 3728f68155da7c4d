package rig

import (
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// job is one that is not over.
type job struct {
	id      domain.JobID
	account *Account
	worker  *Worker
	prompt  int64
	steps   []func(*World, *job) // still to come
}

// Live lets a number of jobs be submitted and brings all but the last few to their end, side by side,
// with all that goes wrong in a network: jobs that fail, are cancelled, forgotten or disputed, and
// reports that are forged, sent twice, or nonsense. It does not let the clerks answer, but where workers are judged:
// what is known of them changes in between.
func (w *World) Live(jobs int) {
	w.t.Helper()
	for jobs > 0 || len(w.open) > 8 {
		if jobs > 0 && (len(w.open) < 4 || w.random.IntN(4) == 0) {
			w.submit()
			jobs--
			if jobs%16 == 0 && !w.Honest {
				w.misbehave()
			}
			if jobs%8 == 0 && w.Judged {
				w.verify()
			}
			continue
		}
		at := w.random.IntN(len(w.open))
		j := w.open[at]
		j.steps[0](w, j)
		if j.steps = j.steps[1:]; len(j.steps) == 0 {
			w.open[at] = w.open[len(w.open)-1]
			w.open = w.open[:len(w.open)-1]
		}
	}
}

func (w *World) submit() {
	account := w.Accounts[w.random.IntN(len(w.Accounts))]
	account.jobs++
	j := &job{
		id: domain.JobIDOf(account.ID, account.jobs), account: account,
		worker: w.Workers[w.random.IntN(len(w.Workers))], prompt: int64(10 + w.random.IntN(2000)),
	}
	model := w.Models[w.random.IntN(len(w.Models))]
	w.Say(account.Client, account.Shard, &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
		Account: account.ID[:], Number: account.jobs, Model: model[:], MaxPromptTokens: 2048, MaxCompletionTokens: 1024,
		MaxCoefficient: 2000, TimeoutMs: JobTimeout.Milliseconds(),
	}}})
	j.steps = append(j.steps, (*World).assign, (*World).start, (*World).meter)
	switch chance := w.random.IntN(100); {
	case chance < 80:
		j.steps = append(j.steps, (*World).complete)
	case chance < 86:
		j.steps = append(j.steps, (*World).complete, (*World).dispute, (*World).resolve)
	case chance < 88:
		j.steps = append(j.steps, (*World).complete, (*World).dispute)
	case chance < 92:
		j.steps = append(j.steps, (*World).fail)
	case chance < 96:
		j.steps = append(j.steps, (*World).cancel)
	case chance < 98:
		j.steps = append(j.steps, (*World).lie, (*World).complete)
	}
	w.open = append(w.open, j)
}

func (w *World) assign(j *job) {
	w.Say(w.Proxy, j.account.Shard, &v1.Claim{Body: &v1.Claim_AssignJob{AssignJob: &v1.AssignJob{Job: j.id[:], Worker: j.worker.ID[:]}}})
}

func (w *World) start(j *job) {
	w.Say(j.worker.Actor, j.account.Shard, &v1.Claim{Body: &v1.Claim_StartJob{StartJob: &v1.StartJob{Job: j.id[:]}}})
}

func (w *World) meter(j *job) {
	w.Say(j.worker.Actor, j.account.Shard, &v1.Claim{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{Job: j.id[:], Usage: w.usage(j, 100)}}})
}

func (w *World) complete(j *job) {
	w.Say(j.worker.Actor, j.account.Shard, &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{
		Job: j.id[:], Usage: w.usage(j, int64(100+w.random.IntN(900))),
	}}})
}

// usage is what a job used once its completion has a number of tokens.
func (w *World) usage(j *job, completion int64) *v1.Usage {
	return &v1.Usage{PromptTokens: j.prompt, CachedTokens: j.prompt / 3, CompletionTokens: completion, ReasoningTokens: completion / 10}
}

// lie counts more than the client allowed.
func (w *World) lie(j *job) {
	w.Say(j.worker.Actor, j.account.Shard, &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: j.id[:], Usage: w.usage(j, 5000)}}})
}

func (w *World) fail(j *job) {
	w.Say(j.worker.Actor, j.account.Shard, &v1.Claim{Body: &v1.Claim_FailJob{FailJob: &v1.FailJob{
		Job: j.id[:], Reason: v1.FailureReason_FAILURE_REASON_ENGINE_ERROR,
	}}})
}

func (w *World) cancel(j *job) {
	w.Say(j.account.Client, j.account.Shard, &v1.Claim{Body: &v1.Claim_CancelJob{CancelJob: &v1.CancelJob{Job: j.id[:]}}})
}

func (w *World) dispute(j *job) {
	w.Say(j.account.Client, j.account.Shard, &v1.Claim{Body: &v1.Claim_DisputeJob{DisputeJob: &v1.DisputeJob{
		Job: j.id[:], Reason: v1.DisputeReason_DISPUTE_REASON_WRONG_USAGE,
	}}})
}

func (w *World) resolve(j *job) {
	w.Say(w.Arbiter, j.account.Shard, &v1.Claim{Body: &v1.Claim_ResolveDispute{ResolveDispute: &v1.ResolveDispute{
		Job: j.id[:], RefundPermille: 250, Slashed: w.random.IntN(2) == 0,
	}}})
}

// misbehave puts one report into intake that the ledger must refuse or reject.
func (w *World) misbehave() {
	account := w.Accounts[w.random.IntN(len(w.Accounts))]
	tick := &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}}
	switch w.random.IntN(6) {
	case 0: // a flipped bit in the signature
		raw := w.Sign(w.Proxy, account.Shard, tick)
		raw[len(raw)-1] ^= 1
		w.Put(account.Shard, raw)
	case 1: // twice
		raw := w.Sign(w.Clock, account.Shard, tick)
		w.Put(account.Shard, raw)
		w.Put(account.Shard, raw)
	case 2: // nonsense
		w.Put(account.Shard, []byte("no report"))
	case 3: // a stranger
		w.Say(w.actor("stranger"), account.Shard, tick)
	case 4: // a client that makes itself rich
		w.Say(account.Client, account.Shard, &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: &v1.ObserveDeposit{
			Account: account.ID[:], AmountNano: 1, TxHash: account.ID[:], Lt: 1 << 60,
		}}})
	case 5: // more than the account holds
		account.jobs++
		w.Say(account.Client, account.Shard, &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
			Account: account.ID[:], Number: account.jobs, Model: w.Models[0][:], MaxPromptTokens: domain.MaxTokens,
			MaxCompletionTokens: domain.MaxTokens, MaxCoefficient: 2000, TimeoutMs: JobTimeout.Milliseconds(),
		}}})
	}
}

// Mature lets time pass until all that was earned is payable, and tells everybody.
func (w *World) Mature() {
	w.t.Helper()
	w.Pass(DisputeWindow + ResolveWithin + 2*MatureBucket + time.Second)
	w.Tick()
}
