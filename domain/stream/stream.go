// Package stream knows what the ledger tells others: which facts make a message, to which stream it
// belongs, and what keeps its order.
//
// A message follows from its entry alone. So whoever reads the ledger can make a stream, from any
// place on, as often as needed, and each time it is the same.
package stream

import (
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Name names a stream.
type Name string

// The streams. Completions come from the data shards, the others from control.
const (
	Completions Name = "completions" // v1.Completion; key: the account
	Settlement  Name = "settlement"  // v1.SettlementStep; no key: they are in one order
	Attestation Name = "attestation" // v1.AttestationRequest; key: the worker
)

// From returns the streams that a shard feeds.
func From(shard domain.Shard) []Name {
	if shard == domain.Control {
		return []Name{Settlement, Attestation}
	}
	return []Name{Completions}
}

// Message is one message of a stream.
type Message struct {
	Stream   Name
	Position domain.FactPosition
	AtMs     int64
	// Key is 32 bytes, or nil: messages with the same one are in the order of the ledger wherever they go.
	Key []byte
	// About is what the message is about, for those who follow one thing through several systems: the job,
	// the batch, the payee, the challenge. It is text.
	About string
	Body  v1.Message
}

// Of returns what an entry of the ledger tells others, in order; nothing for a void one. The messages point
// into the entry.
func Of(shard domain.Shard, offset domain.Offset, entry *v1.Entry) []Message {
	answer := entry.GetAnswer()
	if answer == nil || ledger.Void(offset, entry) {
		return nil
	}
	var messages []Message
	for i, fact := range answer.Facts {
		at := domain.FactPosition{Position: domain.Position{Shard: shard, Offset: offset}, Fact: i + 1}
		if m, told := of(at, entry.AtMs, fact); told {
			messages = append(messages, m)
		}
	}
	return messages
}

func of(at domain.FactPosition, atMs int64, fact *v1.Fact) (Message, bool) {
	if closed, outcome := closedBy(fact); closed != nil {
		return Message{
			Stream: Completions, Position: at, AtMs: atMs, Key: closed.Account,
			About: domain.JobID(closed.Job).String(), Body: completion(at, atMs, closed, outcome),
		}, true
	}
	if step, about := settlementStep(fact); step != nil {
		step.Position, step.AtMs = position(at), atMs
		return Message{Stream: Settlement, Position: at, AtMs: atMs, About: about, Body: step}, true
	}
	if asked := fact.GetAttestationChallenged(); asked != nil {
		return Message{
			Stream: Attestation, Position: at, AtMs: atMs, Key: asked.Worker, About: domain.Digest(asked.Challenge).String(),
			Body: &v1.AttestationRequest{
				Position: position(at), AtMs: atMs, Worker: asked.Worker, Challenge: asked.Challenge, ExpiresAtMs: asked.ExpiresAtMs,
			},
		}, true
	}
	return Message{}, false
}

func position(p domain.FactPosition) *v1.FactPosition {
	return &v1.FactPosition{Shard: uint32(p.Shard), Offset: int64(p.Offset), Fact: uint32(p.Fact)}
}

// PositionOf reads a position out of a message.
func PositionOf(p *v1.FactPosition) domain.FactPosition {
	return domain.FactPosition{
		Position: domain.Position{Shard: domain.Shard(p.GetShard()), Offset: domain.Offset(p.GetOffset())}, Fact: int(p.GetFact()),
	}
}

// closedBy returns the end of a job, and how it ended.
func closedBy(fact *v1.Fact) (*v1.JobClosed, v1.Outcome) {
	switch body := fact.Body.(type) {
	case *v1.Fact_JobCompleted:
		return body.JobCompleted, v1.Outcome_OUTCOME_COMPLETED
	case *v1.Fact_JobFailed:
		return body.JobFailed, v1.Outcome_OUTCOME_FAILED
	case *v1.Fact_JobCancelled:
		return body.JobCancelled, v1.Outcome_OUTCOME_CANCELLED
	case *v1.Fact_JobExpired:
		return body.JobExpired, v1.Outcome_OUTCOME_EXPIRED
	default:
		return nil, v1.Outcome_OUTCOME_UNSPECIFIED
	}
}

func completion(at domain.FactPosition, atMs int64, closed *v1.JobClosed, outcome v1.Outcome) *v1.Completion {
	return &v1.Completion{
		Position: position(at), AtMs: atMs, Outcome: outcome, Failure: closed.Failure,
		Job: closed.Job, Account: closed.Account, Client: closed.Client, Model: closed.Model,
		Worker: closed.Worker, Provider: closed.Provider, Usage: closed.Usage,
		ChargeNano: closed.ChargeNano, ReleasedNano: closed.ReleasedNano, DisputableUntilMs: closed.DisputableUntilMs,
		RateCard: closed.RateCard, Coefficient: closed.Coefficient, AdjustedTokens: closed.AdjustedTokens,
	}
}
