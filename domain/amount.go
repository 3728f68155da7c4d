package domain

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Nano is an amount of the network's coin in nanotons, 10^-9 of one coin.
//
// The whole supply is about 5.1e18 nanotons and an int64 holds 9.2e18, so every amount that can
// exist fits; arithmetic that leaves the range is an error, never a wrap. Nothing in Filature
// holds money in any other type.
type Nano int64

// Coin is one whole coin.
const Coin Nano = 1_000_000_000

// ErrAmountOverflow reports arithmetic that left the range of an amount. No real sum of coins does
// that, so whoever meets it holds an invented number.
var ErrAmountOverflow = errors.New("amount overflows int64 nanotons")

// Add returns a+b, or ErrAmountOverflow.
func (a Nano) Add(b Nano) (Nano, error) {
	sum := a + b
	if (sum > a) != (b > 0) && b != 0 {
		return 0, fmt.Errorf("%d + %d: %w", a, b, ErrAmountOverflow)
	}
	return sum, nil
}

// Sub returns a-b, or ErrAmountOverflow.
func (a Nano) Sub(b Nano) (Nano, error) {
	diff := a - b
	if (diff < a) != (b > 0) && b != 0 {
		return 0, fmt.Errorf("%d - %d: %w", a, b, ErrAmountOverflow)
	}
	return diff, nil
}

// Mul returns a*n, or ErrAmountOverflow.
func (a Nano) Mul(n int64) (Nano, error) {
	hi, lo := bits.Mul64(magnitude(int64(a)), magnitude(n))
	negative := (a < 0) != (n < 0)
	switch {
	case hi != 0 || lo > math.MaxInt64:
		return 0, fmt.Errorf("%d * %d: %w", a, n, ErrAmountOverflow)
	case negative:
		return Nano(-int64(lo)), nil
	default:
		return Nano(lo), nil
	}
}

// Share returns a*part/whole rounded toward zero, computed in 128 bits so that no product is lost.
// It is for a and part not negative, whole positive and part at most whole; anything else is a bug
// of the caller and panics.
func (a Nano) Share(part, whole int64) Nano {
	if a < 0 || part < 0 || whole <= 0 || part > whole {
		panic(fmt.Sprintf("domain: share %d of %d in %d", part, whole, a))
	}
	hi, lo := bits.Mul64(uint64(a), uint64(part))
	quotient, _ := bits.Div64(hi, lo, uint64(whole))
	return Nano(quotient)
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// String renders the amount in coins with all nine decimals: "12.000000345".
func (a Nano) String() string {
	sign := ""
	if a < 0 {
		sign = "-"
	}
	m := magnitude(int64(a))
	return fmt.Sprintf("%s%d.%09d", sign, m/uint64(Coin), m%uint64(Coin))
}

// ParseCoins reads an amount written in coins, as String writes it; fewer decimals are allowed, and
// none. There are digits on both sides of a point, and nothing else anywhere but a minus in front.
func ParseCoins(s string) (Nano, error) {
	whole, fraction, point := strings.Cut(s, ".")
	switch {
	case !isDigits(strings.TrimPrefix(whole, "-")) || point && !isDigits(fraction):
		return 0, fmt.Errorf("amount %q: want coins such as 12.5", s)
	case len(fraction) > 9:
		return 0, fmt.Errorf("amount %q: more than nine decimals", s)
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", 9-len(fraction)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("amount %q: %w", s, ErrAmountOverflow)
	}
	return Nano(n), nil
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
