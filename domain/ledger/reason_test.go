package ledger

import (
	"strings"
	"testing"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

func TestEveryReasonHasWords(t *testing.T) {
	seen := map[string]v1.Reason{}
	for number := range v1.Reason_name {
		reason := v1.Reason(number)
		if reason == v1.Reason_REASON_UNSPECIFIED {
			continue
		}
		if _, known := wordings[reason]; !known {
			t.Errorf("%s has no words", reason)
			continue
		}
		label := Words(reason)
		if label == "" || label != strings.ToLower(label) {
			t.Errorf("%s is called %q", reason, label)
		}
		if other, twice := seen[label]; twice {
			t.Errorf("%s and %s are both called %q", reason, other, label)
		}
		seen[label] = reason
		if sentence := Explain(&v1.Rejection{Reason: reason, Field: "field", Have: 1, Want: 2}); !strings.HasPrefix(sentence, "field: ") || len(sentence) < 15 {
			t.Errorf("%s is explained as %q", reason, sentence)
		}
	}
}

func TestExplanationsSayByHowMuch(t *testing.T) {
	for _, c := range []struct {
		rejection *v1.Rejection
		want      string
	}{
		{
			&v1.Rejection{Reason: v1.Reason_REASON_INSUFFICIENT_FUNDS, Field: "account", Have: 1_200_000_000, Want: 2_500_000_000},
			"account: holds 1.2 coins free, 2.5 are needed: short by 1.3",
		},
		{
			&v1.Rejection{Reason: v1.Reason_REASON_OUT_OF_RANGE, Field: "amount_nano", Have: -5, Want: 1},
			"amount_nano: is -0.000000005 coins, must be at least 0.000000001 coins",
		},
		{
			&v1.Rejection{Reason: v1.Reason_REASON_OUT_OF_RANGE, Field: "timeout_ms", Have: 601_500, Want: 600_000},
			"timeout_ms: is 10m1.5s, must be at most 10m0s",
		},
		{&v1.Rejection{Reason: v1.Reason_REASON_OUT_OF_RANGE, Field: "from_kind"}, "from_kind: is not allowed here"},
		{&v1.Rejection{Reason: v1.Reason_REASON_UNKNOWN_SIGNER}, "no subject and no operator has this key"},
		{&v1.Rejection{Reason: 9999, Field: "x"}, "x: reason 9999"},
	} {
		if got := Explain(c.rejection); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}
