package ton

import (
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tlb"

	"github.com/filature/filature/domain"
)

func TestPricesAreCountedWithTheContractsOwnNumbers(t *testing.T) {
	for name, ours := range map[string]uint64{
		"YEARS_LEFT_BY_PROPOSAL": yearsLeftByProposal, "YEARS_LEFT_BY_PAYOUT": yearsLeftByPayout,
		"VAULT_CELLS": vaultCells, "VAULT_BITS": vaultBits, "GAS_CLAIM": gasClaim, "GAS_CLAIM_ACCOUNT": gasClaimAccount,
		"GAS_PAY_REQUEST": gasPayRequest, "GAS_PROPOSE": gasPropose, "MESSAGE_CELLS": messageCells, "MESSAGE_BITS": messageBits,
		"DEPLOY_CELLS": deployCells, "DEPLOY_BITS": deployBits,
	} {
		if theirs := tolkConstant(t, name); theirs != ours {
			t.Errorf("%s is %d here, %d in vault.tolk", name, ours, theirs)
		}
	}
	for name, ours := range map[string]uint64{
		"SECONDS_PER_YEAR": secondsPerYear, "CLAIM_ACCOUNT_YEARS": claimAccountYears,
		"CLAIM_ACCOUNT_CELLS": claimAccountCells, "CLAIM_ACCOUNT_BITS": claimAccountBits,
	} {
		if theirs := tolkConstantIn(t, "messages", name); theirs != ours {
			t.Errorf("%s is %d here, %d in messages.tolk", name, ours, theirs)
		}
	}
}

// pricesOf are those of a scene's network.
func pricesOf(t *testing.T, s *scene) Prices {
	t.Helper()
	config := tlb.BlockchainConfig{Root: s.config.Root()}
	return Prices{*must(config.GetGasPrices(false)), *must(config.GetMsgForwardPrices(false)), *must(config.GetStoragePrices(s.now))}
}

// To the nanoton: what is a nanoton less, the vault refuses.
func TestTheVaultTakesWhatItsPricesSayAndNotANanotonLess(t *testing.T) {
	for name, price := range storagePrices {
		s := newScene(t, 20*domain.Coin)
		priced(t, s, price.perBit, price.perCell)
		prices := pricesOf(t, s)
		byPayout, byProposal, err := prices.Reserve()
		if err != nil || byProposal != tenYearsOfVaultRent(t, price.perBit, price.perCell) || byPayout != (byProposal+1)/2 {
			t.Errorf("%s: reserve %s and %s, %v", name, byPayout, byProposal, err)
		}
		tree, total := treeOf(t, leavesOf(2, domain.Coin))
		least := must(added(prices.leastClaim()))
		s.expect(name+": propose", s.send(theAdmin, s.proposal(1, tree, total)), 0)
		s.now += uint32(delay / time.Second)
		claim := s.claim(tree, provider(0), aRelayer)
		claim.Amount = least - 1
		s.expect(name+": a nanoton short", s.send(aRelayer, claim), 113)
		claim.Amount = least
		s.expect(name+": enough", s.send(aRelayer, claim), 0)
		if got := s.state().Paid; got != domain.Coin {
			t.Errorf("%s: paid %s", name, got)
		}
	}
}
