package ton

import (
	"fmt"
	"math/big"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
)

// The first 32 bits of a message's body say what it is. contracts/messages.tolk and
// schemas/tlb/vault.tlb have the same numbers; a test compares the three.
const (
	opDeposit        = 0x44455053
	opTopUp          = 0x46554e44
	opProposeRoot    = 0x50524f50
	opActivateRoot   = 0x41435456
	opVetoRoot       = 0x5645544f
	opSetPaused      = 0x50415553
	opClaim          = 0x434c4149
	opProposeAdmin   = 0x5041444d
	opAcceptAdmin    = 0x4141444d
	opProposeUpgrade = 0x50555047
	opApplyUpgrade   = 0x41555047
	opVetoChange     = 0x56434847
	opClaimUpTo      = 0x434c5550
	opPayRequest     = 0x50415952
	opPayout         = 0x50415944
	opExcesses       = 0xd53276db

	opDepositLogged  = 0x4c444550
	opRootProposed   = 0x4c50524f
	opRootActivated  = 0x4c414354
	opRootVetoed     = 0x4c56544f
	opPayoutSent     = 0x4c504159
	opPauseSet       = 0x4c504155
	opChangeProposed = 0x4c434850
	opChangeVetoed   = 0x4c434856
	opAdminChanged   = 0x4c41444d
	opCodeChanged    = 0x4c555047
)

// What to attach. The vault sends back what it doesn't need, so these are comfortable rather than
// exact: about twice what it asks for at the prices of 2026-05.
const (
	// ClaimValue must pay for three transactions and, with a payee's first claim, for five years of the
	// claim account's rent (0.003).
	ClaimValue domain.Nano = 15_000_000
	// GovernValue goes with proposals, activations, vetoes, pauses and changes of admin and code.
	GovernValue domain.Nano = 10_000_000
)

// ProposeMessage proposes a root; only the vault's admin may. The epoch must be one above that of
// the last proposal, vetoed or not (1 for the first), the total at least the active one's and covered
// by the vault's balance, and no other root may be pending.
func (v *Vault) ProposeMessage(root Root) (Message, error) {
	if root.Total < 0 {
		return Message{}, fmt.Errorf("propose epoch %d: total %s: must not be negative", root.Epoch, root.Total)
	}
	body := query(opProposeRoot, uint64(root.Epoch)).MustStoreUInt(uint64(root.Epoch), 32).
		MustStoreSlice(root.Root[:], 256).MustStoreBigCoins(big.NewInt(int64(root.Total))).
		MustStoreSlice(root.Commitment[:], 256)
	return v.message(GovernValue, body), nil
}

// ActivateMessage activates the pending root if it is due. Anyone may send it, and nobody must: the
// first claim does the same.
func (v *Vault) ActivateMessage() Message { return v.message(GovernValue, query(opActivateRoot, 0)) }

// VetoMessage throws away the pending root if it is of this epoch; only the guardian may.
func (v *Vault) VetoMessage(epoch uint32) Message {
	return v.message(GovernValue, query(opVetoRoot, uint64(epoch)).MustStoreUInt(uint64(epoch), 32))
}

// PauseMessage stops proposals, activations and payouts, or (guardian only) lets them go on.
func (v *Vault) PauseMessage(paused bool) Message {
	return v.message(GovernValue, query(opSetPaused, 0).MustStoreBoolBit(paused))
}

// DepositMessage pays amount into a client's account. The vault takes the cost of this message out
// of it (about 0.0005) and logs what is left, which is what the client is credited with.
func (v *Vault) DepositMessage(account domain.AccountID, amount domain.Nano) Message {
	return v.message(amount, query(opDeposit, 0).MustStoreSlice(account[:], 256))
}

// TopUpMessage gives the vault coins for nobody in particular.
func (v *Vault) TopUpMessage(amount domain.Nano) Message {
	return Message{To: v.self, Amount: amount, Bounce: true, body: bodyTopUp(0)}
}

// ClaimMessage pays a payee what the proof says and was not paid yet. Anyone may send it. What is
// left of ClaimValue goes to responseTo, so that a relayer pays no more than the fees; the zero
// Address leaves it to the payee.
func (v *Vault) ClaimMessage(payee domain.ProviderID, proof []byte, responseTo Address) (Message, error) {
	root, err := cell.FromBOC(proof)
	if err != nil {
		return Message{}, fmt.Errorf("claim for %s: proof: %w", payee, err)
	}
	body := query(opClaim, 0).MustStoreAddr(PayeeAddress(payee).std())
	if responseTo == (Address{}) {
		body.MustStoreAddr(nil)
	} else {
		body.MustStoreAddr(responseTo.std())
	}
	body.MustStoreRef(root)
	return v.message(ClaimValue, body), nil
}

func (v *Vault) message(value domain.Nano, body *cell.Builder) Message {
	return Message{To: v.self, Amount: value, Bounce: true, body: body.EndCell()}
}

// query begins a body. The query id comes back with the answer; nothing of ours depends on it.
func query(op, id uint64) *cell.Builder {
	return cell.BeginCell().MustStoreUInt(op, 32).MustStoreUInt(id, 64)
}

func bodyTopUp(id uint64) *cell.Cell { return query(opTopUp, id).EndCell() }

func coinsOf(amount domain.Nano) tlb.Coins { return tlb.FromNanoTON(big.NewInt(int64(amount))) }
