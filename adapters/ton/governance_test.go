package ton

import (
	"strconv"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/contracts"
	"github.com/filature/filature/domain"
)

var (
	aSuccessor = somebody(5)
	aThief     = somebody(6)
)

// otherCode is code that is not the vault's.
func otherCode() (boc []byte, hash domain.Digest) {
	code := contracts.ClaimAccount()
	return code.BoC, code.Hash
}

func (s *scene) upgrade(boc []byte) Message {
	s.t.Helper()
	m, err := s.vault.ApplyUpgradeMessage(boc)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *scene) codeHash() domain.Digest {
	s.t.Helper()
	return domain.Digest(s.accounts[s.vault.self].State().StateInit.Code.Hash())
}

func (s *scene) wait(d time.Duration) { s.now += uint32(d / time.Second) }

// logged wants the transactions to have logged exactly these events, wherever they are.
func (s *scene) logged(steps []step, want ...Event) {
	s.t.Helper()
	got := s.events(steps)
	if len(got) != len(want) {
		s.t.Fatalf("logged %+v, want %+v", got, want)
	}
	for i, event := range got {
		switch e := event.(type) {
		case ChangeProposed:
			e.Place = Place{}
			event = e
		case ChangeVetoed:
			e.Place = Place{}
			event = e
		case AdminChanged:
			e.Place = Place{}
			event = e
		case CodeChanged:
			e.Place = Place{}
			event = e
		case PauseSet:
			e.Place = Place{}
			event = e
		}
		if event != want[i] {
			s.t.Errorf("logged %+v, want %+v", event, want[i])
		}
	}
}

func TestAHandoverTakesTheOldKeyTheDelayAndTheNewKey(t *testing.T) {
	s := newScene(t, 10*domain.Coin)
	accept := s.vault.AcceptAdminMessage()
	handover := s.vault.ProposeAdminMessage(aSuccessor)
	s.expect("accept what nobody proposed", s.send(aSuccessor, accept), 120)
	for _, who := range []Address{theGuardian, aStranger, aSuccessor} {
		s.expect("propose by "+who.String(), s.send(who, handover), 101)
	}
	s.expect("to the guardian", s.send(theAdmin, s.vault.ProposeAdminMessage(theGuardian)), 121)
	s.expect("to the masterchain", s.send(theAdmin, s.vault.ProposeAdminMessage(Address{Workchain: -1, Account: aSuccessor.Account})), 121)
	cheap := handover
	cheap.Amount = 500_000
	s.expect("with too little coin", s.send(theAdmin, cheap), 113)

	steps := s.send(theAdmin, handover)
	s.expect("propose", steps, 0)
	pending := s.state().Change
	due := time.Unix(int64(s.now), 0).Add(delay)
	if pending == nil || pending.Admin != aSuccessor || pending.Code != (domain.Digest{}) || !pending.DueAt.Equal(due) {
		t.Fatalf("pending %+v, want %s due at %s", pending, aSuccessor, due)
	}
	s.logged(steps, ChangeProposed{PendingChange: *pending})
	s.expect("a second handover", s.send(theAdmin, s.vault.ProposeAdminMessage(aThief)), 119)
	s.expect("an upgrade beside it", s.send(theAdmin, s.vault.ProposeUpgradeMessage(domain.Digest{1})), 119)

	s.wait(delay - time.Second)
	s.expect("accept one second early", s.send(aSuccessor, accept), 114)
	s.wait(time.Second)
	for _, who := range []Address{theAdmin, theGuardian, aStranger} {
		s.expect("accept by "+who.String(), s.send(who, accept), 117)
	}
	cheap = accept
	cheap.Amount = 500_000
	s.expect("accept with too little coin", s.send(aSuccessor, cheap), 113)
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.expect("accept while paused", s.send(aSuccessor, accept), 103)
	s.expect("unpause", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	boc, _ := otherCode()
	s.expect("apply an upgrade that is a handover", s.send(theAdmin, s.upgrade(boc)), 120)
	if got := s.state().Params.Admin; got != theAdmin {
		t.Fatalf("the admin is %s already", got)
	}

	steps = s.send(aSuccessor, accept)
	s.expect("accept", steps, 0)
	s.logged(steps, AdminChanged{Admin: aSuccessor})
	if got := s.state(); got.Params.Admin != aSuccessor || got.Change != nil {
		t.Errorf("after the handover %+v", got)
	}
	tree, total := treeOf(t, leavesOf(3, domain.Coin))
	s.expect("the old admin proposes", s.send(theAdmin, s.proposal(1, tree, total)), 101)
	s.expect("the new admin proposes", s.send(aSuccessor, s.proposal(1, tree, total)), 0)
	s.expect("accept again", s.send(aSuccessor, accept), 120)
}

func TestAnUpgradeIsTheProposedCodeAfterTheDelayByTheRightKey(t *testing.T) {
	boc, hash := otherCode()
	s := newScene(t, 10*domain.Coin)
	s.expect("apply what nobody proposed", s.send(theAdmin, s.upgrade(boc)), 120)
	announce := s.vault.ProposeUpgradeMessage(hash)
	for _, who := range []Address{theGuardian, aStranger} {
		s.expect("announce by "+who.String(), s.send(who, announce), 101)
	}
	steps := s.send(theAdmin, announce)
	s.expect("announce", steps, 0)
	pending := s.state().Change
	if pending == nil || pending.Code != hash || pending.Admin != (Address{}) {
		t.Fatalf("pending %+v", pending)
	}
	s.logged(steps, ChangeProposed{PendingChange: *pending})
	s.wait(delay - time.Second)
	s.expect("apply one second early", s.send(theAdmin, s.upgrade(boc)), 114)
	s.wait(time.Second)
	s.expect("apply by the guardian", s.send(theGuardian, s.upgrade(boc)), 101)
	s.expect("apply by a stranger", s.send(aStranger, s.upgrade(boc)), 101)
	s.expect("apply other code", s.send(theAdmin, s.upgrade(contracts.Vault().BoC)), 118)
	s.expect("accept a handover that is an upgrade", s.send(aSuccessor, s.vault.AcceptAdminMessage()), 120)
	cheap := s.upgrade(boc)
	cheap.Amount = 500_000
	s.expect("apply with too little coin", s.send(theAdmin, cheap), 113)
	if s.codeHash() != contracts.Vault().Hash {
		t.Fatal("the code has changed already")
	}
	before := s.data(s.vault.self)
	steps = s.send(theAdmin, s.upgrade(boc))
	s.expect("apply", steps, 0)
	s.logged(steps, CodeChanged{Code: hash})
	if got := s.codeHash(); got != hash {
		t.Errorf("the code is %s, want %s", got, hash)
	}
	after := s.state()
	if was, err := parseVault(before); err != nil || after.Params != was.Params || after.Change != nil {
		t.Errorf("storage %+v, was %+v (%v)", after, was, err)
	}
}

func TestAVetoOfAChangeNamesItAndNoOther(t *testing.T) {
	boc, hash := otherCode()
	s := newScene(t, 10*domain.Coin)
	s.expect("nothing pending", s.send(theGuardian, s.vault.VetoChangeMessage(domain.Digest{})), 120)
	for name, message := range map[string]Message{
		"an upgrade": s.vault.ProposeUpgradeMessage(hash),
		"a handover": s.vault.ProposeAdminMessage(aThief),
	} {
		s.expect(name, s.send(theAdmin, message), 0)
		first := s.state().Change.ID
		s.expect("veto by a stranger", s.send(aStranger, s.vault.VetoChangeMessage(first)), 102)
		s.expect("veto by the admin", s.send(theAdmin, s.vault.VetoChangeMessage(first)), 102)
		cheap := s.vault.VetoChangeMessage(first)
		cheap.Amount = 500_000
		s.expect("veto with too little coin", s.send(theGuardian, cheap), 113)
		s.wait(2 * delay) // long due, but it has not happened
		steps := s.send(theGuardian, s.vault.VetoChangeMessage(first))
		s.expect("veto", steps, 0)
		s.logged(steps, ChangeVetoed{ID: first})
		s.expect("accept what was vetoed", s.send(aThief, s.vault.AcceptAdminMessage()), 120)
		s.expect("apply what was vetoed", s.send(theAdmin, s.upgrade(boc)), 120)

		s.expect("the same once more", s.send(theAdmin, message), 0)
		s.expect("the old veto again", s.send(theGuardian, s.vault.VetoChangeMessage(first)), 120)
		s.expect("pause", s.send(theAdmin, s.vault.PauseMessage(true)), 0)
		s.expect("veto while paused", s.send(theGuardian, s.vault.VetoChangeMessage(s.state().Change.ID)), 0)
		s.expect("unpause", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	}
	if s.codeHash() != contracts.Vault().Hash || s.state().Params.Admin != theAdmin {
		t.Error("something has changed")
	}
}

// A guardian that pauses and then sleeps loses nothing; and code that is broken can be mended without
// running once more.
func TestWhilePausedAnUpgradeTakesBothKeys(t *testing.T) {
	boc, hash := otherCode()
	s := newScene(t, 10*domain.Coin)
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.expect("announce", s.send(theAdmin, s.vault.ProposeUpgradeMessage(hash)), 0)
	s.wait(100 * delay)
	s.expect("apply by the admin", s.send(theAdmin, s.upgrade(boc)), 103)
	s.expect("apply by a stranger", s.send(aStranger, s.upgrade(boc)), 103)
	s.expect("the guardian with code of its own", s.send(theGuardian, s.upgrade(contracts.Vault().BoC)), 118)
	s.expect("apply by the guardian", s.send(theGuardian, s.upgrade(boc)), 0)
	if got := s.codeHash(); got != hash {
		t.Errorf("the code is %s, want %s", got, hash)
	}
}

// The operator and the thief both have the admin's key. Who holds the guardian's decides who wins.
func TestAStolenAdminKeyIsReplacedAndTheThiefGetsNothing(t *testing.T) {
	s, tree := activated(t)
	boc, hash := otherCode()
	before := s.balance(s.vault.self)
	stolen, _ := treeOf(t, leavesOf(1, 50*domain.Coin))

	s.expect("the thief proposes a root", s.send(theAdmin, s.proposal(2, stolen, 50*domain.Coin)), 0)
	s.expect("and himself", s.send(theAdmin, s.vault.ProposeAdminMessage(aThief)), 0)
	s.expect("pause", s.send(theGuardian, s.vault.PauseMessage(true)), 0)
	s.expect("veto the root", s.send(theGuardian, s.vault.VetoMessage(2)), 0)
	s.expect("veto the thief", s.send(theGuardian, s.vault.VetoChangeMessage(s.state().Change.ID)), 0)
	s.expect("the thief announces code", s.send(theAdmin, s.vault.ProposeUpgradeMessage(hash)), 0)
	s.expect("veto the code", s.send(theGuardian, s.vault.VetoChangeMessage(s.state().Change.ID)), 0)

	s.expect("the operator hands over", s.send(theAdmin, s.vault.ProposeAdminMessage(aSuccessor)), 0)
	s.expect("the thief can't push it out", s.send(theAdmin, s.vault.ProposeAdminMessage(aThief)), 119)
	s.expect("nor throw it away", s.send(theAdmin, s.vault.VetoChangeMessage(s.state().Change.ID)), 102)
	s.expect("nor propose a root", s.send(theAdmin, s.proposal(3, stolen, 50*domain.Coin)), 103)
	s.wait(delay)
	s.expect("unpause", s.send(theGuardian, s.vault.PauseMessage(false)), 0)
	s.expect("the thief is as quick", s.send(theAdmin, s.proposal(3, stolen, 50*domain.Coin)), 0)
	s.expect("the successor accepts", s.send(aSuccessor, s.vault.AcceptAdminMessage()), 0)
	s.expect("veto his last root", s.send(theGuardian, s.vault.VetoMessage(3)), 0)

	s.expect("the thief is nobody now", s.send(theAdmin, s.proposal(4, stolen, 50*domain.Coin)), 101)
	s.expect("nor has he code", s.send(theAdmin, s.upgrade(boc)), 101)
	s.expect("nor a pause", s.send(theAdmin, s.vault.PauseMessage(true)), 102)
	if got := s.balance(s.vault.self); got < before-rentSlack {
		t.Errorf("the vault fell from %s to %s", before, got)
	}
	s.expect("payees go on", s.send(aRelayer, s.claim(tree, provider(4), aRelayer)), 0)
	if got := s.balance(PayeeAddress(provider(4))); got != domain.Coin+4 {
		t.Errorf("the payee has %s", got)
	}
	more, total := treeOf(t, leavesOf(10, 2*domain.Coin))
	s.expect("and so do roots", s.send(aSuccessor, s.proposal(4, more, total)), 0)
}

// The most that the admin's key alone does to a vault whose guardian is away for less than the delay.
func TestWithinTheDelayAStolenAdminKeyMovesNothing(t *testing.T) {
	boc, hash := otherCode()
	for name, first := range map[string]func(s *scene) Message{
		"a root": func(s *scene) Message {
			tree, total := treeOf(t, leavesOf(1, 50*domain.Coin))
			return s.proposal(2, tree, total)
		},
		"a handover": func(s *scene) Message { return s.vault.ProposeAdminMessage(aThief) },
		"an upgrade": func(s *scene) Message { return s.vault.ProposeUpgradeMessage(hash) },
	} {
		s, tree := activated(t)
		stolen, _ := treeOf(t, leavesOf(1, 50*domain.Coin))
		was := s.state()
		before := s.balance(s.vault.self)
		s.expect(name, s.send(theAdmin, first(s)), 0)
		s.wait(delay - time.Second)
		for _, who := range []Address{theAdmin, aThief} {
			for _, message := range []Message{
				s.vault.ActivateMessage(), s.vault.AcceptAdminMessage(), s.upgrade(boc), s.claim(stolen, provider(0), aThief),
			} {
				if steps := s.send(who, message); steps[0].exit == 0 {
					t.Errorf("after %s, one second before the delay is over: %v", name, steps)
				}
			}
		}
		now := s.state()
		if now.Active != was.Active || now.Paid != was.Paid || now.Params != was.Params || s.codeHash() != contracts.Vault().Hash {
			t.Errorf("after %s: %+v, was %+v", name, now, was)
		}
		if got := s.balance(s.vault.self); got < before-rentSlack {
			t.Errorf("after %s the vault fell from %s to %s", name, before, got)
		}
		s.expect("an honest claim", s.send(aRelayer, s.claim(tree, provider(4), aRelayer)), 0)
	}
}

func TestPauseIsLogged(t *testing.T) {
	s := newScene(t, domain.Coin)
	s.logged(s.send(theAdmin, s.vault.PauseMessage(true)), PauseSet{Paused: true, By: theAdmin})
	s.logged(s.send(theGuardian, s.vault.PauseMessage(false)), PauseSet{Paused: false, By: theGuardian})
}

// An indexer that knows no Filature finds our events by address alone.
func TestALogMessageIsAddressedToItsOwnNumber(t *testing.T) {
	s, tree := activated(t)
	seen := 0
	for _, message := range []struct {
		by   Address
		body Message
	}{
		{aStranger, s.vault.DepositMessage(domain.AccountID{1}, domain.Coin)},
		{aRelayer, s.claim(tree, provider(1), aRelayer)},
		{theAdmin, s.vault.ProposeAdminMessage(aSuccessor)},
		{theGuardian, s.vault.PauseMessage(true)},
	} {
		for _, one := range s.send(message.by, message.body) {
			out, err := one.tx.IO.Out.ToSlice()
			if err != nil {
				t.Fatal(err)
			}
			for _, log := range out {
				if log.MsgType != tlb.MsgTypeExternalOut {
					continue
				}
				seen++
				body := log.AsExternalOut().Body.MustBeginParse().MustLoadUInt(32)
				topic := cell.BeginCell().MustStoreUInt(0, 192).MustStoreUInt(0, 32).MustStoreUInt(body, 32).EndCell()
				if to := log.AsExternalOut().DstAddr; to.BitsLen() != 256 || string(to.Data()) != string(topic.MustBeginParse().MustLoadSlice(256)) {
					t.Errorf("event %#x goes to %s", body, to)
				}
			}
		}
	}
	if seen != 4 {
		t.Errorf("saw %d events, want 4", seen)
	}
}

// The upgrade leaves little gas; what runs on the new code later has its own (localchain.Settled).
func TestNewCodeRunsAsLongAsOldCode(t *testing.T) {
	s := newScene(t, 10*domain.Coin)
	code := s.vault.client.vaultCode.ToBuilder().MustStoreRef(cell.BeginCell().EndCell()).EndCell() // a reference that nothing reaches
	s.expect("announce", s.send(theAdmin, s.vault.ProposeUpgradeMessage(domain.Digest(code.Hash()))), 0)
	s.wait(delay)
	apply := s.upgrade(code.ToBOC())
	apply.Amount = 1_500_000
	s.expect("apply", s.send(theAdmin, apply), 0)
	if got := s.codeHash(); got != domain.Digest(code.Hash()) {
		t.Fatalf("the code is %s", got)
	}
	for i := range 100 {
		s.expect("deposit "+strconv.Itoa(i), s.send(aStranger, s.vault.DepositMessage(domain.AccountID{1}, domain.Coin)), 0)
	}
}
