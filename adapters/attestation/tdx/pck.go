package tdx

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Platform is what Intel says of a processor in its PCK certificate.
type Platform struct {
	FMSPC [6]byte // family, model, stepping, platform type and custom SKU: what TCB info goes by
	PCEID [2]byte
	PPID  [16]byte // names the processor
	// Components and PCESVN are the level that the key was made for.
	Components [16]uint8
	PCESVN     uint16
	// CA is who signed the certificate: "platform" (several sockets, what TDX runs on) or "processor".
	CA string
}

// FMSPCText is the FMSPC as Intel's services name it: 12 hexadecimal digits, lower case.
func (p Platform) FMSPCText() string { return hex.EncodeToString(p.FMSPC[:]) }

// sgx is 1.2.840.113741.1.13.1, Intel's extension (Intel SGX PCK Certificate Profile, section 1.4.8).
var sgx = asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}

// Numbers behind it.
const (
	sgxPPID  = 1
	sgxTCB   = 2
	sgxPCEID = 3
	sgxFMSPC = 4

	tcbComponents = 16 // 1 to 16
	tcbPCESVN     = 17
)

// pair is an object identifier and whatever belongs to it.
type pair struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue
}

// PlatformOf reads a PCK certificate. It does not yet believe it: see VerifyPCK.
func PlatformOf(pck *x509.Certificate) (Platform, error) {
	var p Platform
	if pck.Subject.CommonName != "Intel SGX PCK Certificate" {
		return p, errors.New("is no PCK certificate")
	}
	if pck.IsCA {
		return p, errors.New("is an authority's certificate, and a processor is no authority")
	}
	switch pck.Issuer.CommonName {
	case platformCA:
		p.CA = "platform"
	case processorCA:
		p.CA = "processor"
	default:
		return p, errors.New("names an issuer that is not one of Intel's two")
	}
	for _, extension := range pck.Extensions {
		if extension.Id.Equal(sgx) {
			return p, p.read(extension.Value)
		}
	}
	return p, fmt.Errorf("has no extension %s", sgx)
}

func (p *Platform) read(der []byte) error {
	pairs, err := pairsOf(der)
	if err != nil {
		return err
	}
	seen := 0
	for _, pair := range pairs {
		if len(pair.ID) != len(sgx)+1 || !pair.ID[:len(sgx)].Equal(sgx) {
			continue
		}
		switch pair.ID[len(sgx)] {
		case sgxPPID:
			err = octets(pair.Value, p.PPID[:])
		case sgxPCEID:
			err = octets(pair.Value, p.PCEID[:])
		case sgxFMSPC:
			err = octets(pair.Value, p.FMSPC[:])
		case sgxTCB:
			err = p.readTCB(pair.Value.FullBytes)
		default:
			continue
		}
		if err != nil {
			return fmt.Errorf("extension %s: %w", pair.ID, err)
		}
		seen |= 1 << pair.ID[len(sgx)]
	}
	if want := 1<<sgxPPID | 1<<sgxPCEID | 1<<sgxFMSPC | 1<<sgxTCB; seen != want {
		return errors.New("lacks one of PPID, TCB, PCEID and FMSPC")
	}
	return nil
}

func (p *Platform) readTCB(der []byte) error {
	pairs, err := pairsOf(der)
	if err != nil {
		return err
	}
	seen := 0
	for _, pair := range pairs {
		if len(pair.ID) != len(sgx)+2 {
			continue
		}
		which := pair.ID[len(sgx)+1]
		if which < 1 || which > tcbPCESVN { // the eighteenth is all sixteen again
			continue
		}
		var n int
		if rest, err := asn1.Unmarshal(pair.Value.FullBytes, &n); err != nil || len(rest) != 0 || n < 0 || n > 1<<16-1 {
			return fmt.Errorf("level %d is no small number", which)
		}
		switch {
		case which == tcbPCESVN:
			p.PCESVN = uint16(n)
		case n > 255:
			return fmt.Errorf("level %d is %d, above 255", which, n)
		default:
			p.Components[which-1] = uint8(n)
		}
		seen |= 1 << which
	}
	if seen != 1<<(tcbPCESVN+1)-2 {
		return errors.New("lacks one of its 17 levels")
	}
	return nil
}

func pairsOf(der []byte) ([]pair, error) {
	var pairs []pair
	if rest, err := asn1.Unmarshal(der, &pairs); err != nil || len(rest) != 0 {
		return nil, errors.New("is no list of identifiers and values")
	}
	return pairs, nil
}

func octets(value asn1.RawValue, into []byte) error {
	if value.Class != asn1.ClassUniversal || value.Tag != asn1.TagOctetString || len(value.Bytes) != len(into) {
		return fmt.Errorf("has not %d bytes", len(into))
	}
	copy(into, value.Bytes)
	return nil
}

// Names of those below Intel's root.
const (
	signerOfLists = "Intel SGX TCB Signing"
	platformCA    = "Intel SGX PCK Platform CA"
	processorCA   = "Intel SGX PCK Processor CA"
)

// ParseListSigner reads who signs Intel's lists: the first certificate of a chain in PEM, as the headers of Intel's
// services give it. What follows in the chain is not looked at, since the root is pinned.
func ParseListSigner(chain []byte, root *x509.Certificate) (*x509.Certificate, error) {
	return parseIssuer(chain, root, signerOfLists)
}

// ParsePCKSigner does so for the authority of processors' keys: "platform" or "processor", as Platform.CA says.
func ParsePCKSigner(chain []byte, root *x509.Certificate, ca string) (*x509.Certificate, error) {
	name := platformCA
	if ca == "processor" {
		name = processorCA
	}
	return parseIssuer(chain, root, name)
}

// parseIssuer takes the first certificate that can be read, and goes by its name: where the first of a file is broken,
// that is the root, which is signed by the root as well, and no processor is certified by it.
func parseIssuer(chain []byte, root *x509.Certificate, name string) (*x509.Certificate, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, errors.New("is not in PEM")
	}
	issuer, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("is no X.509 certificate")
	}
	if issuer.Subject.CommonName != name {
		return nil, fmt.Errorf("is not the certificate of %s", name)
	}
	if err := signedBy(issuer, root); err != nil {
		return nil, err
	}
	return issuer, nil
}

// VerifyPCK says whether an authority, which ParsePCKSigner found good, signed a PCK certificate.
func VerifyPCK(pck, issuer *x509.Certificate) error { return signedBy(pck, issuer) }

func signedBy(certificate, issuer *x509.Certificate) error {
	if !bytes.Equal(certificate.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("names an issuer that is not %s", issuer.Subject.CommonName)
	}
	if err := certificate.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("is not signed by %s", issuer.Subject.CommonName)
	}
	return nil
}

// VerifyRevocations reads a list of revoked certificates (DER) and says whether its issuer signed it.
func VerifyRevocations(der []byte, issuer *x509.Certificate) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, errors.New("is no list of revoked certificates")
	}
	if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
		return nil, fmt.Errorf("is not the list of %s", issuer.Subject.CommonName)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("is not signed by %s", issuer.Subject.CommonName)
	}
	return list, nil
}

// Revokes says whether a list names a certificate.
func Revokes(list *x509.RevocationList, certificate *x509.Certificate) bool {
	for _, entry := range list.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(certificate.SerialNumber) == 0 {
			return true
		}
	}
	return false
}
