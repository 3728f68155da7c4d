package attestation_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// TestAnAppraisalCanBeMadeAgain from what its result names alone, whatever it came to.
func TestAnAppraisalCanBeMadeAgain(t *testing.T) {
	w := attestationtest.NewWorld(t)
	files := w.Files(t)
	withoutList := w.Files(t)
	delete(withoutList, "amd/Genoa/vcek.crl")
	for name, test := range map[string]struct {
		evidence *v1.Evidence
		files    map[string][]byte
	}{
		"SEV-SNP":                {w.SNP(t, "Genoa"), files},
		"TDX":                    {w.TDX(t, 4, nil), files},
		"one that fails":         {w.SNP(t, "Genoa", func(report []byte) { report[0x90] ^= 1 }), files},
		"one that can't be told": {w.SNP(t, "Genoa"), withoutList},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.Case(t, test.evidence)
			c.Collateral, c.Thorough = attestationtest.Collateral(t, test.files), false
			recorded := w.Verifier().Appraise(c)
			archived := map[domain.Digest][]byte{c.Policy.Digest(): []byte(w.PolicyText())}
			for _, content := range test.files {
				archived[sha256.Sum256(content)] = content
			}
			errMissing := errors.New("missing")
			file := func(digest domain.Digest) ([]byte, error) {
				if content, has := archived[digest]; has {
					return content, nil
				}
				return nil, errMissing
			}
			again, err := w.Verifier().Again(recorded, c.Challenge, test.evidence, file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(recorded, again, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			later := attestation.New() // who believes others comes to something else
			if again, err = later.Again(recorded, c.Challenge, test.evidence, file); err != nil || attestation.Accepted(again) {
				t.Errorf("%v, accepted by AMD's and Intel's own keys: %v", err, attestation.Accepted(again))
			}
			for digest := range archived {
				if digest != c.Policy.Digest() {
					delete(archived, digest)
				}
			}
			rests := false
			for _, use := range recorded.Collateral {
				rests = rests || len(use.Digest) != 0
			}
			if _, err := w.Verifier().Again(recorded, c.Challenge, test.evidence, file); rests != errors.Is(err, errMissing) {
				t.Errorf("without collateral: %v", err)
			}
			clear(archived)
			if _, err := w.Verifier().Again(recorded, c.Challenge, test.evidence, file); !errors.Is(err, errMissing) {
				t.Errorf("without the policy: %v", err)
			}
		})
	}
}
