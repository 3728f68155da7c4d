package queryapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A question is read strictly, in every encoding: a field that this server does not know may be a filter, and an answer
// without it would have wrong sums. In JSON, a field that is given twice or has another form is told by its path.

// jsonCodec is Connect's codec for JSON, but strict. It goes by two names.
type jsonCodec struct{ name string }

// strictJSON are options that read JSON strictly, whether its charset is named or not.
var strictJSON = []connect.HandlerOption{
	connect.WithCodec(jsonCodec{"json"}), connect.WithCodec(jsonCodec{"json; charset=utf-8"}),
}

// Name implements connect.Codec.
func (c jsonCodec) Name() string { return c.name }

// Marshal implements connect.Codec.
func (jsonCodec) Marshal(message any) ([]byte, error) {
	m, is := message.(proto.Message)
	if !is {
		return nil, fmt.Errorf("encode %T: it is no message", message)
	}
	return protojson.Marshal(m)
}

// Unmarshal implements connect.Codec. Connect would make an error without details of ours, so what is wrong is left in the
// message, for misread to find.
func (jsonCodec) Unmarshal(raw []byte, message any) error {
	m, is := message.(proto.Message)
	if !is {
		return fmt.Errorf("decode %T: it is no message", message)
	}
	if wrong := readJSON(raw, m); wrong != nil {
		proto.Reset(m)
		note := protowire.AppendTag(nil, misreadNumber, protowire.BytesType)
		m.ProtoReflect().SetUnknown(protowire.AppendString(note, wrong.field+"\x00"+wrong.rule))
	}
	return nil
}

// misreadNumber is the field in which a message carries what was wrong with its JSON. No schema can have it: protobuf
// keeps the numbers from 19000 to 19999 for itself.
const misreadNumber protowire.Number = 19_001

// misread is the error of a question that can't be read, or nil.
func misread(asked proto.Message) error {
	return misreadIn(asked.ProtoReflect(), "")
}

func misreadIn(m protoreflect.Message, path string) (err error) {
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		number, kind, n := protowire.ConsumeTag(unknown)
		if number == misreadNumber && kind == protowire.BytesType && path == "" {
			note, _ := protowire.ConsumeString(unknown[max(n, 0):])
			field, rule, _ := strings.Cut(note, "\x00")
			return wrong(field, rule)
		}
		return wrong(join(path, strconv.Itoa(int(number))), "this server knows no field of this number")
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil {
			return true
		}
		at := join(path, string(field.Name()))
		if !field.IsList() {
			err = misreadIn(value.Message(), at)
			return err == nil
		}
		for i := range value.List().Len() {
			if err = misreadIn(value.List().Get(i).Message(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return false
			}
		}
		return true
	})
	return err
}

// fault is a field and the rule that it breaks.
type fault struct{ field, rule string }

// wholeBody stands for the field where it is none in particular.
const wholeBody = "body"

// readJSON reads JSON into an empty message. It goes no deeper than the schema does.
func readJSON(raw []byte, into proto.Message) *fault {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	var whole json.RawMessage
	if err := decoder.Decode(&whole); err != nil {
		return &fault{wholeBody, "want a JSON object"}
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return &fault{wholeBody, "want one JSON object and nothing behind it"}
	}
	if wrong := checkObject(into.ProtoReflect(), whole, ""); wrong != nil {
		return wrong
	}
	if err := protojson.Unmarshal(whole, into); err != nil {
		return &fault{wholeBody, fmt.Sprintf("want the JSON form of %s", into.ProtoReflect().Descriptor().Name())}
	}
	return nil
}

// checkObject tells what is wrong with an object, which is JSON: its fields, their number, the form of their values. like is
// a message that it could be.
func checkObject(like protoreflect.Message, raw []byte, path string) *fault {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return &fault{orBody(path), "want a JSON object"}
	}
	seen := map[protoreflect.FieldNumber]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, isName := token.(string)
		var value json.RawMessage
		if err != nil || !isName || decoder.Decode(&value) != nil {
			return &fault{orBody(path), "want a JSON object"}
		}
		fields := like.Descriptor().Fields()
		field := fields.ByJSONName(name)
		if field == nil {
			field = fields.ByTextName(name)
		}
		if field == nil {
			return &fault{join(path, short(name)), fmt.Sprintf("%s has no such field, it has %s", like.Descriptor().Name(), namesOf(fields))}
		}
		at := join(path, string(field.Name()))
		if seen[field.Number()] {
			return &fault{at, "want it once"}
		}
		seen[field.Number()] = true
		if wrong := checkField(like, field, value, at); wrong != nil {
			return wrong
		}
	}
	return nil
}

// checkField tells what is wrong with a field's value. null says that it is not given.
func checkField(like protoreflect.Message, field protoreflect.FieldDescriptor, raw json.RawMessage, at string) *fault {
	switch {
	case string(raw) == "null":
		return nil
	case !field.IsList():
		return checkValue(like, field, raw, at)
	}
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		return &fault{at, "want a list"}
	}
	for i, element := range elements {
		if wrong := checkValue(like, field, element, fmt.Sprintf("%s[%d]", at, i)); wrong != nil {
			return wrong
		}
	}
	return nil
}

// checkValue tells what is wrong with one value: of the field, or of its list.
func checkValue(like protoreflect.Message, field protoreflect.FieldDescriptor, raw json.RawMessage, at string) *fault {
	if field.Message() != nil {
		inner := like.NewField(field)
		if field.IsList() {
			inner = inner.List().NewElement()
		}
		return checkObject(inner.Message(), raw, at)
	}
	form := `{"%s":%s}`
	if field.IsList() {
		form = `{"%s":[%s]}`
	}
	if protojson.Unmarshal(fmt.Appendf(nil, form, field.JSONName(), raw), like.New().Interface()) != nil {
		return &fault{at, "want " + formOf(field)}
	}
	return nil
}

// formOf says in words what a value has to be.
func formOf(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.Int64Kind:
		return "a whole number from -2^63 to 2^63-1, as a number or a string"
	case protoreflect.Uint64Kind:
		return "a whole number from 0 to 2^64-1, as a number or a string"
	case protoreflect.Int32Kind:
		return "a whole number from -2^31 to 2^31-1"
	case protoreflect.Uint32Kind:
		return "a whole number from 0 to 2^32-1"
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		var names []string
		for i := 1; i < values.Len(); i++ { // the first says nothing
			names = append(names, string(values.Get(i).Name()))
		}
		return "one of " + strings.Join(names, ", ")
	default: // the schema has no others
		return field.Kind().String()
	}
}

func namesOf(fields protoreflect.FieldDescriptors) string {
	if fields.Len() == 0 {
		return "none"
	}
	names := make([]string, fields.Len())
	for i := range names {
		names[i] = fields.Get(i).JSONName()
	}
	return strings.Join(names, ", ")
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func orBody(path string) string {
	if path == "" {
		return wholeBody
	}
	return path
}

// maxNameChars is how much of an unknown field's name is said again.
const maxNameChars = 64

func short(name string) string {
	if len(name) > maxNameChars {
		return strings.ToValidUTF8(name[:maxNameChars], "") + "…"
	}
	return name
}
