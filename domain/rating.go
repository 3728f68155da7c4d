package domain

import (
	"crypto/sha256"
	"fmt"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Scales of the integers in a rate card and an offer, the same as Cocoon's.
const (
	// CoefficientOne is a worker's coefficient of 1.0.
	CoefficientOne = 1_000
	// MultiplierOne is a token class's multiplier of 1.0.
	MultiplierOne = 10_000
)

// Charge is what one usage costs.
type Charge struct {
	// AdjustedTokens is tokens x multiplier x coefficient over all four classes. Under cocoon/v1 it
	// is what was priced; under exact/v1 it is for people, the exact sum rounded half-even.
	AdjustedTokens int64
	// Client is what the client pays: Worker + Commission.
	Client, Worker, Commission Nano
}

// Rate says what a usage costs under a card, for a worker with the given coefficient
// (CoefficientOne is 1.0).
//
// It refuses what ValidateRateCard, ValidateCoefficient and ValidateUsage refuse, with their
// *RangeError. A cost that no int64 holds is an *OverflowError.
func Rate(card *v1.RateCard, coefficient uint32, usage *v1.Usage) (Charge, error) {
	if err := ValidateRateCard(card); err != nil {
		return Charge{}, err
	}
	if err := ValidateCoefficient("coefficient", coefficient); err != nil {
		return Charge{}, err
	}
	if err := ValidateUsage(usage); err != nil {
		return Charge{}, err
	}
	classes := [4]class{
		{tokens: usage.PromptTokens - usage.CachedTokens, multiplier: card.PromptMultiplier},
		{tokens: usage.CachedTokens, multiplier: card.CachedMultiplier},
		{tokens: usage.CompletionTokens - usage.ReasoningTokens, multiplier: card.CompletionMultiplier},
		{tokens: usage.ReasoningTokens, multiplier: card.ReasoningMultiplier},
	}
	if card.Rule == v1.RateRule_RATE_RULE_COCOON_V1 {
		return rateCocoon(card, coefficient, &classes)
	}
	return rateExact(card, coefficient, &classes)
}

// WorstCase is what has to be reserved for a job: no usage within the token limits, by no worker
// within maxCoefficient, is charged more than that under the card.
//
// Within a side, prompt or completion, all tokens count as the dearer of its two classes: a card may
// make cached tokens dearer than fresh ones.
//
// Errors are as those of Rate; they name the fields of SubmitJob.
func WorstCase(card *v1.RateCard, maxCoefficient uint32, maxPrompt, maxCompletion int64) (Nano, error) {
	if err := ValidateRateCard(card); err != nil {
		return 0, err
	}
	if err := ValidateCoefficient("max_coefficient", maxCoefficient); err != nil {
		return 0, err
	}
	if err := validateTokens("max_prompt_tokens", maxPrompt, MaxTokens); err != nil {
		return 0, err
	}
	if err := validateTokens("max_completion_tokens", maxCompletion, MaxTokens); err != nil {
		return 0, err
	}
	classes := [4]class{
		{tokens: maxPrompt, multiplier: max(card.PromptMultiplier, card.CachedMultiplier)},
		{tokens: maxCompletion, multiplier: max(card.CompletionMultiplier, card.ReasoningMultiplier)},
	}
	if card.Rule == v1.RateRule_RATE_RULE_COCOON_V1 {
		return worstCaseCocoon(card, maxCoefficient, &classes)
	}
	charge, err := rateExact(card, maxCoefficient, &classes)
	if err != nil {
		return 0, &OverflowError{Field: "reserved_nano"}
	}
	return charge.Client, nil
}

// RateCardIDOf returns SHA-256("filature/ratecard/v1\0" + encoding), the id that a charge keeps of
// its price list. The card comes out of Decode or has passed Check; another one is a bug of the
// caller and panics.
func RateCardIDOf(card *v1.RateCard) RateCardID {
	const prefix = "filature/ratecard/v1\x00"
	preimage, err := v1.AppendEncoded([]byte(prefix), card)
	if err != nil {
		panic(fmt.Sprintf("domain: id of an invalid rate card: %v", err))
	}
	return sha256.Sum256(preimage)
}

// class is a number of raw tokens that share a multiplier.
type class struct {
	tokens     int64
	multiplier uint32
}
