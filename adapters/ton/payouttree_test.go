package ton_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/xssnick/tonutils-go/address"
	"github.com/xssnick/tonutils-go/tvm/cell"
	"pgregory.net/rapid"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// genLeaves draws sets of payees whose ids share long prefixes and long runs, where labels differ.
func genLeaves(t *rapid.T) []settlement.Leaf {
	id := rapid.Custom(func(t *rapid.T) domain.ProviderID {
		var id domain.ProviderID
		if rapid.Bool().Draw(t, "ones") {
			id = domain.ProviderID(bytes.Repeat([]byte{0xff}, 32))
		}
		for range rapid.IntRange(0, 6).Draw(t, "flips") {
			bit := rapid.IntRange(0, 255).Draw(t, "bit")
			id[bit/8] ^= 0x80 >> (bit % 8)
		}
		return id
	})
	ids := rapid.SliceOfNDistinct(id, 1, 40, func(id domain.ProviderID) domain.ProviderID { return id }).Draw(t, "payees")
	leaves := make([]settlement.Leaf, len(ids))
	for i := range ids {
		amount := rapid.Int64Range(1, math.MaxInt64).Draw(t, "amount") >> rapid.IntRange(9, 62).Draw(t, "shift")
		// No two have the same, as the library writes equal cells once.
		leaves[i] = settlement.Leaf{Payee: ids[i], Cumulative: domain.Nano(amount<<6 + int64(i) + 1)}
	}
	slices.SortFunc(leaves, func(a, b settlement.Leaf) int { return bytes.Compare(a.Payee[:], b.Payee[:]) })
	return leaves
}

// NewPayoutTree refuses when the hashed root and the cells' root differ, so building is comparing.
func TestBothWaysToThePayoutRootAgreeAndEveryProofVerifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := genLeaves(t)
		tree, err := ton.NewPayoutTree(leaves)
		if err != nil {
			t.Fatal(err)
		}
		hashed, err := settlement.NewTree(leaves)
		if err != nil {
			t.Fatal(err)
		}
		for _, leaf := range leaves {
			proof, err := tree.Proof(leaf.Payee)
			if err != nil {
				t.Fatal(err)
			}
			amount, err := ton.VerifyPayout(tree.Root(), leaf.Payee, proof)
			if err != nil || amount != leaf.Cumulative {
				t.Fatalf("payee %s: proof says %s (%v), tree %s", leaf.Payee, amount, err, leaf.Cumulative)
			}
			// Byte for byte, as a node checks levels and descriptors, and this library takes any.
			if again, err := hashed.Proof(leaf.Payee); err != nil || !bytes.Equal(again, proof) {
				t.Fatalf("payee %s: of cells the proof is\n%x\nof hashes\n%x (%v)", leaf.Payee, proof, again, err)
			}
		}
	})
}

// The domain's tree hashes and keeps no cell. The library has the same tree as cells, set one by one. Whatever
// is added, changed and left out, in whatever batches, both have one root, and the library believes each proof
// that the domain writes.
func TestTheDomainsTreeIsTheLibrarysDictionaryThroughAnyChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tree settlement.Tree
		cells := cell.NewDict(267)
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			changes := genLeaves(t)
			there := slices.Collect(tree.Leaves())
			for _, leaf := range rapid.SliceOfNDistinct(rapid.SampledFrom(append(there, changes[0])), 0, 3, payeeOf).Draw(t, "also") {
				if !slices.ContainsFunc(changes, func(other settlement.Leaf) bool { return other.Payee == leaf.Payee }) {
					leaf.Cumulative *= domain.Nano(rapid.IntRange(0, 1).Draw(t, "stays"))
					changes = append(changes, leaf)
				}
			}
			settlement.SortLeaves(changes)
			after, err := tree.With(changes)
			if errors.Is(err, domain.ErrAmountOverflow) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			tree = after
			for _, leaf := range changes {
				setCell(t, cells, leaf)
			}
			if tree.Payees() > 0 && tree.Root() != domain.Digest(cells.AsCell().HashKey()) {
				t.Fatalf("after %v: root %s, of cells %x", changes, tree.Root(), cells.AsCell().Hash())
			}
		}
		for leaf := range tree.Leaves() {
			proof, err := tree.Proof(leaf.Payee)
			if err != nil {
				t.Fatal(err)
			}
			if amount, err := ton.VerifyPayout(tree.Root(), leaf.Payee, proof); err != nil || amount != leaf.Cumulative {
				t.Fatalf("payee %s: proof says %s (%v), tree %s", leaf.Payee, amount, err, leaf.Cumulative)
			}
		}
	})
}

func payeeOf(leaf settlement.Leaf) domain.ProviderID { return leaf.Payee }

// setCell sets a payee's amount in a dictionary of cells, or deletes the payee where it is zero.
func setCell(t *rapid.T, cells *cell.Dictionary, leaf settlement.Leaf) {
	t.Helper()
	key := cell.BeginCell().MustStoreAddr(address.NewAddress(0, 0, leaf.Payee[:])).EndCell()
	var value *cell.Cell
	if leaf.Cumulative > 0 {
		value = cell.BeginCell().MustStoreBigCoins(big.NewInt(int64(leaf.Cumulative))).EndCell()
	}
	if err := cells.Set(key, value); err != nil {
		t.Fatal(err)
	}
}

// A way of 256 forks is longer than a byte counts, and as long as a way can be.
func TestTheDeepestTreeThereCanBeGivesProofs(t *testing.T) {
	var leaves []settlement.Leaf
	for bit := range 256 {
		var id domain.ProviderID
		id[bit/8] = 0x80 >> (bit % 8)
		leaves = append(leaves, settlement.Leaf{Payee: id, Cumulative: domain.Nano(bit + 1)})
	}
	leaves = append(leaves, settlement.Leaf{Cumulative: 1000})
	settlement.SortLeaves(leaves)
	tree, err := settlement.NewTree(leaves)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves {
		proof, err := tree.Proof(leaf.Payee)
		if err != nil {
			t.Fatal(err)
		}
		if amount, err := ton.VerifyPayout(tree.Root(), leaf.Payee, proof); err != nil || amount != leaf.Cumulative {
			t.Errorf("payee %s: proof of %d bytes says %s (%v), tree %s", leaf.Payee, len(proof), amount, err, leaf.Cumulative)
		}
	}
}

func TestAProofIsForOnePayeeUnderOneRoot(t *testing.T) {
	leaves := payees(50)
	tree, err := ton.NewPayoutTree(leaves)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := tree.Proof(leaves[7].Payee)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ton.VerifyPayout(tree.Root(), leaves[8].Payee, proof); err == nil {
		t.Error("the proof of one payee is good for another")
	}
	if _, err := ton.VerifyPayout(domain.Digest{1}, leaves[7].Payee, proof); err == nil {
		t.Error("the proof is good for another root")
	}
	if _, err := tree.Proof(payee(1000)); err == nil {
		t.Error("a proof for a payee who is not in the tree")
	}
	for i := range proof {
		for _, flip := range []byte{0x01, 0x80} {
			changed := slices.Clone(proof)
			changed[i] ^= flip
			amount, err := ton.VerifyPayout(tree.Root(), leaves[7].Payee, changed)
			if err == nil && amount != leaves[7].Cumulative {
				t.Errorf("byte %d changed: the proof now says %s", i, amount)
			}
		}
	}
}

func TestATreeWithoutPayeesHasTheZeroRootAndNoProofs(t *testing.T) {
	tree, err := ton.NewPayoutTree(nil)
	if err != nil || tree.Root() != (domain.Digest{}) {
		t.Errorf("root %s (%v)", tree.Root(), err)
	}
	if _, err := tree.Proof(payee(1)); err == nil {
		t.Error("a proof from an empty tree")
	}
}

func FuzzVerifyPayout(f *testing.F) {
	leaves := payees(20)
	tree, err := ton.NewPayoutTree(leaves)
	if err != nil {
		f.Fatal(err)
	}
	for _, leaf := range leaves[:3] {
		proof, err := tree.Proof(leaf.Payee)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(proof)
	}
	f.Fuzz(func(t *testing.T, proof []byte) {
		amount, err := ton.VerifyPayout(tree.Root(), leaves[0].Payee, proof)
		if err == nil && amount != leaves[0].Cumulative {
			t.Errorf("%x proves %s", proof, amount)
		}
	})
}

func spread(count int) []settlement.Leaf {
	leaves := make([]settlement.Leaf, count)
	for i := range leaves {
		leaves[i] = settlement.Leaf{
			Payee:      domain.ProviderID(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("acct"), uint64(i)))),
			Cumulative: domain.Coin + domain.Nano(i)*7919,
		}
	}
	slices.SortFunc(leaves, func(a, b settlement.Leaf) int { return bytes.Compare(a.Payee[:], b.Payee[:]) })
	return leaves
}

func BenchmarkPayoutTree(b *testing.B) {
	for _, count := range []int{1_000, 100_000, 1_000_000} {
		leaves := spread(count)
		b.Run(fmt.Sprintf("build/%d", count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ton.NewPayoutTree(leaves); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("proof/%d", count), func(b *testing.B) {
			tree, err := ton.NewPayoutTree(leaves)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			bytes, at := 0, 0
			for b.Loop() {
				proof, err := tree.Proof(leaves[at%count].Payee)
				if err != nil {
					b.Fatal(err)
				}
				bytes, at = bytes+len(proof), at+7919
			}
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes/proof")
		})
	}
}
