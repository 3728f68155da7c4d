package ton

import (
	"context"
	"fmt"
	"math/big"

	"github.com/xssnick/tonutils-go/tlb"

	"github.com/filature/filature/domain"
)

// What the contracts count with when they ask the network for its prices: contracts/vault.tolk and messages.tolk have the
// same numbers under the same names, and a test compares them. The vault's code is known by its hash, so they are its own.
const (
	secondsPerYear      = 31_557_600
	yearsLeftByProposal = 10
	yearsLeftByPayout   = 5
	vaultCells          = 60
	vaultBits           = 30_000
	gasClaim            = 16_000
	gasClaimAccount     = 6_000
	gasPayRequest       = 11_000
	gasPropose          = 13_000
	messageCells        = 1
	messageBits         = 1_023
	deployCells         = 20
	deployBits          = 5_000
	claimAccountYears   = 5
	claimAccountCells   = 9
	claimAccountBits    = 3_700
)

// What a claim costs the wallet that sends it, beside what is attached: a message with a proof from a billion payees, and
// the wallet's gas for one of 255. Tests measure both.
const (
	proofCells    = 64
	proofBits     = 12_000
	gasWalletPart = 1_500
)

// Prices are what the basechain asks for gas, messages and storage, as of one block: configuration parameters 21, 25 and 18,
// proven by it. The vault asks for the same when a message comes.
type Prices struct {
	gas     tlb.ConfigGasLimitsPrices
	forward tlb.ConfigMsgForwardPrices
	storage tlb.ConfigStoragePrices
}

// Prices reads them.
func (c *Client) Prices(ctx context.Context, at Head) (Prices, error) {
	config, err := c.api.GetBlockchainConfig(ctx, at.block, int32(tlb.ConfigParamStoragePrices),
		int32(tlb.ConfigParamGasPricesBasechain), int32(tlb.ConfigParamMsgForwardPricesBasechain))
	if err != nil {
		return Prices{}, fmt.Errorf("prices at block %d: %w", at.Seqno, err)
	}
	gas, err := config.GetGasPrices(false)
	if err != nil {
		return Prices{}, fmt.Errorf("prices at block %d: gas: %w", at.Seqno, err)
	}
	forward, err := config.GetMsgForwardPrices(false)
	if err != nil {
		return Prices{}, fmt.Errorf("prices at block %d: messages: %w", at.Seqno, err)
	}
	storage, err := config.GetStoragePrices(uint32(at.Time.Unix()))
	if err != nil {
		return Prices{}, fmt.Errorf("prices at block %d: storage: %w", at.Seqno, err)
	}
	return Prices{*gas, *forward, *storage}, nil
}

// Reserve is what a vault keeps for its rent: a payout must leave the first, a proposal the second. It is what get_reserve
// returns.
func (p Prices) Reserve() (byPayout, byProposal domain.Nano, err error) {
	if byPayout, err = added(p.rent(yearsLeftByPayout, vaultBits, vaultCells)); err == nil {
		byProposal, err = added(p.rent(yearsLeftByProposal, vaultBits, vaultCells))
	}
	if err != nil {
		return 0, 0, fmt.Errorf("vault's reserve: %w", err)
	}
	return byPayout, byProposal, nil
}

// ClaimFee is what a claim costs at most who sends it, the rent of a payee's claim account and the wallet's own part
// included.
func (p Prices) ClaimFee() (domain.Nano, error) {
	fee, err := added(p.leastClaim(), p.forward.ComputeForwardFee(proofCells, proofBits), p.gas.ComputeGasPrice(gasWalletPart))
	if err != nil {
		return 0, fmt.Errorf("fee of a claim: %w", err)
	}
	return fee, nil
}

// claimValue is what to attach to a claim: twice what the vault asks for, but no less than at usual prices.
func (p Prices) claimValue() (domain.Nano, error) {
	value, err := added(p.leastClaim(), p.leastClaim())
	return max(value, ClaimValue), err
}

// ClaimValue is what to attach to a claim at the prices of now. The vault sends back what it does not need.
func (c *Client) ClaimValue(ctx context.Context) (domain.Nano, error) {
	return c.attached(ctx, Prices.claimValue)
}

// attached is what to attach to a message at the prices of now.
func (c *Client) attached(ctx context.Context, enough func(Prices) (domain.Nano, error)) (domain.Nano, error) {
	ctx = c.sticky(ctx)
	head, err := c.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("what to attach: %w", err)
	}
	prices, err := c.Prices(ctx, head)
	if err != nil {
		return 0, fmt.Errorf("what to attach: %w", err)
	}
	value, err := enough(prices)
	if err != nil {
		return 0, fmt.Errorf("what to attach: %w", err)
	}
	return value, nil
}

// proposeValue is the same for a proposal. An activation needs less.
func (p Prices) proposeValue() (domain.Nano, error) {
	least := new(big.Int).Add(p.gas.ComputeGasPrice(gasPropose), p.messages(3))
	value, err := added(least, least)
	return max(value, GovernValue), err
}

// leastClaim is what the vault wants attached to a claim.
func (p Prices) leastClaim() *big.Int {
	least := p.gas.ComputeGasPrice(gasClaim + gasClaimAccount + gasPayRequest)
	least.Add(least, p.messages(5))
	least.Add(least, p.forward.ComputeForwardFee(deployCells, deployBits))
	return least.Add(least, p.rent(claimAccountYears, claimAccountBits, claimAccountCells))
}

// messages is the fee of some that have the most that any of ours has.
func (p Prices) messages(count int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(count), p.forward.ComputeForwardFee(messageCells, messageBits))
}

// rent is what the network asks for storage if prices stay: a price is for 2^16 seconds, and rounded up (GETSTORAGEFEE).
func (p Prices) rent(years, bits, cells uint64) *big.Int {
	perSecond := new(big.Int).Mul(new(big.Int).SetUint64(p.storage.BitPrice), new(big.Int).SetUint64(bits))
	perSecond.Add(perSecond, new(big.Int).Mul(new(big.Int).SetUint64(p.storage.CellPrice), new(big.Int).SetUint64(cells)))
	all := perSecond.Mul(perSecond, new(big.Int).SetUint64(years*secondsPerYear))
	return all.Rsh(all.Add(all, big.NewInt(1<<16-1)), 16)
}

func added(parts ...*big.Int) (domain.Nano, error) {
	sum := new(big.Int)
	for _, part := range parts {
		sum.Add(sum, part)
	}
	return nanoOf(tlb.FromNanoTON(sum))
}
