package settlement_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/xssnick/tonutils-go/address"
	"github.com/xssnick/tonutils-go/tvm/cell"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// genPayee draws ids that share long prefixes and long runs, where forks are deep and labels differ.
var genPayee = rapid.Custom(func(t *rapid.T) (id domain.ProviderID) {
	if rapid.Bool().Draw(t, "ones") {
		id = domain.ProviderID(slices.Repeat([]byte{0xff}, 32))
	}
	for range rapid.IntRange(0, 4).Draw(t, "flips") {
		bit := rapid.SampledFrom([]int{0, 1, 2, 3, 4, 7, 8, 9, 100, 200, 248, 253, 254, 255}).Draw(t, "bit")
		id[bit/8] ^= 0x80 >> (bit % 8)
	}
	return id
})

// genChanges draws payees, sorted, each once, and amounts, some of them zero.
func genChanges(t *rapid.T, label string) []settlement.Leaf {
	ids := rapid.SliceOfNDistinct(genPayee, 0, 20, rapid.ID).Draw(t, label)
	changes := make([]settlement.Leaf, len(ids))
	for i, id := range ids {
		amount := rapid.Int64Range(0, 1<<40).Draw(t, "amount") >> rapid.SampledFrom([]int{0, 20, 40}).Draw(t, "shift")
		changes[i] = settlement.Leaf{Payee: id, Cumulative: domain.Nano(amount)}
	}
	settlement.SortLeaves(changes)
	return changes
}

// isTreeOf compares a tree with the tree that is built of its leaves at once.
func isTreeOf(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, tree settlement.Tree, amounts map[domain.ProviderID]domain.Nano,
) {
	t.Helper()
	var leaves []settlement.Leaf
	var total domain.Nano
	for id, amount := range amounts {
		leaves = append(leaves, settlement.Leaf{Payee: id, Cumulative: amount})
		total += amount
		if tree.Of(id) != amount {
			t.Fatalf("%s has %d, want %d", id, tree.Of(id), amount)
		}
	}
	settlement.SortLeaves(leaves)
	root, err := settlement.Root(leaves)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if tree.Root() != root || tree.Payees() != len(leaves) || tree.Total() != total {
		t.Fatalf("root %s, %d payees, total %d; built at once %s, %d, %d", tree.Root(), tree.Payees(), tree.Total(), root, len(leaves), total)
	}
	if have := slices.Collect(tree.Leaves()); !slices.Equal(have, leaves) {
		t.Fatalf("leaves %v, want %v", have, leaves)
	}
}

func TestATreeThatGrewByAnyChangesIsTheTreeBuiltAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tree settlement.Tree
		amounts := map[domain.ProviderID]domain.Nano{}
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			before, root := tree, tree.Root()
			changes := genChanges(t, "changes")
			after, err := tree.With(changes)
			if err != nil {
				t.Fatal(err)
			}
			if tree.Root() != root || tree.Payees() != before.Payees() {
				t.Fatal("a change of a tree showed in the tree before")
			}
			if rapid.IntRange(0, 4).Draw(t, "veto") == 0 {
				isTreeOf(t, tree, amounts) // it is still whole
				continue
			}
			tree = after
			for _, leaf := range changes {
				if amounts[leaf.Payee] = leaf.Cumulative; leaf.Cumulative == 0 {
					delete(amounts, leaf.Payee)
				}
			}
			isTreeOf(t, tree, amounts)
		}
	})
}

func TestChangesOneByOneInAnyOrderGiveTheSameTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := genChanges(t, "changes")
		var tree settlement.Tree
		amounts := map[domain.ProviderID]domain.Nano{}
		for _, leaf := range rapid.Permutation(changes).Draw(t, "order") {
			var err error
			if tree, err = tree.With([]settlement.Leaf{leaf}); err != nil {
				t.Fatal(err)
			}
			if leaf.Cumulative > 0 {
				amounts[leaf.Payee] = leaf.Cumulative
			}
		}
		isTreeOf(t, tree, amounts)
	})
}

func TestATreeOfManyGrowsToTheRootOfMany(t *testing.T) {
	leaves := payeesFor(3000)
	odd, even := []settlement.Leaf{}, []settlement.Leaf{}
	for i, leaf := range leaves {
		if i%2 == 0 {
			even = append(even, leaf)
		} else {
			odd = append(odd, leaf)
		}
	}
	tree, err := settlement.NewTree(even)
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = tree.With(odd); err != nil {
		t.Fatal(err)
	}
	amounts := map[domain.ProviderID]domain.Nano{}
	for _, leaf := range leaves {
		amounts[leaf.Payee] = leaf.Cumulative
	}
	isTreeOf(t, tree, amounts)
}

func TestATreeRefusesWhatIsNoChangeAndNamesTheOffender(t *testing.T) {
	a, b := payeeWithBits(9), payeeWithBits(8)
	tree, err := settlement.NewTree([]settlement.Leaf{{Payee: a, Cumulative: math.MaxInt64 - 1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		changes []settlement.Leaf
		want    string
	}{
		"twice":    {[]settlement.Leaf{{a, 1}, {a, 2}}, a.String()},
		"unsorted": {[]settlement.Leaf{{b, 1}, {a, 1}}, "sorted"},
		"negative": {[]settlement.Leaf{{a, 1}, {b, -1}}, b.String()},
	} {
		if _, err := tree.With(c.changes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want it to say %q", name, err, c.want)
		}
	}
	for name, changes := range map[string][]settlement.Leaf{
		"what is there and what comes": {{b, 2}},
		"what comes alone":             {{a, math.MaxInt64}, {b, math.MaxInt64}},
	} {
		if _, err := tree.With(changes); !errors.Is(err, domain.ErrAmountOverflow) {
			t.Errorf("%s: %v, want an overflow", name, err)
		}
	}
	// The sum counts, not the way to it.
	if after, err := tree.With([]settlement.Leaf{{a, 1}, {b, math.MaxInt64 - 1}}); err != nil || after.Total() != math.MaxInt64 {
		t.Errorf("%d, %v", after.Total(), err)
	}
	if _, err := settlement.NewTree([]settlement.Leaf{{a, 0}}); err == nil {
		t.Error("a leaf of nothing was taken")
	}
	if _, err := tree.Proof(b); !errors.Is(err, settlement.ErrNotInTree) {
		t.Errorf("a proof for a stranger: %v", err)
	}
}

// BenchmarkTree has, beside what the library takes for its cells, what the aims of design.md speak of: a cold build, one changed payee and one batch on a
// warm tree, a proof, and the memory that a tree holds.
func BenchmarkTree(b *testing.B) {
	for _, count := range []int{1_000, 100_000, 1_000_000} {
		leaves := payeesFor(count)
		b.Run(fmt.Sprintf("cold/%d", count), func(b *testing.B) {
			for b.Loop() {
				if _, err := settlement.NewTree(leaves); err != nil {
					b.Fatal(err)
				}
			}
			perPayee(b, count)
		})
		b.Run(fmt.Sprintf("cold/%d/NewDictFromItems", count), func(b *testing.B) {
			items := make([]cell.DictBulkKV, count)
			for b.Loop() {
				for i, leaf := range leaves {
					items[i] = cell.DictBulkKV{
						Key: cell.BeginCell().MustStoreAddr(address.NewAddress(0, 0, leaf.Payee[:])).EndCell().
							MustBeginParse().MustLoadSlice(267),
						Value: cell.BeginCell().MustStoreBigCoins(big.NewInt(int64(leaf.Cumulative))),
					}
				}
				if _, err := cell.NewDictFromItems(267, items); err != nil {
					b.Fatal(err)
				}
			}
			perPayee(b, count)
		})
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		tree, err := settlement.NewTree(leaves)
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		for _, changed := range []int{1, 4096} {
			if changed > count {
				continue
			}
			b.Run(fmt.Sprintf("warm/%d/changed=%d", count, changed), func(b *testing.B) {
				batches := drawBatches(leaves, changed)
				at := 0
				for b.Loop() {
					next, err := tree.With(batches[at%len(batches)])
					if err != nil {
						b.Fatal(err)
					}
					_ = next.Root()
					at++
				}
				perPayee(b, changed)
			})
		}
		b.Run(fmt.Sprintf("proof/%d", count), func(b *testing.B) {
			b.ReportAllocs()
			size, at := 0, 0
			for b.Loop() {
				proof, err := tree.Proof(leaves[at%count].Payee)
				if err != nil {
					b.Fatal(err)
				}
				size, at = size+len(proof), at+7919
			}
			b.ReportMetric(float64(size)/float64(b.N), "bytes/proof")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(count), "heap-bytes/payee")
		})
	}
}

// drawBatches draws some batches that each change as many payees.
func drawBatches(leaves []settlement.Leaf, changed int) [][]settlement.Leaf {
	r := rand.New(rand.NewPCG(1, 1))
	batches := make([][]settlement.Leaf, max(4, 2000/changed))
	for i := range batches {
		for _, at := range drawIndexes(r, len(leaves), changed) {
			batches[i] = append(batches[i], settlement.Leaf{Payee: leaves[at].Payee, Cumulative: leaves[at].Cumulative + 1})
		}
		settlement.SortLeaves(batches[i])
	}
	return batches
}

func perPayee(b *testing.B, payees int) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(payees), "ns/payee")
}

func drawIndexes(r *rand.Rand, below, count int) []int {
	drawn := map[int]bool{}
	for len(drawn) < count {
		drawn[r.IntN(below)] = true
	}
	return slices.Collect(maps.Keys(drawn))
}
