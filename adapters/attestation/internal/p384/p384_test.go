package p384

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"
	"testing"

	"filippo.io/nistec"
	"pgregory.net/rapid"
)

var params = elliptic.P384().Params()

// number draws a number up to the order and a little more, with those at the borders often.
func number(t *rapid.T, name string) *big.Int {
	n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 48, 48).Draw(t, name))
	border := new(big.Int).Add(params.N, big.NewInt(int64(rapid.IntRange(-3, 3).Draw(t, name+" beside the order"))))
	small := big.NewInt(int64(rapid.IntRange(-2, 3).Draw(t, name+" small")))
	return rapid.SampledFrom([]*big.Int{n, n, new(big.Int).Mod(n, params.N), border, small}).Draw(t, name+" which")
}

func keyOf(t interface {
	Helper()
	Fatal(args ...any)
}, secret *big.Int,
) (*ecdsa.PrivateKey, *Key) {
	t.Helper()
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), secret.FillBytes(make([]byte, 48)))
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return private, key
}

// agree compares with the standard library.
func agree(t interface {
	Helper()
	Errorf(format string, args ...any)
}, public *ecdsa.PublicKey, key *Key, digest [48]byte, r, s *big.Int,
) bool {
	t.Helper()
	want := ecdsa.Verify(public, digest[:], r, s)
	if have := key.Verify(digest, r, s); have != want {
		t.Errorf("we say %t, the standard library %t: key %v, digest %x, r %x, s %x", have, want, public, digest, r, s)
	}
	if inRange := r.Sign() > 0 && s.Sign() > 0 && r.Cmp(order) < 0 && s.Cmp(order) < 0; inRange {
		ofG, ofKey := multiples(digest, r, s)
		each(t, key, ofG, ofKey, r, want)
	}
	return want
}

// each asks both ways to add two multiples, of which Verify asks one or the other.
func each(t interface {
	Helper()
	Errorf(format string, args ...any)
}, key *Key, ofG, ofKey, r *big.Int, want bool,
) {
	t.Helper()
	if have := key.isByTable(ofG, ofKey, r); have != want {
		t.Errorf("the table says %t, want %t: key (%x, %x), multiples %x and %x, r %x", have, want, key.x, key.y, ofG, ofKey, r)
	}
	if have := key.isByCIRCL(ofG, ofKey, r); have != want {
		t.Errorf("CIRCL says %t, want %t: key (%x, %x), multiples %x and %x, r %x", have, want, key.x, key.y, ofG, ofKey, r)
	}
}

// times multiplies a point, or the generator, as the standard library does.
func times(p *nistec.P384Point, n *big.Int) *nistec.P384Point {
	if p == nil {
		p = nistec.NewP384Point().SetGenerator()
	}
	q, err := nistec.NewP384Point().ScalarMult(p, n.FillBytes(make([]byte, 48)))
	if err != nil {
		panic(err) // a scalar has 48 bytes
	}
	return q
}

// signature signs with a secret nonce of our choice.
func signature(secret, nonce *big.Int, digest [48]byte) (r, s *big.Int) {
	x, err := times(nil, nonce).BytesX()
	if err != nil {
		panic(err) // the nonce is not zero
	}
	r = new(big.Int).SetBytes(x)
	r.Mod(r, params.N)
	s = new(big.Int).Mul(r, secret)
	s.Add(s, new(big.Int).SetBytes(digest[:]))
	s.Mul(s, new(big.Int).ModInverse(nonce, params.N))
	return r, s.Mod(s, params.N)
}

// TestTheTableAgreesWithTheStandardLibrary on genuine signatures, on those with a bit changed, and on any numbers.
func TestTheTableAgreesWithTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := new(big.Int).Add(big.NewInt(1), new(big.Int).Mod(number(t, "secret"), big.NewInt(0).Sub(params.N, big.NewInt(1))))
		private, key := keyOf(t, secret)
		digest := [48]byte(rapid.SliceOfN(rapid.Byte(), 48, 48).Draw(t, "digest"))
		if rapid.Bool().Draw(t, "a digest at a border") {
			number(t, "border").FillBytes(digest[:])
		}
		nonce := new(big.Int).Add(big.NewInt(1), new(big.Int).Mod(number(t, "nonce"), big.NewInt(0).Sub(params.N, big.NewInt(1))))
		r, s := signature(secret, nonce, digest)
		if r.Sign() != 0 && s.Sign() != 0 && !agree(t, &private.PublicKey, key, digest, r, s) {
			t.Errorf("a genuine signature does not hold")
		}
		agree(t, &private.PublicKey, key, digest, r, new(big.Int).Sub(params.N, s))
		digest[rapid.IntRange(0, 47).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		agree(t, &private.PublicKey, key, digest, r, s)
		agree(t, &private.PublicKey, key, digest, number(t, "r"), number(t, "s"))
	})
}

// TestAnXAboveTheOrderIsTakenRoundIt: r is x modulo the order, and the field is a little larger. No honest signer will ever
// meet such a point, and whoever makes a key for it does.
func TestAnXAboveTheOrderIsTakenRoundIt(t *testing.T) {
	x, y := new(big.Int).Add(params.N, big.NewInt(1)), (*big.Int)(nil)
	for ; y == nil; x.Add(x, big.NewInt(1)) { // the first x above the order that is on the curve: y² = x³ − 3x + b
		square := new(big.Int).Exp(x, big.NewInt(3), params.P)
		square.Sub(square, new(big.Int).Mul(big.NewInt(3), x)).Add(square, params.B).Mod(square, params.P)
		y = new(big.Int).ModSqrt(square, params.P)
	}
	x.Sub(x, big.NewInt(1))
	r, s, digest := new(big.Int).Sub(x, params.N), big.NewInt(5), [48]byte{7}
	raw := append([]byte{4}, append(x.FillBytes(make([]byte, 48)), y.FillBytes(make([]byte, 48))...)...)
	sum, err := nistec.NewP384Point().SetBytes(raw)
	if err != nil {
		t.Fatal(err)
	}
	// The key for which the sum is that point: (s R − e G) / r.
	e := times(nil, new(big.Int).SetBytes(digest[:]))
	q := nistec.NewP384Point().Add(times(sum, s), e.Negate(e))
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P384(), times(q, new(big.Int).ModInverse(r, params.N)).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if !agree(t, public, key, digest, r, s) {
		t.Error("it does not hold")
	}
}

// TestASumThatIsInfiniteHoldsForNothing, and so does one of a point and itself, where formulas with exceptions fail.
func TestASumThatIsInfiniteHoldsForNothing(t *testing.T) {
	for _, secret := range []*big.Int{big.NewInt(1), big.NewInt(2), new(big.Int).Sub(params.N, big.NewInt(1))} {
		private, key := keyOf(t, secret)
		for _, r := range []*big.Int{big.NewInt(1), big.NewInt(77), new(big.Int).Sub(params.N, big.NewInt(1))} {
			against := new(big.Int).Mul(r, secret)
			for _, e := range []*big.Int{new(big.Int).Neg(against), against, new(big.Int)} {
				var digest [48]byte
				new(big.Int).Mod(e, params.N).FillBytes(digest[:])
				agree(t, &private.PublicKey, key, digest, r, big.NewInt(3))
			}
		}
	}
}

// TestBothWaysToAddAreRightWhereFormulasHaveExceptions: small multiples of a key that is itself a small multiple of the generator
// or of its inverse, so that on the way points meet themselves, their inverses, and infinity. CIRCL fails here before v1.6.3.
func TestBothWaysToAddAreRightWhereFormulasHaveExceptions(t *testing.T) {
	const most = 8
	secrets := []int64{1, 2, 3, 4, 5, 7, 16, -1, -2, -3, -4, -16}
	xs := map[int64]*big.Int{} // of n times the generator
	for n := int64(1); n <= most+16*most; n++ {
		x, err := times(nil, big.NewInt(n)).BytesX()
		if err != nil {
			t.Fatal(err)
		}
		xs[n] = new(big.Int).SetBytes(x)
	}
	for _, secret := range secrets {
		_, key := keyOf(t, new(big.Int).Mod(big.NewInt(secret), params.N))
		check := func(ofG, ofKey int64) {
			m, n := new(big.Int).Mod(big.NewInt(ofG), params.N), new(big.Int).Mod(big.NewInt(ofKey), params.N)
			if sum := ofG + ofKey*secret; sum == 0 {
				each(t, key, m, n, big.NewInt(1), false)
			} else {
				each(t, key, m, n, xs[max(sum, -sum)], true) // a point and its inverse have one x
			}
		}
		for ofG := range int64(most + 1) {
			for ofKey := range int64(most + 1) {
				check(ofG, ofKey)
			}
		}
		for ofG := range int64(3) { // fewer, since what is just below the order is long
			for ofKey := range int64(3) {
				check(-ofG, -ofKey)
				check(-ofG, ofKey)
			}
		}
	}
}

// TestBothWaysToAddAgreeOnAnyMultiples of any key, with those at the borders often.
func TestBothWaysToAddAgreeOnAnyMultiples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := new(big.Int).Add(big.NewInt(1), new(big.Int).Mod(number(t, "secret"), big.NewInt(0).Sub(params.N, big.NewInt(1))))
		_, key := keyOf(t, secret)
		ofG, ofKey := new(big.Int).Mod(number(t, "of the generator"), params.N), new(big.Int).Mod(number(t, "of the key"), params.N)
		sum := new(big.Int).Mul(ofKey, secret)
		sum.Mod(sum.Add(sum, ofG), params.N)
		if sum.Sign() == 0 {
			each(t, key, ofG, ofKey, big.NewInt(1), false)
			return
		}
		x, err := times(nil, sum).BytesX()
		if err != nil {
			t.Fatal(err)
		}
		r := new(big.Int).SetBytes(x)
		r.Mod(r, params.N)
		each(t, key, ofG, ofKey, r, true)
		each(t, key, ofG, ofKey, r.Xor(r, big.NewInt(1)), false)
	})
}

// TestEverySignatureIsVerifiedAlike: a key's first, its second, for which it gets its table, and the third.
func TestEverySignatureIsVerifiedAlike(t *testing.T) {
	secret, digest := big.NewInt(12345), [48]byte{1}
	r, s := signature(secret, big.NewInt(678), digest)
	for _, genuine := range [][]bool{{true, true, true}, {false, true, false}, {true, false, true}, {false, false, true}} {
		_, key := keyOf(t, secret)
		for i, want := range genuine {
			signed := digest
			if !want {
				signed[7] ^= 1
			}
			if key.Verify(signed, r, s) != want {
				t.Errorf("genuine are %v, and signature %d is not found so", genuine, i)
			}
		}
	}
}

// TestATableIsMadeWithTheSecondSignature, or with the first if CIRCL refuses it: its no is never the last word.
func TestATableIsMadeWithTheSecondSignature(t *testing.T) {
	secret, digest := big.NewInt(12345), [48]byte{1}
	r, s := signature(secret, big.NewInt(678), digest)
	for _, mistaken := range []bool{false, true} {
		_, key := keyOf(t, secret)
		made, table := false, key.table
		key.table = func() *comb { made = true; return table() }
		if mistaken {
			key.y = new(big.Int).Sub(params.P, key.y) // of the inverse point; CIRCL alone reads it
		}
		if !key.Verify(digest, r, s) || made != mistaken {
			t.Errorf("CIRCL mistaken: %t, and with the first signature a table is made: %t, or it does not hold", mistaken, made)
		}
		if !key.Verify(digest, r, s) || !made {
			t.Errorf("CIRCL mistaken: %t, and with the second signature a table is made: %t, or it does not hold", mistaken, made)
		}
	}
}

func TestAKeyOnAnotherCurveIsRefused(t *testing.T) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), big.NewInt(9).FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	for _, public := range []any{&private.PublicKey, "no key", nil} {
		if _, err := NewKey(public); err == nil {
			t.Errorf("%T is taken", public)
		}
	}
}

// BenchmarkVerify verifies a key's first signature, one of a key that has its table, and either with the standard library.
func BenchmarkVerify(b *testing.B) {
	secret, digest := big.NewInt(0).Sub(params.N, big.NewInt(12345)), [48]byte{1}
	private, key := keyOf(b, secret)
	r, s := signature(secret, new(big.Int).Rsh(params.N, 1), digest)
	for name, verify := range map[string]func() bool{
		"first": func() bool {
			fresh, err := NewKey(&private.PublicKey)
			return err == nil && fresh.Verify(digest, r, s)
		},
		"known":        func() bool { return key.Verify(digest, r, s) },
		"crypto/ecdsa": func() bool { return ecdsa.Verify(&private.PublicKey, digest[:], r, s) },
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
