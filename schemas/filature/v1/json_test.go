package filaturev1

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

const (
	job32   = "1111111111111111111111111111111111111111111111111111111111111111"
	owner32 = "2222222222222222222222222222222222222222222222222222222222222222"
)

func TestJSONOfAClaimReadsAsTheSchemaIsWritten(t *testing.T) {
	bytesOf := func(b byte) []byte { return []byte(strings.Repeat(string([]byte{b}), 32)) }
	for _, c := range []struct {
		line  string
		claim *Claim
	}{
		{
			`{"submit_job":{"account":"` + job32 + `","number":7,"model":"` + owner32 + `","max_prompt_tokens":100,` +
				`"max_completion_tokens":200,"max_coefficient":4000,"timeout_ms":120000}}`,
			&Claim{Body: &Claim_SubmitJob{SubmitJob: &SubmitJob{
				Account: bytesOf(0x11), Number: 7, Model: bytesOf(0x22), MaxPromptTokens: 100,
				MaxCompletionTokens: 200, MaxCoefficient: 4_000, TimeoutMs: 120_000,
			}}},
		},
		{
			`{"complete_job":{"job":"` + job32 + `","usage":{"prompt_tokens":34,"cached_tokens":11}}}`,
			&Claim{Body: &Claim_CompleteJob{CompleteJob: &CompleteJob{
				Job: bytesOf(0x11), Usage: &Usage{PromptTokens: 34, CachedTokens: 11},
			}}},
		},
		{
			`{"fail_job":{"job":"` + job32 + `","reason":"engine_error"}}`,
			&Claim{Body: &Claim_FailJob{FailJob: &FailJob{
				Job: bytesOf(0x11), Reason: FailureReason_FAILURE_REASON_ENGINE_ERROR,
			}}},
		},
		{
			`{"adjust":{"from_kind":"network/commission","to_kind":"client/available","to_owner":"` + owner32 +
				`","amount_nano":-5,"reason":"a \"fix\"","reference":"` + job32 + `"}}`,
			&Claim{Body: &Claim_Adjust{Adjust: &Adjust{
				FromKind: AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION, ToKind: AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE,
				ToOwner: bytesOf(0x22), AmountNano: -5, Reason: `a "fix"`, Reference: bytesOf(0x11),
			}}},
		},
		{
			`{"set_operator":{"key":"` + job32 + `","roles":["admin","clock"]}}`,
			&Claim{Body: &Claim_SetOperator{SetOperator: &SetOperator{
				Key: bytesOf(0x11), Roles: []Role{Role_ROLE_ADMIN, Role_ROLE_CLOCK},
			}}},
		},
		{
			`{"set_rate_card":{"card":{"rule":"cocoon/v1","price_per_token_nano":20,"prompt_multiplier":10000}}}`,
			&Claim{Body: &Claim_SetRateCard{SetRateCard: &SetRateCard{Card: &RateCard{
				Rule: RateRule_RATE_RULE_COCOON_V1, PricePerTokenNano: 20, PromptMultiplier: 10_000,
			}}}},
		},
		{
			`{"observe_deposit":{"account":"` + job32 + `","amount_nano":9223372036854775807,"tx_hash":"` + owner32 +
				`","lt":9223372036854775807}}`,
			&Claim{Body: &Claim_ObserveDeposit{ObserveDeposit: &ObserveDeposit{
				Account: bytesOf(0x11), AmountNano: math.MaxInt64, TxHash: bytesOf(0x22), Lt: math.MaxInt64,
			}}},
		},
		{
			`{"set_offer":{"worker":"` + job32 + `","model":"` + owner32 + `","coefficient":1000,"withdrawn":true}}`,
			&Claim{Body: &Claim_SetOffer{SetOffer: &SetOffer{
				Worker: bytesOf(0x11), Model: bytesOf(0x22), Coefficient: 1_000, Withdrawn: true,
			}}},
		},
		{`{"tick":{}}`, &Claim{Body: &Claim_Tick{Tick: &Tick{}}}},
	} {
		if got := jsonOf(c.claim); got != c.line {
			t.Errorf("printed\n%s, want\n%s", got, c.line)
		}
		if got, err := ParseClaim([]byte(c.line)); err != nil || !proto.Equal(got, c.claim) {
			t.Errorf("%s\nparsed as %v, %v", c.line, got, err)
		}
	}
}

func TestWhatIsNotExactlyAClaimIsRefusedWithThePathAndTheRule(t *testing.T) {
	withJob := func(rest string) string { return `{"complete_job":{"job":"` + job32 + `"` + rest + `}}` }
	for _, c := range []struct{ line, field, rule string }{
		// Not one JSON object.
		{``, "message", "is not JSON: unexpected end of JSON input"},
		{`{"tick":{}`, "message", "is not JSON: unexpected end of JSON input"},
		{`{"tick":{}} {}`, "message", "is not JSON: invalid character '{' after top-level value"},
		{`{"tick":{},}`, "message", "is not JSON: invalid character '}' looking for beginning of object key string"},
		{"{\"tick\":{\"\xff\":1}}", "message", "is not UTF-8"},
		{`[]`, "message", "is an array, want an object"},
		{`null`, "message", "is null, want an object"},
		{`"tick"`, "message", `is "tick", want an object`},
		// Names.
		{`{}`, "body", "is missing"},
		{`{"tock":{}}`, "tock", "is not a field of Claim"},
		{`{"Tick":{}}`, "Tick", "is not a field of Claim"},
		{`{"submitJob":{}}`, "submitJob", "is not a field of Claim"},
		{`{"":{}}`, "", "is not a field of Claim"},
		{`{"tick":{"at":1}}`, "tick.at", "is not a field of Tick"},
		{`{"tick":{},"tick":{}}`, "tick", "is given twice"},
		{`{"tick":{},"start_job":{}}`, "start_job", "stands beside tick, want one of them"},
		{withJob(`,"job":"` + job32 + `"`), "complete_job.job", "is given twice"},
		{withJob(`,"usage":{"prompt_tokens":0,"prompt_tokens":1}`), "complete_job.usage.prompt_tokens", "is given twice"},
		{withJob(`,"usage":{"prompt":"Why is the sky blue?"}`), "complete_job.usage.prompt", "is not a field of Usage"},
		// Types.
		{`{"tick":null}`, "tick", "is null, want an object"},
		{`{"tick":[]}`, "tick", "is an array, want an object"},
		{withJob(`,"usage":null`), "complete_job.usage", "is null, want an object"},
		{`{"start_job":{"job":7}}`, "start_job.job", "is 7, want a string of hexadecimal digits"},
		{`{"start_job":{"job":{}}}`, "start_job.job", "is an object, want a string of hexadecimal digits"},
		{`{"start_job":{"job":"EQCns7bYSp0igFvS"}}`, "start_job.job", "is not an even number of hexadecimal digits"},
		{`{"start_job":{"job":"111"}}`, "start_job.job", "is not an even number of hexadecimal digits"},
		{`{"set_offer":{"withdrawn":1}}`, "set_offer.withdrawn", "is 1, want true or false"},
		{`{"set_offer":{"withdrawn":"true"}}`, "set_offer.withdrawn", `is "true", want true or false`},
		{`{"list_model":{"name":true}}`, "list_model.name", "is true, want a string"},
		{`{"list_model":{"name":"\ud800"}}`, "list_model.name", "holds U+FFFD, the mark of lost text"},
		{`{"set_operator":{"roles":"admin"}}`, "set_operator.roles", `is "admin", want an array`},
		{`{"set_operator":{"roles":["admin",null]}}`, "set_operator.roles[1]",
			`is null, want one of "admin", "proxy", "verifier", "watcher", "settler", "arbiter", "treasurer", "clock"`},
		{`{"seal_batch":{"lines":[{},{"payee":1}]}}`, "seal_batch.lines[1].payee",
			"is 1, want a string of hexadecimal digits"},
		// Enums.
		{`{"set_rate_card":{"card":{"rule":"exact_v1"}}}`, "set_rate_card.card.rule",
			`is "exact_v1", want one of "exact/v1", "cocoon/v1"`},
		{`{"set_rate_card":{"card":{"rule":1}}}`, "set_rate_card.card.rule", `is 1, want one of "exact/v1", "cocoon/v1"`},
		{`{"retire":{"kind":"unspecified"}}`, "retire.kind",
			`is "unspecified", want one of "client", "provider", "worker"`},
		{`{"retire":{"kind":"WORKER"}}`, "retire.kind", `is "WORKER", want one of "client", "provider", "worker"`},
		// Numbers.
		{withJob(`,"usage":{"prompt_tokens":"34"}`), "complete_job.usage.prompt_tokens", `is "34", want a number`},
		{withJob(`,"usage":{"prompt_tokens":1.0}`), "complete_job.usage.prompt_tokens",
			"is 1.0, want a whole number that fits int64"},
		{withJob(`,"usage":{"prompt_tokens":1e3}`), "complete_job.usage.prompt_tokens",
			"is 1e3, want a whole number that fits int64"},
		{withJob(`,"usage":{"prompt_tokens":9223372036854775808}`), "complete_job.usage.prompt_tokens",
			"is 9223372036854775808, want a whole number that fits int64"},
		{`{"submit_job":{"number":-1}}`, "submit_job.number", "is -1, want a whole number that fits uint64"},
		{`{"submit_job":{"max_coefficient":4294967296}}`, "submit_job.max_coefficient",
			"is 4294967296, want a whole number that fits uint32"},
		// The schema's own limits.
		{`{"start_job":{}}`, "start_job.job", "has 0 bytes, want 32"},
		{`{"start_job":{"job":"11"}}`, "start_job.job", "has 1 bytes, want 32"},
		{withJob(``), "complete_job.usage", "is missing"},
		{`{"fail_job":{"job":"` + job32 + `"}}`, "fail_job.reason", "has the unknown value 0"},
		{`{"set_operator":{"key":"` + job32 + `","roles":[` + strings.Repeat(`"admin",`, 8) + `"admin"]}}`,
			"set_operator.roles", "has 9 elements, at most 8 are allowed"},
	} {
		_, err := ParseClaim([]byte(c.line))
		var got *FieldError
		if !errors.As(err, &got) || *got != (FieldError{Field: c.field, Rule: c.rule}) {
			t.Errorf("%s\ngot  %v\nwant %s: %s", c.line, err, c.field, c.rule)
		}
	}
}

func TestAComplaintDoesNotRepeatALongLine(t *testing.T) {
	long := strings.Repeat("a", 1<<16)
	for _, line := range []string{`{"` + long + `":{}}`, `{"tick":"` + long + `"}`, `{"submit_job":{"number":1` + strings.Repeat("0", 1<<16) + `}}`} {
		if _, err := ParseClaim([]byte(line)); err == nil || len(err.Error()) > 200 {
			t.Errorf("a complaint of %d bytes", len(err.Error()))
		}
	}
}

func TestEveryGoldenSurvivesItsJSONForm(t *testing.T) {
	for _, g := range readGoldens(t) {
		body, text := g.decode(t)
		for _, m := range []Message{body, text} {
			line := AppendJSON(nil, m.(proto.Message))
			if !json.Valid(line) {
				t.Fatalf("%s: not JSON: %s", g.name, line)
			}
			again := newOf(descriptorOf(m))
			if err := parseJSON(line, again.(proto.Message).ProtoReflect(), strict); err != nil {
				t.Fatalf("%s: %v", g.name, err)
			}
			if !proto.Equal(m.(proto.Message), again.(proto.Message)) {
				t.Fatalf("%s: printed and parsed again\n%v, want\n%v", g.name, again, m)
			}
		}
		if !g.isClaim() {
			continue
		}
		claim := text.(*Report).Claims[0]
		if again, err := ParseClaim(AppendJSON(nil, claim)); err != nil || !proto.Equal(claim, again) {
			t.Errorf("%s: got %v, %v", g.name, again, err)
		}
	}
}

func TestAnyClaimSurvivesItsJSONForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claim := new(Claim)
		draw(t, claim.ProtoReflect())
		line := AppendJSON(nil, claim)
		again, err := ParseClaim(line)
		if err != nil && strings.Contains(err.Error(), "U+FFFD") {
			return // the one text that has no JSON form with us
		}
		if err != nil || !proto.Equal(claim, again) {
			t.Fatalf("%s\ngot %v, %v", line, again, err)
		}
	})
}

// A reader that was built before a server goes on reading what the server says since.
func TestACompletionOfALaterServerIsReadAsFarAsItIsKnown(t *testing.T) {
	completion := new(Completion)
	sample(completion.ProtoReflect(), "", 0, false)
	line := jsonOf(completion)
	for name, c := range map[string]struct {
		line string
		want func(*Completion)
		says string
	}{
		"as it is":         {line, func(*Completion) {}, ""},
		"a new number":     {strings.Replace(line, "{", `{"tip_nano":5,`, 1), func(*Completion) {}, ""},
		"a new message":    {strings.Replace(line, "{", `{"late":{"by":[1,{"ms":[]},null]},`, 1), func(*Completion) {}, ""},
		"new inside":       {strings.Replace(line, `"usage":{`, `"usage":{"image_tokens":5,`, 1), func(*Completion) {}, ""},
		"a new reason":     {strings.Replace(line, `"engine_error"`, `"on_fire"`, 1), func(c *Completion) { c.Failure = 0 }, ""},
		"a new outcome":    {strings.Replace(line, `"completed"`, `"forgiven"`, 1), nil, "outcome: has the unknown value 0"},
		"a known one odd":  {strings.Replace(line, `"at_ms":`, `"at_ms":-`, 1), func(c *Completion) { c.AtMs = -c.AtMs }, ""},
		"no job":           {strings.Replace(line, `"job":`, `"jab":`, 1), nil, "job: has 0 bytes, want 32"},
		"a number as text": {strings.Replace(line, `"at_ms":`, `"at_ms":"","x":`, 1), nil, "at_ms: is , want a number"},
		"twice":            {strings.Replace(line, "{", `{"at_ms":1,`, 1), nil, "at_ms: is given twice"},
		"half":             {line[:len(line)-1], nil, "message: is not JSON: unexpected end of JSON input"},
	} {
		if name != "as it is" && c.line == line {
			t.Fatalf("%s: nothing was changed", name)
		}
		got, err := ParseCompletion([]byte(c.line))
		if c.says != "" {
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `""`, ""), c.says) {
				t.Errorf("%s: %v, want %q", name, err, c.says)
			}
			continue
		}
		want := proto.CloneOf(completion)
		c.want(want)
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestEnumNamesAreShortLowerCaseAndUnique(t *testing.T) {
	everyMessageType(func(m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			enum := m.Fields().Get(i).Enum()
			if enum == nil {
				continue
			}
			seen := map[string]bool{}
			for j := range enum.Values().Len() {
				name := enumName(enum.Values().Get(j))
				if name == "" || seen[name] || name != strings.ToLower(name) ||
					strings.HasPrefix(name, strings.ToLower(string(enum.Name()))) {
					t.Errorf("%s is called %q", enum.Values().Get(j).FullName(), name)
				}
				seen[name] = true
			}
		}
	})
}
