package recount

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Books are the postings and the jobs of a ledger, one by one, as its entries tell them. Whoever has them can answer
// any question about money or work by adding up: what an account held at some moment, what one kind of fact moved in a
// month, what was used in an hour. They hold some hundred bytes for each posting and each job: they are for comparing
// numbers with, and not for an audit of millions, which is Count.
//
// They believe what the facts say. Count is who checks that.
type Books struct {
	// Postings are in the order of their shards, and in each in the order of the ledger.
	Postings []Posting
	Jobs     map[[32]byte]*Job
	// Batches are in the order in which they were sealed.
	Batches []*Batch
	// ClientOf has the client of each prepaid account.
	ClientOf map[[32]byte][32]byte
	// NameOf has the name of each client, provider and model.
	NameOf map[[32]byte]string
	// Rejected counts the claims, and the whole reports, that were not accepted, by the reason in lower case: "malformed".
	Rejected map[string]int64
}

// Posting is one leg of a fact.
type Posting struct {
	Account Account
	Amount  int64
	AtMs    int64
	What    string // the fact, in the schema's words: "job_completed"
	Job     [32]byte
}

// Job is one job, from what its facts say.
type Job struct {
	Client, Model, Worker, Provider [32]byte

	// State is that of the last fact that moved it: "submitted", "assigned", "started", "completed", "failed", "cancelled",
	// "expired"; Dispute is "", "open" or "resolved".
	State, Dispute string

	Reserved                    int64
	Usage                       *v1.Usage
	Adjusted                    int64
	Charge, WorkerPart, Fee     int64
	ClosedMs                    int64 // 0 while it is open
	Hold                        bool  // its pay waited for an attestation
	Refund, FromWorker, Slashed int64 // by a dispute
	Refused, RefusedFromWorker  int64 // given back as no attestation came
}

// Batch is what was sealed, and where it has got to: "sealed", "proposed", "activated", "vetoed".
type Batch struct {
	*v1.SealBatch
	State string
}

// ReadBooks reads a ledger up to the given offsets, one per shard and each exclusive.
func ReadBooks(ctx context.Context, log Log, ends []int64) (*Books, error) {
	b := &Books{
		Jobs: map[[32]byte]*Job{}, ClientOf: map[[32]byte][32]byte{}, NameOf: map[[32]byte]string{}, Rejected: map[string]int64{},
	}
	for shard, end := range ends {
		for next := int64(0); next < end; {
			records, err := log.Read(ctx, shard, next, int(min(readRecords, end-next)))
			if err != nil {
				return nil, fmt.Errorf("recount: ledger %d from %d: %w", shard, next, err)
			}
			for _, raw := range records {
				var entry v1.Entry
				if err := proto.Unmarshal(raw, &entry); err != nil {
					return nil, &EntryError{Shard: shard, Offset: next, Err: err}
				}
				if entry.Offset == next { // else another clerk wrote first
					if err := b.entry(&entry); err != nil {
						return nil, &EntryError{Shard: shard, Offset: next, Err: err}
					}
				}
				next++
			}
		}
	}
	return b, nil
}

func (b *Books) entry(entry *v1.Entry) error {
	if refusal := entry.GetAnswer().GetRefusal(); refusal != nil {
		b.reject(refusal)
	}
	for i, fact := range entry.GetAnswer().GetFacts() {
		name, job := about(fact)
		for _, p := range fact.Postings {
			b.Postings = append(b.Postings, Posting{accountOf(p.Kind, p.Owner), p.AmountNano, entry.AtMs, name, job})
		}
		if err := b.take(entry.AtMs, name, job, fact); err != nil {
			return fmt.Errorf("answer.facts[%d]: %w", i, err)
		}
	}
	return nil
}

func (b *Books) reject(why *v1.Rejection) {
	b.Rejected[strings.ToLower(strings.TrimPrefix(why.Reason.String(), "REASON_"))]++
}

// about is what a fact is called in the schema, and the job that it names, if it names one.
func about(fact *v1.Fact) (name string, job [32]byte) {
	message := fact.ProtoReflect()
	which := message.WhichOneof(message.Descriptor().Oneofs().ByName("body"))
	if which == nil {
		return "", job
	}
	body := message.Get(which).Message()
	if field := body.Descriptor().Fields().ByName("job"); field != nil && field.Kind() == protoreflect.BytesKind {
		job = id(body.Get(field).Bytes())
	}
	return string(which.Name()), job
}

func (b *Books) take(atMs int64, name string, job [32]byte, fact *v1.Fact) error {
	switch body := fact.Body.(type) {
	case *v1.Fact_Rejection:
		b.reject(body.Rejection)
	case *v1.Fact_ClientRegistered:
		b.NameOf[id(body.ClientRegistered.Client)] = body.ClientRegistered.Name
	case *v1.Fact_ProviderRegistered:
		b.NameOf[id(body.ProviderRegistered.Provider)] = body.ProviderRegistered.Name
	case *v1.Fact_ModelListed:
		b.NameOf[id(body.ModelListed.Model)] = body.ModelListed.Name
	case *v1.Fact_AccountOpened:
		b.ClientOf[id(body.AccountOpened.Account)] = id(body.AccountOpened.Client)
	case *v1.Fact_BatchSealed:
		b.Batches = append(b.Batches, &Batch{body.BatchSealed, "sealed"})
	case *v1.Fact_BatchProposed:
		return b.batch(body.BatchProposed.Number, "proposed")
	case *v1.Fact_BatchActivated:
		return b.batch(body.BatchActivated.Number, "activated")
	case *v1.Fact_BatchVetoed:
		return b.batch(body.BatchVetoed.Number, "vetoed")
	case *v1.Fact_JobSubmitted:
		s := body.JobSubmitted
		b.Jobs[job] = &Job{Client: id(s.Client), Model: id(s.Terms.GetModel()), State: "submitted", Reserved: s.ReservedNano, Usage: &v1.Usage{}}
	default:
		return b.job(atMs, name, job, fact)
	}
	return nil
}

// batch moves the latest batch on: there is never more than one on its way.
func (b *Books) batch(number uint32, state string) error {
	if len(b.Batches) == 0 || b.Batches[len(b.Batches)-1].Number != number {
		return fmt.Errorf("batch %d %s: %w", number, state, errNoBatch)
	}
	b.Batches[len(b.Batches)-1].State = state
	return nil
}

func (b *Books) job(atMs int64, name string, of [32]byte, fact *v1.Fact) error {
	j := b.Jobs[of]
	switch {
	case of == [32]byte{}:
		return nil
	case j == nil:
		return fmt.Errorf("%s %x: %w", name, of, errNoJob)
	}
	switch body := fact.Body.(type) {
	case *v1.Fact_JobAssigned:
		j.State, j.Worker, j.Provider = "assigned", id(body.JobAssigned.Worker), id(body.JobAssigned.Provider)
	case *v1.Fact_JobStarted:
		j.State = "started"
	case *v1.Fact_JobMetered:
		j.Usage = body.JobMetered.Usage
	case *v1.Fact_JobCompleted:
		j.Usage = body.JobCompleted.Usage // of the other ends the last that was metered stands
		j.close(atMs, name, body.JobCompleted)
	case *v1.Fact_JobFailed:
		j.close(atMs, name, body.JobFailed)
	case *v1.Fact_JobCancelled:
		j.close(atMs, name, body.JobCancelled)
	case *v1.Fact_JobExpired:
		j.close(atMs, name, body.JobExpired)
	case *v1.Fact_JobDisputed:
		j.Dispute = "open"
	case *v1.Fact_DisputeResolved:
		d := body.DisputeResolved
		j.Dispute, j.Refund, j.FromWorker, j.Slashed = "resolved", d.RefundNano, d.FromWorkerNano, d.SlashedNano
	case *v1.Fact_PayRefused:
		j.Refused, j.RefusedFromWorker = body.PayRefused.RefundNano, body.PayRefused.FromWorkerNano
	}
	return nil
}

func (j *Job) close(atMs int64, name string, fact *v1.JobClosed) {
	j.State, j.ClosedMs, j.Hold = strings.TrimPrefix(name, "job_"), atMs, fact.Hold != nil
	j.Adjusted, j.Charge, j.WorkerPart, j.Fee = fact.AdjustedTokens, fact.ChargeNano, fact.WorkerNano, fact.ChargeNano-fact.WorkerNano
}
