package signing

import (
	"crypto/ed25519"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// answerPrefix is what the signed message of an attestation answer begins with, as reportPrefix is for
// a report: the same worker key signs both.
const answerPrefix = "filature/answer/v1\x00"

// Answer signs a worker's answer to a challenge and returns it as it travels: an encoded SignedAnswer.
func Answer(private ed25519.PrivateKey, answer *v1.AttestationAnswer) ([]byte, error) {
	raw, err := v1.Encode(answer)
	if err != nil {
		return nil, fmt.Errorf("answer to a challenge: %w", err)
	}
	signed, err := v1.Encode(&v1.SignedAnswer{Answer: raw, Signature: ed25519.Sign(private, append([]byte(answerPrefix), raw...))})
	if err != nil {
		return nil, fmt.Errorf("answer to a challenge: %w", err)
	}
	return signed, nil
}

// VerifyAnswer reports whether the signature of an encoded AttestationAnswer is the key's, by the rule of
// the package.
func (v *Verifier) VerifyAnswer(key domain.KeyID, answer, signature []byte) bool {
	return v.keys.VerifyWithOptions(key[:], append([]byte(answerPrefix), answer...), signature, zip215)
}
