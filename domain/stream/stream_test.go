package stream_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var update = flag.Bool("update", false, "rewrite testdata/told.txt")

// everyFact returns a fact of each kind of the schema, by name, with every field of it set to something
// that is like no other field.
func everyFact() (facts []*v1.Fact, names []string) {
	kinds := (&v1.Fact{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range kinds.Len() {
		fact, next := &v1.Fact{}, int64(1000*i)
		message := fact.ProtoReflect()
		message.Set(kinds.Get(i), fill(kinds.Get(i), message.NewField(kinds.Get(i)), &next))
		facts, names = append(facts, fact), append(names, string(kinds.Get(i).Name()))
	}
	return facts, names
}

func fill(field protoreflect.FieldDescriptor, value protoreflect.Value, next *int64) protoreflect.Value {
	*next++
	if field.IsList() {
		return value // no message of a stream holds a list
	}
	switch field.Kind() {
	case protoreflect.MessageKind:
		fields := field.Message().Fields()
		for i := range fields.Len() {
			value.Message().Set(fields.Get(i), fill(fields.Get(i), value.Message().NewField(fields.Get(i)), next))
		}
		return value
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{byte(*next), byte(*next >> 8)}, 16))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprint(*next))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(field.Enum().Values().Get(1).Number())
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(*next))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(*next))
	default:
		return protoreflect.ValueOfInt64(*next)
	}
}

// The file says of each kind of fact what others are told of it, so a new kind has to be thought of.
func TestEachFactTellsWhatTheFileSays(t *testing.T) {
	var made strings.Builder
	facts, names := everyFact()
	for i, fact := range facts {
		shard := domain.Shard(3)
		messages := stream.Of(shard, 7, answerOf(7, fact))
		if len(messages) == 0 {
			fmt.Fprintf(&made, "%s: nothing\n", names[i])
		}
		for _, m := range messages {
			fmt.Fprintf(&made, "%s: %s of %s\n  fact %s\n  told %s\n  key %x\n",
				names[i], m.Stream, m.About, v1.AppendJSON(nil, fact), v1.AppendJSON(nil, m.Body.(proto.Message)), m.Key)
			if _, err := v1.Encode(m.Body); err != nil {
				t.Errorf("%s: %v", names[i], err)
			}
		}
	}
	const path = "testdata/told.txt"
	if *update {
		if err := os.WriteFile(path, []byte(made.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if made.String() != string(want) {
		t.Errorf("told:\n%s\nwant:\n%s", made.String(), want)
	}
}

// answerOf is an entry with facts, meant for an offset.
func answerOf(offset domain.Offset, facts ...*v1.Fact) *v1.Entry {
	return &v1.Entry{AtMs: 1_767_225_600_000, Offset: int64(offset), Body: &v1.Entry_Answer{Answer: &v1.Answer{Facts: facts}}}
}

func TestAVoidEntryAndOneWithoutFactsTellNothing(t *testing.T) {
	facts, _ := everyFact()
	for name, entry := range map[string]*v1.Entry{
		"meant for another place": answerOf(8, facts...),
		"no facts":                answerOf(7),
		"a refusal":               {Offset: 7, Body: &v1.Entry_Answer{Answer: &v1.Answer{Refusal: &v1.Rejection{}}}},
		"a pin":                   {Offset: 7, Body: &v1.Entry_Pin{Pin: &v1.Pin{}}},
		"a genesis":               {Offset: 7, Body: &v1.Entry_Genesis{Genesis: &v1.Genesis{}}},
	} {
		if told := stream.Of(3, 7, entry); len(told) != 0 {
			t.Errorf("%s tells %v", name, told)
		}
	}
	if told := stream.Of(3, 7, answerOf(7, facts...)); len(told) == 0 {
		t.Error("the same facts in their place tell nothing")
	}
}

func TestMessagesNameTheirFactAndStandInItsOrder(t *testing.T) {
	facts, _ := everyFact()
	before := domain.FactPosition{}
	for _, m := range stream.Of(3, 7, answerOf(7, facts...)) {
		if m.Position.Shard != 3 || m.Position.Offset != 7 || m.Position.Compare(before) <= 0 {
			t.Errorf("%s comes behind %s", m.Position, before)
		}
		before = m.Position
		var alone []*v1.Fact
		for range m.Position.Fact - 1 {
			alone = append(alone, &v1.Fact{Body: &v1.Fact_Ticked{Ticked: &v1.Tick{}}})
		}
		again := stream.Of(3, 7, answerOf(7, append(alone, facts[m.Position.Fact-1])...))
		if len(again) != 1 || !proto.Equal(again[0].Body.(proto.Message), m.Body.(proto.Message)) {
			t.Errorf("fact %d alone tells %v, want %v", m.Position.Fact, again, m.Body)
		}
		held := m.Body.(interface{ GetPosition() *v1.FactPosition }).GetPosition()
		if got := stream.PositionOf(held); got != m.Position {
			t.Errorf("the message at %s says that it is at %s", m.Position, got)
		}
	}
}

// A stream that a shard does not feed is looked for nowhere, so its messages would be told again and again.
func TestAShardFeedsWhatItsFactsTell(t *testing.T) {
	facts, _ := everyFact()
	seen := map[string]bool{}
	for _, m := range stream.Of(3, 7, answerOf(7, facts...)) {
		seen[string(m.Stream)] = true
	}
	fed := map[string]bool{}
	for _, shard := range []domain.Shard{domain.Control, 3} {
		for _, name := range stream.From(shard) {
			fed[string(name)] = true
		}
	}
	if fmt.Sprint(seen) != fmt.Sprint(fed) {
		t.Errorf("facts feed %v, shards %v", seen, fed)
	}
}
