// Package nvgpu knows how to read what an NVIDIA GPU in confidential mode says of itself, and how to tell whether
// NVIDIA's keys stand behind it. What to think of it is for others.
//
// Sources: DMTF DSP0274 (SPDM 1.1), sections 10.11.1 and 10.11.2; DSP0274 measurement blocks; the verifier in NVIDIA's
// nvtrust, for what stands in the opaque part.
//
// Neither Hopper nor Blackwell ties a GPU to the machine it sits in. A report says that such a GPU exists and
// answered this nonce, and not where.
package nvgpu

import (
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/filature/filature/adapters/attestation/internal/anchors"
	"github.com/filature/filature/adapters/attestation/internal/p384"
)

const (
	// MaxReportBytes is the longest report that is read. Genuine ones have up to 5000 bytes.
	MaxReportBytes = 8 << 10
	// MaxCertificates is the longest chain that is read, without the root. Genuine ones have four.
	MaxCertificates = 6

	requestBytes   = 37 // header, parameters, nonce and slot of GET_MEASUREMENTS
	signatureBytes = 96
	nonceBytes     = 32
	fwidBytes      = 48
	spdm11         = 0x11
	getMeasurement = 0xe0
	measurements   = 0x60
	dmtf           = 1 // measurement specification
)

// Fields of the opaque part, as nvtrust numbers them.
const (
	opaqueDriver = 3
	opaqueVBIOS  = 6
	opaqueFWID   = 20
)

// fwid is TCG DICE's 2.23.133.5.4.1: which firmware the key was derived for.
var fwid = asn1.ObjectIdentifier{2, 23, 133, 5, 4, 1}

// Report is a GPU's report, read and not yet believed.
type Report struct {
	// Nonce is the one that the GPU was asked with.
	Nonce [nonceBytes]byte
	// Measurements by their index, from 1: what the GPU's firmware and settings hash to.
	Measurements map[uint8][]byte
	Driver       string // "550.90.07"
	VBIOS        string // "96009f0001": hexadecimal, as the GPU writes it
	fwid         []byte
	signed       []byte
	signature    []byte
}

// Signed is the part of the report that the signature covers.
func (r *Report) Signed() []byte { return r.signed }

// Parse reads a request and the response to it.
func Parse(raw []byte) (*Report, error) {
	if len(raw) > MaxReportBytes {
		return nil, fmt.Errorf("has %d bytes, at most %d are read", len(raw), MaxReportBytes)
	}
	if len(raw) < requestBytes+8+nonceBytes+2+signatureBytes {
		return nil, errors.New("ends too early")
	}
	response := raw[requestBytes:]
	if raw[0] != spdm11 || raw[1] != getMeasurement || response[0] != spdm11 || response[1] != measurements {
		return nil, errors.New("is not a GET_MEASUREMENTS of SPDM 1.1 and the response to it")
	}
	r := &Report{Nonce: [nonceBytes]byte(raw[4:]), Measurements: map[uint8][]byte{}}
	blocks, length := int(response[4]), int(response[5])|int(response[6])<<8|int(response[7])<<16
	rest := response[8:]
	if length > len(rest) {
		return nil, errors.New("ends too early")
	}
	if err := r.readBlocks(blocks, rest[:length]); err != nil {
		return nil, err
	}
	rest = rest[length:]
	if len(rest) < nonceBytes+2 {
		return nil, errors.New("ends too early")
	}
	rest = rest[nonceBytes:] // the GPU's own nonce
	opaque := int(binary.LittleEndian.Uint16(rest))
	rest = rest[2:]
	if len(rest) != opaque+signatureBytes {
		return nil, fmt.Errorf("%d bytes are left for %d of opaque data and the signature", len(rest), opaque)
	}
	if err := r.readOpaque(rest[:opaque]); err != nil {
		return nil, err
	}
	r.signed, r.signature = raw[:len(raw)-signatureBytes], raw[len(raw)-signatureBytes:]
	return r, nil
}

func (r *Report) readBlocks(count int, record []byte) error {
	for range count {
		if len(record) < 7 {
			return errors.New("a measurement ends too early")
		}
		index, specification, size := record[0], record[1], int(binary.LittleEndian.Uint16(record[2:]))
		if specification != dmtf || size < 3 || 4+size > len(record) || int(binary.LittleEndian.Uint16(record[5:])) != size-3 {
			return fmt.Errorf("measurement %d is not as DMTF writes it", index)
		}
		if _, twice := r.Measurements[index]; twice {
			return fmt.Errorf("measurement %d is there twice", index)
		}
		r.Measurements[index] = record[7 : 4+size]
		record = record[4+size:]
	}
	if len(record) != 0 {
		return errors.New("bytes follow the measurements")
	}
	return nil
}

func (r *Report) readOpaque(opaque []byte) error {
	seen := map[uint16]bool{}
	for len(opaque) > 0 {
		if len(opaque) < 4 {
			return errors.New("the opaque data ends too early")
		}
		kind, size := binary.LittleEndian.Uint16(opaque), int(binary.LittleEndian.Uint16(opaque[2:]))
		if 4+size > len(opaque) {
			return errors.New("the opaque data ends too early")
		}
		if seen[kind] {
			return fmt.Errorf("opaque field %d is there twice", kind)
		}
		seen[kind] = true
		switch value := opaque[4 : 4+size]; kind {
		case opaqueDriver:
			r.Driver = printable(value)
		case opaqueVBIOS:
			r.VBIOS = hex.EncodeToString(value[:min(len(value), 16)])
		case opaqueFWID:
			r.fwid = value
		}
		opaque = opaque[4+size:]
	}
	return nil
}

// printable is text as a policy names it: up to the first zero, at most 32 bytes of ASCII.
func printable(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	if len(s) > 32 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "unreadable"
	}
	return s
}

// Chain is the certificates of a GPU's attestation key, its own first.
type Chain []*x509.Certificate

// ParseChain reads certificates (DER).
func ParseChain(ders [][]byte) (Chain, error) {
	if len(ders) < 2 || len(ders) > MaxCertificates {
		return nil, fmt.Errorf("has %d certificates, want 2 to %d", len(ders), MaxCertificates)
	}
	var chain Chain
	for i, der := range ders {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d is no X.509 certificate", i)
		}
		chain = append(chain, certificate)
	}
	return chain, nil
}

// Device names the GPU: the SHA-512/256 of the key above its attestation key, which is burnt in. The certificate as a
// whole is no name: the signature on it has a twin, which would make two GPUs of one.
func (c Chain) Device() [32]byte { return sha512.Sum512_256(c[1].RawSubjectPublicKeyInfo) }

// Key is a GPU's attestation key, which NVIDIA certifies.
type Key struct {
	public *p384.Key
	// derivedFor is the firmware that the key belongs to.
	derivedFor []byte
}

// Key says whether each certificate is signed by the next and the last by the root, and returns the key of the first. The
// answer holds for ever: the dates are InTime's. No path is looked for: the chain is in order or refused, so its length bounds
// the work.
func (c Chain) Key(root *x509.Certificate) (*Key, error) {
	for i, certificate := range c {
		issuer := root
		if i+1 < len(c) {
			issuer = c[i+1]
		}
		if string(certificate.RawIssuer) != string(issuer.RawSubject) {
			return nil, fmt.Errorf("certificate %d names an issuer that does not follow it", i)
		}
		if err := certificate.CheckSignatureFrom(issuer); err != nil {
			return nil, fmt.Errorf("certificate %d is not signed by the one that follows it", i)
		}
		if issuer.MaxPathLen >= 0 && (issuer.MaxPathLen != 0 || issuer.MaxPathLenZero) && i > issuer.MaxPathLen {
			return nil, fmt.Errorf("certificate %d may not have %d certificates below it", i+1, i)
		}
	}
	public, err := p384.NewKey(c[0].PublicKey)
	if err != nil {
		return nil, err
	}
	key := &Key{public: public}
	for _, extension := range c[0].Extensions {
		if extension.Id.Equal(fwid) && len(extension.Value) >= fwidBytes {
			key.derivedFor = extension.Value[len(extension.Value)-fwidBytes:]
		}
	}
	return key, nil
}

// InTime says whether all certificates are valid at a time.
func (c Chain) InTime(root *x509.Certificate, now time.Time) error {
	return anchors.InTime(now, append([]*x509.Certificate{root}, c...)...)
}

// VerifySignature says whether a key signed the report, and was derived for the firmware that the report names.
func (r *Report) VerifySignature(key *Key) error {
	if len(r.fwid) != fwidBytes || string(key.derivedFor) != string(r.fwid) {
		return errors.New("the attestation key was derived for other firmware than the report names")
	}
	half := signatureBytes / 2
	if !key.public.Verify(sha512.Sum384(r.signed), new(big.Int).SetBytes(r.signature[:half]), new(big.Int).SetBytes(r.signature[half:])) {
		return errors.New("the report is not signed by the attestation key")
	}
	return nil
}
