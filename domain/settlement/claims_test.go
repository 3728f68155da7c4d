package settlement_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

func TestAKeeperClaimsForWhomItIsWorthIt(t *testing.T) {
	const now = 1_000_000
	policy := settlement.ClaimPolicy{AtLeastNano: 100, AfterMs: 50_000, FeeNano: 3, BudgetNano: 12}
	for _, c := range []struct {
		name   string
		unpaid []settlement.Unpaid
		claims int64
		want   []byte
	}{
		{"enough is claimed for at once", []settlement.Unpaid{{payee(1), 100, now - 1}, {payee(2), 99, now - 1}}, 0, []byte{1}},
		{"less is claimed for when it has waited", []settlement.Unpaid{{payee(1), 99, now - 50_000}, {payee(2), 99, now - 49_999}}, 0, []byte{1}},
		{"who was never paid has waited", []settlement.Unpaid{{payee(1), 99, 0}}, 0, []byte{1}},
		{"nobody is claimed for who is owed nothing", []settlement.Unpaid{{payee(1), 0, 0}, {payee(2), -3, 0}}, 0, nil},
		{
			"the budget ends it: who was paid longest ago comes first",
			[]settlement.Unpaid{{payee(1), 500, 9}, {payee(2), 500, 8}, {payee(3), 500, 7}, {payee(4), 500, 6}, {payee(5), 500, 5}},
			0,
			[]byte{2, 3, 4, 5},
		},
		{
			"of those who is owed most",
			[]settlement.Unpaid{{payee(1), 150, 0}, {payee(2), 200, 0}, {payee(3), 300, 0}, {payee(4), 400, 0}, {payee(5), 500, 0}},
			0,
			[]byte{2, 3, 4, 5},
		},
		{
			"then the smaller id, and they come in its order",
			[]settlement.Unpaid{{payee(5), 200, 0}, {payee(4), 200, 0}, {payee(1), 200, 0}, {payee(3), 200, 0}, {payee(2), 200, 0}},
			0,
			[]byte{1, 2, 3, 4},
		},
		{"what was claimed before is in it", []settlement.Unpaid{{payee(1), 500, 0}, {payee(2), 400, 0}}, 3, []byte{1}},
		{"there is nothing left of it", []settlement.Unpaid{{payee(1), 500, 0}}, 5, nil},
		{"nobody waits", nil, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []byte
			for _, id := range settlement.Due(c.unpaid, c.claims, policy, now) {
				got = append(got, id[0])
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("claims for %v, want %v", got, c.want)
			}
		})
	}
}

// Each round has a budget for some of them. Whoever is left out is older in the next.
func TestWithAnyBudgetEverybodyIsClaimedForInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payees := rapid.IntRange(1, 40).Draw(t, "payees")
		each := rapid.IntRange(1, 10).Draw(t, "claims in a round")
		policy := settlement.ClaimPolicy{AtLeastNano: 1, FeeNano: 2, BudgetNano: domain.Nano(2 * each)}
		lastPaid := map[domain.ProviderID]int64{}
		owed := rapid.SliceOfN(rapid.Int64Range(2, 1000), payees, payees).Draw(t, "owed")
		rounds := (payees + each - 1) / each
		for round := range rounds {
			var unpaid []settlement.Unpaid
			for i := range payees {
				id := payee(byte(i + 1))
				unpaid = append(unpaid, settlement.Unpaid{Payee: id, Owed: domain.Nano(owed[i]), LastPaidMs: lastPaid[id]})
			}
			due := settlement.Due(rapid.Permutation(unpaid).Draw(t, "order"), 0, policy, 100)
			if len(due) > each {
				t.Fatalf("%d claims on a budget for %d", len(due), each)
			}
			for _, id := range due {
				lastPaid[id] = int64(round + 1)
			}
		}
		if len(lastPaid) != payees {
			t.Fatalf("after %d rounds of %d, %d of %d were paid", rounds, each, len(lastPaid), payees)
		}
	})
}
