// Package sevsnp knows how to read what an AMD processor with SEV-SNP says of a virtual machine, and how to
// tell whether a key of AMD's stands behind it. What to think of it is for others.
//
// The layouts are those of AMD 56860 (SEV-SNP Firmware ABI), 57230 (VCEK and KDS) and, for Turin, of
// certificates that AMD's key server hands out. The primitives are go-sev-guest's; its policy, its fetching and
// its options, which change under their users, are left out.
package sevsnp

import (
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
)

const (
	// ReportBytes is the one size that a report has.
	ReportBytes = abi.ReportSize
	// SignedBytes is how much of it is signed. What follows is the signature, which has a twin that verifies as
	// well, and padding: whatever tells reports apart must stop here.
	SignedBytes = 0x2A0
)

// Offsets in the report: AMD 56860, table 23.
const (
	atVMPL        = 0x30
	atCurrentTCB  = 0x38
	atPlatform    = 0x40
	atSigner      = 0x48
	atReportData  = 0x50
	atMeasurement = 0x90
	atReportedTCB = 0x180
	atCPUID       = 0x188
	atChipID      = 0x1A0
	atCommitted   = 0x1E0
	atLaunchTCB   = 0x1F0
	// The signature: r and s of 72 bytes each, of which 48 are used. Parse saw to it that the rest of the part is zero.
	atSignatureR   = 0x2A0
	atSignatureS   = atSignatureR + 72
	atSignatureEnd = atSignatureS + 72
)

// Signer is the kind of key that signed a report.
type Signer string

// The signers. A VCEK belongs to one chip, a VLEK to a cloud provider that has many.
const (
	VCEK Signer = "vcek"
	VLEK Signer = "vlek"
)

// Report is an attestation report, read and not yet believed.
type Report struct {
	Version uint32
	// Product is the processor's line by its CPUID: "Milan", "Genoa", "Turin"; "unknown" if it is another one, and
	// empty in version 2, which has no CPUID.
	Product     string
	Signer      Signer
	ChipMasked  bool // the host had the chip's id left out
	Policy      abi.SnpPolicy
	Platform    abi.SnpPlatformInfo
	VMPL        uint32
	ReportData  [64]byte
	Measurement [48]byte
	ChipID      [64]byte
	// Levels, as eight bytes whose meaning depends on the line: DecodeTCB.
	Reported, Committed, Current, Launch uint64

	raw []byte
}

// Signed is the part of the report that the signature covers.
func (r *Report) Signed() []byte { return r.raw[:SignedBytes] }

// Parse reads a report of 1184 bytes. It refuses what the firmware would not write: another version than 2 to 5,
// bits and bytes that are reserved, a signer that is neither VCEK nor VLEK, another algorithm than ECDSA P-384 with
// SHA-384. It keeps pointing into raw.
func Parse(raw []byte) (*Report, error) {
	if len(raw) != ReportBytes {
		return nil, fmt.Errorf("has %d bytes, want %d", len(raw), ReportBytes)
	}
	if err := abi.ValidateReportFormat(raw); err != nil {
		return nil, err
	}
	parsed, err := abi.ReportToProto(raw) // checks what is reserved
	if err != nil {
		return nil, err
	}
	if parsed.SignatureAlgo != abi.SignEcdsaP384Sha384 {
		return nil, fmt.Errorf("signature algorithm %d, want %d (ECDSA P-384 with SHA-384)", parsed.SignatureAlgo, abi.SignEcdsaP384Sha384)
	}
	le := binary.LittleEndian
	r := &Report{
		Version: parsed.Version, VMPL: le.Uint32(raw[atVMPL:]),
		ReportData: [64]byte(raw[atReportData:]), Measurement: [48]byte(raw[atMeasurement:]), ChipID: [64]byte(raw[atChipID:]),
		Reported: le.Uint64(raw[atReportedTCB:]), Committed: le.Uint64(raw[atCommitted:]),
		Current: le.Uint64(raw[atCurrentTCB:]), Launch: le.Uint64(raw[atLaunchTCB:]),
		raw: raw,
	}
	signer, err := abi.ParseSignerInfo(le.Uint32(raw[atSigner:]))
	if err != nil {
		return nil, err
	}
	r.ChipMasked = signer.MaskChipKey
	switch signer.SigningKey {
	case abi.VcekReportSigner:
		r.Signer = VCEK
	case abi.VlekReportSigner:
		r.Signer = VLEK
	case abi.NoneReportSigner: // it says itself that nobody signed it
		fallthrough
	default:
		return nil, fmt.Errorf("the signing key is %s, want VCEK or VLEK", signer.SigningKey)
	}
	if r.Policy, err = abi.ParseSnpPolicy(parsed.Policy); err != nil {
		return nil, err
	}
	if r.Platform, err = abi.ParseSnpPlatformInfo(le.Uint64(raw[atPlatform:])); err != nil {
		return nil, err
	}
	if r.Version >= abi.ReportVersion3 {
		r.Product = lineOf(raw[atCPUID:])
	}
	return r, nil
}

// lineOf reads family, model and stepping. Lines that share a die with another one (Bergamo, Siena) are unknown:
// their floors differ, and nobody has asked for them yet.
func lineOf(cpuid []byte) string {
	switch line := kds.ProductLineFromFms(abi.FmsToCpuid1Eax(cpuid[0], cpuid[1], cpuid[2])); line {
	case Milan, Genoa, Turin:
		return line
	default:
		return "unknown"
	}
}

// VerifySignature says whether the key of a certificate signed the report. It says nothing about whose key that is.
func (r *Report) VerifySignature(key *EndorsementKey) error {
	digest := sha512.Sum384(r.Signed())
	if !key.public.Verify(digest, number(r.raw[atSignatureR:atSignatureS]), number(r.raw[atSignatureS:atSignatureEnd])) {
		return errors.New("the report is not signed by this key")
	}
	return nil
}

// number reads a number as AMD writes them: little-endian (AMD 56860, table 134).
func number(little []byte) *big.Int {
	reversed := slices.Clone(little)
	slices.Reverse(reversed)
	return new(big.Int).SetBytes(reversed)
}
