package recount

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func TestBothWaysToThePayoutRootAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(0, 40).Draw(t, "payees")
		alike := rapid.IntRange(0, 32).Draw(t, "alike") // bytes that all ids begin with: long labels
		fill := rapid.SampledFrom([]byte{0x00, 0xff, 0x5a}).Draw(t, "fill")
		byID := map[[32]byte]uint64{}
		for range count {
			var payee [32]byte
			for i := range payee {
				payee[i] = fill
			}
			copy(payee[alike:], rapid.SliceOfN(rapid.Byte(), 32-alike, 32-alike).Draw(t, "payee"))
			byID[payee] = rapid.Uint64Range(1, 1<<62).Draw(t, "amount")
		}
		var leaves []leaf
		var theirs []settlement.Leaf
		for payee, amount := range byID {
			leaves = append(leaves, leaf{payee, amount})
			theirs = append(theirs, settlement.Leaf{Payee: payee, Cumulative: domain.Nano(amount)})
		}
		slices.SortFunc(leaves, func(a, b leaf) int { return bytes.Compare(a.payee[:], b.payee[:]) })
		settlement.SortLeaves(theirs)
		want, err := settlement.Root(theirs)
		if err != nil {
			t.Fatal(err)
		}
		if have := dictionaryRoot(leaves); have != want {
			t.Fatalf("%d payees: root %x, the settler's is %s", count, have, want)
		}
	})
}

func TestBothWaysToRateAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens := func(label string, most int64) int64 { return rapid.Int64Range(0, most).Draw(t, label) }
		most := rapid.SampledFrom([]int64{10, 5000, domain.MaxTokens}).Draw(t, "most")
		usage := &v1.Usage{PromptTokens: tokens("prompt", most), CompletionTokens: tokens("completion", most)}
		usage.CachedTokens, usage.ReasoningTokens = tokens("cached", usage.PromptTokens), tokens("reasoning", usage.CompletionTokens)
		number := func(label string) uint32 { return rapid.Uint32Range(0, 50_000).Draw(t, label) }
		card := &v1.RateCard{
			Rule:              rapid.SampledFrom([]v1.RateRule{v1.RateRule_RATE_RULE_EXACT_V1, v1.RateRule_RATE_RULE_COCOON_V1}).Draw(t, "rule"),
			PricePerTokenNano: rapid.Int64Range(0, 1000).Draw(t, "price"), PromptMultiplier: number("prompt x"), CachedMultiplier: number("cached x"),
			CompletionMultiplier: number("completion x"), ReasoningMultiplier: number("reasoning x"),
		}
		card.WorkerFeePerTokenNano = rapid.Int64Range(0, card.PricePerTokenNano).Draw(t, "fee")
		coefficient := number("coefficient")
		want, err := domain.Rate(card, coefficient, usage)
		have, ok := rate(card, coefficient, usage)
		if ok != (err == nil) || ok && have != (price{want.AdjustedTokens, int64(want.Client), int64(want.Worker)}) {
			t.Fatalf("%v: have %+v, %t; the domain's is %+v, %v", usage, have, ok, want, err)
		}
		reserved, err := domain.WorstCase(card, coefficient, usage.PromptTokens, usage.CompletionTokens)
		mine, ok := worstCase(card, &v1.SubmitJob{
			MaxCoefficient: coefficient, MaxPromptTokens: usage.PromptTokens, MaxCompletionTokens: usage.CompletionTokens,
		})
		if ok != (err == nil) || ok && mine != int64(reserved) {
			t.Fatalf("worst case of %v: have %d, %t; the domain's is %d, %v", usage, mine, ok, reserved, err)
		}
		id, err := cardID(card)
		if err != nil || id != domain.RateCardIDOf(card) {
			t.Fatalf("id of a card %s: %x, the domain's is %s: %v", card, id, domain.RateCardIDOf(card), err)
		}
	})
}

func TestARecordThatIsNoEntryIsRefused(t *testing.T) {
	s := newShard(1, &rules{steps: []step{{network: &v1.SetNetwork{}, disputes: &v1.SetDisputePolicy{}}}})
	if err := s.entry([]byte("no entry")); err == nil {
		t.Error("nonsense was counted")
	}
	stranger, err := proto.Marshal(&v1.Entry{Body: &v1.Entry_Answer{Answer: &v1.Answer{Facts: []*v1.Fact{
		{Body: &v1.Fact_JobMetered{JobMetered: &v1.MeterJob{Job: make([]byte, 32)}}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.entry(stranger); err == nil {
		t.Error("a job that nobody submitted was metered")
	}
}
