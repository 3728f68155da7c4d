package ton_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

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
		amount := rapid.Int64Range(1, math.MaxInt64).Draw(t, "amount") >> rapid.IntRange(0, 62).Draw(t, "shift")
		leaves[i] = settlement.Leaf{Payee: ids[i], Cumulative: domain.Nano(max(1, amount))}
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
		for _, leaf := range leaves {
			proof, err := tree.Proof(leaf.Payee)
			if err != nil {
				t.Fatal(err)
			}
			amount, err := ton.VerifyPayout(tree.Root(), leaf.Payee, proof)
			if err != nil || amount != leaf.Cumulative {
				t.Fatalf("payee %s: proof says %s (%v), tree %s", leaf.Payee, amount, err, leaf.Cumulative)
			}
		}
	})
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
