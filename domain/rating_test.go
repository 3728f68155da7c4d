package domain_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	exact  = v1.RateRule_RATE_RULE_EXACT_V1
	cocoon = v1.RateRule_RATE_RULE_COCOON_V1
)

// card is a price list with one multiplier for all classes.
func card(rule v1.RateRule, price, fee int64, multiplier uint32) *v1.RateCard {
	return &v1.RateCard{
		Rule: rule, PricePerTokenNano: price, WorkerFeePerTokenNano: fee,
		PromptMultiplier: multiplier, CachedMultiplier: multiplier,
		CompletionMultiplier: multiplier, ReasoningMultiplier: multiplier,
	}
}

func usage(prompt, cached, completion, reasoning int64) *v1.Usage {
	return &v1.Usage{
		PromptTokens: prompt, CachedTokens: cached,
		CompletionTokens: completion, ReasoningTokens: reasoning,
	}
}

// charge writes a charge down with its commission.
func charge(adjusted int64, client, worker domain.Nano) domain.Charge {
	return domain.Charge{AdjustedTokens: adjusted, Client: client, Worker: worker, Commission: client - worker}
}

func TestChargesAreTheGoldenFigures(t *testing.T) {
	mixed := card(exact, 20, 19, 0)
	mixed.PromptMultiplier, mixed.CachedMultiplier = 10_000, 1_000
	mixed.CompletionMultiplier, mixed.ReasoningMultiplier = 80_000, 80_000
	mixedCocoon := card(cocoon, 20, 19, 0)
	mixedCocoon.PromptMultiplier, mixedCocoon.CachedMultiplier = 10_000, 1_000
	mixedCocoon.CompletionMultiplier, mixedCocoon.ReasoningMultiplier = 80_000, 80_000

	for _, c := range []struct {
		name        string
		card        *v1.RateCard
		coefficient uint32
		usage       *v1.Usage
		want        domain.Charge
	}{
		{"cocoon: its benchmark server's usage",
			card(cocoon, 2, 1, 10_000), 1_000, usage(34, 11, 100, 10), charge(134, 268, 134)},
		{"exact: its benchmark server's usage",
			card(exact, 2, 1, 10_000), 1_000, usage(34, 11, 100, 10), charge(134, 268, 134)},
		{"cocoon: the float is a token short",
			card(cocoon, 20, 19, 25_000), 1_333, usage(400, 0, 0, 0), charge(1_332, 26_640, 25_308)},
		{"exact: where arithmetic gives 1333",
			card(exact, 20, 19, 25_000), 1_333, usage(400, 0, 0, 0), charge(1_333, 26_660, 25_327)},
		{"cocoon: a worker's payout on mainnet",
			card(cocoon, 20, 19, 10_000), 1_000, usage(236_849_910, 0, 0, 0),
			charge(236_849_910, 4_736_998_200, 4_500_148_290)},
		{"exact: a worker's payout on mainnet",
			card(exact, 20, 19, 10_000), 1_000, usage(236_849_910, 0, 0, 0),
			charge(236_849_910, 4_736_998_200, 4_500_148_290)},
		{"cocoon: each class is truncated: 23 + 1.1 + 720 + 80",
			mixedCocoon, 1_000, usage(34, 11, 100, 10), charge(824, 16_480, 15_656)},
		{"exact: the sum is priced whole: 824.1 x 20 and 824.1 x 19 = 15657.9",
			mixed, 1_000, usage(34, 11, 100, 10), charge(824, 16_482, 15_658)},
		{"exact: half a nanoton goes to the even one, down", // 0.5 x 1
			card(exact, 1, 1, 10_000), 500, usage(1, 0, 0, 0), charge(0, 0, 0)},
		{"exact: half a nanoton goes to the even one, up", // 1.5 x 1
			card(exact, 1, 0, 10_000), 500, usage(3, 0, 0, 0), charge(2, 2, 0)},
		{"exact: a tenth of a thousandth more than half goes up",
			card(exact, 1, 0, 5_001), 1_000, usage(1, 0, 0, 0), charge(1, 1, 0)},
		{"exact: the largest whole coins that int64 can hold",
			card(exact, 1_000_000_000, 0, 10_000), 1_000, usage(9_223_372_036, 0, 0, 0),
			charge(9_223_372_036, 9_223_372_036_000_000_000, 0)},
		{"exact: more than 2^64 units, so in decimals: 2.5 x 10^12 x 20",
			card(exact, 20, 19, 10_000), 1_250, usage(1_000_000_000_000, 7, 1_000_000_000_000, 9),
			charge(2_500_000_000_000, 50_000_000_000_000, 47_500_000_000_000)},
		{"exact: classes of 1.5 x 10^19 units each, whose sum wraps", card(exact, 1, 1, 15_000_000), 1,
			usage(1_000_000_000_000, 0, 1_000_000_000_000, 0),
			charge(3_000_000_000_000, 3_000_000_000_000, 3_000_000_000_000)},
		{"exact: decimals round ties to the even one too: 2,499,999,999,992.5 tokens",
			card(exact, 1, 1, 10_000), 1_250, usage(1_000_000_000_000, 0, 999_999_999_994, 0),
			charge(2_499_999_999_992, 2_499_999_999_992, 2_499_999_999_992)},
		{"nothing used costs nothing", card(exact, 20, 19, 10_000), 1_000, usage(0, 0, 0, 0), charge(0, 0, 0)},
		{"a free worker costs nothing", card(cocoon, 20, 19, 10_000), 0, usage(9, 0, 9, 0), charge(0, 0, 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := domain.Rate(c.card, c.coefficient, c.usage)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestWhatCannotBeRatedIsRefusedWithTheFieldAndTheLimit(t *testing.T) {
	good := card(exact, 20, 19, 10_000)
	broken := func(change func(*v1.RateCard)) *v1.RateCard {
		c := card(exact, 20, 19, 10_000)
		change(c)
		return c
	}
	for _, c := range []struct {
		card        *v1.RateCard
		coefficient uint32
		usage       *v1.Usage
		want        domain.RangeError
	}{
		{broken(func(c *v1.RateCard) { c.Rule = 0 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.rule", Have: 0, Want: 2}},
		{broken(func(c *v1.RateCard) { c.Rule = 3 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.rule", Have: 3, Want: 2}},
		{broken(func(c *v1.RateCard) { c.PricePerTokenNano = -1 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.price_per_token_nano", Have: -1, Want: 0}},
		{broken(func(c *v1.RateCard) { c.PricePerTokenNano = 1_000_000_001 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.price_per_token_nano", Have: 1_000_000_001, Want: 1_000_000_000}},
		{broken(func(c *v1.RateCard) { c.WorkerFeePerTokenNano = -1 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.worker_fee_per_token_nano", Have: -1, Want: 0}},
		{broken(func(c *v1.RateCard) { c.WorkerFeePerTokenNano = 21 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.worker_fee_per_token_nano", Have: 21, Want: 20}},
		{broken(func(c *v1.RateCard) { c.FailedPermille = 1_001 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.failed_permille", Have: 1_001, Want: 1_000}},
		{broken(func(c *v1.RateCard) { c.CancelledPermille = 1_001 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.cancelled_permille", Have: 1_001, Want: 1_000}},
		{broken(func(c *v1.RateCard) { c.ExpiredPermille = math.MaxUint32 }), 1_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "card.expired_permille", Have: math.MaxUint32, Want: 1_000}},
		{good, 1_000_000_000, usage(1, 0, 0, 0),
			domain.RangeError{Field: "coefficient", Have: 1_000_000_000, Want: 999_999_999}},
		{good, 1_000, usage(-1, 0, 0, 0),
			domain.RangeError{Field: "usage.prompt_tokens", Have: -1, Want: 0}},
		{good, 1_000, usage(1_000_000_000_001, 0, 0, 0),
			domain.RangeError{Field: "usage.prompt_tokens", Have: 1_000_000_000_001, Want: 1_000_000_000_000}},
		{good, 1_000, usage(5, 6, 0, 0),
			domain.RangeError{Field: "usage.cached_tokens", Have: 6, Want: 5}},
		{good, 1_000, usage(5, -6, 0, 0),
			domain.RangeError{Field: "usage.cached_tokens", Have: -6, Want: 0}},
		{good, 1_000, usage(0, 0, math.MinInt64, 0),
			domain.RangeError{Field: "usage.completion_tokens", Have: math.MinInt64, Want: 0}},
		{good, 1_000, usage(0, 0, math.MaxInt64, 0),
			domain.RangeError{Field: "usage.completion_tokens", Have: math.MaxInt64, Want: 1_000_000_000_000}},
		{good, 1_000, usage(0, 0, 7, 8),
			domain.RangeError{Field: "usage.reasoning_tokens", Have: 8, Want: 7}},
		{good, 1_000, usage(0, 0, 7, -8),
			domain.RangeError{Field: "usage.reasoning_tokens", Have: -8, Want: 0}},
	} {
		t.Run(c.want.Error(), func(t *testing.T) {
			_, err := domain.Rate(c.card, c.coefficient, c.usage)
			var got *domain.RangeError
			if !errors.As(err, &got) || *got != c.want {
				t.Errorf("got %v, want %v", err, &c.want)
			}
		})
	}
}

func TestReservationNamesTheFieldsOfTheJob(t *testing.T) {
	good := card(exact, 20, 19, 10_000)
	for _, c := range []struct {
		coefficient        uint32
		prompt, completion int64
		want               domain.RangeError
	}{
		{1_000_000_000, 1, 1, domain.RangeError{Field: "max_coefficient", Have: 1_000_000_000, Want: 999_999_999}},
		{1_000, -1, 1, domain.RangeError{Field: "max_prompt_tokens", Have: -1, Want: 0}},
		{1_000, 1, 1_000_000_000_001,
			domain.RangeError{Field: "max_completion_tokens", Have: 1_000_000_000_001, Want: 1_000_000_000_000}},
	} {
		_, err := domain.WorstCase(good, c.coefficient, c.prompt, c.completion)
		var got *domain.RangeError
		if !errors.As(err, &got) || *got != c.want {
			t.Errorf("got %v, want %v", err, &c.want)
		}
	}
}

func TestACostThatInt64CannotHoldIsRefusedWithItsField(t *testing.T) {
	most := usage(domain.MaxTokens, 0, domain.MaxTokens, 0)
	roundsUpToTwoTo64 := card(exact, 10_000_001, 0, 0)
	roundsUpToTwoTo64.PromptMultiplier, roundsUpToTwoTo64.CompletionMultiplier = 4_000_000_000, 1
	for _, c := range []struct {
		name        string
		card        *v1.RateCard
		coefficient uint32
		usage       *v1.Usage
		field       string
	}{
		{"cocoon: one class", card(cocoon, 0, 0, math.MaxUint32), 999_999_999, most, "adjusted_tokens"},
		{"cocoon: the sum of classes", card(cocoon, 0, 0, 60_000_000), 1_000_000, most, "adjusted_tokens"},
		{"cocoon: the price", card(cocoon, 1_000_000_000, 0, 10_000), 1_000, usage(9_223_372_037, 0, 0, 0), "charge_nano"},
		{"exact: the tokens", card(exact, 0, 0, math.MaxUint32), 999_999_999, most, "adjusted_tokens"},
		{"exact: the price", card(exact, 1_000_000_000, 0, 10_000), 1_000, usage(9_223_372_037, 0, 0, 0), "charge_nano"},
		{"exact: the price, in decimals", card(exact, 1_000_000_000, 0, 10_000), 10_000, most, "charge_nano"},
		{"exact: the price, from 2^63 to 2^64", card(exact, 1_000_000_000, 0, 10_000), 1_000,
			usage(18_446_744_073, 0, 0, 0), "charge_nano"},
		{"exact: a quotient of 2^64-1 that rounds up must not wrap to zero", roundsUpToTwoTo64, 1,
			usage(4_611_685_557, 0, 1_035_328_712, 0), "charge_nano"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := domain.Rate(c.card, c.coefficient, c.usage)
			var got *domain.OverflowError
			if !errors.As(err, &got) || got.Field != c.field || !errors.Is(err, domain.ErrAmountOverflow) {
				t.Errorf("got %v, want an overflow of %s", err, c.field)
			}
			_, err = domain.WorstCase(c.card, c.coefficient, c.usage.PromptTokens, c.usage.CompletionTokens)
			if !errors.As(err, &got) || got.Field != "reserved_nano" {
				t.Errorf("reserve: got %v, want an overflow of reserved_nano", err)
			}
		})
	}
}

func TestReservationCoversClassesThatRoundUpOnTheirOwn(t *testing.T) {
	for _, c := range []struct {
		name                    string
		coefficient, multiplier uint32
		prompt, cached          int64
		more                    domain.Nano // than if no token was cached, at the same multiplier
	}{
		{"188 tokens become 126 + 63", 1_008, 25_000, 75, 25, 1},
		{"floats of 8e18 are 1024 apart", 999_290, 79_223_190, 999_999_999_115, 600_743_783_257, 3_072},
	} {
		t.Run(c.name, func(t *testing.T) {
			prices := card(cocoon, 1, 0, c.multiplier)
			whole, err := domain.Rate(prices, c.coefficient, usage(c.prompt, 0, 0, 0))
			if err != nil {
				t.Fatal(err)
			}
			parts, err := domain.Rate(prices, c.coefficient, usage(c.prompt, c.cached, 0, 0))
			if err != nil || parts.Client-whole.Client != c.more {
				t.Fatalf("parts %+v, whole %+v, %v; want a difference of %d", parts, whole, err, c.more)
			}
			reserved, err := domain.WorstCase(prices, c.coefficient, c.prompt, 0)
			if err != nil || reserved < parts.Client {
				t.Errorf("charged %d, reserved %d, %v", parts.Client, reserved, err)
			}
		})
	}
}

func TestReservationTakesTheDearerClassOfEachSide(t *testing.T) {
	for _, c := range []struct {
		prompt, cached, completion, reasoning uint32
		want                                  domain.Nano
	}{
		{10_000, 1_000, 80_000, 70_000, 2 * (100 + 50*8)},
		{1_000, 10_000, 70_000, 80_000, 2 * (100 + 50*8)},
	} {
		prices := card(exact, 2, 1, 0)
		prices.PromptMultiplier, prices.CachedMultiplier = c.prompt, c.cached
		prices.CompletionMultiplier, prices.ReasoningMultiplier = c.completion, c.reasoning
		if got, err := domain.WorstCase(prices, 1_000, 100, 50); err != nil || got != c.want {
			t.Errorf("%+v: got %d, %v", c, got, err)
		}
	}
}

func TestNoUsageWithinTheLimitsCostsMoreThanItsReservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkReservation(t, rapid.SampledFrom([]v1.RateRule{exact, cocoon}).Draw(t, "rule"))
	})
}

func checkReservation(t *rapid.T, rule v1.RateRule) {
	c, maxCoefficient := drawCard(t, rule), drawCoefficient(t)
	maxPrompt, maxCompletion := drawTokens(t, "max prompt"), drawTokens(t, "max completion")
	reserved, err := domain.WorstCase(c, maxCoefficient, maxPrompt, maxCompletion)
	if err != nil {
		return // then the claim is refused, and nothing is ever charged
	}
	prompt := rapid.Int64Range(0, maxPrompt).Draw(t, "prompt")
	completion := rapid.Int64Range(0, maxCompletion).Draw(t, "completion")
	used := usage(prompt, rapid.Int64Range(0, prompt).Draw(t, "cached"),
		completion, rapid.Int64Range(0, completion).Draw(t, "reasoning"))
	got, err := domain.Rate(c, rapid.Uint32Range(0, maxCoefficient).Draw(t, "coefficient"), used)
	if err != nil {
		t.Fatalf("reserved %d, but the usage cannot be rated: %v", reserved, err)
	}
	if got.Client > reserved {
		t.Fatalf("charged %d, reserved %d", got.Client, reserved)
	}
}

func TestChargeLegsSumToZeroAndNoneIsNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCard(t, rapid.SampledFrom([]v1.RateRule{exact, cocoon}).Draw(t, "rule"))
		got, err := domain.Rate(c, drawCoefficient(t), drawUsage(t))
		if err != nil {
			return
		}
		if got.Client != got.Worker+got.Commission || got.Worker < 0 || got.Commission < 0 || got.AdjustedTokens < 0 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestExactChargesAreTheRationalSumRoundedHalfEvenOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, coefficient, used := drawCard(t, exact), drawCoefficient(t), drawUsage(t)
		got, err := domain.Rate(c, coefficient, used)

		tokens := new(big.Rat)
		for _, class := range []struct {
			n          int64
			multiplier uint32
		}{
			{used.PromptTokens - used.CachedTokens, c.PromptMultiplier},
			{used.CachedTokens, c.CachedMultiplier},
			{used.CompletionTokens - used.ReasoningTokens, c.CompletionMultiplier},
			{used.ReasoningTokens, c.ReasoningMultiplier},
		} {
			part := new(big.Rat).SetInt64(class.n)
			part.Mul(part, big.NewRat(int64(coefficient), 1_000))
			part.Mul(part, big.NewRat(int64(class.multiplier), 10_000))
			tokens.Add(tokens, part)
		}
		adjusted := halfEven(tokens)
		client := halfEven(new(big.Rat).Mul(tokens, new(big.Rat).SetInt64(c.PricePerTokenNano)))
		worker := halfEven(new(big.Rat).Mul(tokens, new(big.Rat).SetInt64(c.WorkerFeePerTokenNano)))

		if !adjusted.IsInt64() || !client.IsInt64() {
			if !errors.Is(err, domain.ErrAmountOverflow) {
				t.Fatalf("got %+v, %v; want an overflow", got, err)
			}
			return
		}
		want := charge(adjusted.Int64(), domain.Nano(client.Int64()), domain.Nano(worker.Int64()))
		if err != nil || got != want {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

// halfEven rounds a number that is not negative.
func halfEven(r *big.Rat) *big.Int {
	quotient, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	side := rest.Lsh(rest, 1).Cmp(r.Denom())
	if side > 0 || side == 0 && quotient.Bit(0) == 1 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return quotient
}

func TestRateCardIDIsTheDigestOfPrefixAndEncoding(t *testing.T) {
	c := card(cocoon, 20, 19, 10_000)
	// printf 'filature/ratecard/v1\0\x08\x02\x10\x14\x18\x13\x20\x90\x4e\x28\x90\x4e\x30\x90\x4e\x38\x90\x4e' | sha256sum
	const want = "1386f31135fef89d1d641c0c31aec771fcb752213266f08b39ee495a841d03d4"
	if got := domain.RateCardIDOf(c).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c.WorkerFeePerTokenNano--
	if domain.RateCardIDOf(c).String() == want {
		t.Error("another price list has the same id")
	}
}

func drawCard(t *rapid.T, rule v1.RateRule) *v1.RateCard {
	c := card(rule, 0, 0, 0)
	c.PricePerTokenNano = rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, 1_000_000_000)).Draw(t, "price")
	c.WorkerFeePerTokenNano = rapid.Int64Range(0, c.PricePerTokenNano).Draw(t, "fee")
	multiplier := rapid.OneOf(
		rapid.SampledFrom([]uint32{0, 1_000, 10_000, 25_000, 80_000}), rapid.Uint32Range(0, 200_000), rapid.Uint32())
	c.PromptMultiplier = multiplier.Draw(t, "prompt multiplier")
	c.CachedMultiplier = multiplier.Draw(t, "cached multiplier")
	c.CompletionMultiplier = multiplier.Draw(t, "completion multiplier")
	c.ReasoningMultiplier = multiplier.Draw(t, "reasoning multiplier")
	return c
}

func drawCoefficient(t *rapid.T) uint32 {
	return rapid.OneOf(rapid.SampledFrom([]uint32{500, 1_000, 1_333, 4_000}),
		rapid.Uint32Range(0, 10_000), rapid.Uint32Range(0, 999_999_999)).Draw(t, "max coefficient")
}

func drawTokens(t *rapid.T, label string) int64 {
	return rapid.OneOf(rapid.Int64Range(0, 1_000), rapid.Int64Range(0, 2_000_000),
		rapid.Int64Range(0, domain.MaxTokens)).Draw(t, label)
}

func drawUsage(t *rapid.T) *v1.Usage {
	prompt, completion := drawTokens(t, "prompt"), drawTokens(t, "completion")
	return usage(prompt, rapid.Int64Range(0, prompt).Draw(t, "cached"),
		completion, rapid.Int64Range(0, completion).Draw(t, "reasoning"))
}

func BenchmarkRate(b *testing.B) {
	for _, c := range []struct {
		name  string
		card  *v1.RateCard
		usage *v1.Usage
	}{
		{"exact", card(exact, 20, 19, 10_000), usage(34, 11, 100, 10)},
		{"exact beyond 2^64 units", card(exact, 20, 19, 10_000), usage(domain.MaxTokens, 11, domain.MaxTokens, 10)},
		{"cocoon", card(cocoon, 20, 19, 10_000), usage(34, 11, 100, 10)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := domain.Rate(c.card, 1_000, c.usage); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
