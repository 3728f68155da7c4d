package rig

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Vault plays the vault contract. It refuses what the contract refuses (contracts/vault.tolk): any
// number but the next, a second pending root, a total that shrinks or that it could not pay, an activation before
// its time, and a claim whose leaves are not under the active root. It is a settler's Chain. Safe for
// many goroutines.
type Vault struct {
	now   func() time.Time
	delay time.Duration

	mu      sync.Mutex
	lt      uint64
	seen    settlement.Seen
	claimed map[domain.ProviderID]domain.Nano
	roots   map[uint32]settlement.OnChain // all that were ever activated
	events  []*v1.Claim                   // all that happened, as a watcher tells it
}

// NewVault returns an empty vault with a clock and a delay between proposal and activation.
func NewVault(now func() time.Time, delay time.Duration) *Vault {
	return &Vault{now: now, delay: delay, claimed: map[domain.ProviderID]domain.Nano{}, roots: map[uint32]settlement.OnChain{}}
}

// Refusals of the vault.
var (
	ErrBadEpoch       = errors.New("number is not the next one")
	ErrRootPending    = errors.New("another root is pending")
	ErrTotalDecreased = errors.New("total is below the active one")
	ErrUnderfunded    = errors.New("vault holds less than it would owe")
	ErrNothingPending = errors.New("no root is pending")
	ErrTooEarly       = errors.New("pending root is not due")
	ErrBadProof       = errors.New("leaves are not under the active root")
)

// transaction begins the next transaction of the vault; it needs mu.
func (v *Vault) transaction() (lt uint64, hash []byte) {
	v.lt += 1000
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("rig transaction "), v.lt))
	return v.lt, sum[:]
}

// Deposit puts coins in for a client's account.
func (v *Vault) Deposit(account domain.AccountID, amount domain.Nano) {
	v.mu.Lock()
	defer v.mu.Unlock()
	lt, tx := v.transaction()
	v.seen.Free += amount
	v.events = append(v.events, &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: &v1.ObserveDeposit{
		Account: account[:], AmountNano: int64(amount), TxHash: tx, Lt: lt,
	}}})
}

// TopUp puts coins in for nobody.
func (v *Vault) TopUp(amount domain.Nano) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.transaction()
	v.seen.Free += amount
}

// Look implements the chain of a settler and of an auditor.
func (v *Vault) Look(context.Context) (settlement.Seen, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := v.seen
	seen.AtMs, seen.LT, seen.Covers = v.now().UnixMilli(), v.lt, v.seen.Free
	if v.seen.Pending != nil {
		pending := *v.seen.Pending
		seen.Pending = &pending
	}
	return seen, nil
}

// Propose implements settler.Chain.
func (v *Vault) Propose(_ context.Context, root settlement.OnChain) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case root.Epoch != v.seen.LastEpoch+1:
		return fmt.Errorf("propose %d: %w", root.Epoch, ErrBadEpoch)
	case v.seen.Pending != nil:
		return fmt.Errorf("propose %d: %w", root.Epoch, ErrRootPending)
	case root.Total < v.seen.Active.Total:
		return fmt.Errorf("propose %d: %w", root.Epoch, ErrTotalDecreased)
	case v.seen.Free < root.Total-v.seen.Paid:
		return fmt.Errorf("propose %d: %w", root.Epoch, ErrUnderfunded)
	}
	lt, tx := v.transaction()
	v.seen.LastEpoch, v.seen.Pending = root.Epoch, &root
	v.seen.ActivateAtMs = v.now().Add(v.delay).UnixMilli()
	v.events = append(v.events, &v1.Claim{Body: &v1.Claim_ObserveProposal{ObserveProposal: &v1.ObserveProposal{
		Number: root.Epoch, PayoutRoot: root.Root[:], TxHash: tx, Lt: lt, ActivatesAtMs: v.seen.ActivateAtMs,
	}}})
	return nil
}

// Activate implements settler.Chain.
func (v *Vault) Activate(context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.seen.Pending == nil:
		return fmt.Errorf("activate: %w", ErrNothingPending)
	case v.now().UnixMilli() < v.seen.ActivateAtMs:
		return fmt.Errorf("activate: %w", ErrTooEarly)
	}
	lt, tx := v.transaction()
	v.seen.Active, v.seen.Pending = *v.seen.Pending, nil
	root := v.seen.Active.Root
	v.roots[v.seen.Active.Epoch] = v.seen.Active
	v.events = append(v.events, &v1.Claim{Body: &v1.Claim_ObserveActivation{ObserveActivation: &v1.ObserveActivation{
		Number: v.seen.Active.Epoch, PayoutRoot: root[:], TxHash: tx, Lt: lt,
	}}})
	return nil
}

// Activated returns a root that was activated.
func (v *Vault) Activated(_ context.Context, number uint32) (settlement.OnChain, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	root, was := v.roots[number]
	if !was {
		return root, fmt.Errorf("root %d: %w", number, ErrNothingPending)
	}
	return root, nil
}

// Veto is the guardian's.
func (v *Vault) Veto() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen.Pending == nil {
		return fmt.Errorf("veto: %w", ErrNothingPending)
	}
	lt, tx := v.transaction()
	v.events = append(v.events, &v1.Claim{Body: &v1.Claim_ObserveVeto{ObserveVeto: &v1.ObserveVeto{
		Number: v.seen.Pending.Epoch, TxHash: tx, Lt: lt,
	}}})
	v.seen.Pending = nil
	return nil
}

// maxClaims is how many claims one message carries: few, so that a keeper has to come again.
const maxClaims = 5

// Claim implements settler.Chain: each payee is paid what its leaf gives it beyond what it got. Who got it all is
// paid nothing, as on the chain.
func (v *Vault) Claim(_ context.Context, tree settlement.Tree, payees []domain.ProviderID) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if root := tree.Root(); root != v.seen.Active.Root {
		return 0, fmt.Errorf("claim under %s: %w", root, ErrBadProof)
	}
	payees = payees[:min(len(payees), maxClaims)]
	for _, payee := range payees {
		leaf := tree.Of(payee)
		if leaf == 0 {
			return 0, fmt.Errorf("claim for %s: %w", payee, ErrBadProof)
		}
		due := leaf - v.claimed[payee]
		if due <= 0 {
			continue
		}
		lt, tx := v.transaction()
		v.claimed[payee] += due
		v.seen.Paid += due
		v.seen.Free -= due
		v.events = append(v.events, &v1.Claim{Body: &v1.Claim_ObservePayout{ObservePayout: &v1.ObservePayout{
			Payee: payee[:], AmountNano: int64(due), TxHash: tx, Lt: lt,
		}}})
	}
	return len(payees), nil
}

// pageEvents is how many events a history gives at once: few, so that readers meet pages.
const pageEvents = 16

// History reads what the vault did, oldest first. It is a watcher's History, and with the vault itself
// an auditor's Chain. One goroutine owns it.
type History struct {
	*Vault
	read int
	lt   uint64
}

// History returns the history from the vault's birth on.
func (v *Vault) History() *History { return &History{Vault: v} }

// Next returns the next events and the logical time up to which all was returned.
func (h *History) Next(context.Context) (claims []*v1.Claim, upToLT uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	claims = h.events[h.read:min(len(h.events), h.read+pageEvents)]
	h.read += len(claims)
	h.lt = h.Vault.lt
	if h.read < len(h.events) {
		h.lt, _ = happened(claims[len(claims)-1])
	}
	return claims, h.lt, nil
}

// happened returns the logical time of an event, and the account that it is about, if any.
func happened(claim *v1.Claim) (lt uint64, account []byte) {
	switch body := claim.Body.(type) {
	case *v1.Claim_ObserveDeposit:
		return body.ObserveDeposit.Lt, body.ObserveDeposit.Account
	case *v1.Claim_ObserveProposal:
		return body.ObserveProposal.Lt, nil
	case *v1.Claim_ObserveActivation:
		return body.ObserveActivation.Lt, nil
	case *v1.Claim_ObserveVeto:
		return body.ObserveVeto.Lt, nil
	case *v1.Claim_ObservePayout:
		return body.ObservePayout.Lt, nil
	default:
		panic(fmt.Sprintf("rig: no event of the vault: %T", claim.Body))
	}
}

// Claimed is what a payee was ever paid.
func (v *Vault) Claimed(payee domain.ProviderID) domain.Nano {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.claimed[payee]
}
