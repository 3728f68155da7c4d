package sevsnp_test

import (
	"crypto/x509"
	"testing"

	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/adapters/attestation/internal/anchors"
	"github.com/filature/filature/adapters/attestation/sevsnp"
)

// TestWhoMayNotSignCertificatesSignsNone: what crypto/x509 asks of an issuer is asked of AMD's too, though those are pinned.
func TestWhoMayNotSignCertificatesSignsNone(t *testing.T) {
	line := attestationtest.NewLine(t, "Genoa", attestationtest.PublishedKeys())
	key, err := sevsnp.ParseEndorsementKey(line.VCEK(t, line.TCB))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		edit func(ask *x509.Certificate)
		want bool
	}{
		{"the authority as it is", func(*x509.Certificate) {}, true},
		{"one that does not say what it may do", func(ask *x509.Certificate) { ask.KeyUsage = 0 }, true},
		{"one that is none", func(ask *x509.Certificate) { ask.IsCA = false }, false},
		{"one that may sign lists only", func(ask *x509.Certificate) { ask.KeyUsage = x509.KeyUsageCRLSign }, false},
		{"one with a key of another kind", func(ask *x509.Certificate) { ask.PublicKey = key.Certificate.PublicKey }, false},
		{"one with another key", func(ask *x509.Certificate) { ask.PublicKey = line.ARK.PublicKey }, false},
	} {
		ask := *line.ASK
		test.edit(&ask)
		if err := key.VerifySignedBy(anchors.AMD{ARK: line.ARK, ASK: &ask, ASVK: line.ASVK}); (err == nil) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
