package pss

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/binary"
	"math/big"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/adapters/attestation/internal/anchors"
)

// moduli have each number of bits that an encoded message's first byte may be without: 1, 7, 5 and 3.
var moduli = []int{2048, 2050, 2052, 2054}

var privates = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, len(moduli))
	for i, bits := range moduli {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err) // no such size fails
		}
		keys[i] = key
	}
	return keys
})

// failer is what tests, fuzz targets and rapid have in common.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// agree compares with the standard library.
func agree(t failer, public *rsa.PublicKey, digest [DigestBytes]byte, signature []byte) bool {
	t.Helper()
	key, err := NewKey(public)
	if err != nil {
		t.Fatal(err)
	}
	want := rsa.VerifyPSS(public, crypto.SHA384, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	if have := key.Verify(digest, signature); have != want {
		t.Errorf("we say %t, the standard library %t: modulus %x, digest %x, signature %x", have, want, public.N, digest, signature)
	}
	return want
}

// spoiling changes an encoded message while it is made: before it is masked, or when it is done.
type spoiling struct {
	salt     int // how many bytes more it has
	unmasked func(db []byte)
	done     func(message []byte)
}

// encode makes an encoded message (RFC 8017, section 9.1.1), shares nothing with the code that it is for, and leaves the bits of the
// first byte that a message may not have to the spoiling.
func encode(public *rsa.PublicKey, digest [DigestBytes]byte, salt []byte, spoil spoiling) []byte {
	bits := public.N.BitLen() - 1
	hashed := sha512.New384()
	hashed.Write(make([]byte, 8))
	hashed.Write(digest[:])
	hashed.Write(salt)
	hash := hashed.Sum(nil)
	message := make([]byte, (bits+7)/8)
	db := message[:len(message)-len(hash)-1]
	db[len(db)-len(salt)-1] = 1
	copy(db[len(db)-len(salt):], salt)
	if spoil.unmasked != nil {
		spoil.unmasked(db)
	}
	for at := range db {
		mask := sha512.Sum384(binary.BigEndian.AppendUint32(bytes.Clone(hash), uint32(at/len(hash))))
		db[at] ^= mask[at%len(hash)]
	}
	for bit := bits; bit < 8*len(message); bit++ {
		message[0] &^= 1 << (bit % 8)
	}
	copy(message[len(db):], hash)
	message[len(message)-1] = 0xbc
	if spoil.done != nil {
		spoil.done(message)
	}
	return message
}

// sign does what a signer does with an encoded message, if it is below the modulus.
func sign(private *rsa.PrivateKey, message []byte) (signature []byte, ok bool) {
	m := new(big.Int).SetBytes(message)
	if m.Cmp(private.N) >= 0 {
		return nil, false
	}
	return m.Exp(m, private.D, private.N).FillBytes(make([]byte, private.Size())), true
}

// TestItAgreesWithTheStandardLibrary on genuine signatures with any salt, on those with a bit changed, on signatures over messages that
// were spoilt before they were signed, and on another form of the same number.
func TestItAgreesWithTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		private := rapid.SampledFrom(privates()).Draw(t, "key")
		public := &private.PublicKey
		digest := [DigestBytes]byte(rapid.SliceOfN(rapid.Byte(), DigestBytes, DigestBytes).Draw(t, "digest"))
		salt := rapid.SampledFrom([]int{48, 48, 0, 1, 32, 47, 49, 64, 100}).Draw(t, "salt")
		signature, err := rsa.SignPSS(rand.Reader, private, crypto.SHA384, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if agree(t, public, digest, signature) != (salt == 48) {
			t.Errorf("a signature with %d bytes of salt is judged wrongly", salt)
		}
		agree(t, public, digest, new(big.Int).Add(new(big.Int).SetBytes(signature), public.N).Bytes())
		agree(t, public, digest, bytes.TrimLeft(signature, "\x00"))
		flip := func(raw []byte, name string) {
			bit := rapid.IntRange(0, 8*len(raw)-1).Draw(t, name)
			raw[bit/8] ^= 1 << (bit % 8)
		}
		for range 5 {
			other, changed := digest, bytes.Clone(signature)
			flip(other[:], "bit of the digest")
			agree(t, public, other, signature)
			flip(changed, "bit of the signature")
			agree(t, public, digest, changed)
		}
		for range 5 {
			spoil := spoiling{
				unmasked: func(db []byte) { flip(db, "bit of DB") },
				done:     func(message []byte) { flip(message, "bit of the message") },
			}
			if rapid.Bool().Draw(t, "masked only") {
				spoil.unmasked = nil
			}
			if rapid.Bool().Draw(t, "unmasked only") {
				spoil.done = nil
			}
			message := encode(public, digest, rapid.SliceOfN(rapid.Byte(), 48, 48).Draw(t, "its salt"), spoil)
			if signature, ok := sign(private, message); ok {
				agree(t, public, digest, signature)
			}
		}
	})
}

// TestEachPartOfAnEncodingIsLookedAt: a signer with the key signs an encoding with one thing wrong.
func TestEachPartOfAnEncodingIsLookedAt(t *testing.T) {
	digest := sha512.Sum384([]byte("a certificate"))
	for _, test := range []struct {
		name  string
		spoil spoiling
		want  bool
	}{
		{"nothing is wrong", spoiling{}, true},
		{"another trailer", spoiling{done: func(m []byte) { m[len(m)-1] = 0xcc }}, false},
		{"padding that begins with a bit", spoiling{unmasked: func(db []byte) { db[1] = 0x80 }}, false},
		{"padding that ends with a bit", spoiling{unmasked: func(db []byte) { db[len(db)-50] = 1 }}, false},
		{"the first byte's last bit", spoiling{unmasked: func(db []byte) { db[0] = 1 }}, false},
		{"no one before the salt", spoiling{unmasked: func(db []byte) { db[len(db)-49] = 0 }}, false},
		{"a two before the salt", spoiling{unmasked: func(db []byte) { db[len(db)-49] = 2 }}, false},
		{"another salt than was hashed", spoiling{unmasked: func(db []byte) { db[len(db)-1] ^= 1 }}, false},
		{"another hash", spoiling{done: func(m []byte) { m[len(m)-2] ^= 1 }}, false},
		{"a salt of 47 bytes", spoiling{salt: -1}, false},
		{"a salt of 49 bytes", spoiling{salt: 1}, false},
		{"no salt", spoiling{salt: -48}, false},
		{"a salt that begins with zeros and a one", spoiling{salt: -20}, false},
	} {
		for _, private := range privates()[:2] {
			salt := make([]byte, 48+test.spoil.salt)
			for i := range salt {
				salt[i] = byte(i)
			}
			signature, ok := sign(private, encode(&private.PublicKey, digest, salt, test.spoil))
			if !ok {
				t.Fatalf("%s: the message is not below the modulus", test.name)
			}
			if have := agree(t, &private.PublicKey, digest, signature); have != test.want {
				t.Errorf("%s: %t, want %t", test.name, have, test.want)
			}
		}
	}
}

// TestABitAboveAnEncodingIsLookedAt: one that the mask leaves out, and that still is below the modulus.
func TestABitAboveAnEncodingIsLookedAt(t *testing.T) {
	digest := sha512.Sum384([]byte("a certificate"))
	for _, private := range privates() {
		top := byte(1) << ((private.N.BitLen() - 1) % 8)
		spoil, tried := spoiling{done: func(m []byte) { m[0] |= top }}, uint64(0)
		for ; tried < 1000; tried++ { // till one is below the modulus: each eighth at the least
			salt := make([]byte, 48)
			binary.BigEndian.PutUint64(salt, tried)
			signature, ok := sign(private, encode(&private.PublicKey, digest, salt, spoil))
			if !ok {
				continue
			}
			if agree(t, &private.PublicKey, digest, signature) {
				t.Errorf("%d bits: it is taken", private.N.BitLen())
			}
			break
		}
		if tried == 1000 {
			t.Fatal("no message was below the modulus")
		}
	}
}

// TestASignatureHasOneForm, of as many bytes as the modulus, below it.
func TestASignatureHasOneForm(t *testing.T) {
	private, digest := privates()[1], sha512.Sum384([]byte("a certificate")) // with six bits to spare in the first byte
	public := &private.PublicKey
	one := func(leads byte) []byte { // a signature that begins so
		for {
			signature, err := rsa.SignPSS(rand.Reader, private, crypto.SHA384, digest[:], &rsa.PSSOptions{SaltLength: 48})
			if err != nil {
				t.Fatal(err)
			}
			if signature[0] == leads {
				return signature
			}
		}
	}
	short, number := one(0), new(big.Int).SetBytes(one(1))
	fill := func(n *big.Int) []byte { return n.FillBytes(make([]byte, public.Size())) }
	for _, test := range []struct {
		name      string
		signature []byte
		want      bool
	}{
		{"as it is", fill(number), true},
		{"with a zero in front", short, true},
		{"without its zero in front", short[1:], false},
		{"with one more zero in front", append([]byte{0}, short...), false},
		{"with a byte behind", append(bytes.Clone(short), 0), false},
		{"and the modulus", fill(new(big.Int).Add(number, public.N)), false},
		{"the modulus less the signature", fill(new(big.Int).Sub(public.N, number)), false},
		{"zero", fill(new(big.Int)), false},
		{"one", fill(big.NewInt(1)), false},
		{"the modulus less one", fill(new(big.Int).Sub(public.N, big.NewInt(1))), false},
		{"the modulus", fill(public.N), false},
		{"all bits", bytes.Repeat([]byte{0xff}, public.Size()), false},
		{"nothing", nil, false},
	} {
		if have := agree(t, public, digest, test.signature); have != test.want {
			t.Errorf("%s: %t, want %t", test.name, have, test.want)
		}
	}
}

func TestAKeyOfAnotherKindIsRefused(t *testing.T) {
	n := privates()[0].N
	bits := func(bits uint) *big.Int { // an odd number
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.Add(n, big.NewInt(1))
	}
	for _, test := range []struct {
		name   string
		public any
		want   bool
	}{
		{"the least", &rsa.PublicKey{N: bits(2048), E: 65537}, true},
		{"the greatest", &rsa.PublicKey{N: bits(4096), E: 65537}, true},
		{"another algorithm", &ecdsa.PublicKey{}, false},
		{"a key that is no pointer", rsa.PublicKey{N: n, E: 65537}, false},
		{"nothing", nil, false},
		{"no modulus", &rsa.PublicKey{E: 65537}, false},
		{"a modulus of zero", &rsa.PublicKey{N: new(big.Int), E: 65537}, false},
		{"a negative modulus", &rsa.PublicKey{N: new(big.Int).Neg(n), E: 65537}, false},
		{"an even modulus", &rsa.PublicKey{N: new(big.Int).Sub(n, big.NewInt(1)), E: 65537}, false},
		{"too few bits", &rsa.PublicKey{N: bits(2046), E: 65537}, false},
		{"too many bits", &rsa.PublicKey{N: bits(4098), E: 65537}, false},
		{"an odd number of bits", &rsa.PublicKey{N: bits(2049), E: 65537}, false},
		{"exponent 1", &rsa.PublicKey{N: n, E: 1}, false},
		{"exponent 3", &rsa.PublicKey{N: n, E: 3}, false},
		{"an even exponent", &rsa.PublicKey{N: n, E: 65536}, false},
		{"a negative exponent", &rsa.PublicKey{N: n, E: -65537}, false},
		{"another exponent", &rsa.PublicKey{N: n, E: 65539}, false},
	} {
		if _, err := NewKey(test.public); (err == nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestAMDsOwnSignaturesHold: those of its roots on its intermediates, 4096 bits, and under no other line's root.
func TestAMDsOwnSignaturesHold(t *testing.T) {
	set := anchors.Pinned()
	for line, amd := range set.AMD {
		for other, above := range set.AMD {
			root, err := NewKey(above.ARK.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			if !root.Verify(sha512.Sum384(amd.ASK.RawTBSCertificate), amd.ASK.Signature) != (line != other) ||
				!root.Verify(sha512.Sum384(amd.ASVK.RawTBSCertificate), amd.ASVK.Signature) != (line != other) {
				t.Errorf("intermediates of %s under the root of %s are judged wrongly", line, other)
			}
		}
	}
}

// FuzzVerify has its input signed, so that what it finds out about encodings it finds out behind the power; and takes it for a
// signature as well.
func FuzzVerify(f *testing.F) {
	digest := sha512.Sum384([]byte("a certificate"))
	for i, private := range privates() {
		f.Add(uint8(i), digest[:], encode(&private.PublicKey, digest, make([]byte, 48), spoiling{}))
		f.Add(uint8(i), digest[:], encode(&private.PublicKey, digest, make([]byte, 20), spoiling{}))
		f.Add(uint8(i), digest[1:], private.N.Bytes())
	}
	f.Fuzz(func(t *testing.T, which uint8, raw, message []byte) {
		private := privates()[int(which)%len(privates())]
		var digest [DigestBytes]byte
		copy(digest[:], raw)
		agree(t, &private.PublicKey, digest, message)
		if signature, ok := sign(private, message); ok {
			agree(t, &private.PublicKey, digest, signature)
		}
	})
}

// BenchmarkVerify verifies AMD's signature on an intermediate, 4096 bits, with this package and with the standard library.
func BenchmarkVerify(b *testing.B) {
	amd := anchors.Pinned().AMD["Genoa"]
	public, ok := amd.ARK.PublicKey.(*rsa.PublicKey)
	if !ok {
		b.Fatal("AMD's root is no RSA key")
	}
	digest, options := sha512.Sum384(amd.ASK.RawTBSCertificate), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	for name, verify := range map[string]func() bool{
		"pss": func() bool {
			key, err := NewKey(public)
			return err == nil && key.Verify(digest, amd.ASK.Signature)
		},
		"crypto/rsa": func() bool {
			return rsa.VerifyPSS(public, crypto.SHA384, digest[:], amd.ASK.Signature, options) == nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !verify() {
					b.Fatal("it does not hold")
				}
			}
		})
	}
}
