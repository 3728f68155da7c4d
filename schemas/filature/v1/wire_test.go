package filaturev1

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// wireMessage is an encoded message taken apart, so that a test can put it together wrongly. It is
// written on the wire format's rules alone and knows nothing of the generated code.
type wireMessage struct {
	path   string // as in a FieldError; "" for the outermost
	desc   protoreflect.MessageDescriptor
	fields []*wireField
}

type wireField struct {
	desc   protoreflect.FieldDescriptor
	path   string
	kind   protowire.Type
	varint uint64
	bytes  []byte
	sub    *wireMessage
	raw    []byte // if set, this is the field, tag and all
}

func takeApart(t testing.TB, raw []byte, desc protoreflect.MessageDescriptor, path string) *wireMessage {
	t.Helper()
	m := &wireMessage{path: path, desc: desc}
	index := map[protowire.Number]int{}
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			t.Fatalf("%s: bad tag", path)
		}
		raw = raw[n:]
		f := &wireField{desc: desc.Fields().ByNumber(number), kind: kind}
		f.path = joinPath(path, string(f.desc.Name()))
		switch kind {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(raw)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(raw)
		default:
			t.Fatalf("%s: wire type %d", path, kind)
		}
		if n < 0 {
			t.Fatalf("%s: bad value", f.path)
		}
		raw = raw[n:]
		if f.desc.IsList() && !f.desc.IsPacked() {
			f.path = fmt.Sprintf("%s[%d]", f.path, index[number])
			index[number]++
		}
		if f.desc.Kind() == protoreflect.MessageKind {
			f.sub = takeApart(t, f.bytes, f.desc.Message(), f.path)
		}
		m.fields = append(m.fields, f)
	}
	return m
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (m *wireMessage) encode() []byte {
	var raw []byte
	for _, f := range m.fields {
		raw = append(raw, f.encode()...)
	}
	return raw
}

func (f *wireField) encode() []byte {
	if f.raw != nil {
		return f.raw
	}
	raw := protowire.AppendTag(nil, f.desc.Number(), f.kind)
	if f.kind == protowire.VarintType {
		return protowire.AppendVarint(raw, f.varint)
	}
	return protowire.AppendBytes(raw, f.content())
}

func (f *wireField) content() []byte {
	if f.sub != nil {
		return f.sub.encode()
	}
	return f.bytes
}

// every visits a message and all messages in it.
func (m *wireMessage) every(visit func(*wireMessage)) {
	visit(m)
	for _, f := range m.fields {
		if f.sub != nil {
			f.sub.every(visit)
		}
	}
}

// fault is one thing wrong with one message: other fields in place of its own, and what Decode has to
// say of it. The rule is empty where only the bytes differ and not the value.
type fault struct {
	name   string
	fields []*wireField
	field  string
	rule   string
}

// forms are the faults of encoding: other bytes for the same or almost the same value.
func (m *wireMessage) forms() []fault {
	var faults []fault
	add := func(name string, fields []*wireField) {
		faults = append(faults, fault{name: name, fields: fields})
	}
	unknown := func(name string, number protowire.Number, raw []byte) {
		faults = append(faults, fault{
			name: name, fields: append(slices.Clone(m.fields), &wireField{raw: raw}),
			field: m.path, rule: fmt.Sprintf("has an unknown field, number %d", number),
		})
	}
	unknown("an unknown number", 9_999, varintField(9_999, 1))
	unknown("an unknown text", 536_870_911, protowire.AppendString(
		protowire.AppendTag(nil, 536_870_911, protowire.BytesType), "a prompt"))
	unknown("an unknown group", 77, protowire.AppendTag(
		protowire.AppendTag(nil, 77, protowire.StartGroupType), 77, protowire.EndGroupType))
	for i, f := range m.fields {
		instead := func(raw ...*wireField) []*wireField {
			return slices.Concat(m.fields[:i], raw, m.fields[i+1:])
		}
		raw := func(b []byte) *wireField { return &wireField{raw: b} }
		tag := protowire.EncodeTag(f.desc.Number(), f.kind)

		if next := i + 1; next < len(m.fields) && m.fields[next].desc != f.desc {
			add("two fields out of order", slices.Concat(
				m.fields[:i], []*wireField{m.fields[next], f}, m.fields[next+1:]))
		}
		if !f.desc.IsList() || f.desc.IsPacked() {
			add("a field given twice", instead(f, f))
		}
		if f.kind == protowire.VarintType {
			short := protowire.AppendVarint(nil, tag)
			add("a number in too many bytes", instead(raw(append(short, longVarint(f.varint)...))))
			if size := protowire.SizeVarint(f.varint); size < 10 && f.desc.Kind() != protoreflect.EnumKind {
				// Bits that the field's type has no room for.
				add("a number with bits beyond its type", instead(raw(append(short, tenByteVarint(f.varint, f.desc)...))))
			}
			add("the wrong wire type", instead(raw(protowire.AppendFixed64(
				protowire.AppendTag(nil, f.desc.Number(), protowire.Fixed64Type), f.varint))))
		} else {
			content := f.content()
			short := protowire.AppendVarint(nil, tag)
			add("a length in too many bytes", instead(raw(slices.Concat(short, longVarint(uint64(len(content))), content))))
		}
		add("a tag in too many bytes", instead(raw(append(longVarint(tag), f.encode()[protowire.SizeVarint(tag):]...))))
		if f.desc.Kind() == protoreflect.BoolKind {
			add("a true that is two", instead(raw(varintField(f.desc.Number(), 2))))
		}
		if f.sub != nil && !f.desc.IsList() && len(f.sub.fields) > 1 {
			half := func(fields []*wireField) *wireField {
				return &wireField{desc: f.desc, kind: f.kind, sub: &wireMessage{fields: fields}}
			}
			add("a message in two parts", instead(half(f.sub.fields[:1]), half(f.sub.fields[1:])))
		}
		if f.desc.IsPacked() {
			var unpacked []*wireField
			for rest := f.bytes; len(rest) > 0; {
				v, n := protowire.ConsumeVarint(rest)
				unpacked, rest = append(unpacked, raw(varintField(f.desc.Number(), v))), rest[n:]
			}
			add("a list that is not packed", instead(unpacked...))
		}
		if oneof := f.desc.ContainingOneof(); oneof != nil {
			for j := range oneof.Fields().Len() {
				if other := oneof.Fields().Get(j); other != f.desc {
					empty := raw(protowire.AppendBytes(protowire.AppendTag(nil, other.Number(), protowire.BytesType), nil))
					add("two bodies", instead(empty, f))
				}
			}
		}
	}
	for i := range m.desc.Fields().Len() {
		field := m.desc.Fields().Get(i)
		absent := !slices.ContainsFunc(m.fields, func(f *wireField) bool { return f.desc == field })
		if !absent || field.Kind() == protoreflect.MessageKind || field.IsList() && !field.IsPacked() {
			continue
		}
		zero := varintField(field.Number(), 0) // also the empty text, the empty list
		if field.IsList() || field.Kind() == protoreflect.BytesKind || field.Kind() == protoreflect.StringKind {
			zero = protowire.AppendBytes(protowire.AppendTag(nil, field.Number(), protowire.BytesType), nil)
		}
		at := slices.IndexFunc(m.fields, func(f *wireField) bool { return f.desc.Number() > field.Number() })
		if at < 0 {
			at = len(m.fields)
		}
		add("a default that is written out", slices.Insert(slices.Clone(m.fields), at, &wireField{raw: zero}))
	}
	return faults
}

// values are the faults of value, each with the complaint that names the field and the rule.
func (m *wireMessage) values() []fault {
	var faults []fault
	for i, f := range m.fields {
		name := string(f.desc.Name())
		size, limit, optional := limitsOf(f.desc)
		add := func(what, field, rule string, fields ...*wireField) {
			faults = append(faults, fault{
				name: what, fields: slices.Concat(m.fields[:i], fields, m.fields[i+1:]), field: field, rule: rule,
			})
		}
		with := func(content []byte) *wireField {
			return &wireField{desc: f.desc, kind: protowire.BytesType, bytes: content}
		}
		if f.desc.IsList() && !f.desc.IsPacked() {
			many := slices.Repeat([]*wireField{f}, limit+1)
			faults = append(faults, fault{
				name:   "too many elements",
				fields: slices.Concat(m.fields[:i], many, m.fields[i+1:]), // other elements only make it worse
				field:  joinPath(m.path, name),
				rule:   fmt.Sprintf("has %d elements, at most %d are allowed", limit+m.count(f.desc), limit),
			})
		}
		switch kind := f.desc.Kind(); {
		case f.desc.IsPacked():
			over := limit + 1
			add("too many elements", f.path, fmt.Sprintf("has %d elements, at most %d are allowed", over, limit),
				with(slices.Repeat([]byte{1}, over)))
			if kind == protoreflect.EnumKind {
				add("an unknown enum value", f.path+"[0]", "has the unknown value 99", with([]byte{99}))
			}
		case kind == protoreflect.BytesKind && size != 0:
			for _, n := range []int{size - 1, size + 1, 1} {
				add("a wrong length", f.path, fmt.Sprintf("has %d bytes, want %d", n, size), with(make([]byte, n)))
			}
			if !optional && !f.desc.IsList() {
				add("a missing field", f.path, fmt.Sprintf("has 0 bytes, want %d", size))
			}
		case kind == protoreflect.BytesKind:
			add("too many bytes", f.path, fmt.Sprintf("has %d bytes, at most %d are allowed", limit+1, limit),
				with(make([]byte, limit+1)))
		case kind == protoreflect.StringKind:
			add("too long a text", f.path, fmt.Sprintf("has %d bytes, at most %d are allowed", limit+1, limit),
				with(make([]byte, limit+1)))
			add("a text that is not UTF-8", f.path, "is not UTF-8", with([]byte("a\xff")))
			add("a text with half a surrogate pair", f.path, "is not UTF-8", with([]byte("\xed\xa0\x80")))
		case kind == protoreflect.EnumKind:
			unknown := *f
			unknown.varint = 99
			add("an unknown enum value", f.path, "has the unknown value 99", &unknown)
			if !optional {
				add("an enum that is unspecified", f.path, "has the unknown value 0")
			}
		case kind == protoreflect.MessageKind && f.desc.ContainingOneof() != nil:
			add("a missing body", joinPath(m.path, string(f.desc.ContainingOneof().Name())), "is missing")
		case kind == protoreflect.MessageKind && !optional && !f.desc.IsList():
			add("a missing message", f.path, "is missing")
		}
	}
	return faults
}

func (m *wireMessage) count(desc protoreflect.FieldDescriptor) int {
	n := 0
	for _, f := range m.fields {
		if f.desc == desc {
			n++
		}
	}
	return n
}

func varintField(number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v)
}

// longVarint spends one byte more than it needs.
func longVarint(v uint64) []byte {
	raw := protowire.AppendVarint(nil, v)
	if len(raw) == 10 { // an eleventh byte is no varint at all, so the tenth gets a bit too many
		raw[9] |= 2
		return raw
	}
	raw[len(raw)-1] |= 0x80
	return append(raw, 0)
}

// tenByteVarint sets a bit above the width of the field.
func tenByteVarint(v uint64, desc protoreflect.FieldDescriptor) []byte {
	raw := make([]byte, 10)
	for i := range raw {
		raw[i] = byte(v>>(7*i))&0x7f | 0x80
	}
	raw[9] = 2 // bit 64
	if desc.Kind() == protoreflect.Uint32Kind {
		return protowire.AppendVarint(nil, v|1<<32)
	}
	return raw
}

// wireOf takes a golden apart; of a claim, the signed report and the report inside it.
func wireOf(t testing.TB, g golden) []*wireMessage {
	t.Helper()
	body, text := g.decode(t)
	outer := takeApart(t, g.bytes, descriptorOf(body), "")
	if !g.isClaim() {
		return []*wireMessage{outer}
	}
	return []*wireMessage{outer, takeApart(t, outer.fields[0].bytes, descriptorOf(text), "")}
}
