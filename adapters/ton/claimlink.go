package ton

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/filature/filature/domain"
)

// ClaimRequest is a claim that somebody's own wallet is to send, in the two forms that wallets take.
type ClaimRequest struct {
	To      Address     // the vault
	Amount  domain.Nano // to attach; what is left of it goes to the payee
	Payload []byte      // the message's body, as a bag of cells
}

// RequestClaim makes the request of the claim for a payee. Anyone may send it; the money only goes to the payee.
func RequestClaim(vault Address, payee domain.ProviderID, proof []byte) (ClaimRequest, error) {
	message, err := (&Vault{self: vault}).ClaimMessage(payee, proof, Address{})
	if err != nil {
		return ClaimRequest{}, err
	}
	return ClaimRequest{To: vault, Amount: message.Amount, Payload: message.body.ToBOC()}, nil
}

// Link is a ton://transfer link, which wallets open, also out of a QR code where it is short enough to print. The
// body is in bin, as base64 for URLs without padding.
func (r ClaimRequest) Link() string {
	return fmt.Sprintf("ton://transfer/%s?amount=%d&bin=%s", r.To, r.Amount, base64.RawURLEncoding.EncodeToString(r.Payload))
}

// Transaction is what a page hands to sendTransaction of TON Connect (TEP-115 and the protocol's requests).
type Transaction struct {
	ValidUntil int64                `json:"validUntil"` //nolint:tagliatelle // TON Connect's name. Unix seconds.
	Messages   []TransactionMessage `json:"messages"`
}

// TransactionMessage is one message of a Transaction. It has no stateInit: the vault is there already.
type TransactionMessage struct {
	Address string `json:"address"` // friendly, bounceable
	Amount  string `json:"amount"`  // nanotons, in decimal
	Payload string `json:"payload"` // a bag of cells in base64
}

// TONConnect is the request for a wallet that is connected to a page, which may send it until a moment.
func (r ClaimRequest) TONConnect(validUntil time.Time) Transaction {
	return Transaction{ValidUntil: validUntil.Unix(), Messages: []TransactionMessage{{
		Address: r.To.String(), Amount: strconv.FormatInt(int64(r.Amount), 10),
		Payload: base64.StdEncoding.EncodeToString(r.Payload),
	}}}
}
