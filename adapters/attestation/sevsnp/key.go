package sevsnp

import (
	"bytes"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/filature/filature/adapters/attestation/internal/anchors"
	"github.com/filature/filature/adapters/attestation/internal/p384"
	"github.com/filature/filature/adapters/attestation/internal/pss"
)

// EndorsementKey is the certificate of the key that signs reports, with what AMD says of the key in it.
type EndorsementKey struct {
	Certificate *x509.Certificate
	Signer      Signer
	// Product is the processor's line: the certificate says "Genoa-B1", and this is "Genoa".
	Product string
	// TCB is the level that the key was derived for.
	TCB TCB
	// HardwareID is the chip's: 64 bytes, on Turin 8. A VLEK has none.
	HardwareID []byte
	// Provider is the cloud provider that a VLEK was made for.
	Provider string

	public *p384.Key
}

// maxProductBytes and maxProviderBytes bound the two texts in a certificate.
const (
	maxProductBytes  = 32
	maxProviderBytes = 64
)

// extensions is 1.3.6.1.4.1.3704.1, which AMD's extensions begin with (AMD 57230, section 3.1).
var extensions = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3704, 1}

// Numbers behind it.
const (
	extensionProduct  = 2
	extensionLevel    = 3 // and one number more
	extensionHardware = 4
	extensionProvider = 5

	levelBootloader = 1
	levelTEE        = 2
	levelSNP        = 3
	levelMicrocode  = 8
	levelFMC        = 9
)

// ParseEndorsementKey reads the certificate (DER) of a VCEK or VLEK. It does not yet believe it: see VerifySignedBy.
func ParseEndorsementKey(der []byte) (*EndorsementKey, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("is no X.509 certificate")
	}
	key := &EndorsementKey{Certificate: certificate}
	switch certificate.Subject.CommonName {
	case "SEV-VCEK":
		key.Signer = VCEK
	case "SEV-VLEK":
		key.Signer = VLEK
	default:
		return nil, errors.New("is the certificate of something else than a VCEK or VLEK")
	}
	if key.public, err = p384.NewKey(certificate.PublicKey); err != nil {
		return nil, err
	}
	if certificate.SignatureAlgorithm != x509.SHA384WithRSAPSS { // VerifySignedBy knows no other
		return nil, fmt.Errorf("is signed with %s, want %s", certificate.SignatureAlgorithm, x509.SHA384WithRSAPSS)
	}
	if certificate.IsCA {
		return nil, errors.New("is an authority's certificate, and a chip is no authority")
	}
	if err := key.readExtensions(); err != nil {
		return nil, err
	}
	return key, nil
}

func (k *EndorsementKey) readExtensions() error {
	product, levels := "", map[int]uint8{}
	for _, extension := range k.Certificate.Extensions {
		id := extension.Id
		if len(id) <= len(extensions) || !id[:len(extensions)].Equal(extensions) {
			continue
		}
		var err error
		switch kind, more := id[len(extensions)], id[len(extensions)+1:]; {
		case kind == extensionProduct && len(more) == 0:
			product, err = text(extension.Value, maxProductBytes)
		case kind == extensionProvider && len(more) == 0:
			k.Provider, err = text(extension.Value, maxProviderBytes)
		case kind == extensionLevel && len(more) == 1:
			levels[more[0]], err = level(extension.Value)
		case kind == extensionHardware && len(more) == 0:
			k.HardwareID, err = hardwareID(extension.Value)
		}
		if err != nil {
			return fmt.Errorf("extension %s: %w", id, err)
		}
	}
	for _, must := range []int{levelBootloader, levelTEE, levelSNP, levelMicrocode} {
		if _, there := levels[must]; !there {
			return fmt.Errorf("has no extension %s.%d.%d", extensions, extensionLevel, must)
		}
	}
	k.TCB = TCB{
		FMC: levels[levelFMC], Bootloader: levels[levelBootloader], TEE: levels[levelTEE],
		SNP: levels[levelSNP], Microcode: levels[levelMicrocode],
	}
	k.Product, _, _ = strings.Cut(product, "-")
	if want := hardwareBytes(k.Product); k.Signer == VCEK && len(k.HardwareID) != want {
		return fmt.Errorf("the hardware id has %d bytes, want %d", len(k.HardwareID), want)
	}
	return nil
}

func hardwareBytes(line string) int {
	if line == Turin {
		return 8
	}
	return 64
}

func text(der []byte, limit int) (string, error) {
	var s string
	if rest, err := asn1.UnmarshalWithParams(der, &s, "ia5"); err != nil || len(rest) != 0 || len(s) > limit {
		return "", errors.New("is no short text")
	}
	return s, nil
}

func level(der []byte) (uint8, error) {
	var n int
	if rest, err := asn1.Unmarshal(der, &n); err != nil || len(rest) != 0 || n < 0 || n > 255 {
		return 0, errors.New("is no number up to 255")
	}
	return uint8(n), nil
}

// hardwareID takes the bare bytes, as AMD's key server writes them, and an octet string, as its document says.
func hardwareID(value []byte) ([]byte, error) {
	if len(value) == hardwareBytes(Turin) || len(value) == hardwareBytes(Milan) {
		return value, nil
	}
	var octets []byte
	if rest, err := asn1.Unmarshal(value, &octets); err != nil || len(rest) != 0 {
		return nil, errors.New("is no hardware id")
	}
	return octets, nil
}

// VerifySignedBy says whether the line's authority signed this certificate. The answer holds for ever: the dates
// are InTime's.
func (k *EndorsementKey) VerifySignedBy(amd anchors.AMD) error {
	issuer := k.issuer(amd)
	if !bytes.Equal(k.Certificate.RawIssuer, issuer.RawSubject) {
		return fmt.Errorf("names an issuer that is not %s", issuer.Subject.CommonName)
	}
	if !issuer.IsCA || issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCertSign == 0 {
		return fmt.Errorf("%s may sign no certificates", issuer.Subject.CommonName)
	}
	authority, err := pss.NewKey(issuer.PublicKey)
	if err != nil {
		return fmt.Errorf("%s: %w", issuer.Subject.CommonName, err)
	}
	if !authority.Verify(sha512.Sum384(k.Certificate.RawTBSCertificate), k.Certificate.Signature) {
		return fmt.Errorf("is not signed by %s", issuer.Subject.CommonName)
	}
	return nil
}

// InTime says whether the certificate and those above it are valid at a time.
func (k *EndorsementKey) InTime(amd anchors.AMD, now time.Time) error {
	return anchors.InTime(now, k.Certificate, k.issuer(amd), amd.ARK)
}

// IsChip says whether the key belongs to the chip that a report names.
func (k *EndorsementKey) IsChip(id [64]byte) bool {
	if k.Signer != VCEK {
		return false
	}
	n := len(k.HardwareID)
	return bytes.Equal(id[:n], k.HardwareID) && len(bytes.TrimLeft(id[n:], "\x00")) == 0
}

func (k *EndorsementKey) issuer(amd anchors.AMD) *x509.Certificate {
	if k.Signer == VLEK {
		return amd.ASVK
	}
	return amd.ASK
}

// VerifyRevocations reads a list of revoked certificates (DER) and says whether the line's root signed it.
func VerifyRevocations(der []byte, amd anchors.AMD) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, errors.New("is no list of revoked certificates")
	}
	if !bytes.Equal(list.RawIssuer, amd.ARK.RawSubject) {
		return nil, fmt.Errorf("is not the list of %s", amd.ARK.Subject.CommonName)
	}
	if err := list.CheckSignatureFrom(amd.ARK); err != nil {
		return nil, fmt.Errorf("is not signed by %s", amd.ARK.Subject.CommonName)
	}
	return list, nil
}

// RevokedBy says whether a list names the key's issuer, or the key itself. AMD gives all VCEKs the serial number 0,
// so that one is no name.
func (k *EndorsementKey) RevokedBy(list *x509.RevocationList, amd anchors.AMD) bool {
	for _, entry := range list.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(k.issuer(amd).SerialNumber) == 0 ||
			k.Certificate.SerialNumber.Sign() != 0 && entry.SerialNumber.Cmp(k.Certificate.SerialNumber) == 0 {
			return true
		}
	}
	return false
}
