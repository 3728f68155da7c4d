package ton

import (
	"fmt"
	"time"

	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
)

// Change is what the admin may want to change in a vault: its own key, or the code. Exactly one of the
// two is not zero.
type Change struct {
	Admin Address       // who is to be the admin
	Code  domain.Digest // hash of what is to be the code
}

// PendingChange is a change that waits for its delay. Until it happened the guardian may veto it.
type PendingChange struct {
	Change
	DueAt time.Time
	ID    domain.Digest // hash of the pending change's cell: what a veto names
}

// ChangeProposed: the admin wants another admin or other code.
type ChangeProposed struct {
	Place
	PendingChange
}

// ChangeVetoed: the guardian threw a pending change away.
type ChangeVetoed struct {
	Place
	ID domain.Digest
}

// AdminChanged: the proposed admin accepted.
type AdminChanged struct {
	Place
	Admin Address
}

// CodeChanged: from the next message on, the vault runs other code.
type CodeChanged struct {
	Place
	Code domain.Digest
}

// PauseSet: payouts stopped, or go on.
type PauseSet struct {
	Place
	Paused bool
	By     Address
}

func (ChangeProposed) isEvent() {}
func (ChangeVetoed) isEvent()   {}
func (AdminChanged) isEvent()   {}
func (CodeChanged) isEvent()    {}
func (PauseSet) isEvent()       {}

// ProposeAdminMessage begins a handover; only the admin may. It takes effect when the delay is over and
// the new admin sends an AcceptAdminMessage. The new admin can't be the guardian.
func (v *Vault) ProposeAdminMessage(admin Address) Message {
	return v.message(GovernValue, query(opProposeAdmin, 0).MustStoreAddr(admin.std()))
}

// AcceptAdminMessage makes its sender the admin, if it was proposed and the delay is over.
func (v *Vault) AcceptAdminMessage() Message { return v.message(GovernValue, query(opAcceptAdmin, 0)) }

// ProposeUpgradeMessage announces other code by its hash; only the admin may.
func (v *Vault) ProposeUpgradeMessage(code domain.Digest) Message {
	return v.message(GovernValue, query(opProposeUpgrade, 0).MustStoreSlice(code[:], 256))
}

// ApplyUpgradeMessage brings the announced code, a bag of cells, once the delay is over. It is for the
// admin, or for the guardian while the vault is paused. Whoever sends it must have read the code: it
// decides over all coins from the next message on, and it must read the storage that it finds.
func (v *Vault) ApplyUpgradeMessage(code []byte) (Message, error) {
	root, err := cell.FromBOC(code)
	if err != nil {
		return Message{}, fmt.Errorf("upgrade of vault %s: code: %w", v.self, err)
	}
	return v.message(GovernValue, query(opApplyUpgrade, 0).MustStoreRef(root)), nil
}

// VetoChangeMessage throws away the pending change if it is this one; only the guardian may.
func (v *Vault) VetoChangeMessage(id domain.Digest) Message {
	return v.message(GovernValue, query(opVetoChange, 0).MustStoreSlice(id[:], 256))
}

// pendingChange reads pending_change$_ of vault.tlb from where the reader stands.
func (r *reader) pendingChange() PendingChange {
	start := r.slice
	if r.err == nil {
		start = r.slice.Copy()
	}
	change := PendingChange{DueAt: time.Unix(int64(r.uint(32)), 0)}
	bits := uint(32 + 1 + 256)
	if r.uint(1) == 0 {
		change.Admin = r.address()
		bits = 32 + 1 + 267
	} else {
		change.Code = r.digest()
	}
	if r.err == nil {
		raw, err := start.LoadSlice(bits)
		if err != nil {
			r.err = err
			return change
		}
		change.ID = domain.Digest(cell.BeginCell().MustStoreSlice(raw, bits).EndCell().Hash())
	}
	return change
}
