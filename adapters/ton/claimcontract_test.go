package ton

import (
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

func TestClaimPaysExactlyOnceAndTheRelayerGetsTheRest(t *testing.T) {
	s, tree := activated(t)
	payee := provider(3)
	owed := domain.Coin + 3
	before := s.balance(s.vault.self)

	steps := s.send(aRelayer, s.claim(tree, payee, aRelayer))
	s.expect("claim", steps, 0)
	if got := s.balance(PayeeAddress(payee)); got != owed {
		t.Errorf("payee got %s, want %s", got, owed)
	}
	if got := before - s.balance(s.vault.self); got != owed {
		t.Errorf("vault paid %s, want %s", got, owed)
	}
	if got := s.claimed(payee); got != owed {
		t.Errorf("claim account says %s", got)
	}
	if got := s.state().Paid; got != owed {
		t.Errorf("vault says %s", got)
	}
	if got := s.events(steps); len(got) != 1 || got[0].(PayoutSent).Payee != PayeeAddress(payee) ||
		got[0].(PayoutSent).Amount != owed || got[0].(PayoutSent).Epoch != 1 {
		t.Errorf("logged %+v", got)
	}
	refund := s.balance(aRelayer)
	t.Logf("a first claim costs its relayer %s, %s of it rent", ClaimValue-refund, s.balance(s.vault.ClaimAccount(payee)))
	if refund < ClaimValue/2 {
		t.Errorf("relayer got %s back of %s", refund, ClaimValue)
	}

	steps = s.send(aRelayer, s.claim(tree, payee, aRelayer))
	s.expect("the same claim again", steps, 0)
	if got := s.balance(PayeeAddress(payee)); got != owed {
		t.Errorf("payee has %s after a second claim", got)
	}
	if got := before - s.balance(s.vault.self); got != owed {
		t.Errorf("vault paid %s after a second claim", got)
	}
	if got := s.balance(aRelayer) - refund; got < ClaimValue*4/5 {
		t.Errorf("a claim of nothing cost %s", ClaimValue-got)
	}
	if len(s.events(steps)) != 0 {
		t.Errorf("logged %+v", s.events(steps))
	}
}

func TestClaimWithoutResponseLeavesTheRestToThePayee(t *testing.T) {
	s, tree := activated(t)
	before := s.balance(s.vault.self)
	s.expect("claim", s.send(aRelayer, s.claim(tree, provider(0), Address{})), 0)
	if got := s.balance(PayeeAddress(provider(0))); got <= domain.Coin || got > domain.Coin+ClaimValue {
		t.Errorf("payee has %s", got)
	}
	if got := before - s.balance(s.vault.self); got != domain.Coin {
		t.Errorf("vault paid %s", got)
	}
	if s.balance(aRelayer) != 0 {
		t.Errorf("relayer got %s", s.balance(aRelayer))
	}
}

func TestCumulativeClaimsPayTheDifference(t *testing.T) {
	s, tree := activated(t)
	payee := provider(1)
	s.expect("claim", s.send(aRelayer, s.claim(tree, payee, aRelayer)), 0)
	second, total := treeOf(t, leavesOf(10, 3*domain.Coin))
	s.expect("propose", s.send(theAdmin, s.proposal(2, second, total)), 0)
	s.expect("claim before it is due", s.send(aRelayer, s.claim(second, payee, aRelayer)), 105)
	s.now += uint32(delay / time.Second)
	steps := s.send(aRelayer, s.claim(second, payee, aRelayer))
	s.expect("claim that also activates", steps, 0)
	if got := s.events(steps); len(got) != 2 || got[0].(RootActivated).Epoch != 2 || got[1].(PayoutSent).Amount != 2*domain.Coin {
		t.Errorf("logged %+v", got)
	}
	if got := s.balance(PayeeAddress(payee)); !paidUp(got, 3*domain.Coin+1) {
		t.Errorf("payee has %s", got)
	}
	s.expect("proof of the old root", s.send(aRelayer, s.claim(tree, payee, aRelayer)), 105)
}

func TestClaimNeedsAProofOfThisPayeeUnderThisRoot(t *testing.T) {
	s, tree := activated(t)
	proofOf := func(i int) *cell.Cell {
		raw, err := tree.Proof(provider(i))
		if err != nil {
			t.Fatal(err)
		}
		return mustCell(t, raw)
	}
	claim := func(payee domain.ProviderID, proof *cell.Cell) Message {
		return s.vault.message(ClaimValue, query(opClaim, 0).MustStoreAddr(PayeeAddress(payee).std()).MustStoreAddr(nil).MustStoreRef(proof))
	}
	s.expect("an ordinary cell", s.send(aStranger, claim(provider(0), tree.root)), 104)
	rich, _ := treeOf(t, []settlement.Leaf{{Payee: provider(0), Cumulative: 50 * domain.Coin}})
	lookalike := cell.BeginCell().MustStoreUInt(3, 8).MustStoreSlice(tree.hash[:], 256).
		MustStoreUInt(uint64(tree.root.Depth()), 16).MustStoreRef(rich.root).EndCell()
	s.expect("an ordinary cell that reads like a proof of the root", s.send(aStranger, claim(provider(0), lookalike)), 104)
	library := must(cell.BeginCell().MustStoreUInt(2, 8).MustStoreSlice(make([]byte, 32), 256).EndCellSpecial(true))
	s.expect("an exotic cell of another kind", s.send(aStranger, claim(provider(0), library)), 104)
	other, _ := treeOf(t, leavesOf(10, 2*domain.Coin))
	forged, err := other.Proof(provider(0))
	if err != nil {
		t.Fatal(err)
	}
	s.expect("a proof of a richer tree", s.send(aStranger, claim(provider(0), mustCell(t, forged))), 105)
	s.expect("a proof of another payee", s.send(aStranger, claim(provider(0), proofOf(1))), 9)

	// A whole tree proves absence too.
	whole := must(cell.CreateMerkleProof(tree.root))
	s.expect("a payee who is not in the tree", s.send(aStranger, claim(provider(99), whole)), 106)
	s.expect("the whole tree as a proof", s.send(aStranger, claim(provider(0), whole)), 0)

	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.expect("while paused", s.send(aStranger, claim(provider(1), proofOf(1))), 103)
}

// The deepest path that a tree of a billion honest payees would have, and longer than any proof cut
// from a million.
func deepTree(t testing.TB) (*PayoutTree, domain.Nano) {
	t.Helper()
	target := deepPayee
	leaves := []settlement.Leaf{{Payee: target, Cumulative: domain.Coin}}
	for bit := range 32 {
		var sibling domain.ProviderID
		sibling[bit/8] = 0x80 >> (bit % 8)
		leaves = append(leaves, settlement.Leaf{Payee: sibling, Cumulative: domain.Coin})
	}
	return treeOf(t, leaves)
}

// deepPayee is at the end of the deep tree's longest path.
var deepPayee domain.ProviderID

func TestTheLeastValueThatAClaimTakesIsEnoughToTheEnd(t *testing.T) {
	shallow, _ := treeOf(t, leavesOf(1, domain.Coin))
	deep, _ := deepTree(t)
	for name, c := range map[string]struct {
		tree  *PayoutTree
		payee domain.ProviderID
	}{
		"one payee":             {shallow, provider(0)},
		"a path of 32 branches": {deep, deepPayee},
	} {
		for _, responseTo := range []Address{{}, aRelayer} {
			fresh := func() *scene {
				s := newScene(t, 100*domain.Coin)
				s.expect("propose", s.send(theAdmin, s.proposal(1, c.tree, 50*domain.Coin)), 0)
				s.now += uint32(delay / time.Second)
				return s
			}
			// The least value that is not refused at once, found by halving.
			low, high := domain.Nano(0), ClaimValue
			for high-low > 1 {
				middle := (low + high) / 2
				s := fresh()
				m := s.claim(c.tree, c.payee, responseTo)
				m.Amount = middle
				if steps := s.send(aStranger, m); steps[0].exit == 0 {
					high = middle
				} else {
					low = middle
				}
			}
			s := fresh()
			m := s.claim(c.tree, c.payee, responseTo)
			m.Amount = high
			before := s.balance(s.vault.self)
			steps := s.send(aStranger, m)
			t.Logf("%s: a first claim that also activates takes %s: %v, %d gas here", name, high, steps, steps[0].gas)
			if got := s.state().Paid; got != domain.Coin {
				t.Errorf("%s: with %s attached: %v, paid %s", name, high, steps, got)
			}
			if left := s.balance(s.vault.self); !paidUp(left, before-domain.Coin) {
				t.Errorf("%s: vault's balance fell from %s to %s", name, before, left)
			}
			if high > ClaimValue*2/3 {
				t.Errorf("%s: a claim needs %s, close to ClaimValue (%s)", name, high, ClaimValue)
			}
			m.Amount = low
			s = fresh()
			s.expect(name+" with one nanoton less", s.send(aStranger, m), 113)
		}
	}
}

// The bounds in vault.tolk are what the vault demands coin for; every step must stay below its own.
func TestEveryStepStaysBelowItsGasBound(t *testing.T) {
	govern := tolkConstant(t, "GAS_GOVERN")
	bounds := map[uint64]uint64{
		opDeposit: tolkConstant(t, "GAS_DEPOSIT"), opProposeRoot: tolkConstant(t, "GAS_PROPOSE"),
		opActivateRoot: govern, opVetoRoot: govern, opSetPaused: govern, opProposeAdmin: govern, opAcceptAdmin: govern,
		opProposeUpgrade: govern, opApplyUpgrade: govern, opVetoChange: govern,
		opClaim: tolkConstant(t, "GAS_CLAIM"), opClaimUpTo: tolkConstant(t, "GAS_CLAIM_ACCOUNT"),
		opPayRequest: tolkConstant(t, "GAS_PAY_REQUEST"),
	}
	seen := map[uint64]uint64{}
	note := func(steps []step) {
		for _, one := range steps {
			seen[one.op] = max(seen[one.op], one.gas)
		}
	}
	deep, total := deepTree(t)
	s := newScene(t, 1000*domain.Coin)
	note(s.send(aStranger, s.vault.DepositMessage(domain.AccountID{}, domain.Coin)))
	note(s.send(theAdmin, s.proposal(1, deep, total)))
	s.now += uint32(delay / time.Second)
	note(s.send(aRelayer, s.claim(deep, deepPayee, aRelayer))) // activates too
	note(s.send(theAdmin, s.proposal(2, deep, total)))
	s.now += uint32(delay / time.Second)
	note(s.send(theAdmin, s.proposal(3, deep, total))) // activates too
	note(s.send(theGuardian, s.vault.VetoMessage(3)))
	note(s.send(theAdmin, s.proposal(4, deep, total)))
	s.now += uint32(delay / time.Second)
	note(s.send(aStranger, s.vault.ActivateMessage()))
	boc, hash := otherCode()
	note(s.send(theAdmin, s.vault.ProposeUpgradeMessage(hash)))
	note(s.send(theGuardian, s.vault.VetoChangeMessage(s.state().Change.ID)))
	note(s.send(theAdmin, s.vault.ProposeAdminMessage(aSuccessor)))
	s.wait(delay)
	note(s.send(aSuccessor, s.vault.AcceptAdminMessage()))
	note(s.send(aSuccessor, s.vault.ProposeUpgradeMessage(hash)))
	s.wait(delay)
	note(s.send(theGuardian, s.vault.PauseMessage(true)))
	note(s.send(theGuardian, s.upgrade(boc)))
	for op, bound := range bounds {
		t.Logf("%#x: %d gas of %d", op, seen[op], bound)
		if seen[op] == 0 || seen[op] > bound {
			t.Errorf("%#x used %d gas, its bound is %d", op, seen[op], bound)
		}
	}
}

func TestAFailedPayoutIsTakenBackAndCanBeClaimedAgain(t *testing.T) {
	// A vault that lost its coins in a way that it can't: the root is active, the balance is gone.
	s := newScene(t, domain.Coin)
	tree, total := treeOf(t, leavesOf(4, domain.Coin))
	active := cell.BeginCell().MustStoreUInt(1, 32).MustStoreSlice(tree.hash[:], 256).
		MustStoreBigCoins(coinsOf(total).Nano()).MustStoreSlice(make([]byte, 32), 256).EndCell()
	data := cell.BeginCell().MustStoreAddr(theAdmin.std()).MustStoreAddr(theGuardian.std()).
		MustStoreBoolBit(false).MustStoreUInt(600, 32).MustStoreUInt(1, 32).MustStoreCoins(0).
		MustStoreRef(active).MustStoreBoolBit(false).MustStoreRef(s.vault.client.claimCode).MustStoreBoolBit(false).EndCell()
	s.place(s.vault.self, s.vault.client.vaultCode, data, domain.Coin/2)
	payee := provider(2)

	for range 2 {
		before := s.balance(aRelayer)
		steps := s.send(aRelayer, s.claim(tree, payee, aRelayer))
		if len(steps) != 5 || steps[2].op != opPayRequest || steps[2].exit != 109 || steps[4].at != aRelayer {
			t.Fatalf("steps %v, want claim, note, refusal (109), note taken back, coin returned", steps)
		}
		if got := s.claimed(payee); got != 0 {
			t.Fatalf("claim account says %s", got)
		}
		if got := s.state().Paid; got != 0 {
			t.Fatalf("vault says %s", got)
		}
		if len(s.events(steps)) != 0 {
			t.Fatalf("logged %+v", s.events(steps))
		}
		if got := s.balance(aRelayer) - before; got < ClaimValue/2 {
			t.Errorf("relayer got %s of %s back", got, ClaimValue)
		}
	}
	s.expect("top-up", s.send(aStranger, s.vault.TopUpMessage(10*domain.Coin)), 0)
	s.expect("claim again", s.send(aRelayer, s.claim(tree, payee, aRelayer)), 0)
	if got := s.balance(PayeeAddress(payee)); got != domain.Coin+2 {
		t.Errorf("payee has %s", got)
	}
}

// The vault sends payees what is theirs and pays the fee from the claim's coin. To the masterchain that fee is a hundred
// times as high; the payout fails among the actions, when the vault's code has ended well.
func TestAPayoutThatFailsAmongItsActionsIsTakenBackToo(t *testing.T) {
	s := newScene(t, 10*domain.Coin)
	far := Address{Workchain: -1, Account: provider(1)}
	key := cell.BeginCell().MustStoreAddr(far.std()).EndCell()
	leaves := cell.NewDict(267)
	if err := leaves.Set(key, cell.BeginCell().MustStoreBigCoins(coinsOf(domain.Coin).Nano()).EndCell()); err != nil {
		t.Fatal(err)
	}
	tree := leaves.AsCell()
	propose, err := s.vault.ProposeMessage(Root{Epoch: 1, Root: domain.Digest(tree.Hash()), Total: domain.Coin})
	if err != nil {
		t.Fatal(err)
	}
	s.expect("propose", s.send(theAdmin, propose), 0)
	s.wait(delay)
	claim := s.vault.message(ClaimValue, query(opClaim, 0).
		MustStoreAddr(far.std()).MustStoreAddr(aRelayer.std()).MustStoreRef(must(cell.CreateMerkleProof(tree))))
	before := s.balance(s.vault.self)
	steps := s.send(aRelayer, claim)
	if len(steps) != 5 || steps[2].op != opPayRequest || steps[2].exit != 0 || steps[2].action != 37 || steps[4].at != aRelayer {
		t.Fatalf("steps %v, want claim, note, a payout that fails with action result 37, note taken back, coin returned", steps)
	}
	if got := s.state().Paid; got != 0 || len(s.events(steps[1:])) != 0 {
		t.Errorf("paid %s, logged %+v", got, s.events(steps[1:]))
	}
	if got := s.balance(s.vault.self); got < before-rentSlack {
		t.Errorf("the vault's balance fell from %s to %s", before, got)
	}
	claim.Amount = domain.Coin
	s.expect("claim with more", s.send(aRelayer, claim), 0)
	if paid, left := s.state().Paid, s.balance(s.vault.self); paid != domain.Coin || left < before-domain.Coin-rentSlack {
		t.Errorf("paid %s, the vault has %s left of %s", paid, left, before)
	}
}

func TestARootWhoseLeavesExceedItsTotalPaysNoMoreThanTheTotal(t *testing.T) {
	s := newScene(t, 100*domain.Coin)
	tree, total := treeOf(t, leavesOf(3, domain.Coin))
	s.expect("propose", s.send(theAdmin, s.proposal(1, tree, total-domain.Coin)), 0)
	s.now += uint32(delay / time.Second)
	for i := range 2 {
		s.expect("claim", s.send(aRelayer, s.claim(tree, provider(i), aRelayer)), 0)
	}
	steps := s.send(aRelayer, s.claim(tree, provider(2), aRelayer))
	if steps[2].op != opPayRequest || steps[2].exit != 112 || s.claimed(provider(2)) != 0 {
		t.Errorf("steps %v, claimed %s", steps, s.claimed(provider(2)))
	}
	s.expect("an honest total", s.send(theAdmin, s.proposal(2, tree, total)), 0)
	s.now += uint32(delay / time.Second)
	s.expect("claim again", s.send(aRelayer, s.claim(tree, provider(2), aRelayer)), 0)
	if got := s.state().Paid; got != total {
		t.Errorf("paid %s of %s", got, total)
	}
}

func TestAPauseInTheMiddleOfAClaimTakesItBack(t *testing.T) {
	s, tree := activated(t)
	payee := provider(5)
	s.post(aRelayer, s.claim(tree, payee, aRelayer))
	s.next() // vault
	s.next() // claim account has noted it
	if s.claimed(payee) == 0 {
		t.Fatal("nothing noted")
	}
	request := s.queue
	s.queue = nil
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.queue = request
	steps := s.drain()
	if steps[0].exit != 103 || s.claimed(payee) != 0 || s.balance(PayeeAddress(payee)) != 0 {
		t.Fatalf("steps %v, claimed %s", steps, s.claimed(payee))
	}
	s.expect("unpause", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	s.expect("claim again", s.send(aRelayer, s.claim(tree, payee, aRelayer)), 0)
	if got := s.balance(PayeeAddress(payee)); got != domain.Coin+5 {
		t.Errorf("payee has %s", got)
	}
}

// While a refused payout of an old claim flies back, a newer and larger claim gets in between.
func TestTakingBackIsRightWhateverElseIsOnItsWay(t *testing.T) {
	s, tree := activated(t)
	payee := provider(5)
	s.post(aRelayer, s.claim(tree, payee, aRelayer))
	s.next()
	s.next()
	request := s.queue
	s.queue = nil
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.queue = request
	s.next() // refused; the bounce is on its way
	bounce := s.queue
	s.queue = nil

	s.expect("unpause", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	second, total := treeOf(t, leavesOf(10, 4*domain.Coin))
	s.expect("propose", s.send(theAdmin, s.proposal(2, second, total)), 0)
	s.now += uint32(delay / time.Second)
	s.expect("newer claim", s.send(aRelayer, s.claim(second, payee, aRelayer)), 0)
	s.queue = bounce
	s.drain()
	if paid, claimed := s.balance(PayeeAddress(payee)), s.claimed(payee); paid != 3*domain.Coin || claimed != paid {
		t.Errorf("paid %s, noted %s", paid, claimed)
	}
	s.expect("claim of what is left", s.send(aRelayer, s.claim(second, payee, aRelayer)), 0)
	if got := s.balance(PayeeAddress(payee)); got != 4*domain.Coin+5 {
		t.Errorf("payee has %s", got)
	}
}

func TestTwoClaimsOnTheirWayPayOnce(t *testing.T) {
	s, tree := activated(t)
	payee := provider(6)
	for range 3 {
		s.post(aRelayer, s.claim(tree, payee, aRelayer))
	}
	s.drain()
	if got := s.balance(PayeeAddress(payee)); got != domain.Coin+6 {
		t.Errorf("payee has %s", got)
	}
}

func TestNobodyCanForgeWhatTheContractsSayToEachOther(t *testing.T) {
	s, tree := activated(t)
	payee := provider(7)
	s.expect("claim", s.send(aRelayer, s.claim(tree, payee, aRelayer)), 0)
	child := s.vault.ClaimAccount(payee)
	forgedRequest := s.vault.message(ClaimValue, query(opPayRequest, 0).MustStoreCoins(uint64(domain.Coin)).
		MustStoreAddr(PayeeAddress(payee).std()).MustStoreAddr(nil))
	for _, who := range []Address{aStranger, theAdmin, PayeeAddress(payee), s.vault.ClaimAccount(provider(8))} {
		s.expect("pay request by "+who.String(), s.send(who, forgedRequest), 110)
	}
	upTo := Message{To: child, Amount: ClaimValue, Bounce: true, body: query(opClaimUpTo, 0).
		MustStoreCoins(uint64(50 * domain.Coin)).MustStoreAddr(nil).EndCell()}
	for _, who := range []Address{aStranger, theAdmin, PayeeAddress(payee)} {
		s.expect("note by "+who.String(), s.send(who, upTo), 111)
	}
	garbage := Message{To: child, Amount: ClaimValue, Bounce: true, body: query(opTopUp, 0).EndCell()}
	if steps := s.send(s.vault.self, garbage); steps[0].exit == 0 {
		t.Errorf("claim account took %v", steps)
	}
	if got := s.claimed(payee); got != domain.Coin+7 {
		t.Errorf("claim account says %s", got)
	}

	// A bounce from a stranger: it asks the claim account to take back what it noted.
	original := query(opPayRequest, 0).MustStoreCoins(uint64(domain.Coin)).MustStoreAddr(PayeeAddress(payee).std()).MustStoreAddr(nil).EndCell()
	s.postBounced(aStranger, child, original)
	steps := s.drain()
	if steps[0].exit != 111 || s.claimed(payee) != domain.Coin+7 {
		t.Errorf("forged bounce: %v, claimed %s", steps, s.claimed(payee))
	}
}

// postBounced posts a rich bounce of a message that was never sent.
func (s *scene) postBounced(from, to Address, original *cell.Cell) {
	s.t.Helper()
	info := cell.BeginCell().MustStoreCoins(0).MustStoreBoolBit(false).MustStoreUInt(0, 64).MustStoreUInt(0, 32).EndCell()
	body := cell.BeginCell().MustStoreUInt(0xfffffffe, 32).MustStoreRef(original).MustStoreRef(info).
		MustStoreUInt(0, 8).MustStoreInt(109, 32).MustStoreBoolBit(false).EndCell()
	s.post(from, Message{To: to, Amount: domain.Coin, body: body})
	in := s.queue[len(s.queue)-1].Message().AsInternal()
	in.Bounced = true
	sent, err := tlb.ToCell(in)
	if err != nil {
		s.t.Fatal(err)
	}
	s.queue = s.queue[:len(s.queue)-1]
	s.queue = append(s.queue, must(prepare(sent)))
}

// The way to another admin, delay or code: a last root that pays what is left to a new vault.
func TestAVaultCanPayTheRestToItsSuccessor(t *testing.T) {
	s := newScene(t, 10*domain.Coin)
	successor, deploy, err := s.vault.client.NewVault(VaultParams{Admin: aStranger, Guardian: theGuardian, Delay: delay}, domain.Coin)
	if err != nil {
		t.Fatal(err)
	}
	s.send(theAdmin, deploy)
	before := s.balance(successor.self)
	tree, total := treeOf(t, []settlement.Leaf{{Payee: successor.self.Account, Cumulative: 9 * domain.Coin}})
	s.expect("propose", s.send(theAdmin, s.proposal(1, tree, total)), 0)
	s.now += uint32(delay / time.Second)
	s.expect("claim", s.send(aRelayer, s.claim(tree, successor.self.Account, aRelayer)), 0)
	if got := s.balance(successor.self) - before; got < 9*domain.Coin-ClaimValue || got > 9*domain.Coin {
		t.Errorf("the successor got %s", got)
	}
	if state, err := parseVault(s.data(successor.self)); err != nil || state.Params.Admin != aStranger {
		t.Errorf("the successor is %+v (%v)", state, err)
	}
}
