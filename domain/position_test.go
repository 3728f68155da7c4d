package domain_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
)

func TestAFactPositionHasOneForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := domain.FactPosition{
			Position: domain.Position{
				Shard:  domain.Shard(rapid.Int32Min(0).Draw(t, "shard")),
				Offset: domain.Offset(rapid.Int64Min(0).Draw(t, "offset")),
			},
			Fact: int(rapid.Int32Min(0).Draw(t, "fact")),
		}
		if got, err := domain.ParseFactPosition(p.String()); err != nil || got != p {
			t.Fatalf("%s is read as %s, %v", p, got, err)
		}
	})
	for _, s := range []string{
		"", "3", "3/1042", "3/1042/7/", "3/1042/7/1", "03/1042/7", "3/+1042/7", "3/1042/-7", "-1/0/0", "3//7", " 3/1042/7", "3/1042/x",
		"2147483648/0/0", "0/9223372036854775808/0", "0/0/2147483648",
	} {
		if got, err := domain.ParseFactPosition(s); err == nil {
			t.Errorf("%q is read as %s", s, got)
		}
	}
}

func TestFactsOfAShardAreOrderedByEntryThenPlace(t *testing.T) {
	at := func(offset domain.Offset, fact int) domain.FactPosition {
		return domain.FactPosition{Position: domain.Position{Shard: 1, Offset: offset}, Fact: fact}
	}
	ordered := []domain.FactPosition{at(0, 0), at(0, 1), at(0, 2), at(1, 0), at(1, 1), at(9, 0), at(10, 0)}
	for i, a := range ordered {
		for j, b := range ordered {
			if want := min(1, max(-1, i-j)); a.Compare(b) != want {
				t.Errorf("%s against %s gives %d, want %d", a, b, a.Compare(b), want)
			}
		}
	}
}
