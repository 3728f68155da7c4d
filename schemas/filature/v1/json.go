package filaturev1

import (
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The JSON form is for people and pipes; nothing hashes or signs it. A message is one object:
//
//   - names are those of the schema: {"submit_job":{"account":"07ab...","number":7}};
//   - bytes are hexadecimal, integers of all widths are plain JSON numbers;
//   - an enum value is its name without the type's name, in lower case: FAILURE_REASON_ENGINE_ERROR
//     is "engine_error". Account kinds and rate rules have a slash, as everywhere else in Filature:
//     "client/available", "exact/v1";
//   - a field that is left out is zero, empty or absent, and zero fields are not printed.

// AppendJSON appends the JSON form of any message of this package, without a line feed.
func AppendJSON(buf []byte, m proto.Message) []byte { return appendMessage(buf, m.ProtoReflect()) }

func appendMessage(buf []byte, m protoreflect.Message) []byte {
	buf = append(buf, '{')
	fields, first := m.Descriptor().Fields(), true
	for i := range fields.Len() {
		field := fields.Get(i)
		if !m.Has(field) {
			continue
		}
		if !first {
			buf = append(buf, ',')
		}
		first = false
		buf = append(buf, '"')
		buf = append(buf, field.Name()...)
		buf = append(buf, '"', ':')
		if !field.IsList() {
			buf = appendValue(buf, field, m.Get(field))
			continue
		}
		list := m.Get(field).List()
		for j := range list.Len() {
			buf = append(buf, "[,"[min(j, 1)])
			buf = appendValue(buf, field, list.Get(j))
		}
		buf = append(buf, ']')
	}
	return append(buf, '}')
}

func appendValue(buf []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) []byte {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return appendMessage(buf, value.Message())
	case protoreflect.BytesKind:
		buf = append(buf, '"')
		buf = hex.AppendEncode(buf, value.Bytes())
		return append(buf, '"')
	case protoreflect.StringKind:
		quoted, err := json.Marshal(value.String())
		if err != nil {
			panic("filaturev1: a string has no JSON form: " + err.Error())
		}
		return append(buf, quoted...)
	case protoreflect.EnumKind:
		if known := field.Enum().Values().ByNumber(value.Enum()); known != nil {
			return strconv.AppendQuote(buf, enumName(known))
		}
		return strconv.AppendInt(buf, int64(value.Enum()), 10)
	case protoreflect.BoolKind:
		return strconv.AppendBool(buf, value.Bool())
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return strconv.AppendUint(buf, value.Uint(), 10)
	default: // the signed integers; the generator refuses every other kind
		return strconv.AppendInt(buf, value.Int(), 10)
	}
}

// slashed are the enums whose values have a slash between their two words.
var slashed = map[protoreflect.FullName]bool{
	"filature.v1.AccountKind": true,
	"filature.v1.RateRule":    true,
}

// enumName turns REASON_WRONG_SHARD of the enum Reason into "wrong_shard".
func enumName(value protoreflect.EnumValueDescriptor) string {
	// By the lint rule that buf calls ENUM_VALUE_PREFIX, value 0 is the type's name and this word.
	zero := string(value.Parent().(protoreflect.EnumDescriptor).Values().ByNumber(0).Name())
	name := strings.ToLower(strings.TrimPrefix(string(value.Name()), strings.TrimSuffix(zero, "UNSPECIFIED")))
	if slashed[value.Parent().FullName()] {
		name = strings.Replace(name, "_", "/", 1)
	}
	return name
}
