package projections

import (
	"errors"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
)

// JobFilter picks jobs. Where an id is given only what has that id; at most one of the four is. A state or a dispute that is
// given picks what stands so; at most one of the two is, and a dispute goes with a client, a provider, or neither.
type JobFilter struct {
	Client   domain.ClientID
	Provider domain.ProviderID
	Worker   domain.WorkerID
	Model    domain.ModelID
	State    string
	Dispute  string
	// Submitted at or after FromMs and before ToMs (0: no end).
	FromMs, ToMs int64
}

// JobPlace is where a job stands among others: by when it was submitted, and then by id.
type JobPlace struct {
	SubmittedMs int64
	Job         domain.JobID
}

// JobPart is a part of what a JobFilter picks, of which an index has the jobs in order: those of one closed state, all that
// are open, or those with one kind of dispute.
type JobPart struct {
	Open           bool
	State, Dispute string
}

// JobStates are the states of jobs, those of closed ones behind.
func JobStates() []string {
	return []string{JobSubmitted, JobAssigned, JobStarted, JobCompleted, JobFailed, JobCancelled, JobExpired}
}

// Parts returns the parts that together are what the states and disputes of the filter pick.
func (f JobFilter) Parts() ([]JobPart, error) {
	switch {
	case f.Dispute != "" && (f.State != "" || f.Worker != (domain.WorkerID{}) || f.Model != (domain.ModelID{})):
		return nil, fmt.Errorf("dispute %q goes with neither state, worker nor model: %w", f.Dispute, errBadFilter)
	case f.Dispute == DisputeOpen, f.Dispute == DisputeResolved:
		return []JobPart{{Dispute: f.Dispute}}, nil
	case f.Dispute != "":
		return nil, fmt.Errorf("dispute is %q: %w", f.Dispute, errBadFilter)
	case f.State == "":
		return []JobPart{{State: JobCompleted}, {State: JobFailed}, {State: JobCancelled}, {State: JobExpired}, {Open: true}}, nil
	case slices.Contains([]string{JobCompleted, JobFailed, JobCancelled, JobExpired}, f.State):
		return []JobPart{{State: f.State}}, nil
	case slices.Contains([]string{JobSubmitted, JobAssigned, JobStarted}, f.State):
		return []JobPart{{Open: true, State: f.State}}, nil
	default:
		return nil, fmt.Errorf("state is %q: %w", f.State, errBadFilter)
	}
}

var errBadFilter = errors.New("no such jobs")

// ClientTotal is a client, with what its accounts hold.
type ClientTotal struct {
	Client
	Accounts            int64
	Available, Reserved domain.Nano
}

// AccountTotal is an account, with what it holds.
type AccountTotal struct {
	Account
	Available, Reserved domain.Nano
}

// Parties counts who takes part in the network.
type Parties struct{ Providers, Workers, Clients int64 }

// WorkerTotal is a worker and how it stands.
type WorkerTotal struct {
	Worker
	State string // Trust's; "" of one that was never asked
	// ScorePPM is the lowest of the shards that have judged the worker, which are JudgedBy; SuspendedUntilMs is their latest.
	ScorePPM, JudgedBy, SuspendedUntilMs int64
	Offers                               int64 // in force (Offer.InForce)
}

// AttestationFilter picks words on attestations: of a worker, or of all with a zero id, and of one kind, or all with "".
type AttestationFilter struct {
	Worker domain.WorkerID
	What   string
}

// AttestationWords are the kinds of words on attestations.
func AttestationWords() []string {
	return []string{
		"attestation_challenged", "attestation_passed", "attestation_failed", "attestation_revoked", "attestation_expired", "key_rotated", "retired",
	}
}

// ModelTotal is a model, with its price list and who serves it.
type ModelTotal struct {
	ListedModel
	// Card is the price list in force: the model's own, or else the one for every model. Its id is zero where there is none.
	Card RateCard
	// Offers are those in force (Offer.InForce), the coefficients theirs.
	Offers          int64
	Lowest, Highest uint32
}

// OfferTotal is an offer in force, with whose it is.
type OfferTotal struct {
	Offer
	Provider domain.ProviderID
}

// Cleared is what was done for one model in one hour.
type Cleared struct {
	HourMs    int64
	Model     domain.ModelID
	Busy      int64 // workers that completed a job
	Cleared   int64 // jobs completed
	Tokens    int64
	BaseUnits int64
	Adjusted  int64
	Charge    domain.Nano
}
