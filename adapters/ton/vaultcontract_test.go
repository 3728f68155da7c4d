package ton

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/contracts"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

const delay = 600 * time.Second

var (
	theAdmin    = somebody(1)
	theGuardian = somebody(2)
	aStranger   = somebody(3)
	aRelayer    = somebody(4)
)

// scene is a bench with a vault on it.
type scene struct {
	*bench
	vault *Vault
}

func newScene(t testing.TB, balance domain.Nano) *scene {
	t.Helper()
	b := newBench(t)
	client := offlineClient(t)
	vault, deploy, err := client.NewVault(VaultParams{Admin: theAdmin, Guardian: theGuardian, Delay: delay}, balance)
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{bench: b, vault: vault}
	s.expect("deploy", b.send(theAdmin, deploy), 0)
	return s
}

// offlineClient knows the code and no network.
func offlineClient(t testing.TB) *Client {
	t.Helper()
	vaultCode, err := codeCell(contracts.Vault())
	if err != nil {
		t.Fatal(err)
	}
	claimCode, err := codeCell(contracts.ClaimAccount())
	if err != nil {
		t.Fatal(err)
	}
	return &Client{vaultCode: vaultCode, claimCode: claimCode}
}

// expect wants the first transaction to end with the exit code, and if that is not 0, the attached
// coin to be sent back.
func (s *scene) expect(what string, steps []step, exit int32) {
	s.t.Helper()
	if len(steps) == 0 || steps[0].exit != exit || steps[0].action != 0 {
		s.t.Fatalf("%s: %v, want exit %d (%s)", what, steps, exit, ExitReason(exit))
	}
	if exit != 0 && (len(steps) != 2 || steps[1].op != 0xffffffff) {
		s.t.Fatalf("%s: %v, want the coin to bounce", what, steps)
	}
}

func (s *scene) state() VaultState {
	s.t.Helper()
	state, err := parseVault(s.data(s.vault.self))
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

func (s *scene) claimed(payee domain.ProviderID) domain.Nano {
	s.t.Helper()
	data := s.data(s.vault.ClaimAccount(payee))
	if data == nil {
		return 0
	}
	claimed, err := parseClaimAccount(data)
	if err != nil {
		s.t.Fatal(err)
	}
	return claimed
}

func (s *scene) proposal(epoch uint32, tree *PayoutTree, total domain.Nano) Message {
	s.t.Helper()
	m, err := s.vault.ProposeMessage(Root{Epoch: epoch, Root: tree.Root(), Total: total, Commitment: domain.Digest{0xc0, byte(epoch)}})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *scene) claim(tree *PayoutTree, payee domain.ProviderID, responseTo Address) Message {
	s.t.Helper()
	proof, err := tree.Proof(payee)
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := s.vault.ClaimMessage(payee, proof, responseTo)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// events collects what the vault logged in these transactions.
func (s *scene) events(steps []step) (events []Event) {
	s.t.Helper()
	for _, one := range steps {
		if one.at != s.vault.self {
			continue
		}
		found, err := eventsOf(one.tx)
		if err != nil {
			s.t.Fatal(err)
		}
		events = append(events, found...)
	}
	return events
}

func treeOf(t testing.TB, leaves []settlement.Leaf) (*PayoutTree, domain.Nano) {
	t.Helper()
	slices.SortFunc(leaves, func(a, b settlement.Leaf) int { return bytes.Compare(a.Payee[:], b.Payee[:]) })
	tree, err := NewPayoutTree(leaves)
	if err != nil {
		t.Fatal(err)
	}
	var total domain.Nano
	for _, leaf := range leaves {
		total += leaf.Cumulative
	}
	return tree, total
}

func provider(i int) (id domain.ProviderID) {
	binary.BigEndian.PutUint64(id[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[24:], uint64(i))
	return id
}

func leavesOf(count int, each domain.Nano) []settlement.Leaf {
	leaves := make([]settlement.Leaf, count)
	for i := range leaves {
		leaves[i] = settlement.Leaf{Payee: provider(i), Cumulative: each + domain.Nano(i)}
	}
	return leaves
}

// activated is a scene with an active root of ten payees.
func activated(t testing.TB) (*scene, *PayoutTree) {
	t.Helper()
	s := newScene(t, 100*domain.Coin)
	tree, total := treeOf(t, leavesOf(10, domain.Coin))
	s.expect("propose", s.send(theAdmin, s.proposal(1, tree, total)), 0)
	s.now += uint32(delay / time.Second)
	s.expect("activate", s.send(aStranger, s.vault.ActivateMessage()), 0)
	return s, tree
}

// paidUp: an account has the amount, or a few nanotons less, which were its rent.
func paidUp(balance, want domain.Nano) bool { return balance <= want && want-balance < 100 }

// tolkConstant reads a number from the vault's source.
func tolkConstant(t testing.TB, name string) uint64 {
	t.Helper()
	return tolkConstantIn(t, "vault", name)
}

func tolkConstantIn(t testing.TB, file, name string) uint64 {
	t.Helper()
	source, err := os.ReadFile("../../contracts/" + file + ".tolk")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`const ` + name + ` = (\d+)`).FindSubmatch(source)
	if found == nil {
		t.Fatalf("%s.tolk has no %s", file, name)
	}
	value, err := strconv.ParseUint(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestVaultTakesCoinsAndRefusesWhatItDoesNotKnow(t *testing.T) {
	s := newScene(t, domain.Coin)
	s.expect("top-up", s.send(aStranger, s.vault.TopUpMessage(domain.Coin)), 0)
	s.expect("plain transfer", s.send(aStranger, Message{To: s.vault.self, Amount: domain.Coin, Bounce: true}), 0)
	if got := s.balance(s.vault.self); got < 3*domain.Coin-3_000_000 {
		t.Errorf("balance %s after three coins", got)
	}
	unknown := s.vault.message(domain.Coin, query(0x12345678, 1))
	s.expect("unknown message", s.send(aStranger, unknown), 0xffff)
	short := s.vault.message(domain.Coin, cell.BeginCell().MustStoreUInt(opDeposit, 32))
	s.expect("message without its fields", s.send(aStranger, short), 9)
}

func TestDepositCreditsWhatTheVaultReallyKeeps(t *testing.T) {
	s := newScene(t, domain.Coin)
	account := domain.AccountID{1, 2, 3}
	before := s.balance(s.vault.self)
	steps := s.send(aStranger, s.vault.DepositMessage(account, 5*domain.Coin))
	s.expect("deposit", steps, 0)
	kept := s.balance(s.vault.self) - before
	want := Deposit{Account: account, Amount: kept, Sender: aStranger}
	events := s.events(steps)
	if len(events) != 1 {
		t.Fatalf("events %+v", events)
	}
	got := events[0].(Deposit)
	// The vault rounds its cost up, never down: it must be able to pay out all that it credits.
	if slack := kept - got.Amount; slack < 0 || slack > 200_000 {
		t.Errorf("credited %s of %s kept", got.Amount, kept)
	}
	got.Place, got.Amount = Place{}, kept
	if got != want {
		t.Errorf("logged %+v, want %+v", got, want)
	}

	cost := 5*domain.Coin - events[0].(Deposit).Amount
	s.expect("deposit of the cost alone", s.send(aStranger, s.vault.DepositMessage(account, cost)), 113)
	steps = s.send(aStranger, s.vault.DepositMessage(account, cost+1))
	s.expect("deposit of one nanoton more", steps, 0)
	if got := s.events(steps)[0].(Deposit).Amount; got != 1 {
		t.Errorf("credited %d nanotons, want 1", got)
	}
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.expect("deposit while paused", s.send(aStranger, s.vault.DepositMessage(account, domain.Coin)), 0)
}

func TestProposeIsForTheAdminAndKeepsEveryPromise(t *testing.T) {
	s := newScene(t, 20*domain.Coin)
	one, total := treeOf(t, leavesOf(10, domain.Coin))
	two, more := treeOf(t, leavesOf(10, domain.Coin+1))
	first := s.proposal(1, one, total)

	s.expect("by the guardian", s.send(theGuardian, first), 101)
	s.expect("by a stranger", s.send(aStranger, first), 101)
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.expect("while paused", s.send(theAdmin, first), 103)
	s.expect("unpause", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	cheap := first
	cheap.Amount = 1_000_000
	s.expect("with too little coin", s.send(theAdmin, cheap), 113)
	s.expect("epoch 0", s.send(theAdmin, s.proposal(0, one, total)), 107)
	s.expect("a skipped epoch", s.send(theAdmin, s.proposal(2, one, total)), 107)

	steps := s.send(theAdmin, first)
	s.expect("first", steps, 0)
	due := time.Unix(int64(s.now), 0).Add(delay)
	root := Root{Epoch: 1, Root: one.Root(), Total: total, Commitment: domain.Digest{0xc0, 1}}
	if got := s.state().Pending; got == nil || *got != (PendingRoot{Root: root, ActivateAt: due}) {
		t.Fatalf("pending %+v, want %+v due at %s", got, root, due)
	}
	if got := s.events(steps); len(got) != 1 || got[0].(RootProposed).PendingRoot != *s.state().Pending {
		t.Errorf("logged %+v", got)
	}

	s.expect("the same again", s.send(theAdmin, first), 107)
	s.expect("a lower epoch", s.send(theAdmin, s.proposal(0, two, more)), 107)
	s.expect("another while one is pending", s.send(theAdmin, s.proposal(2, two, more)), 115)

	s.now += uint32(delay / time.Second)
	s.expect("a skipped epoch when the pending one is due", s.send(theAdmin, s.proposal(3, two, more)), 107)
	steps = s.send(theAdmin, s.proposal(2, two, more))
	s.expect("another when the pending one is due", steps, 0)
	if got := s.state(); got.Active != root || got.Pending == nil || got.Pending.Epoch != 2 || got.LastEpoch != 2 {
		t.Errorf("after promotion %+v", got)
	}
	if got := s.events(steps); len(got) != 2 || got[0].(RootActivated).Root != root || got[1].(RootProposed).Epoch != 2 {
		t.Errorf("logged %+v", got)
	}

	s.now += uint32(delay / time.Second)
	s.expect("a smaller total", s.send(theAdmin, s.proposal(3, two, more-1)), 108)
}

func TestProposeDemandsThatTheBalanceCoversTheRoot(t *testing.T) {
	for _, short := range []domain.Nano{0, 1} {
		s := newScene(t, 20*domain.Coin)
		tree, _ := treeOf(t, leavesOf(2, domain.Coin))
		covered := s.balance(s.vault.self) - tenYearsOfVaultRent(t, 0, 135)
		message := s.proposal(1, tree, covered+short)
		exit := int32(0)
		if short > 0 {
			exit = 109
		}
		s.expect("propose", s.send(theAdmin, message), exit)
		// The attached coin is the admin's, not the payees'.
		message.Amount = domain.Coin
		if short > 0 {
			s.expect("propose with a coin attached", s.send(theAdmin, message), exit)
		}
	}
}

func TestWhatWasPaidIsNoLongerOwed(t *testing.T) {
	s := newScene(t, 3*domain.Coin)
	tree, total := treeOf(t, []settlement.Leaf{{Payee: provider(1), Cumulative: 2 * domain.Coin}, {Payee: provider(2), Cumulative: 1}})
	s.expect("propose", s.send(theAdmin, s.proposal(1, tree, total)), 0)
	s.now += uint32(delay / time.Second)
	s.expect("claim", s.send(aRelayer, s.claim(tree, provider(1), aRelayer)), 0)
	// About one coin is left, against a total of two: it covers what is still owed.
	left := s.balance(s.vault.self) - tenYearsOfVaultRent(t, 0, 135)
	s.expect("propose all that is left", s.send(theAdmin, s.proposal(2, tree, 2*domain.Coin+left)), 0)
	s.expect("veto", s.send(theGuardian, s.vault.VetoMessage(2)), 0)
	s.expect("propose one nanoton more", s.send(theAdmin, s.proposal(3, tree, 2*domain.Coin+left+1)), 109)
}

func TestActivationWaitsForTheDelayAndIsForAnyone(t *testing.T) {
	s := newScene(t, 100*domain.Coin)
	tree, total := treeOf(t, leavesOf(3, domain.Coin))
	s.expect("nothing pending", s.send(aStranger, s.vault.ActivateMessage()), 116)
	s.expect("propose", s.send(theAdmin, s.proposal(1, tree, total)), 0)
	s.now += uint32(delay/time.Second) - 1
	s.expect("one second early", s.send(theAdmin, s.vault.ActivateMessage()), 114)
	s.now++
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.expect("while paused", s.send(aStranger, s.vault.ActivateMessage()), 103)
	s.expect("unpause", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	cheap := s.vault.ActivateMessage()
	cheap.Amount = 500_000
	s.expect("with too little coin", s.send(aStranger, cheap), 113)
	steps := s.send(aStranger, s.vault.ActivateMessage())
	s.expect("in time", steps, 0)
	if got := s.state(); got.Pending != nil || got.Active.Epoch != 1 || got.Active.Root != tree.Root() {
		t.Errorf("after activation %+v", got)
	}
	if got := s.events(steps); len(got) != 1 || got[0].(RootActivated).Root != s.state().Active {
		t.Errorf("logged %+v", got)
	}
	if got := steps[len(steps)-1]; got.at != aStranger || got.op != opExcesses {
		t.Errorf("the rest of the coin went %v", got)
	}
}

func TestVetoBurnsThePendingRootUntilItIsPromoted(t *testing.T) {
	s := newScene(t, 100*domain.Coin)
	tree, total := treeOf(t, leavesOf(3, domain.Coin))
	s.expect("nothing pending", s.send(theGuardian, s.vault.VetoMessage(1)), 116)
	s.expect("propose", s.send(theAdmin, s.proposal(1, tree, total)), 0)
	s.expect("by a stranger", s.send(aStranger, s.vault.VetoMessage(1)), 102)
	s.expect("by the admin", s.send(theAdmin, s.vault.VetoMessage(1)), 102)
	s.expect("of another epoch", s.send(theGuardian, s.vault.VetoMessage(2)), 107)
	cheap := s.vault.VetoMessage(1)
	cheap.Amount = 500_000
	s.expect("with too little coin", s.send(theGuardian, cheap), 113)

	s.now += 2 * uint32(delay/time.Second) // long due, but nothing touched the vault
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	steps := s.send(theGuardian, s.vault.VetoMessage(1))
	s.expect("when due and paused", steps, 0)
	if got := s.events(steps); len(got) != 1 || got[0].(RootVetoed).Root != tree.Root() || got[0].(RootVetoed).Epoch != 1 {
		t.Errorf("logged %+v", got)
	}
	if got := s.state(); got.Pending != nil || got.Active.Epoch != 0 {
		t.Errorf("after the veto %+v", got)
	}
	s.expect("unpause", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	s.expect("the vetoed epoch again", s.send(theAdmin, s.proposal(1, tree, total)), 107)
	s.expect("the next epoch", s.send(theAdmin, s.proposal(2, tree, total)), 0)
	s.now += uint32(delay / time.Second)
	s.expect("activate", s.send(aStranger, s.vault.ActivateMessage()), 0)
	s.expect("veto too late", s.send(theGuardian, s.vault.VetoMessage(2)), 116)
}

// With the admin's key stolen, one proposal under the last number there is would, once vetoed, leave
// no number for any root: nobody could ever be paid again.
func TestAThiefOfTheAdminKeyCannotUseUpTheEpochs(t *testing.T) {
	s := newScene(t, 100*domain.Coin)
	tree, total := treeOf(t, leavesOf(3, domain.Coin))
	for last := range uint32(3) {
		for _, epoch := range []uint32{last + 2, 1 << 31, math.MaxUint32 - 1, math.MaxUint32} {
			s.expect("an epoch ahead", s.send(theAdmin, s.proposal(epoch, tree, total)), 107)
		}
		if got := s.state(); got.LastEpoch != last || got.Pending != nil {
			t.Fatalf("after refused proposals %+v, want last epoch %d and nothing pending", got, last)
		}
		s.expect("the thief's next epoch", s.send(theAdmin, s.proposal(last+1, tree, total+1)), 0)
		s.expect("veto", s.send(theGuardian, s.vault.VetoMessage(last+1)), 0)
	}
	s.expect("a skipped epoch after vetoes", s.send(theAdmin, s.proposal(5, tree, total)), 107)
	s.expect("the epoch after three vetoes", s.send(theAdmin, s.proposal(4, tree, total)), 0)
	s.now += uint32(delay / time.Second)
	s.expect("claim", s.send(aRelayer, s.claim(tree, provider(1), aRelayer)), 0)
	if got := s.claimed(provider(1)); got != domain.Coin+1 {
		t.Errorf("payee was paid %s after three vetoes", got)
	}
}

func TestEitherMayPauseButOnlyTheGuardianUnpauses(t *testing.T) {
	s := newScene(t, domain.Coin)
	s.expect("pause by a stranger", s.send(aStranger, s.vault.PauseMessage(true)), 102)
	s.expect("pause by the admin", s.send(theAdmin, s.vault.PauseMessage(true)), 0)
	if !s.state().Paused {
		t.Error("not paused")
	}
	s.expect("unpause by the admin", s.send(theAdmin, s.vault.PauseMessage(false)), 102)
	s.expect("unpause by a stranger", s.send(aStranger, s.vault.PauseMessage(false)), 102)
	s.expect("unpause by the guardian", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	s.expect("pause by the guardian", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	cheap := s.vault.PauseMessage(false)
	cheap.Amount = 400_000
	s.expect("with too little coin", s.send(theGuardian, cheap), 113)
}
