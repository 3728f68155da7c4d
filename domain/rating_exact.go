package domain

import (
	"math"
	"math/bits"

	"github.com/cockroachdb/apd/v3"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// exactUnit is how many units of a weight make one adjusted token.
const exactUnit = CoefficientOne * MultiplierOne

// rateExact is the rule exact/v1: the weight of a usage is exact, and each posting is that weight
// times its price, rounded half-even once.
func rateExact(card *v1.RateCard, coefficient uint32, classes *[4]class) (Charge, error) {
	weight := weigh(classes, coefficient)
	adjusted, ok := weight.times(1)
	if !ok {
		return Charge{}, &OverflowError{Field: "adjusted_tokens"}
	}
	client, ok := weight.times(card.PricePerTokenNano)
	if !ok {
		return Charge{}, &OverflowError{Field: "charge_nano"}
	}
	// No more than the client's charge, as the fee is no more than the price and rounding keeps order.
	worker, ok := weight.times(card.WorkerFeePerTokenNano)
	if !ok {
		return Charge{}, &OverflowError{Field: "worker_nano"}
	}
	return Charge{
		AdjustedTokens: adjusted,
		Client:         Nano(client),
		Worker:         Nano(worker),
		Commission:     Nano(client - worker),
	}, nil
}

// weight is an exact number of adjusted tokens. Real jobs weigh far less than 2^64 units, and then
// machine integers give what the decimals give, about fifty times faster.
type weight struct {
	units   uint64       // in 1/exactUnit of an adjusted token, where decimal is nil
	decimal *apd.Decimal // in adjusted tokens, where units cannot hold it
}

func weigh(classes *[4]class, coefficient uint32) weight {
	var units, carry uint64
	for i := range classes {
		high, low := bits.Mul64(uint64(classes[i].tokens), uint64(classes[i].multiplier))
		units, carry = bits.Add64(units, low, 0)
		if high|carry != 0 {
			return weight{decimal: weighDecimal(classes, coefficient)}
		}
	}
	high, units := bits.Mul64(units, uint64(coefficient))
	if high != 0 {
		return weight{decimal: weighDecimal(classes, coefficient)}
	}
	return weight{units: units}
}

// times prices a weight and rounds to a whole number, ties to the even one. It is false where int64
// cannot hold the result. The price is not negative.
func (w weight) times(perToken int64) (int64, bool) {
	if w.decimal != nil {
		return timesDecimal(w.decimal, perToken)
	}
	high, low := bits.Mul64(w.units, uint64(perToken))
	if high >= exactUnit/2 { // the quotient is 2^63 or more
		return 0, false
	}
	quotient, rest := bits.Div64(high, low, exactUnit)
	if rest > exactUnit/2 || rest == exactUnit/2 && quotient%2 == 1 {
		quotient++
	}
	return int64(quotient), quotient <= math.MaxInt64
}

// The decimal form of exact/v1, which defines it.

// exactly computes without rounding: 64 digits hold every product of in-range factors (at most
// 4 x 10^12 tokens x 10^6 coefficient x 4.3 x 10^5 multiplier x 10^9 price, with 7 decimals), and if one
// did not fit, that would be an error and not a rounded number.
var exactly = apd.Context{
	Precision:   64,
	MaxExponent: apd.MaxExponent,
	MinExponent: apd.MinExponent,
	Traps:       apd.DefaultTraps | apd.Inexact,
	Rounding:    apd.RoundHalfEven,
}

func weighDecimal(classes *[4]class, coefficient uint32) *apd.Decimal {
	total := apd.New(0, 0)
	factor := apd.New(int64(coefficient), -3)
	for _, c := range classes {
		part := apd.New(c.tokens, 0)
		mustBeExact(exactly.Mul(part, part, factor))
		mustBeExact(exactly.Mul(part, part, apd.New(int64(c.multiplier), -4)))
		mustBeExact(exactly.Add(total, total, part))
	}
	return total
}

func timesDecimal(tokens *apd.Decimal, perToken int64) (int64, bool) {
	var product apd.Decimal
	mustBeExact(exactly.Mul(&product, tokens, apd.New(perToken, 0)))
	if _, err := exactly.RoundToIntegralValue(&product, &product); err != nil {
		panic("domain: exact/v1 rounding: " + err.Error())
	}
	amount, err := product.Int64()
	return amount, err == nil
}

func mustBeExact(_ apd.Condition, err error) {
	if err != nil {
		panic("domain: exact/v1 lost a digit: " + err.Error())
	}
}
