package signing

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"

	"github.com/filature/filature/domain"
)

// A vector is a signature made to find verifiers that disagree. The published file is a list of them.
type vector struct {
	Name      string `json:"name"`
	Key       string `json:"key"`       // hexadecimal, 32 bytes
	Report    string `json:"report"`    // hexadecimal, without the prefix that is signed with it
	Signature string `json:"signature"` // hexadecimal, 64 bytes
	Holds     bool   `json:"holds"`     // under the rule of this package
	// StandardLibrary is what Go's crypto/ed25519 says: the equation without the cofactor.
	StandardLibrary bool `json:"crypto_ed25519"`
}

// order is L, the order of the base point, little-endian.
var order = [32]byte{
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
	31: 0x10,
}

// smallOrderEncodings are the fourteen ways to write one of the eight points of small order: each in
// its canonical form, two with a sign bit on x = 0, and four with y in p..p+1.
func smallOrderEncodings() [][32]byte {
	var all [][32]byte
	for _, point := range curve.EIGHT_TORSION {
		all = append(all, encode(point))
	}
	identity, minusOne := encode(curve.EIGHT_TORSION[0]), encode(curve.EIGHT_TORSION[4])
	for _, canonical := range [][32]byte{identity, minusOne} {
		canonical[31] |= 0x80
		all = append(all, canonical)
	}
	for _, low := range []byte{0xed, 0xee} { // y = p, which is 0; y = p+1, which is 1
		y := [32]byte(bytes.Repeat([]byte{0xff}, 32))
		y[0] = low
		all = append(all, y)
		y[31] = 0x7f
		all = append(all, y)
	}
	return all
}

func encode(p *curve.EdwardsPoint) [32]byte {
	return [32]byte(*curve.NewCompressedEdwardsY().SetEdwardsPoint(p))
}

// secret is a scalar that nobody would choose, the same in every run.
func secret(label string) *scalar.Scalar {
	wide := sha512.Sum512([]byte("filature test secret " + label))
	s, err := scalar.NewFromBytesModOrderWide(wide[:])
	if err != nil {
		panic(err)
	}
	return s
}

// challenge is k of the rule.
func challenge(r, a [32]byte, message []byte) *scalar.Scalar {
	wide := sha512.Sum512(slices.Concat(r[:], a[:], message))
	k, err := scalar.NewFromBytesModOrderWide(wide[:])
	if err != nil {
		panic(err)
	}
	return k
}

// Half of a crafted signature: a point known as [log]B + torsion, and the bytes it is sent as.
type half struct {
	log     *scalar.Scalar
	sent    [32]byte
	reduced [32]byte // the canonical bytes of the same point
}

func halfOf(log *scalar.Scalar, torsion int) half {
	point := curve.NewEdwardsPoint().MulBasepoint(curve.ED25519_BASEPOINT_TABLE, log)
	point.Add(point, curve.EIGHT_TORSION[torsion])
	encoded := encode(point)
	return half{log: log, sent: encoded, reduced: encoded}
}

func smallHalf(sent [32]byte) half {
	compressed := curve.CompressedEdwardsY(sent)
	point, err := curve.NewEdwardsPoint().SetCompressedY(&compressed)
	if err != nil {
		panic(err)
	}
	return half{log: scalar.New(), sent: sent, reduced: encode(point)}
}

// craft signs a report with A and R of known shape, S = r + k a. The equation with the cofactor
// then holds, whatever the torsion is. Only k varies with the report, so it is counted up until the
// standard library answers as wanted; among eight torsion points that takes a few tries.
func craft(a, r half, wantStandardLibrary bool) (report, signature []byte, found bool) {
	const tries = 200
	for n := range uint32(tries) {
		report = binary.BigEndian.AppendUint32([]byte("vector "), n)
		signature = finish(a, r, challenge(r.sent, a.sent, signedBytes(nil, report)))
		if ed25519.Verify(a.sent[:], signedBytes(nil, report), signature) == wantStandardLibrary {
			return report, signature, true
		}
	}
	return nil, nil, false
}

func finish(a, r half, k *scalar.Scalar) []byte {
	s := scalar.New().Mul(k, a.log)
	s.Add(s, r.log)
	signature := append(slices.Clone(r.sent[:]), make([]byte, 32)...)
	if err := s.ToBytes(signature[32:]); err != nil {
		panic(err)
	}
	return signature
}

// craftVectors makes the whole published list. It depends on nothing but this file.
func craftVectors(t *testing.T) []vector {
	t.Helper()
	var all []vector
	add := func(name string, key [32]byte, report, signature []byte, holds bool) {
		all = append(all, vector{
			Name:            name,
			Key:             fmt.Sprintf("%x", key),
			Report:          fmt.Sprintf("%x", report),
			Signature:       fmt.Sprintf("%x", signature),
			Holds:           holds,
			StandardLibrary: ed25519.Verify(key[:], signedBytes(nil, report), signature),
		})
	}
	both := func(name string, a, r half) {
		for _, standard := range []bool{true, false} {
			if report, signature, found := craft(a, r, standard); found {
				add(fmt.Sprintf("%s, crypto/ed25519 says %v", name, standard), a.sent, report, signature, true)
			}
		}
	}

	// The list of ZIP-215 itself: S = 0, and A and R each of the fourteen. Here the message is ours.
	for i, a := range smallOrderEncodings() {
		for j, r := range smallOrderEncodings() {
			signature := append(slices.Clone(r[:]), make([]byte, 32)...)
			add(fmt.Sprintf("small order A %d and R %d, S = 0", i, j), a, []byte("Zcash"), signature, true)
		}
	}

	// The cases of "Taming the many EdDSAs", by the shape of A and R; both answers of the standard
	// library where both can be had.
	logA, logR := secret("A"), secret("R")
	for torsion := range 8 {
		both(fmt.Sprintf("small order A %d, mixed order R", torsion), smallHalf(encode(curve.EIGHT_TORSION[torsion])), halfOf(logR, 1))
		both(fmt.Sprintf("mixed order A, small order R %d", torsion), halfOf(logA, 1), smallHalf(encode(curve.EIGHT_TORSION[torsion])))
		both(fmt.Sprintf("A with torsion %d, R with torsion %d", torsion, 7-torsion), halfOf(logA, torsion), halfOf(logR, 7-torsion))
		both(fmt.Sprintf("A with torsion %d, R of prime order", torsion), halfOf(logA, torsion), halfOf(logR, 0))
		both(fmt.Sprintf("A of prime order, R with torsion %d", torsion), halfOf(logA, 0), halfOf(logR, torsion))
	}
	for i, sent := range smallOrderEncodings()[8:] {
		both(fmt.Sprintf("non-canonical small order A %d, mixed order R", i), smallHalf(sent), halfOf(logR, 1))
		both(fmt.Sprintf("mixed order A, non-canonical small order R %d", i), halfOf(logA, 1), smallHalf(sent))
	}

	// k is a hash of the bytes that were sent. Whoever reduces a point before hashing gets another k.
	report := []byte("hashed as sent")
	a, r := halfOf(logA, 1), smallHalf(smallOrderEncodings()[8])
	add("R reduced before hashing", a.sent, report, finish(a, r, challenge(r.reduced, a.sent, signedBytes(nil, report))), false)

	// S has one form only: S+L solves the same equation, and so does 0+L.
	a, r = halfOf(logA, 0), halfOf(logR, 0)
	good := finish(a, r, challenge(r.sent, a.sent, signedBytes(nil, report)))
	add("honest", a.sent, report, good, true)
	for _, times := range []int{1, 2, 14} {
		add(fmt.Sprintf("S + %d L", times), a.sent, report, plusOrder(t, good, times), false)
	}
	zero := smallHalf(smallOrderEncodings()[0])
	add("S = L, A and R the identity", zero.sent, report, plusOrder(t, finish(zero, zero, scalar.New()), 1), false)

	// What is not a point is not a key, and not an R.
	notPoint := notOnCurve(t)
	add("A is not on the curve", notPoint, report, good, false)
	add("R is not on the curve", a.sent, report, slices.Concat(notPoint[:], good[32:]), false)

	// Plain lies.
	add("another report", a.sent, []byte("hashed as sent, and more"), good, false)
	add("another key", halfOf(logR, 0).sent, report, good, false)
	for _, bit := range []int{0, 254, 255, 256, 507} {
		flipped := slices.Clone(good)
		flipped[bit/8] ^= 1 << (bit % 8)
		add(fmt.Sprintf("bit %d of the signature flipped", bit), a.sent, report, flipped, false)
	}
	bare := finish(a, r, challenge(r.sent, a.sent, report))
	add("signed without the prefix", a.sent, report, bare, false)
	return all
}

// plusOrder adds L to S some times; the sum must still fit 256 bits.
func plusOrder(t *testing.T, signature []byte, times int) []byte {
	t.Helper()
	sum := slices.Clone(signature)
	for range times {
		carry := uint(0)
		for i := range order {
			carry += uint(sum[32+i]) + uint(order[i])
			sum[32+i] = byte(carry)
			carry >>= 8
		}
		if carry != 0 {
			t.Fatalf("S + %d L does not fit 32 bytes", times)
		}
	}
	return sum
}

// notOnCurve finds the smallest y that no point has.
func notOnCurve(t *testing.T) [32]byte {
	t.Helper()
	for y := range byte(255) {
		compressed := curve.CompressedEdwardsY{y}
		if _, err := curve.NewEdwardsPoint().SetCompressedY(&compressed); err != nil {
			return compressed
		}
	}
	t.Fatal("every small y is on the curve")
	return [32]byte{}
}

// A signed report, ready to be asked about.
type signed struct {
	key       domain.KeyID
	report    []byte
	signature []byte
	holds     bool
}

// honest makes what an ordinary signer makes.
func honest(signer, sequence, reportBytes int) signed {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], uint64(signer))
	private := ed25519.NewKeyFromSeed(seed[:])
	report := make([]byte, max(reportBytes, 8))
	binary.BigEndian.PutUint64(report, uint64(sequence))
	return signed{key: KeyOf(private), report: report, signature: Sign(private, report), holds: true}
}
