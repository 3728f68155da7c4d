package recount

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// tree is the RFC 6962 Merkle tree of one shard's records, as far as its head needs it.
type tree struct {
	// peaks are the roots of the complete subtrees, from the left, each smaller than the one before.
	peaks []peak
}

type peak struct {
	leaves int64
	hash   [32]byte
}

func (t *tree) append(record []byte) {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(record)
	last := peak{leaves: 1, hash: [32]byte(h.Sum(nil))}
	for n := len(t.peaks); n > 0 && t.peaks[n-1].leaves == last.leaves; n-- {
		last = peak{2 * last.leaves, inner(t.peaks[n-1].hash, last.hash)}
		t.peaks = t.peaks[:n-1]
	}
	t.peaks = append(t.peaks, last)
}

// root is the head of the tree; of no records it is the SHA-256 of nothing.
func (t *tree) root() [32]byte {
	if len(t.peaks) == 0 {
		return sha256.Sum256(nil)
	}
	at := len(t.peaks) - 1
	head := t.peaks[at].hash
	for at--; at >= 0; at-- {
		head = inner(t.peaks[at].hash, head)
	}
	return head
}

func inner(left, right [32]byte) [32]byte {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// leaf is one payee of the payout dictionary.
type leaf struct {
	payee  [32]byte
	amount uint64
}

// The payout root is that of a TON HashmapE 267 from addr_std to Coins (block.tlb, TEP-177): a prefix tree whose edges
// are cells.
const (
	keyBits = 267
	// The key begins with addr_std's tag 10, no anycast 0, and workchain 0 in eight bits.
	keyHead     = 0b10_0_00000000
	keyHeadBits = 11
)

// dictionaryRoot hashes the dictionary of leaves that are sorted by payee; of none it is all zeros.
func dictionaryRoot(leaves []leaf) [32]byte {
	if len(leaves) == 0 {
		return [32]byte{}
	}
	return edge(leaves, 0).hash
}

// cell is what the cell above has to know.
type cell struct {
	hash  [32]byte
	depth uint16
}

// edge hashes the tree of leaves whose keys agree in the bits before from.
func edge(leaves []leaf, from int) cell {
	first, last := &leaves[0].payee, &leaves[len(leaves)-1].payee
	to := from
	for to < keyBits && bitOf(first, to) == bitOf(last, to) {
		to++
	}
	var data bitString
	data.label(first, from, to)
	if to == keyBits {
		data.coins(leaves[0].amount)
		return data.cell()
	}
	fork := 0
	for bitOf(&leaves[fork].payee, to) == 0 {
		fork++
	}
	return data.cell(edge(leaves[:fork], to+1), edge(leaves[fork:], to+1))
}

func bitOf(payee *[32]byte, at int) byte {
	if at < keyHeadBits {
		return byte(uint(keyHead) >> (keyHeadBits - 1 - at) & 1)
	}
	at -= keyHeadBits
	return payee[at/8] >> (7 - at%8) & 1
}

// bitString is the data of a cell, one bit after the other.
type bitString struct {
	bytes [128]byte
	bits  int
}

func (b *bitString) bit(bit byte) {
	b.bytes[b.bits/8] |= bit << (7 - b.bits%8)
	b.bits++
}

func (b *bitString) number(n uint64, width int) {
	for width--; width >= 0; width-- {
		b.bit(byte(n >> width & 1))
	}
}

// label writes the shortest of the three forms of HmLabel, of equals the first.
func (b *bitString) label(payee *[32]byte, from, to int) {
	length, width := to-from, bits.Len(uint(keyBits-from))
	alike := true
	for at := from + 1; at < to; at++ {
		alike = alike && bitOf(payee, at) == bitOf(payee, from)
	}
	short, long, same := 2*length+2, 2+width+length, 3+width
	if !alike || length == 0 {
		same = short + long // never the shortest
	}
	switch {
	case short <= long && short <= same:
		b.bit(0)
		for range length {
			b.bit(1)
		}
		b.bit(0)
	case long <= same:
		b.number(0b10, 2)
		b.number(uint64(length), width)
	default:
		b.number(0b11, 2)
		b.bit(bitOf(payee, from))
		b.number(uint64(length), width)
		return
	}
	for at := from; at < to; at++ {
		b.bit(bitOf(payee, at))
	}
}

// coins writes VarUInteger 16: how many bytes, then the bytes.
func (b *bitString) coins(amount uint64) {
	length := (bits.Len64(amount) + 7) / 8
	b.number(uint64(length), 4)
	b.number(amount, 8*length)
}

// cell hashes the data and the references, as an ordinary cell of level 0.
func (b *bitString) cell(refs ...cell) cell {
	whole, up := b.bits/8, (b.bits+7)/8
	if up > whole { // a one and zeros fill the last byte
		b.bytes[whole] |= 0x80 >> (b.bits % 8)
	}
	raw := append([]byte{byte(len(refs)), byte(whole + up)}, b.bytes[:up]...)
	var depth uint16
	for _, ref := range refs {
		raw = binary.BigEndian.AppendUint16(raw, ref.depth)
		depth = max(depth, ref.depth+1)
	}
	for _, ref := range refs {
		raw = append(raw, ref.hash[:]...)
	}
	return cell{sha256.Sum256(raw), depth}
}
