package attestation

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/filature/filature/adapters/attestation/sevsnp"
)

// appraiseSNP looks at a report of SEV-SNP: first at what it says, which costs microseconds, then at who says it.
func (a *appraisal) appraiseSNP() {
	policy := a.Policy.SNP
	if !a.check(hardware, unrecognised, "evidence/tee", policy != nil, "the policy takes SEV-SNP", "", "") {
		return
	}
	report, err := sevsnp.Parse(a.Evidence.Report)
	if !a.holds(unexpected, "snp/format", "the report is one that AMD's firmware writes", err) {
		return
	}
	a.binding(report.ReportData)
	a.snpConfiguration(report, *policy)
	measured := report.Measurement[:]
	image := sha256.Sum256(measured)
	a.result.ImageHash = image[:]
	a.image(measured)
	a.models()
	a.snpChip(report)
	a.check(hardware, unrecognised, "snp/key-kind", slices.Contains(policy.Keys, report.Signer),
		"the policy takes this kind of key", string(report.Signer), fmt.Sprint(policy.Keys))
	line, ok := a.snpLine(report)
	if !ok {
		return
	}
	a.snpFloors(report, line)
	a.appraiseGPUs()

	if a.hopeless() {
		return
	}
	key, ok := a.snpKey(report, line)
	if !ok {
		return
	}
	a.statement(report.Signed(), key.Certificate)
	if a.hopeless() {
		return
	}
	a.snpRevocations(report.Signer, key)
	a.holds(cryptoFailed, "snp/signature", "the report is signed by the endorsement key", report.VerifySignature(key))
	a.verifyGPUs()
	a.complete = true
}

// snpConfiguration checks how the guest was started and how the machine is set up.
func (a *appraisal) snpConfiguration(r *sevsnp.Report, policy SNPPolicy) {
	a.looked[runtimeOpaque] = true
	if !a.check(configuration, unacceptable, "snp/debug", !r.Policy.Debug, "the host may not read the guest's memory for debugging", "", "") {
		a.lower(runtimeOpaque, failing, unacceptable)
	}
	a.check(configuration, unacceptable, "snp/migration", !r.Policy.MigrateMA, "no agent may move the guest elsewhere", "", "")
	a.check(configuration, unacceptable, "snp/vmpl", r.VMPL == 0, "the report was asked for from the most privileged level of the guest",
		fmt.Sprint(r.VMPL), "0") // 0xffffffff: the host asked
	a.check(configuration, unacceptable, "snp/smt", policy.AllowSMT || !r.Policy.SMT,
		"the guest's cores are its own, or the policy does not mind", "", "")
	a.check(configuration, weak, "snp/alias-check", r.Platform.AliasCheckComplete,
		"the machine has checked that no two addresses are one memory (BadRAM)", "", "")
	a.check(configuration, weak, "snp/tio", policy.AllowTIO || !r.Platform.TIOEnabled,
		"no device reaches into guests, or the policy does not mind", "", "")
	a.check(configuration, weak, "snp/ciphertext-hiding", !policy.RequireCiphertextHiding || r.Platform.CiphertextHidingDRAMEnabled,
		"the host can't read the encrypted memory, or the policy does not mind", "", "")
	a.check(configuration, weak, "snp/rapl", !policy.RequireRAPLDisabled || r.Platform.RAPLDisabled,
		"the host can't measure the guest's power, or the policy does not mind", "", "")
}

// snpChip checks which chip it is. With a VLEK the report has the chip's id as well, unless it was masked.
func (a *appraisal) snpChip(r *sevsnp.Report) {
	masked := r.ChipID == [64]byte{}
	if !a.check(identity, unrecognised, "snp/chip-shown", !masked, "the report names its chip", "", "") {
		return
	}
	a.result.Chip = r.ChipID[:]
	a.platform(r.ChipID[:])
}

// snpLine says which line of processors the report is of, if the policy takes it. Version 2 of the report names none:
// then the certificate does, and the authority of that very line will have to have signed it.
func (a *appraisal) snpLine(r *sevsnp.Report) (string, bool) {
	line := r.Product
	if line == "" {
		claimed, err := sevsnp.ParseEndorsementKey(a.Evidence.EndorsementKey)
		if !a.holds(cryptoFailed, "snp/key-format", "the endorsement key's certificate can be read", err) {
			return "", false
		}
		if line = claimed.Product; line == sevsnp.Turin {
			line = "unknown" // its firmware never wrote version 2, and its levels are laid out in another way
		}
	}
	a.result.Product = line
	product, taken := a.Policy.SNP.Products[line]
	_, known := a.anchors.AMD[line]
	if !a.check(hardware, unrecognised, "snp/product", taken && known, "the policy takes this line of processors", line, "") {
		return "", false
	}
	if product.Tier == Warning {
		a.warn(hardware, "snp/product-tier", "the policy has a reservation about this line of processors", line)
	}
	return line, true
}

// snpFloors checks that the firmware is as new as the policy asks, at every point in the guest's life.
func (a *appraisal) snpFloors(r *sevsnp.Report, line string) {
	floor := a.Policy.SNP.Products[line].Min.level()
	a.result.Tcb = sevsnp.DecodeTCB(line, r.Reported).String()
	for _, point := range []struct {
		name, says string
		level      uint64
	}{
		{"reported", "the level that the machine reports is patched", r.Reported},
		{"committed", "the machine can't go back to firmware that is not patched", r.Committed},
		{"launch", "the machine was patched when the guest started", r.Launch},
		{"current", "the machine is patched now", r.Current},
	} {
		level := sevsnp.DecodeTCB(line, point.level)
		a.check(hardware, weak, "snp/tcb-"+point.name, level.AtLeast(floor), point.says, level.String(), "at least "+floor.String())
	}
}

// snpKey finds and verifies the certificate of the key that is said to have signed the report.
func (a *appraisal) snpKey(r *sevsnp.Report, line string) (*sevsnp.EndorsementKey, bool) {
	key, ok := a.snpKeyShown(r, line)
	if !ok {
		return nil, false
	}
	a.within(key.Certificate.NotAfter)
	if key.Signer == sevsnp.VCEK && r.ChipID != [64]byte{} {
		a.check(hardware, cryptoFailed, "snp/key-chip", key.IsChip(r.ChipID), "the endorsement key is that of the chip which the report names",
			fmt.Sprintf("%x", key.HardwareID), fmt.Sprintf("%x", r.ChipID[:len(key.HardwareID)]))
	}
	// The host may report a lower level than it runs, and no higher one: keys of higher levels are not there yet.
	reported := sevsnp.DecodeTCB(line, r.Reported)
	a.check(hardware, cryptoFailed, "snp/key-tcb", reported == key.TCB && reported.Encode(line) == r.Reported,
		"the endorsement key was made for the level that is reported", reported.String(), key.TCB.String())
	return key, true
}

// snpKeyShown verifies the certificate that the worker shows, or where it shows none the one in our collateral.
func (a *appraisal) snpKeyShown(r *sevsnp.Report, line string) (*sevsnp.EndorsementKey, bool) {
	der := a.Evidence.EndorsementKey
	if len(der) == 0 {
		return a.snpOwnKey(r, line)
	}
	key, err := a.snpKeyOf(r.Signer, line, der)
	if err != nil {
		err = fmt.Errorf("the endorsement key's certificate: %w", err)
	}
	if !a.holds(cryptoFailed, "snp/key-chain", "AMD's key for this line certifies the endorsement key", err) {
		return nil, false
	}
	a.holds(cryptoFailed, "snp/key-dates", "all certificates are valid now", key.InTime(a.anchors.AMD[line], a.Now))
	return key, true
}

// snpOwnKey finds the certificate of the chip's key in our collateral. Whatever is wrong with it there is our fault.
func (a *appraisal) snpOwnKey(r *sevsnp.Report, line string) (*sevsnp.EndorsementKey, bool) {
	if r.Signer != sevsnp.VCEK || r.ChipID == [64]byte{} {
		a.fail(hardware, cryptoFailed, "snp/key-format", "there is no endorsement key, and the report does not say enough to look for it", "", "")
		return nil, false
	}
	const check = "snp/key-chain"
	name := amdChipKey(line, r.ChipID, sevsnp.DecodeTCB(line, r.Reported))
	found, ok := a.collateral(check, name)
	if !ok {
		return nil, false
	}
	key, err := a.snpKeyOf(r.Signer, line, found.bytes)
	if err == nil && chipKeyName(key) != name {
		err = errors.New("is of another chip or level")
	}
	if err == nil {
		err = key.InTime(a.anchors.AMD[line], a.Now)
	}
	if err != nil {
		a.badFile(check, name, err.Error())
		return nil, false
	}
	a.check(hardware, cryptoFailed, check, true, "AMD's key for this line certifies the endorsement key", "", "")
	return key, true
}

// snpKeyOf reads the certificate of a key of a line, and says whether the line's authority signed it.
func (a *appraisal) snpKeyOf(signer sevsnp.Signer, line string, der []byte) (*sevsnp.EndorsementKey, error) {
	return a.chipKeys.of(keyOf(string(signer)+"/"+line, der), func() (*sevsnp.EndorsementKey, error) {
		key, err := sevsnp.ParseEndorsementKey(der)
		switch {
		case err != nil:
			return nil, err
		case key.Signer != signer:
			return nil, fmt.Errorf("is that of a %s, and the report is signed by a %s", key.Signer, signer)
		case key.Product != line:
			return nil, fmt.Errorf("is of a %s, and the report of a %s", key.Product, line)
		}
		return key, key.VerifySignedBy(a.anchors.AMD[line])
	})
}

// chipKeyName is the name that a VCEK's certificate has to have in collateral.
func chipKeyName(key *sevsnp.EndorsementKey) string {
	var chip [64]byte
	copy(chip[:], key.HardwareID)
	return amdChipKey(key.Product, chip, key.TCB)
}

// snpRevocations checks AMD's list. Not to have it is our own fault; to be on it is not.
func (a *appraisal) snpRevocations(signer sevsnp.Signer, key *sevsnp.EndorsementKey) {
	const check = "snp/revocation"
	amd := a.anchors.AMD[key.Product]
	name := amdRevocations(key.Product, signer)
	found, ok := a.collateral(check, name)
	if !ok {
		return
	}
	list, err := a.revocations.of(keyOf("amd/"+key.Product, found.digest[:]), func() (*x509.RevocationList, error) {
		return sevsnp.VerifyRevocations(found.bytes, amd)
	})
	if err != nil {
		a.badFile(check, name, err.Error())
		return
	}
	if !a.inTime(check, name, list.ThisUpdate, list.NextUpdate) {
		return
	}
	a.check(hardware, unacceptable, check, !key.RevokedBy(list, amd), "AMD has not revoked the keys above the report's", "", "")
}

func sha256Of(b []byte) []byte {
	digest := sha256.Sum256(b)
	return digest[:]
}
