package tlog

import (
	"fmt"

	"github.com/transparency-dev/merkle/compact"

	"github.com/filature/filature/domain"
)

// Growing is a tree that keeps nothing but what its next head needs: one hash for each bit of its size. It proves nothing;
// it is for whoever reads a whole log and compares heads. It is for one goroutine.
type Growing struct{ nodes *compact.Range }

// NewGrowing is the tree of no records.
func NewGrowing() *Growing { return &Growing{ranges.NewEmptyRange(0)} }

// Size is how many records are in the tree.
func (g *Growing) Size() int64 { return int64(g.nodes.End()) }

// Append adds the next record.
func (g *Growing) Append(record []byte) error {
	leaf := LeafHash(record)
	if err := g.nodes.Append(leaf[:], nil); err != nil {
		return fmt.Errorf("append record %d to a tree: %w", g.Size(), err)
	}
	return nil
}

// Head is the tree with all that was appended.
func (g *Growing) Head() (Head, error) { return headOf(g.nodes) }

func headOf(nodes *compact.Range) (Head, error) {
	if nodes.End() == 0 {
		return EmptyHead(), nil
	}
	root, err := nodes.GetRootHash(nil)
	if err != nil {
		return Head{}, err
	}
	return Head{int64(nodes.End()), domain.Digest(root)}, nil
}
