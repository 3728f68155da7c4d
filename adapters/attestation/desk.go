package attestation

import (
	"sync/atomic"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Desk is a verifier at work: under one policy, with a folder of collateral as it was last read. Safe for many
// goroutines.
type Desk struct {
	verifier *Verifier
	policy   *Policy
	folder   string
	current  atomic.Pointer[Collateral]
}

// NewDesk reads the folder for the first time.
func NewDesk(verifier *Verifier, policy *Policy, folder string) (*Desk, error) {
	d := &Desk{verifier: verifier, policy: policy, folder: folder}
	return d, d.Reload()
}

// Reload reads the folder again; call it when a file was brought. On an error the last good reading stays.
func (d *Desk) Reload() error {
	collateral, err := ReadCollateral(d.folder)
	if err != nil {
		return err
	}
	d.current.Store(&collateral)
	return nil
}

// Appraise says what evidence proves, with what is known now. It ends at the first cheap check that fails.
func (d *Desk) Appraise(challenge domain.Challenge, evidence *v1.Evidence, now time.Time) *v1.AttestationResult {
	return d.verifier.Appraise(Case{Evidence: evidence, Challenge: challenge, Policy: d.policy, Collateral: *d.current.Load(), Now: now})
}
