package attestation

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/filature/filature/adapters/attestation/tdx"
	"github.com/filature/filature/domain"
)

// takenAttributes are the bits of a guest's attributes that change nothing for us.
const takenAttributes = tdx.AttributeSeptVEDisable | tdx.AttributePKS | tdx.AttributeKeyLocker

// appraiseTDX looks at a quote of TDX: first at what it says, then at who says it, last at what Intel says of them.
func (a *appraisal) appraiseTDX() {
	policy := a.Policy.TDX
	if !a.check(hardware, unrecognised, "evidence/tee", policy != nil, "the policy takes TDX", "", "") {
		return
	}
	quote, err := tdx.Parse(a.Evidence.Report)
	if !a.holds(unexpected, "tdx/format", "the quote is one that Intel's quoting enclave writes", err) {
		return
	}
	a.binding(quote.ReportData)
	a.tdxConfiguration(quote)
	image := quote.CocoonImageHash()
	a.result.ImageHash = image[:]
	a.image(image[:])
	a.models()
	platform, err := tdx.PlatformOf(quote.PCK)
	if !a.holds(unexpected, "tdx/pck-format", "the PCK certificate says which processor it is", err) {
		return
	}
	a.statement(quote.Signed(), quote.PCK)
	a.result.Chip, a.result.Product = platform.PPID[:], "TDX "+strings.ToUpper(platform.FMSPCText())
	a.result.Tcb = fmt.Sprintf("components %v, pce %d, module %d.%d", platform.Components, platform.PCESVN, quote.ModuleSVNs[1], quote.ModuleSVNs[0])
	a.platform(platform.PPID[:])
	a.check(hardware, unrecognised, "tdx/fmspc", holds(policy.FMSPCs, platform.FMSPC[:]), "the policy takes this kind of processor", platform.FMSPCText(), "")
	a.appraiseGPUs()

	if a.hopeless() {
		return
	}
	a.tdxChain(quote, platform)
	a.holds(cryptoFailed, "tdx/quoting-enclave", "the processor's key vouches for the quoting enclave, and that for the key of the quote",
		quote.VerifyQuotingEnclave())
	a.holds(cryptoFailed, "tdx/signature", "the quote is signed by the quoting enclave's key", quote.VerifySignature())
	if a.hopeless() {
		return
	}
	a.tdxLevel(quote, platform)
	a.verifyGPUs()
	a.complete = true
}

// tdxConfiguration checks how the guest was started.
func (a *appraisal) tdxConfiguration(q *tdx.Quote) {
	attributes := fmt.Sprintf("attributes %#x", q.Attributes)
	a.looked[runtimeOpaque] = true
	if !a.check(configuration, unacceptable, "tdx/debug", !q.Untrusted(), "the host may not look into the guest for debugging", attributes, "") {
		a.lower(runtimeOpaque, failing, unacceptable)
	}
	a.check(configuration, unacceptable, "tdx/migration", q.Attributes&tdx.AttributeMigratable == 0 && len(strings.Trim(string(q.ServiceTD), "\x00")) == 0,
		"no other guest may move this one elsewhere", attributes, "")
	a.check(configuration, unacceptable, "tdx/sept-ve", q.Attributes&tdx.AttributeSeptVEDisable != 0,
		"the host can't take the guest's memory away under it (SEPT_VE_DISABLE)", attributes, "")
	rest := q.Attributes &^ uint64(takenAttributes|tdx.AttributeMigratable|0xff)
	a.check(configuration, weak, "tdx/attributes", rest == 0, "no other attribute is set that would show the host what the guest does", attributes, "")
}

// tdxIssuer returns one of Intel's authorities below the root, out of the collateral.
func (a *appraisal) tdxIssuer(check, name string, parse func(chain []byte) (*x509.Certificate, error)) (*x509.Certificate, bool) {
	found, ok := a.collateral(check, name)
	if !ok {
		return nil, false
	}
	issuer, err := a.issuers.of(keyOf(name, found.digest[:]), func() (*x509.Certificate, error) { return parse(found.bytes) })
	if err != nil {
		a.badFile(check, name, err.Error())
		return nil, false
	}
	if !a.inTime(check, name, issuer.NotBefore, issuer.NotAfter) {
		return nil, false
	}
	return issuer, true
}

// tdxRevocations returns a list of Intel's that is good now.
func (a *appraisal) tdxRevocations(check, name string, issuer *x509.Certificate) (*x509.RevocationList, bool) {
	found, ok := a.collateral(check, name)
	if !ok {
		return nil, false
	}
	key := keyOf("intel/"+issuer.Subject.CommonName, append(sha256Of(issuer.Raw), found.digest[:]...))
	list, err := a.revocations.of(key, func() (*x509.RevocationList, error) {
		return tdx.VerifyRevocations(found.bytes, issuer)
	})
	if err != nil {
		a.badFile(check, name, err.Error())
		return nil, false
	}
	return list, a.inTime(check, name, list.ThisUpdate, list.NextUpdate)
}

// tdxChain checks that Intel certifies the processor's key, and has not taken that back. The authority between the
// root and the processor comes out of our collateral, not out of the quote.
func (a *appraisal) tdxChain(q *tdx.Quote, p tdx.Platform) {
	const chain, revocation = "tdx/pck-chain", "tdx/revocation"
	issuer, ok := a.tdxIssuer(chain, intelPCKSigner(p.CA), func(pem []byte) (*x509.Certificate, error) {
		return tdx.ParsePCKSigner(pem, a.anchors.Intel, p.CA)
	})
	if !ok {
		return
	}
	if !a.holds(cryptoFailed, chain, "Intel certifies the processor's key", tdx.VerifyPCK(q.PCK, issuer)) {
		return
	}
	a.check(hardware, cryptoFailed, "tdx/pck-dates", !a.Now.Before(q.PCK.NotBefore) && !a.Now.After(q.PCK.NotAfter),
		"the PCK certificate is valid now", "now "+text(a.Now), text(q.PCK.NotBefore)+" to "+text(q.PCK.NotAfter))
	a.within(q.PCK.NotAfter)
	ofRoot, ok := a.tdxRevocations(revocation, intelRootRevocations, a.anchors.Intel)
	if !ok {
		return
	}
	ofIssuer, ok := a.tdxRevocations(revocation, intelPCKRevocations(p.CA), issuer)
	if !ok {
		return
	}
	if tdx.Revokes(ofRoot, issuer) {
		// Our own file is the revoked one, and the processor's key was signed by it.
		a.fail(hardware, unacceptable, revocation, "Intel has revoked the authority above the processor's key", "", "")
		return
	}
	a.check(hardware, unacceptable, revocation, !tdx.Revokes(ofIssuer, q.PCK), "Intel has not revoked the processor's key", "", "")
}

// tdxLevel checks how patched Intel holds the machine to be.
func (a *appraisal) tdxLevel(q *tdx.Quote, p tdx.Platform) {
	const check = "tdx/tcb-status"
	info, identity, ok := a.tdxLists(check, p)
	if !ok {
		return
	}
	a.check(hardware, unrecognised, "tdx/tcb-platform", string(info.FMSPC) == string(p.FMSPC[:]) && string(info.PCEID) == string(p.PCEID[:]),
		"Intel's list is about this kind of processor", fmt.Sprintf("%x, PCE %x", info.FMSPC, info.PCEID), fmt.Sprintf("%x, PCE %x", p.FMSPC, p.PCEID))
	level, err := tdx.Appraise(q, p, info, identity)
	if !a.holds(weak, "tdx/tcb-level", "the machine is on Intel's lists", err) {
		return
	}
	a.result.Advisories = advisories(level.Advisories)
	a.result.Tcb += ", of " + level.Date.UTC().Format("2006-01-02")
	switch tier, taken := a.Policy.TDX.Status[level.Status]; {
	case !taken:
		a.check(hardware, weak, check, false, "the policy takes what Intel says of the machine's level",
			string(level.Status), fmt.Sprint(statuses(a.Policy.TDX.Status)))
	case tier == Warning:
		a.warn(hardware, check, "the policy has a reservation about what Intel says of the machine's level", string(level.Status))
	default:
		a.check(hardware, weak, check, true, "the policy takes what Intel says of the machine's level", string(level.Status), "")
	}
}

// tdxLists returns Intel's two lists, if they are good now.
func (a *appraisal) tdxLists(check string, p tdx.Platform) (*tdx.TCBInfo, *tdx.QEIdentity, bool) {
	issuer, ok := a.tdxIssuer(check, intelTCBSigner, func(pem []byte) (*x509.Certificate, error) {
		return tdx.ParseListSigner(pem, a.anchors.Intel)
	})
	if !ok {
		return nil, nil, false
	}
	if root, ok := a.tdxRevocations(check, intelRootRevocations, a.anchors.Intel); !ok {
		return nil, nil, false
	} else if tdx.Revokes(root, issuer) {
		a.badFile(check, intelTCBSigner, "is revoked by Intel")
		return nil, nil, false
	}
	infoName := intelTCBInfo(p.FMSPCText())
	infoFile, okInfo := a.collateral(check, infoName)
	identityFile, okIdentity := a.collateral(check, intelQEIdentity)
	if !okInfo || !okIdentity {
		return nil, nil, false
	}
	by := func(file domain.Digest) domain.Digest {
		return keyOf("intel", append(sha256Of(issuer.Raw), file[:]...))
	}
	info, err := a.tcbInfos.of(by(infoFile.digest), func() (*tdx.TCBInfo, error) { return tdx.VerifyTCBInfo(infoFile.bytes, issuer) })
	if err != nil {
		a.badFile(check, infoName, err.Error())
		return nil, nil, false
	}
	identity, err := a.identities.of(by(identityFile.digest), func() (*tdx.QEIdentity, error) {
		return tdx.VerifyQEIdentity(identityFile.bytes, issuer)
	})
	if err != nil {
		a.badFile(check, intelQEIdentity, err.Error())
		return nil, nil, false
	}
	if !a.inTime(check, infoName, info.IssueDate, info.NextUpdate) ||
		!a.inTime(check, intelQEIdentity, identity.IssueDate, identity.NextUpdate) {
		return nil, nil, false
	}
	for _, list := range []struct {
		name       string
		evaluation int
	}{{infoName, info.Evaluation}, {intelQEIdentity, identity.Evaluation}} {
		if list.evaluation < a.Policy.TDX.MinEvaluation {
			a.badFile(check, list.name, fmt.Sprintf("is of Intel's evaluation %d, and the policy asks for %d", list.evaluation, a.Policy.TDX.MinEvaluation))
			return nil, nil, false
		}
	}
	return info, identity, true
}

// maxAdvisoryBytes is how much of the list of advisories a result has room for.
const maxAdvisoryBytes = 1000

func advisories(ids []string) string {
	var s string
	for _, id := range ids {
		if id = strings.ToValidUTF8(id, "?"); len(s)+1+len(id) <= maxAdvisoryBytes {
			s = strings.TrimPrefix(s+" "+id, " ")
		}
	}
	return s
}

func statuses(taken map[tdx.Status]Tier) []tdx.Status {
	var all []tdx.Status
	for status := range taken {
		all = append(all, status)
	}
	slices.Sort(all)
	return all
}
