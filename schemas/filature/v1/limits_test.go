package filaturev1

import (
	"math"
	"testing"
)

// Databases and JSON readers would make a negative number of it.
func TestANumberThatNoInt64HoldsIsRefused(t *testing.T) {
	tick := &Claim{Body: &Claim_Tick{Tick: &Tick{}}}
	report := &Report{Network: make([]byte, 32), Signer: make([]byte, 32), Sequence: math.MaxInt64, Claims: []*Claim{tick}}
	if err := report.Check(); err != nil {
		t.Error(err)
	}
	report.Sequence++
	const want = "sequence: is 9223372036854775808, at most 9223372036854775807 is allowed"
	if err := report.Check(); err == nil || err.Error() != want {
		t.Errorf("refused with %v, want %s", err, want)
	}
}
