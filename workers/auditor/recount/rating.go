package recount

import (
	"math"
	"math/big"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// price is what a usage costs, whole: charge = worker + commission.
type price struct{ adjustedTokens, charge, worker int64 }

// rate works out docs/money.md, "From usage to money". It is false where an int64 does not hold the result.
func rate(card *v1.RateCard, coefficient uint32, usage *v1.Usage) (price, bool) {
	classes := [4]struct {
		tokens     int64
		multiplier uint32
	}{
		{usage.GetPromptTokens() - usage.GetCachedTokens(), card.PromptMultiplier},
		{usage.GetCachedTokens(), card.CachedMultiplier},
		{usage.GetCompletionTokens() - usage.GetReasoningTokens(), card.CompletionMultiplier},
		{usage.GetReasoningTokens(), card.ReasoningMultiplier},
	}
	if card.Rule == v1.RateRule_RATE_RULE_COCOON_V1 {
		var adjusted int64
		for _, class := range classes {
			tokens, ok := cocoonTokens(class.tokens, coefficient, class.multiplier)
			if !ok {
				return price{}, false
			}
			if adjusted, ok = add(adjusted, tokens); !ok {
				return price{}, false
			}
		}
		charge, fits := multiply(adjusted, card.PricePerTokenNano)
		worker, fitsToo := multiply(adjusted, card.WorkerFeePerTokenNano)
		return price{adjusted, charge, worker}, fits && fitsToo
	}
	weight := new(big.Int)
	for _, class := range classes {
		weight.Add(weight, weigh(class.tokens, coefficient, class.multiplier))
	}
	adjusted, fits1 := rounded(weight, 1)
	charge, fits2 := rounded(weight, card.PricePerTokenNano)
	worker, fits3 := rounded(weight, card.WorkerFeePerTokenNano)
	return price{adjusted, charge, worker}, fits1 && fits2 && fits3
}

// scale is one adjusted token: a multiplier of 10000 is 1.0, a coefficient of 1000 is 1.0.
var scale = big.NewInt(10_000 * 1000)

func weigh(tokens int64, coefficient, multiplier uint32) *big.Int {
	product := big.NewInt(tokens)
	product.Mul(product, big.NewInt(int64(multiplier)))
	return product.Mul(product, big.NewInt(int64(coefficient)))
}

// rounded is weight x price in whole nanotons, ties to the even one.
func rounded(weight *big.Int, perToken int64) (int64, bool) {
	whole, rest := new(big.Int).QuoRem(new(big.Int).Mul(weight, big.NewInt(perToken)), scale, new(big.Int))
	switch rest.Lsh(rest, 1).Cmp(scale) {
	case 1:
		whole.Add(whole, big.NewInt(1))
	case 0:
		if whole.Bit(0) == 1 {
			whole.Add(whole, big.NewInt(1))
		}
	}
	return whole.Int64(), whole.IsInt64()
}

// cocoonTokens is docs/money.md's cocoon/v1 for one class, truncated. Each product is a double of its own: the
// conversions keep a compiler from making one step of two.
func cocoonTokens(tokens int64, coefficient, multiplier uint32) (int64, bool) {
	x := float64(coefficient) * 0.001
	x = float64(float64(tokens) * x)
	x = float64(x * float64(multiplier))
	x = float64(x * 0.0001)
	return int64(x), x < math.MaxInt64
}

// worstCase is what docs/money.md says is reserved.
func worstCase(card *v1.RateCard, terms *v1.SubmitJob) (int64, bool) {
	sides := [2]struct {
		tokens     int64
		multiplier uint32
	}{
		{terms.GetMaxPromptTokens(), max(card.PromptMultiplier, card.CachedMultiplier)},
		{terms.GetMaxCompletionTokens(), max(card.CompletionMultiplier, card.ReasoningMultiplier)},
	}
	if card.Rule == v1.RateRule_RATE_RULE_COCOON_V1 {
		var total int64
		for _, side := range sides {
			tokens, ok := cocoonTokens(side.tokens, terms.MaxCoefficient, side.multiplier)
			if !ok {
				return 0, false
			}
			if total, ok = add(total, tokens+1+tokens/(1<<49)); !ok {
				return 0, false
			}
		}
		return multiply(total, card.PricePerTokenNano)
	}
	weight := new(big.Int)
	for _, side := range sides {
		weight.Add(weight, weigh(side.tokens, terms.MaxCoefficient, side.multiplier))
	}
	return rounded(weight, card.PricePerTokenNano)
}

func multiply(a, b int64) (int64, bool) {
	product := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	return product.Int64(), product.IsInt64()
}

// shareOf is amount x part / whole, rounded down. None is negative, and the result is at most the amount or the part.
func shareOf(amount, part, whole int64) int64 {
	product := new(big.Int).Mul(big.NewInt(amount), big.NewInt(part))
	return product.Quo(product, big.NewInt(whole)).Int64()
}

// permille is so many thousandths, rounded down.
func permille(amount, thousandths int64) int64 { return shareOf(amount, thousandths, 1000) }
