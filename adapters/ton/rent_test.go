package ton

import (
	"math/big"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
)

const year = 31_557_600 * time.Second

// priced is a scene in a network with other prices for storage (configuration parameter 18).
func priced(t testing.TB, s *scene, perBit, perCell uint64) {
	t.Helper()
	root := s.config.Root().AsDict(32)
	list := cell.NewDict(32)
	price := must(tlb.ToCell(tlb.ConfigStoragePrices{BitPrice: perBit, CellPrice: perCell, MCBitPrice: 1000, MCCellPrice: 500_000}))
	if err := list.SetIntKey(new(big.Int), price); err != nil {
		t.Fatal(err)
	}
	if err := root.SetIntKey(big.NewInt(18), cell.BeginCell().MustStoreRef(list.AsCell()).EndCell()); err != nil {
		t.Fatal(err)
	}
	config, err := tvm.PrepareBlockchainConfig(root.AsCell())
	if err != nil {
		t.Fatal(err)
	}
	s.config = config
	s.twin.setConfig(t, config)
}

// storagePrices are those of 2026-05, those of 2025, and ten times those.
var storagePrices = map[string]struct{ perBit, perCell uint64 }{
	"2026-05": {0, 135}, "2025": {1, 500}, "ten times 2025": {10, 5000},
}

// rentOf is what the network asks for storage, rounded up: a price is for 2^16 seconds.
func rentOf(perBit, perCell, bits, cells uint64, d time.Duration) domain.Nano {
	return domain.Nano(((perBit*bits+perCell*cells)*uint64(d/time.Second) + 1<<16 - 1) >> 16)
}

// tenYearsOfVaultRent is what a proposal must leave for rent at these prices.
func tenYearsOfVaultRent(t testing.TB, perBit, perCell uint64) domain.Nano {
	t.Helper()
	return rentOf(perBit, perCell, tolkConstant(t, "VAULT_BITS"), tolkConstant(t, "VAULT_CELLS"), 10*year)
}

// sizeOf counts an account's distinct cells and their bits, as the network does for rent.
func (s *scene) sizeOf(at Address) (bits, cells uint64) {
	s.t.Helper()
	seen := map[[32]byte]bool{}
	var count func(c *cell.Cell)
	count = func(c *cell.Cell) {
		if seen[c.HashKey()] {
			return
		}
		seen[c.HashKey()] = true
		bits, cells = bits+uint64(c.BitsSize()), cells+1
		for i := range c.RefsNum() {
			count(c.MustPeekRef(int(i)))
		}
	}
	count(s.accounts[at].ShardAccount().Account)
	return bits, cells
}

func TestRentIsCountedForNoLessThanTheContractsAre(t *testing.T) {
	s, tree := activated(t)
	s.expect("claim", s.send(aRelayer, s.claim(tree, provider(1), aRelayer)), 0)
	second, total := treeOf(t, leavesOf(10, 2*domain.Coin))
	s.expect("propose", s.send(theAdmin, s.proposal(2, second, total)), 0)
	s.expect("propose another admin", s.send(theAdmin, s.vault.ProposeAdminMessage(aSuccessor)), 0)
	for name, c := range map[string]struct {
		at   Address
		file string
	}{
		"VAULT":         {s.vault.self, "vault"},
		"CLAIM_ACCOUNT": {s.vault.ClaimAccount(provider(1)), "messages"},
	} {
		bits, cells := s.sizeOf(c.at)
		boundBits, boundCells := tolkConstantIn(t, c.file, name+"_BITS"), tolkConstantIn(t, c.file, name+"_CELLS")
		t.Logf("%s: %d bits of %d, %d cells of %d", name, bits, boundBits, cells, boundCells)
		if bits > boundBits || cells > boundCells {
			t.Errorf("%s is larger than the contracts count", name)
		}
		if boundCells > 2*cells {
			t.Errorf("%s is counted more than twice, and payees' relayers pay for it", name)
		}
	}
}

func TestAClaimAccountIsNotInDebtForYearsWhateverThePrices(t *testing.T) {
	for name, price := range storagePrices {
		s, tree := activated(t)
		priced(t, s, price.perBit, price.perCell)
		claim := s.claim(tree, provider(1), aRelayer)
		claim.Amount = 10 * domain.Coin
		s.expect("claim", s.send(aRelayer, claim), 0)
		child := s.vault.ClaimAccount(provider(1))
		bits, cells := tolkConstantIn(t, "messages", "CLAIM_ACCOUNT_BITS"), tolkConstantIn(t, "messages", "CLAIM_ACCOUNT_CELLS")
		want := rentOf(price.perBit, price.perCell, bits, cells, 5*year)
		if got := s.balance(child); got != want {
			t.Errorf("%s: the claim account holds %s, want five years' rent, %s", name, got, want)
		}
		s.wait(5 * year)
		// Whoever sends it a coin makes the network collect the rent.
		s.send(aStranger, Message{To: child, Amount: 1})
		account := s.accounts[child].State()
		if account.Status != tlb.AccountStatusActive || account.StorageInfo.DuePayment != nil {
			t.Errorf("%s: after five years %s, debt %v, balance %s", name, account.Status, account.StorageInfo.DuePayment, s.balance(child))
		}
		if got := s.claimed(provider(1)); got != domain.Coin+1 {
			t.Errorf("%s: after five years it remembers %s", name, got)
		}
	}
}

// A root is covered to the last nanoton when it is proposed. Rent eats of the reserve, never of what is
// owed: he who claims last, years later, still gets all.
func TestTheLastPayeeIsPaidInFullYearsLater(t *testing.T) {
	for name, price := range storagePrices {
		s := newScene(t, 20*domain.Coin)
		priced(t, s, price.perBit, price.perCell)
		atProposal := tenYearsOfVaultRent(t, price.perBit, price.perCell)
		tree, _ := treeOf(t, leavesOf(2, domain.Coin))
		if free := s.balance(s.vault.self); atProposal > free {
			t.Fatalf("%s: ten years' rent is %s", name, atProposal)
		}
		missing := 2*domain.Coin + 1 + atProposal
		s.place(s.vault.self, s.vault.client.vaultCode, s.data(s.vault.self), missing-1)
		s.expect(name+": a nanoton short", s.send(theAdmin, s.proposal(1, tree, 2*domain.Coin+1)), 109)
		s.place(s.vault.self, s.vault.client.vaultCode, s.data(s.vault.self), missing)
		s.expect(name+": covered", s.send(theAdmin, s.proposal(1, tree, 2*domain.Coin+1)), 0)
		s.wait(5 * year)
		for i := range 2 {
			claim := s.claim(tree, provider(i), aRelayer)
			claim.Amount = 10 * domain.Coin
			steps := s.send(aRelayer, claim)
			if got := s.balance(PayeeAddress(provider(i))); got != domain.Coin+domain.Nano(i) {
				t.Errorf("%s: payee %d has %s: %v", name, i, got, steps)
			}
		}
	}
}

// Storage became fifty times as dear, and nobody looked at a claim account for years: it froze. It forgot
// nothing, and who claims gets his coin back rather than losing it to the vault.
func TestAFrozenClaimAccountSendsTheRelayersCoinBack(t *testing.T) {
	s, tree := activated(t)
	payee := provider(1)
	s.expect("claim", s.send(aRelayer, s.claim(tree, payee, aRelayer)), 0)
	second, total := treeOf(t, leavesOf(10, 2*domain.Coin))
	s.expect("propose", s.send(theAdmin, s.proposal(2, second, total)), 0)
	child := s.vault.ClaimAccount(payee)
	s.expect("top-up", s.send(aStranger, s.vault.TopUpMessage(10*domain.Coin)), 0)
	code, data := s.accounts[child].State().StateInit.Code, s.data(child)
	priced(t, s, 10, 5000)
	s.wait(5 * year) // the network freezes at a debt of 0.1 coins
	before, vaultBefore := s.balance(aRelayer), domain.Nano(0)
	for i := range 2 {
		claim := s.claim(second, payee, aRelayer)
		claim.Amount = domain.Coin
		steps := s.send(aRelayer, claim)
		if last := steps[len(steps)-1]; last.at != aRelayer || last.op != opExcesses || s.state().Paid != domain.Coin+1 {
			t.Fatalf("claim %d of a frozen account: %v, paid %s", i, steps, s.state().Paid)
		}
		if i > 0 {
			if got := s.balance(s.vault.self) - vaultBefore; got != 0 {
				t.Errorf("the vault's balance changed by %s", got)
			}
			if got := s.balance(aRelayer) - before; got < domain.Coin-ClaimValue {
				t.Errorf("the relayer got %s of %s back", got, domain.Coin)
			}
		}
		before, vaultBefore = s.balance(aRelayer), s.balance(s.vault.self)
	}
	if got := s.accounts[child].State().Status; got != tlb.AccountStatusFrozen {
		t.Fatalf("the claim account is %s", got)
	}
	// Anyone can wake it with the state that it had, and with the money for its debt.
	s.send(aStranger, Message{To: child, Amount: domain.Coin, init: &tlb.StateInit{Code: code, Data: data}})
	if got := s.claimed(payee); got != domain.Coin+1 {
		t.Errorf("woken, it remembers %s", got)
	}
	claim := s.claim(second, payee, aRelayer)
	claim.Amount = domain.Coin
	s.expect("claim", s.send(aRelayer, claim), 0)
	if got := s.state().Paid; got != 2*domain.Coin+1 {
		t.Errorf("paid %s", got)
	}
}
