package tdx

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Status is how patched Intel holds a level to be, in the words of its services.
type Status string

// The statuses that Intel's services give. Others may come; nobody takes one that a policy does not name.
const (
	UpToDate                          Status = "UpToDate"
	SWHardeningNeeded                 Status = "SWHardeningNeeded"
	ConfigurationNeeded               Status = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded Status = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                         Status = "OutOfDate"
	OutOfDateConfigurationNeeded      Status = "OutOfDateConfigurationNeeded"
	Revoked                           Status = "Revoked"

	// unordered is ours, and no policy can name it.
	unordered Status = "unordered"
)

// Known says whether a policy may name a status.
func (s Status) Known() bool {
	switch s {
	case UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded:
		return true
	case Revoked, unordered: // nobody may take these
	}
	return false
}

// Bounds of what Intel's lists may hold. They have about ten levels and five modules.
const (
	maxLevels     = 256
	maxModules    = 64
	maxAdvisories = 64
)

// hexBytes is a field in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// TCBInfo is what Intel says of all processors with one FMSPC. The names are those of Intel's PCS, version 4.
//
//nolint:tagliatelle // Intel's spelling
type TCBInfo struct {
	ID         string    `json:"id"`
	Version    int       `json:"version"`
	IssueDate  time.Time `json:"issueDate"`
	NextUpdate time.Time `json:"nextUpdate"`
	FMSPC      hexBytes  `json:"fmspc"`
	PCEID      hexBytes  `json:"pceId"`
	TCBType    int       `json:"tcbType"`
	// Evaluation grows with every round of patches that Intel looked at.
	Evaluation int              `json:"tcbEvaluationDataNumber"`
	Module     moduleIdentity   `json:"tdxModule"`
	Modules    []moduleIdentity `json:"tdxModuleIdentities"`
	Levels     []tcbLevel       `json:"tcbLevels"`
}

// QEIdentity is what Intel says of its quoting enclaves for TDX.
//
//nolint:tagliatelle // Intel's spelling
type QEIdentity struct {
	ID             string     `json:"id"`
	Version        int        `json:"version"`
	IssueDate      time.Time  `json:"issueDate"`
	NextUpdate     time.Time  `json:"nextUpdate"`
	Evaluation     int        `json:"tcbEvaluationDataNumber"`
	MiscSelect     hexBytes   `json:"miscselect"`
	MiscSelectMask hexBytes   `json:"miscselectMask"`
	Attributes     hexBytes   `json:"attributes"`
	AttributesMask hexBytes   `json:"attributesMask"`
	Signer         hexBytes   `json:"mrsigner"`
	ProductID      uint16     `json:"isvprodid"`
	Levels         []svnLevel `json:"tcbLevels"`
}

//nolint:tagliatelle // Intel's spelling
type moduleIdentity struct {
	ID             string     `json:"id"`
	Signer         hexBytes   `json:"mrsigner"`
	Attributes     hexBytes   `json:"attributes"`
	AttributesMask hexBytes   `json:"attributesMask"`
	Levels         []svnLevel `json:"tcbLevels"`
}

//nolint:tagliatelle // Intel's spelling
type tcbLevel struct {
	TCB struct {
		SGX    []component `json:"sgxtcbcomponents"`
		PCESVN uint16      `json:"pcesvn"`
		TDX    []component `json:"tdxtcbcomponents"`
	} `json:"tcb"`
	Date       time.Time `json:"tcbDate"`
	Status     Status    `json:"tcbStatus"`
	Advisories []string  `json:"advisoryIDs"`
}

//nolint:tagliatelle // Intel's spelling
type svnLevel struct {
	TCB struct {
		SVN uint16 `json:"isvsvn"`
	} `json:"tcb"`
	Date       time.Time `json:"tcbDate"`
	Status     Status    `json:"tcbStatus"`
	Advisories []string  `json:"advisoryIDs"`
}

type component struct {
	SVN uint8 `json:"svn"`
}

// VerifyTCBInfo reads an answer of Intel's /tdx/certification/v4/tcb and says whether its issuer signed it. The
// dates are for the caller to check.
func VerifyTCBInfo(answer []byte, issuer *x509.Certificate) (*TCBInfo, error) {
	//nolint:tagliatelle // Intel's spelling
	var outer struct {
		Body      json.RawMessage `json:"tcbInfo"`
		Signature hexBytes        `json:"signature"`
	}
	info := new(TCBInfo)
	if err := verifySigned(answer, &outer, &outer.Body, &outer.Signature, issuer, info); err != nil {
		return nil, err
	}
	if info.ID != "TDX" || info.Version != 3 || info.TCBType != 0 {
		return nil, fmt.Errorf("is %q of version %d and type %d, want TDX, 3 and 0", info.ID, info.Version, info.TCBType)
	}
	if len(info.Levels) > maxLevels || len(info.Modules) > maxModules {
		return nil, fmt.Errorf("has %d levels and %d modules, at most %d and %d are read", len(info.Levels), len(info.Modules), maxLevels, maxModules)
	}
	for i, level := range info.Levels {
		if len(level.TCB.SGX) != 16 || len(level.TCB.TDX) != 16 || len(level.Advisories) > maxAdvisories {
			return nil, fmt.Errorf("level %d has not 16 components of either kind, or too many advisories", i)
		}
	}
	return info, nil
}

// VerifyQEIdentity reads an answer of Intel's /tdx/certification/v4/qe/identity and says whether its issuer signed it.
func VerifyQEIdentity(answer []byte, issuer *x509.Certificate) (*QEIdentity, error) {
	//nolint:tagliatelle // Intel's spelling
	var outer struct {
		Body      json.RawMessage `json:"enclaveIdentity"`
		Signature hexBytes        `json:"signature"`
	}
	identity := new(QEIdentity)
	if err := verifySigned(answer, &outer, &outer.Body, &outer.Signature, issuer, identity); err != nil {
		return nil, err
	}
	if identity.ID != "TD_QE" || identity.Version != 2 {
		return nil, fmt.Errorf("is %q of version %d, want TD_QE and 2", identity.ID, identity.Version)
	}
	if len(identity.MiscSelect) != 4 || len(identity.MiscSelectMask) != 4 || len(identity.Attributes) != 16 || len(identity.AttributesMask) != 16 ||
		len(identity.Levels) > maxLevels {
		return nil, errors.New("has fields of a wrong length")
	}
	return identity, nil
}

// verifySigned reads the outer object, checks the signature over the very bytes of the inner one, and only then reads
// that.
func verifySigned(answer []byte, outer any, body *json.RawMessage, signature *hexBytes, issuer *x509.Certificate, into any) error {
	if err := json.Unmarshal(answer, outer); err != nil {
		return errors.New("is not the JSON of Intel's services")
	}
	key, ok := issuer.PublicKey.(*ecdsa.PublicKey)
	if !ok || !verifyP256(key, *body, *signature) {
		return fmt.Errorf("is not signed by %s", issuer.Subject.CommonName)
	}
	if err := json.Unmarshal(*body, into); err != nil {
		return fmt.Errorf("is signed and can't be read: %w", err)
	}
	return nil
}

// Level is how patched a machine is, by Intel's lists.
type Level struct {
	Status     Status
	Date       time.Time // of the level that it reaches
	Advisories []string
}

// Errors of an appraisal. Each is about the machine and says that Intel's lists do not know it.
var (
	ErrNoLevel  = errors.New("the machine reaches none of Intel's levels")
	ErrNoModule = errors.New("the TDX module is none of Intel's")
	ErrNoQE     = errors.New("the quoting enclave is none of Intel's")
)

// Appraise says how patched a machine is: the worst of platform, TDX module and quoting enclave, as Intel's own
// library takes them together. The info must be that of the platform's FMSPC and PCE.
func Appraise(q *Quote, p Platform, info *TCBInfo, identity *QEIdentity) (Level, error) {
	module, err := moduleLevel(q, info)
	if err != nil {
		return Level{}, err
	}
	enclave, err := enclaveLevel(q.QE, identity)
	if err != nil {
		return Level{}, err
	}
	for _, level := range info.Levels { // from the newest down
		if !reaches(q, p, level) {
			continue
		}
		found := Level{Status: level.Status, Date: level.Date}
		for _, part := range []svnLevel{module, enclave} {
			found.Status = converge(found.Status, part.Status)
		}
		seen := map[string]bool{}
		for _, advisory := range append(append(append([]string{}, level.Advisories...), module.Advisories...), enclave.Advisories...) {
			if !seen[advisory] {
				seen[advisory] = true
				found.Advisories = append(found.Advisories, advisory)
			}
		}
		return found, nil
	}
	return Level{}, ErrNoLevel
}

// reaches compares a machine with a level, number by number. From major version 1 of the TDX module on, the
// module's own two numbers are in its identity instead.
func reaches(q *Quote, p Platform, level tcbLevel) bool {
	for i, component := range level.TCB.SGX {
		if p.Components[i] < component.SVN {
			return false
		}
	}
	if p.PCESVN < level.TCB.PCESVN {
		return false
	}
	from := 0
	if q.ModuleSVNs[1] > 0 {
		from = 2
	}
	for i := from; i < len(level.TCB.TDX); i++ {
		if q.ModuleSVNs[i] < level.TCB.TDX[i].SVN {
			return false
		}
	}
	return true
}

// moduleLevel finds the module's identity by its major version, and in it the level. Version 0 has none: its numbers
// are among the platform's.
func moduleLevel(q *Quote, info *TCBInfo) (svnLevel, error) {
	identity, major := info.Module, q.ModuleSVNs[1]
	if major > 0 {
		found := false
		for _, candidate := range info.Modules {
			if strings.EqualFold(candidate.ID, fmt.Sprintf("TDX_%02X", major)) {
				identity, found = candidate, true
				break
			}
		}
		if !found {
			return svnLevel{}, ErrNoModule
		}
	}
	if !bytes.Equal(q.ModuleSigner, identity.Signer) || !equalMasked(q.ModuleAttributes, identity.Attributes, identity.AttributesMask) {
		return svnLevel{}, ErrNoModule
	}
	if major == 0 {
		return svnLevel{Status: UpToDate}, nil
	}
	for _, level := range identity.Levels {
		if uint16(q.ModuleSVNs[0]) >= level.TCB.SVN {
			return level, nil
		}
	}
	return svnLevel{}, ErrNoModule
}

func enclaveLevel(qe QEReport, identity *QEIdentity) (svnLevel, error) {
	misc := []byte{byte(qe.MiscSelect), byte(qe.MiscSelect >> 8), byte(qe.MiscSelect >> 16), byte(qe.MiscSelect >> 24)}
	if !bytes.Equal(qe.Signer, identity.Signer) || qe.ProductID != identity.ProductID ||
		!equalMasked(misc, reversed(identity.MiscSelect), reversed(identity.MiscSelectMask)) ||
		!equalMasked(qe.Attributes, identity.Attributes, identity.AttributesMask) {
		return svnLevel{}, ErrNoQE
	}
	for _, level := range identity.Levels {
		if qe.SVN >= level.TCB.SVN {
			return level, nil
		}
	}
	return svnLevel{}, ErrNoQE
}

// converge takes what a part's status makes of the whole's (Intel QVL, TcbStatus: the module's and the enclave's do
// the same). Parts are up to date, out of date or revoked; what Intel never said of a part has no order.
func converge(whole, part Status) Status {
	switch {
	case part == UpToDate || whole == Revoked:
		return whole
	case part == Revoked:
		return Revoked
	case part != OutOfDate:
		return unordered
	case whole == ConfigurationNeeded || whole == ConfigurationAndSWHardeningNeeded || whole == OutOfDateConfigurationNeeded:
		return OutOfDateConfigurationNeeded
	default:
		return OutOfDate
	}
}

func equalMasked(have, want, mask []byte) bool {
	if len(have) != len(want) || len(have) != len(mask) {
		return false
	}
	for i := range have {
		if have[i]&mask[i] != want[i]&mask[i] {
			return false
		}
	}
	return true
}

// reversed turns MISCSELECT round: a number in hexadecimal, and little-endian in the report.
func reversed(b []byte) []byte {
	r := make([]byte, len(b))
	for i := range b {
		r[len(b)-1-i] = b[i]
	}
	return r
}
