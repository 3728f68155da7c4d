package attestationtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/attestation/tdx"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Intel is Intel, and one processor of it.
type Intel struct {
	Root     *x509.Certificate
	Platform tdx.Platform
	PCK      *x509.Certificate

	// What the lists say: changed before Files is called.
	Evaluation              int
	TCBInfo, QEIdentity     func(body string) string // edits of the JSON before it is signed
	RootRevoked, PCKRevoked []*big.Int
	Listed                  time.Time
	root, ca, signer        *authority
	pckKey                  *ecdsa.PrivateKey
	RootListBy, PCKListBy   *authority // who signs the lists; themselves if nil
}

func newIntel(t testing.TB) *Intel {
	t.Helper()
	i := &Intel{Evaluation: 18, Listed: listed}
	i.root = certify(t, template("Intel SGX Root CA", true), newKey(t, elliptic.P256()), nil)
	i.ca = certify(t, template("Intel SGX PCK Platform CA", true), newKey(t, elliptic.P256()), i.root)
	i.signer = certify(t, template("Intel SGX TCB Signing", false), newKey(t, elliptic.P256()), i.root)
	i.Root = i.root.certificate
	i.Platform = tdx.Platform{
		FMSPC: [6]byte{0x00, 0x90, 0x6e, 0xd5, 0x00, 0x00}, PPID: [16]byte(sha256Bytes("processor")[:16]), CA: "platform", PCESVN: 13,
		Components: [16]uint8{3, 3, 2, 2, 4, 1, 0, 3},
	}
	i.pckKey = newKey(t, elliptic.P256())
	i.PCK = i.Certify(t, i.Platform)
	return i
}

func sha256Bytes(s string) []byte {
	digest := sha256.Sum256([]byte(s))
	return digest[:]
}

// Certify makes a PCK certificate for a processor.
func (i *Intel) Certify(t testing.TB, p tdx.Platform, edits ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := template("Intel SGX PCK Certificate", false)
	c.ExtraExtensions = []pkix.Extension{{Id: sgx(), Value: SGXExtension(t, p)}}
	for _, edit := range edits {
		edit(c)
	}
	return certify(t, c, i.pckKey, i.ca).certificate
}

// MisnamedPCK is a PCK certificate that the platform's authority signed under a name that is not quite its own.
func (i *Intel) MisnamedPCK(t testing.TB) *x509.Certificate {
	t.Helper()
	other := *i
	other.ca = i.ca.renamed("Intel SGX PCK Platform CA")
	return other.Certify(t, i.Platform)
}

func sgx(numbers ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, numbers...)
}

// SGXExtension is Intel's extension of a PCK certificate.
func SGXExtension(t testing.TB, p tdx.Platform) []byte {
	t.Helper()
	marshal := func(v any) asn1.RawValue {
		raw, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: raw}
	}
	type raw struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	var levels []raw
	for n, svn := range p.Components {
		levels = append(levels, raw{sgx(2, n+1), marshal(int(svn))})
	}
	levels = append(levels, raw{sgx(2, 17), marshal(int(p.PCESVN))}, raw{sgx(2, 18), marshal(p.Components[:])})
	return marshal([]raw{
		{sgx(1), marshal(p.PPID[:])}, {sgx(2), marshal(levels)}, {sgx(3), marshal(p.PCEID[:])}, {sgx(4), marshal(p.FMSPC[:])},
	}).FullBytes
}

// The guest and the modules around it.
var (
	mrtd       = append(sha256Bytes("mrtd"), sha256Bytes("mrtd 2")[:16]...)
	qeSigner   = sha256Bytes("quoting enclave")
	moduleSVNs = [16]byte{4, 1, 5} // TDX module 1, svn 4
)

// TDXBody is what the TDX module says of an honest guest: 584 bytes, or 648 in TDX 1.5.
func TDXBody(data [64]byte, size int) []byte {
	body := make([]byte, size)
	copy(body, moduleSVNs[:])
	binary.LittleEndian.PutUint64(body[120:], tdx.AttributeSeptVEDisable)
	copy(body[136:], mrtd)
	copy(body[520:], data[:])
	return body
}

// Quote is what the quoting enclave makes: of version 4, version 5 with a body of TDX 1.0, or (15) of TDX 1.5. Edits
// change the body, and the report of the enclave, before they are signed.
func (i *Intel) Quote(t testing.TB, version int, data [64]byte, edit func(body, qe []byte)) []byte {
	t.Helper()
	le, size := binary.LittleEndian, 584
	if version == 15 {
		size = 648
	}
	header := make([]byte, 48)
	le.PutUint16(header, uint16(min(version, 5)))
	le.PutUint16(header[2:], 2)
	le.PutUint32(header[4:], 0x81)
	copy(header[12:], []byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07})
	body, key := TDXBody(data, size), newKey(t, elliptic.P256())
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	attestation, authorized := public[1:], []byte("authenticated data")
	qe := make([]byte, 384)
	qe[48], qe[49] = 0x11, 0
	copy(qe[128:], qeSigner)
	le.PutUint16(qe[256:], 2)
	le.PutUint16(qe[258:], 4)
	bound := sha256.Sum256(append(append([]byte{}, attestation...), authorized...))
	copy(qe[320:], bound[:])
	if edit != nil {
		edit(body, qe)
	}
	quote := header
	if version >= 5 {
		kind := uint16(2)
		if version == 15 {
			kind = 3
		}
		quote = le.AppendUint32(le.AppendUint16(quote, kind), uint32(size))
	}
	quote = append(quote, body...)
	digest, qeDigest := sha256.Sum256(quote), sha256.Sum256(qe)
	chain := pemOf(i.PCK, i.ca.certificate, i.root.certificate)
	certification := append(append([]byte{}, qe...), sign(t, i.pckKey, qeDigest[:], 64)...)
	certification = append(le.AppendUint16(certification, uint16(len(authorized))), authorized...)
	certification = append(le.AppendUint32(le.AppendUint16(certification, 5), uint32(len(chain))), chain...)
	signatures := append(sign(t, key, digest[:], 64), attestation...)
	signatures = append(le.AppendUint32(le.AppendUint16(signatures, 6), uint32(len(certification))), certification...)
	return append(le.AppendUint32(quote, uint32(len(signatures))), signatures...)
}

func pemOf(certificates ...*x509.Certificate) []byte {
	var chain []byte
	for _, c := range certificates {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return chain
}

// image is Cocoon's image hash of the honest guest.
func (i *Intel) image() [32]byte {
	body := TDXBody([64]byte{}, 584)
	return sha256.Sum256(append(append([]byte{}, body[136:520]...), make([]byte, 64)...))
}

// TDX is an honest worker's evidence, but for the edit.
func (w *World) TDX(t testing.TB, version int, edit func(body, qe []byte)) *v1.Evidence {
	t.Helper()
	return w.Intel.Evidence(t, version, Challenge(), nil, edit)
}

// Evidence answers a challenge.
func (i *Intel) Evidence(t testing.TB, version int, challenge domain.Challenge, gpus []*v1.GpuEvidence, edit func(body, qe []byte)) *v1.Evidence {
	t.Helper()
	data := challenge.ReportData(domain.GPUEvidenceDigest(gpus))
	return &v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: i.Quote(t, version, data, edit), Gpus: gpus}
}

// files is what Intel publishes.
func (i *Intel) files(t testing.TB) map[string][]byte {
	t.Helper()
	by := func(who, otherwise *authority) *authority {
		if who != nil {
			return who
		}
		return otherwise
	}
	return map[string][]byte{
		"intel/root.crl":                                    by(i.RootListBy, i.root).revoke(t, i.Listed, 0, i.RootRevoked...),
		"intel/pck-platform.crl":                            by(i.PCKListBy, i.ca).revoke(t, i.Listed, 0, i.PCKRevoked...),
		"intel/pck-platform.pem":                            pemOf(i.ca.certificate, i.root.certificate),
		"intel/tcb-signer.pem":                              pemOf(i.signer.certificate, i.root.certificate),
		"intel/tdx-qe-identity.json":                        i.Signed(t, "enclaveIdentity", []byte(i.qeIdentity())),
		"intel/tdx-tcb-" + i.Platform.FMSPCText() + ".json": i.Signed(t, "tcbInfo", []byte(i.tcbInfo())),
	}
}

// CAs are the serial numbers of the authorities between root and processor, and of who signs the lists.
func (i *Intel) CAs() (pck, signer *big.Int) {
	return i.ca.certificate.SerialNumber, i.signer.certificate.SerialNumber
}

// OldAuthorities are the authorities' certificates as they were before, with the same keys, and out of date.
func (i *Intel) OldAuthorities(t testing.TB) (pck, signer []byte) {
	t.Helper()
	old := func(a *authority) []byte {
		c := *a.certificate
		c.NotAfter = Now.AddDate(0, 0, -1)
		return pemOf(certify(t, &c, a.key, i.root).certificate, i.root.certificate)
	}
	return old(i.ca), old(i.signer)
}

// Stranger is an authority of the same name as the platform's, with another key.
func (i *Intel) Stranger(t testing.TB) *Intel {
	t.Helper()
	return newIntel(t)
}

func (i *Intel) dates() string {
	return fmt.Sprintf(`"issueDate":%q,"nextUpdate":%q,"tcbEvaluationDataNumber":%d`,
		i.Listed.Format(time.RFC3339), i.Listed.AddDate(0, 1, 0).Format(time.RFC3339), i.Evaluation)
}

func (i *Intel) tcbInfo() string {
	level := func(sgx [16]uint8, pce int, module [16]uint8, status, more string) string {
		list := func(svns [16]uint8) string {
			var parts []string
			for _, svn := range svns {
				parts = append(parts, fmt.Sprintf(`{"svn":%d}`, svn))
			}
			return "[" + strings.Join(parts, ",") + "]"
		}
		return fmt.Sprintf(`{"tcb":{"sgxtcbcomponents":%s,"pcesvn":%d,"tdxtcbcomponents":%s},"tcbDate":"2026-08-12T00:00:00Z","tcbStatus":%q%s}`,
			list(sgx), pce, list(module), status, more)
	}
	newest, old := i.Platform.Components, i.Platform.Components
	old[0]--
	zero48 := strings.Repeat("0", 96)
	return i.edited(i.TCBInfo, fmt.Sprintf(`{"id":"TDX","version":3,%s,"fmspc":"%X","pceId":"%X","tcbType":0,`+
		`"tdxModule":{"mrsigner":%q,"attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF"},`+
		`"tdxModuleIdentities":[{"id":"TDX_01","mrsigner":%q,"attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF",`+
		`"tcbLevels":[{"tcb":{"isvsvn":4},"tcbDate":"2026-08-12T00:00:00Z","tcbStatus":"UpToDate"},`+
		`{"tcb":{"isvsvn":2},"tcbDate":"2024-08-09T00:00:00Z","tcbStatus":"OutOfDate","advisoryIDs":["INTEL-SA-00002"]}]}],`+
		`"tcbLevels":[%s,%s]}`, i.dates(), i.Platform.FMSPC, i.Platform.PCEID, zero48, zero48,
		level(newest, 13, [16]uint8{9, 9, 5}, "UpToDate", ""),
		level(old, 5, [16]uint8{3, 0, 5}, "OutOfDate", `,"advisoryIDs":["INTEL-SA-00001"]`)))
}

func (i *Intel) qeIdentity() string {
	return i.edited(i.QEIdentity, fmt.Sprintf(`{"id":"TD_QE","version":2,%s,"miscselect":"00000000","miscselectMask":"FFFFFFFF",`+
		`"attributes":"11000000000000000000000000000000","attributesMask":"FBFFFFFFFFFFFFFF0000000000000000","mrsigner":"%s","isvprodid":2,`+
		`"tcbLevels":[{"tcb":{"isvsvn":4},"tcbDate":"2026-08-12T00:00:00Z","tcbStatus":"UpToDate"},`+
		`{"tcb":{"isvsvn":2},"tcbDate":"2024-08-12T00:00:00Z","tcbStatus":"OutOfDate"}]}`, i.dates(), hex.EncodeToString(qeSigner)))
}

func (*Intel) edited(edit func(string) string, body string) string {
	if edit == nil {
		return body
	}
	return edit(body)
}

// Signed is an answer of Intel's services: a body, whatever it is, and the signature on it.
func (i *Intel) Signed(t testing.TB, name string, body []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(body)
	return fmt.Appendf(nil, `{%q:%s,"signature":"%x"}`, name, body, sign(t, i.signer.key.(*ecdsa.PrivateKey), digest[:], 64))
}
