package attestation

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Keeper keeps files for those who look at a result later, by their SHA-256. When KeepFile returns nil, the file is durable.
// Keeping one again costs little.
type Keeper interface {
	KeepFile(content []byte) error
}

// Desk is a verifier at work: under one policy, with a folder of collateral as it was last read. What a result can rest
// on is kept before the first that does. Safe for many goroutines.
type Desk struct {
	verifier *Verifier
	policy   *Policy
	folder   string
	keeper   Keeper
	reading  sync.Mutex // a slow reading must not take the place of a later one
	current  atomic.Pointer[Collateral]
}

// NewDesk reads the policy's text, and the folder for the first time.
func NewDesk(verifier *Verifier, policy []byte, folder string, keeper Keeper) (*Desk, error) {
	parsed, err := ParsePolicy(policy)
	if err != nil {
		return nil, err
	}
	if err := keeper.KeepFile(policy); err != nil {
		return nil, fmt.Errorf("keep the policy: %w", err)
	}
	d := &Desk{verifier: verifier, policy: parsed, folder: folder, keeper: keeper}
	return d, d.Reload()
}

// Reload reads the folder again; call it when a file was brought. On an error the last good reading stays.
func (d *Desk) Reload() error {
	d.reading.Lock()
	defer d.reading.Unlock()
	collateral, err := ReadCollateral(d.folder)
	if err != nil {
		return err
	}
	before := d.current.Load()
	for name, file := range collateral.files {
		if before != nil && before.files[name].digest == file.digest {
			continue
		}
		if err := d.keeper.KeepFile(file.bytes); err != nil {
			return fmt.Errorf("keep collateral %s: %w", name, err)
		}
	}
	d.current.Store(&collateral)
	return nil
}

// Has says whether a file of collateral was there when the folder was last read.
func (d *Desk) Has(name string) bool {
	_, has := d.current.Load().files[name]
	return has
}

// Appraise says what evidence proves, with what is known now. It ends at the first cheap check that fails.
func (d *Desk) Appraise(challenge domain.Challenge, evidence *v1.Evidence, now time.Time) *v1.AttestationResult {
	return d.verifier.Appraise(Case{Evidence: evidence, Challenge: challenge, Policy: d.policy, Collateral: *d.current.Load(), Now: now})
}
