// Package p384 knows how to verify ECDSA signatures on P-384 quickly: the first of a key, and still more so those that follow.
//
// Go's standard library works out 384 doublings for each signature, and reads all of each table so as to keep secrets that a
// verifier has not. A verifier sees the same few thousand keys again every hour. With a table of its own for each (Lim and
// Lee, "More Flexible Exponentiation with Precomputation", 1994) 64 doublings are left. The points are filippo.io/nistec's, the
// code of the standard library itself: generated field arithmetic, addition formulas without exceptions.
//
// To make the table takes twice as long as it saves with one signature, so a key gets it with its second. The first is
// verified by CIRCL's combined multiplication, whose field is in assembly: half the standard library's time. That function
// was wrong for some inputs until v1.6.3 (GO-2026-4550), so this package does not lean on it alone. Its yes counts and its no
// is nothing: then the table decides, so that no mistake of it ever refuses a good signature. That it says yes to no other, tests
// compare, with the inputs at which addition formulas have exceptions among them.
//
// Nothing here is secret: it takes as long as the numbers make it.
package p384

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"math/big"
	"sync"
	"sync/atomic"

	"filippo.io/nistec"
	circl "github.com/cloudflare/circl/ecc/p384"
)

const (
	// DigestBytes is how long a digest is: SHA-384's.
	DigestBytes = 48

	coordinateBytes = 48

	teeth   = 6  // bits that one look into the table takes
	spacing = 64 // between them: 6 × 64 = 384
)

// errKey is of a key on another curve.
var errKey = errors.New("its key is not on P-384")

// comb is multiples of a point: entry i is the sum of 2^(64 j) times the point, over the bits j of i. 63 points of 144 bytes.
type comb [1 << teeth]*nistec.P384Point

// order is the number of points of the curve.
var order = elliptic.P384().Params().N

// ofGenerator is made when it is first needed.
var ofGenerator = sync.OnceValue(func() *comb { return combOf(nistec.NewP384Point().SetGenerator()) })

// Key verifies signatures of one key. Safe for many goroutines.
type Key struct {
	x, y  *big.Int
	seen  atomic.Bool  // it has verified before
	table func() *comb // made when it is first needed
}

// NewKey returns a verifier of a public key's signatures. It must be an ECDSA key on P-384.
func NewKey(public any) (*Key, error) {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return nil, errKey
	}
	raw, err := key.Bytes()
	if err != nil {
		return nil, errKey
	}
	point, err := nistec.NewP384Point().SetBytes(raw)
	if err != nil {
		return nil, errKey
	}
	x, y := raw[1:1+coordinateBytes], raw[1+coordinateBytes:] // behind a byte that says that both are there
	return &Key{
		x: new(big.Int).SetBytes(x), y: new(big.Int).SetBytes(y),
		table: sync.OnceValue(func() *comb { return combOf(point) }),
	}, nil
}

// Verify says whether r and s sign a digest: FIPS 186-5, section 6.4.2. Like the standard library it takes s and n − s.
func (k *Key) Verify(digest [DigestBytes]byte, r, s *big.Int) bool {
	if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(order) >= 0 || s.Cmp(order) >= 0 {
		return false
	}
	ofG, ofKey := multiples(digest, r, s)
	if !k.seen.Swap(true) && k.isByCIRCL(ofG, ofKey, r) {
		return true
	}
	return k.isByTable(ofG, ofKey, r)
}

// multiples are how many times the generator and the key's point are in the point whose x is r, if it is one.
func multiples(digest [DigestBytes]byte, r, s *big.Int) (ofG, ofKey *big.Int) {
	inverse := new(big.Int).ModInverse(s, order)
	ofG = new(big.Int).SetBytes(digest[:])
	ofG.Mod(ofG.Mul(ofG, inverse), order)
	ofKey = new(big.Int).Mul(r, inverse)
	return ofG, ofKey.Mod(ofKey, order)
}

// isByTable says whether the sum of both multiples has r for an x, modulo the order.
func (k *Key) isByTable(ofG, ofKey, r *big.Int) bool {
	x, err := sum(ofGenerator(), ofG, k.table(), ofKey).BytesX()
	if err != nil {
		return false // the point at infinity has no x
	}
	have := new(big.Int).SetBytes(x)
	return have.Mod(have, order).Cmp(r) == 0
}

// isByCIRCL says the same, for a key that has no table.
func (k *Key) isByCIRCL(ofG, ofKey, r *big.Int) bool {
	x, _ := circl.P384().CombinedMult(k.x, k.y, ofG.Bytes(), ofKey.Bytes()) // the point at infinity is (0, 0), and no r is zero
	return x.Mod(x, order).Cmp(r) == 0
}

// combOf makes the table of a point: 320 doublings and 57 additions.
func combOf(p *nistec.P384Point) *comb {
	var c comb
	c[0] = nistec.NewP384Point()
	power := nistec.NewP384Point().Set(p)
	for tooth := range teeth {
		first := 1 << tooth
		c[first] = nistec.NewP384Point().Set(power)
		for i := 1; i < first; i++ {
			c[first+i] = nistec.NewP384Point().Add(c[first], c[i])
		}
		for range spacing {
			if tooth+1 < teeth { // the last has none behind it
				power.Double(power)
			}
		}
	}
	return &c
}

// sum is m times the point of a, and n times that of b. Both are below 2^384.
func sum(a *comb, m *big.Int, b *comb, n *big.Int) *nistec.P384Point {
	q := nistec.NewP384Point()
	for place := spacing - 1; place >= 0; place-- {
		q.Double(q)
		q.Add(q, a[look(m, place)])
		q.Add(q, b[look(n, place)])
	}
	return q
}

// look takes the bits of a number that stand at a place, and at each spacing above it.
func look(n *big.Int, place int) (index uint) {
	for tooth := range teeth {
		index |= n.Bit(place+tooth*spacing) << tooth
	}
	return index
}
