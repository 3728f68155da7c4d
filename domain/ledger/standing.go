package ledger

import (
	"errors"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// A shard judges by what it has seen itself: the jobs and disputes of its own accounts, and the attestations that all
// shards are told of. An account's shard is a hash of its id, so each sees a sample that nobody chose. Judging by more
// would need one shard to wait for another.

// standing is what is known of a worker or provider, and where it stands by it. Evidence changes the record at once;
// what follows from it changes with a StandingSet, once for each maturity bucket, so that it has a place in the log.
type standing struct {
	record reputation.Record
	// news: evidence came since the last fact.
	news bool
	// By the last fact, if there was one.
	set              bool
	holdbackPermille int64
	holdBuckets      int64
	suspendedUntilMs int64
	timer            timer
}

type subjectKey struct {
	kind v1.SubjectKind
	id   [32]byte
}

func (s *State) decideSetReputationPolicy(who principal, claim *v1.SetReputationPolicy) *v1.Fact {
	switch {
	case !who.may(v1.Role_ROLE_ADMIN):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case s.control.params == nil:
		return reject(v1.Reason_REASON_NOT_SET_UP, "network")
	}
	policy, err := reputation.NewPolicy(claim.Policy)
	if err != nil {
		if out, is := errors.AsType[*domain.RangeError](err); is {
			return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "policy."+out.Field, out.Have, out.Want)
		}
		return reject(v1.Reason_REASON_OUT_OF_RANGE, "policy")
	}
	return &v1.Fact{Body: &v1.Fact_ReputationPolicySet{ReputationPolicySet: &v1.ReputationPolicySet{
		Id: policy.ID[:], Policy: claim.Policy,
	}}}
}

// evolveReputationPolicySet: a policy that was decided can be applied.
func (c *control) evolveReputationPolicySet(fact *v1.ReputationPolicySet) {
	if policy, err := reputation.NewPolicy(fact.Policy); err == nil {
		c.reputation = policy
	}
}

// weigh takes in what a fact of this shard says of a worker. A job that fails, whoever says so, speaks against its
// worker: a worker that could name a reason which does not, would always have that one.
func (s *State) weigh(fact *v1.Fact) {
	if s.control.reputation == nil {
		return
	}
	switch body := fact.Body.(type) {
	case *v1.Fact_JobCompleted:
		closed := body.JobCompleted
		s.weighBoth(closed.Worker, closed.Provider, v1.EvidenceKind_EVIDENCE_KIND_COMPLETED, 0)
		if closed.ChargeNano > 0 {
			s.weighBoth(closed.Worker, closed.Provider, v1.EvidenceKind_EVIDENCE_KIND_CHARGED, 0)
		}
		switch {
		case closed.PromisedMs == 0:
		case closed.TookMs <= closed.PromisedMs:
			s.weighBoth(closed.Worker, closed.Provider, v1.EvidenceKind_EVIDENCE_KIND_ON_TIME, 0)
		default:
			s.weighBoth(closed.Worker, closed.Provider, v1.EvidenceKind_EVIDENCE_KIND_LATE, 0)
		}
	case *v1.Fact_JobFailed:
		s.weighBoth(body.JobFailed.Worker, body.JobFailed.Provider, v1.EvidenceKind_EVIDENCE_KIND_FAILED, 0)
	case *v1.Fact_JobExpired:
		s.weighBoth(body.JobExpired.Worker, body.JobExpired.Provider, v1.EvidenceKind_EVIDENCE_KIND_EXPIRED, 0)
	case *v1.Fact_DisputeResolved:
		s.weighDispute(body.DisputeResolved)
	}
}

// weighDispute leaves out what an arbiter decides about held pay that no client disputed.
func (s *State) weighDispute(fact *v1.DisputeResolved) {
	kind := v1.EvidenceKind_EVIDENCE_KIND_DISPUTE_WON
	switch {
	case fact.SlashedNano > 0:
		kind = v1.EvidenceKind_EVIDENCE_KIND_SLASHED
	case s.jobs[domain.JobID(fact.Job)].state != disputed:
		return
	case fact.RefundPermille > 0:
		kind = v1.EvidenceKind_EVIDENCE_KIND_DISPUTE_LOST
	}
	s.weighBoth(fact.Worker, fact.Provider, kind, int64(fact.RefundPermille))
	if kind == v1.EvidenceKind_EVIDENCE_KIND_SLASHED {
		s.forfeit(domain.ProviderID(fact.Provider), v1.ForfeitCause_FORFEIT_CAUSE_SLASHED, s.nowMs)
	}
}

// weighFleet takes in what control says of a worker. That it passed is no news by itself: there is nothing to judge
// before it works here again.
func (s *State) weighFleet(worker domain.WorkerID, kind v1.EvidenceKind) {
	if s.control.reputation != nil {
		provider := s.control.workers[worker].provider
		s.weighBoth(worker[:], provider[:], kind, 0)
	}
}

func (s *State) weighBoth(worker, provider []byte, kind v1.EvidenceKind, lostPermille int64) {
	if len(worker) == 0 {
		return // nobody was assigned
	}
	e := reputation.Evidence{Kind: kind, LostPermille: lostPermille}
	s.weighOne(subjectKey{v1.SubjectKind_SUBJECT_KIND_WORKER, [32]byte(worker)}, e)
	s.weighOne(subjectKey{v1.SubjectKind_SUBJECT_KIND_PROVIDER, [32]byte(provider)}, e)
}

func (s *State) weighOne(who subjectKey, e reputation.Evidence) {
	st := s.standings[who]
	if st == nil {
		st = &standing{record: s.control.reputation.Begin()}
		s.standings[who] = st
	}
	st.record.Weigh(s.control.reputation, e)
	if st.news || e.Kind == v1.EvidenceKind_EVIDENCE_KIND_ATTESTED {
		return
	}
	st.news = true
	bucket := s.control.params.MaturityBucketMs
	if at := (s.nowMs/bucket + 1) * bucket; st.timer.place == 0 || at < st.timer.atMs {
		s.timers.set(&st.timer, standsKind(who.kind), who.id, at)
	}
}

func standsKind(kind v1.SubjectKind) timerKind {
	if kind == v1.SubjectKind_SUBJECT_KIND_WORKER {
		return workerStands
	}
	return providerStands
}

// decideStanding is called by log time: at the end of a bucket with news, and of a suspension. A worker whose
// suspension ends has one bucket to show that it has mended: it begins where it was.
func (s *State) decideStanding(who subjectKey) *v1.Fact {
	st, policy := s.standings[who], s.control.reputation
	score := st.record.ScorePPM()
	fact := &v1.StandingSet{
		Kind: who.kind, Subject: who.id[:], Policy: policy.ID[:], ScorePpm: uint32(score),
		Seen: append([]int64(nil), st.record.Seen[:]...), SuspendedUntilMs: st.suspendedUntilMs,
	}
	for _, c := range st.record.Counts {
		fact.Dimensions = append(fact.Dimensions, &v1.EvidenceCounts{GoodMicro: c.Good, BadMicro: c.Bad})
	}
	if who.kind == v1.SubjectKind_SUBJECT_KIND_PROVIDER {
		tier := policy.TierOf(score)
		fact.HoldbackPermille, fact.HoldBuckets = uint32(tier.HoldbackPermille), uint32(tier.HoldBuckets)
	} else if until := st.suspendedUntilMs; until == 0 {
		if span := policy.SuspendMs(score); span > 0 {
			fact.SuspendedUntilMs = s.nowMs + span
		}
	} else if until <= s.nowMs {
		fact.SuspendedUntilMs = 0
	}
	return &v1.Fact{Body: &v1.Fact_StandingSet{StandingSet: fact}}
}

func (s *State) evolveStandingSet(fact *v1.StandingSet) {
	who := subjectKey{fact.Kind, [32]byte(fact.Subject)}
	st := s.standings[who]
	st.set, st.news = true, false
	st.holdbackPermille, st.holdBuckets = int64(fact.HoldbackPermille), int64(fact.HoldBuckets)
	if st.suspendedUntilMs = fact.SuspendedUntilMs; st.suspendedUntilMs != 0 {
		s.timers.set(&st.timer, standsKind(who.kind), who.id, st.suspendedUntilMs)
		return
	}
	s.timers.clear(&st.timer)
}

// holdbackOf is a provider's tier: by the last fact, or that of a newcomer.
func (s *State) holdbackOf(provider domain.ProviderID) (permille, buckets int64) {
	if st := s.standings[subjectKey{v1.SubjectKind_SUBJECT_KIND_PROVIDER, provider}]; st != nil && st.set {
		return st.holdbackPermille, st.holdBuckets
	}
	newcomer := s.control.reputation.Begin()
	tier := s.control.reputation.TierOf(newcomer.ScorePPM())
	return tier.HoldbackPermille, tier.HoldBuckets
}

// suspendedUntilMs is until when a worker gets no jobs; zero if it may.
func (s *State) suspendedUntilMs(worker domain.WorkerID) int64 {
	st := s.standings[subjectKey{v1.SubjectKind_SUBJECT_KIND_WORKER, worker}]
	if st == nil || st.suspendedUntilMs <= s.nowMs {
		return 0
	}
	return st.suspendedUntilMs
}
