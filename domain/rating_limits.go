package domain

import v1 "github.com/filature/filature/schemas/filature/v1"

const (
	// MaxTokens bounds every count of tokens: what one worker makes in 30 years at 1000 a second. It
	// is also below 2^53, so that cocoon/v1 turns it into a float64 without loss.
	MaxTokens = 1_000_000_000_000
	// MaxCoefficient is the largest coefficient that Cocoon's proxy accepts from a worker.
	MaxCoefficient = 999_999_999
	// MaxPricePerToken is one whole coin. The network's price is 20 nanotons; a larger price than
	// this is a slip in the unit.
	MaxPricePerToken = Coin
	// WholePermille is the part that is all of it.
	WholePermille = 1_000
)

// ValidateRateCard refuses a price list that no charge may be computed from: a rule that we do not
// have, a price out of [0, MaxPricePerToken], a worker's fee above the price, a part above the
// whole. Errors are *RangeError with the field's path in SetRateCard.
func ValidateRateCard(card *v1.RateCard) error {
	switch card.Rule {
	case v1.RateRule_RATE_RULE_EXACT_V1, v1.RateRule_RATE_RULE_COCOON_V1:
	default:
		return &RangeError{
			Field: "card.rule", Have: int64(card.Rule), Want: int64(v1.RateRule_RATE_RULE_COCOON_V1),
		}
	}
	price, fee := card.PricePerTokenNano, card.WorkerFeePerTokenNano
	switch {
	case price < 0:
		return &RangeError{Field: "card.price_per_token_nano", Have: price, Want: 0}
	case price > int64(MaxPricePerToken):
		return &RangeError{Field: "card.price_per_token_nano", Have: price, Want: int64(MaxPricePerToken)}
	case fee < 0:
		return &RangeError{Field: "card.worker_fee_per_token_nano", Have: fee, Want: 0}
	case fee > price:
		return &RangeError{Field: "card.worker_fee_per_token_nano", Have: fee, Want: price}
	case card.FailedPermille > WholePermille:
		return overWhole("card.failed_permille", card.FailedPermille)
	case card.CancelledPermille > WholePermille:
		return overWhole("card.cancelled_permille", card.CancelledPermille)
	case card.ExpiredPermille > WholePermille:
		return overWhole("card.expired_permille", card.ExpiredPermille)
	}
	return nil
}

func overWhole(field string, have uint32) error {
	return &RangeError{Field: field, Have: int64(have), Want: WholePermille}
}

// ValidateCoefficient refuses a coefficient above MaxCoefficient. The error is a *RangeError that
// names the given field.
func ValidateCoefficient(field string, coefficient uint32) error {
	if coefficient > MaxCoefficient {
		return &RangeError{Field: field, Have: int64(coefficient), Want: MaxCoefficient}
	}
	return nil
}

// ValidateUsage refuses counts that cannot be: out of [0, MaxTokens], more cached tokens than prompt
// tokens, more reasoning tokens than completion tokens. Errors are *RangeError with the field's path
// in MeterJob and CompleteJob.
func ValidateUsage(usage *v1.Usage) error {
	if err := validateTokens("usage.prompt_tokens", usage.PromptTokens, MaxTokens); err != nil {
		return err
	}
	if err := validateTokens("usage.cached_tokens", usage.CachedTokens, usage.PromptTokens); err != nil {
		return err
	}
	if err := validateTokens("usage.completion_tokens", usage.CompletionTokens, MaxTokens); err != nil {
		return err
	}
	return validateTokens("usage.reasoning_tokens", usage.ReasoningTokens, usage.CompletionTokens)
}

func validateTokens(field string, have, limit int64) error {
	switch {
	case have < 0:
		return &RangeError{Field: field, Have: have, Want: 0}
	case have > limit:
		return &RangeError{Field: field, Have: have, Want: limit}
	}
	return nil
}
