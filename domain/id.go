package domain

import (
	"encoding/hex"
	"fmt"
)

// Ids are 32 opaque bytes. Each kind is its own type, so that a worker can't be passed for a job.
// None of them says anything about a person: the network keeps prompts, answers and user ids out.
type (
	// NetworkID names one ledger: the SHA-256 of its Genesis. A signature for one network means
	// nothing on another.
	NetworkID [32]byte
	// AccountID names a prepaid account of a client; it is also the shard key.
	AccountID [32]byte
	// ClientID names a payer. A large client holds many accounts.
	ClientID [32]byte
	// ProviderID is the account id (basechain) of the owner address of a fleet of workers. Payouts
	// go to that address, so a provider and a payee are the same thing.
	ProviderID [32]byte
	// WorkerID names one GPU worker of a provider.
	WorkerID [32]byte
	// JobID names one inference; see JobIDOf.
	JobID [32]byte
	// ModelID is Cocoon's model hash: SHA-256 of "name@commit:verity_hash".
	ModelID [32]byte
	// RateCardID names an immutable price list.
	RateCardID [32]byte
	// KeyID is an ed25519 public key, which is how a signer is named.
	KeyID [32]byte
	// Digest is a SHA-256.
	Digest [32]byte
)

func (id NetworkID) String() string  { return hex.EncodeToString(id[:]) }
func (id AccountID) String() string  { return hex.EncodeToString(id[:]) }
func (id ClientID) String() string   { return hex.EncodeToString(id[:]) }
func (id ProviderID) String() string { return hex.EncodeToString(id[:]) }
func (id WorkerID) String() string   { return hex.EncodeToString(id[:]) }
func (id JobID) String() string      { return hex.EncodeToString(id[:]) }
func (id ModelID) String() string    { return hex.EncodeToString(id[:]) }
func (id RateCardID) String() string { return hex.EncodeToString(id[:]) }
func (id KeyID) String() string      { return hex.EncodeToString(id[:]) }
func (id Digest) String() string     { return hex.EncodeToString(id[:]) }

// ParseID reads the 64 hexadecimal digits that any id prints as.
func ParseID[T ~[32]byte](s string) (T, error) {
	var id T
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("id %q: want 64 hexadecimal digits", s)
	}
	copy(id[:], raw)
	return id, nil
}
