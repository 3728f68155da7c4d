// Package signing knows when a report is really its signer's.
//
// # What is signed
//
// A report is signed with ed25519 over
//
//	"filature/report/v1" || 0x00 || report bytes
//
// The prefix keeps a report's signature from meaning anything anywhere else, and the other way
// round: the same key may sign checkpoints or transactions, and none of them can be passed for a
// report. The report bytes are the stored bytes. Nothing decodes and encodes them again.
//
// # When a signature holds
//
// Implementations of ed25519 agree on honest signatures and differ on crafted ones, and a ledger
// that is audited by strangers can't have two opinions. Filature's one rule is ZIP-215. With A the
// public key, (R, S) the halves of the 64-byte signature, M the message, B the base point and L its
// order, a signature holds if and only if
//
//  1. A and R decode to curve points. Every encoding that decodes is good: y of p or more (it is
//     taken mod p), and a sign bit on x = 0. Points of small or mixed order are good.
//  2. S, little-endian, is below L.
//  3. [8][S]B = [8]R + [8][k]A, where k = SHA-512(R || A || M) mod L, over the bytes of R and A
//     as they were received.
//
// Two points differ from what one may expect:
//
//   - RFC 8032 section 5.1.7 (and FIPS 186-5) refuses encodings with y >= p, and lets the verifier
//     choose between the cofactored equation above and the one without the 8. We fix the choice.
//   - crypto/ed25519, as ref10 before it, uses the equation without the 8 and compares the bytes of
//     R. It refuses signatures that hold here; testdata/zip215.json lists such signatures, and is
//     meant for whoever writes a verifier in another language. A signature made by any
//     conforming signer, crypto/ed25519 included, holds under both rules.
//
// What the rule costs: whoever holds a key can make several signatures of one report, and a key of
// small order "signs" anything. Neither matters here. A report is identified by its signer and
// sequence number, never by its signature, and a key counts only once it was registered: who
// registers a worthless key gives away its own money.
//
// # Why batch and single agree
//
// A batch draws a random 128-bit z for each signature i and checks
//
//	[8] sum z_i ([S_i]B - R_i - [k_i]A_i) = 0
//
// If each signature holds by rule 3, each term vanishes once multiplied by 8, and so does the sum,
// whatever z is: the randomness can never turn a good signature down. Without the 8 this is false,
// since z scales what is left of small order, and a batch may answer one way and a single check the
// other. That is the reason for a cofactored rule. If some signature does not hold, its term is
// not zero in the group of order L, and the sum is zero for at most one of the 2^128 values of z_i,
// which a signer who does not know z can't aim at. When the sum is not zero, each signature is checked alone, so
// the answer names exactly the bad ones.
//
// # Sources
//
// ZIP-215, "Explicitly Defining and Modifying Ed25519 Validation Rules" (de Valence, 2020); RFC 8032;
// "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020), whose twelve cases are among the
// tests; Bernstein et al., "High-speed high-security signatures", section 5, for the batch equation.
package signing

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/cache"

	"github.com/filature/filature/domain"
)

// Size is the length of a signature in bytes.
const Size = ed25519.SignatureSize

// reportPrefix is what the signed message of a report begins with. Its version goes up if the
// meaning of the bytes behind it changes.
const reportPrefix = "filature/report/v1\x00"

// batchSeedBytes is the entropy that one batch takes: the key of the stream cipher which the z of
// all its signatures are drawn from.
const batchSeedBytes = 32

// zip215 is the rule of the package comment.
var zip215 = &voi.Options{Verify: voi.VerifyOptionsZIP_215}

// KeyOf names the signer that holds a private key. It panics if the key is not a whole ed25519
// private key.
func KeyOf(private ed25519.PrivateKey) domain.KeyID {
	return domain.KeyID(private[ed25519.SeedSize:])
}

// Sign returns the 64-byte signature of a report. The same key and report give the same signature.
// It panics if the key is not a whole ed25519 private key.
func Sign(private ed25519.PrivateKey, report []byte) []byte {
	return ed25519.Sign(private, signedBytes(nil, report))
}

// signedBytes writes the message that is signed for a report over the given buffer.
func signedBytes(buffer, report []byte) []byte {
	return append(append(buffer[:0], reportPrefix...), report...)
}

// Verifier checks signatures of reports and remembers the keys that it used last in a form that
// makes the next check faster. Safe for many goroutines.
//
// A key takes about 1.5 KiB. Ask about registered keys only: a stranger who may ask about any
// number of keys pushes out those in use. That costs time, never a wrong answer.
type Verifier struct {
	keys *cache.Verifier
}

// NewVerifier returns a verifier that remembers up to cacheKeys keys, the least recently used being
// forgotten first. It panics if cacheKeys is not positive.
func NewVerifier(cacheKeys int) *Verifier {
	if cacheKeys <= 0 {
		panic(fmt.Sprintf("signing: a cache of %d keys", cacheKeys))
	}
	return &Verifier{keys: cache.NewVerifier(cache.NewLRUCache(cacheKeys))}
}

// Verify reports whether the signature of the report is the key's. Bytes that are no key or no
// signature are simply not the key's.
func (v *Verifier) Verify(key domain.KeyID, report, signature []byte) bool {
	return v.keys.VerifyWithOptions(key[:], signedBytes(nil, report), signature, zip215)
}

// Batch checks many signatures together, at about a third of the price of one by one. A signature
// that does not hold makes the batch check each one alone, which costs three to four times a good
// batch; keep batches at a few hundred, so that one bad signer slows down few others. It has one
// owner at a time.
type Batch struct {
	verifier *Verifier
	pending  *voi.BatchVerifier
	count    int
	message  []byte // scratch: the library hashes a message when it is added and does not keep it
}

// NewBatch returns an empty batch with room for size signatures. More can be added.
func (v *Verifier) NewBatch(size int) *Batch {
	return &Batch{verifier: v, pending: voi.NewBatchVerifierWithCapacity(size)}
}

// Add puts one signature in the batch. It keeps none of the slices.
func (b *Batch) Add(key domain.KeyID, report, signature []byte) {
	b.message = signedBytes(b.message, report)
	b.verifier.keys.AddWithOptions(b.pending, key[:], b.message, signature, zip215)
	b.count++
}

// Len is the number of signatures in the batch.
func (b *Batch) Len() int { return b.count }

// Verify tells of each signature, in the order of Add, whether it holds: exactly what
// Verifier.Verify says of it. The batch is empty afterwards and can be filled again.
//
// Entropy must be what no signer can foresee: crypto/rand.Reader. An error means that it could not
// be read; then nothing was checked and the batch is as it was.
func (b *Batch) Verify(entropy io.Reader) ([]bool, error) {
	var seed [batchSeedBytes]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		return nil, fmt.Errorf("read entropy for a batch of %d signatures: %w", b.count, err)
	}
	_, holds := b.pending.Verify(bytes.NewReader(seed[:]))
	b.pending.Reset()
	b.count = 0
	return holds, nil
}
