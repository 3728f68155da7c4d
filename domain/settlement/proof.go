package settlement

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/filature/filature/domain"
)

// ErrNotInTree says that a payee has no leaf: no batch ever gave it anything.
var ErrNotInTree = errors.New("not in the payout tree")

// Proof is the Merkle proof of a payee's amount, as a bag of cells: what a claim carries, and what a
// stranger can check against the root with any TON library. It has the tree's cells on the way to the
// payee, and of each fork that hangs beside the way its hash and depth (a pruned branch). A tree of a million
// payees gives proofs of about a kilobyte. The error is ErrNotInTree.
//
// The formats are those of the TON whitepapers: exotic cells in TVM 3.1.7, bags of cells in block.tlb and
// tonlib's boc (serialized_boc#b5ee9c72, without index and checksum).
func (t Tree) Proof(payee domain.ProviderID) ([]byte, error) {
	way, leaf := t.wayTo(payee)
	if leaf == nil {
		return nil, fmt.Errorf("proof for %s: %w", payee, ErrNotInTree)
	}
	cells := 2 + 2*len(way)
	p := proofWriter{indexBytes: bytesFor(cells), pruned: lastPruned(way, &payee)}
	p.merkleProof(t.top.edge(&p.builder, 0))
	p.whole(t.top, 0, 0)
	for i, fork := range way {
		below, side := int(fork.at)+1, bitAt(&payee, int(fork.at))
		for at, child := range fork.below {
			if uint64(at) == side || child.fork == nil {
				p.whole(child, below, i+1)
			} else {
				p.prunedBranch(child.fork)
			}
		}
	}
	return p.bag(cells), nil
}

// wayTo returns the forks on the way to a payee, from the top, and its leaf, or nil.
func (t Tree) wayTo(payee domain.ProviderID) (way []*fork, leaf *Leaf) {
	at := t.top
	for ; at.fork != nil; at = at.fork.below[bitAt(&payee, int(at.fork.at))] {
		way = append(way, at.fork)
	}
	if at.leaf == nil || at.leaf.Payee != payee {
		return nil, nil
	}
	return way, at.leaf
}

// lastPruned is the last fork on the way beside which another fork hangs, or -1.
func lastPruned(way []*fork, payee *domain.ProviderID) int {
	last := -1
	for i, fork := range way {
		if fork.below[1-bitAt(payee, int(fork.at))].fork != nil {
			last = i
		}
	}
	return last
}

// The kinds of exotic cells, and how they and their like announce themselves: the first descriptor byte is
// references + 8 if exotic + 32 * level.
const (
	kindPruned      = 1
	kindMerkleProof = 3
	exotic          = 8
	levelOne        = 32 // a pruned branch is here or below, under one Merkle proof
)

// proofWriter writes the cells of a proof: the Merkle proof, the root, and then, fork by fork on the way, the
// two below it.
type proofWriter struct {
	builder edgeBuilder
	cells   []byte
	// indexBytes is how many bytes name a cell. Payees part at 256 bits at most, so there are no more than
	// 514 cells, of less than 80 bytes.
	indexBytes int
	// pruned is the last fork on the way with a pruned branch below it; it and those before it are of level one.
	pruned int
}

func (p *proofWriter) merkleProof(top edge) {
	p.cells = append(p.cells, 1|exotic, 2*(1+digestBytes+2), kindMerkleProof)
	p.cells = append(p.cells, top.hash[:]...)
	p.cells = binary.BigEndian.AppendUint16(p.cells, top.depth)
	p.cells = number(p.cells, 1, p.indexBytes)
}

func (p *proofWriter) prunedBranch(f *fork) {
	p.cells = append(p.cells, exotic|levelOne, 2*(2+digestBytes+2), kindPruned, 1)
	p.cells = append(p.cells, f.hash[:]...)
	p.cells = binary.BigEndian.AppendUint16(p.cells, f.depth)
}

// whole writes a payee, or the fork that is so many forks down the way. The two below that one come behind the
// proof, the root, and two for each fork before.
func (p *proofWriter) whole(s subtree, from, down int) {
	if s.fork == nil {
		p.builder.payeeData(s.leaf, from)
		p.data(0)
		return
	}
	descriptor := byte(2)
	if down <= p.pruned {
		descriptor |= levelOne
	}
	p.builder.forkData(s.fork.some, from, int(s.fork.at))
	p.data(descriptor)
	p.cells = number(p.cells, 2+2*down, p.indexBytes)
	p.cells = number(p.cells, 3+2*down, p.indexBytes)
}

// data writes the descriptors and the builder's data of an ordinary cell.
func (p *proofWriter) data(descriptor byte) {
	data, partial := p.builder.data.finish()
	p.cells = append(p.cells, descriptor, byte(2*len(data)-partial))
	p.cells = append(p.cells, data...)
}

// bag puts the cells into a bag whose root is the first.
func (p *proofWriter) bag(cells int) []byte {
	sizeBytes := bytesFor(len(p.cells))
	bag := []byte{0xb5, 0xee, 0x9c, 0x72, byte(p.indexBytes), byte(sizeBytes)}
	for _, n := range [...]int{cells, 1, 0} { // of them roots, and absent ones
		bag = number(bag, n, p.indexBytes)
	}
	bag = number(bag, len(p.cells), sizeBytes)
	bag = number(bag, 0, p.indexBytes) // the root
	return append(bag, p.cells...)
}

// bytesFor is how many bytes hold the numbers up to n, one or two.
func bytesFor(n int) int {
	if n > math.MaxUint8 {
		return 2
	}
	return 1
}

// number appends n in one or two bytes, the higher first.
func number(to []byte, n, bytes int) []byte {
	if bytes == 2 {
		to = append(to, byte(n>>8))
	}
	return append(to, byte(n))
}
