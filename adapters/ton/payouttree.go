package ton

import (
	"fmt"

	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
)

// addressKeyBits is the key of the payout dictionary: addr_std as it is stored.
const addressKeyBits = 267

// VerifyPayout checks a proof against a root and returns the payee's cumulative amount. It trusts
// nothing but the root.
func VerifyPayout(root domain.Digest, payee domain.ProviderID, proof []byte) (amount domain.Nano, err error) {
	defer func() {
		if r := recover(); r != nil { // the proof is a stranger's, and the library panics on some
			err = fmt.Errorf("payout proof for %s: malformed: %v", payee, r)
		}
	}()
	outer, err := cell.FromBOC(proof)
	if err != nil {
		return 0, fmt.Errorf("payout proof for %s: %w", payee, err)
	}
	tree, err := cell.UnwrapProof(outer, root[:])
	if err != nil {
		return 0, fmt.Errorf("payout proof for %s: %w", payee, err)
	}
	value, err := tree.AsDict(addressKeyBits).LoadValueByBytesKey(payoutKey(payee))
	if err != nil {
		return 0, fmt.Errorf("payout proof for %s: %w", payee, err)
	}
	r := &reader{slice: value}
	amount = r.coins()
	if err := r.end(); err != nil {
		return 0, fmt.Errorf("payout proof for %s: amount: %w", payee, err)
	}
	return amount, nil
}

// payoutKey is addr_std of the basechain in 267 bits, left-aligned in bytes.
func payoutKey(payee domain.ProviderID) []byte {
	return cell.BeginCell().MustStoreAddr(PayeeAddress(payee).std()).EndCell().MustBeginParse().MustLoadSlice(addressKeyBits)
}
