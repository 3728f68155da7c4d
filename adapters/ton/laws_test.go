package ton

import (
	"errors"
	"fmt"

	"github.com/xssnick/tonutils-go/tlb"

	"github.com/filature/filature/domain"
)

// The laws of the vault, as a relation between what it was before a transaction and what it is after:
// who sent the message, when, and what may differ then. They are written from docs/threat-model.md and
// know nothing of how the contract does it.

// sight is the vault between two transactions.
type sight struct {
	state   VaultState
	code    domain.Digest
	balance domain.Nano
}

// judge remembers what payees got and what they were entitled to.
type judge struct {
	*scene
	received map[domain.ProviderID]domain.Nano
	entitled map[domain.ProviderID]domain.Nano // the most that any active root said
}

// lawCounts says how often a law had something to say.
type lawCounts struct {
	proposals, activations, vetoes, pauses, payouts, takenBack, handovers, upgrades, settled int
}

func (c *lawCounts) add(other lawCounts) {
	c.proposals += other.proposals
	c.activations += other.activations
	c.vetoes += other.vetoes
	c.pauses += other.pauses
	c.payouts += other.payouts
	c.takenBack += other.takenBack
	c.handovers += other.handovers
	c.upgrades += other.upgrades
	c.settled += other.settled
}

func (c lawCounts) String() string {
	return fmt.Sprintf("%d proposals, %d activations, %d vetoes, %d pauses, %d payouts, %d payouts taken back, %d handovers, %d upgrades, %d settled to the end",
		c.proposals, c.activations, c.vetoes, c.pauses, c.payouts, c.takenBack, c.handovers, c.upgrades, c.settled)
}

func (j *judge) look() sight {
	return sight{state: j.state(), code: j.codeHash(), balance: j.balance(j.vault.self)}
}

// judge returns the law that a transaction broke.
func (j *judge) judge(before sight, in *tlb.InternalMessage, one step, roots []modelRoot, counts *lawCounts) error {
	after := j.look()
	if one.at != j.vault.self {
		if !sameSight(after, before) {
			return errors.New("the vault changed without a message")
		}
		if in.Bounced && one.exit == 0 {
			counts.takenBack++
		}
		return nil
	}
	by, err := addressOf(in.SrcAddr)
	if err != nil {
		return err
	}
	return errors.Join(
		j.money(before, after, one, by, counts),
		j.roots(before, after, by, roots, counts),
		j.keysAndCode(before, after, by, counts),
	)
}

func sameSight(a, b sight) bool {
	return a.code == b.code && a.balance == b.balance && sameRoots(a.state, b.state) &&
		a.state.Params == b.state.Params && a.state.Paused == b.state.Paused && a.state.Paid == b.state.Paid && sameChange(a.state, b.state)
}

func sameRoots(a, b VaultState) bool {
	return a.Active == b.Active && a.LastEpoch == b.LastEpoch && (a.Pending == nil) == (b.Pending == nil) && (a.Pending == nil || *a.Pending == *b.Pending)
}

func sameChange(a, b VaultState) bool {
	return (a.Change == nil) == (b.Change == nil) && (a.Change == nil || *a.Change == *b.Change)
}

// money: coins leave for a payee alone, who asked through its own claim account, and never beyond what was
// proven for it or what all are owed.
func (j *judge) money(before, after sight, one step, by Address, counts *lawCounts) error {
	paid := after.state.Paid - before.state.Paid
	rent, err := nanoOf(one.tx.Description.(tlb.TransactionDescriptionOrdinary).StoragePhase.StorageFeesCollected)
	if err != nil {
		return err
	}
	if after.balance < before.balance-rent-paid {
		return fmt.Errorf("the balance fell from %s to %s; %s was paid, %s was rent", before.balance, after.balance, paid, rent)
	}
	if after.state.Paid > after.state.Active.Total {
		return fmt.Errorf("paid %s of %s", after.state.Paid, after.state.Active.Total)
	}
	if paid == 0 {
		return nil
	}
	counts.payouts++
	if paid < 0 || before.state.Paused {
		return fmt.Errorf("paid %s; paused: %t", paid, before.state.Paused)
	}
	sent := j.events([]step{one})
	payout, ok := sent[len(sent)-1].(PayoutSent)
	if !ok || payout.Amount != paid || by != j.vault.ClaimAccount(payout.Payee.Account) {
		return fmt.Errorf("paid %s on the word of %s, logged %+v", paid, by, sent)
	}
	if err := j.arrives(one, payout); err != nil {
		return err
	}
	payee := domain.ProviderID(payout.Payee.Account)
	j.received[payee] += paid
	if j.received[payee] > j.entitled[payee] {
		return fmt.Errorf("%s got %s, and no root gave it more than %s", payee, j.received[payee], j.entitled[payee])
	}
	return nil
}

// arrives: the same transaction sends the payee at least what it logs.
func (j *judge) arrives(one step, payout PayoutSent) error {
	out, err := one.tx.IO.Out.ToSlice()
	if err != nil {
		return err
	}
	for _, message := range out {
		if message.MsgType != tlb.MsgTypeInternal {
			continue
		}
		to, err := addressOf(message.AsInternal().DstAddr)
		if err != nil {
			return err
		}
		amount, err := nanoOf(message.AsInternal().Amount)
		if err != nil {
			return err
		}
		if to == payout.Payee && amount >= payout.Amount {
			return nil
		}
	}
	return fmt.Errorf("logged %s for %s, and sent nothing of the kind", payout.Amount, payout.Payee)
}

// roots: from the admin, covered, after the delay, unless the guardian says no.
func (j *judge) roots(before, after sight, by Address, roots []modelRoot, counts *lawCounts) error {
	was, is := before.state, after.state
	pending := was.Pending
	if is.Active != was.Active {
		counts.activations++
		if pending == nil || pending.Root != is.Active || pending.ActivateAt.Unix() > int64(j.now) || was.Paused {
			return fmt.Errorf("active %+v, pending was %+v, paused %t", is.Active, pending, was.Paused)
		}
		for _, root := range roots {
			if root.tree.Root() == is.Active.Root {
				for payee, amount := range root.amounts {
					j.entitled[payee] = max(j.entitled[payee], amount)
				}
			}
		}
		pending = nil
	}
	if is.LastEpoch != was.LastEpoch {
		counts.proposals++
		covered := is.Pending != nil && after.balance >= is.Pending.Total-is.Paid
		if by != was.Params.Admin || was.Paused || pending != nil || !covered || is.LastEpoch != was.LastEpoch+1 ||
			is.Pending.Epoch != is.LastEpoch || is.Pending.Total < is.Active.Total ||
			is.Pending.ActivateAt.Unix() != int64(j.now)+int64(delay.Seconds()) {
			return fmt.Errorf("%s proposed %+v with %s in the vault; it was %+v", by, is.Pending, after.balance, was)
		}
		return nil
	}
	if is.Pending == nil && pending != nil {
		counts.vetoes++
		if by != theGuardian {
			return fmt.Errorf("%s threw %+v away", by, pending)
		}
		return nil
	}
	if (is.Pending == nil) != (pending == nil) || pending != nil && *is.Pending != *pending {
		return fmt.Errorf("pending %+v, was %+v", is.Pending, pending)
	}
	return nil
}

// keysAndCode: the guardian and the delay are for ever, and everything else needs its key, the delay and no
// pause.
func (j *judge) keysAndCode(before, after sight, by Address, counts *lawCounts) error {
	was, is := before.state, after.state
	if is.Params.Guardian != was.Params.Guardian || is.Params.Delay != was.Params.Delay {
		return fmt.Errorf("parameters %+v, were %+v", is.Params, was.Params)
	}
	due := was.Change != nil && was.Change.DueAt.Unix() <= int64(j.now)
	if is.Params.Admin != was.Params.Admin {
		counts.handovers++
		if !due || was.Change.Admin != is.Params.Admin || by != is.Params.Admin || was.Paused || is.Change != nil {
			return fmt.Errorf("%s made %s admin; pending %+v, paused %t", by, is.Params.Admin, was.Change, was.Paused)
		}
	}
	if after.code != before.code {
		counts.upgrades++
		right := by == was.Params.Admin && !was.Paused || by == theGuardian && was.Paused
		if !due || was.Change.Code != after.code || !right || is.Change != nil {
			return fmt.Errorf("%s made %s the code; pending %+v, paused %t", by, after.code, was.Change, was.Paused)
		}
	}
	if is.Paused != was.Paused {
		counts.pauses++
		if by != theGuardian && (by != was.Params.Admin || !is.Paused) {
			return fmt.Errorf("%s set the pause to %t", by, is.Paused)
		}
	}
	switch {
	case sameChange(was, is):
	case was.Change == nil:
		if by != was.Params.Admin || is.Change.DueAt.Unix() != int64(j.now)+int64(delay.Seconds()) {
			return fmt.Errorf("%s proposed %+v", by, is.Change)
		}
	case is.Change != nil:
		return fmt.Errorf("%+v became %+v", was.Change, is.Change)
	case is.Params.Admin == was.Params.Admin && after.code == before.code && by != theGuardian &&
		(!due || was.Change.Admin != by): // a handover to who is admin already changes nothing else
		return fmt.Errorf("%s threw %+v away", by, was.Change)
	}
	return nil
}
