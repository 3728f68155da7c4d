package settlement

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/filature/filature/domain"
)

// Leaf is one payee of a payout tree.
type Leaf struct {
	Payee domain.ProviderID
	// Cumulative is all that the payee was ever owed, what is already paid included: positive.
	Cumulative domain.Nano
}

// Root is the hash of the TON dictionary (HashmapE 267) from the payee's address in the basechain
// to Coins: the root cell's hash, as the vault compares it with a Merkle proof. The format is
// block.tlb's Hashmap, VarUInteger 16 and addr_std, the tree shape of TEP-177.
//
// Leaves must be sorted by payee, each payee once, each amount above zero; the error names the
// offender. A tree without leaves has no dictionary cell, and its root is the zero digest: no proof
// leads there, so under such a root nothing can be claimed.
//
// It hashes bottom-up and keeps nothing, which is what somebody wants who checks one tree. A Tree is for those
// who go on from it.
func Root(leaves []Leaf) (domain.Digest, error) {
	if err := checkLeaves(leaves); err != nil {
		return domain.Digest{}, err
	}
	if len(leaves) == 0 {
		return domain.Digest{}, nil
	}
	var builder edgeBuilder
	return builder.edge(leaves, 0).hash, nil
}

// checkLeaves refuses leaves that are not sorted, or twice, or of nothing.
func checkLeaves(leaves []Leaf) error {
	for i := range leaves {
		if leaves[i].Cumulative <= 0 {
			return fmt.Errorf("payout tree: payee %s: cumulative amount %d: must be above zero", leaves[i].Payee, leaves[i].Cumulative)
		}
	}
	return checkOrder(leaves)
}

func checkOrder(leaves []Leaf) error {
	for i := 1; i < len(leaves); i++ {
		switch order := bytes.Compare(leaves[i-1].Payee[:], leaves[i].Payee[:]); {
		case order == 0:
			return fmt.Errorf("payout tree: payee %s: comes twice", leaves[i].Payee)
		case order > 0:
			return fmt.Errorf("payout tree: payee %s: comes after %s: leaves must be sorted", leaves[i].Payee, leaves[i-1].Payee)
		}
	}
	return nil
}

const (
	payeeBits = 256
	// addressPrefix is what stands before the account id in addr_std: tag 10, no anycast, workchain
	// 0 in eight bits. Every key begins with it, so it is part of the root edge's label and of no
	// other.
	addressPrefix     = 0b10_0_00000000
	addressPrefixBits = 11
	// maxEdgeBytes is the most that an edge's cell holds: a label (tag, length, 267 bits) and coins.
	maxEdgeBytes = 64
	digestBytes  = 32
)

// edge is what its parent needs to know of a finished subtree.
type edge struct {
	hash  domain.Digest
	depth uint16
}

// edgeBuilder hashes edges; it holds the buffers, so that a tree allocates nothing per leaf.
type edgeBuilder struct {
	cell [2 + maxEdgeBytes + 2*(2+digestBytes)]byte
	data bitWriter
}

// edge hashes the subtree of the leaves that share their first from bits.
func (b *edgeBuilder) edge(leaves []Leaf, from int) edge {
	first, last := &leaves[0], &leaves[len(leaves)-1]
	if len(leaves) == 1 {
		return b.payee(first, from)
	}
	at := commonBits(&first.Payee, &last.Payee)
	split := firstWithBit(leaves, at)
	children := [2]edge{b.edge(leaves[:split], at+1), b.edge(leaves[split:], at+1)}
	return b.fork(&first.Payee, from, at, &children)
}

// payee hashes the edge to one payee.
func (b *edgeBuilder) payee(leaf *Leaf, from int) edge {
	b.payeeData(leaf, from)
	return b.seal(nil)
}

// fork hashes the edge to the fork at a bit; key is any payee below it.
func (b *edgeBuilder) fork(key *domain.ProviderID, from, at int, children *[2]edge) edge {
	b.forkData(key, from, at)
	return b.seal(children)
}

func (b *edgeBuilder) payeeData(leaf *Leaf, from int) {
	b.data.reset()
	b.label(&leaf.Payee, from, payeeBits)
	b.coins(uint64(leaf.Cumulative))
}

func (b *edgeBuilder) forkData(key *domain.ProviderID, from, at int) {
	b.data.reset()
	b.label(key, from, at)
}

// label writes HmLabel ~l m for the key bits from up to end: the shortest of hml_short, hml_long and
// hml_same, and the earlier of equals, as the network requires. m is the number of bits left. The
// label from bit 0 on is the root's, and starts with the address prefix.
func (b *edgeBuilder) label(key *domain.ProviderID, from, end int) {
	length, left, isRoot := end-from, payeeBits-from, from == 0
	if isRoot {
		length, left = length+addressPrefixBits, left+addressPrefixBits
	}
	lengthBits := bits.Len(uint(left))
	// The root's label begins 10…, so it is never all the same.
	same := !isRoot && length > 1 && uniform(key, from, end)
	switch {
	case same && lengthBits < 2*length-1:
		b.data.put(0b110|bitAt(key, from), 3)
		b.data.put(uint64(length), lengthBits)
		return
	case lengthBits < length:
		b.data.put(0b10, 2)
		b.data.put(uint64(length), lengthBits)
	default:
		b.data.put(0, 1)
		for range length {
			b.data.put(1, 1)
		}
		b.data.put(0, 1)
	}
	if isRoot {
		b.data.put(addressPrefix, addressPrefixBits)
	}
	b.data.putKey(key, from, end)
}

// coins writes VarUInteger 16: the length in bytes, then the number.
func (b *edgeBuilder) coins(nano uint64) {
	length := (bits.Len64(nano) + 7) / 8
	b.data.put(uint64(length), 4)
	b.data.put(nano, length*8)
}

// seal hashes the standard representation of the cell: descriptors, data with its completion bit,
// depths and hashes of the references.
func (b *edgeBuilder) seal(children *[2]edge) edge {
	data, partial := b.data.finish()
	refs := byte(0)
	var depth uint16
	if children != nil {
		refs = 2
		depth = max(children[0].depth, children[1].depth) + 1
	}
	cell := append(b.cell[:0], refs, byte(2*len(data)-partial))
	cell = append(cell, data...)
	if children != nil {
		cell = binary.BigEndian.AppendUint16(cell, children[0].depth)
		cell = binary.BigEndian.AppendUint16(cell, children[1].depth)
		cell = append(cell, children[0].hash[:]...)
		cell = append(cell, children[1].hash[:]...)
	}
	return edge{hash: sha256.Sum256(cell), depth: depth}
}

// commonBits is the length of the longest common prefix.
func commonBits(a, b *domain.ProviderID) int {
	for i := range a {
		if differ := a[i] ^ b[i]; differ != 0 {
			return i*8 + bits.LeadingZeros8(differ)
		}
	}
	return payeeBits
}

// firstWithBit is the index of the first leaf whose bit is set; the leaves are sorted and agree on
// all bits before it.
func firstWithBit(leaves []Leaf, bit int) int {
	low, high := 0, len(leaves)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if bitAt(&leaves[middle].Payee, bit) == 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func bitAt(key *domain.ProviderID, bit int) uint64 { return uint64(key[bit>>3]>>(7-bit&7)) & 1 }

func uniform(key *domain.ProviderID, from, end int) bool {
	want := bitAt(key, from)
	for bit := from + 1; bit < end; bit++ {
		if bitAt(key, bit) != want {
			return false
		}
	}
	return true
}

// bitWriter appends bits to a fixed buffer, first bit first.
type bitWriter struct {
	buffer [maxEdgeBytes]byte
	bits   int
}

func (w *bitWriter) reset() { *w = bitWriter{} }

// put appends the low count bits of value.
func (w *bitWriter) put(value uint64, count int) {
	for count > 0 {
		free := 8 - w.bits&7
		take := min(count, free)
		chunk := byte(value>>(count-take)) & (1<<take - 1)
		w.buffer[w.bits>>3] |= chunk << (free - take)
		w.bits += take
		count -= take
	}
}

// putKey appends the key's bits from up to end.
func (w *bitWriter) putKey(key *domain.ProviderID, from, end int) {
	for from < end {
		skip := from & 7
		take := min(end-from, 8-skip)
		w.put(uint64(key[from>>3]>>(8-skip-take)), take)
		from += take
	}
}

// finish returns the data with its completion bit, and 1 if there is one: the last byte is partial.
func (w *bitWriter) finish() (data []byte, partial int) {
	if w.bits&7 == 0 {
		return w.buffer[:w.bits>>3], 0
	}
	w.buffer[w.bits>>3] |= 0x80 >> (w.bits & 7)
	return w.buffer[:w.bits>>3+1], 1
}
