// Package ton knows how Filature's money lives on TON: the vault contract and its history, the
// payout tree's proofs, and a wallet whose messages are signed first, stored, and then sent.
//
// It works the same on the local chain (package localchain), the test network and the main network:
// a global configuration file says where the lite-servers are. Everything that it returns about the
// chain comes from a masterchain block, so it is final, and was checked against that block by Merkle
// proofs; with Config.CheckSignatures the block itself is checked against the validators.
package ton

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/xssnick/tonutils-go/address"
	"github.com/xssnick/tonutils-go/liteclient"
	"github.com/xssnick/tonutils-go/tl"
	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/contracts"
	"github.com/filature/filature/domain"
)

const (
	// queryTimeout and queryRetries bound one question: a lite-server that answers at all does so in
	// well under a second, and the next attempt goes to another one.
	queryTimeout = 5 * time.Second
	queryRetries = 3
)

// Config says which network to talk to.
type Config struct {
	// GlobalConfigFile is a global configuration file, as the networks publish it and the local
	// chain writes it.
	GlobalConfigFile string
	// CheckSignatures follows the chain of validator sets from the file's init block on. Use it
	// wherever there are validators; the local chain has none.
	CheckSignatures bool
	// Resend and Look pace the wait for an external's fate: between two sends of the same bytes, and between two looks
	// at the chain. 0: what is good for a public network.
	Resend, Look time.Duration
}

// Client reads one TON network and sends to it. It is safe for many goroutines.
type Client struct {
	pool      *liteclient.ConnectionPool
	api       ton.APIClientWrapped
	networkID int32
	zeroState []byte // root hash
	resend    time.Duration
	look      time.Duration
	vaultCode *cell.Cell
	claimCode *cell.Cell
}

// Connect returns when one lite-server answers. The context bounds the connecting only.
func Connect(ctx context.Context, config Config) (*Client, error) {
	global, err := liteclient.GetConfigFromFile(config.GlobalConfigFile)
	if err != nil {
		return nil, fmt.Errorf("connect to TON: %w", err)
	}
	vaultCode, err := codeCell(contracts.Vault())
	if err != nil {
		return nil, fmt.Errorf("connect to TON: vault: %w", err)
	}
	claimCode, err := codeCell(contracts.ClaimAccount())
	if err != nil {
		return nil, fmt.Errorf("connect to TON: claim account: %w", err)
	}
	pool := liteclient.NewConnectionPool()
	if err := pool.AddConnectionsFromConfig(ctx, global); err != nil {
		pool.Stop()
		return nil, fmt.Errorf("connect to TON (%s): %w", config.GlobalConfigFile, err)
	}
	policy := ton.ProofCheckPolicyFast
	if config.CheckSignatures {
		policy = ton.ProofCheckPolicySecure
	}
	api := ton.NewAPIClient(pool, policy)
	if config.CheckSignatures {
		api.SetTrustedBlockFromConfig(global)
	}
	c := &Client{
		pool: pool, resend: cmp.Or(config.Resend, resendEvery), look: cmp.Or(config.Look, lookEvery),
		api: api.WithRetryTimeout(queryRetries, queryTimeout), vaultCode: vaultCode, claimCode: claimCode,
	}
	if c.networkID, err = c.readNetworkID(ctx); err == nil {
		c.zeroState, err = c.readZeroState(ctx, global.Validator.ZeroState.RootHash)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to TON: %w", err)
	}
	return c, nil
}

// ZeroState is the root hash of the zero state, in base64: it tells a network from all others.
func (c *Client) ZeroState() string { return base64.StdEncoding.EncodeToString(c.zeroState) }

// readZeroState asks the lite-server which network it serves. It has to be the one that the config names, if it names one.
func (c *Client) readZeroState(ctx context.Context, want []byte) ([]byte, error) {
	var answer tl.Serializable
	if err := c.api.Client().QueryLiteserver(ctx, ton.GetMasterchainInf{}, &answer); err != nil {
		return nil, fmt.Errorf("zero state: %w", err)
	}
	info, is := answer.(ton.MasterchainInfo)
	if !is || info.Init == nil {
		return nil, fmt.Errorf("zero state: the lite-server answers %T", answer)
	}
	if len(want) > 0 && !bytes.Equal(info.Init.RootHash, want) {
		return nil, fmt.Errorf("the lite-server's zero state is %x, the global config names %x", info.Init.RootHash, want)
	}
	return info.Init.RootHash, nil
}

// codeCell parses compiled code and checks it against the hash beside it.
func codeCell(code contracts.Code) (*cell.Cell, error) {
	root, err := cell.FromBOC(code.BoC)
	if err != nil {
		return nil, fmt.Errorf("compiled code: %w", err)
	}
	if root.HashKey() != code.Hash {
		return nil, fmt.Errorf("compiled code hashes to %x, its file says %x", root.Hash(), code.Hash)
	}
	return root, nil
}

// Close ends the connections.
func (c *Client) Close() { c.pool.Stop() }

// NetworkID is the network's number (configuration parameter 19): -239 main, -3 test, and
// localchain.GlobalID.
func (c *Client) NetworkID() int32 { return c.networkID }

func (c *Client) readNetworkID(ctx context.Context) (int32, error) {
	head, err := c.Head(ctx)
	if err != nil {
		return 0, err
	}
	config, err := c.api.GetBlockchainConfig(ctx, head.block, int32(tlb.ConfigParamGlobalID))
	if err != nil {
		return 0, fmt.Errorf("network number: %w", err)
	}
	id, err := config.GetGlobalID()
	if err != nil {
		return 0, fmt.Errorf("network number: %w", err)
	}
	return id.GlobalID, nil
}

// Head is a masterchain block: the point in the chain's history that an answer is about.
type Head struct {
	Seqno uint32
	Time  time.Time // the block's own time, whole seconds
	block *ton.BlockIDExt
}

// Head returns the newest block. It asks every time; the library's own cache of a second is longer
// than two blocks.
func (c *Client) Head(ctx context.Context) (Head, error) {
	block, err := c.api.GetMasterchainInfo(ctx)
	if err != nil {
		return Head{}, fmt.Errorf("newest block: %w", err)
	}
	header, err := c.api.GetBlockHeader(ctx, block)
	if err != nil {
		return Head{}, fmt.Errorf("header of block %d: %w", block.SeqNo, err)
	}
	return Head{Seqno: block.SeqNo, Time: time.Unix(int64(header.GenUtime), 0), block: block}, nil
}

// sticky makes all questions of one operation go to one lite-server: another may lag behind.
func (c *Client) sticky(ctx context.Context) context.Context {
	return c.api.Client().StickyContext(ctx)
}

// account returns an account's state at a block; State is nil if there is none.
func (c *Client) account(ctx context.Context, head Head, at Address) (*tlb.Account, error) {
	account, err := c.api.GetAccount(ctx, head.block, at.std())
	if err != nil {
		return nil, fmt.Errorf("account %s at block %d: %w", at, head.Seqno, err)
	}
	return account, nil
}

// Balance returns what an account has, 0 if it doesn't exist.
func (c *Client) Balance(ctx context.Context, at Address) (domain.Nano, error) {
	ctx = c.sticky(ctx)
	head, err := c.Head(ctx)
	if err != nil {
		return 0, err
	}
	account, err := c.account(ctx, head, at)
	if err != nil {
		return 0, err
	}
	return balanceOf(account)
}

func balanceOf(account *tlb.Account) (domain.Nano, error) {
	if account.State == nil {
		return 0, nil
	}
	return nanoOf(account.State.Balance)
}

// nanoOf refuses what no real balance is.
func nanoOf(coins tlb.Coins) (domain.Nano, error) {
	nano := coins.Nano()
	if !nano.IsInt64() {
		return 0, fmt.Errorf("%s nanotons: %w", nano, domain.ErrAmountOverflow)
	}
	return domain.Nano(nano.Int64()), nil
}

// Address is the address of an account.
type Address struct {
	Workchain int32 // 0 the basechain, -1 the masterchain
	Account   [32]byte
}

// PayeeAddress is where a provider's money goes.
func PayeeAddress(payee domain.ProviderID) Address { return Address{Account: payee} }

// ParseAddress reads an address in the friendly form (EQ…, UQ…) or the raw one (0:…).
func ParseAddress(s string) (Address, error) {
	parsed, err := address.ParseAddr(s)
	if err != nil {
		if parsed, err = address.ParseRawAddr(s); err != nil {
			return Address{}, fmt.Errorf("address %q: want 48 characters such as UQ… or workchain:hex", s)
		}
	}
	return addressOf(parsed)
}

func addressOf(a *address.Address) (Address, error) {
	if a == nil || a.Type() != address.StdAddress || len(a.Data()) != 32 {
		return Address{}, fmt.Errorf("address %v: not a standard one", a)
	}
	return Address{Workchain: a.Workchain(), Account: [32]byte(a.Data())}, nil
}

// std is the library's form, bounceable.
func (a Address) std() *address.Address {
	return address.NewAddress(0, byte(a.Workchain), a.Account[:]).Bounce(true)
}

// String is the friendly bounceable form, as explorers show contracts.
func (a Address) String() string { return a.std().String() }

// Raw is workchain:hex.
func (a Address) Raw() string { return a.std().StringRaw() }
