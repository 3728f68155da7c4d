package projectionstest

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Post is one posting; owner "" is for the accounts without one.
func Post(kind v1.AccountKind, owner string, nano int64) *v1.Posting {
	p := &v1.Posting{Kind: kind, AmountNano: nano}
	if owner != "" {
		p.Owner = Bytes(owner)
	}
	return p
}

// Short names of the chart, for tests that write postings.
const (
	Available  = v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE
	Reserved   = v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED
	Earned     = v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED
	Held       = v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD
	PayableTo  = v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE
	Committed  = v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED
	Commission = v1.AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION
	Slashed    = v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED
	VaultCash  = v1.AccountKind_ACCOUNT_KIND_VAULT_CASH
)

// Job is a job of a test: all that its facts say.
type Job struct {
	Name                                string
	Account, Client, Model              string
	Worker, Provider                    string
	Number                              uint64
	Reserve, Charge, Part               int64 // nanotons; Part is the worker's
	Prompt, Cached, Completion, Thought int64 // tokens
	DisputableUntilMs                   int64
}

// Submitted reserves.
func (j Job) Submitted(nowMs int64) *v1.Fact {
	return &v1.Fact{
		Claim:    1,
		Postings: []*v1.Posting{Post(Available, j.Account, -j.Reserve), Post(Reserved, j.Account, j.Reserve)},
		Body: &v1.Fact_JobSubmitted{JobSubmitted: &v1.JobSubmitted{
			Job: Bytes(j.Name), Client: Bytes(j.Client), RateCard: Bytes("card"), ReservedNano: j.Reserve, ExpiresAtMs: nowMs + 60_000,
			Terms: &v1.SubmitJob{
				Account: Bytes(j.Account), Number: j.Number, Model: Bytes(j.Model), MaxPromptTokens: 1000,
				MaxCompletionTokens: 2000, MaxCoefficient: 1500, TimeoutMs: 60_000,
			},
		}},
	}
}

// Assigned names the worker.
func (j Job) Assigned() *v1.Fact {
	return &v1.Fact{Claim: 1, Body: &v1.Fact_JobAssigned{JobAssigned: &v1.JobAssigned{
		Job: Bytes(j.Name), Worker: Bytes(j.Worker), Provider: Bytes(j.Provider), Coefficient: 1000,
	}}}
}

// Started says that the worker began.
func (j Job) Started() *v1.Fact {
	return &v1.Fact{Claim: 1, Body: &v1.Fact_JobStarted{JobStarted: &v1.StartJob{Job: Bytes(j.Name)}}}
}

// Metered counts half of the usage.
func (j Job) Metered() *v1.Fact {
	return &v1.Fact{Claim: 1, Body: &v1.Fact_JobMetered{JobMetered: &v1.MeterJob{
		Job: Bytes(j.Name), Usage: &v1.Usage{PromptTokens: j.Prompt, CachedTokens: j.Cached, CompletionTokens: j.Completion / 2},
	}}}
}

// Closed is the end of the job without the word for it: see Completed and the others.
func (j Job) Closed() (*v1.JobClosed, []*v1.Posting) {
	closed := &v1.JobClosed{
		Job: Bytes(j.Name), Account: Bytes(j.Account), Client: Bytes(j.Client), Model: Bytes(j.Model), RateCard: Bytes("card"),
		Coefficient: 1000, AdjustedTokens: j.Prompt + j.Completion, ChargeNano: j.Charge, WorkerNano: j.Part,
		CommissionNano: j.Charge - j.Part, ReleasedNano: j.Reserve - j.Charge, DisputableUntilMs: j.DisputableUntilMs,
		Usage: &v1.Usage{PromptTokens: j.Prompt, CachedTokens: j.Cached, CompletionTokens: j.Completion, ReasoningTokens: j.Thought},
	}
	if j.Worker != "" {
		closed.Worker, closed.Provider = Bytes(j.Worker), Bytes(j.Provider)
	}
	postings := []*v1.Posting{Post(Reserved, j.Account, -j.Reserve), Post(Available, j.Account, j.Reserve-j.Charge)}
	if j.Charge != 0 {
		postings = append(postings, Post(Earned, j.Provider, j.Part), Post(Commission, "", j.Charge-j.Part))
	}
	return closed, postings
}

// Completed charges.
func (j Job) Completed() *v1.Fact {
	closed, postings := j.Closed()
	return &v1.Fact{Claim: 1, Postings: postings, Body: &v1.Fact_JobCompleted{JobCompleted: closed}}
}

// Failed is for a job that ends badly.
func (j Job) Failed() *v1.Fact {
	closed, postings := j.Closed()
	closed.Failure = v1.FailureReason_FAILURE_REASON_WORKER_LOST
	return &v1.Fact{Claim: 1, Postings: postings, Body: &v1.Fact_JobFailed{JobFailed: closed}}
}

// Cancelled is for a job that its client took back.
func (j Job) Cancelled() *v1.Fact {
	closed, postings := j.Closed()
	return &v1.Fact{Claim: 1, Postings: postings, Body: &v1.Fact_JobCancelled{JobCancelled: closed}}
}

// Expired is for a job that log time ended.
func (j Job) Expired() *v1.Fact {
	closed, postings := j.Closed()
	return &v1.Fact{Postings: postings, Body: &v1.Fact_JobExpired{JobExpired: closed}}
}

// Disputed holds the worker's part.
func (j Job) Disputed(nowMs int64) *v1.Fact {
	return &v1.Fact{
		Claim: 1, Postings: []*v1.Posting{Post(Earned, j.Provider, -j.Part), Post(Held, j.Provider, j.Part)},
		Body: &v1.Fact_JobDisputed{JobDisputed: &v1.JobDisputed{
			Job: Bytes(j.Name), Account: Bytes(j.Account), Worker: Bytes(j.Worker), Provider: Bytes(j.Provider),
			Reason: v1.DisputeReason_DISPUTE_REASON_WRONG_USAGE, HeldNano: j.Part, ResolveByMs: nowMs + 100_000,
		}},
	}
}

// Resolved ends the dispute: refund of the worker's part goes back to the client, the rest is payable.
func (j Job) Resolved(refund int64) *v1.Fact {
	return &v1.Fact{
		Claim: 1,
		Postings: []*v1.Posting{
			Post(Held, j.Provider, -j.Part), Post(Available, j.Account, refund), Post(PayableTo, j.Provider, j.Part-refund),
		},
		Body: &v1.Fact_DisputeResolved{DisputeResolved: &v1.DisputeResolved{
			Job: Bytes(j.Name), Account: Bytes(j.Account), Worker: Bytes(j.Worker), Provider: Bytes(j.Provider),
			RefundPermille: 500, RefundNano: refund, FromWorkerNano: refund, ReleasedNano: j.Part - refund,
		}},
	}
}

// Held ends the job well, and holds its pay.
func (j Job) Held(cause v1.UnattestedCause, untilMs, control int64) *v1.Fact {
	fact := j.Completed()
	fact.GetJobCompleted().Hold = &v1.Hold{Cause: cause, UntilMs: untilMs, ControlOffset: control}
	for _, p := range fact.Postings {
		if p.Kind == Earned {
			p.Kind = Held
		}
	}
	return fact
}

// Freed lets held pay go into a bucket.
func (j Job) Freed(bucketMs int64) *v1.Fact {
	return &v1.Fact{
		Postings: []*v1.Posting{Post(Held, j.Provider, -j.Part), Post(Earned, j.Provider, j.Part)},
		Body: &v1.Fact_PayReleased{PayReleased: &v1.PayReleased{
			Job: Bytes(j.Name), Worker: Bytes(j.Worker), Provider: Bytes(j.Provider), AmountNano: j.Part, BucketMs: bucketMs,
		}},
	}
}

// Extended lets held pay wait longer.
func (j Job) Extended(untilMs, askedAtMs int64) *v1.Fact {
	return &v1.Fact{Body: &v1.Fact_HoldExtended{HoldExtended: &v1.HoldExtended{
		Job: Bytes(j.Name), Worker: Bytes(j.Worker), Provider: Bytes(j.Provider), UntilMs: untilMs, AskedAtMs: askedAtMs,
	}}}
}

// GivenBack gives the client its charge back.
func (j Job) GivenBack(cause v1.UnattestedCause) *v1.Fact {
	return &v1.Fact{
		Postings: []*v1.Posting{
			Post(Held, j.Provider, -j.Part), Post(Commission, "", j.Part-j.Charge), Post(Available, j.Account, j.Charge),
		},
		Body: &v1.Fact_PayRefused{PayRefused: &v1.PayRefused{
			Job: Bytes(j.Name), Account: Bytes(j.Account), Worker: Bytes(j.Worker), Provider: Bytes(j.Provider),
			Cause: cause, RefundNano: j.Charge, FromWorkerNano: j.Part,
		}},
	}
}

// MaturedInPart makes a bucket payable but for what is held back.
func MaturedInPart(provider string, bucketMs, nano, held, untilMs int64) *v1.Fact {
	fact := Matured(provider, bucketMs, nano)
	matured := fact.GetEarningsMatured()
	matured.HeldNano, matured.HeldUntilMs = held, untilMs
	fact.Postings[1].AmountNano -= held
	fact.Postings = append(fact.Postings, Post(Held, provider, held))
	return fact
}

// PledgeReleased pays out what was held back of a bucket.
func PledgeReleased(provider string, bucketMs, nano int64) *v1.Fact {
	return &v1.Fact{
		Postings: []*v1.Posting{Post(Held, provider, -nano), Post(PayableTo, provider, nano)},
		Body: &v1.Fact_HoldbackReleased{HoldbackReleased: &v1.HoldbackReleased{
			Provider: Bytes(provider), BucketMs: bucketMs, AmountNano: nano,
		}},
	}
}

// PledgeTaken takes a part of it.
func PledgeTaken(provider string, bucketMs, nano int64, cause v1.ForfeitCause) *v1.Fact {
	return &v1.Fact{
		Postings: []*v1.Posting{Post(Held, provider, -nano), Post(Slashed, "", nano)},
		Body: &v1.Fact_HoldbackForfeited{HoldbackForfeited: &v1.HoldbackForfeited{
			Provider: Bytes(provider), BucketMs: bucketMs, AmountNano: nano, Cause: cause,
		}},
	}
}

// Stands says how somebody stands; the numbers follow from one.
func Stands(kind v1.SubjectKind, subject string, n, suspendedUntilMs int64) *v1.Fact {
	set := &v1.StandingSet{
		Kind: kind, Subject: Bytes(subject), Policy: Bytes("reputation policy"), ScorePpm: uint32(900_000 + n), SuspendedUntilMs: suspendedUntilMs,
	}
	for d := range int64(4) {
		set.Dimensions = append(set.Dimensions, &v1.EvidenceCounts{GoodMicro: (20+d)*1_000_000 + n, BadMicro: d * 1_000_000})
	}
	for kind := range int64(12) {
		set.Seen = append(set.Seen, n+kind)
	}
	if kind == v1.SubjectKind_SUBJECT_KIND_PROVIDER {
		set.HoldbackPermille, set.HoldBuckets = 250, 3
	}
	return &v1.Fact{Body: &v1.Fact_StandingSet{StandingSet: set}}
}

// Offered is what a worker asks for a model.
func Offered(worker, model string, coefficient uint32) *v1.Fact {
	return &v1.Fact{Claim: 1, Body: &v1.Fact_OfferSet{OfferSet: &v1.SetOffer{
		Worker: Bytes(worker), Model: Bytes(model), Coefficient: coefficient, FinishWithinMs: 30_000,
	}}}
}

// Challenged asks a worker to prove what it runs.
func Challenged(worker, challenge string, untilMs int64) *v1.Fact {
	return &v1.Fact{Body: &v1.Fact_AttestationChallenged{AttestationChallenged: &v1.ChallengeAttestation{
		Worker: Bytes(worker), Challenge: Bytes(challenge), ExpiresAtMs: untilMs,
	}}}
}

// Funded brings money into an account.
func Funded(account string, nano int64, lt uint64) *v1.Fact {
	return &v1.Fact{
		Claim: 1, Postings: []*v1.Posting{Post(VaultCash, "", -nano), Post(Available, account, nano)},
		Body: &v1.Fact_AccountFunded{AccountFunded: &v1.ObserveDeposit{
			Account: Bytes(account), AmountNano: nano, TxHash: Bytes("deposit"), Lt: lt,
		}},
	}
}

// Matured makes a bucket of a provider's earnings payable.
func Matured(provider string, bucketMs, nano int64) *v1.Fact {
	return &v1.Fact{
		Postings: []*v1.Posting{Post(Earned, provider, -nano), Post(PayableTo, provider, nano)},
		Body: &v1.Fact_EarningsMatured{EarningsMatured: &v1.EarningsMatured{
			Provider: Bytes(provider), BucketMs: bucketMs, AmountNano: nano,
		}},
	}
}

// Line is a payee of a batch.
type Line struct {
	Payee             string
	Cumulative, Delta int64
}

// Sealed is a batch; its roots are names, not hashes.
func Sealed(number uint32, cut []domain.Offset, lines ...Line) *v1.Fact {
	seal := &v1.SealBatch{Number: number, PayoutRoot: Bytes("payout root"), Commitment: Bytes("commitment"), Payees: int64(len(lines))}
	for _, offset := range cut {
		seal.Cut, seal.LogRoots = append(seal.Cut, int64(offset)), append(seal.LogRoots, Bytes("log root"))
	}
	fact := &v1.Fact{Claim: 1, Body: &v1.Fact_BatchSealed{BatchSealed: seal}}
	for _, line := range lines {
		seal.TotalNano += line.Cumulative
		seal.Lines = append(seal.Lines, &v1.PayoutLine{Payee: Bytes(line.Payee), CumulativeNano: line.Cumulative, DeltaNano: line.Delta})
		fact.Postings = append(fact.Postings, Post(PayableTo, line.Payee, -line.Delta), Post(Committed, line.Payee, line.Delta))
	}
	return fact
}

// Proposed says that the vault took the root.
func Proposed(number uint32, lt uint64, activatesAtMs int64) *v1.Fact {
	return &v1.Fact{Claim: 1, Body: &v1.Fact_BatchProposed{BatchProposed: &v1.ObserveProposal{
		Number: number, PayoutRoot: Bytes("payout root"), TxHash: Bytes("proposal"), Lt: lt, ActivatesAtMs: activatesAtMs,
	}}}
}

// Activated says that the root is in force.
func Activated(number uint32, lt uint64) *v1.Fact {
	return &v1.Fact{Claim: 1, Body: &v1.Fact_BatchActivated{BatchActivated: &v1.ObserveActivation{
		Number: number, PayoutRoot: Bytes("payout root"), TxHash: Bytes("activation"), Lt: lt,
	}}}
}

// Vetoed undoes a batch with these lines.
func Vetoed(number uint32, lt uint64, lines ...Line) *v1.Fact {
	fact := &v1.Fact{Claim: 1, Body: &v1.Fact_BatchVetoed{BatchVetoed: &v1.ObserveVeto{Number: number, TxHash: Bytes("veto"), Lt: lt}}}
	for _, line := range lines {
		fact.Postings = append(fact.Postings, Post(Committed, line.Payee, -line.Delta), Post(PayableTo, line.Payee, line.Delta))
	}
	return fact
}

// Voided says that a number was used up by a root that nobody sealed.
func Voided(number uint32, lt uint64) *v1.Fact {
	return &v1.Fact{Claim: 1, Body: &v1.Fact_EpochVoided{EpochVoided: &v1.ObserveVeto{Number: number, TxHash: Bytes("veto"), Lt: lt}}}
}

// Paid says that a payee was paid on chain.
func Paid(payee string, nano int64, lt uint64) *v1.Fact {
	return &v1.Fact{
		Claim: 1, Postings: []*v1.Posting{Post(Committed, payee, -nano), Post(VaultCash, "", nano)},
		Body: &v1.Fact_PayoutObserved{PayoutObserved: &v1.ObservePayout{
			Payee: Bytes(payee), AmountNano: nano, TxHash: Bytes("payout"), Lt: lt,
		}},
	}
}

// Rejected says no to a claim.
func Rejected(claim uint32, reason v1.Reason, field, job string) *v1.Fact {
	rejection := &v1.Rejection{Reason: reason, Field: field, Have: 7, Want: 9}
	if job != "" {
		rejection.Job = Bytes(job)
	}
	return &v1.Fact{Claim: claim, Body: &v1.Fact_Rejection{Rejection: rejection}}
}
