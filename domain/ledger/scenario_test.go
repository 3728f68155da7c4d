package ledger

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var update = flag.Bool("update", false, "write what the scenarios say into their files")

// TestScenarios plays each file of testdata/scenarios and compares every answer with the one in the
// file. Then it replays the ledgers and compares the states.
func TestScenarios(t *testing.T) {
	for _, path := range scenarioFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s := newScript(t)
			got := s.play(string(want))
			s.checkReplay()
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareLines(t, path, string(want), got)
		})
	}
}

// TestScenariosTellEveryReasonAndEveryFact plays all scenarios, and finds whatever the ledger can
// decide in one of them. A new reason or fact is not finished before a scenario has it.
func TestScenariosTellEveryReasonAndEveryFact(t *testing.T) {
	heard, _ := playAll(t)
	for number, name := range v1.Reason_name {
		if number != 0 && !heard[name] {
			t.Errorf("no scenario is answered with %s", name)
		}
	}
	facts := factBody.Fields()
	for i := range facts.Len() {
		if name := string(facts.Get(i).Name()); name != "rejection" && !heard[name] {
			t.Errorf("no scenario is answered with %s", name)
		}
	}
}

// TestEveryRejectionIsExplainedInASentence compares the sentence for each kind of rejection in the
// scenarios with testdata/reasons.txt.
func TestEveryRejectionIsExplainedInASentence(t *testing.T) {
	_, words := playAll(t)
	slices.Sort(words)
	got := strings.Join(slices.Compact(words), "\n") + "\n"
	const path = "testdata/reasons.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compareLines(t, path, string(want), got)
}

func playAll(t *testing.T) (heard map[string]bool, words []string) {
	t.Helper()
	heard = map[string]bool{}
	for _, path := range scenarioFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := newScript(t)
		s.play(string(text))
		maps.Copy(heard, s.heard)
		words = append(words, s.words...)
	}
	return heard, words
}

func scenarioFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	return paths
}

func compareLines(t *testing.T, path, want, got string) {
	t.Helper()
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(wants), len(gots)) {
		w, g := "(end)", "(end)"
		if i < len(wants) {
			w = wants[i]
		}
		if i < len(gots) {
			g = gots[i]
		}
		if w != g {
			t.Fatalf("%s:%d:\n want %s\n got  %s", path, i+1, w, g)
		}
	}
}

// play runs a scenario and returns it with the answers that were given.
func (s *script) play(text string) string {
	s.Helper()
	var out strings.Builder
	lines := slices.DeleteFunc(strings.Split(strings.TrimSuffix(text, "\n"), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "  ")
	})
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out.WriteString(line + "\n")
		var more []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "& ") {
			i++
			out.WriteString(lines[i] + "\n")
			more = append(more, strings.TrimPrefix(lines[i], "& "))
		}
		out.WriteString(s.line(line, more))
	}
	return out.String()
}

var spoken = regexp.MustCompile(`^([a-z0-9-]+)(?:@(\w+))?(?: \[(.*)\])?: (.*)$`)

// line does what one line of a scenario says, and returns the answer.
func (s *script) line(line string, more []string) string {
	s.Helper()
	words := strings.Fields(line)
	switch {
	case len(words) == 0 || words[0] == "#":
		return ""
	case words[0] == "use":
		prelude, err := os.ReadFile("testdata/" + words[1] + ".prelude")
		if err != nil {
			s.Fatalf("%v", err)
		}
		if played := s.play(string(prelude)); strings.Contains(played, "  ! ") {
			s.Fatalf("%s:\n%s", words[1], played)
		}
		return ""
	case words[0] == "wait":
		s.nowMs += s.number(words[1])
		return ""
	case words[0] == "clock":
		s.nowMs = startMs + s.number(words[1])
		return ""
	case words[0] == "pins":
		s.pinning = words[1] == "on"
		return ""
	case words[0] == "balances":
		return s.tellBalances()
	case words[0] == "repeat":
		var last string
		for i := range s.number(words[1]) {
			last = s.line(strings.ReplaceAll(strings.Join(words[2:], " "), "{n}", fmt.Sprint(i+1)), nil)
		}
		return last
	case words[0] == "garbage":
		return s.tell(s.hear(1, []byte{0xde, 0xad}, true))
	}
	said := spoken.FindStringSubmatch(line)
	if said == nil {
		s.Fatalf("cannot read %q", line)
	}
	return s.speak(said[1], said[2], said[3], append([]string{said[4]}, more...))
}

// speak says a report. Options bend it: "unsigned", "again", "network=x", "sequence=3", "shard=2".
func (s *script) speak(signer, place, options string, texts []string) string {
	s.Helper()
	claims := make([]*v1.Claim, 0, len(texts))
	for _, text := range texts {
		if text != "nothing" {
			claims = append(claims, s.claim(text))
		}
	}
	var shard domain.Shard
	if place != "" {
		shard = s.shardNamed(place)
	} else {
		shard = s.home(texts[0], claims[0])
	}
	signed := true
	report := s.report(shard, s.keyOf(signer), claims...)
	for option := range strings.FieldsSeq(options) {
		switch name, value, _ := strings.Cut(option, "="); name {
		case "unsigned":
			signed = false
		case "network":
			id := s.id(value)
			report.Network = id[:]
		case "sequence":
			at := signerInShard{s.keyOf(signer), shard}
			report.Sequence = uint64(s.number(value))
			s.sequences[at] = max(s.sequences[at]-1, report.Sequence)
		case "shard":
			report.Shard = uint32(s.number(value))
		default:
			s.Fatalf("option %q", option)
		}
	}
	return s.tell(s.hear(shard, s.record(report), signed))
}

func (s *script) tellBalances() string {
	all := s.balances()
	keys := slices.SortedFunc(maps.Keys(all), func(a, b accountKey) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(s.nameOf(a.owner[:]), s.nameOf(b.owner[:])))
	})
	var b strings.Builder
	var sum domain.Nano
	for _, key := range keys {
		sum += all[key]
		fmt.Fprintf(&b, "  %-28s %s\n", s.accountName(key), amount(int64(all[key])))
	}
	if sum != 0 {
		s.Fatalf("all balances sum to %d", sum)
	}
	return b.String()
}

// checkReplay makes each shard again from its ledger and compares all that it knows.
func (w *world) checkReplay() {
	w.Helper()
	for shard, state := range w.states {
		again := w.replay(domain.Shard(shard), len(w.ledger[shard]))
		w.learn(again, state.KnowsControlTo()) // of what it learned after its last pin
		if got, want := again.dump(), state.dump(); got != want {
			w.Fatalf("shard %d replayed knows\n%s\nwhere the live one knows\n%s", shard, got, want)
		}
	}
}
