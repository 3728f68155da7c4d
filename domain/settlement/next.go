package settlement

import (
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// OnChain is a payout root as the vault holds it.
type OnChain struct {
	Epoch      uint32 // the batch's number
	Root       domain.Digest
	Total      domain.Nano
	Commitment domain.Digest
}

// OnChainOf is what the vault should hold of a batch.
func OnChainOf(batch *v1.SealBatch) OnChain {
	return OnChain{
		Epoch: batch.Number, Root: domain.Digest(batch.PayoutRoot),
		Total: domain.Nano(batch.TotalNano), Commitment: domain.Digest(batch.Commitment),
	}
}

// Seen is the vault as of one final block.
type Seen struct {
	AtMs         int64  // the block's own time
	LT           uint64 // logical time of the vault's last transaction
	Paused       bool
	LastEpoch    uint32 // highest ever proposed, vetoed ones included
	Active       OnChain
	Pending      *OnChain
	ActivateAtMs int64       // of Pending
	Paid         domain.Nano // to all payees, ever
	Free         domain.Nano // the balance less what the vault never pays out
	Covers       domain.Nano // the most that a root may still owe that is proposed now: a proposal must leave more than a payout
	ClaimFee     domain.Nano // what a claim costs at most who sends it
}

// Books is what the ledger says of batches.
type Books struct {
	LastNumber uint32   // of the latest batch, vetoed and void ones included
	LT         uint64   // logical time up to which the vault's transactions are booked
	Active     OnChain  // the last batch seen activated; zero before the first
	Open       *OnChain // sealed, and neither seen activated nor vetoed
	Paid       domain.Nano
}

// Step is what a settler does next.
type Step int

const (
	// StepWait: look again later.
	StepWait Step = iota
	// StepSeal: no batch is on its way; make one if anybody is owed enough.
	StepSeal
	// StepPropose: send the open batch's root to the vault.
	StepPropose
	// StepActivate: tell the vault that the pending root is due.
	StepActivate
	// StepHalt: the numbers can't be. Send nothing while they are so.
	StepHalt
)

func (s Step) String() string {
	return [...]string{"wait", "seal", "propose", "activate", "halt"}[s]
}

// Decision is a step and the reason for it, for people.
type Decision struct {
	Step Step
	Why  string
}

// Next decides from the books and from what was seen on chain, and from nothing else, so that a
// settler that was killed on any line goes on as if nothing had been. Doing a step twice is harmless:
// the vault takes a number once, and a batch is sealed once.
func Next(books Books, seen Seen) Decision {
	if seen.LT < books.LT { // before all else: what is old is not wrong
		return Decision{StepWait, fmt.Sprintf("the lite-server is behind: it shows the vault at logical time %d, and %d is booked", seen.LT, books.LT)}
	}
	if why := impossible(books, seen); why != "" {
		return Decision{StepHalt, why}
	}
	open := books.Open
	switch {
	case seen.Pending == nil && seen.LastEpoch > books.LastNumber:
		return Decision{StepWait, fmt.Sprintf("number %d was used up by a root that was never sealed, and vetoed; the watcher has yet to book it", seen.LastEpoch)}
	case open == nil && seen.Pending == nil:
		return Decision{StepSeal, "no batch is on its way"}
	case open == nil || seen.Active.Epoch == open.Epoch:
		return Decision{StepWait, "the watcher has yet to book what the vault did"}
	case seen.Paused:
		return Decision{StepWait, "the vault is paused"}
	case seen.Pending != nil && seen.AtMs < seen.ActivateAtMs:
		return Decision{StepWait, fmt.Sprintf("batch %d is open to veto for %d ms more", open.Epoch, seen.ActivateAtMs-seen.AtMs)}
	case seen.Pending != nil:
		return Decision{StepActivate, fmt.Sprintf("batch %d was not vetoed", open.Epoch)}
	case seen.LastEpoch >= open.Epoch:
		return Decision{StepWait, fmt.Sprintf("batch %d was vetoed; the watcher has yet to book it", open.Epoch)}
	case seen.Covers < open.Total-seen.Paid:
		return Decision{StepWait, fmt.Sprintf("the vault is short by %s: top it up", open.Total-seen.Paid-seen.Covers)}
	default:
		return Decision{StepPropose, fmt.Sprintf("batch %d is sealed", open.Epoch)}
	}
}

// impossible says what the chain holds that the log does not allow.
func impossible(books Books, seen Seen) string {
	open := OnChain{}
	if books.Open != nil {
		open = *books.Open
	}
	switch {
	case seen.Pending != nil && seen.Pending.Epoch > books.LastNumber:
		return fmt.Sprintf("pending in the vault is batch %d with root %s, the log ends at batch %d: veto it",
			seen.Pending.Epoch, seen.Pending.Root, books.LastNumber)
	case seen.LastEpoch < ended(books):
		return fmt.Sprintf("the log saw the end of batch %d, the vault knows none after %d", ended(books), seen.LastEpoch)
	case seen.Pending != nil && books.Open != nil && *seen.Pending != open:
		return fmt.Sprintf("pending in the vault is batch %d with root %s, sealed was batch %d with root %s",
			seen.Pending.Epoch, seen.Pending.Root, open.Epoch, open.Root)
	case seen.Active.Epoch < books.Active.Epoch:
		return fmt.Sprintf("active in the vault is batch %d, the log saw batch %d activated", seen.Active.Epoch, books.Active.Epoch)
	case seen.Active.Epoch != 0 && seen.Active != books.Active && seen.Active != open:
		return fmt.Sprintf("active in the vault is batch %d with root %s, which the log did not seal", seen.Active.Epoch, seen.Active.Root)
	case seen.Paid < books.Paid:
		return fmt.Sprintf("the vault paid %s, the log booked %s", seen.Paid, books.Paid)
	case seen.Paid > seen.Active.Total:
		return fmt.Sprintf("the vault paid %s of %s", seen.Paid, seen.Active.Total)
	}
	return ""
}

// ended is the highest number whose end the books have seen: the vault has used it up.
func ended(books Books) uint32 {
	if books.Open != nil {
		return books.Open.Epoch - 1
	}
	return books.LastNumber
}
