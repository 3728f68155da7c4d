package auditor

import (
	"encoding/hex"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// firstDifference returns the path of the first field in which two messages of one type differ, and
// both values: "answer.facts[2].postings[0].amount_nano", "7", "5". Equal messages differ in nothing.
func firstDifference(have, want protoreflect.Message) (field, haveText, wantText string) {
	fields := have.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		path, a, b, differ := differIn(f, have, want)
		if differ {
			return path, a, b
		}
	}
	return "", "", ""
}

func differIn(f protoreflect.FieldDescriptor, have, want protoreflect.Message) (path, a, b string, differ bool) {
	name := string(f.Name())
	switch inHave, inWant := have.Has(f), want.Has(f); {
	case !inHave && !inWant:
		return "", "", "", false
	case inHave != inWant && (f.Kind() == protoreflect.MessageKind || f.ContainingOneof() != nil) && !f.IsList():
		return name, orNothing(f, have), orNothing(f, want), true
	}
	if f.IsList() {
		return differInList(f, have.Get(f).List(), want.Get(f).List())
	}
	return differInValue(name, f, have.Get(f), want.Get(f))
}

func differInList(f protoreflect.FieldDescriptor, have, want protoreflect.List) (path, a, b string, differ bool) {
	for i := range min(have.Len(), want.Len()) {
		if path, a, b, differ = differInValue(fmt.Sprintf("%s[%d]", f.Name(), i), f, have.Get(i), want.Get(i)); differ {
			return path, a, b, true
		}
	}
	if have.Len() == want.Len() {
		return "", "", "", false
	}
	at := min(have.Len(), want.Len())
	a, b = "nothing", "nothing"
	if at < have.Len() {
		a = text(f, have.Get(at))
	}
	if at < want.Len() {
		b = text(f, want.Get(at))
	}
	return fmt.Sprintf("%s[%d]", f.Name(), at), a, b, true
}

func differInValue(name string, f protoreflect.FieldDescriptor, have, want protoreflect.Value) (path, a, b string, differ bool) {
	if f.Kind() == protoreflect.MessageKind {
		inner, a, b := firstDifference(have.Message(), want.Message())
		return name + "." + inner, a, b, inner != ""
	}
	if have.Equal(want) {
		return "", "", "", false
	}
	return name, text(f, have), text(f, want), true
}

func orNothing(f protoreflect.FieldDescriptor, m protoreflect.Message) string {
	if !m.Has(f) {
		return "nothing"
	}
	return text(f, m.Get(f))
}

func text(f protoreflect.FieldDescriptor, value protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return show(value.Message().Interface())
	case protoreflect.BytesKind:
		return hex.EncodeToString(value.Bytes())
	case protoreflect.EnumKind:
		if known := f.Enum().Values().ByNumber(value.Enum()); known != nil {
			return strings.ToLower(string(known.Name()))
		}
		return fmt.Sprint(value.Enum())
	default:
		return fmt.Sprint(value.Interface())
	}
}

// show writes a message as JSON, cut where it is long.
func show(m proto.Message) string {
	long := v1.AppendJSON(nil, m)
	if len(long) <= maxShown {
		return string(long)
	}
	return strings.ToValidUTF8(string(long[:maxShown]), "") + "..."
}
