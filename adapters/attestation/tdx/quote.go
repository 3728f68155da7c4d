// Package tdx knows how to read what an Intel processor with TDX says of a virtual machine, how to tell whether
// Intel's keys stand behind it, and how patched Intel holds that machine to be. What to think of it is for others.
//
// Sources: Intel TDX DCAP Quoting Library API, appendix A (quotes of version 4 and 5); Intel SGX PCK Certificate
// and CRL Profile; Intel PCS API version 4 (TCB info, QE identity); the appraisal in Intel's Quote Verification
// Library. go-tdx-guest is not used: its last release panics on crafted quotes and knows version 4 only.
package tdx

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
)

// MaxQuoteBytes is the longest quote that is read. Genuine ones have about 5000 bytes.
const MaxQuoteBytes = 16 << 10

// Sizes and numbers of the format.
const (
	headerBytes     = 48
	bodyBytes       = 584 // TDX 1.0
	body15Bytes     = 648 // TDX 1.5
	qeReportBytes   = 384
	signatureBytes  = 64
	publicKeyBytes  = 64
	ecdsaP256       = 2
	teeTDX          = 0x81
	bodyTDX10       = 2
	bodyTDX15       = 3
	certifiedByQE   = 6 // certification data: a QE report and what certifies it
	certifiedByPCKs = 5 // certification data: a chain of certificates in PEM
)

// beginCertificate is what PEM begins with.
const beginCertificate = "-----BEGIN CERTIFICATE-----"

// intelQE is the vendor id of Intel's quoting enclave.
var intelQE = []byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07}

// Quote is a quote, read and not yet believed. The slices point into what was read.
type Quote struct {
	Version uint16

	// Of the TDX module, which stands between host and guest.
	ModuleSVNs       []byte // 16 bytes; the second is the module's major version
	ModuleSigner     []byte // 48 bytes, MRSIGNERSEAM; zero is Intel
	ModuleAttributes []byte // 8 bytes

	// Of the guest.
	Attributes    uint64
	XFAM          uint64
	MRTD          []byte // 48 bytes: the image as it was first loaded
	MRConfigID    []byte // 48 bytes
	MROwner       []byte // 48 bytes
	MROwnerConfig []byte // 48 bytes
	RTMR          [4][]byte
	ReportData    [64]byte
	// ServiceTD is not zero where another guest may migrate this one (TDX 1.5).
	ServiceTD []byte

	// Of the quoting enclave, which signs for the TDX module.
	QE QEReport

	// PCK is the certificate of the key that vouches for the quoting enclave. It belongs to one processor at one
	// level. Certificates above it, which a quote holds as well, are not even read.
	PCK *x509.Certificate

	signed       []byte // header and body
	signature    []byte
	attestation  []byte // public key that made the signature
	qeReport     []byte
	qeSignature  []byte
	qeAuthorized []byte
}

// QEReport is what the processor says of its quoting enclave.
type QEReport struct {
	MiscSelect uint32
	Attributes []byte // 16 bytes
	Signer     []byte // 32 bytes, MRSIGNER
	ProductID  uint16
	SVN        uint16
	reportData []byte // 64 bytes
}

// Bits of a guest's attributes (Intel TDX Module Base Architecture Specification, table 22.2).
const (
	AttributeDebug         = 1 << 0
	attributeUnderDebugger = 0xff // all of the first byte: the guest is not protected
	AttributeSeptVEDisable = 1 << 28
	AttributeMigratable    = 1 << 29
	AttributePKS           = 1 << 30
	AttributeKeyLocker     = 1 << 31
	AttributePerfmon       = 1 << 63
)

// Untrusted says whether some bit is set that lets the host look inside.
func (q *Quote) Untrusted() bool { return q.Attributes&attributeUnderDebugger != 0 }

// Signed is the part of the quote that the signature covers. What follows can be written in several ways.
func (q *Quote) Signed() []byte { return q.signed }

// CocoonImageHash is Cocoon's name for an image: SHA-256 over MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG, the four RTMRs
// and 64 zero bytes where the report data would be (Cocoon, tee/cocoon/tdx.cpp at b75d444). It leaves the guest's
// attributes out, so those have to be looked at beside it.
func (q *Quote) CocoonImageHash() [32]byte {
	h := sha256.New()
	for _, part := range [][]byte{q.MRTD, q.MRConfigID, q.MROwner, q.MROwnerConfig, q.RTMR[0], q.RTMR[1], q.RTMR[2], q.RTMR[3], make([]byte, 64)} {
		h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

// errShort is what every cut gives.
var errShort = errors.New("ends too early")

// reader takes fields off the front. After the first that is not there, all are empty, and err says so.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.rest) {
		r.err = errShort
		return nil
	}
	field := r.rest[:n:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) uint16() int {
	if field := r.take(2); field != nil {
		return int(binary.LittleEndian.Uint16(field))
	}
	return 0
}

func (r *reader) uint32() int {
	if field := r.take(4); field != nil {
		return int(binary.LittleEndian.Uint32(field))
	}
	return 0
}

// Parse reads a quote of version 4 or 5 whose signature is ECDSA on P-256 and whose certification data is a PCK
// certificate chain: what Intel's quoting enclave makes. Drivers hand quotes out in larger buffers, so bytes behind it
// are not looked at; whatever tells quotes apart must stop at Signed. It keeps pointing into raw.
func Parse(raw []byte) (*Quote, error) {
	if len(raw) > MaxQuoteBytes {
		return nil, fmt.Errorf("has %d bytes, at most %d are read", len(raw), MaxQuoteBytes)
	}
	all := &reader{rest: raw}
	header := all.take(headerBytes)
	if all.err != nil {
		return nil, all.err
	}
	le := binary.LittleEndian
	q := &Quote{Version: le.Uint16(header)}
	if kind, tee := le.Uint16(header[2:]), le.Uint32(header[4:]); kind != ecdsaP256 || tee != teeTDX {
		return nil, fmt.Errorf("key type %d and TEE type %#x, want %d (ECDSA P-256) and %#x (TDX)", kind, tee, ecdsaP256, teeTDX)
	}
	if !bytes.Equal(header[12:28], intelQE) {
		return nil, fmt.Errorf("the quoting enclave's vendor is %x, want Intel", header[12:28])
	}
	size := bodyBytes
	switch q.Version {
	case 4:
	case 5:
		kind, said := all.uint16(), all.uint32()
		if (kind != bodyTDX10 || said != bodyBytes) && (kind != bodyTDX15 || said != body15Bytes) {
			return nil, fmt.Errorf("body type %d of %d bytes is not one of TDX", kind, said)
		}
		size = said
	default:
		return nil, fmt.Errorf("version %d, want 4 or 5", q.Version)
	}
	body := all.take(size)
	if all.err != nil {
		return nil, all.err
	}
	q.signed = raw[:len(raw)-len(all.rest)]
	q.readBody(body)
	signatures := &reader{rest: all.take(all.uint32())}
	if all.err != nil {
		return nil, all.err
	}
	return q, q.readSignatures(signatures)
}

func (q *Quote) readBody(body []byte) {
	le := binary.LittleEndian
	r := &reader{rest: body}
	q.ModuleSVNs = r.take(16)
	r.take(48) // MRSEAM: which build of the module; its version and signer are what Intel's lists go by
	q.ModuleSigner, q.ModuleAttributes = r.take(48), r.take(8)
	q.Attributes, q.XFAM = le.Uint64(r.take(8)), le.Uint64(r.take(8))
	q.MRTD, q.MRConfigID, q.MROwner, q.MROwnerConfig = r.take(48), r.take(48), r.take(48), r.take(48)
	for i := range q.RTMR {
		q.RTMR[i] = r.take(48)
	}
	q.ReportData = [64]byte(r.take(64))
	if len(r.rest) != 0 {
		r.take(16) // TEE_TCB_SVN_2: the module's level now, where it was updated under the guest
		q.ServiceTD = r.take(48)
	}
}

func (q *Quote) readSignatures(r *reader) error {
	q.signature, q.attestation = r.take(signatureBytes), r.take(publicKeyBytes)
	if kind := r.uint16(); r.err == nil && kind != certifiedByQE {
		return fmt.Errorf("certification data of type %d, want %d", kind, certifiedByQE)
	}
	c := &reader{rest: r.take(r.uint32())}
	q.qeReport, q.qeSignature = c.take(qeReportBytes), c.take(signatureBytes)
	q.qeAuthorized = c.take(c.uint16())
	if kind := c.uint16(); c.err == nil && kind != certifiedByPCKs {
		return fmt.Errorf("the quoting enclave's certification data is of type %d, want %d (PCK certificates)", kind, certifiedByPCKs)
	}
	chain := c.take(c.uint32())
	if err := errors.Join(r.err, c.err); err != nil {
		return errShort
	}
	if len(c.rest) != 0 || len(r.rest) != 0 {
		return errors.New("the lengths of the signature part do not add up")
	}
	le := binary.LittleEndian
	q.QE = QEReport{
		MiscSelect: le.Uint32(q.qeReport[16:]), Attributes: q.qeReport[48:64], Signer: q.qeReport[128:160],
		ProductID: le.Uint16(q.qeReport[256:]), SVN: le.Uint16(q.qeReport[258:]), reportData: q.qeReport[320:384],
	}
	if !bytes.HasPrefix(chain, []byte(beginCertificate)) {
		return errors.New("the PCK certificate is not in PEM")
	}
	block, _ := pem.Decode(chain)
	if block == nil || len(block.Headers) != 0 {
		return errors.New("the PCK certificate is not in PEM")
	}
	var err error
	if q.PCK, err = x509.ParseCertificate(block.Bytes); err != nil {
		return errors.New("the PCK certificate is no X.509 certificate")
	}
	return nil
}

// VerifyQuotingEnclave says whether the key of the PCK certificate vouches for the quoting enclave, and that one for
// the key which signed the quote.
func (q *Quote) VerifyQuotingEnclave() error {
	key, ok := q.PCK.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return errors.New("the key of the PCK certificate is not on P-256")
	}
	if !verifyP256(key, q.qeReport, q.qeSignature) {
		return errors.New("the report of the quoting enclave is not signed by the PCK key")
	}
	bound := sha256.Sum256(append(bytes.Clone(q.attestation), q.qeAuthorized...))
	if !bytes.Equal(q.QE.reportData[:32], bound[:]) || len(bytes.Trim(q.QE.reportData[32:], "\x00")) != 0 {
		return errors.New("the quoting enclave vouches for another key than the one that signed the quote")
	}
	return nil
}

// VerifySignature says whether the key that the quoting enclave vouches for signed the quote.
func (q *Quote) VerifySignature() error {
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, q.attestation...))
	if err != nil {
		return errors.New("the attestation key is no point on P-256")
	}
	if !verifyP256(key, q.signed, q.signature) {
		return errors.New("the quote is not signed by its attestation key")
	}
	return nil
}

// verifyP256 takes a signature as r and s, 32 bytes each, big-endian.
func verifyP256(key *ecdsa.PublicKey, message, signature []byte) bool {
	if len(signature) != signatureBytes {
		return false
	}
	digest := sha256.Sum256(message)
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}
