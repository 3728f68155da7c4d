package ton

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// Histories are drawn, not thought of: everybody sends everything, in any order, with any value, and
// messages overtake each other as the network lets them. A judge who knows the rules of laws_test.go looks
// at every transaction, and the C++ machine executes each of them too (twin_test.go).

const (
	historiesWanted    = 6000 // transactions at least
	mostHistories      = 200  // if what should be seen has not been
	actionsPerHistory  = 120
	longestHistory     = 20 * actionsPerHistory // transactions; more means that two contracts play ping-pong
	payeesPerHistory   = 6
	generousAttachment = domain.Coin
	seedVariable       = "FILATURE_SEED" // repeats a run
)

func seedOfTheRun(t *testing.T) uint64 {
	t.Helper()
	given := os.Getenv(seedVariable)
	if given == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(given, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVariable, err)
	}
	return seed
}

func TestNoHistoryBreaksALawAndBothMachinesAgree(t *testing.T) {
	seed := seedOfTheRun(t)
	t.Logf("%s=%d", seedVariable, seed)
	seen := map[string]int{}
	executed, compared, histories := 0, 0, 0
	var laws lawCounts
	for ; (compared < historiesWanted || len(unseen(seen, laws)) > 0) && histories < mostHistories; histories++ {
		h := newHistory(t, rand.New(rand.NewPCG(seed, uint64(histories))))
		h.name = fmt.Sprintf("%s=%d, history %d", seedVariable, seed, histories)
		for range actionsPerHistory {
			h.act()
		}
		h.settle()
		n, differences := h.twin.wait()
		if len(differences) > 0 {
			t.Fatalf("%s: %d of %d transactions differ, the first: %s", h.name, len(differences), n, differences[0])
		}
		compared += n
		executed += h.executed
		laws.add(h.laws)
		for what, count := range h.seen {
			seen[what] += count
		}
	}
	t.Logf("%d histories, %d transactions, %d the same in both machines; %s", histories, executed, compared, laws)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%6d %s", seen[what], what)
	}
	if executed != compared || compared < historiesWanted {
		t.Errorf("compared %d transactions of %d, want all, and %d at least", compared, executed, historiesWanted)
	}
	if missing := unseen(seen, laws); len(missing) > 0 {
		t.Errorf("no history saw: %v", missing)
	}
}

// unseen is what histories must have had in them, to be worth their time, and had not.
func unseen(seen map[string]int, laws lawCounts) []string {
	wanted := []string{"bounced", "compute phase skipped", exitName(0), exitName(9), exitName(-14)}
	for code := range exitCodes {
		if code >= 101 && code <= 0xffff {
			wanted = append(wanted, exitName(code))
		}
	}
	wanted = slices.DeleteFunc(wanted, func(what string) bool { return seen[what] > 0 })
	if min(laws.payouts, laws.takenBack, laws.handovers, laws.upgrades, laws.settled) < 5 {
		wanted = append(wanted, "five of each: "+laws.String())
	}
	slices.Sort(wanted)
	return wanted
}

func exitName(code int32) string { return fmt.Sprintf("exit %d (%s)", code, ExitReason(code)) }

// history is a scene whose messages wait until the draw delivers them.
type history struct {
	*scene
	draw     *rand.Rand
	name     string
	trees    []modelRoot // of every proposal that was sent
	amounts  map[domain.ProviderID]domain.Nano
	codes    map[domain.Digest][]byte // code that somebody announced
	judge    judge
	laws     lawCounts
	executed int
	seen     map[string]int
}

func newHistory(t *testing.T, draw *rand.Rand) *history {
	t.Helper()
	h := &history{
		scene: newScene(t, domain.Nano(draw.Int64N(int64(40*domain.Coin)))+domain.Coin), draw: draw,
		amounts: map[domain.ProviderID]domain.Nano{}, codes: map[domain.Digest][]byte{}, seen: map[string]int{},
	}
	h.executed = 1 // the deployment
	h.judge = judge{scene: h.scene, received: map[domain.ProviderID]domain.Nano{}, entitled: map[domain.ProviderID]domain.Nano{}}
	return h
}

func (h *history) chance(percent int) bool { return h.draw.IntN(100) < percent }

// oneOf prefers the first: whoever may, mostly does.
func (h *history) oneOf(usually Address, others ...Address) Address {
	if len(others) == 0 || h.chance(70) {
		return usually
	}
	return others[h.draw.IntN(len(others))]
}

func (h *history) anybody() Address {
	return []Address{theAdmin, theGuardian, aStranger, aRelayer, aSuccessor, aThief}[h.draw.IntN(6)]
}

func (h *history) payee() domain.ProviderID { return provider(h.draw.IntN(payeesPerHistory)) }

// submit puts a message on its way, mostly with what it takes, sometimes with too little or much more.
func (h *history) submit(from Address, m Message) {
	switch n := h.draw.IntN(100); {
	case n < 4:
		m.Amount = domain.Nano(h.draw.Int64N(int64(m.Amount)/2 + 1))
	case n < 7:
		m.Amount = domain.Nano(h.draw.Int64N(2_000_000))
	case n < 12:
		m.Amount += generousAttachment
	}
	h.post(from, m)
}

// act draws what happens next.
func (h *history) act() {
	state := h.state()
	switch n := h.draw.IntN(100); {
	case n < 12:
		h.now += uint32(h.draw.IntN(int(delay/time.Second) * 3 / 2))
	case n < 16:
		h.pay()
	case n < 29:
		h.propose(state)
	case n < 32:
		h.submit(h.anybody(), h.vault.ActivateMessage())
	case n < 36:
		h.submit(h.oneOf(theGuardian, h.anybody()), h.vault.VetoMessage(state.LastEpoch+uint32(h.draw.IntN(20)/19)))
	case n < 41:
		h.submit(h.oneOf(theGuardian, h.anybody()), h.vault.PauseMessage(h.chance(25)))
	case n < 62:
		h.claimSomething()
	case n < 80:
		h.change(state)
	case n < 86:
		h.forge()
	case n < 88:
		price := []struct{ perBit, perCell uint64 }{{0, 135}, {0, 135}, {1, 500}, {10, 5000}}[h.draw.IntN(4)]
		priced(h.t, h.scene, price.perBit, price.perCell)
	}
	for range h.draw.IntN(5) {
		h.deliver()
	}
}

func (h *history) pay() {
	amount := domain.Nano(h.draw.Int64N(int64(20 * domain.Coin)))
	switch h.draw.IntN(4) {
	case 0:
		h.submit(h.anybody(), h.vault.TopUpMessage(amount))
	case 1:
		h.submit(h.anybody(), Message{To: h.vault.self, Amount: amount, Bounce: true})
	default:
		h.submit(h.anybody(), h.vault.DepositMessage(domain.AccountID{byte(h.draw.IntN(256))}, amount))
	}
}

// propose draws a root: mostly an honest one, sometimes one whose leaves fall or whose total is wrong.
func (h *history) propose(state VaultState) {
	for range h.draw.IntN(4) {
		h.amounts[h.payee()] += domain.Nano(h.draw.Int64N(int64(2 * domain.Coin)))
	}
	amounts := maps.Clone(h.amounts)
	if h.chance(10) {
		amounts[h.payee()] = domain.Nano(h.draw.Int64N(int64(100 * domain.Coin)))
	}
	maps.DeleteFunc(amounts, func(_ domain.ProviderID, amount domain.Nano) bool { return amount == 0 })
	if len(amounts) == 0 {
		return
	}
	leaves := make([]settlement.Leaf, 0, len(amounts))
	for payee, amount := range amounts {
		leaves = append(leaves, settlement.Leaf{Payee: payee, Cumulative: amount})
	}
	root := modelRoot{amounts: amounts, epoch: state.LastEpoch + 1}
	root.tree, root.total = treeOf(h.t, leaves)
	if h.chance(20) {
		root.total = max(0, root.total+domain.Nano(h.draw.Int64N(int64(4*domain.Coin)))-3*domain.Coin)
	}
	if h.chance(5) {
		root.epoch += uint32(h.draw.IntN(4)) - 1
	}
	h.trees = append(h.trees, root)
	h.submit(h.oneOf(state.Params.Admin, h.anybody()), h.proposal(root.epoch, root.tree, root.total))
}

func (h *history) claimSomething() {
	if len(h.trees) == 0 {
		return
	}
	// Mostly the active root.
	root := h.trees[h.draw.IntN(len(h.trees))]
	if active := h.state().Active; h.chance(85) {
		for _, known := range h.trees {
			if known.tree.Root() == active.Root {
				root = known
			}
		}
	}
	payee := h.payee()
	responseTo := []Address{{}, aRelayer, aThief, {Workchain: -1, Account: aRelayer.Account}}[h.draw.IntN(4)]
	switch n := h.draw.IntN(100); {
	case n < 5: // any cell for a proof
		h.submit(h.anybody(), h.claimWith(payee, responseTo, root.tree.root))
		return
	case n < 15: // the whole tree, which proves absence too
		h.submit(h.anybody(), h.claimWith(payee, responseTo, must(cell.CreateMerkleProof(root.tree.root))))
		return
	}
	proven := payee
	if h.chance(5) {
		proven = h.payee()
	}
	if root.amounts[proven] == 0 {
		return
	}
	proof, err := root.tree.Proof(proven)
	if err != nil {
		h.t.Fatal(err)
	}
	h.submit(h.anybody(), h.claimWith(payee, responseTo, mustCell(h.t, proof)))
}

func (h *history) claimWith(payee domain.ProviderID, responseTo Address, proof *cell.Cell) Message {
	body := query(opClaim, h.draw.Uint64()).MustStoreAddr(PayeeAddress(payee).std())
	if responseTo == (Address{}) {
		body.MustStoreAddr(nil)
	} else {
		body.MustStoreAddr(responseTo.std())
	}
	return h.vault.message(ClaimValue, body.MustStoreRef(proof))
}

// change proposes, does or vetoes a change of admin or code.
func (h *history) change(state VaultState) {
	var pending PendingChange
	if state.Change != nil {
		pending = *state.Change
	}
	switch h.draw.IntN(10) {
	case 0, 8, 9:
		to := []Address{theAdmin, aSuccessor, aSuccessor, aSuccessor, aThief, theGuardian, {Workchain: -1}}[h.draw.IntN(7)]
		h.submit(h.oneOf(state.Params.Admin, h.anybody()), h.vault.ProposeAdminMessage(to))
	case 1:
		boc, hash := h.sameCodeWithAnotherHash()
		h.codes[hash] = boc
		h.submit(h.oneOf(state.Params.Admin, h.anybody()), h.vault.ProposeUpgradeMessage(hash))
	case 2, 3:
		h.submit(h.oneOf(pending.Admin, h.anybody()), h.vault.AcceptAdminMessage())
	case 4, 5, 6:
		boc, known := h.codes[pending.Code]
		if !known || h.chance(10) {
			boc, _ = h.sameCodeWithAnotherHash()
		}
		by := state.Params.Admin
		if state.Paused {
			by = theGuardian
		}
		h.submit(h.oneOf(by, h.anybody()), h.upgrade(boc))
	case 7:
		if h.chance(10) {
			pending.ID[0]++
		}
		if h.chance(40) {
			h.submit(h.oneOf(theGuardian, h.anybody()), h.vault.VetoChangeMessage(pending.ID))
		}
	}
}

// sameCodeWithAnotherHash adds a reference that no instruction ever reaches, so that a history goes on after an upgrade.
func (h *history) sameCodeWithAnotherHash() (boc []byte, hash domain.Digest) {
	nonce := cell.BeginCell().MustStoreUInt(h.draw.Uint64(), 64).EndCell()
	code := h.vault.client.vaultCode.ToBuilder().MustStoreRef(nonce).EndCell()
	return code.ToBOC(), domain.Digest(code.Hash())
}

// forge sends what only the contracts may say to each other, and nonsense.
func (h *history) forge() {
	payee := h.payee()
	child := h.vault.ClaimAccount(payee)
	amount := uint64(h.draw.Int64N(int64(3 * domain.Coin)))
	request := query(opPayRequest, 1).MustStoreCoins(amount).MustStoreAddr(PayeeAddress(payee).std()).MustStoreAddr(aThief.std())
	switch h.draw.IntN(6) {
	case 0:
		from := []Address{aThief, h.vault.ClaimAccount(h.payee())}[h.draw.IntN(2)]
		if from != child { // a claim account is not a liar; what it says itself is drawn elsewhere
			h.submit(from, h.vault.message(ClaimValue, request))
		}
	case 1:
		body := query(opClaimUpTo, 1).MustStoreCoins(amount).MustStoreAddr(aThief.std()).EndCell()
		h.submit(h.anybody(), Message{To: child, Amount: ClaimValue, Bounce: true, body: body})
	case 2:
		h.postBounced(h.anybody(), child, request.EndCell())
	case 3:
		h.postBounced(h.anybody(), h.vault.self, query(opClaimUpTo, 1).MustStoreCoins(amount).MustStoreAddr(aThief.std()).EndCell())
	case 4:
		h.submit(h.anybody(), Message{To: child, Amount: domain.Nano(h.draw.Int64N(1_000_000)), Bounce: h.chance(50)})
	case 5:
		op := []uint64{opDeposit, opProposeRoot, opClaim, opSetPaused, opVetoChange, opApplyUpgrade, h.draw.Uint64() >> 32}[h.draw.IntN(7)]
		body := cell.BeginCell().MustStoreUInt(op, 32)
		for range h.draw.IntN(12) {
			body.MustStoreUInt(h.draw.Uint64(), 64)
		}
		h.submit(h.anybody(), h.vault.message(GovernValue, body))
	}
}

// deliver executes one message that is on its way, any that the network could deliver next: two from one
// account to another never overtake each other.
func (h *history) deliver() {
	if len(h.queue) == 0 {
		return
	}
	if h.executed > longestHistory {
		h.t.Fatalf("%s does not end", h.name)
	}
	type way struct{ from, to string }
	ways := map[way]bool{}
	var ready []int
	for i, message := range h.queue {
		in := message.Message().AsInternal()
		w := way{in.SrcAddr.StringRaw(), in.DstAddr.StringRaw()}
		if !ways[w] {
			ready = append(ready, i)
		}
		ways[w] = true
	}
	chosen := ready[h.draw.IntN(len(ready))]
	message := h.queue[chosen]
	h.queue = slices.Insert(slices.Delete(h.queue, chosen, chosen+1), 0, message)

	before := h.judge.look()
	one := h.next()
	h.executed++
	in := message.Message().AsInternal()
	if err := h.judge.judge(before, in, one, h.trees, &h.laws); err != nil {
		h.t.Fatalf("%s, transaction %d at %s, message %#x, exit %d: %v", h.name, h.executed, one.at, one.op, one.exit, err)
	}
	switch phase := one.tx.Description.(tlb.TransactionDescriptionOrdinary).ComputePhase.Phase.(type) {
	case tlb.ComputePhaseVM:
		h.seen[exitName(phase.Details.ExitCode)]++
	default:
		h.seen["compute phase skipped"]++
	}
	if in.Bounced {
		h.seen["bounced"]++
	}
	if one.action != 0 {
		h.seen[fmt.Sprintf("action phase result %d", one.action)]++
	}
}

func (h *history) quiet() {
	for len(h.queue) > 0 {
		h.deliver()
	}
}

// settle ends a history: whatever happened, with money and an active root everybody gets all that is his.
func (h *history) settle() {
	h.quiet()
	priced(h.t, h.scene, 0, 135)
	for _, one := range []struct {
		by Address
		m  Message
	}{
		{theGuardian, h.vault.PauseMessage(false)},
		{aStranger, h.vault.TopUpMessage(200 * domain.Coin)},
	} {
		h.post(one.by, one.m)
		h.quiet()
	}
	for payee, received := range h.judge.received {
		if noted := h.claimed(payee); noted != received {
			h.t.Fatalf("%s: nothing is on its way, and %s was paid %s and noted %s", h.name, payee, received, noted)
		}
	}
	h.now += uint32(delay / time.Second)
	h.post(aStranger, h.vault.ActivateMessage())
	h.quiet()
	active := h.state().Active
	for _, root := range h.trees {
		if root.tree.Root() != active.Root || root.total != active.Total || root.epoch != active.Epoch {
			continue
		}
		var owed domain.Nano
		for payee, amount := range root.amounts {
			owed += max(amount, h.judge.received[payee])
		}
		for payee := range h.judge.received {
			if root.amounts[payee] == 0 {
				owed += h.judge.received[payee]
			}
		}
		for payee, amount := range root.amounts {
			h.post(aRelayer, h.claim(root.tree, payee, aRelayer))
			h.quiet()
			if want := max(amount, h.judge.received[payee]); owed <= root.total && h.judge.received[payee] != want {
				h.t.Fatalf("%s: in the end %s has %s of %s", h.name, payee, h.judge.received[payee], want)
			}
		}
		if owed <= root.total {
			h.laws.settled++
		}
		return
	}
}
