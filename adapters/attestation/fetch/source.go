package fetch

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/sevsnp"
)

// The hosts that are asked, and no others: AMD's key distribution server (AMD 57230, section 4), Intel's provisioning
// certification service, version 4, and where Intel publishes its root's list.
const (
	amd       = "kdsintf.amd.com"
	intel     = "api.trustedservices.intel.com"
	intelRoot = "certificates.trustedservices.intel.com"
)

// pace is the least time between two requests to a host. AMD's answers with 429 to more.
var pace = map[string]time.Duration{amd: 10 * time.Second, intel: time.Second, intelRoot: time.Second}

// source is where a file comes from.
type source struct {
	url  url.URL
	name string // what the body is
	// header names the header that holds, escaped, the chain of who signed the body, and chain what that is.
	header, chain string
}

// sourceOf says where a file comes from. Everything in the address is ours or was checked against the names' grammar,
// so evidence can't make us ask for something else.
func sourceOf(name string) (source, error) {
	if !attestation.IsCollateral(name) {
		return source{}, fmt.Errorf("collateral %q: no verifier would ask for this name", name)
	}
	vendor, rest, _ := strings.Cut(name, "/")
	if vendor == "amd" {
		line, file, _ := strings.Cut(rest, "/")
		return amdSource(name, line, file)
	}
	from := func(host, path, query string) source {
		return source{name: name, url: url.URL{Scheme: "https", Host: host, Path: path, RawQuery: query}}
	}
	switch base, _, _ := strings.Cut(rest, "."); {
	case rest == "root.crl":
		return from(intelRoot, "/IntelSGXRootCA.der", ""), nil
	case strings.HasPrefix(base, "pck-"):
		s := from(intel, "/sgx/certification/v4/pckcrl", "ca="+strings.TrimPrefix(base, "pck-")+"&encoding=der")
		s.name, s.chain, s.header = "intel/"+base+".crl", "intel/"+base+".pem", "SGX-PCK-CRL-Issuer-Chain"
		return s, nil
	case strings.HasPrefix(base, "tdx-tcb-"):
		s := from(intel, "/tdx/certification/v4/tcb", "fmspc="+strings.TrimPrefix(base, "tdx-tcb-"))
		s.chain, s.header = "intel/tcb-signer.pem", "TCB-Info-Issuer-Chain"
		return s, nil
	default: // the identity of quoting enclaves, or who signs it
		s := from(intel, "/tdx/certification/v4/qe/identity", "")
		s.name, s.chain, s.header = "intel/tdx-qe-identity.json", "intel/tcb-signer.pem", "SGX-Enclave-Identity-Issuer-Chain"
		return s, nil
	}
}

// amdSource is a list ("vcek.crl") or the certificate of a chip at a level ("vcek/<chip>-<level>.der").
func amdSource(name, line, file string) (source, error) {
	s := source{name: name, url: url.URL{Scheme: "https", Host: amd}}
	if kind, isList := strings.CutSuffix(file, ".crl"); isList {
		s.url.Path = "/" + kind + "/v1/" + line + "/crl"
		return s, nil
	}
	chip, level, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(file, "vcek/"), ".der"), "-")
	number, err := strconv.ParseUint(level, 16, 64)
	if err != nil {
		return s, fmt.Errorf("collateral %q: %w", name, err)
	}
	tcb := sevsnp.DecodeTCB(line, number)
	query := url.Values{}
	set := func(key string, n uint8) { query.Set(key, fmt.Sprintf("%02d", n)) }
	set("blSPL", tcb.Bootloader)
	set("teeSPL", tcb.TEE)
	set("snpSPL", tcb.SNP)
	set("ucodeSPL", tcb.Microcode)
	if line == sevsnp.Turin {
		set("fmcSPL", tcb.FMC)
	}
	if id, err := hex.DecodeString(chip); err != nil || (len(id) == 8) != (line == sevsnp.Turin) {
		return s, fmt.Errorf("collateral %q: a chip of %s has another id", name, line)
	}
	s.url.Path, s.url.RawQuery = "/vcek/v1/"+line+"/"+chip, query.Encode()
	return s, nil
}
