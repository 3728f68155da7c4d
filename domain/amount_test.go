package domain_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
)

// nanos leans to the ends of the range, where sums leave it.
var nanos = rapid.OneOf(
	rapid.Int64(),
	rapid.Int64Range(-1000, 1000),
	rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64/2 + 1, math.MinInt64 / 2}),
)

func TestArithmeticIsThatOfWholeNumbersOrAnOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := nanos.Draw(t, "a"), nanos.Draw(t, "b")
		x, y := big.NewInt(a), big.NewInt(b)
		for _, c := range []struct {
			name string
			do   func() (domain.Nano, error)
			want *big.Int
		}{
			{"add", func() (domain.Nano, error) { return domain.Nano(a).Add(domain.Nano(b)) }, new(big.Int).Add(x, y)},
			{"sub", func() (domain.Nano, error) { return domain.Nano(a).Sub(domain.Nano(b)) }, new(big.Int).Sub(x, y)},
			{"mul", func() (domain.Nano, error) { return domain.Nano(a).Mul(b) }, new(big.Int).Mul(x, y)},
		} {
			got, err := c.do()
			fits := c.want.IsInt64() && (c.name != "mul" || c.want.Int64() != math.MinInt64)
			switch {
			case fits && (err != nil || int64(got) != c.want.Int64()):
				t.Fatalf("%s %d %d: got %d, %v; want %d", c.name, a, b, got, err, c.want)
			case !fits && !errors.Is(err, domain.ErrAmountOverflow):
				t.Fatalf("%s %d %d: got %d, %v; want an overflow", c.name, a, b, got, err)
			}
		}
	})
}

func TestShareIsRoundedDownAndLosesNoProduct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.OneOf(rapid.Int64Range(0, math.MaxInt64), rapid.Int64Range(0, 5000)).Draw(t, "amount")
		whole := rapid.OneOf(rapid.Just(int64(1000)), rapid.Int64Range(1, math.MaxInt64)).Draw(t, "whole")
		part := rapid.Int64Range(0, whole).Draw(t, "part")
		want := new(big.Int).Mul(big.NewInt(amount), big.NewInt(part))
		want.Quo(want, big.NewInt(whole))
		if got := domain.Nano(amount).Share(part, whole); int64(got) != want.Int64() {
			t.Fatalf("%d of %d in %d: got %d, want %d", part, whole, amount, got, want)
		}
	})
}

func TestShareOfNonsenseIsABug(t *testing.T) {
	for _, c := range []struct {
		amount      domain.Nano
		part, whole int64
	}{{-1, 1, 2}, {1, -1, 2}, {1, 0, 0}, {1, 1, -1}, {1, 3, 2}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("share %+v did not panic", c)
				}
			}()
			c.amount.Share(c.part, c.whole)
		}()
	}
}

func TestCoinsAreReadAsTheyAreWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := domain.Nano(nanos.Draw(t, "amount"))
		got, err := domain.ParseCoins(amount.String())
		if err != nil || got != amount {
			t.Fatalf("%s: got %d, %v; want %d", amount, got, err, amount)
		}
	})
	for text, want := range map[string]domain.Nano{
		"12": 12 * domain.Coin, "12.5": 12_500_000_000, "0.000000001": 1, "-0.5": -500_000_000, "-1.25": -1_250_000_000,
		"9223372036.854775807": math.MaxInt64, "-9223372036.854775808": math.MinInt64,
	} {
		if got, err := domain.ParseCoins(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v; want %d", text, got, err, want)
		}
	}
	if got := domain.Nano(-345).String(); got != "-0.000000345" {
		t.Errorf("got %s", got)
	}
}

func TestWhatIsNoAmountOfCoinsIsRefused(t *testing.T) {
	for _, text := range []string{
		"", ".", "-", "+", "abc", "1e3", "1,5", " 1", "1 ", "1.0000000001", "1.-5", "1.+5", "--1", "+1", "1.2.3", ".5", "1.", "0x10", "1_000",
		"9223372036.854775808", "-9223372036.854775809", strings.Repeat("9", 40),
	} {
		if got, err := domain.ParseCoins(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}
