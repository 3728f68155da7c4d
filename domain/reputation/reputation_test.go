package reputation

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var update = flag.Bool("update", false, "write the golden scores anew")

func policyOf(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, raw *v1.ReputationPolicy,
) *Policy {
	t.Helper()
	p, err := NewPolicy(raw)
	if err != nil {
		t.Fatalf("policy: %v", err)
	}
	return p
}

// evidenceNamed reads "completed", or "dispute_lost/250" where 250 thousandths were refunded.
func evidenceNamed(t *testing.T, word string) Evidence {
	t.Helper()
	name, lost, _ := strings.Cut(word, "/")
	kind, known := v1.EvidenceKind_value["EVIDENCE_KIND_"+strings.ToUpper(name)]
	if !known {
		t.Fatalf("no evidence is called %q", name)
	}
	e := Evidence{Kind: v1.EvidenceKind(kind)}
	if lost != "" {
		n, err := strconv.ParseInt(lost, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		e.LostPermille = n
	}
	return e
}

// histories reads testdata/scores.txt: a history on each line that does not begin with a space, "90 completed" for
// ninety of them.
func histories(t *testing.T) (lines []string) {
	t.Helper()
	raw, err := os.ReadFile("testdata/scores.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, " ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// tell writes down what comes of all histories under a policy.
func tell(t *testing.T, raw *v1.ReputationPolicy) string {
	t.Helper()
	p := policyOf(t, raw)
	var out strings.Builder
	for _, line := range histories(t) {
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r := p.Begin()
		for part := range strings.SplitSeq(line, ", ") {
			count, word, many := strings.Cut(part, " ")
			n := 1
			if many {
				var err error
				if n, err = strconv.Atoi(count); err != nil {
					t.Fatal(err)
				}
			} else {
				word = count
			}
			for range n {
				if word != "nothing" {
					r.Weigh(p, evidenceNamed(t, word))
				}
			}
		}
		for d, name := range []string{"jobs", "latency", "attestation", "disputes"} {
			c := r.Counts[d]
			fmt.Fprintf(&out, "  %-11s good %11d  bad %11d  mean %7d\n", name, c.Good, c.Bad, c.MeanPPM())
		}
		score := r.ScorePPM()
		tier := p.TierOf(score)
		fmt.Fprintf(&out, "  score %d: holds back %d permille for %d buckets; suspended for %d ms; slashed %d, revoked %d permille\n",
			score, tier.HoldbackPermille, tier.HoldBuckets, p.SuspendMs(score),
			p.ForfeitPermille(v1.ForfeitCause_FORFEIT_CAUSE_SLASHED), p.ForfeitPermille(v1.ForfeitCause_FORFEIT_CAUSE_REVOKED))
	}
	return out.String()
}

func TestTheGoldenScores(t *testing.T) {
	got := tell(t, Default())
	if *update {
		if err := os.WriteFile("testdata/scores.txt", []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/scores.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the scores are\n%s\nwant\n%s", got, want)
	}
}

// TestEveryNumberOfThePolicyMovesTheGoldenScores changes each number of the default policy by a little, one at a
// time: no λ, weight, prior or tier could be changed unnoticed, and each gives the policy another id.
func TestEveryNumberOfThePolicyMovesTheGoldenScores(t *testing.T) {
	golden, id := tell(t, Default()), policyOf(t, Default()).ID
	numbers := 0
	eachNumber(Default().ProtoReflect(), "", func(path string, change func(*v1.ReputationPolicy)) {
		if strings.HasSuffix(path, ".kind") {
			return // a name, not a number
		}
		changed := Default()
		change(changed)
		if path == ".tiers[0].holdback_permille" {
			changed.Tiers[0].HoldBuckets = 1 // what is held back is held for a while
		}
		p, err := NewPolicy(changed)
		if err != nil {
			if strings.HasPrefix(path, ".tiers[3].least") { // it must be zero
				return
			}
			t.Fatalf("%s: %v", path, err)
		}
		numbers++
		if p.ID == id {
			t.Errorf("%s: another number, the same id", path)
		}
		if tell(t, changed) == golden {
			t.Errorf("%s: no golden score has noticed", path)
		}
	})
	if numbers < 4*3+Kinds {
		t.Errorf("only %d numbers were changed", numbers)
	}
}

// eachNumber finds every number in a policy and gives a way to change it by one part in fifty, or to one.
func eachNumber(m protoreflect.Message, path string, visit func(string, func(*v1.ReputationPolicy))) {
	walk(m, path, nil, visit)
}

func walk(m protoreflect.Message, path string, way []func(protoreflect.Message) protoreflect.Message, visit func(string, func(*v1.ReputationPolicy))) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := path + "." + string(field.Name())
		switch {
		case field.IsList():
			for n := range m.Get(field).List().Len() {
				walk(m.Get(field).List().Get(n).Message(), fmt.Sprintf("%s[%d]", at, n), append(slices.Clip(way),
					func(m protoreflect.Message) protoreflect.Message { return m.Mutable(field).List().Get(n).Message() }), visit)
			}
		case field.Message() != nil:
			walk(m.Get(field).Message(), at, append(slices.Clip(way),
				func(m protoreflect.Message) protoreflect.Message { return m.Mutable(field).Message() }), visit)
		default:
			visit(at, func(p *v1.ReputationPolicy) {
				m := p.ProtoReflect()
				for _, step := range way {
					m = step(m)
				}
				change(m, field)
			})
		}
	}
}

func change(m protoreflect.Message, field protoreflect.FieldDescriptor) {
	lower := func(n int64) int64 {
		if n == 0 {
			return 1
		}
		return n - max(1, n/50)
	}
	switch field.Kind() {
	case protoreflect.Uint32Kind:
		m.Set(field, protoreflect.ValueOfUint32(uint32(lower(int64(m.Get(field).Uint())))))
	case protoreflect.Int64Kind:
		m.Set(field, protoreflect.ValueOfInt64(lower(m.Get(field).Int())))
	}
}

func TestAPolicyOutOfItsBoundsIsRefusedByName(t *testing.T) {
	for field, change := range map[string]func(*v1.ReputationPolicy){
		"jobs.kept_ppm":               func(p *v1.ReputationPolicy) { p.Jobs.KeptPpm = 999_991 },
		"latency.prior_good_micro":    func(p *v1.ReputationPolicy) { p.Latency.PriorGoodMicro = -1 },
		"disputes.prior_bad_micro":    func(p *v1.ReputationPolicy) { p.Disputes.PriorBadMicro = 1<<62 - 1 },
		"weights":                     func(p *v1.ReputationPolicy) { p.Weights = p.Weights[1:] },
		"weights[3].kind":             func(p *v1.ReputationPolicy) { p.Weights[3].Kind = 3 },
		"weights[11].weight_milli":    func(p *v1.ReputationPolicy) { p.Weights[11].WeightMilli = 1_000_001 },
		"tiers":                       func(p *v1.ReputationPolicy) { p.Tiers = nil },
		"tiers[0].least_score_ppm":    func(p *v1.ReputationPolicy) { p.Tiers[0].LeastScorePpm = 1_000_001 },
		"tiers[1].least_score_ppm":    func(p *v1.ReputationPolicy) { p.Tiers[1].LeastScorePpm = 970_000 },
		"tiers[2].least_score_ppm":    func(p *v1.ReputationPolicy) { p.Tiers[2].LeastScorePpm = 0 },
		"tiers[3].least_score_ppm":    func(p *v1.ReputationPolicy) { p.Tiers[3].LeastScorePpm = 1 },
		"tiers[1].holdback_permille":  func(p *v1.ReputationPolicy) { p.Tiers[1].HoldbackPermille = 1001 },
		"tiers[1].hold_buckets":       func(p *v1.ReputationPolicy) { p.Tiers[1].HoldBuckets = 0 },
		"tiers[3].hold_buckets":       func(p *v1.ReputationPolicy) { p.Tiers[3].HoldBuckets = 1001 },
		"suspend_below_ppm":           func(p *v1.ReputationPolicy) { p.SuspendBelowPpm = 1_000_001 },
		"suspend_ms":                  func(p *v1.ReputationPolicy) { p.SuspendMs = 0 },
		"slashed_forfeit_permille":    func(p *v1.ReputationPolicy) { p.SlashedForfeitPermille = 1001 },
		"revoked_forfeit_permille":    func(p *v1.ReputationPolicy) { p.RevokedForfeitPermille = 1001 },
		"attestation.prior_bad_micro": func(p *v1.ReputationPolicy) { p.Attestation.PriorBadMicro = -5 },
	} {
		raw := Default()
		change(raw)
		_, err := NewPolicy(raw)
		if out, is := errors.AsType[*domain.RangeError](err); !is || out.Field != field {
			t.Errorf("%s: the error is %v", field, err)
		}
	}
}

// drawPolicy draws any policy within the bounds.
func drawPolicy(t *rapid.T) *v1.ReputationPolicy {
	p := proto.CloneOf(Default())
	for name, m := range map[string]*v1.ReputationMemory{"jobs": p.Jobs, "latency": p.Latency, "attestation": p.Attestation, "disputes": p.Disputes} {
		m.KeptPpm = rapid.OneOf(rapid.Just(uint32(maxKeptPPM)), rapid.Uint32Range(0, maxKeptPPM)).Draw(t, name)
		m.PriorGoodMicro = rapid.OneOf(rapid.Just(int64(maxPriorMicro)), rapid.Int64Range(0, maxPriorMicro)).Draw(t, name)
		m.PriorBadMicro = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, maxPriorMicro)).Draw(t, name)
	}
	for _, w := range p.Weights {
		w.WeightMilli = rapid.OneOf(rapid.Just(uint32(maxWeightMilli)), rapid.Uint32Range(0, maxWeightMilli)).Draw(t, "weight")
	}
	return p
}

func drawEvidence(t *rapid.T) Evidence {
	return Evidence{
		Kind:         v1.EvidenceKind(rapid.IntRange(1, Kinds).Draw(t, "kind")),
		LostPermille: rapid.Int64Range(0, 1000).Draw(t, "lost"),
	}
}

func TestEvidenceMovesItsOwnDimensionAndInTheRightDirection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := policyOf(t, drawPolicy(t))
		r := p.Begin()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			before, e := r, drawEvidence(t)
			r.Weigh(p, e)
			if r.Seen[e.Kind-1] != before.Seen[e.Kind-1]+1 {
				t.Fatalf("%v was not counted", e.Kind)
			}
			for d := range r.Counts {
				was, is := before.Counts[d], r.Counts[d]
				bad := dimensionOf[e.Kind].bad
				switch {
				case Dimension(d) != DimensionOf(e.Kind):
					if was != is {
						t.Fatalf("%v moved dimension %d", e.Kind, d)
					}
				case is.Good < 0 || is.Bad < 0:
					t.Fatalf("a count is below zero: %v", is)
				case was.Good+was.Bad < whole || is.Good+is.Bad < whole || e.Kind == v1.EvidenceKind_EVIDENCE_KIND_DISPUTE_LOST:
					// Rounding shows where hardly anything is left; a part of a lost dispute may speak for the worker.
				case bad && is.MeanPPM() > was.MeanPPM()+1, !bad && is.MeanPPM() < was.MeanPPM()-1:
					t.Fatalf("%v took %v to %v", e.Kind, was, is)
				}
			}
			if score := r.ScorePPM(); score < 0 || score > Whole {
				t.Fatalf("the score is %d", score)
			}
		}
	})
}

// TestNoCountLeavesItsBoundHoweverLongTheLife lets the heaviest evidence come with the longest memory.
func TestNoCountLeavesItsBoundHoweverLongTheLife(t *testing.T) {
	raw := Default()
	for _, m := range []*v1.ReputationMemory{raw.Jobs, raw.Latency, raw.Attestation, raw.Disputes} {
		m.KeptPpm, m.PriorGoodMicro, m.PriorBadMicro = maxKeptPPM, maxPriorMicro, maxPriorMicro
	}
	for _, w := range raw.Weights {
		w.WeightMilli = maxWeightMilli
	}
	p := policyOf(t, raw)
	r := p.Begin()
	const most = maxWeightMilli * (whole / 1000) * (whole / (whole - maxKeptPPM))
	for range 3_000_000 {
		r.Weigh(p, Evidence{Kind: v1.EvidenceKind_EVIDENCE_KIND_COMPLETED})
	}
	if c := r.Counts[Jobs]; c.Good > most || c.Good < most*9/10 || c.Bad > maxPriorMicro {
		t.Errorf("after three million jobs: %+v, at most %d", c, int64(most))
	}
	if r.ScorePPM() < 0 || r.ScorePPM() > Whole {
		t.Errorf("the score is %d", r.ScorePPM())
	}
}

func TestWhoKnowsNothingJudgesNothing(t *testing.T) {
	if mean := (Counts{}).MeanPPM(); mean != whole {
		t.Errorf("the mean of nothing is %d", mean)
	}
}

func BenchmarkWeigh(b *testing.B) {
	p, err := NewPolicy(Default())
	if err != nil {
		b.Fatal(err)
	}
	r := p.Begin()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		r.Weigh(p, Evidence{Kind: v1.EvidenceKind(n%Kinds + 1), LostPermille: 250})
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "evidence/s")
}

func BenchmarkScore(b *testing.B) {
	p, err := NewPolicy(Default())
	if err != nil {
		b.Fatal(err)
	}
	r := p.Begin()
	var sum int64
	for b.Loop() {
		sum += r.ScorePPM()
	}
	if sum == 0 {
		b.Fatal("no score")
	}
}
