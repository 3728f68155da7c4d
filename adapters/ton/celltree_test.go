package ton

import (
	"fmt"
	"math/big"

	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// PayoutTree is a payout tree made of the library's cells, and so in another way than settlement.Tree, which it is
// compared with.
type PayoutTree struct {
	root *cell.Cell // nil without leaves
	hash domain.Digest
}

// NewPayoutTree builds the tree of the leaves, which must be as settlement.Root wants them. It
// computes the root twice, in that package's way and by the cells, and refuses if they differ.
func NewPayoutTree(leaves []settlement.Leaf) (*PayoutTree, error) {
	hash, err := settlement.Root(leaves)
	if err != nil || len(leaves) == 0 {
		return &PayoutTree{hash: hash}, err
	}
	items := make([]cell.DictBulkKV, len(leaves))
	for i, leaf := range leaves {
		items[i] = cell.DictBulkKV{
			Key:   payoutKey(leaf.Payee),
			Value: cell.BeginCell().MustStoreBigCoins(big.NewInt(int64(leaf.Cumulative))),
		}
	}
	tree, err := cell.NewDictFromItems(addressKeyBits, items)
	if err != nil {
		return nil, fmt.Errorf("payout tree of %d leaves: %w", len(leaves), err)
	}
	root := tree.AsCell()
	if got := domain.Digest(root.HashKey()); got != hash {
		return nil, fmt.Errorf("payout tree of %d leaves: cells hash to %s, leaves to %s", len(leaves), got, hash)
	}
	return &PayoutTree{root: root, hash: hash}, nil
}

// Root is what settlement.Root says of the leaves.
func (t *PayoutTree) Root() domain.Digest { return t.hash }

// Proof returns the Merkle proof of the payee's amount, as a bag of cells: what a claim carries, and
// what a stranger can check against the root with any TON library.
func (t *PayoutTree) Proof(payee domain.ProviderID) ([]byte, error) {
	if t.root == nil {
		return nil, fmt.Errorf("proof for %s: the tree is empty", payee)
	}
	builder := cell.NewMerkleProofBuilder(t.root)
	if _, err := builder.Root().AsDict(addressKeyBits).LoadValueByBytesKey(payoutKey(payee)); err != nil {
		return nil, fmt.Errorf("proof for %s: %w", payee, err)
	}
	proof, err := builder.CreateProof()
	if err != nil {
		return nil, fmt.Errorf("proof for %s: %w", payee, err)
	}
	return proof.ToBOCWithOptions(cell.BOCSerializeOptions{}), nil
}
