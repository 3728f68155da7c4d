package attestationtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// NVIDIA is NVIDIA, and the GPUs that it made.
type NVIDIA struct {
	root *x509.Certificate

	identity *authority
	rooted   *authority
	gpus     map[int]*GPU

	Chain Chain
}

// GPU is one GPU.
type GPU struct {
	key   *ecdsa.PrivateKey
	chain [][]byte // attestation key, device, family
	fwid  [48]byte
}

// Chain is how a GPU's certificates are made: changed before a GPU is asked for the first time.
type Chain struct {
	// Misnamed has the attestation key certified under another name than the device's.
	Misnamed bool
	// Expired has the device's certificate out of date.
	Expired bool
	// Short lets the family's authority have no authority below it, and there is one.
	Short bool
}

// Golden are the measurements that the policy names.
var Golden = map[uint8][48]byte{1: sha512.Sum384([]byte("driver")), 2: sha512.Sum384([]byte("vbios"))}

var vbios = []byte{0x96, 0x00, 0x9f, 0x00, 0x01, 0, 0, 0}

func newNVIDIA(t testing.TB) *NVIDIA {
	t.Helper()
	n := &NVIDIA{gpus: map[int]*GPU{}}
	n.rooted = certify(t, template("NVIDIA Device Identity CA", true), newKey(t, elliptic.P384()), nil)
	n.root = n.rooted.certificate
	n.identity = certify(t, template("NVIDIA GH100 Identity", true), newKey(t, elliptic.P384()), n.rooted)
	return n
}

// GPU is GPU number i. It is made when it is first asked for.
func (n *NVIDIA) GPU(t testing.TB, i int) *GPU {
	t.Helper()
	if n.gpus[i] != nil {
		return n.gpus[i]
	}
	g := &GPU{key: newKey(t, elliptic.P384()), fwid: sha512.Sum384([]byte("firmware"))}
	of, family := template(fmt.Sprintf("GH100 A01 GSP BROM %d", i), true), n.identity
	if n.Chain.Expired {
		of.NotAfter = Now.AddDate(0, 0, -1)
	}
	if n.Chain.Short {
		short := template("NVIDIA GH100 Identity", true)
		short.MaxPathLenZero = true
		family = certify(t, short, newKey(t, elliptic.P384()), n.rooted)
	}
	device := certify(t, of, newKey(t, elliptic.P384()), family)
	by := device
	if n.Chain.Misnamed {
		by = device.renamed("GH100 A01 GSP BROM of somebody else")
	}
	leaf := template("GH100 A01 GSP FMC LF", false)
	leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1}, Critical: true, Value: append([]byte{0x30, 0x30}, g.fwid[:]...)}}
	g.chain = [][]byte{certify(t, leaf, g.key, by).certificate.Raw, device.certificate.Raw, family.certificate.Raw}
	n.gpus[i] = g
	return g
}

// Evidence answers a challenge. The edit changes the report before it is signed.
func (g *GPU) Evidence(t testing.TB, challenge domain.Challenge, edit func(report []byte)) *v1.GpuEvidence {
	t.Helper()
	return g.EvidenceOf(t, challenge, Golden, edit)
}

// EvidenceOf is Evidence with other measurements.
func (g *GPU) EvidenceOf(t testing.TB, challenge domain.Challenge, measured map[uint8][48]byte, edit func(report []byte)) *v1.GpuEvidence {
	t.Helper()
	le, nonce := binary.LittleEndian, challenge.GPUNonce()
	report := append([]byte{0x11, 0xe0, 1, 0xff}, nonce[:]...)
	report = append(report, 0) // slot
	var record []byte
	for index := uint8(1); int(index) <= len(measured); index++ {
		value := measured[index]
		record = append(le.AppendUint16(append(record, index, 1), uint16(3+len(value))), 1)
		record = append(le.AppendUint16(record, uint16(len(value))), value[:]...)
	}
	report = append(report, 0x11, 0x60, 0, 0, byte(len(measured)), byte(len(record)), byte(len(record)>>8), 0)
	report = append(append(report, record...), make([]byte, 32)...)
	var opaque []byte
	for _, field := range []struct {
		kind  uint16
		value []byte
	}{{3, []byte("550.90.07\x00")}, {6, vbios}, {20, g.fwid[:]}} {
		opaque = append(le.AppendUint16(le.AppendUint16(opaque, field.kind), uint16(len(field.value))), field.value...)
	}
	report = append(le.AppendUint16(report, uint16(len(opaque))), opaque...)
	if edit != nil {
		edit(report)
	}
	digest := sha512.Sum384(report)
	evidence := &v1.GpuEvidence{Report: append(report, sign(t, g.key, digest[:], 96)...)}
	for _, der := range g.chain {
		evidence.Certificates = append(evidence.Certificates, &v1.Certificate{Der: der})
	}
	return evidence
}

// Golden2 is the second golden measurement, to find its place in a report.
func Golden2() []byte { value := Golden[2]; return value[:] }
