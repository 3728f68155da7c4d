package attestation

import (
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Again appraises evidence as a [Desk] did when it came to a recorded result: at its time, under its policy, with its
// collateral, which file returns by digest. Evidence and challenge are the caller's to find. The same program comes to
// the same result; a later one may word it otherwise, and make more checks.
//
// An error says that it can't be told what the result rested on.
func (v *Verifier) Again(
	recorded *v1.AttestationResult, challenge domain.Challenge, evidence *v1.Evidence, file func(domain.Digest) ([]byte, error),
) (*v1.AttestationResult, error) {
	text, err := file(domain.Digest(recorded.PolicyDigest))
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	policy, err := ParsePolicy(text)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, use := range recorded.Collateral {
		if len(use.Digest) == 0 {
			continue // it was missing
		}
		if files[use.Name], err = file(domain.Digest(use.Digest)); err != nil {
			return nil, fmt.Errorf("collateral %s: %w", use.Name, err)
		}
	}
	collateral, err := NewCollateral(files)
	if err != nil {
		return nil, err
	}
	return v.Appraise(Case{
		Evidence: evidence, Challenge: challenge, Policy: policy, Collateral: collateral, Now: time.UnixMilli(recorded.IssuedAtMs),
	}), nil
}
