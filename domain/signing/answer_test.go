package signing_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func TestAnAnswerIsItsSignersAndNobodyElses(t *testing.T) {
	key, other := ed25519.NewKeyFromSeed(make([]byte, 32)), ed25519.NewKeyFromSeed(append(make([]byte, 31), 1))
	raw, err := signing.Answer(key, &v1.AttestationAnswer{
		Network: make([]byte, 32), Worker: make([]byte, 32), Challenge: make([]byte, 32),
		Evidence: &v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: []byte("a quote")},
	})
	if err != nil {
		t.Fatal(err)
	}
	var signed v1.SignedAnswer
	if err := v1.Decode(raw, &signed); err != nil {
		t.Fatal(err)
	}
	verifier := signing.NewVerifier(4)
	if !verifier.VerifyAnswer(signing.KeyOf(key), signed.Answer, signed.Signature) {
		t.Error("the signer's own answer is not taken")
	}
	if verifier.VerifyAnswer(signing.KeyOf(other), signed.Answer, signed.Signature) {
		t.Error("the answer passes for another signer's")
	}
	if verifier.VerifyAnswer(signing.KeyOf(key), append([]byte{0}, signed.Answer...), signed.Signature) {
		t.Error("another answer passes")
	}
	if verifier.VerifyAnswer(signing.KeyOf(key), signed.Answer, signing.Sign(key, signed.Answer)) {
		t.Error("the signature of a report passes for one of an answer")
	}
	if verifier.Verify(signing.KeyOf(key), signed.Answer, signed.Signature) {
		t.Error("the signature of an answer passes for one of a report")
	}
}
