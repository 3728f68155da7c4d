package ton

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/ton/wallet"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
)

const (
	// MaxMessages is what one external message of a V5R1 wallet can carry: the network's bound on
	// actions per transaction. One more, and the whole state change is undone.
	MaxMessages = 255
	// sendMode pays fees beside the amount (+1) and skips a message that can't be sent (+2). A V5R1
	// wallet takes no other for messages from outside: without +2 it burns the sequence number and
	// sends nothing.
	sendMode = wallet.PayGasSeparately + wallet.IgnoreErrors
	// feePerMessage and feePerExternal are more than the wallet's own fees ever are (0.0009 for a
	// claim with a proof from a million leaves). The wallet drops what it can't pay for without a
	// word, so Sign checks first.
	feePerMessage  domain.Nano = 2_000_000
	feePerExternal domain.Nano = 5_000_000
	// expiryGrace: a shard block may be some seconds older than the masterchain block that lists it.
	// Only when the masterchain is that much past the deadline can no block take the message.
	expiryGrace = 30 * time.Second
	// walkLimit bounds the search for a wallet's transaction: far more than any wallet makes between
	// a message's signing and its expiry.
	walkLimit = 20_000
)

// ErrPoor: the wallet's balance does not cover the messages and their fees. Nothing was signed.
var ErrPoor = errors.New("wallet balance too low")

// Message is one message that a wallet sends. The Vault makes those for the vault.
type Message struct {
	To     Address
	Amount domain.Nano
	Bounce bool // comes back if the receiver fails; false for people's wallets

	body *cell.Cell
	init *tlb.StateInit
}

// Transfer is a message with coins and nothing else.
func Transfer(to Address, amount domain.Nano) Message { return Message{To: to, Amount: amount} }

// External is a signed message, ready to be sent. Store it before the first Send: after a crash the
// same bytes may be sent again, whereas a second signature could pay a second time.
type External struct {
	BoC            []byte        `json:"boc"`             // bag of cells
	NormalizedHash domain.Digest `json:"normalized_hash"` // TEP-467: the message's name on chain
	ValidUntil     time.Time     `json:"valid_until"`     // whole seconds, chain time
	Seqno          uint32        `json:"seqno"`           // the wallet's sequence number that it uses
	Messages       int           `json:"messages"`        // how many messages it carries
}

// Wallet is a V5R1 wallet of the basechain. Its methods are safe for many goroutines, but two
// externals signed before one of them lands use the same sequence number: only one will land.
type Wallet struct {
	client *Client
	key    ed25519.PrivateKey
	init   *tlb.StateInit
	self   Address
	id     uint32
}

// WalletAddress is where the wallet of a public key is on this network.
func (c *Client) WalletAddress(public domain.KeyID) (Address, error) {
	_, self, err := c.walletOf(public[:])
	return self, err
}

func (c *Client) walletOf(public ed25519.PublicKey) (*tlb.StateInit, Address, error) {
	init, err := wallet.GetStateInit(public, wallet.ConfigV5R1Final{NetworkGlobalID: c.networkID}, 0)
	if err != nil {
		return nil, Address{}, fmt.Errorf("wallet: %w", err)
	}
	return init, Address{Account: [32]byte(init.CalcAddress(0).Data())}, nil
}

// Wallet returns the wallet that a key owns. The wallet's contract is deployed with its first
// external, once somebody has sent coins to its address.
func (c *Client) Wallet(key ed25519.PrivateKey) (*Wallet, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("wallet: key of %d bytes: want an ed25519 private key", len(key))
	}
	init, self, err := c.walletOf(public)
	if err != nil {
		return nil, err
	}
	return &Wallet{
		client: c, key: key, init: init, self: self,
		id: wallet.V5R1ID{NetworkGlobalID: c.networkID}.Serialized(),
	}, nil
}

// Address is where the wallet lives.
func (w *Wallet) Address() Address { return w.self }

// Sign makes an external with the wallet's next sequence number, as of the newest block. The chain
// takes it until validUntil and never again: a minute is enough for any network that is well.
func (w *Wallet) Sign(ctx context.Context, messages []Message, validUntil time.Time) (External, error) {
	if len(messages) == 0 || len(messages) > MaxMessages {
		return External{}, fmt.Errorf("sign: %d messages: want 1 to %d", len(messages), MaxMessages)
	}
	ctx = w.client.sticky(ctx)
	head, err := w.client.Head(ctx)
	if err != nil {
		return External{}, fmt.Errorf("sign: %w", err)
	}
	state, err := w.state(ctx, head)
	if err != nil {
		return External{}, fmt.Errorf("sign: %w", err)
	}
	need := feePerExternal
	for _, m := range messages {
		for _, part := range []domain.Nano{m.Amount, feePerMessage} {
			if need, err = need.Add(part); err != nil {
				return External{}, fmt.Errorf("sign: amounts: %w", err)
			}
		}
	}
	if state.balance < need {
		return External{}, fmt.Errorf("sign: wallet %s has %s, needs %s: %w", w.self, state.balance, need, ErrPoor)
	}
	return w.signed(messages, state, validUntil)
}

// walletState is what the wallet's account says.
type walletState struct {
	balance  domain.Nano
	deployed bool
	seqno    uint32
	lastLT   uint64
	lastHash []byte
}

func (w *Wallet) state(ctx context.Context, head Head) (walletState, error) {
	account, err := w.client.account(ctx, head, w.self)
	if err != nil {
		return walletState{}, err
	}
	state := walletState{lastLT: account.LastTxLT, lastHash: account.LastTxHash}
	if state.balance, err = balanceOf(account); err != nil {
		return walletState{}, fmt.Errorf("wallet %s: %w", w.self, err)
	}
	if account.State == nil || account.State.Status != tlb.AccountStatusActive {
		return state, nil
	}
	data, err := account.Data.BeginParse()
	if err != nil {
		return walletState{}, fmt.Errorf("wallet %s: data: %w", w.self, err)
	}
	// contract_state$_ is_signature_allowed:(## 1) seqno:# …
	if _, err := data.LoadBoolBit(); err != nil {
		return walletState{}, fmt.Errorf("wallet %s: data: %w", w.self, err)
	}
	seqno, err := data.LoadUInt(32)
	if err != nil {
		return walletState{}, fmt.Errorf("wallet %s: data: %w", w.self, err)
	}
	state.deployed, state.seqno = true, uint32(seqno)
	return state, nil
}

// signed builds the external; it is a function of its arguments and the key.
func (w *Wallet) signed(messages []Message, state walletState, validUntil time.Time) (External, error) {
	body, err := v5r1Body(w.key, w.id, state.seqno, uint32(validUntil.Unix()), messages)
	if err != nil {
		return External{}, fmt.Errorf("sign: %w", err)
	}
	message := &tlb.ExternalMessage{DstAddr: w.self.std(), Body: body}
	if !state.deployed {
		message.StateInit = w.init
	}
	root, err := tlb.ToCell(message)
	if err != nil {
		return External{}, fmt.Errorf("sign: %w", err)
	}
	return External{
		BoC:            root.ToBOCWithOptions(cell.BOCSerializeOptions{}),
		NormalizedHash: domain.Digest(message.NormalizedHash()),
		ValidUntil:     time.Unix(validUntil.Unix(), 0),
		Seqno:          state.seqno,
		Messages:       len(messages),
	}, nil
}

// v5r1Body is the body of a signed external as the V5R1 wallet contract reads it. A test holds it to
// the bytes of the library's wallet, which takes its deadline from the wall clock instead.
func v5r1Body(key ed25519.PrivateKey, walletID, seqno, validUntil uint32, messages []Message) (*cell.Cell, error) {
	packed := make([]*wallet.Message, len(messages))
	for i, m := range messages {
		body := m.body
		if body == nil {
			body = cell.BeginCell().EndCell()
		}
		packed[i] = &wallet.Message{Mode: sendMode, InternalMessage: &tlb.InternalMessage{
			IHRDisabled: true, Bounce: m.Bounce, DstAddr: m.To.std(),
			Amount: coinsOf(m.Amount), StateInit: m.init, Body: body,
		}}
	}
	actions, err := wallet.PackV5OutActions(packed)
	if err != nil {
		return nil, err
	}
	const opSignedExternal = 0x7369676e // "sign"
	unsigned := cell.BeginCell().
		MustStoreUInt(opSignedExternal, 32).MustStoreUInt(uint64(walletID), 32).
		MustStoreUInt(uint64(validUntil), 32).MustStoreUInt(uint64(seqno), 32).
		MustStoreBuilder(actions)
	signature := ed25519.Sign(key, unsigned.EndCell().Hash())
	return cell.BeginCell().MustStoreBuilder(unsigned).MustStoreSlice(signature, 512).EndCell(), nil
}

// Send hands the external to a lite-server. It may be repeated with the same bytes. An error says
// nothing of the external's fate: an earlier Send may have brought it in. Ask Fate.
func (w *Wallet) Send(ctx context.Context, external External) error {
	root, err := cell.FromBOC(external.BoC)
	if err != nil {
		return fmt.Errorf("send %s: %w", external.NormalizedHash, err)
	}
	var message tlb.ExternalMessage
	if err := tlb.Parse(&message, root); err != nil {
		return fmt.Errorf("send %s: %w", external.NormalizedHash, err)
	}
	if err := w.client.api.SendExternalMessage(ctx, &message); err != nil {
		return fmt.Errorf("send %s: %w", external.NormalizedHash, err)
	}
	return nil
}

// Outcome is what became of an external.
type Outcome int

const (
	// Pending: it may still land. Send it again, or wait.
	Pending Outcome = iota
	// Landed: the wallet executed it. Look at Fate.Sent.
	Landed
	// Expired: it can never land, because its time is over or another external took its sequence
	// number. What it was for may be signed again.
	Expired
)

func (o Outcome) String() string { return [...]string{"pending", "landed", "expired"}[o] }

// Fate is what became of an external, by a final block.
type Fate struct {
	Outcome Outcome
	// Of the wallet's transaction, if it landed:
	LT     uint64
	TxHash domain.Digest
	// Sent is how many messages left the wallet. Fewer than External.Messages: the wallet could not
	// pay for the others and dropped them. That a message was sent doesn't say that its receiver
	// did what it asks for.
	Sent int
}

// Fate says what became of an external. Expired is only ever said when the chain proves it.
func (w *Wallet) Fate(ctx context.Context, external External) (Fate, error) {
	ctx = w.client.sticky(ctx)
	head, err := w.client.Head(ctx)
	if err != nil {
		return Fate{}, fmt.Errorf("fate of %s: %w", external.NormalizedHash, err)
	}
	state, err := w.state(ctx, head)
	if err != nil {
		return Fate{}, fmt.Errorf("fate of %s: %w", external.NormalizedHash, err)
	}
	if state.seqno <= external.Seqno {
		if head.Time.After(external.ValidUntil.Add(expiryGrace)) {
			return Fate{Outcome: Expired}, nil
		}
		return Fate{Outcome: Pending}, nil
	}
	// The sequence number is used; its transaction says by whom. Every external moves it by one, so
	// it is among the last state.seqno - external.Seqno transactions with an external.
	left := state.seqno - external.Seqno
	fate := Fate{Outcome: Expired}
	err = w.client.walk(ctx, w.self, state.lastLT, state.lastHash, func(tx *tlb.Transaction) bool {
		if tx.IO.In == nil || tx.IO.In.MsgType != tlb.MsgTypeExternalIn {
			return true
		}
		left--
		if domain.Digest(tx.IO.In.AsExternalIn().NormalizedHash()) != external.NormalizedHash {
			return left > 0
		}
		fate = Fate{Outcome: Landed, LT: tx.LT, TxHash: domain.Digest(tx.Hash), Sent: int(tx.OutMsgCount)}
		return false
	})
	if err != nil {
		return Fate{}, fmt.Errorf("fate of %s: %w", external.NormalizedHash, err)
	}
	return fate, nil
}

// pageTransactions is what lite-servers give at once.
const pageTransactions = 16

// page returns up to pageTransactions transactions of an account, oldest first, that end with the
// one named. Each is checked against the hash that the next one, or the account's state, has of it.
func (c *Client) page(ctx context.Context, of Address, lt uint64, hash []byte) ([]*tlb.Transaction, error) {
	transactions, err := c.api.ListTransactions(ctx, of.std(), pageTransactions, lt, hash)
	if err != nil {
		return nil, fmt.Errorf("transactions of %s up to %d: %w", of, lt, err)
	}
	if len(transactions) == 0 {
		return nil, fmt.Errorf("transactions of %s up to %d: %w", of, lt, ton.ErrNoTransactionsWereFound)
	}
	return transactions, nil
}

// walk visits an account's transactions, newest first, until visit returns false or none is left.
func (c *Client) walk(ctx context.Context, of Address, lt uint64, hash []byte, visit func(*tlb.Transaction) bool) error {
	for seen := 0; lt != 0; {
		transactions, err := c.page(ctx, of, lt, hash)
		if err != nil {
			return err
		}
		for _, tx := range slices.Backward(transactions) {
			if !visit(tx) {
				return nil
			}
		}
		if seen += len(transactions); seen > walkLimit {
			return fmt.Errorf("transactions of %s: gave up after %d", of, seen)
		}
		lt, hash = transactions[0].PrevTxLT, transactions[0].PrevTxHash
	}
	return nil
}
