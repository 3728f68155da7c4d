// Package settlement knows how what is owed becomes a batch, how a batch becomes a root on TON, and what a
// settler does next.
package settlement

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Owed is what one payee stands at, at a cut.
type Owed struct {
	Payee domain.ProviderID
	// Payable is mature and in no batch yet. It may be below zero where a treasurer took something
	// back that was paid already; such a payee waits until new earnings cover it.
	Payable domain.Nano
	// Committed is all that batches ever gave this payee: its leaf in the payout tree so far.
	Committed domain.Nano
}

// Policy is the part of the network's parameters that decides who is in a batch.
type Policy struct {
	ThresholdNano domain.Nano // less than this waits
	MaxPayees     int         // changed in one batch; the largest amounts go first
}

// PolicyOf reads the policy out of the network's parameters.
func PolicyOf(params *v1.SetNetwork) Policy {
	return Policy{ThresholdNano: domain.Nano(params.PayoutThresholdNano), MaxPayees: int(params.BatchPayees)}
}

// Cut is where a batch ends: per shard, control first, the ledger offset up to which (exclusive) it
// counts, and the RFC 6962 tree head of the ledger there.
type Cut struct {
	Offsets  []domain.Offset
	LogRoots []domain.Digest
}

// ErrNothingOwed says that nobody has enough to be paid at this cut.
var ErrNothingOwed = errors.New("nobody is owed the threshold")

// Seal makes the batch with a number out of what the ledger owes at a cut. It is a function of its
// arguments and of nothing else, so anybody who has the log makes the same batch.
func Seal(number uint32, cut Cut, owed []Owed, policy Policy) (*v1.SealBatch, error) {
	committed, err := CommittedTree(owed)
	if err != nil {
		return nil, fmt.Errorf("seal batch %d: %w", number, err)
	}
	batch, _, err := SealOn(committed, number, cut, owed, policy)
	return batch, err
}

// CommittedTree is the tree of all that was committed to payees so far.
func CommittedTree(owed []Owed) (Tree, error) {
	leaves := make([]Leaf, 0, len(owed))
	for _, o := range owed {
		if o.Committed != 0 {
			leaves = append(leaves, Leaf{Payee: o.Payee, Cumulative: o.Committed})
		}
	}
	SortLeaves(leaves)
	return NewTree(leaves)
}

// SealOn is Seal where the tree of all that was committed so far is there already. Owed need then have only
// those to whom something is payable. It returns the tree with the batch in it, too.
func SealOn(committed Tree, number uint32, cut Cut, owed []Owed, policy Policy) (*v1.SealBatch, Tree, error) {
	due := duePayees(owed, policy)
	if len(due) == 0 {
		return nil, Tree{}, ErrNothingOwed
	}
	batch := &v1.SealBatch{Number: number}
	leaves := make([]Leaf, len(due))
	for i, o := range due {
		if had := committed.Of(o.Payee); had != o.Committed {
			return nil, Tree{}, fmt.Errorf("seal batch %d, payee %s: committed are %s, the tree has %s: %w",
				number, o.Payee, o.Committed, had, errOtherTree)
		}
		after, err := o.Committed.Add(o.Payable)
		if err != nil {
			return nil, Tree{}, fmt.Errorf("seal batch %d, payee %s: %w", number, o.Payee, err)
		}
		leaves[i] = Leaf{Payee: o.Payee, Cumulative: after}
		batch.Lines = append(batch.Lines, &v1.PayoutLine{
			Payee: o.Payee[:], CumulativeNano: int64(after), DeltaNano: int64(o.Payable),
		})
	}
	tree, err := committed.With(leaves)
	if err != nil {
		return nil, Tree{}, fmt.Errorf("seal batch %d: %w", number, err)
	}
	root := tree.Root()
	batch.PayoutRoot, batch.TotalNano, batch.Payees = root[:], int64(tree.Total()), int64(tree.Payees())
	for i, offset := range cut.Offsets {
		batch.Cut = append(batch.Cut, int64(offset))
		batch.LogRoots = append(batch.LogRoots, cut.LogRoots[i][:])
	}
	commitment := CommitmentOf(batch, policy)
	batch.Commitment = commitment[:]
	return batch, tree, nil
}

var errOtherTree = errors.New("not the tree of what was committed")

// duePayees are those whom a batch pays, in the order of their ids.
func duePayees(owed []Owed, policy Policy) []Owed {
	var due []Owed
	for _, o := range owed {
		if o.Payable >= policy.ThresholdNano && o.Payable > 0 {
			due = append(due, o)
		}
	}
	slices.SortFunc(due, func(a, b Owed) int {
		return cmp.Or(cmp.Compare(b.Payable, a.Payable), bytes.Compare(a.Payee[:], b.Payee[:]))
	})
	due = due[:min(len(due), policy.MaxPayees)]
	slices.SortFunc(due, func(a, b Owed) int { return bytes.Compare(a.Payee[:], b.Payee[:]) })
	return due
}

// SortLeaves puts leaves in the order that Root wants.
func SortLeaves(leaves []Leaf) {
	slices.SortFunc(leaves, func(a, b Leaf) int { return bytes.Compare(a.Payee[:], b.Payee[:]) })
}

// CommitmentOf binds a batch's payout root to the history that it was made of. It goes on chain with
// the root, so whoever rewrites the log later, or pays by another policy, has to rewrite the chain
// too. The layout, all numbers big-endian:
//
//	"filature/batch/v1\0", number u32, payout_root [32], total u64, payees u64,
//	threshold u64, max_payees u32, shards u32, then per shard: cut u64, log_root [32]
func CommitmentOf(batch *v1.SealBatch, policy Policy) domain.Digest {
	buf := append([]byte{}, "filature/batch/v1\x00"...)
	buf = binary.BigEndian.AppendUint32(buf, batch.Number)
	buf = append(buf, batch.PayoutRoot...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(batch.TotalNano))
	buf = binary.BigEndian.AppendUint64(buf, uint64(batch.Payees))
	buf = binary.BigEndian.AppendUint64(buf, uint64(policy.ThresholdNano))
	buf = binary.BigEndian.AppendUint32(buf, uint32(policy.MaxPayees))
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(batch.Cut)))
	for i, offset := range batch.Cut {
		buf = binary.BigEndian.AppendUint64(buf, uint64(offset))
		buf = append(buf, batch.LogRoots[i]...)
	}
	return sha256.Sum256(buf)
}
