// Package attestationtest knows how to be AMD, Intel and NVIDIA, and a worker on their machines: authorities that
// only tests believe, and evidence of any kind, honest or not.
package attestationtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/internal/anchors"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Now is when everything in a world is valid.
var Now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// World is a set of vendors, and what they publish. Fields may be changed before the evidence is made.
type World struct {
	AMD    map[string]*Line // Milan, Genoa, Turin
	Intel  *Intel
	NVIDIA *NVIDIA
}

// NewWorld makes the vendors. Those of AMD have the keys that go-sev-guest publishes for its own tests: they are of the
// right size, and cost nothing to make.
func NewWorld(t testing.TB) *World {
	t.Helper()
	w := &World{AMD: map[string]*Line{}, Intel: newIntel(t), NVIDIA: newNVIDIA(t)}
	for _, name := range lines {
		line := *published(t)[name]
		w.AMD[name] = &line
	}
	return w
}

var lines = []string{"Milan", "Genoa", "Turin"}

// madeOnce are the lines with the published keys: their keys are long, and dozens of signatures take a while.
var madeOnce struct {
	sync.Mutex
	lines map[string]*Line
}

func published(t testing.TB) map[string]*Line {
	t.Helper()
	madeOnce.Lock()
	defer madeOnce.Unlock()
	if madeOnce.lines == nil {
		made := map[string]*Line{}
		for _, name := range lines {
			made[name] = NewLine(t, name, PublishedKeys())
			made[name].list = made[name].Revocations(t)
		}
		madeOnce.lines = made
	}
	return madeOnce.lines
}

// Verifier believes this world and nobody else.
func (w *World) Verifier() *attestation.Verifier {
	set := anchors.Set{AMD: map[string]anchors.AMD{}, Intel: w.Intel.Root, NVIDIA: w.NVIDIA.root}
	for name, line := range w.AMD {
		set.AMD[name] = anchors.AMD{ARK: line.ARK, ASK: line.ASK, ASVK: line.ASVK}
	}
	return attestation.NewBelieving(set)
}

// Files is all collateral that the vendors publish, by name.
func (w *World) Files(t testing.TB) map[string][]byte {
	t.Helper()
	files := w.Intel.files(t)
	for name, line := range w.AMD {
		list := line.Revocations(t)
		files["amd/"+name+"/vcek.crl"], files["amd/"+name+"/vlek.crl"] = list, list
	}
	return files
}

// Collateral is Files, for an appraisal.
func (w *World) Collateral(t testing.TB) attestation.Collateral {
	t.Helper()
	return Collateral(t, w.Files(t))
}

// Collateral makes collateral of files.
func Collateral(t testing.TB, files map[string][]byte) attestation.Collateral {
	t.Helper()
	collateral, err := attestation.NewCollateral(files)
	if err != nil {
		t.Fatal(err)
	}
	return collateral
}

// PolicyText is a policy that takes what the machines of this world show.
func (w *World) PolicyText() string {
	var chips []byte
	for _, name := range lines {
		chips = fmt.Appendf(chips, "    - %x\n", w.AMD[name].Chip)
	}
	image := w.Intel.image()
	return fmt.Sprintf(`id: test-2026-11
validity: 1h
accept: warning
cocoon_binding: false
measurements:
  - {launch: %x, role: worker, not_after: 2027-06-01T00:00:00Z, note: worker 1.0 for SEV-SNP}
  - {image: %x, role: worker, not_after: 2027-06-01T00:00:00Z, note: worker 1.0 for TDX}
  - {launch: %x, role: proxy, not_after: 2027-06-01T00:00:00Z}
platforms:
  any: false
  allow:
%s    - %x
sev_snp:
  keys: [vcek, vlek]
  allow_smt: true
  products:
    Milan: {tier: warning, min_tcb: {bootloader: 4, tee: 0, snp: 24, microcode: 219}}
    Genoa: {tier: affirming, min_tcb: {bootloader: 10, tee: 0, snp: 23, microcode: 84}}
    Turin: {tier: affirming, min_tcb: {fmc: 1, bootloader: 1, tee: 1, snp: 4, microcode: 77}}
tdx:
  status: {UpToDate: affirming, SWHardeningNeeded: warning}
  min_tcb_evaluation_data_number: 17
  fmspcs: [%x]
gpu:
  required: 0
  firmware:
    - driver: 550.90.07
      vbios: %s
      measurements: {1: %x, 2: %x}
`, Launch, image, ProxyLaunch, chips, w.Intel.Platform.PPID, w.Intel.Platform.FMSPC, hex.EncodeToString(vbios), Golden[1], Golden[2])
}

// Policy reads PolicyText after replacing strings in it: old, new, old, new. Each old must be there.
func (w *World) Policy(t testing.TB, replace ...string) *attestation.Policy {
	t.Helper()
	policy, err := attestation.ParsePolicy([]byte(Replace(t, w.PolicyText(), replace...)))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// Replace replaces strings in a text, and fails where one is not there: a test that changed nothing proves nothing.
func Replace(t testing.TB, text string, replace ...string) string {
	t.Helper()
	for i := 0; i+1 < len(replace); i += 2 {
		changed := string(bytes.Replace([]byte(text), []byte(replace[i]), []byte(replace[i+1]), 1))
		if changed == text {
			t.Fatalf("%q is not in the text", replace[i])
		}
		text = changed
	}
	return text
}

// Challenge is an open challenge.
func Challenge() domain.Challenge {
	return domain.Challenge{
		Network: sha256.Sum256([]byte("network")), Worker: sha256.Sum256([]byte("worker")), Key: sha256.Sum256([]byte("key")),
		Nonce: sha256.Sum256([]byte("nonce")), Epoch: 7, ExpiresMs: Now.Add(5 * time.Minute).UnixMilli(),
	}
}

// Case is an appraisal of evidence in this world.
func (w *World) Case(t testing.TB, evidence *v1.Evidence) attestation.Case {
	t.Helper()
	return attestation.Case{
		Evidence: evidence, Challenge: Challenge(), Policy: w.Policy(t), Collateral: w.Collateral(t), Now: Now, Thorough: true,
	}
}

// authority is a certificate and its key.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// serials count: each certificate of a vendor has its own number, but for VCEKs.
var serials atomic.Int64

func template(name string, ca bool) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1000 + serials.Add(1)), Subject: pkix.Name{CommonName: name}, NotBefore: Now.AddDate(-1, 0, 0), NotAfter: Now.AddDate(6, 0, 0),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.SubjectKeyId = []byte(name)
	}
	return c
}

// certify makes a certificate. Without an issuer it is self-signed.
func certify(t testing.TB, c *x509.Certificate, key crypto.Signer, issuer *authority) *authority {
	t.Helper()
	by := &authority{c, key}
	if issuer != nil {
		by = issuer
	}
	entropy := rand.Reader
	if _, isRSA := by.key.(*rsa.PrivateKey); !isRSA {
		entropy = nil // deterministic
	}
	der, err := x509.CreateCertificate(entropy, c, by.certificate, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{parsed, key}
}

// renamed is the same key under another name.
func (a *authority) renamed(name string) *authority {
	c := *a.certificate
	c.RawSubject, c.Subject = nil, pkix.Name{CommonName: name, Organization: []string{"somebody else"}}
	return &authority{&c, a.key}
}

// Twin is a certificate (DER) with the other ECDSA signature that holds for it: other bytes, the same statement.
func Twin(t testing.TB, der []byte, curve elliptic.Curve) []byte {
	t.Helper()
	var c struct {
		Signed, Algorithm asn1.RawValue
		Signature         asn1.BitString
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(c.Signature.Bytes, &pair); err != nil {
		t.Fatal(err)
	}
	pair.S.Sub(curve.Params().N, pair.S)
	signature, err := asn1.Marshal(pair)
	if err != nil {
		t.Fatal(err)
	}
	c.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	twin, err := asn1.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return twin
}

// revoke makes a list of revoked certificates that is valid for a month.
func (a *authority) revoke(t testing.TB, from time.Time, algorithm x509.SignatureAlgorithm, serials ...*big.Int) []byte {
	t.Helper()
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: from, NextUpdate: from.AddDate(0, 1, 0), SignatureAlgorithm: algorithm,
	}
	for _, serial := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: from})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// keys count: the first key of every run is the same, and so on. So what one process of a fuzzer signs, another believes.
var keys atomic.Uint64

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	seed := sha512.Sum512(fmt.Appendf(nil, "key %d", keys.Add(1)))
	seed[0] = 0 // below the order of either curve
	key, err := ecdsa.ParseRawPrivateKey(curve, seed[:curve.Params().BitSize/8])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign gives r and s, big-endian, each of half the size. The same digest gets the same signature.
func sign(t testing.TB, key *ecdsa.PrivateKey, digest []byte, size int) []byte {
	t.Helper()
	hash := crypto.SHA256
	if len(digest) == crypto.SHA384.Size() {
		hash = crypto.SHA384
	}
	der, err := key.Sign(nil, digest, hash)
	if err != nil {
		t.Fatal(err)
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, size)
	pair.R.FillBytes(signature[:size/2])
	pair.S.FillBytes(signature[size/2:])
	return signature
}
