package domain

import (
	"math"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// rateCocoon is the rule cocoon/v1: the tokens that Cocoon's proxy counts, times integer prices, as
// Cocoon's contracts do it.
func rateCocoon(card *v1.RateCard, coefficient uint32, classes *[4]class) (Charge, error) {
	adjusted, ok := adjustClasses(classes, coefficient)
	if !ok {
		return Charge{}, &OverflowError{Field: "adjusted_tokens"}
	}
	client, err := Nano(card.PricePerTokenNano).Mul(adjusted)
	if err != nil {
		return Charge{}, &OverflowError{Field: "charge_nano"}
	}
	// Not more than the client's charge, as the fee is not more than the price; so it cannot overflow.
	worker := Nano(card.WorkerFeePerTokenNano * adjusted)
	return Charge{AdjustedTokens: adjusted, Client: client, Worker: worker, Commission: client - worker}, nil
}

// worstCaseCocoon adds to the two full sides what floats can add: when a side is split into two
// classes, each part is rounded on its own, and both may round up to a whole token where the whole
// side rounds down below their sum. Six roundings of 2^-53 each, on either side of the comparison,
// are less than 2^-49 of the side, and the fraction that truncation took is less than one token.
func worstCaseCocoon(card *v1.RateCard, coefficient uint32, classes *[4]class) (Nano, error) {
	var total int64
	for _, c := range classes[:2] {
		side, ok := adjustTokens(c.tokens, coefficient, c.multiplier)
		if !ok {
			return 0, &OverflowError{Field: "reserved_nano"}
		}
		side += 1 + side>>49
		if total += side; side < 0 || total < 0 {
			return 0, &OverflowError{Field: "reserved_nano"}
		}
	}
	reserved, err := Nano(card.PricePerTokenNano).Mul(total)
	if err != nil {
		return 0, &OverflowError{Field: "reserved_nano"}
	}
	return reserved, nil
}

func adjustClasses(classes *[4]class, coefficient uint32) (int64, bool) {
	var total int64
	for i := range classes {
		adjusted, ok := adjustTokens(classes[i].tokens, coefficient, classes[i].multiplier)
		if total += adjusted; !ok || total < 0 {
			return 0, false
		}
	}
	return total, true
}

// adjustTokens is adjust_tokens of Cocoon's Ton.h, to the bit:
//
//	(int64)((double)n * ((double)coefficient * 0.001) * (double)mult * 0.0001)
//
// The order of the products and the truncation are the rule. The conversions around each product
// forbid the compiler to fuse it with another operation, on any architecture. It is false where
// int64 cannot hold the result, which C++ leaves undefined.
func adjustTokens(tokens int64, coefficient, multiplier uint32) (int64, bool) {
	factor := float64(float64(coefficient) * 0.001)
	product := float64(float64(tokens) * factor)
	product = float64(product * float64(multiplier))
	product = float64(product * 0.0001)
	if product >= math.MaxInt64 { // the constant becomes 2^63
		return 0, false
	}
	return int64(product), true
}
