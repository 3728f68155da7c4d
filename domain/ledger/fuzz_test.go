package ledger

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// anything says whatever the schema lets one say: every claim by every signer in every shard at every
// time, with ids that exist and others, and numbers at the ends of their ranges. Its bytes are its
// choices, so that a fuzzer can learn which matter.
type anything struct {
	*script
	choices []byte
}

func newAnything(t failer, choices []byte) *anything {
	a := &anything{script: newScript(t), choices: choices}
	a.play(`use standard
admin: set_operator key=all-key roles=admin,proxy,verifier,watcher,settler,arbiter,treasurer,clock
telegram: submit_job account=A number=1 model=deepseek max_prompt_tokens=100 max_coefficient=1000 timeout_ms=5m
& submit_job account=A number=2 model=deepseek max_prompt_tokens=100 max_coefficient=1000 timeout_ms=5m
& request_withdrawal account=A amount_nano=1c destination=fleet
proxy: assign_job job=A/1 worker=w1
& assign_job job=A/2 worker=w1
w1: start_job job=A/1
& start_job job=A/2
& complete_job job=A/2 usage=50/0/0/0
settler: seal_batch`)
	return a
}

// choose takes one choice out of so many; when the bytes are used up it is always the first.
func (a *anything) choose(n int) int {
	if len(a.choices) == 0 {
		return 0
	}
	b := int(a.choices[0])
	a.choices = a.choices[1:]
	if n > 256 && len(a.choices) > 0 {
		b = b<<8 | int(a.choices[0])
		a.choices = a.choices[1:]
	}
	return b % n
}

func (a *anything) one(names string) string {
	list := strings.Fields(names)
	return list[a.choose(len(list))]
}

const (
	knownSigners = "telegram proxy w1 admin watcher settler verifier arbiter treasurer clock other fleet rival w2 w3 stranger"
	knownIDs     = "A A/1 A/2 A/3 w1 w2 w3 deepseek qwen telegram other fleet rival root.1 root.2 new " +
		"telegram-key admin-key new-key w1-key B@2 B@2/1 C network"
)

// idsOf are names that make sense in a field.
var idsOf = map[string]string{
	"account": "A A A C B@2", "from_owner": "A C fleet", "to_owner": "A C fleet", "job": "A/1 A/2 A/3 A/4 A/5 A/6 C/1",
	"worker": "w1 w2 w3 new", "model": "deepseek qwen new", "client": "telegram other new", "provider": "fleet rival new",
	"subject": "telegram other fleet rival w1 w2 w3 new", "key": "k1-key k2-key k3-key k4-key w1-key", "challenge": "c1",
	"image_hash": "i1 i2 i3", "payee": "fleet wallet", "destination": "fleet wallet", "payout_root": "root.1 root.2",
}

func (a *anything) number() int64 {
	switch a.choose(12) {
	case 0, 1, 2:
		return int64(a.choose(4))
	case 3, 4, 5:
		return int64(a.choose(1001))
	case 6:
		return a.nowMs + int64(a.choose(300_000))
	case 7:
		return []int64{-1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MaxInt32, 1_000_000_000_000, 999_999_999, latestMs}[a.choose(8)]
	case 8:
		return int64(a.choose(65536)) * int64(domain.Coin)
	default:
		return int64(a.choose(65536)) << a.choose(48)
	}
}

// fill makes up a message that the schema takes.
func (a *anything) fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	if depth == 0 { // a claim: one of its bodies
		field := fields.Get(a.choose(fields.Len()))
		body := m.Mutable(field).Message()
		switch claim := m.Interface().(*v1.Claim); {
		case claim.GetSealBatch() != nil && a.choose(2) == 0:
			a.sealInto(claim.GetSealBatch())
		case claim.GetSetReputationPolicy() != nil && a.choose(4) != 0:
			claim.GetSetReputationPolicy().Policy = a.policy()
		default:
			a.fill(body, 1)
		}
		return
	}
	for i := range fields.Len() {
		field := fields.Get(i)
		switch {
		case field.IsList():
			list := m.Mutable(field).List()
			for range a.choose(4) {
				if field.Message() != nil {
					a.fill(list.AppendMutable().Message(), depth+1)
				} else {
					list.Append(a.scalar(field))
				}
			}
		case field.Message() != nil:
			a.fill(m.Mutable(field).Message(), depth+1)
		default:
			m.Set(field, a.scalar(field))
		}
	}
}

// policy is one that is accepted, with consequences that come soon.
func (a *anything) policy() *v1.ReputationPolicy {
	p := reputation.Default()
	for _, t := range p.Tiers {
		t.HoldbackPermille, t.HoldBuckets = uint32(a.choose(1001)), uint32(1+a.choose(1000))
	}
	p.SuspendBelowPpm, p.SuspendMs = uint32(a.choose(1000))*1000, int64(1+a.choose(1_000_000))
	return p
}

func (a *anything) scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.BytesKind:
		if strings.HasSuffix(string(field.Name()), "_owner") || field.Name() == "model" && field.Parent().Name() == "RateCard" {
			if a.choose(3) == 0 {
				return protoreflect.ValueOfBytes(nil)
			}
		}
		names, typed := idsOf[string(field.Name())]
		if !typed || a.choose(16) == 0 {
			names = knownIDs
		}
		id := a.id(a.one(names))
		return protoreflect.ValueOfBytes(id[:])
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(strings.Repeat("é", a.choose(20)))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(a.choose(2) == 1)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(1 + a.choose(field.Enum().Values().Len()-1)))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(a.number()))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(a.number()))
	default:
		return protoreflect.ValueOfInt64(a.number())
	}
}

// say lets somebody say something.
func (a *anything) say() {
	a.Helper()
	switch a.choose(64) {
	case 1, 2, 3, 4, 5, 6, 7, 8:
		a.nowMs += int64(a.choose(65536)) * 100
	case 9:
		a.nowMs += int64(a.choose(65536)) << 20
	case 10:
		if a.choose(8) == 0 {
			a.nowMs = a.number()
		}
	}
	signer := a.one("all all telegram telegram w1 any")
	if signer == "any" {
		signer = a.one(knownSigners)
	}
	key := a.keyOf(signer)
	var claims []*v1.Claim
	for range 1 + a.choose(3) {
		claim := &v1.Claim{}
		if a.choose(3) == 0 { // what most others build on
			claim.Body = &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{}}
			a.fill(claim.GetSubmitJob().ProtoReflect(), 1)
		} else {
			a.fill(claim.ProtoReflect(), 0)
		}
		if claim.Check() == nil {
			claims = append(claims, claim)
		}
	}
	shard := domain.Shard(a.choose(scriptShards + 1))
	if len(claims) > 0 && a.choose(8) != 0 {
		shard = a.home("", claims[0])
	}
	a.hear(shard, a.record(a.report(shard, key, claims...)), a.choose(20) != 1)
}

// finish replays what was said.
func (a *anything) finish() {
	a.Helper()
	a.checkReplay()
	for shard := range a.states {
		a.decideAgain(domain.Shard(shard), 0)
	}
}

// FuzzStep: nothing that the schema lets one say makes a state panic, write an entry that cannot be read,
// or forget something in a replay.
func FuzzStep(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		choices := make([]byte, 400)
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		f.Add(choices)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		a := newAnything(t, choices)
		for range 200 {
			if len(a.choices) == 0 {
				break
			}
			a.say()
		}
		a.finish()
	})
}

// TestNothingThatCanBeSaidBreaksAState is FuzzStep without a fuzzer.
func TestNothingThatCanBeSaidBreaksAState(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		choices := make([]byte, 20_000)
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		a := newAnything(t, choices)
		for range 400 {
			a.say()
		}
		a.finish()
	}
}
