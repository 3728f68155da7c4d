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
	"encoding/binary"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"
	sevtest "github.com/google/go-sev-guest/testing"

	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Launch and ProxyLaunch are the launch measurements of the two images that the policy names.
var (
	Launch      = sha512.Sum384([]byte("worker image"))
	ProxyLaunch = sha512.Sum384([]byte("proxy image"))
)

// listed is when lists are made, unless a test says otherwise.
var listed = Now.AddDate(0, 0, -7)

// Line is a line of AMD's processors, and one chip of it.
type Line struct {
	Name           string
	ARK, ASK, ASVK *x509.Certificate
	Chip           [64]byte
	TCB            sevsnp.TCB
	Keys           *Keys
	// Revoked are the serial numbers on the line's list; Listed is when the list was made.
	Revoked []*big.Int
	Listed  time.Time

	ark, ask, asvk *authority
	vcek, vlek     []byte
	list           []byte // Revocations with nothing changed
}

// Keys are the keys of a line: root, intermediates, a chip's and a provider's.
type Keys = sevtest.AmdKeys

// PublishedKeys are the keys that go-sev-guest publishes. Anybody can sign with them.
func PublishedKeys() *Keys { return sevtest.DefaultAmdKeys() }

// FreshKeys are keys that nobody else has.
func FreshKeys(t testing.TB) *Keys {
	t.Helper()
	big := func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048) // smaller than AMD's, and a second faster
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	return &Keys{Ark: big(), Ask: big(), Asvk: big(), Vcek: newKey(t, elliptic.P384()), Vlek: newKey(t, elliptic.P384())}
}

// NewLine makes a line with the names that AMD uses, and a chip of it.
func NewLine(t testing.TB, name string, keys *Keys) *Line {
	t.Helper()
	l := &Line{Name: name, Keys: keys, Listed: listed}
	l.ark = certify(t, rsaTemplate("ARK-"+name, true), keys.Ark, nil)
	l.ask = certify(t, rsaTemplate("SEV-"+name, true), keys.Ask, l.ark)
	l.asvk = certify(t, rsaTemplate("SEV-VLEK-"+name, true), keys.Asvk, l.ark)
	l.ARK, l.ASK, l.ASVK = l.ark.certificate, l.ask.certificate, l.asvk.certificate
	l.Chip = sha512.Sum512([]byte("chip of " + name))
	l.TCB = sevsnp.TCB{Bootloader: 10, SNP: 24, Microcode: 220}
	if name == sevsnp.Turin {
		clear(l.Chip[8:])
		l.TCB = sevsnp.TCB{FMC: 1, Bootloader: 1, TEE: 1, SNP: 4, Microcode: 77}
	}
	l.vcek, l.vlek = l.VCEK(t, l.TCB), l.VLEK(t)
	return l
}

func rsaTemplate(name string, ca bool) *x509.Certificate {
	c := template(name, ca)
	c.SignatureAlgorithm = x509.SHA384WithRSAPSS
	return c
}

// VCEK certifies the chip's key for a level, as AMD's key server does.
func (l *Line) VCEK(t testing.TB, level sevsnp.TCB, edits ...func(*x509.Certificate)) []byte {
	t.Helper()
	c := rsaTemplate("SEV-VCEK", false)
	c.SerialNumber = big.NewInt(0)
	id := l.Chip[:]
	if l.Name == sevsnp.Turin {
		id = id[:8]
	}
	c.ExtraExtensions = append(l.extensions(t, level), pkix.Extension{Id: amd(4), Value: id})
	for _, edit := range edits {
		edit(c)
	}
	return certify(t, c, l.Keys.Vcek, l.ask).certificate.Raw
}

// MisnamedVCEK is a VCEK that the line's key signed under another authority's name.
func (l *Line) MisnamedVCEK(t testing.TB) []byte {
	t.Helper()
	other := *l
	other.ask = l.ask.renamed("SEV-Naples")
	return other.VCEK(t, l.TCB)
}

// MissaltedVCEK is a VCEK that says 32 bytes of salt, and is signed with 48 all the same.
func (l *Line) MissaltedVCEK(t testing.TB) []byte {
	t.Helper()
	saltOf48, saltOf32 := []byte{0xa2, 3, 2, 1, 48}, []byte{0xa2, 3, 2, 1, 32} // [2] INTEGER, in RSASSA-PSS-params
	raw := bytes.ReplaceAll(l.VCEK(t, l.TCB), saltOf48, saltOf32)
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha512.Sum384(certificate.RawTBSCertificate)
	signature, err := rsa.SignPSS(rand.Reader, l.Keys.Ask, crypto.SHA384, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		t.Fatal(err)
	}
	copy(raw[len(raw)-len(signature):], signature) // the last that is in it
	return raw
}

// VLEK certifies a cloud provider's key.
func (l *Line) VLEK(t testing.TB) []byte {
	t.Helper()
	c := rsaTemplate("SEV-VLEK", false)
	c.ExtraExtensions = append(l.extensions(t, l.TCB), pkix.Extension{Id: amd(5), Value: ia5(t, "a provider")})
	return certify(t, c, l.Keys.Vlek, l.asvk).certificate.Raw
}

func (l *Line) extensions(t testing.TB, level sevsnp.TCB) []pkix.Extension {
	t.Helper()
	product := l.Name + "-B1"
	if l.Name == sevsnp.Turin { // as in AMD's own certificates for Turin
		product = l.Name
	}
	extensions := []pkix.Extension{
		{Id: amd(1), Value: der(t, 1)}, {Id: amd(2), Value: ia5(t, product)},
		{Id: amd(3, 1), Value: der(t, int(level.Bootloader))}, {Id: amd(3, 2), Value: der(t, int(level.TEE))},
		{Id: amd(3, 3), Value: der(t, int(level.SNP))}, {Id: amd(3, 8), Value: der(t, int(level.Microcode))},
	}
	if l.Name == sevsnp.Turin {
		extensions = append(extensions, pkix.Extension{Id: amd(3, 9), Value: der(t, int(level.FMC))})
	}
	return extensions
}

func amd(numbers ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}, numbers...)
}

func der(t testing.TB, n int) []byte {
	t.Helper()
	raw, err := asn1.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func ia5(t testing.TB, s string) []byte {
	t.Helper()
	raw, err := asn1.MarshalWithParams(s, "ia5")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Revocations is the line's list.
func (l *Line) Revocations(t testing.TB) []byte {
	t.Helper()
	if l.list != nil && len(l.Revoked) == 0 && l.Listed.Equal(listed) {
		return l.list
	}
	return l.ark.revoke(t, l.Listed, x509.SHA384WithRSAPSS, l.Revoked...)
}

// Report is what the chip signs for a guest. Edits change it before that.
func (l *Line) Report(t testing.TB, data [64]byte, edits ...func([]byte)) []byte {
	t.Helper()
	le, raw := binary.LittleEndian, make([]byte, sevsnp.ReportBytes)
	le.PutUint32(raw, 3)
	le.PutUint64(raw[0x08:], abi.SnpPolicyToBytes(abi.SnpPolicy{SMT: true}))
	le.PutUint32(raw[0x34:], abi.SignEcdsaP384Sha384)
	for _, at := range []int{0x38, 0x180, 0x1E0, 0x1F0} {
		le.PutUint64(raw[at:], l.TCB.Encode(l.Name))
	}
	le.PutUint64(raw[0x40:], 1<<0|1<<5) // SMT, alias check complete
	copy(raw[0x50:], data[:])
	copy(raw[0x90:], Launch[:])
	copy(raw[0x188:], map[string][]byte{"Milan": {0x19, 0x01, 1}, "Genoa": {0x19, 0x11, 1}, "Turin": {0x1a, 0x02, 1}}[l.Name])
	copy(raw[0x1A0:], l.Chip[:])
	for _, edit := range edits {
		edit(raw)
	}
	l.Resign(t, raw)
	return raw
}

// Resign signs a report again with the chip's key, or with the provider's if the report says so.
func (l *Line) Resign(t testing.TB, raw []byte) {
	t.Helper()
	key := l.Keys.Vcek
	if raw[0x48]>>2&7 == 1 {
		key = l.Keys.Vlek
	}
	digest := sha512.Sum384(raw[:sevsnp.SignedBytes])
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := abi.SetSignature(r, s, raw); err != nil {
		t.Fatal(err)
	}
}

// Twin returns the other signature that holds for the same report.
func (l *Line) Twin(t testing.TB, report []byte) []byte {
	t.Helper()
	twin := append([]byte{}, report...)
	r, s := abi.AmdBigInt(twin[0x2A0:0x2A0+72]), abi.AmdBigInt(twin[0x2A0+72:0x2A0+144])
	if err := abi.SetSignature(r, s.Sub(elliptic.P384().Params().N, s), twin); err != nil {
		t.Fatal(err)
	}
	return twin
}

// SNP is an honest worker's evidence, on a machine of a line, but for the edits.
func (w *World) SNP(t testing.TB, line string, edits ...func([]byte)) *v1.Evidence {
	t.Helper()
	return w.AMD[line].Evidence(t, Challenge(), nil, edits...)
}

// Evidence answers a challenge.
func (l *Line) Evidence(t testing.TB, challenge domain.Challenge, gpus []*v1.GpuEvidence, edits ...func([]byte)) *v1.Evidence {
	t.Helper()
	report := l.Report(t, challenge.ReportData(domain.GPUEvidenceDigest(gpus)), edits...)
	key := l.vcek
	if report[0x48]>>2&7 == 1 {
		key = l.vlek
	}
	return &v1.Evidence{Tee: v1.Tee_TEE_SEV_SNP, Report: report, EndorsementKey: key, Gpus: gpus}
}

// Device is a chip's number i of a line, for worlds with many machines.
func (l *Line) Device(t testing.TB, i int) *Line {
	t.Helper()
	other := *l
	other.Chip = sha512.Sum512(append(sha256.New().Sum([]byte("chip")), byte(i), byte(i>>8)))
	if l.Name == sevsnp.Turin {
		clear(other.Chip[8:])
	}
	other.vcek = other.VCEK(t, l.TCB)
	return &other
}
