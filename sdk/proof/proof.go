// Package proof knows what a proof file says, and when to believe it: that a record is in the ledger, what the ledger
// decided about a job, what a payee is owed. Whoever checks one needs the file, and either public keys or a lite-server
// of the chain; no word of the operator's is taken for anything. docs/proofs.md is the specification.
package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore/tlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Format names the file format, and its version.
const Format = "filature-proof/v1"

const (
	// MaxBytes bounds a file. A job's records are some kilobytes; one record may have a megabyte.
	MaxBytes = 16 << 20
	// MaxRecords bounds the records of a file; a job that was metered more often is proven fact by fact.
	MaxRecords = 1000
	maxPath    = 64 // hashes on the way to the root of the largest tree
)

// Kinds of what is proven.
const (
	Fact   = "fact"
	Job    = "job"
	Payout = "payout"
)

// File is a proof file: JSON in the form in which Encode writes it, and no other.
type File struct {
	Format  string           `json:"format"`
	Network domain.NetworkID `json:"network"`
	About   Subject          `json:"about"`
	// Checkpoints are heads of shards' logs under signatures; one a shard at most.
	Checkpoints []SignedHead `json:"checkpoints"`
	// Batch is a settlement batch, whose commitment the chain has; nil where the proof does not lean on one.
	Batch   *Batch      `json:"batch"`
	Records []Record    `json:"records"`
	Payout  *PayeeProof `json:"payout"`
}

// Subject says what is proven. Of Fact, Shard and Offset count; of Job and Payout, ID.
type Subject struct {
	Kind   string        `json:"kind"`
	Shard  domain.Shard  `json:"shard"`
	Offset domain.Offset `json:"offset"`
	ID     domain.Digest `json:"id"` // of a job or payee
}

// SignedHead is the head of one shard's log.
type SignedHead struct {
	// Note is a C2SP tlog-checkpoint with its signatures.
	Note string `json:"note"`
	// FromBatch is RFC 6962's consistency proof from the batch's head of this shard to this one; nil where the batch's
	// head is not needed, or larger.
	FromBatch []domain.Digest `json:"from_batch"`
}

// Batch is all that a batch's commitment is made of; see settlement.CommitmentOf.
type Batch struct {
	Number        uint32          `json:"number"`
	PayoutRoot    domain.Digest   `json:"payout_root"`
	TotalNano     domain.Nano     `json:"total_nano"`
	Payees        int64           `json:"payees"`
	ThresholdNano domain.Nano     `json:"threshold_nano"`
	MaxPayees     uint32          `json:"max_payees"`
	Cut           []int64         `json:"cut"`
	LogRoots      []domain.Digest `json:"log_roots"`
	// Genesis shows that the batch is of the network: the first entry of control, whose genesis has the network's id for
	// its SHA-256, and its path to control's head at the cut.
	Genesis Genesis `json:"genesis"`
}

// Genesis is control's first entry, and RFC 6962's audit path from it.
type Genesis struct {
	Path  []domain.Digest `json:"path"`
	Entry []byte          `json:"entry"` // in base64
}

// Where a record's path leads to.
const (
	InCheckpoint = "checkpoint"
	InBatch      = "batch"
)

// Record is one entry of the ledger, byte for byte, and RFC 6962's audit path from it to the head that In names.
type Record struct {
	Shard  domain.Shard    `json:"shard"`
	Offset domain.Offset   `json:"offset"`
	In     string          `json:"in"`
	Path   []domain.Digest `json:"path"`
	Entry  []byte          `json:"entry"` // in base64
}

func (r Record) before(other Record) bool {
	return r.Shard < other.Shard || r.Shard == other.Shard && r.Offset < other.Offset
}

// PayeeProof is a payee's leaf in the batch's payout tree.
type PayeeProof struct {
	Payee          domain.ProviderID `json:"payee"`
	CumulativeNano domain.Nano       `json:"cumulative_nano"`
	BOC            []byte            `json:"boc"` // the Merkle proof, a bag of cells as the vault takes it, in base64
}

var errForm = errors.New("not in the form in which filature writes it")

// Encode writes a file.
func Encode(f *File) ([]byte, error) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(f); err != nil {
		return nil, fmt.Errorf("proof file: %w", err)
	}
	if buf.Len() > MaxBytes {
		return nil, fmt.Errorf("proof file: has %d bytes, want at most %d", buf.Len(), MaxBytes)
	}
	return buf.Bytes(), nil
}

// Parse reads what Encode wrote and accepts no other form of it, so that no byte of a file is without meaning. It checks
// no proof: Verify does.
func Parse(raw []byte) (*File, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("proof file: has %d bytes, want at most %d", len(raw), MaxBytes)
	}
	var f File
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errForm
		}
		return nil, fmt.Errorf("proof file: %w", err)
	}
	if f.Format != Format {
		return nil, fmt.Errorf("proof file: format %q: want %s", f.Format, Format)
	}
	again, err := Encode(&f)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(raw, again) {
		return nil, fmt.Errorf("proof file: %w", errForm)
	}
	return &f, f.check()
}

// check refuses what no proof can be made of.
func (f *File) check() error {
	if b := f.Batch; b != nil && (len(b.Cut) == 0 || len(b.Cut) != len(b.LogRoots)) {
		return fmt.Errorf("proof file: batch.cut has %d offsets, batch.log_roots %d roots, want as many, and some", len(b.Cut), len(b.LogRoots))
	}
	if b := f.Batch; b != nil && len(b.Genesis.Path) > maxPath {
		return fmt.Errorf("proof file: batch.genesis.path has %d hashes, want at most %d", len(b.Genesis.Path), maxPath)
	}
	if len(f.Records) > MaxRecords {
		return fmt.Errorf("proof file: has %d records, want at most %d", len(f.Records), MaxRecords)
	}
	for i, record := range f.Records {
		if len(record.Path) > maxPath {
			return fmt.Errorf("proof file: records[%d].path has %d hashes, want at most %d", i, len(record.Path), maxPath)
		}
		if i > 0 && !f.Records[i-1].before(record) {
			return fmt.Errorf("proof file: records[%d] is not behind the one before it, by shard and offset", i)
		}
	}
	switch kind := f.About.Kind; {
	case kind != Fact && kind != Job && kind != Payout:
		return fmt.Errorf("proof file: about.kind %q: want %s, %s or %s", kind, Fact, Job, Payout)
	case kind == Payout && (f.Payout == nil || f.Batch == nil || domain.Digest(f.Payout.Payee) != f.About.ID || len(f.Records)+len(f.Checkpoints) > 0):
		return errors.New("proof file: a payout is proven by a batch and a leaf of its payee, and nothing else")
	case kind != Payout && f.Payout != nil:
		return fmt.Errorf("proof file: a leaf of a payee proves no %s", kind)
	case kind == Job && len(f.Records) == 0, kind == Fact && len(f.Records) != 1:
		return fmt.Errorf("proof file: about.kind %s: has %d records", kind, len(f.Records))
	case kind == Fact && f.About != (Subject{Kind: Fact, Shard: f.Records[0].Shard, Offset: f.Records[0].Offset}),
		kind != Fact && f.About != (Subject{Kind: kind, ID: f.About.ID}):
		return errors.New("proof file: about names something else than what follows")
	}
	return nil
}

// OnChain is what the vault must have been told of the batch; false where the proof has none.
func (f *File) OnChain() (settlement.OnChain, bool) {
	if f.Batch == nil {
		return settlement.OnChain{}, false
	}
	return f.Batch.onChain(), true
}

func (b *Batch) onChain() settlement.OnChain {
	sealed := &v1.SealBatch{Number: b.Number, PayoutRoot: b.PayoutRoot[:], TotalNano: int64(b.TotalNano), Payees: b.Payees, Cut: b.Cut}
	for i := range b.LogRoots {
		sealed.LogRoots = append(sealed.LogRoots, b.LogRoots[i][:])
	}
	policy := settlement.Policy{ThresholdNano: b.ThresholdNano, MaxPayees: int(b.MaxPayees)}
	return settlement.OnChain{
		Epoch: b.Number, Root: b.PayoutRoot, Total: b.TotalNano, Commitment: settlement.CommitmentOf(sealed, policy),
	}
}

// checkNetwork checks that the batch is one of a network.
func (b *Batch) checkNetwork(network domain.NetworkID) error {
	control, _ := b.head(domain.Control)
	if err := tlog.VerifyInclusion(control, 0, b.Genesis.Entry, b.Genesis.Path); err != nil {
		return err
	}
	var entry v1.Entry
	if err := v1.Decode(b.Genesis.Entry, &entry); err != nil {
		return err
	}
	genesis := entry.GetGenesis()
	if genesis == nil {
		return errors.New("control does not begin with a genesis")
	}
	raw, err := v1.Encode(genesis)
	if err != nil {
		return err
	}
	if id := domain.NetworkID(sha256.Sum256(raw)); id != network {
		return fmt.Errorf("the genesis is of network %s, the file says %s", id, network)
	}
	return nil
}

// head is the head of a shard's log at the batch's cut.
func (b *Batch) head(shard domain.Shard) (tlog.Head, bool) {
	if b == nil || shard < 0 || int(shard) >= len(b.Cut) {
		return tlog.Head{}, false
	}
	return tlog.Head{Size: b.Cut[shard], Root: b.LogRoots[shard]}, true
}
