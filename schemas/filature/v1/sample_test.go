package filaturev1

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"pgregory.net/rapid"
)

// What the tests know of a field's limits, read from the schema itself.
func limitsOf(field protoreflect.FieldDescriptor) (size, limit int, optional bool) {
	options := field.Options()
	return int(proto.GetExtension(options, E_Size).(uint32)),
		int(proto.GetExtension(options, E_Max).(uint32)),
		proto.GetExtension(options, E_Optional).(bool)
}

// sample fills a message with values that are not zero and hang on the field's name and the index
// only, so that a new field or enum value changes no other. Of a oneof it fills the named body. With
// least set it fills only what the schema demands.
func sample(into protoreflect.Message, body protoreflect.Name, index int, least bool) {
	fields := into.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.ContainingOneof() != nil && field.Name() != body {
			continue
		}
		size, limit, optional := limitsOf(field)
		if least && (optional || field.IsList()) {
			continue
		}
		if !field.IsList() {
			if least && size == 0 && field.Kind() != protoreflect.MessageKind && field.Kind() != protoreflect.EnumKind {
				continue
			}
			into.Set(field, sampleValue(field, into.NewField(field), index, least))
			continue
		}
		if field.Message() != nil && field.Message().Oneofs().Len() != 0 {
			continue // claims and facts: the caller says which
		}
		list := into.Mutable(field).List()
		for j := range min(2, limit) {
			list.Append(sampleValue(field, list.NewElement(), index+j, least))
		}
	}
}

func sampleValue(field protoreflect.FieldDescriptor, fresh protoreflect.Value, index int, least bool) protoreflect.Value {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", field.FullName(), index))
	number := uint64(seed[0])<<8 | uint64(seed[1]) + 1
	switch field.Kind() {
	case protoreflect.MessageKind:
		sample(fresh.Message(), "", index, least)
		return fresh
	case protoreflect.BytesKind:
		size, limit, _ := limitsOf(field)
		if size == 0 && !least {
			size = min(limit, 5)
		}
		return protoreflect.ValueOfBytes(bytes.Repeat(seed[:], 2)[:size])
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprintf("%s “ü\n\"🧵", field.Name()))
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(1 + index).Number())
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(math.MaxInt64 - number)
	case protoreflect.Sint64Kind:
		return protoreflect.ValueOfInt64(-int64(number))
	default:
		return protoreflect.ValueOfInt64(int64(number) << (8 * (number % 5)))
	}
}

// record is a message that travels or is stored on its own.
type record struct {
	name string  // "claim submit_job full"
	body Message // what is encoded: for a claim the SignedReport, for a fact the Entry
	text Message // what a reader wants to see of it: for a claim the Report, else the body
}

// signerOfSamples signs the sampled reports.
var signerOfSamples = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// sampleRecords makes two records for each claim, fact, kind of entry and other root: one with every field set,
// and one with as little as the schema allows.
func sampleRecords(t testing.TB) []record {
	var records []record
	claims := (*Claim)(nil).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range claims.Len() {
		for _, least := range []bool{false, true} {
			claim := new(Claim)
			sample(claim.ProtoReflect(), claims.Get(i).Name(), 0, least)
			report := &Report{Claims: []*Claim{claim}}
			sample(report.ProtoReflect(), "", 0, least)
			report.Claims = []*Claim{claim}
			report.Signer = signerOfSamples.Public().(ed25519.PublicKey)
			raw := mustEncode(t, report)
			signed := &SignedReport{
				Report:    raw,
				Signature: ed25519.Sign(signerOfSamples, append([]byte("filature/report/v1\x00"), raw...)),
			}
			records = append(records, record{sampleName("claim", claims.Get(i), least), signed, report})
		}
	}
	entries := (*Entry)(nil).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range entries.Len() {
		for _, least := range []bool{false, true} {
			entry := new(Entry)
			sample(entry.ProtoReflect(), entries.Get(i).Name(), 0, least)
			records = append(records, record{sampleName("entry", entries.Get(i), least), entry, entry})
		}
	}
	for _, desc := range otherRoots() {
		for _, least := range []bool{false, true} {
			m := newOf(desc)
			sample(m.(proto.Message).ProtoReflect(), "", 0, least)
			records = append(records, record{sampleName("message", desc, least), m, m})
		}
	}
	facts := (*Fact)(nil).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range facts.Len() {
		for _, least := range []bool{false, true} {
			fact := new(Fact)
			sample(fact.ProtoReflect(), facts.Get(i).Name(), 0, least)
			answer := new(Answer)
			sample(answer.ProtoReflect(), "", 0, least)
			answer.Refusal, answer.Facts = nil, []*Fact{fact}
			entry := &Entry{AtMs: 1_764_000_000_000, Body: &Entry_Answer{Answer: answer}}
			records = append(records, record{sampleName("fact", facts.Get(i), least), entry, entry})
		}
	}
	return records
}

// otherRoots are the types, besides SignedReport, Report and Entry, that travel or are hashed on their
// own: those that stand in no other message, the genesis and the rate card.
func otherRoots() []protoreflect.MessageDescriptor {
	inner := map[protoreflect.FullName]bool{}
	everyMessageType(func(m protoreflect.MessageDescriptor) {
		for i := range m.Fields().Len() {
			if field := m.Fields().Get(i); field.Message() != nil {
				inner[field.Message().FullName()] = true
			}
		}
	})
	roots := []protoreflect.MessageDescriptor{descriptorOf(new(Genesis)), descriptorOf(new(RateCard))}
	everyMessageType(func(m protoreflect.MessageDescriptor) {
		switch m.Name() {
		case "SignedReport", "Report", "Entry":
		default:
			if !inner[m.FullName()] {
				roots = append(roots, m)
			}
		}
	})
	slices.SortFunc(roots, func(a, b protoreflect.MessageDescriptor) int { return cmp.Compare(a.Name(), b.Name()) })
	return roots
}

func descriptorOf(m Message) protoreflect.MessageDescriptor {
	return m.(proto.Message).ProtoReflect().Descriptor()
}

func newOf(desc protoreflect.MessageDescriptor) Message { return newNamed(desc.Name()) }

func newNamed(name protoreflect.Name) Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName("filature.v1").Append(name))
	if err != nil {
		panic(err)
	}
	return kind.New().Interface().(Message)
}

func sampleName(stream string, body protoreflect.Descriptor, least bool) string {
	how := "full"
	if least {
		how = "least"
	}
	return fmt.Sprintf("%s %s %s", stream, body.Name(), how)
}

func mustEncode(t testing.TB, m Message) []byte {
	t.Helper()
	raw, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// draw fills a message with any values that the schema allows.
func draw(t *rapid.T, into protoreflect.Message) {
	fields := into.Descriptor().Fields()
	if oneofs := into.Descriptor().Oneofs(); oneofs.Len() != 0 {
		bodies := oneofs.Get(0).Fields()
		body := bodies.Get(rapid.IntRange(0, bodies.Len()-1).Draw(t, "body"))
		into.Set(body, drawValue(t, body, into.NewField(body)))
	}
	for i := range fields.Len() {
		field := fields.Get(i)
		_, limit, optional := limitsOf(field)
		switch {
		case field.ContainingOneof() != nil: // drawn above
		case field.IsList():
			list := into.Mutable(field).List()
			for range rapid.IntRange(0, min(3, limit)).Draw(t, string(field.Name())) {
				list.Append(drawValue(t, field, list.NewElement()))
			}
		case optional && rapid.Bool().Draw(t, "absent"):
		default:
			into.Set(field, drawValue(t, field, into.NewField(field)))
		}
	}
}

func drawValue(t *rapid.T, field protoreflect.FieldDescriptor, fresh protoreflect.Value) protoreflect.Value {
	name := string(field.Name())
	size, limit, _ := limitsOf(field)
	switch field.Kind() {
	case protoreflect.MessageKind:
		draw(t, fresh.Message())
		return fresh
	case protoreflect.BytesKind:
		least, most := size, size
		if size == 0 {
			most = min(limit, 100)
		}
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), least, most).Draw(t, name))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(strings.ToValidUTF8(rapid.StringN(0, -1, limit).Draw(t, name), "?"))
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(rapid.IntRange(1, values.Len()-1).Draw(t, name)).Number())
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, name))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, name))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64Max(math.MaxInt64).Draw(t, name))
	default:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, name))
	}
}
