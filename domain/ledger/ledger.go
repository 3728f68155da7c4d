// Package ledger knows what the network accepts: for each claim, by whom it may be made, when it
// holds, and what money it moves.
//
// A State is all that one shard of the ledger knows. Step answers one intake record; Evolve takes in
// an entry that was already decided. Both are pure: no clock, no randomness, no map order that
// reaches a result. So whoever replays the two logs comes to the same states and the same entries,
// byte for byte, and a restart, a second clerk and an audit are all the same thing.
//
// The rules are where their subject is: accounts.go, jobs.go, disputes.go, holds.go, standing.go, holdback.go for
// the data shards; network.go, registry.go, attestation.go, batches.go for control. Each claim has a decide method,
// which changes nothing and returns one fact or one rejection, and each fact an evolve method, which
// can't refuse.
package ledger

import (
	"errors"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// State is what one shard of the ledger knows. It belongs to one goroutine.
type State struct {
	shard domain.Shard

	// nowMs is the shard's log time; it never goes back.
	nowMs      int64
	nextEntry  domain.Offset // of the ledger, void entries included
	nextIntake domain.Offset

	// control is what this shard knows of control: on control itself everything, elsewhere as far as
	// its last pin.
	control *control

	signers  map[domain.KeyID]*signer
	balances balances
	timers   timers

	accounts      map[domain.AccountID]*account
	jobs          map[domain.JobID]*job
	buckets       map[bucketKey]*bucket
	lastDepositLT uint64

	held      map[domain.WorkerID]map[domain.JobID]*job // pay of each worker that a result may release
	standings map[subjectKey]*standing
	parcels   map[[32]byte]*parcel
	pledged   map[domain.ProviderID]map[[32]byte]*parcel // the same, by provider
}

// New returns the state of a shard before its first entry.
func New(shard domain.Shard) *State {
	s := &State{
		shard:    shard,
		control:  newControl(),
		signers:  map[domain.KeyID]*signer{},
		balances: balances{},
		accounts: map[domain.AccountID]*account{},
		jobs:     map[domain.JobID]*job{},
		buckets:  map[bucketKey]*bucket{},

		held:      map[domain.WorkerID]map[domain.JobID]*job{},
		standings: map[subjectKey]*standing{},
		parcels:   map[[32]byte]*parcel{},
		pledged:   map[domain.ProviderID]map[[32]byte]*parcel{},
	}
	if shard == domain.Control {
		s.control.batches = newBatches()
	}
	return s
}

// NextEntry is the ledger offset that the shard's next entry will stand at.
func (s *State) NextEntry() domain.Offset { return s.nextEntry }

// NextIntake is the intake offset that the shard answers next.
func (s *State) NextIntake() domain.Offset { return s.nextIntake }

// KnowsControlTo is the control ledger's offset up to which (exclusive) the shard has learned.
func (s *State) KnowsControlTo() domain.Offset { return s.control.next }

// ErrNotDecidable says that an entry or record does not follow from the ones before. A log that
// says so was changed, or lost a record: stop.
var ErrNotDecidable = errors.New("does not follow from the log before it")

// latestMs is the end of log time, in the year 9999: far enough below the end of int64 that no
// deadline computed from it can wrap. A log whose clock says more is taken to say this.
const latestMs = 253_402_300_799_999

// Begin decides the first entry of control: the genesis.
func (s *State) Begin(genesis *v1.Genesis) (*v1.Entry, error) {
	entry := &v1.Entry{AtMs: genesis.CreatedAtMs, Offset: int64(s.nextEntry), Body: &v1.Entry_Genesis{Genesis: genesis}}
	return entry, s.Evolve(s.nextEntry, entry)
}

// Pin decides that the shard knows control up to an offset, after the caller has let it Learn every
// entry below.
func (s *State) Pin() (*v1.Entry, error) {
	entry := &v1.Entry{
		AtMs: s.nowMs, Offset: int64(s.nextEntry),
		Body: &v1.Entry_Pin{Pin: &v1.Pin{ControlOffset: int64(s.control.next)}},
	}
	return entry, s.Evolve(s.nextEntry, entry)
}

// Learn takes in the next entry of control's ledger. It is for data shards, which are told of
// control; a Pin in their own ledger then says how far they were told.
func (s *State) Learn(offset domain.Offset, entry *v1.Entry) error {
	if s.shard == domain.Control {
		return fmt.Errorf("shard %d learns control %d: control does not learn of itself", s.shard, offset)
	}
	return s.control.learn(offset, entry, s.hear)
}

// Void reports that an entry does not count: it stands elsewhere than its clerk meant it to, so
// another clerk wrote in between and this one decided on a state that never was. That is what makes
// two clerks on one shard harmless. Every reader of the ledger asks this first.
func Void(at domain.Offset, entry *v1.Entry) bool { return entry.Offset != int64(at) }

// Step answers one intake record and takes the answer in. The entry is not durable yet: if appending
// it fails, or ends at another offset than NextEntry was, this State must be thrown away and made
// again from the log.
func (s *State) Step(said Said) (*v1.Entry, error) {
	if said.Offset != s.nextIntake {
		return nil, fmt.Errorf("shard %d answers intake %d, expected %d: %w", s.shard, said.Offset, s.nextIntake, ErrNotDecidable)
	}
	answer := &v1.Answer{IntakeOffset: int64(said.Offset), IntakeDigest: said.Digest[:]}
	entry := &v1.Entry{AtMs: max(s.nowMs, min(said.AtMs, latestMs)), Offset: int64(s.nextEntry), Body: &v1.Entry_Answer{Answer: answer}}
	s.nowMs = entry.AtMs

	s.decideDue(answer)
	refusal := s.refuse(&said)
	if said.Report != nil {
		answer.Signer, answer.Sequence = said.Report.Signer, said.Report.Sequence
	}
	if refusal != nil {
		answer.Refusal = refusal
		s.finish(answer)
		return entry, nil
	}
	who := s.control.keyring[domain.KeyID(said.Report.Signer)]
	answer.Facts = slices.Grow(answer.Facts, len(said.Report.Claims))
	room := s.roomFor(answer, len(said.Report.Claims))
	for i, claim := range said.Report.Claims {
		fact := room.take(s.balances.affordable(s.decide(who, claim)))
		fact.Claim = uint32(i + 1)
		answer.Facts = append(answer.Facts, fact)
		s.evolve(fact)
	}
	s.finish(answer)
	return entry, nil
}

// Evolve takes in the entry at an offset of the shard's ledger. Pins must find that the control
// entries they name were learned before.
func (s *State) Evolve(offset domain.Offset, entry *v1.Entry) error {
	if offset != s.nextEntry {
		return fmt.Errorf("shard %d takes in entry %d, expected %d: %w", s.shard, offset, s.nextEntry, ErrNotDecidable)
	}
	if Void(offset, entry) {
		s.advance()
		return nil
	}
	if entry.AtMs < s.nowMs || entry.AtMs > latestMs {
		return fmt.Errorf("entry %d/%d: log time %d ms, after %d ms: %w", s.shard, offset, entry.AtMs, s.nowMs, ErrNotDecidable)
	}
	switch body := entry.Body.(type) {
	case *v1.Entry_Genesis:
		if s.shard != domain.Control || offset != 0 {
			return fmt.Errorf("entry %d/%d: a genesis anywhere but first in control: %w", s.shard, offset, ErrNotDecidable)
		}
		if n := body.Genesis.Shards; n == 0 || n > maxDataShards {
			return fmt.Errorf("genesis of %d data shards, must be in 1..%d: %w", n, maxDataShards, ErrNotDecidable)
		}
		s.nowMs = entry.AtMs
		s.control.begin(body.Genesis)
		s.advance()
	case *v1.Entry_Pin:
		if s.shard == domain.Control || domain.Offset(body.Pin.ControlOffset) != s.control.next {
			return fmt.Errorf("entry %d/%d: pins control at %d, learned to %d: %w",
				s.shard, offset, body.Pin.ControlOffset, s.control.next, ErrNotDecidable)
		}
		s.advance()
	case *v1.Entry_Answer:
		if domain.Offset(body.Answer.IntakeOffset) != s.nextIntake {
			return fmt.Errorf("entry %d/%d: answers intake %d, expected %d: %w",
				s.shard, offset, body.Answer.IntakeOffset, s.nextIntake, ErrNotDecidable)
		}
		s.nowMs = entry.AtMs
		for _, fact := range body.Answer.Facts {
			s.evolve(fact)
		}
		s.finish(body.Answer)
	default:
		return fmt.Errorf("entry %d/%d: has no body: %w", s.shard, offset, ErrNotDecidable)
	}
	return nil
}

// finish is the end of an answer, for Step and Evolve alike.
func (s *State) finish(answer *v1.Answer) {
	if answer.Refusal == nil {
		s.remember(answer)
	}
	s.nextIntake++
	s.advance()
}

func (s *State) advance() {
	s.nextEntry++
	if s.shard == domain.Control {
		s.control.next = s.nextEntry
	}
}

// decide answers one claim with one fact. It changes nothing.
func (s *State) decide(who principal, claim *v1.Claim) *v1.Fact {
	if tick, ok := claim.Body.(*v1.Claim_Tick); ok {
		if !who.may(v1.Role_ROLE_CLOCK) {
			return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
		}
		return &v1.Fact{Body: &v1.Fact_Ticked{Ticked: tick.Tick}}
	}
	if s.shard == domain.Control {
		return s.decideControl(who, claim)
	}
	switch body := claim.Body.(type) {
	case *v1.Claim_OpenAccount:
		return s.decideOpenAccount(who, body.OpenAccount)
	case *v1.Claim_ObserveDeposit:
		return s.decideObserveDeposit(who, body.ObserveDeposit)
	case *v1.Claim_RequestWithdrawal:
		return s.decideRequestWithdrawal(who, body.RequestWithdrawal)
	case *v1.Claim_Adjust:
		return s.decideAdjust(who, body.Adjust)
	case *v1.Claim_SubmitJob:
		return s.decideSubmitJob(who, body.SubmitJob)
	case *v1.Claim_AssignJob:
		return s.decideAssignJob(who, body.AssignJob)
	case *v1.Claim_StartJob:
		return s.decideStartJob(who, body.StartJob)
	case *v1.Claim_MeterJob:
		return s.decideMeterJob(who, body.MeterJob)
	case *v1.Claim_CompleteJob:
		return s.decideCompleteJob(who, body.CompleteJob)
	case *v1.Claim_FailJob:
		return s.decideFailJob(who, body.FailJob)
	case *v1.Claim_CancelJob:
		return s.decideCancelJob(who, body.CancelJob)
	case *v1.Claim_DisputeJob:
		return s.decideDisputeJob(who, body.DisputeJob)
	case *v1.Claim_ResolveDispute:
		return s.decideResolveDispute(who, body.ResolveDispute)
	default:
		return reject(v1.Reason_REASON_WRONG_LOG, "shard")
	}
}

// evolve takes one fact in. A fact was decided on this very state, so nothing here can fail.
func (s *State) evolve(fact *v1.Fact) {
	s.balances.post(fact.Postings)
	s.weigh(fact)
	switch body := fact.Body.(type) {
	case *v1.Fact_AccountOpened:
		s.evolveAccountOpened(body.AccountOpened)
	case *v1.Fact_AccountFunded:
		s.lastDepositLT = body.AccountFunded.Lt
	case *v1.Fact_JobSubmitted:
		s.evolveJobSubmitted(body.JobSubmitted)
	case *v1.Fact_JobAssigned:
		s.evolveJobAssigned(body.JobAssigned)
	case *v1.Fact_JobStarted:
		s.evolveJobStarted(body.JobStarted)
	case *v1.Fact_JobMetered:
		s.evolveJobMetered(body.JobMetered)
	case *v1.Fact_JobCompleted:
		s.evolveJobClosed(body.JobCompleted)
	case *v1.Fact_JobFailed:
		s.evolveJobClosed(body.JobFailed)
	case *v1.Fact_JobCancelled:
		s.evolveJobClosed(body.JobCancelled)
	case *v1.Fact_JobExpired:
		s.evolveJobClosed(body.JobExpired)
	case *v1.Fact_JobDisputed:
		s.evolveJobDisputed(body.JobDisputed)
	case *v1.Fact_DisputeResolved:
		s.evolveDisputeResolved(body.DisputeResolved)
	case *v1.Fact_EarningsMatured:
		s.evolveEarningsMatured(body.EarningsMatured)
	case *v1.Fact_PayReleased:
		s.evolvePayReleased(body.PayReleased)
	case *v1.Fact_HoldExtended:
		s.evolveHoldExtended(body.HoldExtended)
	case *v1.Fact_PayRefused:
		s.evolvePayRefused(body.PayRefused)
	case *v1.Fact_HoldbackReleased:
		s.evolveHoldbackReleased(body.HoldbackReleased)
	case *v1.Fact_HoldbackForfeited:
		s.evolveHoldbackForfeited(body.HoldbackForfeited)
	case *v1.Fact_StandingSet:
		s.evolveStandingSet(body.StandingSet)
	default:
		if s.shard == domain.Control {
			s.control.evolve(fact, s.nowMs)
			s.scheduleAttestation(fact)
		}
	}
}

// Network is the id of the network, once control's genesis is known.
func (s *State) Network() domain.NetworkID { return s.control.network }

// NowMs is the shard's log time: that of its newest entry, 0 before the first.
func (s *State) NowMs() int64 { return s.nowMs }

// NextDueMs is the log time at which something will happen by itself, if anything will.
func (s *State) NextDueMs() (atMs int64, due bool) {
	if len(s.timers) == 0 {
		return 0, false
	}
	return s.timers[0].atMs, true
}
