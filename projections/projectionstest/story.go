package projectionstest

import (
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Shards of the Story.
const (
	StoryShards = 3 // control and two
	Shard1      = domain.Shard(1)
	Shard2      = domain.Shard(2)
)

// Story is a ledger in which everything happens once: it is what goldens and questions are about.
// Its jobs are named after what becomes of their pay.
type Story struct {
	*Ledger
	// Noon is a moment after the deposits and before any job.
	Noon int64
	// Reports by name.
	Reports map[string]uint64
}

// WindowMs is how long jobs of the Story can be disputed.
const WindowMs = 600_000

// NewStory writes the story.
func NewStory(t Fataler) *Story {
	t.Helper()
	s := &Story{Ledger: NewLedger(t, StoryShards), Reports: map[string]uint64{}}
	s.Begin()
	s.setUp()
	s.deposits()
	s.Noon = s.NowMs
	s.NowMs += 2 * 3_600_000
	s.firstBatch()
	s.otherEnds()
	s.refusals()
	s.secondBatch()
	s.changes()
	s.trust()
	return s
}

// say answers a report of one signer, and remembers its sequence under a name.
func (s *Story) say(shard domain.Shard, signer, name string, facts ...*v1.Fact) {
	s.t.Helper()
	sequence := uint64(len(s.Reports) + 1)
	s.Reports[name] = sequence
	s.NowMs += 1000
	s.Answer(shard, signer, sequence, facts...)
}

func control(bodies ...*v1.Fact) []*v1.Fact {
	for i, fact := range bodies {
		fact.Claim = uint32(i + 1)
	}
	return bodies
}

func opened(account, client string) *v1.Fact {
	return &v1.Fact{Claim: 1, Body: &v1.Fact_AccountOpened{AccountOpened: &v1.OpenAccount{Account: Bytes(account), Client: Bytes(client)}}}
}

func ticked(claim uint32) *v1.Fact {
	return &v1.Fact{Claim: claim, Body: &v1.Fact_Ticked{Ticked: &v1.Tick{}}}
}

func (s *Story) setUp() {
	s.say(0, "admin", "rules", control(
		&v1.Fact{Body: &v1.Fact_NetworkSet{NetworkSet: &v1.SetNetwork{
			Vault: Bytes("vault"), MaxJobTimeoutMs: 60_000, MaxOpenJobs: 100, MaturityBucketMs: 1000,
			RequireAttestation: true, PayoutThresholdNano: 100, BatchPayees: 50,
		}}},
		&v1.Fact{Body: &v1.Fact_DisputePolicySet{DisputePolicySet: &v1.SetDisputePolicy{
			WindowMs: WindowMs, ResolveWithinMs: 100_000, DefaultRefundPermille: 500,
		}}},
		&v1.Fact{Body: &v1.Fact_RateCardSet{RateCardSet: &v1.RateCardSet{RateCard: Bytes("card"), Card: &v1.RateCard{
			Rule: v1.RateRule_RATE_RULE_EXACT_V1, PricePerTokenNano: 2, WorkerFeePerTokenNano: 1, PromptMultiplier: 10000,
			CachedMultiplier: 5000, CompletionMultiplier: 10000, ReasoningMultiplier: 10000, CancelledPermille: 1000,
		}}}},
		&v1.Fact{Body: &v1.Fact_OperatorSet{OperatorSet: &v1.SetOperator{
			Key: Bytes("proxy key"), Roles: []v1.Role{v1.Role_ROLE_PROXY, v1.Role_ROLE_CLOCK},
		}}},
		&v1.Fact{Body: &v1.Fact_ModelListed{ModelListed: &v1.ListModel{Model: Bytes("qwen"), Name: "Qwen/Qwen3@1:2"}}},
	)...)
	s.say(0, "admin", "parties", control(
		&v1.Fact{Body: &v1.Fact_ClientRegistered{ClientRegistered: &v1.RegisterClient{Client: Bytes("tg"), Key: Bytes("tg key"), Name: "Telegram"}}},
		&v1.Fact{Body: &v1.Fact_ClientRegistered{ClientRegistered: &v1.RegisterClient{Client: Bytes("other"), Key: Bytes("other key"), Name: "Other"}}},
		&v1.Fact{Body: &v1.Fact_ProviderRegistered{ProviderRegistered: &v1.RegisterProvider{Provider: Bytes("prov-a"), Key: Bytes("a key"), Name: "Alpha"}}},
		&v1.Fact{Body: &v1.Fact_ProviderRegistered{ProviderRegistered: &v1.RegisterProvider{Provider: Bytes("prov-b"), Key: Bytes("b key"), Name: "Beta"}}},
		&v1.Fact{Body: &v1.Fact_WorkerRegistered{WorkerRegistered: &v1.RegisterWorker{Worker: Bytes("w1"), Provider: Bytes("prov-a"), Key: Bytes("w1 key")}}},
		&v1.Fact{Body: &v1.Fact_WorkerRegistered{WorkerRegistered: &v1.RegisterWorker{Worker: Bytes("w2"), Provider: Bytes("prov-b"), Key: Bytes("w2 key")}}},
		&v1.Fact{Body: &v1.Fact_OfferSet{OfferSet: &v1.SetOffer{Worker: Bytes("w1"), Model: Bytes("qwen"), Coefficient: 1000}}},
		&v1.Fact{Body: &v1.Fact_OfferSet{OfferSet: &v1.SetOffer{Worker: Bytes("w2"), Model: Bytes("qwen"), Coefficient: 1333}}},
		&v1.Fact{Body: &v1.Fact_AttestationPassed{AttestationPassed: &v1.PassAttestation{
			Worker: Bytes("w1"), Challenge: Bytes("c1"), EvidenceDigest: Bytes("e1"), PolicyDigest: Bytes("p1"),
			ImageHash: Bytes("i1"), ValidUntilMs: StartMs + 90_000_000,
		}}},
	)...)
}

func (s *Story) deposits() {
	s.Pin(Shard1)
	s.Pin(Shard2)
	s.say(Shard1, "tg key", "open acc-tg", opened("acc-tg", "tg"))
	s.say(Shard2, "other key", "open acc-ot", opened("acc-ot", "other"))
	s.say(Shard1, "watcher", "deposit tg", Funded("acc-tg", 1_000_000, 11))
	s.Void(Shard1, Funded("acc-tg", 1_000_000, 11)) // a second clerk says it again
	s.say(Shard2, "watcher", "deposit other", Funded("acc-ot", 500_000, 12))
}

// life takes a job from its submission to its start.
func (s *Story) life(shard domain.Shard, name, worker, provider string) Job {
	job := Job{
		Name: name, Account: "acc-tg", Client: "tg", Model: "qwen", Number: uint64(len(s.Reports)), Reserve: 5000,
		Charge: 2000, Part: 1000, Prompt: 400, Cached: 100, Completion: 600, Thought: 50,
	}
	if shard == Shard2 {
		job.Account, job.Client = "acc-ot", "other"
	}
	s.say(shard, job.Client+" key", name+": submit", job.Submitted(s.NowMs+1000))
	if worker == "" {
		job.Charge, job.Part, job.Prompt, job.Cached, job.Completion, job.Thought = 0, 0, 0, 0, 0, 0
		return job
	}
	job.Worker, job.Provider = worker, provider
	s.say(shard, "proxy key", name+": assign", job.Assigned())
	s.say(shard, worker+" key", name+": start", job.Started())
	return job
}

// complete ends a job well; the dispute window opens.
func (s *Story) complete(shard domain.Shard, job Job) Job {
	job.DisputableUntilMs = s.NowMs + WindowMs
	s.say(shard, job.Worker+" key", job.Name+": complete", job.Completed())
	return job
}

// firstBatch pays job-paid on chain, in batch 1.
func (s *Story) firstBatch() {
	paid := s.life(Shard1, "job-paid", "w1", "prov-a")
	s.say(Shard1, "w1 key", "job-paid: meter", paid.Metered())
	paid = s.complete(Shard1, paid)
	s.NowMs += WindowMs
	s.say(Shard1, "clock", "mature 1", Matured("prov-a", paid.DisputableUntilMs, 1000), ticked(1))
	line := Line{"prov-a", 1000, 1000}
	s.say(0, "settler", "seal 1", Sealed(1, s.Cut(), line))
	s.say(0, "watcher", "propose 1", Proposed(1, 21, s.NowMs+10_000))
	s.say(0, "watcher", "activate 1", Activated(1, 22))
	s.say(0, "watcher", "pay 1a", Paid("prov-a", 400, 23))
	s.say(0, "watcher", "pay 1b", Paid("prov-a", 600, 24))
}

// otherEnds are jobs whose pay does not get that far.
func (s *Story) otherEnds() {
	s.life(Shard1, "job-open", "w1", "prov-a")
	cancelled := s.life(Shard1, "job-cancelled", "", "")
	s.say(Shard1, "tg key", "job-cancelled: cancel", cancelled.Cancelled())
	expired := s.life(Shard2, "job-expired", "", "")
	failed := s.life(Shard2, "job-failed", "w2", "prov-b")
	failed.Charge, failed.Part = 0, 0
	s.say(Shard2, "w2 key", "job-failed: fail", expired.Expired(), failed.Failed())

	held := s.complete(Shard1, s.life(Shard1, "job-held", "w1", "prov-a"))
	s.say(Shard1, "tg key", "job-held: dispute", held.Disputed(s.NowMs))
	lost := s.complete(Shard1, s.life(Shard1, "job-lost", "w1", "prov-a"))
	s.say(Shard1, "tg key", "job-lost: dispute", lost.Disputed(s.NowMs))
	s.say(Shard1, "arbiter", "job-lost: resolve", lost.Resolved(1000))
	shared := s.complete(Shard2, s.life(Shard2, "job-shared", "w2", "prov-b"))
	s.say(Shard2, "other key", "job-shared: dispute", shared.Disputed(s.NowMs))
	s.say(Shard2, "arbiter", "job-shared: resolve", shared.Resolved(300))
}

// refusals are claims and reports that were not taken.
func (s *Story) refusals() {
	s.say(Shard1, "w1 key", "ghost", Rejected(1, v1.Reason_REASON_UNKNOWN_JOB, "job", "job-ghost"))
	s.say(Shard1, "w1 key", "half", Rejected(1, v1.Reason_REASON_WRONG_JOB_STATE, "job", "job-paid"), ticked(2))
	s.Refuse(Shard1, "w1 key", s.Reports["job-paid: complete"], &v1.Rejection{Reason: v1.Reason_REASON_DUPLICATE_REPORT, Field: "sequence", Have: 12, Want: 5})
	s.Reports["forged"] = 900
	s.Refuse(Shard1, "w1 key", 900, &v1.Rejection{Reason: v1.Reason_REASON_BAD_SIGNATURE, Field: "signature"})
}

// secondBatch is vetoed, and the third one takes its lines over.
func (s *Story) secondBatch() {
	promised := s.complete(Shard1, s.life(Shard1, "job-promised", "w1", "prov-a"))
	s.NowMs += WindowMs
	s.say(Shard1, "clock", "mature 2", Matured("prov-a", promised.DisputableUntilMs, 1000))
	lines := []Line{{"prov-a", 2000, 1000}, {"prov-b", 700, 700}}
	s.say(0, "settler", "seal 2", Sealed(2, s.Cut(), lines...))
	s.say(0, "watcher", "propose 2", Proposed(2, 31, s.NowMs+10_000))
	s.say(0, "watcher", "veto 2", Vetoed(2, 32, lines...))
	s.say(0, "settler", "seal 3", Sealed(3, s.Cut(), lines...))
	s.say(0, "watcher", "propose 3", Proposed(3, 33, s.NowMs+10_000))

	payable := s.complete(Shard1, s.life(Shard1, "job-payable", "w1", "prov-a"))
	s.NowMs += WindowMs
	s.say(Shard1, "clock", "mature 3", Matured("prov-a", payable.DisputableUntilMs, 1000))
	s.complete(Shard1, s.life(Shard1, "job-fresh", "w1", "prov-a"))
}

// changes are what happens to the directory.
func (s *Story) changes() {
	s.say(0, "admin", "changes", control(
		&v1.Fact{Body: &v1.Fact_KeyRotated{KeyRotated: &v1.RotateKey{Kind: v1.SubjectKind_SUBJECT_KIND_CLIENT, Subject: Bytes("tg"), Key: Bytes("tg key 2")}}},
		&v1.Fact{Body: &v1.Fact_Retired{Retired: &v1.Retire{Kind: v1.SubjectKind_SUBJECT_KIND_WORKER, Subject: Bytes("w2")}}},
		&v1.Fact{Body: &v1.Fact_OfferSet{OfferSet: &v1.SetOffer{Worker: Bytes("w2"), Model: Bytes("qwen"), Coefficient: 1333, Withdrawn: true}}},
		&v1.Fact{Body: &v1.Fact_AttestationRevoked{AttestationRevoked: &v1.RevokeAttestation{Worker: Bytes("w1"), Reason: "image revoked"}}},
	)...)
}

// trust is what becomes of pay that waits: for an attestation, or as a pledge.
func (s *Story) trust() {
	s.NowMs += 3_600_000
	s.say(0, "admin", "policies", control(
		&v1.Fact{Body: &v1.Fact_HoldPolicySet{HoldPolicySet: &v1.SetHoldPolicy{ReattestWithinMs: 300_000, AppealWithinMs: 60_000}}},
		&v1.Fact{Body: &v1.Fact_ReputationPolicySet{ReputationPolicySet: &v1.ReputationPolicySet{
			Id: Bytes("reputation policy"), Policy: reputation.Default(),
		}}},
		&v1.Fact{Body: &v1.Fact_ClientRegistered{ClientRegistered: &v1.RegisterClient{Client: Bytes("third"), Key: Bytes("third key"), Name: "Third"}}},
		&v1.Fact{Body: &v1.Fact_ProviderRegistered{ProviderRegistered: &v1.RegisterProvider{
			Provider: Bytes("prov-c"), Key: Bytes("prov-c key"), Name: "Gamma",
		}}},
		&v1.Fact{Body: &v1.Fact_WorkerRegistered{WorkerRegistered: &v1.RegisterWorker{
			Worker: Bytes("w3"), Provider: Bytes("prov-c"), Key: Bytes("w3 key"),
		}}},
		&v1.Fact{Body: &v1.Fact_ImageRetired{ImageRetired: &v1.RetireImage{ImageHash: Bytes("i1"), Reason: "it leaks"}}},
		Offered("w1", "qwen", 1200), Offered("w3", "qwen", 900), Offered("w4", "qwen", 1000), Offered("w5", "qwen", 4000),
		Challenged("w1", "c2", s.NowMs+300_000),
		&v1.Fact{Body: &v1.Fact_AttestationPassed{AttestationPassed: &v1.PassAttestation{
			Worker: Bytes("w1"), Challenge: Bytes("c2"), EvidenceDigest: Bytes("e2"), PolicyDigest: Bytes("p1"),
			ImageHash: Bytes("i2"), ValidUntilMs: s.NowMs + 90_000_000,
		}}},
		&v1.Fact{Body: &v1.Fact_AttestationFailed{AttestationFailed: &v1.FailAttestation{
			Worker: Bytes("w1"), Challenge: Bytes("c3"), EvidenceDigest: Bytes("e3"), PolicyDigest: Bytes("p1"),
			Reason: "no collateral", Fault: v1.AttestationFault_ATTESTATION_FAULT_VERIFIER,
		}}},
		Challenged("w3", "c4", s.NowMs+300_000),
		&v1.Fact{Body: &v1.Fact_AttestationFailed{AttestationFailed: &v1.FailAttestation{
			Worker: Bytes("w3"), Challenge: Bytes("c4"), EvidenceDigest: Bytes("e4"), PolicyDigest: Bytes("p1"), Reason: "debug is on",
		}}},
		&v1.Fact{Body: &v1.Fact_KeyRotated{KeyRotated: &v1.RotateKey{Kind: v1.SubjectKind_SUBJECT_KIND_WORKER, Subject: Bytes("w3"), Key: Bytes("w3 key 2")}}},
		Challenged("w3", "c5", s.NowMs+300_000),
		&v1.Fact{Body: &v1.Fact_AttestationPassed{AttestationPassed: &v1.PassAttestation{
			Worker: Bytes("w4"), Challenge: Bytes("c6"), EvidenceDigest: Bytes("e6"), PolicyDigest: Bytes("p1"),
			ImageHash: Bytes("i1"), ValidUntilMs: s.NowMs + 90_000_000,
		}}},
		&v1.Fact{Body: &v1.Fact_AttestationExpired{AttestationExpired: &v1.AttestationExpired{
			Worker: Bytes("w5"), ValidUntilMs: s.NowMs, Cause: v1.UnattestedCause_UNATTESTED_CAUSE_IMAGE_RETIRED,
		}}},
	)...)
	s.Pin(Shard1)
	s.Pin(Shard2)
	never, retired := v1.UnattestedCause_UNATTESTED_CAUSE_NEVER_PASSED, v1.UnattestedCause_UNATTESTED_CAUSE_IMAGE_RETIRED
	accounts := map[domain.Shard]string{Shard1: "acc-t1", Shard2: "acc-t2"}
	s.say(Shard1, "third key", "open t1", opened("acc-t1", "third"))
	s.say(Shard2, "third key", "open t2", opened("acc-t2", "third"))
	s.say(Shard1, "watcher", "deposit t1", Funded("acc-t1", 100_000, 41))
	s.say(Shard2, "watcher", "deposit t2", Funded("acc-t2", 100_000, 42))
	hold := func(shard domain.Shard, name string, cause v1.UnattestedCause) Job {
		job := Job{
			Name: name, Account: accounts[shard], Client: "third", Model: "qwen", Number: uint64(len(s.Reports)), Reserve: 5000,
			Worker: "w3", Provider: "prov-c", Charge: 2000, Part: 1000, Prompt: 400, Completion: 600, DisputableUntilMs: s.NowMs + WindowMs,
		}
		s.say(shard, "third key", name+": submit", job.Submitted(s.NowMs))
		s.say(shard, "proxy key", name+": assign", job.Assigned())
		s.say(shard, "w3 key", name+": complete", job.Held(cause, s.NowMs+300_000, 17))
		return job
	}
	freed := hold(Shard1, "job-freed", never)
	refused := hold(Shard1, "job-refused", retired)
	appealed := hold(Shard2, "job-appealed", retired)
	unattested := hold(Shard2, "job-unattested", never)
	s.say(Shard1, "clock", "freed", freed.Freed(freed.DisputableUntilMs), refused.GivenBack(retired))
	s.say(Shard2, "arbiter", "appeal", appealed.Resolved(0))
	s.say(Shard2, "clock", "extended", unattested.Extended(s.NowMs+900_000, 0))
	s.say(Shard2, "clock", "extended again", unattested.Extended(s.NowMs+1_800_000, s.NowMs))

	s.NowMs += WindowMs
	s.say(Shard1, "clock", "mature 4", MaturedInPart("prov-c", freed.DisputableUntilMs, 1000, 250, s.NowMs+60_000))
	s.say(Shard1, "clock", "taken", PledgeTaken("prov-c", freed.DisputableUntilMs, 100, v1.ForfeitCause_FORFEIT_CAUSE_SLASHED))
	s.say(Shard1, "clock", "released", PledgeReleased("prov-c", freed.DisputableUntilMs, 150))
	s.say(Shard1, "clock", "stand 1",
		Stands(v1.SubjectKind_SUBJECT_KIND_WORKER, "w3", 7, 0), Stands(v1.SubjectKind_SUBJECT_KIND_PROVIDER, "prov-c", 8, 0))
	s.say(Shard2, "clock", "stand 2", Stands(v1.SubjectKind_SUBJECT_KIND_WORKER, "w3", 20, s.NowMs+600_000))
	s.say(Shard1, "clock", "stand 3", Stands(v1.SubjectKind_SUBJECT_KIND_WORKER, "w3", 9, 0))
}
