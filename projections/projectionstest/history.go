package projectionstest

import (
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// history makes a random ledger that a clerk could have written: jobs go through their lives, money is
// there before it moves, batches follow each other.
type history struct {
	*Ledger
	rt       *rapid.T
	sequence uint64
	numbers  uint64
	lt       uint64
	open     map[domain.Shard][]Job // not closed
	charged  map[domain.Shard][]Job // closed, in their dispute window
	disputed map[domain.Shard][]Job
	held     map[domain.Shard][]Job // closed, and their pay waits for an attestation
	pledged  map[domain.Shard][]Job // of whose pay a tenth is held back
	payable  map[string]int64
	promised map[string]int64 // cumulative
	unpaid   map[string]int64 // promised less paid
	batch    uint32
	lines    []Line // of the open batch
	proposed bool
}

// RandomLedger returns a ledger of control and some data shards with a random history.
func RandomLedger(rt *rapid.T) *Ledger {
	shards := rapid.IntRange(2, 4).Draw(rt, "shards")
	h := &history{
		Ledger: NewLedger(rt, shards), rt: rt,
		open: map[domain.Shard][]Job{}, charged: map[domain.Shard][]Job{}, disputed: map[domain.Shard][]Job{},
		held: map[domain.Shard][]Job{}, pledged: map[domain.Shard][]Job{},
		payable: map[string]int64{}, promised: map[string]int64{}, unpaid: map[string]int64{},
	}
	h.Begin()
	for range rapid.IntRange(0, 60).Draw(rt, "entries") {
		h.NowMs += rapid.Int64Range(0, 2_000_000).Draw(rt, "ms")
		shard := domain.Shard(rapid.IntRange(0, shards-1).Draw(rt, "shard"))
		if shard == domain.Control {
			h.control()
		} else {
			h.data(shard)
		}
	}
	return h.Ledger
}

func (h *history) say(shard domain.Shard, facts ...*v1.Fact) {
	h.sequence++
	h.Answer(shard, h.pick("signer", "alice", "bob"), h.sequence, facts...)
}

func (h *history) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(h.rt, label)
}

func (h *history) nextLT() uint64 {
	h.lt++
	return h.lt
}

func (h *history) control() {
	switch rapid.IntRange(0, 10).Draw(h.rt, "control") {
	case 5:
		h.attest()
	case 0:
		h.say(domain.Control, &v1.Fact{Claim: 1, Body: &v1.Fact_NetworkSet{NetworkSet: &v1.SetNetwork{
			MaxJobTimeoutMs: 60_000, MaxOpenJobs: 10, MaturityBucketMs: 1000, BatchPayees: 100,
			PayoutThresholdNano: rapid.Int64Range(0, 100).Draw(h.rt, "threshold"),
		}}})
	case 1:
		h.say(domain.Control, &v1.Fact{Claim: 1, Body: &v1.Fact_WorkerRegistered{WorkerRegistered: &v1.RegisterWorker{
			Worker: Bytes(h.pick("worker", "w1", "w2")), Provider: Bytes("prov-a"), Key: Bytes("key"),
		}}}, &v1.Fact{Claim: 2, Body: &v1.Fact_OfferSet{OfferSet: &v1.SetOffer{
			Worker: Bytes(h.pick("worker", "w1", "w2", "w3")), Model: Bytes(h.pick("model", "qwen", "deepseek")),
			Coefficient: rapid.Uint32Range(1, 3000).Draw(h.rt, "coefficient"), Withdrawn: rapid.IntRange(0, 4).Draw(h.rt, "withdrawn") == 0,
		}}})
	case 2:
		h.say(domain.Control, &v1.Fact{Claim: 1, Body: &v1.Fact_KeyRotated{KeyRotated: &v1.RotateKey{
			Kind:    v1.SubjectKind(rapid.IntRange(1, 3).Draw(h.rt, "kind")),
			Subject: Bytes(h.pick("subject", "w1", "prov-a", "tg")), Key: Bytes(h.pick("key", "key1", "key2")),
		}}})
	case 3:
		h.Void(domain.Control, Paid("prov-a", 5, 1))
	case 4:
		h.Refuse(domain.Control, "mallory", h.sequence, &v1.Rejection{Reason: v1.Reason_REASON_UNKNOWN_SIGNER, Field: "signer"})
	case 6:
		who := h.pick("who retires", "w1", "w2", "prov-a")
		kind := v1.SubjectKind_SUBJECT_KIND_WORKER
		if who == "prov-a" {
			kind = v1.SubjectKind_SUBJECT_KIND_PROVIDER
		}
		h.say(domain.Control, &v1.Fact{Claim: 1, Body: &v1.Fact_Retired{Retired: &v1.Retire{Kind: kind, Subject: Bytes(who)}}})
	default:
		h.settle()
	}
}

// attest has control say something of a worker's attestation.
func (h *history) attest() {
	worker := h.pick("worker", "w1", "w2")
	fault := v1.AttestationFault(rapid.IntRange(0, 2).Draw(h.rt, "fault"))
	registered := &v1.Fact{Claim: 1, Body: &v1.Fact_WorkerRegistered{WorkerRegistered: &v1.RegisterWorker{
		Worker: Bytes(worker), Provider: Bytes("prov-a"), Key: Bytes("key"),
	}}}
	h.say(domain.Control, registered, rapid.SampledFrom([]*v1.Fact{
		Challenged(worker, "c", h.NowMs+1000),
		{Body: &v1.Fact_AttestationPassed{AttestationPassed: &v1.PassAttestation{
			Worker: Bytes(worker), Challenge: Bytes("c"), EvidenceDigest: Bytes("e"), PolicyDigest: Bytes("p"), ImageHash: Bytes("i"), ValidUntilMs: h.NowMs + 1000,
		}}},
		{Body: &v1.Fact_AttestationFailed{AttestationFailed: &v1.FailAttestation{
			Worker: Bytes(worker), Challenge: Bytes("c"), EvidenceDigest: Bytes("e"), PolicyDigest: Bytes("p"), Reason: "it is", Fault: fault,
		}}},
		{Body: &v1.Fact_AttestationRevoked{AttestationRevoked: &v1.RevokeAttestation{Worker: Bytes(worker), Reason: "it was", Fault: fault}}},
		{Body: &v1.Fact_AttestationExpired{AttestationExpired: &v1.AttestationExpired{
			Worker: Bytes(worker), ValidUntilMs: h.NowMs, Cause: v1.UnattestedCause(rapid.IntRange(0, 4).Draw(h.rt, "cause")),
		}}},
	}).Draw(h.rt, "word"))
}

// settle takes the next step of a batch, or pays somebody.
func (h *history) settle() {
	switch {
	case h.lines == nil && len(h.payable) > 0:
		for _, payee := range slices.Sorted(maps.Keys(h.payable)) {
			h.promised[payee] += h.payable[payee]
			h.lines = append(h.lines, Line{payee, h.promised[payee], h.payable[payee]})
		}
		clear(h.payable)
		h.batch++
		h.say(domain.Control, Sealed(h.batch, h.Cut(), h.lines...))
	case h.lines != nil && !h.proposed:
		h.proposed = true
		h.say(domain.Control, Proposed(h.batch, h.nextLT(), h.NowMs+1000))
	case h.lines != nil && rapid.Bool().Draw(h.rt, "veto"):
		for _, line := range h.lines {
			h.promised[line.Payee] -= line.Delta
			h.payable[line.Payee] += line.Delta
		}
		h.say(domain.Control, Vetoed(h.batch, h.nextLT(), h.lines...))
		h.lines, h.proposed = nil, false
	case h.lines != nil:
		for _, line := range h.lines {
			h.unpaid[line.Payee] += line.Delta
		}
		h.say(domain.Control, Activated(h.batch, h.nextLT()))
		h.lines, h.proposed = nil, false
	default:
		for _, payee := range slices.Sorted(maps.Keys(h.unpaid)) {
			h.say(domain.Control, Paid(payee, h.unpaid[payee], h.nextLT()))
		}
		clear(h.unpaid)
	}
}

func (h *history) data(shard domain.Shard) {
	switch rapid.IntRange(0, 11).Draw(h.rt, "data") {
	case 10:
		h.wait(shard)
	case 11:
		h.say(shard, Stands(v1.SubjectKind_SUBJECT_KIND_WORKER, h.pick("worker", "w1", "w2"), h.NowMs%1000, 0),
			Stands(v1.SubjectKind_SUBJECT_KIND_PROVIDER, h.pick("provider", "prov-a", "prov-b"), h.NowMs%1000, 0))
	case 0:
		h.Pin(shard)
	case 1:
		h.Void(shard, Funded("acc", 1000, 1))
	case 2:
		h.say(shard, Rejected(1, v1.Reason_REASON_UNKNOWN_JOB, "job", h.pick("job", "", "ghost")), &v1.Fact{Claim: 2, Body: &v1.Fact_Ticked{Ticked: &v1.Tick{}}})
	case 3:
		account := fmt.Sprintf("acc-%d", shard)
		h.say(shard, Funded(account, rapid.Int64Range(1, 1_000_000).Draw(h.rt, "deposit"), h.nextLT()))
	case 4, 5:
		h.submit(shard)
	case 6, 7:
		h.move(shard)
	default:
		h.afterwards(shard)
	}
}

func (h *history) submit(shard domain.Shard) {
	h.numbers++
	job := Job{
		Name: fmt.Sprintf("job-%d", h.numbers), Account: fmt.Sprintf("acc-%d", shard), Number: h.numbers,
		Client: h.pick("client", "tg", "other"), Model: h.pick("model", "qwen", "deepseek"), Reserve: 1000,
	}
	h.open[shard] = append(h.open[shard], job)
	h.say(shard, job.Submitted(h.NowMs))
}

// move takes an open job on, or to its end.
func (h *history) move(shard domain.Shard) {
	jobs := h.open[shard]
	if len(jobs) == 0 {
		return
	}
	i := rapid.IntRange(0, len(jobs)-1).Draw(h.rt, "open job")
	job := &jobs[i]
	if job.Worker == "" && rapid.IntRange(0, 3).Draw(h.rt, "drop") > 0 {
		job.Worker, job.Provider = "w1", h.pick("provider", "prov-a", "prov-b")
		h.say(shard, job.Assigned(), job.Started(), job.Metered())
		return
	}
	end := Job.Cancelled
	if job.Worker != "" {
		job.Prompt = rapid.Int64Range(0, 100).Draw(h.rt, "prompt")
		job.Completion = rapid.Int64Range(0, 100).Draw(h.rt, "completion")
		job.Charge = job.Prompt + job.Completion
		job.Part = job.Charge / 2
		end = rapid.SampledFrom([]func(Job) *v1.Fact{Job.Completed, Job.Completed, Job.Failed, Job.Expired}).Draw(h.rt, "end")
	}
	if job.Charge > 0 {
		job.DisputableUntilMs = h.NowMs + 1_000_000
		if job.Part > 0 && rapid.IntRange(0, 2).Draw(h.rt, "attested") == 0 {
			h.held[shard] = append(h.held[shard], *job)
			h.say(shard, job.Held(v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED, h.NowMs+1000, 3))
			h.open[shard] = slices.Delete(jobs, i, i+1)
			return
		}
		h.charged[shard] = append(h.charged[shard], *job)
	}
	h.say(shard, end(*job))
	h.open[shard] = slices.Delete(jobs, i, i+1)
}

// afterwards is what happens to a charged job: it matures, or is disputed and resolved.
func (h *history) afterwards(shard domain.Shard) {
	switch {
	case len(h.disputed[shard]) > 0:
		job := h.disputed[shard][0]
		h.disputed[shard] = h.disputed[shard][1:]
		h.payable[job.Provider] += job.Part - job.Part/2
		h.say(shard, job.Resolved(job.Part/2))
	case len(h.charged[shard]) > 0:
		job := h.charged[shard][0]
		h.charged[shard] = h.charged[shard][1:]
		if job.Part > 0 && rapid.Bool().Draw(h.rt, "dispute") {
			h.disputed[shard] = append(h.disputed[shard], job)
			h.say(shard, job.Disputed(h.NowMs))
			return
		}
		if back := job.Part / 10; back > 0 {
			h.pledged[shard] = append(h.pledged[shard], job)
			h.payable[job.Provider] += job.Part - back
			h.say(shard, MaturedInPart(job.Provider, job.DisputableUntilMs, job.Part, back, h.NowMs+5000))
			return
		}
		h.payable[job.Provider] += job.Part
		h.say(shard, Matured(job.Provider, job.DisputableUntilMs, job.Part))
	}
}

// wait ends what waits: pay for an attestation, or a pledge.
func (h *history) wait(shard domain.Shard) {
	switch {
	case len(h.held[shard]) > 0:
		job := h.held[shard][0]
		h.held[shard] = h.held[shard][1:]
		if rapid.Bool().Draw(h.rt, "passed") {
			h.charged[shard] = append(h.charged[shard], job)
			h.say(shard, job.Freed(job.DisputableUntilMs))
			return
		}
		h.say(shard, job.GivenBack(v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED))
	case len(h.pledged[shard]) > 0:
		job := h.pledged[shard][0]
		h.pledged[shard] = h.pledged[shard][1:]
		if rapid.Bool().Draw(h.rt, "kept") {
			h.payable[job.Provider] += job.Part / 10
			h.say(shard, PledgeReleased(job.Provider, job.DisputableUntilMs, job.Part/10))
			return
		}
		h.say(shard, PledgeTaken(job.Provider, job.DisputableUntilMs, job.Part/10, v1.ForfeitCause_FORFEIT_CAUSE_REVOKED))
	}
}

// RandomCuts returns places on the way to the end of a ledger, each further on than the one before in at
// least one shard; the last one is the end.
func RandomCuts(rt *rapid.T, ledger *Ledger) [][]domain.Offset {
	at, end := make([]domain.Offset, ledger.Shards()), ledger.Cut()
	var cuts [][]domain.Offset
	for !slices.Equal(at, end) {
		for shard := range at {
			step := rapid.IntRange(0, 25).Draw(rt, "step")
			at[shard] = min(at[shard]+domain.Offset(step), end[shard])
		}
		cuts = append(cuts, slices.Clone(at))
		if len(cuts) > 200 { // steps of nothing
			break
		}
	}
	return append(cuts, end)
}
