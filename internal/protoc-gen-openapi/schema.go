package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// objectOf is a message as protobuf's JSON has it.
func objectOf(message *protogen.Message) (schema, error) {
	closed := false
	object := schema{Type: "object", Description: words(message.Comments), Properties: map[string]schema{}, Additional: &closed}
	for _, field := range message.Fields {
		value, err := valueOf(field)
		if err != nil {
			return object, err
		}
		if strings.HasSuffix(string(message.Desc.Name()), "Request") {
			value = asked(field, value)
		}
		if field.Desc.IsList() {
			inner := value
			value = schema{Type: "array", Items: &inner}
		}
		value.Description = words(field.Comments)
		object.Properties[field.Desc.JSONName()] = value
	}
	return object, nil
}

// ids are fields of questions that name a thing by its id.
var ids = []protoreflect.Name{"account", "accounts", "client", "ids", "job", "model", "owner", "payee", "provider", "subject", "worker"}

// asked narrows a field of a question to what is never refused for its form: an id, or "" for none, and a time that there is.
func asked(field *protogen.Field, value schema) schema {
	switch name := field.Desc.Name(); {
	case slices.Contains(ids, name) && field.Desc.Kind() == protoreflect.StringKind:
		value.Pattern = "^([0-9a-fA-F]{64})?$"
	case strings.HasSuffix(string(name), "_ms"):
		value.Pattern, value.Minimum = "^[0-9]{1,19}$", number(0)
	}
	return value
}

// valueOf is one value of a field.
func valueOf(field *protogen.Field) (schema, error) {
	if field.Desc.IsMap() || field.Oneof != nil {
		return schema{}, fmt.Errorf("%s: neither maps nor oneofs are known here", field.Desc.FullName())
	}
	switch kind := field.Desc.Kind(); kind {
	case protoreflect.StringKind:
		return schema{Type: "string"}, nil
	case protoreflect.BoolKind:
		return schema{Type: "boolean"}, nil
	case protoreflect.Int64Kind:
		return schema{Type: []string{"string", "integer"}, Format: "int64", Pattern: "^-?[0-9]{1,19}$"}, nil
	case protoreflect.Uint64Kind:
		return schema{Type: []string{"string", "integer"}, Format: "uint64", Pattern: "^[0-9]{1,20}$"}, nil
	case protoreflect.Uint32Kind:
		return schema{Type: "integer", Minimum: number(0), Maximum: number(math.MaxUint32)}, nil
	case protoreflect.Int32Kind:
		return schema{Type: "integer", Minimum: number(math.MinInt32), Maximum: number(math.MaxInt32)}, nil
	case protoreflect.EnumKind:
		return refTo(string(field.Enum.Desc.Name())), nil
	case protoreflect.MessageKind:
		return refTo(string(field.Message.Desc.Name())), nil
	default:
		return schema{}, fmt.Errorf("%s: %s is not known here", field.Desc.FullName(), kind)
	}
}

func number(n int64) *int64 { return &n }

func enumOf(enum *protogen.Enum) schema {
	s := schema{Type: "string", Description: words(enum.Comments)}
	for _, value := range enum.Values[1:] { // the first is that nothing was said
		s.Enum = append(s.Enum, string(value.Desc.Name()))
	}
	return s
}
