// Package pss knows how AMD signs certificates: RSASSA-PSS with SHA-384 and 48 bytes of salt (RFC 8017, sections 8.1.2 and
// 9.1.2).
//
// crypto/rsa knows it as well, and takes three times as long for a modulus of 4096 bits: it computes in constant time, with
// assembly for moduli up to 2048 bits. Here math/big does the one power, and what it works on is public, all of it. So this
// package verifies and never signs. Decision 0026 has the figures and what holds it right.
package pss

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

const (
	// DigestBytes is how long a digest is: SHA-384's.
	DigestBytes = sha512.Size384

	// saltBytes is what x509.SHA384WithRSAPSS stands for: crypto/x509 gives a certificate that name only if its parameters say
	// SHA-384, MGF1 with SHA-384, 48 bytes of salt and trailer field 1.
	saltBytes = DigestBytes
	trailer   = 0xbc

	// FIPS 186-5, section 5.1, wants 2048 bits and an even number of them. AMD's keys have 4096, and a longer one would only take
	// longer.
	minModulusBits = 2048
	maxModulusBits = 4096

	// publicExponent is that of every key of AMD's. It is above 2^16, as FIPS 186-5, section 5.5, wants it.
	publicExponent = 65537
)

var exponent = big.NewInt(publicExponent)

// Key verifies signatures of one key. Safe for many goroutines.
type Key struct {
	modulus *big.Int
	bytes   int  // of the modulus, and so of each signature and each encoded message
	mask    byte // the bits of an encoded message's first byte that may be set
}

// NewKey returns a verifier of a public key's signatures. It must be an RSA key with an odd modulus of 2048 to 4096 bits, an
// even number of them, and the exponent 65537.
func NewKey(public any) (*Key, error) {
	key, ok := public.(*rsa.PublicKey)
	if !ok || key.N == nil {
		return nil, errors.New("its key is no RSA key")
	}
	bits := key.N.BitLen()
	switch {
	case key.N.Sign() <= 0 || key.N.Bit(0) == 0:
		return nil, errors.New("its modulus is not a positive odd number")
	case bits < minModulusBits || bits > maxModulusBits || bits%2 != 0:
		return nil, fmt.Errorf("its modulus has %d bits, want an even number from %d to %d", bits, minModulusBits, maxModulusBits)
	case key.E != publicExponent:
		return nil, fmt.Errorf("its exponent is %d, want %d", key.E, publicExponent)
	}
	n := key.Size() // an encoded message has one bit less than the modulus, and as many bytes, since that is no odd number of bits
	return &Key{modulus: key.N, bytes: n, mask: 0xff >> (8*n - (bits - 1))}, nil
}

// Verify says whether a signature of a digest is the key's. It takes each signature in one form only: as many bytes as the
// modulus has, and a number below it.
func (k *Key) Verify(digest [DigestBytes]byte, signature []byte) bool {
	if len(signature) != k.bytes {
		return false
	}
	s := new(big.Int).SetBytes(signature)
	if s.Cmp(k.modulus) >= 0 {
		return false
	}
	return k.encodes(s.Exp(s, exponent, k.modulus).FillBytes(make([]byte, k.bytes)), digest)
}

// encodes says whether a message is an encoding of a digest, with whatever salt: maskedDB || H || 0xbc, where DB is zeros, a
// one and the salt (EMSA-PSS-VERIFY). It changes the message.
func (k *Key) encodes(message []byte, digest [DigestBytes]byte) bool {
	last := len(message) - 1
	db, hash := message[:last-DigestBytes], message[last-DigestBytes:last]
	if message[last] != trailer || message[0]&^k.mask != 0 {
		return false
	}
	unmask(db, hash)
	db[0] &= k.mask
	one := len(db) - saltBytes - 1
	padding, salt := db[:one], db[one+1:]
	if db[one] != 1 || len(bytes.TrimLeft(padding, "\x00")) != 0 {
		return false
	}
	const zeros = 8
	salted := sha512.Sum384(append(append(make([]byte, zeros, zeros+DigestBytes+saltBytes), digest[:]...), salt...))
	return bytes.Equal(salted[:], hash)
}

// unmask takes away the mask that MGF1 makes of a seed (RFC 8017, appendix B.2.1).
func unmask(db, seed []byte) {
	block := append(bytes.Clone(seed), 0, 0, 0, 0)
	for counter := uint32(0); len(db) > 0; counter++ {
		binary.BigEndian.PutUint32(block[len(seed):], counter)
		mask := sha512.Sum384(block)
		n := min(len(db), len(mask))
		for i := range n {
			db[i] ^= mask[i]
		}
		db = db[n:]
	}
}
