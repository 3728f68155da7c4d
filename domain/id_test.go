package domain_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
)

func TestIDsAreReadAsTheyArePrinted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
		text := domain.WorkerID(raw).String()
		if got, err := domain.ParseID[domain.WorkerID](text); err != nil || got != raw {
			t.Fatalf("%s: got %s, %v", text, got, err)
		}
		for _, other := range []string{
			domain.NetworkID(raw).String(), domain.AccountID(raw).String(), domain.ClientID(raw).String(), domain.ProviderID(raw).String(),
			domain.JobID(raw).String(), domain.ModelID(raw).String(), domain.RateCardID(raw).String(), domain.KeyID(raw).String(),
			domain.Digest(raw).String(),
		} {
			if other != text {
				t.Fatalf("one id is printed as %s and as %s", text, other)
			}
		}
	})
}

func TestWhatIsNoIDIsRefused(t *testing.T) {
	for _, text := range []string{"", "00", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("0", 66), strings.Repeat("g", 64)} {
		if id, err := domain.ParseID[domain.JobID](text); err == nil {
			t.Errorf("%q was read as %s", text, id)
		}
	}
}

func TestAPositionIsShardAndOffset(t *testing.T) {
	if got := (domain.Position{Shard: 3, Offset: 41}).String(); got != "3/41" {
		t.Errorf("got %s", got)
	}
}
