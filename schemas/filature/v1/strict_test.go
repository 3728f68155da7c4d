package filaturev1

import (
	"bytes"
	"cmp"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"
)

const (
	secondEncoding = "is a second encoding of the same value"
	unreadable     = "is not protobuf: " // and what the parser says
)

// spoil puts each fault into each message of each golden, alone, and hands over what Decode says.
func spoil(t *testing.T, faultsOf func(*wireMessage) []fault, judge func(t *testing.T, f fault, err *FieldError)) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for _, g := range readGoldens(t) {
		for _, root := range wireOf(t, g) {
			if err := Decode(root.encode(), newOf(root.desc)); err != nil {
				t.Fatalf("%s, put together again: %v", g.name, err)
			}
			root.every(func(m *wireMessage) {
				whole := m.fields
				defer func() { m.fields = whole }()
				for _, f := range faultsOf(m) {
					m.fields = f.fields
					err := Decode(root.encode(), newOf(root.desc))
					m.fields = whole
					var refused *FieldError
					if !errors.As(err, &refused) {
						t.Errorf("%s: %s: %s: got %v, want a *FieldError", g.name, m.path, f.name, err)
						continue
					}
					judge(t, f, refused)
					seen[f.name]++
				}
			})
		}
	}
	return seen
}

func wantSeen(t *testing.T, seen map[string]int, names ...string) {
	t.Helper()
	for _, name := range names {
		if seen[name] == 0 {
			t.Errorf("no golden gave a place for the fault %q", name)
		}
	}
	if len(seen) != len(names) {
		t.Errorf("saw %d faults, the test names %d: %v", len(seen), len(names), seen)
	}
}

func TestNoSecondEncodingOfAnyEventIsAccepted(t *testing.T) {
	seen := spoil(t, (*wireMessage).forms, func(t *testing.T, f fault, err *FieldError) {
		switch {
		case f.rule != "":
			want := FieldError{Field: cmp.Or(f.field, "message"), Rule: f.rule}
			if *err != want {
				t.Errorf("%s: got %+v, want %+v", f.name, *err, want)
			}
		case strings.HasPrefix(err.Rule, secondEncoding), strings.HasPrefix(err.Rule, unreadable):
		default:
			t.Errorf("%s: got %v", f.name, err)
		}
	})
	wantSeen(t, seen,
		"an unknown number", "an unknown text", "an unknown group", "two fields out of order",
		"a field given twice", "a number in too many bytes", "a number with bits beyond its type",
		"the wrong wire type", "a length in too many bytes", "a tag in too many bytes", "a true that is two",
		"a message in two parts", "a list that is not packed", "two bodies", "a default that is written out")
}

func TestABrokenLimitIsRefusedWithTheFieldAndTheRule(t *testing.T) {
	seen := spoil(t, (*wireMessage).values, func(t *testing.T, f fault, err *FieldError) {
		if want := (FieldError{Field: f.field, Rule: f.rule}); *err != want {
			t.Errorf("%s: got %+v, want %+v", f.name, *err, want)
		}
	})
	wantSeen(t, seen,
		"too many elements", "an unknown enum value", "a wrong length", "a missing field", "too many bytes",
		"too long a text", "a text that is not UTF-8", "a text with half a surrogate pair",
		"an enum that is unspecified", "a missing body", "a missing message")
}

func TestARecordCutShortAtAnyByteIsRefused(t *testing.T) {
	for _, g := range readGoldens(t) {
		if strings.HasPrefix(g.name, "message ") {
			continue // a prefix of a flat message may be another message; the logs' records end in a body
		}
		root := wireOf(t, g)[0]
		for n := range g.bytes {
			if err := Decode(g.bytes[:n:n], newOf(root.desc)); err == nil {
				t.Fatalf("%s: the first %d of %d bytes are accepted", g.name, n, len(g.bytes))
			}
		}
	}
}

func TestARecordWithAnyByteAfterItIsRefused(t *testing.T) {
	for _, g := range readGoldens(t) {
		root := wireOf(t, g)[0]
		for b := range 256 {
			if err := Decode(append(slices.Clone(g.bytes), byte(b)), newOf(root.desc)); err == nil {
				t.Fatalf("%s: accepted with %#x after it", g.name, b)
			}
		}
	}
}

// Two bytes make an empty claim, for which the parser would allocate a hundred, before anybody looked
// at the signature.
func TestDecodeAllocatesInProportionToTheBytesItIsGiven(t *testing.T) {
	const size = 1_000_000
	fill := func(element ...byte) []byte { return bytes.Repeat(element, size/len(element)) }
	inside := func(tags []byte, content []byte) []byte {
		for _, tag := range slices.Backward(tags) {
			content = append([]byte{tag}, protowire.AppendBytes(nil, content)...)
		}
		return content
	}
	sealBatch := protowire.AppendTag(nil, 45, protowire.BytesType)
	for _, c := range []struct {
		name string
		raw  []byte
		into Message
	}{
		{"empty claims", fill(0x2a, 0), new(Report)},
		{"ticks", fill(0x2a, 3, 0xa2, 0x01, 0), new(Report)},
		{"empty claims under a number that overflows into 5",
			fill(append(protowire.AppendVarint(nil, (5+1<<32)<<3|2), 0)...), new(Report)},
		{"empty claims, and an end that is no protobuf", append(fill(0x2a, 0), 0xff), new(Report)},
		{"a batch of empty lines", inside([]byte{0x2a}, append(slices.Clone(sealBatch),
			protowire.AppendBytes(nil, fill(0x42, 0))...)), new(Report)},
		{"a batch of empty log roots", inside([]byte{0x2a}, append(slices.Clone(sealBatch),
			protowire.AppendBytes(nil, fill(0x32, 0))...)), new(Report)},
		{"empty facts", inside([]byte{0x22}, fill(0x32, 0)), new(Entry)},
		{"empty postings", inside([]byte{0x22, 0x32}, fill(0x12, 0)), new(Entry)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := Decode(c.raw, c.into)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("accepted")
			}
			if spent := after.TotalAlloc - before.TotalAlloc; spent > size/10 {
				t.Errorf("%d bytes of allocations for %d of input, then %v", spent, len(c.raw), err)
			}
		})
	}
}

func TestEncodeRefusesWhatDecodeWouldRefuse(t *testing.T) {
	var refused *FieldError
	_, err := Encode(&StartJob{Job: make([]byte, 31)})
	if !errors.As(err, &refused) || *refused != (FieldError{Field: "job", Rule: "has 31 bytes, want 32"}) {
		t.Errorf("got %v", err)
	}
	kept := []byte("kept")
	if got, err := AppendEncoded(kept, &Claim{}); err == nil || got != nil {
		t.Errorf("got %x, %v; want nothing and an error", got, err)
	}
}

func TestAppendEncodedKeepsWhatIsThere(t *testing.T) {
	got, err := AppendEncoded([]byte("kept"), &Pin{ControlOffset: 5})
	if err != nil || string(got) != "kept\x08\x05" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAnyValidEventIsDecodedToItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawRecord(t)
		raw, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		again := newOf(descriptorOf(m))
		if err := Decode(raw, again); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(m.(proto.Message), again.(proto.Message)) {
			t.Fatalf("got %v, want %v", again, m)
		}
	})
}

// A flipped byte is refused, or it is the one encoding of another value: two byte strings never mean
// the same event.
func TestAChangedByteNeverMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawRecord(t)
		raw, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		changed := slices.Clone(raw)
		if len(changed) == 0 {
			return
		}
		changed[rapid.IntRange(0, len(raw)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		other := newOf(descriptorOf(m))
		if Decode(changed, other) != nil {
			return
		}
		if proto.Equal(m.(proto.Message), other.(proto.Message)) {
			t.Fatalf("%x and %x both mean %v", raw, changed, m)
		}
		if again, err := Encode(other); err != nil || !bytes.Equal(again, changed) {
			t.Fatalf("%x is accepted, and encodes to %x, %v", changed, again, err)
		}
	})
}

func drawRecord(t *rapid.T) Message {
	roots := append(otherRoots(), descriptorOf(new(SignedReport)), descriptorOf(new(Report)), descriptorOf(new(Entry)))
	m := newOf(rapid.SampledFrom(roots).Draw(t, "type"))
	draw(t, m.(proto.Message).ProtoReflect())
	return m
}

// The schema must stay one that Decode can bound.

func TestEveryFieldOfTheSchemaIsBounded(t *testing.T) {
	fields := 0
	everyMessageType(func(m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			field := m.Fields().Get(i)
			size, limit, _ := limitsOf(field)
			switch kind := field.Kind(); {
			case field.IsList() && limit == 0,
				field.IsList() && kind == protoreflect.BytesKind && size == 0,
				!field.IsList() && kind == protoreflect.BytesKind && size == 0 && limit == 0,
				kind == protoreflect.StringKind && (limit == 0 || field.IsList()):
				t.Errorf("%s has no bound", field.FullName())
			case kind == protoreflect.FloatKind, kind == protoreflect.DoubleKind, field.IsMap():
				t.Errorf("%s: neither floats nor maps have a place in an event", field.FullName())
			}
			fields++
		}
	})
	if fields < 200 {
		t.Errorf("looked at %d fields only", fields)
	}
}

func TestNoMessageContainsItself(t *testing.T) {
	var walk func(m protoreflect.MessageDescriptor, outer []protoreflect.FullName)
	walk = func(m protoreflect.MessageDescriptor, outer []protoreflect.FullName) {
		if slices.Contains(outer, m.FullName()) {
			t.Errorf("%s contains itself by way of %v: its depth has no bound", m.FullName(), outer)
			return
		}
		for i := range m.Fields().Len() {
			if inner := m.Fields().Get(i).Message(); inner != nil {
				walk(inner, append(outer, m.FullName()))
			}
		}
	}
	everyMessageType(func(m protoreflect.MessageDescriptor) { walk(m, nil) })
}
