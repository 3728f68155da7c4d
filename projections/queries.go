package projections

import (
	"context"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// MaxRows bounds the rows of one answer that is read page by page.
const MaxRows = 10_000

// Reader answers questions as of one moment: whatever is asked of one Reader is answered at the same place
// in the log. Nothing unknown is answered with nothing: it is ErrNotFound.
type Reader interface {
	View
	BookReader
	JobReader
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
	// Balance returns what an account holds. An account that nothing was ever posted to is unknown.
	Balance(ctx context.Context, kind v1.AccountKind, owner [32]byte) (Balance, error)
	// BalanceAt returns what an account held when log time was atMs, that moment included.
	BalanceAt(ctx context.Context, kind v1.AccountKind, owner [32]byte, atMs int64) (domain.Nano, error)
	// BalancesOf returns all accounts of an owner, by kind.
	BalancesOf(ctx context.Context, owner [32]byte) ([]Balance, error)
	// TrialBalance returns the sum of each kind of account, by name. All together are zero.
	TrialBalance(ctx context.Context) ([]KindTotal, error)
	// Journal returns an account's postings in the order of log time, at most limit (up to MaxRows),
	// after a line that was returned before; from the first one on after the zero line.
	Journal(ctx context.Context, kind v1.AccountKind, owner [32]byte, after JournalLine, limit int) ([]JournalLine, error)
}

// JobReader answers questions about work, and who asked for it and did it.
type JobReader interface {
	Job(ctx context.Context, job domain.JobID) (Job, error)
	// UsageTotals sums usage over all columns of the key that are not asked for; those are zero then.
	UsageTotals(ctx context.Context, which UsageFilter, by UsageBy) ([]Usage, error)
	Provider(ctx context.Context, provider domain.ProviderID) (Provider, error)
	// ProviderTotals returns one line for each provider, by name.
	ProviderTotals(ctx context.Context) ([]ProviderTotal, error)
	// AccountsOf returns the accounts of a client.
	AccountsOf(ctx context.Context, client domain.ClientID) ([]Account, error)
}

// BatchReader answers questions about settlement.
type BatchReader interface {
	// BatchList returns all batches, by number.
	BatchList(ctx context.Context) ([]Batch, error)
	// Batch returns one batch with its cut and its lines.
	Batch(ctx context.Context, number uint32) (BatchDetail, error)
	Payout(ctx context.Context, payee domain.ProviderID) (Payout, error)
	// PaymentsTo returns the payments to a payee in the order of the chain.
	PaymentsTo(ctx context.Context, payee domain.ProviderID) ([]Payment, error)
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
	// RejectionTotals counts rejections by reason, the most frequent first.
	RejectionTotals(ctx context.Context) ([]ReasonTotal, error)
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
	// HoldTotals sums held pay by worker, cause and state, in this order.
	HoldTotals(ctx context.Context) ([]HoldTotal, error)
	// Holdback returns what was held back of one bucket of a provider.
	Holdback(ctx context.Context, key HoldbackKey) (Holdback, error)
	// HoldbacksOf returns what is held back of a provider and was neither released nor taken whole, the next to end first.
	HoldbacksOf(ctx context.Context, provider domain.ProviderID) ([]Holdback, error)
	// WorkersOf returns the workers of a provider, retired ones included.
	WorkersOf(ctx context.Context, provider domain.ProviderID) ([]Worker, error)
}

// AttestationReader answers questions about who has proved what it runs.
type AttestationReader interface {
	Worker(ctx context.Context, worker domain.WorkerID) (Worker, error)
	// Trust returns how a worker's attestation stands.
	Trust(ctx context.Context, worker domain.WorkerID) (Trust, error)
	// AttestationsOf returns what control said of a worker's attestation, the latest first, at most limit (up to MaxRows).
	AttestationsOf(ctx context.Context, worker domain.WorkerID, limit int) ([]Attestation, error)
	// AttestationAt returns what an entry of control said last of a worker's attestation.
	AttestationAt(ctx context.Context, worker domain.WorkerID, at domain.Offset) (Attestation, error)
	// RetiredImage returns where an image was retired.
	RetiredImage(ctx context.Context, image domain.Digest) (RetiredImage, error)
}

// MarketReader has what Market is made of.
type MarketReader interface {
	// Work returns work by hour, model and worker.
	Work(ctx context.Context, which MarketFilter) ([]Work, error)
	// OffersUntil returns offers made before which.ToMs, in the order of the ledger: all since which.FromMs, and of
	// each worker and model the last one before.
	OffersUntil(ctx context.Context, which MarketFilter) ([]OfferChange, error)
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
	Hour, Model, Provider, Client bool
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

// BatchDetail is a batch with all that it is made of.
type BatchDetail struct {
	Batch
	Cuts  []BatchCut  // by shard
	Lines []BatchLine // by payee
}
