package ton_test

import (
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// The network voted for other prices. What a settler sees and sends follows them: it does not propose what the vault would
// refuse, again and again, nor attach too little.
func TestATreasurySettlesAtWhateverPricesTheNetworkAsks(t *testing.T) {
	for _, times := range []uint64{1, 20, 500} {
		n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond, Prices: times})
		n.fund(time.Second, ton.VaultReserve)
		ctx := n.ctx()
		leaves := payees(40)
		tree, err := settlement.NewTree(leaves)
		if err != nil {
			t.Fatal(err)
		}
		treasury := &ton.Treasury{Vault: n.vault, Wallet: n.admin}
		open := settlement.OnChain{Epoch: 1, Root: tree.Root(), Total: tree.Total(), Commitment: domain.Digest{1}}
		look := func() (settlement.Seen, settlement.Decision) {
			t.Helper()
			seen := must(treasury.Look(ctx))
			return seen, settlement.Next(settlement.Books{LastNumber: 1, Open: &open, LT: seen.LT}, seen)
		}

		// The machine's own get-method says the same as of the same block.
		api := stockClient(t, n.chain)
		block := must(api.GetMasterchainInfo(ctx))
		reserve := must(api.RunGetMethod(ctx, block, std(n.vault.Address()), "get_reserve"))
		byPayout, byProposal := domain.Nano(must(reserve.Int(0)).Int64()), domain.Nano(must(reserve.Int(1)).Int64())
		seen, decision := look()
		if balance := n.state().Balance; balance-seen.Free != byPayout || balance-seen.Covers != byProposal {
			t.Errorf("prices times %d: the vault has %s, sees %s free and %s for a root; its reserve is %s, %s",
				times, balance, seen.Free, seen.Covers, byPayout, byProposal)
		}
		if decision.Step != settlement.StepWait || !strings.Contains(decision.Why, "short by") {
			t.Errorf("prices times %d: %+v", times, decision)
		}

		// While it is short it waits; as soon as it is not, it proposes, and the vault takes it.
		const short = domain.Coin / 2 // beside which gas and the rent of some blocks are little
		n.do(n.guardian, n.vault.TopUpMessage(tree.Total()-seen.Covers-short))
		n.until("the first top-up", func() bool { seen, decision = look(); return seen.Covers > tree.Total()-2*short })
		if decision.Step != settlement.StepWait {
			t.Errorf("prices times %d, short by %s: %+v", times, tree.Total()-seen.Covers, decision)
		}
		n.do(n.guardian, n.vault.TopUpMessage(2*short))
		n.until("the second top-up", func() bool { _, decision = look(); return decision.Step == settlement.StepPropose })
		if err := treasury.Propose(ctx, open); err != nil {
			t.Fatal(err)
		}
		n.until("the proposal", func() bool { seen, _ = look(); return seen.Pending != nil })
		n.chain.Advance(2 * time.Second)
		n.until("the delay", func() bool { _, decision = look(); return decision.Step == settlement.StepActivate })
		if err := treasury.Activate(ctx); err != nil {
			t.Fatal(err)
		}
		n.until("the activation", func() bool { seen, _ = look(); return seen.Active == open })

		payTo := make([]domain.ProviderID, len(leaves))
		for i, leaf := range leaves {
			payTo[i] = leaf.Payee
		}
		// Who claims with a wallet of its own is told to attach as much as the treasury does.
		if value := must(n.client.ClaimValue(ctx)); value < ton.ClaimValue || value > ton.ClaimValue != (times > 1) {
			t.Errorf("prices times %d: a claim wants %s", times, value)
		}
		before := must(n.client.Balance(ctx, n.admin.Address()))
		if sent, err := treasury.Claim(ctx, tree, payTo); err != nil || sent != len(leaves) {
			t.Fatalf("prices times %d: claimed for %d of %d, %v", times, sent, len(leaves), err)
		}
		n.until("the payouts", func() bool { return n.state().Paid == tree.Total() })
		var cost domain.Nano
		n.until("what is left of the fees", func() bool {
			cost = before - must(n.client.Balance(ctx, n.admin.Address()))
			return cost <= seen.ClaimFee*domain.Nano(len(leaves))
		})
		each := cost / domain.Nano(len(leaves))
		t.Logf("prices times %d: reserve %s and %s, a first claim costs %s of %s", times, byPayout, byProposal, each, seen.ClaimFee)
		if each < seen.ClaimFee/3 {
			t.Errorf("prices times %d: a claim costs %s, and is counted as %s", times, each, seen.ClaimFee)
		}
	}
}
