package workload

import (
	"math/rand/v2"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// jobTimeout is the longest that serve allows: no job may expire, however long the program is dead.
const jobTimeout = 3_600_000

// jobs draws the jobs of a lane, and adds what each has to come to.
type jobs struct {
	want      *Expected
	lots      *rand.Rand
	lane      *Lane
	fleet     *fleet
	model     domain.ModelID
	providers []domain.ProviderID
	last      uint64 // number of the account's last job
}

// verdicts are the arbiter's: what goes back, and whether the rest is taken from the worker.
var verdicts = []struct {
	refundPermille uint32
	slashed        bool
}{{1000, false}, {500, false}, {333, true}, {0, false}}

func (j *jobs) slice() ([]body, error) {
	var bodies []body
	for range wavesPerSlice {
		wave, err := j.wave()
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, wave...)
	}
	return bodies, nil
}

// wave is some jobs from their submission to their end: four requests.
func (j *jobs) wave() ([]body, error) {
	client, desk := j.lane.client, j.fleet.desk
	var submitted, assigned, ended, cancelled, disputed, resolved []*v1.Claim
	var started, completed [2][]*v1.Claim
	for range jobsPerWave {
		j.last++
		id, k := domain.JobIDOf(j.lane.account, j.last), j.lots.IntN(2)
		worker := &j.fleet.workers[k]
		usage := j.usage()
		charge, err := j.rate(usage)
		if err != nil {
			return nil, err
		}
		submitted = append(submitted, j.submit(j.last, maxPrompt, maxCompletion))
		assigned = append(assigned, &v1.Claim{Body: &v1.Claim_AssignJob{AssignJob: &v1.AssignJob{Job: id[:], Worker: worker.id[:]}}})
		started[k] = append(started[k],
			&v1.Claim{Body: &v1.Claim_StartJob{StartJob: &v1.StartJob{Job: id[:]}}},
			&v1.Claim{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{Job: id[:], Usage: usage}}})
		switch lot := j.lots.IntN(20); lot {
		case 0:
			ended = append(ended, &v1.Claim{Body: &v1.Claim_FailJob{FailJob: &v1.FailJob{Job: id[:], Reason: v1.FailureReason_FAILURE_REASON_WORKER_LOST}}})
			j.want.Failed++
		case 1:
			cancelled = append(cancelled, &v1.Claim{Body: &v1.Claim_CancelJob{CancelJob: &v1.CancelJob{Job: id[:]}}})
			j.want.Cancelled++
		default:
			completed[k] = append(completed[k], &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: id[:], Usage: usage}}})
			j.completed(charge)
			earned := charge.Worker
			if lot == 2 {
				verdict := verdicts[j.lots.IntN(len(verdicts))]
				disputed = append(disputed, &v1.Claim{Body: &v1.Claim_DisputeJob{DisputeJob: &v1.DisputeJob{
					Job: id[:], Reason: v1.DisputeReason_DISPUTE_REASON_WRONG_USAGE,
				}}})
				resolved = append(resolved, &v1.Claim{Body: &v1.Claim_ResolveDispute{ResolveDispute: &v1.ResolveDispute{
					Job: id[:], RefundPermille: verdict.refundPermille, Slashed: verdict.slashed,
				}}})
				earned = j.dispute(charge, verdict.refundPermille, verdict.slashed)
			}
			j.want.Owed[j.providers[worker.provider]] += earned
		}
	}
	// Lies, for which there is an answer as well: a job dearer than the account can pay, a job given to a
	// worker after one has begun it, and a worker's job completed by the desk.
	submitted = append(submitted, j.submit(1<<40, 1_000_000_000_000, maxCompletion))
	complete := &v1.CompleteJob{Job: assigned[0].GetAssignJob().Job, Usage: &v1.Usage{}}
	ended = append([]*v1.Claim{assigned[0], {Body: &v1.Claim_CompleteJob{CompleteJob: complete}}}, ended...)
	j.want.RejectedClaims += 3
	workers := &j.fleet.workers
	return said(
		body{{client, submitted}, {desk, assigned}},
		body{{&workers[0].party, started[0]}, {&workers[1].party, started[1]}},
		body{{desk, ended}, {&workers[0].party, completed[0]}, {&workers[1].party, completed[1]}, {client, append(cancelled, disputed...)}},
		body{{desk, resolved}},
	), nil
}

// said leaves out who has nothing to say.
func said(bodies ...body) []body {
	var out []body
	for _, b := range bodies {
		var some body
		for _, u := range b {
			if len(u.claims) > 0 {
				some = append(some, u)
			}
		}
		if len(some) > 0 {
			out = append(out, some)
		}
	}
	return out
}

func (j *jobs) submit(number uint64, prompt, completion int64) *v1.Claim {
	return &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
		Account: j.lane.account[:], Number: number, Model: j.model[:], MaxPromptTokens: prompt,
		MaxCompletionTokens: completion, MaxCoefficient: coefficient, TimeoutMs: jobTimeout,
	}}}
}

func (j *jobs) usage() *v1.Usage {
	prompt, completion := 1+j.lots.Int64N(maxPrompt), 1+j.lots.Int64N(maxCompletion)
	return &v1.Usage{
		PromptTokens: prompt, CachedTokens: j.lots.Int64N(prompt + 1),
		CompletionTokens: completion, ReasoningTokens: j.lots.Int64N(completion + 1),
	}
}

// rate counts what every job has that ends, well or not: it was metered.
func (j *jobs) rate(usage *v1.Usage) (domain.Charge, error) {
	charge, err := domain.Rate(card, coefficient, usage)
	j.want.Prompt += usage.PromptTokens
	j.want.Cached += usage.CachedTokens
	j.want.Completion += usage.CompletionTokens
	j.want.Reasoning += usage.ReasoningTokens
	j.want.AdjustedTokens += charge.AdjustedTokens
	return charge, err
}

func (j *jobs) completed(charge domain.Charge) {
	j.want.Completed++
	j.want.Charge += charge.Client
	j.want.WorkerPart += charge.Worker
	j.want.Commission += charge.Commission
}

// dispute returns what is left to the worker.
func (j *jobs) dispute(charge domain.Charge, refundPermille uint32, slashed bool) domain.Nano {
	part := domain.Nano(refundPermille)
	j.want.Refunded += charge.Client * part / domain.WholePermille
	rest := charge.Worker - charge.Worker*part/domain.WholePermille
	if slashed {
		j.want.Slashed += rest
		return 0
	}
	return rest
}
