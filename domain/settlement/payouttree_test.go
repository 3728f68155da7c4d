package settlement_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// payeesFor makes count payees with well-spread ids, sorted.
func payeesFor(count int) []settlement.Leaf {
	leaves := make([]settlement.Leaf, count)
	for i := range leaves {
		leaves[i] = settlement.Leaf{
			Payee:      domain.ProviderID(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("acct"), uint64(i)))),
			Cumulative: domain.Coin + domain.Nano(i)*7919,
		}
	}
	slices.SortFunc(leaves, func(a, b settlement.Leaf) int { return slices.Compare(a.Payee[:], b.Payee[:]) })
	return leaves
}

func payeeWithBits(set ...int) (id domain.ProviderID) {
	for _, bit := range set {
		id[bit/8] |= 0x80 >> (bit % 8)
	}
	return id
}

// The roots are those of dictionaries that tonutils-go builds cell by cell; adapters/ton compares the
// two on random trees, and the contract's tests have the vault accept proofs of such trees.
func TestPayoutRootsAreThoseOfTONDictionaries(t *testing.T) {
	ones := domain.ProviderID(slices.Repeat([]byte{0xff}, 32))
	last, two, three, four := payeeWithBits(255), payeeWithBits(2), payeeWithBits(3), payeeWithBits(2, 4)
	for name, c := range map[string]struct {
		leaves []settlement.Leaf
		want   string
	}{
		"no payee": {
			nil,
			"0000000000000000000000000000000000000000000000000000000000000000",
		},
		"the payee of all zeros": {
			[]settlement.Leaf{{Cumulative: 1}},
			"41d03b92a3f570a4f241570d8e1bdb1dbb0873f9854592df9f9a63f4192cf48f",
		},
		"the payee of all ones": {
			[]settlement.Leaf{{Payee: ones, Cumulative: 1 << 62}},
			"08e17313ac0d5ef96aa3686f64a3fd00f014df979a27ada210cc839dcc99f2ab",
		},
		"two that differ at once": {
			[]settlement.Leaf{{Cumulative: 5}, {Payee: ones, Cumulative: 6}},
			"3164b04019a0444749d3a0712d478b546417574d4ed884d57930e70bd7c1e61b",
		},
		"two that differ at the end": {
			[]settlement.Leaf{{Cumulative: 5}, {Payee: last, Cumulative: 6}},
			"15da69b8ea9c2e94b8c9afde5e6aba8ea78f8444a7b5d988c908254b917f579a",
		},
		"three with short, odd labels": {
			[]settlement.Leaf{{Payee: three, Cumulative: 255}, {Payee: two, Cumulative: 256}, {Payee: four, Cumulative: 257}},
			"c4686cd115a27ff7dbcf2efe48bcbe2604fc664c7bf25743b28fbef1d75d98e9",
		},
		"a thousand": {
			payeesFor(1000),
			"d5f03bae9117aa2496e187d1eb4b3e8c6269af4d6b33ee540ef24d71744fe5ec",
		},
	} {
		root, err := settlement.Root(c.leaves)
		if err != nil || root.String() != c.want {
			t.Errorf("%s: root %s (%v), want %s", name, root, err, c.want)
		}
	}
}

func TestPayoutRootRefusesWhatIsNoTreeAndNamesTheOffender(t *testing.T) {
	a, b := payeeWithBits(9), payeeWithBits(8)
	for name, c := range map[string]struct {
		leaves []settlement.Leaf
		want   []string
	}{
		"twice":    {[]settlement.Leaf{{a, 1}, {b, 1}, {b, 2}}, []string{b.String(), "twice"}},
		"unsorted": {[]settlement.Leaf{{b, 1}, {a, 1}}, []string{a.String(), b.String(), "sorted"}},
		"nothing":  {[]settlement.Leaf{{a, 1}, {b, 0}}, []string{b.String(), "above zero"}},
		"negative": {[]settlement.Leaf{{a, -1}}, []string{a.String(), "above zero"}},
	} {
		_, err := settlement.Root(c.leaves)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want it to say %q", name, err, want)
			}
		}
	}
}

func TestEveryLeafCountsInThePayoutRoot(t *testing.T) {
	leaves := payeesFor(200)
	seen := map[domain.Digest]int{}
	for i := -1; i < len(leaves); i++ {
		changed := slices.Clone(leaves)
		if i >= 0 {
			changed[i].Cumulative++
		}
		root, err := settlement.Root(changed)
		if err != nil {
			t.Fatal(err)
		}
		if other, known := seen[root]; known {
			t.Errorf("changing leaf %d gives the root of changing leaf %d", i, other)
		}
		seen[root] = i
	}
}

func TestPayoutRootAllocatesNothing(t *testing.T) {
	leaves := payeesFor(1000)
	if got := testing.AllocsPerRun(5, func() { _, _ = settlement.Root(leaves) }); got > 1 {
		t.Errorf("%v allocations for 1000 leaves", got)
	}
}

func BenchmarkPayoutRoot(b *testing.B) {
	for _, count := range []int{1_000, 100_000, 1_000_000} {
		leaves := payeesFor(count)
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := settlement.Root(leaves); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/leaf")
		})
	}
}
