package domain

import (
	"encoding/hex"
	"fmt"
)

// ID is 32 opaque bytes that name something of one kind. Each kind is its own type, so that a worker can't
// be passed for a job. None of them says anything about a person: the network keeps prompts, answers and
// user ids out.
type ID[kind any] [32]byte

// The kinds of ids.
type (
	// NetworkID names one ledger: the SHA-256 of its Genesis. A signature for one network means
	// nothing on another.
	NetworkID = ID[aNetwork]
	// AccountID names a prepaid account of a client; it is also the shard key.
	AccountID = ID[anAccount]
	// ClientID names a payer. A large client holds many accounts.
	ClientID = ID[aClient]
	// ProviderID is the account id (basechain) of the owner address of a fleet of workers. Payouts
	// go to that address, so a provider and a payee are the same thing.
	ProviderID = ID[aProvider]
	// WorkerID names one GPU worker of a provider.
	WorkerID = ID[aWorker]
	// JobID names one inference; see JobIDOf.
	JobID = ID[aJob]
	// ModelID is Cocoon's model hash: SHA-256 of "name@commit:verity_hash".
	ModelID = ID[aModel]
	// RateCardID names an immutable price list.
	RateCardID = ID[aRateCard]
	// KeyID is an ed25519 public key, which is how a signer is named.
	KeyID = ID[aKey]
	// Digest is a SHA-256.
	Digest = ID[aDigest]
)

type (
	aNetwork  struct{}
	anAccount struct{}
	aClient   struct{}
	aProvider struct{}
	aWorker   struct{}
	aJob      struct{}
	aModel    struct{}
	aRateCard struct{}
	aKey      struct{}
	aDigest   struct{}
)

// String is 64 hexadecimal digits.
func (id ID[kind]) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes what String does: so an id stands in JSON.
func (id ID[kind]) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID[kind]) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID[ID[kind]](string(text))
	return err
}

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
