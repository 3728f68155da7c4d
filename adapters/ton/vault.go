package ton

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/contracts"
	"github.com/filature/filature/domain"
)

var (
	// ErrNoVault: there is no contract at the address (yet).
	ErrNoVault = errors.New("no vault at this address")
	// ErrForeignCode: there is a contract, but not the one that this program was built with. It must
	// not be trusted with money or with an audit.
	ErrForeignCode = errors.New("not the vault's code")
)

// VaultReserve is more than a vault wants to keep for its rent at the prices of 2026-05: deploy it with at least this
// much. What it keeps at those of now, Prices.Reserve says.
const VaultReserve domain.Nano = 50_000_000

// VaultParams are what a vault is born with; they and the code decide its address.
type VaultParams struct {
	Admin    Address       // proposes roots
	Guardian Address       // vetoes, pauses and unpauses
	Delay    time.Duration // whole seconds between a proposal and its activation
}

// Vault is one vault contract.
type Vault struct {
	client *Client
	self   Address
}

// Vault returns the vault at an address. It asks nothing: State says whether there is one.
func (c *Client) Vault(at Address) *Vault { return &Vault{client: c, self: at} }

// Address is where the vault lives.
func (v *Vault) Address() Address { return v.self }

// NewVault returns the vault that the parameters make and the message that deploys it, with amount
// as its first coins. Deploying twice is a top-up.
func (c *Client) NewVault(params VaultParams, amount domain.Nano) (*Vault, Message, error) {
	seconds := int64(params.Delay / time.Second)
	if params.Delay < 0 || params.Delay%time.Second != 0 || seconds > 1<<32-1 {
		return nil, Message{}, fmt.Errorf("new vault: delay %s: want whole seconds in 32 bits", params.Delay)
	}
	if params.Admin == params.Guardian {
		return nil, Message{}, fmt.Errorf("new vault: guardian %s: must not be the admin, whom it guards against", params.Guardian)
	}
	init := &tlb.StateInit{Code: c.vaultCode, Data: firstVaultData(params.Admin, params.Guardian, uint64(seconds), c.claimCode)}
	self := Address{Account: [32]byte(init.CalcAddress(0).Data())}
	deploy := Message{To: self, Amount: amount, body: bodyTopUp(0), init: init}
	return c.Vault(self), deploy, nil
}

// firstVaultData is the storage of a new vault (vault.tlb, vault#_).
func firstVaultData(admin, guardian Address, delaySeconds uint64, claimCode *cell.Cell) *cell.Cell {
	noRoot := cell.BeginCell().MustStoreUInt(0, 32).MustStoreSlice(make([]byte, 32), 256).
		MustStoreBigCoins(new(big.Int)).MustStoreSlice(make([]byte, 32), 256).EndCell()
	return cell.BeginCell().
		MustStoreAddr(admin.std()).MustStoreAddr(guardian.std()).
		MustStoreBoolBit(false).MustStoreUInt(delaySeconds, 32).MustStoreUInt(0, 32).MustStoreBigCoins(new(big.Int)).
		MustStoreRef(noRoot).MustStoreBoolBit(false).MustStoreRef(claimCode).MustStoreBoolBit(false).EndCell()
}

// Root is a payout root as the vault keeps it.
type Root struct {
	Epoch      uint32
	Root       domain.Digest // of the payout tree
	Total      domain.Nano   // of its leaves
	Commitment domain.Digest // of all that the root was computed from
}

// PendingRoot is a proposed root that no message has activated yet.
type PendingRoot struct {
	Root
	ActivateAt time.Time // from then on any message may activate it
}

// VaultState is the vault as of one final block.
type VaultState struct {
	Params    VaultParams
	Paused    bool
	LastEpoch uint32      // highest ever proposed, vetoed ones included
	Active    Root        // all zero before the first activation
	Paid      domain.Nano // to all payees, ever
	Pending   *PendingRoot
	Change    *PendingChange // of admin or code
	Balance   domain.Nano    // all coins that the contract holds
	LT        uint64         // logical time of its last transaction
	At        Head
}

// State reads the vault's storage, proven by the newest block.
func (v *Vault) State(ctx context.Context) (VaultState, error) {
	ctx = v.client.sticky(ctx)
	head, err := v.client.Head(ctx)
	if err != nil {
		return VaultState{}, fmt.Errorf("vault %s: %w", v.self, err)
	}
	account, err := v.client.account(ctx, head, v.self)
	if err != nil {
		return VaultState{}, fmt.Errorf("vault: %w", err)
	}
	if account.State == nil || account.State.Status != tlb.AccountStatusActive {
		return VaultState{}, fmt.Errorf("vault %s: %w", v.self, ErrNoVault)
	}
	if account.Code.HashKey() != contracts.Vault().Hash {
		return VaultState{}, fmt.Errorf("vault %s: code %x: %w", v.self, account.Code.Hash(), ErrForeignCode)
	}
	state, err := parseVault(account.Data)
	if err != nil {
		return VaultState{}, fmt.Errorf("vault %s: storage: %w", v.self, err)
	}
	if state.Balance, err = balanceOf(account); err != nil {
		return VaultState{}, fmt.Errorf("vault %s: balance: %w", v.self, err)
	}
	state.At, state.LT = head, account.LastTxLT
	return state, nil
}

// Claimed returns what the payee was ever paid by this vault, 0 if nothing was claimed yet. The
// number may count a payment that is still on its way and may yet be taken back: what was paid for
// good is in the history (PayoutSent).
func (v *Vault) Claimed(ctx context.Context, payee domain.ProviderID) (domain.Nano, error) {
	ctx = v.client.sticky(ctx)
	head, err := v.client.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("claimed by %s: %w", payee, err)
	}
	return (&Snapshot{vault: v, state: VaultState{At: head}}).Claimed(ctx, payee)
}

// ClaimAccount is the address of the payee's claim account.
func (v *Vault) ClaimAccount(payee domain.ProviderID) Address {
	init := &tlb.StateInit{Code: v.client.claimCode, Data: cell.BeginCell().
		MustStoreAddr(v.self.std()).MustStoreAddr(PayeeAddress(payee).std()).MustStoreBigCoins(new(big.Int)).EndCell()}
	return Address{Account: [32]byte(init.CalcAddress(0).Data())}
}

// reader reads a cell's fields one after the other and keeps the first error.
type reader struct {
	slice *cell.Slice
	err   error
}

func readCell(c *cell.Cell) *reader {
	if c == nil {
		return &reader{err: errors.New("no cell")}
	}
	slice, err := c.BeginParse()
	return &reader{slice: slice, err: err}
}

func (r *reader) uint(bits uint) (n uint64) {
	if r.err == nil {
		n, r.err = r.slice.LoadUInt(bits)
	}
	return n
}

func (r *reader) digest() (d domain.Digest) {
	if r.err == nil {
		var raw []byte
		if raw, r.err = r.slice.LoadSlice(256); r.err == nil {
			d = domain.Digest(raw)
		}
	}
	return d
}

func (r *reader) coins() (amount domain.Nano) {
	if r.err == nil {
		var n *big.Int
		if n, r.err = r.slice.LoadBigCoins(); r.err == nil {
			amount, r.err = nanoOf(tlb.FromNanoTON(n))
		}
	}
	return amount
}

func (r *reader) address() (a Address) {
	if r.err == nil {
		std, err := r.slice.LoadAddr()
		if err == nil {
			a, err = addressOf(std)
		}
		r.err = err
	}
	return a
}

func (r *reader) ref() *reader {
	if r.err != nil {
		return r
	}
	c, err := r.slice.LoadRefCell()
	if err != nil {
		r.err = err
		return r
	}
	return readCell(c)
}

// end wants the cell to be read to its end: more is another layout.
func (r *reader) end() error {
	if r.err == nil && (r.slice.BitsLeft() > 0 || r.slice.RefsNum() > 0) {
		r.err = fmt.Errorf("%d bits and %d references too many", r.slice.BitsLeft(), r.slice.RefsNum())
	}
	return r.err
}

// parseVault reads vault#_ of vault.tlb.
func parseVault(data *cell.Cell) (VaultState, error) {
	var s VaultState
	r := readCell(data)
	s.Params.Admin, s.Params.Guardian = r.address(), r.address()
	s.Paused = r.uint(1) == 1
	s.Params.Delay = time.Duration(r.uint(32)) * time.Second
	s.LastEpoch = uint32(r.uint(32))
	s.Paid = r.coins()
	active := r.ref()
	s.Active = active.root()
	if err := active.end(); err != nil {
		return VaultState{}, fmt.Errorf("active root: %w", err)
	}
	if r.uint(1) == 1 {
		pending := r.ref()
		at := time.Unix(int64(pending.uint(32)), 0)
		s.Pending = &PendingRoot{Root: pending.root(), ActivateAt: at}
		if err := pending.end(); err != nil {
			return VaultState{}, fmt.Errorf("pending root: %w", err)
		}
	}
	if r.err == nil {
		code, err := r.slice.LoadRefCell()
		if err != nil {
			return VaultState{}, err
		}
		if code.HashKey() != contracts.ClaimAccount().Hash {
			return VaultState{}, fmt.Errorf("claim account's code %x: %w", code.Hash(), ErrForeignCode)
		}
	}
	if r.uint(1) == 1 {
		waiting := r.ref()
		change := waiting.pendingChange()
		s.Change = &change
		if err := waiting.end(); err != nil {
			return VaultState{}, fmt.Errorf("pending change: %w", err)
		}
	}
	return s, r.end()
}

func (r *reader) root() Root {
	return Root{Epoch: uint32(r.uint(32)), Root: r.digest(), Total: r.coins(), Commitment: r.digest()}
}

// parseClaimAccount reads claim_account#_ of vault.tlb and returns what was claimed.
func parseClaimAccount(data *cell.Cell) (domain.Nano, error) {
	r := readCell(data)
	r.address() // vault
	r.address() // account
	claimed := r.coins()
	return claimed, r.end()
}
