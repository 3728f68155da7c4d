package attestation

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/adapters/attestation/tdx"
)

// Genuine says whether each of some files is signed by the vendor that its name says. Files of one vendor may need one
// another: a list, the certificate of who signs it. Dates are not looked at, since an appraisal does that.
//
// Whoever brings files from a network asks this before it replaces what is there.
func (v *Verifier) Genuine(files map[string][]byte) error {
	for name, content := range files {
		if err := v.genuine(name, content, files); err != nil {
			return fmt.Errorf("collateral %s: %w", name, err)
		}
	}
	return nil
}

func (v *Verifier) genuine(name string, content []byte, files map[string][]byte) error {
	if !IsCollateral(name) {
		return fmt.Errorf("no verifier would ask for this name")
	}
	if len(content) > MaxCollateralBytes {
		return fmt.Errorf("has %d bytes, at most %d are read", len(content), MaxCollateralBytes)
	}
	signer := func(name string, chain []byte) (*x509.Certificate, error) {
		if ca, is := strings.CutPrefix(strings.TrimSuffix(name, ".pem"), "intel/pck-"); is {
			return tdx.ParsePCKSigner(chain, v.anchors.Intel, ca)
		}
		return tdx.ParseListSigner(chain, v.anchors.Intel)
	}
	issuer := func(name string) (*x509.Certificate, error) {
		chain, there := files[name]
		if !there {
			return nil, fmt.Errorf("%s has to come with it", name)
		}
		return signer(name, chain)
	}
	vendor, rest, _ := strings.Cut(name, "/")
	switch line, file, _ := strings.Cut(rest, "/"); {
	case vendor == "amd" && strings.HasSuffix(file, ".crl"):
		_, err := sevsnp.VerifyRevocations(content, v.anchors.AMD[line])
		return err
	case vendor == "amd":
		key, err := sevsnp.ParseEndorsementKey(content)
		if err != nil {
			return err
		}
		if key.Signer != sevsnp.VCEK || chipKeyName(key) != name {
			return fmt.Errorf("is a %s of a %s, of another chip or level", key.Signer, key.Product)
		}
		return key.VerifySignedBy(v.anchors.AMD[line])
	case name == intelRootRevocations:
		_, err := tdx.VerifyRevocations(content, v.anchors.Intel)
		return err
	case strings.HasSuffix(name, ".pem"):
		_, err := signer(name, content)
		return err
	case strings.HasSuffix(name, ".crl"):
		by, err := issuer(strings.TrimSuffix(name, ".crl") + ".pem")
		if err != nil {
			return err
		}
		_, err = tdx.VerifyRevocations(content, by)
		return err
	case name == intelQEIdentity:
		by, err := issuer(intelTCBSigner)
		if err != nil {
			return err
		}
		_, err = tdx.VerifyQEIdentity(content, by)
		return err
	default:
		by, err := issuer(intelTCBSigner)
		if err != nil {
			return err
		}
		_, err = tdx.VerifyTCBInfo(content, by)
		return err
	}
}
