package projections

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"github.com/filature/filature/domain"
)

// LogTree is the RFC 6962 Merkle tree over the records of one ledger shard, as far as it is needed to
// go on: the roots of its complete subtrees.
type LogTree struct {
	Shard domain.Shard
	Size  int64 // records
	// Nodes are the roots of the complete subtrees, 32 bytes each, the largest first: one for each bit
	// that is set in Size.
	Nodes []byte
}

// Columns lists the columns.
func (r *LogTree) Columns(c []Column) []Column {
	return append(c,
		Column{"shard", (*int32)(&r.Shard)},
		Column{"size", &r.Size},
		Column{"nodes", &r.Nodes},
	)
}

// LogTrees is the tree of every shard: all records count, void ones too, because they were written.
var LogTrees = &Definition[domain.Shard, LogTree, *LogTree]{
	Name: "log_trees", Version: 1, KeyColumns: 1,
	Row: func(k domain.Shard) LogTree { return LogTree{Shard: k} },
	Fold: func(e *Entry, row func(domain.Shard) *LogTree) error {
		row(e.Shard).append(e.leafHash())
		return nil
	},
}

// Prefixes that keep a leaf from passing for a node (RFC 6962, section 2.1).
const (
	leafPrefix = 0
	nodePrefix = 1
)

// append adds a leaf. Each complete subtree of the same size to its left merges with it.
func (r *LogTree) append(node domain.Digest) {
	keep := len(r.Nodes)
	for range bits.TrailingZeros64(^uint64(r.Size)) {
		keep -= len(node)
		node = hashChildren(r.Nodes[keep:keep+len(node)], node)
	}
	r.Nodes = append(r.Nodes[:keep:keep], node[:]...) // a new array: the old one may be kept elsewhere
	r.Size++
}

// Root returns the tree head; of no records it is the SHA-256 of nothing.
func (r *LogTree) Root() (domain.Digest, error) {
	if want := bits.OnesCount64(uint64(r.Size)) * sha256.Size; len(r.Nodes) != want {
		return domain.Digest{}, fmt.Errorf("log tree of shard %d, size %d: has %d bytes of nodes, want %d", r.Shard, r.Size, len(r.Nodes), want)
	}
	if r.Size == 0 {
		return sha256.Sum256(nil), nil
	}
	at := len(r.Nodes) - sha256.Size
	root := domain.Digest(r.Nodes[at:])
	for at > 0 {
		at -= sha256.Size
		root = hashChildren(r.Nodes[at:at+sha256.Size], root)
	}
	return root, nil
}

func hashLeaf(record []byte) domain.Digest {
	h := sha256.New()
	h.Write([]byte{leafPrefix})
	h.Write(record)
	var leaf domain.Digest
	h.Sum(leaf[:0])
	return leaf
}

func hashChildren(left []byte, right domain.Digest) domain.Digest {
	var buf [1 + 2*sha256.Size]byte
	buf[0] = nodePrefix
	copy(buf[1:], left)
	copy(buf[1+sha256.Size:], right[:])
	return sha256.Sum256(buf[:])
}
