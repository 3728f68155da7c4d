package settlement_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func payee(n byte) domain.ProviderID { return domain.ProviderID{0: n, 31: n} }

// cutAt is a cut of three shards.
func cutAt(offset domain.Offset) settlement.Cut {
	return settlement.Cut{
		Offsets:  []domain.Offset{offset, offset + 1, offset + 2},
		LogRoots: []domain.Digest{{1}, {2}, {3}},
	}
}

func TestABatchPaysWhoIsOwedTheThreshold(t *testing.T) {
	policy := settlement.Policy{ThresholdNano: 100, MaxPayees: 2}
	type line struct {
		payee             byte
		cumulative, delta int64
	}
	for _, c := range []struct {
		name   string
		owed   []settlement.Owed
		want   []line
		total  int64
		payees int64
	}{
		{
			"the threshold itself is enough, one less is not",
			[]settlement.Owed{{Payee: payee(1), Payable: 100}, {Payee: payee(2), Payable: 99}},
			[]line{{1, 100, 100}}, 100, 1,
		},
		{
			"what was committed before is in the leaf, the root and the total, also of those who wait",
			[]settlement.Owed{
				{Payee: payee(1), Payable: 100, Committed: 1000}, {Payee: payee(2), Payable: 99, Committed: 500},
				{Payee: payee(3), Committed: 30},
			},
			[]line{{1, 1100, 100}}, 1630, 3,
		},
		{
			"where there is no room the largest go first, and of equals the smaller id; lines are in order of id",
			[]settlement.Owed{
				{Payee: payee(9), Payable: 300}, {Payee: payee(3), Payable: 200}, {Payee: payee(2), Payable: 200}, {Payee: payee(1), Payable: 199},
			},
			[]line{{2, 200, 200}, {9, 300, 300}}, 500, 2,
		},
		{
			"who is below zero waits",
			[]settlement.Owed{{Payee: payee(1), Payable: -500, Committed: 700}, {Payee: payee(2), Payable: 100}},
			[]line{{2, 100, 100}}, 800, 2,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			batch, err := settlement.Seal(7, cutAt(40), c.owed, policy)
			if err != nil {
				t.Fatal(err)
			}
			var got []line
			for _, l := range batch.Lines {
				got = append(got, line{l.Payee[0], l.CumulativeNano, l.DeltaNano})
			}
			if !slices.Equal(got, c.want) || batch.TotalNano != c.total || batch.Payees != c.payees || batch.Number != 7 {
				t.Errorf("got %+v, total %d of %d payees", got, batch.TotalNano, batch.Payees)
			}
			if !slices.Equal(batch.Cut, []int64{40, 41, 42}) || len(batch.LogRoots) != 3 || batch.LogRoots[2][0] != 3 {
				t.Errorf("cut %v, log roots %x", batch.Cut, batch.LogRoots)
			}
			if commitment := settlement.CommitmentOf(batch, policy); !bytes.Equal(commitment[:], batch.Commitment) {
				t.Errorf("commitment %x, want %x", batch.Commitment, commitment)
			}
			if err := batch.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestThereIsNoBatchWhereNobodyIsOwedEnough(t *testing.T) {
	policy := settlement.Policy{ThresholdNano: 100, MaxPayees: 2}
	for _, owed := range [][]settlement.Owed{
		nil,
		{{Payee: payee(1), Payable: 99, Committed: 1000}},
		{{Payee: payee(1), Payable: math.MinInt64}},
	} {
		if batch, err := settlement.Seal(1, cutAt(0), owed, policy); !errors.Is(err, settlement.ErrNothingOwed) {
			t.Errorf("%v: got %v, %v", owed, batch, err)
		}
	}
	// A threshold of nothing still pays nobody nothing.
	if _, err := settlement.Seal(1, cutAt(0), []settlement.Owed{{Payee: payee(1)}}, settlement.Policy{MaxPayees: 1}); !errors.Is(err, settlement.ErrNothingOwed) {
		t.Errorf("got %v", err)
	}
}

func TestAmountsThatNoInt64HoldsMakeNoBatch(t *testing.T) {
	policy := settlement.Policy{ThresholdNano: 1, MaxPayees: 9}
	for name, owed := range map[string][]settlement.Owed{
		"one payee": {{Payee: payee(1), Payable: 1, Committed: math.MaxInt64}},
		"the total": {{Payee: payee(1), Payable: math.MaxInt64}, {Payee: payee(2), Payable: 1}},
	} {
		if batch, err := settlement.Seal(1, cutAt(0), owed, policy); !errors.Is(err, domain.ErrAmountOverflow) {
			t.Errorf("%s: got %v, %v", name, batch, err)
		}
	}
}

func TestAPayeeGivenTwiceMakesNoBatch(t *testing.T) {
	owed := []settlement.Owed{{Payee: payee(1), Payable: 5}, {Payee: payee(1), Payable: 6}}
	if batch, err := settlement.Seal(1, cutAt(0), owed, settlement.Policy{ThresholdNano: 1, MaxPayees: 9}); err == nil {
		t.Errorf("got %v", batch)
	}
}

// TestTheCommitmentIsTheDigestOfItsLayout has the preimage written out, for whoever checks it in
// another language.
func TestTheCommitmentIsTheDigestOfItsLayout(t *testing.T) {
	batch := &v1.SealBatch{
		Number: 2, PayoutRoot: bytes.Repeat([]byte{0xaa}, 32), TotalNano: 5_000_000_000, Payees: 3,
		Cut: []int64{7, 300}, LogRoots: [][]byte{bytes.Repeat([]byte{0xb0}, 32), bytes.Repeat([]byte{0xb1}, 32)},
	}
	// python3: sha256(b"filature/batch/v1\0" + pack(">I", 2) + b"\xaa"*32 + pack(">QQQII", 5*10**9, 3, 10**8, 4096, 2)
	//	+ pack(">Q", 7) + b"\xb0"*32 + pack(">Q", 300) + b"\xb1"*32)
	const want = "bb185c40a18474d9e90f7b6bc18bae11dd33250b940849f57785b8b4c9764f4a"
	got := settlement.CommitmentOf(batch, settlement.Policy{ThresholdNano: 100_000_000, MaxPayees: 4096})
	if hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

// TestTheCommitmentBindsEverything changes each part of a batch and of the policy alone.
func TestTheCommitmentBindsEverything(t *testing.T) {
	policy := settlement.Policy{ThresholdNano: 10, MaxPayees: 20}
	fresh := func() *v1.SealBatch {
		return &v1.SealBatch{
			Number: 1, PayoutRoot: bytes.Repeat([]byte{1}, 32), TotalNano: 2, Payees: 3,
			Cut: []int64{4, 5}, LogRoots: [][]byte{bytes.Repeat([]byte{6}, 32), bytes.Repeat([]byte{7}, 32)},
		}
	}
	seen := map[domain.Digest]string{settlement.CommitmentOf(fresh(), policy): "nothing"}
	check := func(what string, batch *v1.SealBatch, policy settlement.Policy) {
		commitment := settlement.CommitmentOf(batch, policy)
		if other, twice := seen[commitment]; twice {
			t.Errorf("to change %s and to change %s give one commitment", what, other)
		}
		seen[commitment] = what
	}
	for what, change := range map[string]func(*v1.SealBatch){
		"the number":      func(b *v1.SealBatch) { b.Number++ },
		"the root":        func(b *v1.SealBatch) { b.PayoutRoot[31]++ },
		"the total":       func(b *v1.SealBatch) { b.TotalNano++ },
		"the payees":      func(b *v1.SealBatch) { b.Payees++ },
		"the cut":         func(b *v1.SealBatch) { b.Cut[1]++ },
		"control's cut":   func(b *v1.SealBatch) { b.Cut[0]++ },
		"a log root":      func(b *v1.SealBatch) { b.LogRoots[1][0]++ },
		"the shards":      func(b *v1.SealBatch) { b.Cut, b.LogRoots = b.Cut[:1], b.LogRoots[:1] },
		"the order of it": func(b *v1.SealBatch) { slices.Reverse(b.Cut); slices.Reverse(b.LogRoots) },
	} {
		batch := fresh()
		change(batch)
		check(what, batch, policy)
	}
	check("the threshold", fresh(), settlement.Policy{ThresholdNano: 11, MaxPayees: 20})
	check("the most payees", fresh(), settlement.Policy{ThresholdNano: 10, MaxPayees: 21})
}

// TestHoweverWhatIsOwedIsCutIntoBatchesTheLastRootIsTheSame credits payees in any order, seals wherever
// it likes under any policy, and seals the rest in the end: the leaves are the sums of the credits, and
// the root is that of all of them.
func TestHoweverWhatIsOwedIsCutIntoBatchesTheLastRootIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payable, committed := map[domain.ProviderID]domain.Nano{}, map[domain.ProviderID]domain.Nano{}
		ever := map[domain.ProviderID]domain.Nano{}
		number := uint32(0)
		var last *v1.SealBatch
		seal := func(policy settlement.Policy) bool {
			var owed []settlement.Owed
			for id := range ever {
				owed = append(owed, settlement.Owed{Payee: id, Payable: payable[id], Committed: committed[id]})
			}
			slices.SortFunc(owed, func(a, b settlement.Owed) int { return bytes.Compare(b.Payee[:], a.Payee[:]) })
			batch, err := settlement.Seal(number+1, cutAt(domain.Offset(number)), owed, policy)
			if errors.Is(err, settlement.ErrNothingOwed) {
				return false
			}
			if err != nil {
				t.Fatal(err)
			}
			shuffled := rapid.Permutation(owed).Draw(t, "order")
			again, err := settlement.Seal(number+1, cutAt(domain.Offset(number)), shuffled, policy)
			if err != nil || !bytes.Equal(encoded(t, batch), encoded(t, again)) {
				t.Fatalf("the batch depends on the order of what is owed: %v", err)
			}
			if len(batch.Lines) > policy.MaxPayees {
				t.Fatalf("%d payees in a batch of %d", len(batch.Lines), policy.MaxPayees)
			}
			number, last = batch.Number, batch
			for i, line := range batch.Lines {
				id := domain.ProviderID(line.Payee)
				if i > 0 && bytes.Compare(batch.Lines[i-1].Payee, line.Payee) >= 0 {
					t.Fatal("lines are not in order")
				}
				if domain.Nano(line.DeltaNano) < policy.ThresholdNano || domain.Nano(line.DeltaNano) != payable[id] {
					t.Fatalf("%s is paid %d of %d", id, line.DeltaNano, payable[id])
				}
				committed[id] += domain.Nano(line.DeltaNano)
				payable[id] = 0
			}
			return true
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "seal") == 0 {
				seal(settlement.Policy{
					ThresholdNano: domain.Nano(rapid.Int64Range(1, 500).Draw(t, "threshold")), MaxPayees: rapid.IntRange(1, 5).Draw(t, "most"),
				})
				continue
			}
			id := payee(rapid.Byte().Draw(t, "payee"))
			amount := domain.Nano(rapid.Int64Range(1, 1000).Draw(t, "amount"))
			payable[id] += amount
			ever[id] += amount
		}
		for seal(settlement.Policy{ThresholdNano: 1, MaxPayees: 3}) {
		}
		var (
			leaves []settlement.Leaf
			total  domain.Nano
		)
		for id, amount := range ever {
			leaves = append(leaves, settlement.Leaf{Payee: id, Cumulative: amount})
			total += amount
			if committed[id] != amount {
				t.Fatalf("%s was owed %d and got %d", id, amount, committed[id])
			}
		}
		settlement.SortLeaves(leaves)
		root, err := settlement.Root(leaves)
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && (domain.Digest(last.PayoutRoot) != root || domain.Nano(last.TotalNano) != total || int(last.Payees) != len(leaves)) {
			t.Fatalf("the last batch is %x, total %d; over all it is %x, total %d", last.PayoutRoot, last.TotalNano, root, total)
		}
	})
}

func encoded(t *rapid.T, m v1.Message) []byte {
	t.Helper()
	raw, err := v1.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
