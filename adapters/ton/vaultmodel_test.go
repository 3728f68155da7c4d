package ton

import (
	"maps"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// The vault's rules once more, written down independently, and driven by the same random history as
// the contract. After every message the two must agree on the exit code and on every field.
type vaultModel struct {
	now       uint32
	reserve   domain.Nano // that a proposal must leave
	paused    bool
	lastEpoch uint32
	active    modelRoot
	pending   *modelRoot
	paid      domain.Nano
	claimed   map[domain.ProviderID]domain.Nano
}

type modelRoot struct {
	epoch      uint32
	tree       *PayoutTree
	amounts    map[domain.ProviderID]domain.Nano
	total      domain.Nano
	activateAt uint32
}

func (m *vaultModel) promote() {
	if m.pending != nil && m.pending.activateAt <= m.now {
		m.active, m.pending = *m.pending, nil
	}
}

func (m *vaultModel) propose(by Address, proposed modelRoot, own domain.Nano) int32 {
	before := *m
	switch m.promote(); {
	case by != theAdmin:
		*m = before
		return 101
	case m.paused:
		*m = before
		return 103
	case proposed.epoch != m.lastEpoch+1:
		*m = before
		return 107
	case m.pending != nil:
		*m = before
		return 115
	case proposed.total < m.active.total:
		*m = before
		return 108
	case own < proposed.total-m.paid+m.reserve:
		*m = before
		return 109
	}
	proposed.activateAt = m.now + uint32(delay/time.Second)
	m.pending, m.lastEpoch = &proposed, proposed.epoch
	return 0
}

func (m *vaultModel) activate() int32 {
	switch {
	case m.paused:
		return 103
	case m.pending == nil:
		return 116
	case m.pending.activateAt > m.now:
		return 114
	}
	m.promote()
	return 0
}

func (m *vaultModel) veto(by Address, epoch uint32) int32 {
	switch {
	case by != theGuardian:
		return 102
	case m.pending == nil:
		return 116
	case m.pending.epoch != epoch:
		return 107
	}
	m.pending = nil
	return 0
}

func (m *vaultModel) pause(by Address, paused bool) int32 {
	if by != theGuardian && (by != theAdmin || !paused) {
		return 102
	}
	m.paused = paused
	return 0
}

// claim returns the exit code in the vault and what is paid in the end.
func (m *vaultModel) claim(tree *PayoutTree, payee domain.ProviderID) (exit int32, paid domain.Nano) {
	if m.paused {
		return 103, 0
	}
	before := *m
	m.promote()
	if m.active.tree == nil || tree.Root() != m.active.tree.Root() {
		*m = before
		return 105, 0
	}
	paid = m.active.amounts[payee] - m.claimed[payee]
	if paid <= 0 || m.paid+paid > m.active.total {
		return 0, 0
	}
	m.claimed[payee] += paid
	m.paid += paid
	return 0, paid
}

func TestTheVaultKeepsItsRulesUnderAnyHistory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newScene(t, 30*domain.Coin)
		m := &vaultModel{now: s.now, reserve: tenYearsOfVaultRent(t, 0, 135), claimed: map[domain.ProviderID]domain.Nano{}}
		amounts := map[domain.ProviderID]domain.Nano{}
		trees := []modelRoot{}
		actors := []Address{theAdmin, theGuardian, aStranger}

		// act sends a message, compares the exit code, and returns by how much the balance changed.
		act := func(what string, by Address, message Message, want int32) (steps []step, change domain.Nano) {
			before := s.balance(s.vault.self)
			steps = s.send(by, message)
			if steps[0].exit != want || steps[0].action != 0 {
				rt.Fatalf("%s by %s: %v, the model says %d (%s)", what, by, steps, want, ExitReason(want))
			}
			return steps, s.balance(s.vault.self) - before
		}
		free := func(what string, change domain.Nano) {
			if change < -rentSlack || change > rentSlack {
				rt.Fatalf("%s changed the balance by %s", what, change)
			}
		}
		someone := func() Address { return rapid.SampledFrom(actors).Draw(rt, "by") }

		rt.Repeat(map[string]func(*rapid.T){
			"wait": func(rt *rapid.T) {
				s.now += uint32(rapid.IntRange(1, 700).Draw(rt, "seconds"))
				m.now = s.now
			},
			"deposit": func(rt *rapid.T) {
				amount := domain.Nano(rapid.Int64Range(1e7, 1e11).Draw(rt, "amount"))
				steps, change := act("deposit", aStranger, s.vault.DepositMessage(domain.AccountID{1}, amount), 0)
				credited := s.events(steps)[0].(Deposit).Amount
				if change < credited-rentSlack || change > credited+200_000 {
					rt.Fatalf("deposit credited %s and kept %s", credited, change)
				}
			},
			"propose": func(rt *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(rt, "payees") {
					amounts[provider(rapid.IntRange(0, 5).Draw(rt, "payee"))] += domain.Nano(rapid.Int64Range(1, 5e9).Draw(rt, "more"))
				}
				ahead := rapid.SampledFrom([]uint32{1, 1, 1, 1, 0, 2, math.MaxUint32 - 1000}).Draw(rt, "ahead")
				root := modelRoot{epoch: m.lastEpoch + ahead, amounts: maps.Clone(amounts)}
				var leaves []settlement.Leaf
				for payee, amount := range amounts {
					leaves = append(leaves, settlement.Leaf{Payee: payee, Cumulative: amount})
				}
				root.tree, root.total = treeOf(t, leaves)
				root.total = max(0, root.total-domain.Nano(rapid.SampledFrom([]int64{0, 0, 0, 1e9, 2e10}).Draw(rt, "missing")))
				by := someone()
				message := s.proposal(root.epoch, root.tree, root.total)
				_, change := act("propose", by, message, m.propose(by, root, s.balance(s.vault.self)))
				free("propose", change)
				trees = append(trees, root)
			},
			"activate": func(*rapid.T) {
				_, change := act("activate", aStranger, s.vault.ActivateMessage(), m.activate())
				free("activate", change)
			},
			"veto": func(rt *rapid.T) {
				by := someone()
				epoch := m.lastEpoch + uint32(rapid.IntRange(0, 1).Draw(rt, "ahead"))
				_, change := act("veto", by, s.vault.VetoMessage(epoch), m.veto(by, epoch))
				free("veto", change)
			},
			"pause": func(rt *rapid.T) {
				by, paused := someone(), rapid.SampledFrom([]bool{true, false, false}).Draw(rt, "paused")
				_, change := act("pause", by, s.vault.PauseMessage(paused), m.pause(by, paused))
				free("pause", change)
			},
			"claim": func(rt *rapid.T) {
				if len(trees) == 0 {
					return
				}
				root := trees[len(trees)-1-rapid.IntRange(0, min(2, len(trees)-1)).Draw(rt, "back")]
				payee := provider(rapid.IntRange(0, 5).Draw(rt, "payee"))
				if root.amounts[payee] == 0 {
					return
				}
				responseTo := rapid.SampledFrom([]Address{{}, aRelayer}).Draw(rt, "responseTo")
				exit, paid := m.claim(root.tree, payee)
				steps, change := act("claim", aRelayer, s.claim(root.tree, payee, responseTo), exit)
				free("claim, beside its payout,", change+paid)
				var sent domain.Nano
				for _, event := range s.events(steps) {
					if e, ok := event.(PayoutSent); ok && e.Payee == PayeeAddress(payee) {
						sent += e.Amount
					}
				}
				if sent != paid {
					rt.Fatalf("claim paid %s, the model says %s", sent, paid)
				}
			},
			"": func(rt *rapid.T) { m.compare(rt, s) },
		})
	})
}

// rentSlack is more than a vault's rent for the longest history of the test.
const rentSlack = 1_000_000

func (m *vaultModel) compare(rt *rapid.T, s *scene) {
	got := s.state()
	if got.Paused != m.paused || got.LastEpoch != m.lastEpoch || got.Paid != m.paid ||
		got.Active.Epoch != m.active.epoch || got.Active.Total != m.active.total || (got.Pending == nil) != (m.pending == nil) {
		rt.Fatalf("vault %+v, model %+v", got, m)
	}
	if m.pending != nil && (got.Pending.Epoch != m.pending.epoch || got.Pending.Root.Root != m.pending.tree.Root()) {
		rt.Fatalf("pending %+v, model %+v", got.Pending, m.pending)
	}
	if m.active.tree != nil && got.Active.Root != m.active.tree.Root() {
		rt.Fatalf("active %+v, model %+v", got.Active, m.active)
	}
	var sum domain.Nano
	for payee, want := range m.claimed {
		if claimed := s.claimed(payee); claimed != want {
			rt.Fatalf("payee %s: noted %s, model %s", payee, claimed, want)
		}
		sum += want
	}
	if sum != m.paid || m.paid > m.active.total {
		rt.Fatalf("paid %s, to payees %s, of %s", m.paid, sum, m.active.total)
	}
}
