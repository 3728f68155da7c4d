package proof

import (
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore/tlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Trust is what a verifier believes. At least one of Policy and Chain has to be there.
type Trust struct {
	// Policy has the keys of logs, and the witnesses who have to have cosigned. Without one, checkpoints say nothing.
	Policy *tlog.Policy
	// Chain is what the vault activated under the batch's number. Without it, the batch is only
	// as good as the checkpoints that begin with it.
	Chain *settlement.OnChain
	// Payout checks a payee's proof against a payout root and returns the amount: adapters/ton.VerifyPayout, or any TON
	// library's. It is asked for payouts only.
	Payout func(root domain.Digest, payee domain.ProviderID, boc []byte) (domain.Nano, error)
}

// ErrNothingToBelieve says that a proof is in order and leads to heads that nobody whom the verifier believes stands
// for. Give it keys, or a chain.
var ErrNothingToBelieve = errors.New("nothing that you trust stands for it")

// Proven is what a proof shows.
type Proven struct {
	About   Subject
	Network domain.NetworkID
	// Records are entries of the ledger, each in its place.
	Records []ProvenRecord
	// Checkpoints were signed, and cosigned as the policy wants it.
	Checkpoints []*tlog.Checkpoint
	// Batch is on chain with this commitment, root and total, if ByChain.
	Batch   *settlement.OnChain
	ByChain bool
	// Amount is all that the payee was ever owed as of the batch; of a Payout.
	Amount domain.Nano
}

// ProvenRecord is one entry of the ledger.
type ProvenRecord struct {
	Shard  domain.Shard
	Offset domain.Offset
	Entry  *v1.Entry
	// Void says that the entry stands where its clerk did not mean it to; it decides nothing.
	Void bool
	// Facts are those of the entry that the proof is about.
	Facts []*v1.Fact
	// BySignature and ByChain say who stands for it; at least one does.
	BySignature, ByChain bool
}

// Verify checks a proof file. It is a function of the file and of what is believed, and of nothing else: whoever calls
// it reads the chain.
func Verify(raw []byte, trust Trust) (*Proven, error) {
	f, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	p := &Proven{About: f.About, Network: f.Network}
	if f.Batch != nil {
		if err := f.Batch.checkNetwork(f.Network); err != nil {
			return nil, fmt.Errorf("proof: batch.genesis: %w", err)
		}
		onChain := f.Batch.onChain()
		p.Batch = &onChain
		if trust.Chain != nil {
			if onChain != *trust.Chain {
				return nil, fmt.Errorf("proof: batch %d: the chain has root %s, total %s, commitment %s; the file makes %s, %s, %s",
					onChain.Epoch, trust.Chain.Root, trust.Chain.Total, trust.Chain.Commitment, onChain.Root, onChain.Total, onChain.Commitment)
			}
			p.ByChain = true
		}
	}
	heads, err := f.signedHeads(trust.Policy, p)
	if err != nil {
		return nil, err
	}
	for i, record := range f.Records {
		proven, err := f.record(record, heads, p.ByChain)
		if err != nil {
			return nil, fmt.Errorf("proof: records[%d], %d/%d: %w", i, record.Shard, record.Offset, err)
		}
		p.Records = append(p.Records, proven)
	}
	if f.About.Kind == Payout {
		err = f.payout(trust, p)
	}
	return p, err
}

// signed is the head of a shard's log that a checkpoint has, and whether the batch's head is a beginning of it.
type signed struct {
	head     tlog.Head
	andBatch bool
}

// signedHeads checks the checkpoints. Without a policy there are none.
func (f *File) signedHeads(policy *tlog.Policy, p *Proven) (map[domain.Shard]signed, error) {
	heads := map[domain.Shard]signed{}
	if policy == nil {
		return heads, nil
	}
	for i, c := range f.Checkpoints {
		checkpoint, err := policy.Open([]byte(c.Note))
		if err != nil {
			return nil, fmt.Errorf("proof: checkpoints[%d]: %w", i, err)
		}
		shard := checkpoint.Log.Shard
		if _, twice := heads[shard]; twice || checkpoint.Log.Network != f.Network {
			return nil, fmt.Errorf("proof: checkpoints[%d]: is of %s; want one for each shard of network %s", i, checkpoint.Log.Origin(), f.Network)
		}
		head := signed{head: checkpoint.Head}
		if c.FromBatch != nil {
			batch, ok := f.Batch.head(shard)
			if !ok {
				return nil, fmt.Errorf("proof: checkpoints[%d].from_batch: there is no batch with shard %d", i, shard)
			}
			if err := tlog.VerifyConsistency(batch, checkpoint.Head, c.FromBatch); err != nil {
				return nil, fmt.Errorf("proof: checkpoints[%d].from_batch: %w", i, err)
			}
			head.andBatch = true
		}
		heads[shard] = head
		p.Checkpoints = append(p.Checkpoints, checkpoint)
	}
	return heads, nil
}

// record checks one record's path, and that somebody stands for where it leads.
func (f *File) record(r Record, heads map[domain.Shard]signed, byChain bool) (ProvenRecord, error) {
	proven := ProvenRecord{Shard: r.Shard, Offset: r.Offset}
	var head tlog.Head
	switch r.In {
	case InCheckpoint:
		at, ok := heads[r.Shard]
		if !ok {
			return proven, ErrNothingToBelieve
		}
		head, proven.BySignature = at.head, true
	case InBatch:
		at, ok := f.Batch.head(r.Shard)
		if !ok {
			return proven, errors.New("in: there is no batch with this shard")
		}
		head, proven.ByChain, proven.BySignature = at, byChain, heads[r.Shard].andBatch
	default:
		return proven, fmt.Errorf("in %q: want %s or %s", r.In, InCheckpoint, InBatch)
	}
	if err := tlog.VerifyInclusion(head, r.Offset, r.Entry, r.Path); err != nil {
		return proven, err
	}
	if !proven.BySignature && !proven.ByChain {
		return proven, ErrNothingToBelieve
	}
	proven.Entry = &v1.Entry{}
	if err := v1.Decode(r.Entry, proven.Entry); err != nil {
		return proven, fmt.Errorf("is no entry: %w", err)
	}
	proven.Void = proven.Entry.Offset != int64(r.Offset) // ledger.proto, Entry.offset
	for _, fact := range proven.Entry.GetAnswer().GetFacts() {
		if f.About.Kind == Fact || names(fact, f.About.ID) {
			proven.Facts = append(proven.Facts, fact)
		}
	}
	if f.About.Kind == Job && (proven.Void || len(proven.Facts) == 0) {
		return proven, fmt.Errorf("decides nothing about job %s", f.About.ID)
	}
	return proven, nil
}

// names reports whether a fact is about a job: each message that is has the job's id in a field of that name.
func names(fact *v1.Fact, job domain.Digest) bool {
	return JobOf(fact) == domain.JobID(job) && job != domain.Digest{}
}

// JobOf is the job that a fact names; zero where it names none.
func JobOf(fact *v1.Fact) domain.JobID {
	message := fact.ProtoReflect()
	which := message.WhichOneof(message.Descriptor().Oneofs().ByName("body"))
	if which == nil {
		return domain.JobID{}
	}
	body := message.Get(which).Message()
	field := body.Descriptor().Fields().ByName("job")
	if field == nil {
		return domain.JobID{}
	}
	id := body.Get(field).Bytes()
	if len(id) != len(domain.JobID{}) {
		return domain.JobID{} // a rejection that names none
	}
	return domain.JobID(id)
}

// payout checks the payee's leaf. Only the chain can stand for it.
func (f *File) payout(trust Trust, p *Proven) error {
	if !p.ByChain {
		return fmt.Errorf("proof: batch %d: %w: a payout is looked up on the chain", f.Batch.Number, ErrNothingToBelieve)
	}
	amount, err := trust.Payout(f.Batch.PayoutRoot, f.Payout.Payee, f.Payout.BOC)
	if err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	if amount != f.Payout.CumulativeNano {
		return fmt.Errorf("proof: payout.cumulative_nano is %s, the tree has %s", f.Payout.CumulativeNano, amount)
	}
	p.Amount = amount
	return nil
}
