package attestation

import (
	"strings"
	"time"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// claim is one of the claims of AR4SI that we make.
type claim int

const (
	identity claim = iota
	configuration
	executables
	hardware
	runtimeOpaque
	claims // how many there are
)

// Values of claims: draft-ietf-rats-ar4si, section 2.3.
const (
	malfunction  = -1
	noClaim      = 0
	unexpected   = 1 // the evidence can't be read
	recognised   = 2 // instance-identity, configuration, hardware, runtime-opaque
	bootApproved = 3 // executables
	weak         = 32
	unknownImage = 33
	unacceptable = 96
	unrecognised = 97
	cryptoFailed = 99
)

// affirmed is what a claim is when nothing was found against it.
var affirmed = [claims]int64{identity: recognised, configuration: recognised, executables: bootApproved, hardware: recognised, runtimeOpaque: recognised}

// maxWords is how long a text of a check may be, as the schema says.
const maxWords = 200

// appraisal is one appraisal under way. It has one owner.
type appraisal struct {
	Case
	*Verifier

	result *v1.AttestationResult
	vector [claims]int64
	looked [claims]bool
	rank   [claims]rank
	// good is false once some check failed, and sure once the verifier could not tell.
	good, sure bool
	until      time.Time // when what was found ends to hold
	// complete says that every check was come to. Before that nothing is affirmed.
	complete bool
}

// check notes what was looked at. The words say what should hold; against is the value of the claim if it does not.
func (a *appraisal) check(about claim, against int64, name string, holds bool, says, have, want string) bool {
	if !holds {
		a.fail(about, against, name, "not so: "+says, have, want)
		return false
	}
	a.note(about, &v1.AttestationCheck{Name: name, Outcome: v1.CheckOutcome_CHECK_OUTCOME_PASS, Says: says, Have: have, Want: want})
	return true
}

// fail notes what does not hold, in its own words.
func (a *appraisal) fail(about claim, against int64, name, says, have, want string) {
	a.good = false
	a.lower(about, failing, against)
	a.note(about, &v1.AttestationCheck{Name: name, Outcome: v1.CheckOutcome_CHECK_OUTCOME_FAIL, Says: says, Have: have, Want: want})
}

// holds notes a check about the hardware that needs no have and want. An error says why it failed, nil that it held.
func (a *appraisal) holds(against int64, name, says string, err error) bool {
	if err != nil {
		a.fail(hardware, against, name, err.Error(), "", "")
		return false
	}
	return a.check(hardware, against, name, true, says, "", "")
}

// warn notes what holds with a reservation.
func (a *appraisal) warn(about claim, name, says, have string) {
	a.lower(about, reserved, weak)
	a.note(about, &v1.AttestationCheck{Name: name, Outcome: v1.CheckOutcome_CHECK_OUTCOME_WARN, Says: says, Have: have})
}

// fault notes what the verifier can't tell, by its own fault. All of it is about the hardware: what a report says of
// the rest needs no file of ours.
func (a *appraisal) fault(name, says string) {
	a.sure = false
	a.lower(hardware, faulty, malfunction)
	a.note(hardware, &v1.AttestationCheck{Name: name, Outcome: v1.CheckOutcome_CHECK_OUTCOME_FAULT, Says: says})
}

func (a *appraisal) note(about claim, c *v1.AttestationCheck) {
	a.looked[about] = true
	c.Says, c.Have, c.Want = clip(c.Says), clip(c.Have), clip(c.Want)
	a.result.Checks = append(a.result.Checks, c)
}

// rank orders what was found about a claim: a failure outweighs our own fault, and that a reservation.
type rank int

const (
	reserved rank = 1 + iota
	faulty
	failing
)

// lower makes a claim worse, never better. Of two failures the one with the greater number is the worse.
func (a *appraisal) lower(about claim, found rank, value int64) {
	if found > a.rank[about] || found == a.rank[about] && value > a.vector[about] {
		a.rank[about], a.vector[about] = found, value
	}
}

// hopeless says whether an expensive check is not worth its price any more: something cheap failed, and nobody wants
// to read the whole list.
func (a *appraisal) hopeless() bool { return !a.good && !a.Thorough }

// collateral returns a file. If the verifier lacks it, that is noted under the check that wanted it.
func (a *appraisal) collateral(check, name string) (file, bool) {
	found, ok := a.Collateral.files[name]
	use := &v1.CollateralUse{Name: name}
	if ok {
		use.Digest = found.digest[:]
	}
	for _, before := range a.result.Collateral {
		if before.Name == name {
			use = nil
			break
		}
	}
	if use != nil {
		a.result.Collateral = append(a.result.Collateral, use)
	}
	if !ok {
		a.fault(check, "the verifier lacks "+name)
	}
	return found, ok
}

// badFile notes that a file of ours is no good.
func (a *appraisal) badFile(check, name, why string) {
	for _, use := range a.result.Collateral {
		if use.Name == name {
			use.Unusable = true
		}
	}
	a.fault(check, "the verifier's "+name+" "+why)
}

// within keeps the result from holding longer than what it rests on.
func (a *appraisal) within(end time.Time) {
	if end.Before(a.until) {
		a.until = end
	}
}

// conclude makes the verdict out of the checks.
func (a *appraisal) conclude() *v1.AttestationResult {
	r := a.result
	// What a report says counts for nothing if nobody of whom we know signed it.
	believed := a.complete && a.vector[hardware] != cryptoFailed
	for c := range claims {
		if believed && a.looked[c] && a.vector[c] == noClaim {
			a.vector[c] = affirmed[c]
		}
	}
	warned := false
	for _, check := range r.Checks {
		warned = warned || check.Outcome == v1.CheckOutcome_CHECK_OUTCOME_WARN
	}
	switch {
	case !a.good:
		r.Status = v1.AttestationStatus_ATTESTATION_STATUS_CONTRAINDICATED
	case !a.sure:
		r.Status = v1.AttestationStatus_ATTESTATION_STATUS_NONE
	case warned:
		r.Status = v1.AttestationStatus_ATTESTATION_STATUS_WARNING
	default:
		r.Status = v1.AttestationStatus_ATTESTATION_STATUS_AFFIRMING
	}
	r.Vector = &v1.TrustVector{
		InstanceIdentity: a.vector[identity], Configuration: a.vector[configuration], Executables: a.vector[executables],
		Hardware: a.vector[hardware], RuntimeOpaque: a.vector[runtimeOpaque],
	}
	if r.Status == v1.AttestationStatus_ATTESTATION_STATUS_AFFIRMING ||
		r.Status == v1.AttestationStatus_ATTESTATION_STATUS_WARNING && a.Policy.Accept == Warning {
		r.ValidUntilMs = a.until.UnixMilli()
	}
	return r
}

// clip makes any text fit a check.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxWords {
		return s
	}
	return strings.ToValidUTF8(s[:maxWords-3], "") + "..."
}

// Accepted says whether a worker may earn on a result.
func Accepted(r *v1.AttestationResult) bool { return r.ValidUntilMs > r.IssuedAtMs }

// Lacking names the collateral that the verifier has to get: what it has not, and what is no good.
func Lacking(r *v1.AttestationResult) []string {
	var names []string
	for _, use := range r.Collateral {
		if len(use.Digest) == 0 || use.Unusable {
			names = append(names, use.Name)
		}
	}
	return names
}
