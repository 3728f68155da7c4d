// Package anchors knows whom a verifier believes: the authorities of AMD, Intel and NVIDIA, byte for byte.
//
// It is internal so that no program can make a verifier that believes somebody else. Tests do, through
// attestationtest, which no program may import.
package anchors

import (
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"time"
)

// AMD is the authority of one line of processors. The ARK signed both others.
type AMD struct {
	ARK  *x509.Certificate // root key
	ASK  *x509.Certificate // signs chips' keys (VCEK)
	ASVK *x509.Certificate // signs cloud providers' keys (VLEK)
}

// Set is all that a verifier believes. Nobody changes one.
type Set struct {
	AMD    map[string]AMD    // by line: "Milan", "Genoa", "Turin"
	Intel  *x509.Certificate // Intel SGX Root CA, for SGX and TDX
	NVIDIA *x509.Certificate // NVIDIA Device Identity CA
}

//go:embed roots/*.pem
var roots embed.FS

// pinned names each file and the SHA-256 of each certificate in it, in its order. The files are what the
// vendors publish: https://kdsintf.amd.com/{vcek,vlek}/v1/{product}/cert_chain,
// https://certificates.trustedservices.intel.com, and the verifier in NVIDIA's nvtrust. A library's update
// can't change what we believe, and a changed file does not start.
var pinned = []struct {
	file         string
	fingerprints []string
}{
	{"roots/amd_milan_vcek.pem", []string{"67d303bd3905fd38db8b20e0793699870e7fa612eaad5dec358293fd8c0bac1b", arkMilan}},
	{"roots/amd_milan_vlek.pem", []string{"c5e081f59b7efab1fe2f8b505e159704e72f29cab7ef7cf628a05a42439082f5", arkMilan}},
	{"roots/amd_genoa_vcek.pem", []string{"5464738c1546aed5f2cecf1dc98c5c960a92e8913238a61711bc90ec6e828521", arkGenoa}},
	{"roots/amd_genoa_vlek.pem", []string{"197e610743a917d6b9bb982a5a9226ccc0a15b611be0619e626aca9151457372", arkGenoa}},
	{"roots/amd_turin_vcek.pem", []string{"5b77ef5fe7a7a004fd9032668fba9d0fda22f88c4442069a479636a6ae3b3185", arkTurin}},
	{"roots/amd_turin_vlek.pem", []string{"104e10a8bd060a3c20a434261a57d0588fd65a88915b4f65b08bdecaf8df1a3c", arkTurin}},
	{"roots/intel_sgx_root.pem", []string{"44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"}},
	{"roots/nvidia_device_identity.pem", []string{"102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"}},
}

const (
	arkMilan = "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"
	arkGenoa = "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"
	arkTurin = "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"
)

// Pinned returns the vendors' own authorities. It panics if the files in the program are not the pinned
// ones, since such a program believes it knows not whom.
func Pinned() Set {
	found := map[string][]*x509.Certificate{}
	for _, pin := range pinned {
		certificates, err := read(pin.file, pin.fingerprints)
		if err != nil {
			panic(fmt.Sprintf("attestation: %v", err))
		}
		found[pin.file] = certificates
	}
	set := Set{AMD: map[string]AMD{}, Intel: found["roots/intel_sgx_root.pem"][0], NVIDIA: found["roots/nvidia_device_identity.pem"][0]}
	for line, file := range map[string]string{"Milan": "milan", "Genoa": "genoa", "Turin": "turin"} {
		vcek, vlek := found["roots/amd_"+file+"_vcek.pem"], found["roots/amd_"+file+"_vlek.pem"]
		set.AMD[line] = AMD{ARK: vcek[1], ASK: vcek[0], ASVK: vlek[0]}
	}
	if err := set.Check(); err != nil {
		panic(fmt.Sprintf("attestation: %v", err))
	}
	return set
}

func read(file string, fingerprints []string) ([]*x509.Certificate, error) {
	rest, err := roots.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var certificates []*x509.Certificate
	for _, want := range fingerprints {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%s: holds %d certificates, want %d", file, len(certificates), len(fingerprints))
		}
		if have := sha256.Sum256(block.Bytes); hex.EncodeToString(have[:]) != want {
			return nil, fmt.Errorf("%s: certificate %d is %x, want %s", file, len(certificates), have, want)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", file, len(certificates), err)
		}
		certificates = append(certificates, certificate)
	}
	return certificates, nil
}

// Check says whether AMD's intermediate keys are signed by its roots. Done once, it need not be done
// for every report.
func (s Set) Check() error {
	for line, amd := range s.AMD {
		for _, intermediate := range []*x509.Certificate{amd.ASK, amd.ASVK} {
			if err := intermediate.CheckSignatureFrom(amd.ARK); err != nil {
				return fmt.Errorf("%s is not signed by the root of %s: %w", intermediate.Subject.CommonName, line, err)
			}
		}
	}
	return nil
}

// InTime returns an error that names the first certificate which is not valid at a time.
func InTime(now time.Time, certificates ...*x509.Certificate) error {
	for _, c := range certificates {
		if now.Before(c.NotBefore) {
			return fmt.Errorf("certificate %q is valid only from %s", c.Subject.CommonName, c.NotBefore.Format(time.DateOnly))
		}
		if now.After(c.NotAfter) {
			return fmt.Errorf("certificate %q was valid until %s", c.Subject.CommonName, c.NotAfter.Format(time.DateOnly))
		}
	}
	return nil
}
