package ton

import (
	"context"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

const (
	// maxExternalBytes and maxExternalCells are the network's bounds on an external message (config
	// parameter 43), less some for what an envelope adds. Bytes end first: a proof from a million payees has
	// 1 kB, and what two proofs share counts once. So 65 claims fit for payees from all over the tree, and some 200
	// for neighbours.
	maxExternalBytes = 65_535 - 512
	maxExternalCells = 8_192 - 64
)

// Claim claims for the first of payees what the tree gives them and they did not get yet: for as many as fit in
// one external message, 255 at most. It returns how many. When it returns without an error the wallet has sent
// the claims; whether the vault paid, its history says (PayoutSent). Twice is harmless: the second time
// there is nothing left to pay.
func (t *Treasury) Claim(ctx context.Context, tree settlement.Tree, payees []domain.ProviderID) (int, error) {
	root := tree.Root()
	messages := make([]Message, 0, min(len(payees), MaxMessages))
	for _, payee := range payees[:min(len(payees), MaxMessages)] {
		proof, err := tree.Proof(payee)
		if err != nil {
			return 0, fmt.Errorf("claim: %w", err)
		}
		// The proof is of our own making. The library that reads it here is not, and a bad one costs a fee.
		if _, err := VerifyPayout(root, payee, proof); err != nil {
			return 0, fmt.Errorf("claim: the proof just made does not hold: %w", err)
		}
		message, err := t.Vault.ClaimMessage(payee, proof, t.Wallet.Address())
		if err != nil {
			return 0, err
		}
		messages = append(messages, message)
	}
	if err := t.attach(ctx, Prices.claimValue, messages); err != nil {
		return 0, fmt.Errorf("claim: %w", err)
	}
	fitting, err := t.Wallet.fit(messages)
	if err != nil {
		return 0, fmt.Errorf("claim: %w", err)
	}
	return fitting, t.deliver(ctx, messages[:fitting]...)
}

// fit is how many of the first messages go into one external.
func (w *Wallet) fit(messages []Message) (int, error) {
	count := len(messages)
	for count > 1 {
		// As for a wallet that is not deployed yet: its external is the largest.
		external, err := w.signed(messages[:count], walletState{}, time.Unix(0, 0))
		if err != nil {
			return 0, err
		}
		bytes, cells := len(external.BoC), cellsOf(external.BoC)
		if bytes <= maxExternalBytes && cells <= maxExternalCells {
			return count, nil
		}
		count = min(count-1, count*maxExternalBytes/bytes, count*maxExternalCells/cells)
	}
	return count, nil
}

// cellsOf reads the number of cells out of the head of a bag of cells that the library wrote: magic (4), width of
// numbers (3 bits of 1), width of sizes (1), number of cells.
func cellsOf(bag []byte) (cells int) {
	for _, b := range bag[6 : 6+bag[4]&7] {
		cells = cells<<8 | int(b)
	}
	return cells
}
