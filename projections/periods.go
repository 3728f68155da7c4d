package projections

import (
	"context"
	"iter"

	"github.com/filature/filature/domain"
)

// PeriodReader answers questions about spans of log time. A span begins at fromMs and ends before toMs, both at a full hour.
type PeriodReader interface {
	StatementReader

	// MonthsBegun returns, by shard, the first month that begins at fromMs or later. Shards in which none has begun are
	// missing: more can still happen in them before fromMs.
	MonthsBegun(ctx context.Context, fromMs int64) ([]Month, error)
	// TrialBalanceAt returns what all accounts of each kind held together when log time was atMs, that moment included; kinds by
	// name, those missing to which nothing had been posted. math.MaxInt64 is now.
	TrialBalanceAt(ctx context.Context, atMs int64) ([]TrialLine, error)
	// Postings yields every posting of a span, whole facts, in the order of log time and place in the ledger.
	Postings(ctx context.Context, fromMs, toMs int64) iter.Seq2[JournalLine, error]
}

// StatementReader has what statements and invoices are made of.
type StatementReader interface {
	Client(ctx context.Context, client domain.ClientID) (Client, error)
	// FlowsOf sums what was posted to accounts in a span of whole months, by kind and by the fact that moved it.
	FlowsOf(ctx context.Context, whose Holder, fromMs, toMs int64) ([]Flow, error)
	// HeldBefore sums what accounts held when a month began, by kind. Kinds that nothing was posted to are missing.
	HeldBefore(ctx context.Context, whose Holder, fromMs int64) ([]KindTotal, error)
	// WorkerDaysOf sums the days of each worker of a provider, by worker.
	WorkerDaysOf(ctx context.Context, provider domain.ProviderID, fromMs, toMs int64) ([]WorkerDay, error)
	// ClientDaysOf returns what a client used in each day.
	ClientDaysOf(ctx context.Context, client domain.ClientID, fromMs, toMs int64) ([]ClientDay, error)
	// DepositsIn returns the deposits into a client's accounts, by the time at which they were booked.
	DepositsIn(ctx context.Context, client domain.ClientID, fromMs, toMs int64) ([]Deposit, error)
	// LinesTo returns a payee's lines in all batches, those of vetoed ones too, by batch.
	LinesTo(ctx context.Context, payee domain.ProviderID) ([]BatchLine, error)
	// PaymentsBefore returns the payments to a payee that were seen before toMs, in the order of the chain.
	PaymentsBefore(ctx context.Context, payee domain.ProviderID, toMs int64) ([]Payment, error)
}

// Holder says whose accounts are meant: a provider's provider/* or the client/* of all accounts of a client. One of them is zero.
type Holder struct {
	Provider domain.ProviderID
	Client   domain.ClientID
}

// Flow sums postings.
type Flow struct {
	Kind     string // KindName
	What     string // FactName
	Postings int64
	In, Out  domain.Nano // both positive
}

// TrialLine is one line of a trial balance at a moment: what the accounts of a kind held together.
type TrialLine struct {
	Kind   string // KindName
	Amount domain.Nano
}

// Debit is the amount where it is below zero, without the sign.
func (l TrialLine) Debit() domain.Nano { return max(-l.Amount, 0) }

// Credit is the amount where it is above zero.
func (l TrialLine) Credit() domain.Nano { return max(l.Amount, 0) }
