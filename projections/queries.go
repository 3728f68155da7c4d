package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// MaxRows bounds the rows of one answer that is read page by page. A limit is between 1 and MaxRows.
const MaxRows = 10_000

var (
	// ErrTooMany: the answer is longer than MaxRows. Ask for less at a time.
	ErrTooMany = errors.New("ask for less at a time")

	errBadLimit = errors.New("limit out of range")
)

// CheckLimit is for readers: a limit that is out of range is an error.
func CheckLimit(limit int) error {
	if limit < 1 || limit > MaxRows {
		return fmt.Errorf("limit is %d, want 1 to %d: %w", limit, MaxRows, errBadLimit)
	}
	return nil
}

// Reader answers questions as of one moment: whatever is asked of one Reader is answered at the same place
// in the log. Nothing unknown is answered with nothing: it is ErrNotFound.
type Reader interface {
	View
	BookReader
	JobReader
	PartyReader
	BatchReader
	ReportReader
	StandingReader
	AttestationReader
	MarketReader

	// At returns where in the log the answers are from. It is ErrNotTogether while a model is being
	// rebuilt, as then different answers are from different places.
	At(ctx context.Context) (Checkpoint, error)
}

// BookReader answers questions about money.
type BookReader interface {
	PeriodReader

	// Balance returns what an account holds. An account that nothing was ever posted to is unknown.
	Balance(ctx context.Context, kind v1.AccountKind, owner [32]byte) (Balance, error)
	// BalanceAt returns what an account held when log time was atMs, that moment included.
	BalanceAt(ctx context.Context, kind v1.AccountKind, owner [32]byte, atMs int64) (domain.Nano, error)
	// BalancesOfKind returns accounts of a kind, by owner: those after one that was returned before; nil for the first ones.
	BalancesOfKind(ctx context.Context, kind v1.AccountKind, after *[32]byte, limit int) ([]Balance, error)
	// Moved returns what went into and out of an account since the beginning.
	Moved(ctx context.Context, kind v1.AccountKind, owner [32]byte) (Turnover, error)
	// BalancesOf returns all accounts of an owner, by kind.
	BalancesOf(ctx context.Context, owner [32]byte) ([]Balance, error)
	// TrialBalance returns the sum of each kind of account, by name. All together are zero.
	TrialBalance(ctx context.Context) ([]KindTotal, error)
	// Journal returns an account's postings in the order of log time, at most limit (up to MaxRows),
	// after a line that was returned before; from the first one on after the zero line.
	Journal(ctx context.Context, kind v1.AccountKind, owner [32]byte, after JournalLine, limit int) ([]JournalLine, error)
	// DepositsOf returns what was received for an account, below a logical time, the highest first.
	DepositsOf(ctx context.Context, account domain.AccountID, belowLT uint64, limit int) ([]Deposit, error)
}

// JobReader answers questions about work.
type JobReader interface {
	Job(ctx context.Context, job domain.JobID) (Job, error)
	// JobsLike returns jobs, those submitted last first, below a place; from the last one on below the zero place.
	JobsLike(ctx context.Context, which JobFilter, below JobPlace, limit int) ([]Job, error)
	// OpenJobs counts jobs that are not closed, up to MaxRows of them.
	OpenJobs(ctx context.Context) (int64, error)
	// UsageTotals sums usage over all columns of the key that are not asked for; those are zero then. It is ErrTooMany where
	// that is more than MaxRows rows.
	UsageTotals(ctx context.Context, which UsageFilter, by UsageBy) ([]Usage, error)
	// UsageOfMinutes sums the usage of all minutes that begin at or after fromMs and before toMs.
	UsageOfMinutes(ctx context.Context, fromMs, toMs int64) (UsageSums, error)
}

// PartyReader answers questions about who asked for work and did it.
type PartyReader interface {
	Provider(ctx context.Context, provider domain.ProviderID) (Provider, error)
	// ProviderTotals returns one line for each provider, by name and id: those after one that was returned before; from the
	// first one on after the zero line.
	ProviderTotals(ctx context.Context, after ProviderTotal, limit int) ([]ProviderTotal, error)
	ProviderTotal(ctx context.Context, provider domain.ProviderID) (ProviderTotal, error)
	// ClientTotals returns one line for each client after one, by id.
	ClientTotals(ctx context.Context, after domain.ClientID, limit int) ([]ClientTotal, error)
	Account(ctx context.Context, account domain.AccountID) (Account, error)
	// AccountsOf returns the accounts of a client after one, by id.
	AccountsOf(ctx context.Context, client domain.ClientID, after domain.AccountID, limit int) ([]AccountTotal, error)
	// NamesFrom returns what is of a kind that has names, by FoldName of the name and then by id, from a folded name on.
	NamesFrom(ctx context.Context, kind NamedKind, name string, limit int) ([]Named, error)
	// IDsFrom returns what is of a kind by id, from one on.
	IDsFrom(ctx context.Context, kind NamedKind, id [32]byte, limit int) ([]Named, error)
	// Parties counts who takes part and is not retired.
	Parties(ctx context.Context) (Parties, error)
}

// BatchReader answers questions about settlement.
type BatchReader interface {
	// BatchesBelow returns batches below a number, the highest first.
	BatchesBelow(ctx context.Context, number uint32, limit int) ([]Batch, error)
	// Batch returns one batch with its cut.
	Batch(ctx context.Context, number uint32) (BatchDetail, error)
	// LinesOf returns the lines of a batch after a payee, by payee.
	LinesOf(ctx context.Context, number uint32, after domain.ProviderID, limit int) ([]BatchLine, error)
	// LinesFor returns the lines of a payee in batches below a number, the highest first.
	LinesFor(ctx context.Context, payee domain.ProviderID, below uint32, limit int) ([]BatchLine, error)
	Payout(ctx context.Context, payee domain.ProviderID) (Payout, error)
	// PaymentsTo returns the payments to a payee below a logical time, the highest first.
	PaymentsTo(ctx context.Context, payee domain.ProviderID, belowLT uint64, limit int) ([]Payment, error)
	// PaymentReaching returns the payment with which all payments to a payee came to an amount.
	PaymentReaching(ctx context.Context, payee domain.ProviderID, cumulative domain.Nano) (Payment, error)
	// MaturityOf returns how a provider's bucket became payable in a shard, at or after an offset.
	MaturityOf(ctx context.Context, provider domain.ProviderID, bucketMs int64, from domain.Position) (Maturity, error)
	// FirstLine returns the payee's line in the first batch, not vetoed, whose cut has the position below it.
	FirstLine(ctx context.Context, payee domain.ProviderID, covers domain.Position) (BatchLine, error)
}

// ReportReader answers questions about what was said, taken and refused.
type ReportReader interface {
	// Report returns a report that the ledger took.
	Report(ctx context.Context, key ReportKey) (Report, error)
	// LastSequence returns the highest sequence that a signer has used in a shard; 0 for none.
	LastSequence(ctx context.Context, signer domain.KeyID, shard domain.Shard) (uint64, error)
	// RejectionTotals counts rejections by reason, the most frequent first, in hours that begin at or after fromMs and before
	// toMs.
	RejectionTotals(ctx context.Context, fromMs, toMs int64) ([]ReasonTotal, error)
	// RejectionsOfJob returns what was rejected and named the job, in the order of the ledger.
	RejectionsOfJob(ctx context.Context, job domain.JobID) ([]Rejected, error)
	// RejectionsOfReport returns what was rejected under a report's name, refused copies of it included.
	RejectionsOfReport(ctx context.Context, key ReportKey) ([]Rejected, error)
	// RejectionsOfProvider counts by reason what was rejected of a provider and its workers.
	RejectionsOfProvider(ctx context.Context, provider domain.ProviderID) ([]ReasonTotal, error)
}

// StandingReader answers questions about who is trusted, and about pay that waits.
type StandingReader interface {
	// Standings returns how a worker or provider stands, by shard. Nobody has judged one that is unknown.
	Standings(ctx context.Context, kind v1.SubjectKind, subject [32]byte) ([]Standing, error)
	// Hold returns what became of the pay of a job that was held for its worker's attestation.
	Hold(ctx context.Context, job domain.JobID) (Hold, error)
	// HoldExtensions returns the time that was added to a hold, in the order of the ledger, at most MaxRows.
	HoldExtensions(ctx context.Context, job domain.JobID) ([]HoldExtension, error)
	// HoldTotals sums held pay of a worker, or of all with a zero id, by worker, cause, state and provider, in this order: what
	// comes after a line that was returned before, from the first one on after the zero line.
	HoldTotals(ctx context.Context, worker domain.WorkerID, after HoldTotal, limit int) ([]HoldTotal, error)
	// Holdback returns what was held back of one bucket of a provider.
	Holdback(ctx context.Context, key HoldbackKey) (Holdback, error)
	// HoldbacksOf returns what is held back of a provider and was neither released nor taken whole, the next to end first:
	// what comes after one that was returned before.
	HoldbacksOf(ctx context.Context, provider domain.ProviderID, after Holdback, limit int) ([]Holdback, error)
	// WorkerTotals returns the workers of a provider, or all with a zero id, after one, by id, retired ones included.
	WorkerTotals(ctx context.Context, provider domain.ProviderID, after domain.WorkerID, limit int) ([]WorkerTotal, error)
}

// AttestationReader answers questions about who has proved what it runs.
type AttestationReader interface {
	Worker(ctx context.Context, worker domain.WorkerID) (Worker, error)
	// Trust returns how a worker's attestation stands.
	Trust(ctx context.Context, worker domain.WorkerID) (Trust, error)
	// AttestationsLike returns what control said of attestations, the latest first, below a place that was returned before;
	// from the latest on below the zero place.
	AttestationsLike(ctx context.Context, which AttestationFilter, below AttestationKey, limit int) ([]Attestation, error)
	// AttestationAt returns what an entry of control said last of a worker's attestation.
	AttestationAt(ctx context.Context, worker domain.WorkerID, at domain.Offset) (Attestation, error)
	// RetiredImage returns where an image was retired.
	RetiredImage(ctx context.Context, image domain.Digest) (RetiredImage, error)
}

// MarketReader has what Market is made of.
type MarketReader interface {
	// Cleared sums work by hour and model, in this order, at most MaxRows of them and one.
	Cleared(ctx context.Context, which MarketFilter) ([]Cleared, error)
	// OffersUntil returns offers made before which.ToMs, in the order of the ledger: all since which.FromMs, and of
	// each worker and model the last one before.
	OffersUntil(ctx context.Context, which MarketFilter) ([]OfferChange, error)
	// OutOfService returns the workers that are out of service, and since when (Worker.OutSinceMs).
	OutOfService(ctx context.Context) (map[domain.WorkerID]int64, error)
	// ModelTotals returns the models after one, by id.
	ModelTotals(ctx context.Context, after domain.ModelID, limit int) ([]ModelTotal, error)
	// OffersLike returns offers in force (Offer.InForce) of a worker, of a model, of both, or of all with zero ids: those after one that was
	// returned before, by worker and model.
	OffersLike(ctx context.Context, which OfferKey, after OfferKey, limit int) ([]OfferTotal, error)
	// OfferChangesLike returns what a worker, or with a zero id anybody, asked for a model, the latest first, below a place
	// that was returned before; from the latest on below the zero place.
	OfferChangesLike(ctx context.Context, model domain.ModelID, worker domain.WorkerID, below OfferChangeKey, limit int) ([]OfferChange, error)
}

// Source gives Readers, each good until see returns.
type Source interface {
	Read(ctx context.Context, see func(Reader) error) error
}

// KindTotal is one line of the trial balance.
type KindTotal struct {
	Kind     string      `json:"kind"` // KindName
	Accounts int64       `json:"accounts"`
	Amount   domain.Nano `json:"amount_nano"`
}

// ReasonTotal counts rejections.
type ReasonTotal struct {
	Reason string `json:"reason"` // ReasonName
	Count  int64  `json:"count"`
}

// HoldTotal sums the pay of one worker that was held for one cause and has come to one end.
type HoldTotal struct {
	Worker   domain.WorkerID   `json:"worker"`
	Provider domain.ProviderID `json:"provider"`
	Cause    string            `json:"cause"` // "never_passed", "image_retired", ...
	State    string            `json:"state"` // HoldWaiting, ...
	Jobs     int64             `json:"jobs"`
	Amount   domain.Nano       `json:"amount_nano"`
	Charge   domain.Nano       `json:"charge_nano"`
}

// UsageFilter picks usage: hours that begin at or after FromMs and before ToMs (0: no end), and where an
// id is given only what has that id.
type UsageFilter struct {
	FromMs, ToMs int64
	Model        domain.ModelID
	Provider     domain.ProviderID
	Client       domain.ClientID
}

// UsageBy says which columns of the key are kept.
type UsageBy struct {
	// Hour and Day exclude each other. Of days, HourMs is the start; days are UTC's.
	Hour, Day, Model, Provider, Client bool
}

// ProviderTotal is what a provider did and what became of its pay, since the beginning.
type ProviderTotal struct {
	Provider       domain.ProviderID `json:"provider"`
	Name           string            `json:"name"`
	Workers        int64             `json:"workers"` // not retired
	Completed      int64             `json:"jobs_completed"`
	Failed         int64             `json:"jobs_failed"`
	Cancelled      int64             `json:"jobs_cancelled"`
	Expired        int64             `json:"jobs_expired"`
	Tokens         Tokens            `json:"tokens"`
	AdjustedTokens int64             `json:"adjusted_tokens"`
	WorkerPart     domain.Nano       `json:"worker_nano"` // charged for it, before disputes
	// Balances.
	Earned    domain.Nano `json:"earned_nano"`
	Held      domain.Nano `json:"held_nano"`
	Payable   domain.Nano `json:"payable_nano"`
	Committed domain.Nano `json:"committed_nano"`
	Paid      domain.Nano `json:"paid_nano"` // on chain
}

// BatchDetail is a batch with its cut.
type BatchDetail struct {
	Batch
	Cuts []BatchCut // by shard
}
