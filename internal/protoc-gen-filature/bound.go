package main

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// generateBound writes a bound method for a message that holds elements, itself or further down. The
// parser allocates for each element it meets, and two bytes can make one of a hundred; so bound looks
// through the bytes first and refuses too many elements, and elements too short to be any.
func generateBound(g *protogen.GeneratedFile, message *protogen.Message) error {
	if err := refuseRecursion(message, nil); err != nil {
		return err
	}
	if !holdsElements(message) {
		return nil
	}
	g.P()
	g.P("// bound refuses bytes that hold more elements than Check allows, or too short ones, before the")
	g.P("// parser allocates for them.")
	g.P("func (*", message.GoIdent, ") bound(raw []byte) error {")
	for _, field := range message.Fields {
		if isElements(field) {
			g.P("var ", counter(field), " int")
		}
	}
	g.P("for len(raw) != 0 {")
	g.P("number, content, rest, err := splitField(raw)")
	g.P("if err != nil {")
	g.P("return err")
	g.P("}")
	g.P("raw = rest")
	g.P("switch number {")
	for _, field := range message.Fields {
		if err := boundField(g, field); err != nil {
			return err
		}
	}
	g.P("}")
	g.P("}")
	for _, field := range message.Fields {
		if !isElements(field) {
			continue
		}
		limit, err := limitsOf(field)
		if err != nil {
			return err
		}
		g.P("if ", counter(field), " > ", limit.max, " {")
		g.P("return tooMany(", quote(string(field.Desc.Name())), ", ", counter(field), ", ", limit.max, ")")
		g.P("}")
	}
	g.P("return nil")
	g.P("}")
	return nil
}

func boundField(g *protogen.GeneratedFile, field *protogen.Field) error {
	name := quote(string(field.Desc.Name()))
	limit, err := limitsOf(field)
	if err != nil {
		return err
	}
	inner := field.Message != nil && holdsElements(field.Message)
	if !isElements(field) {
		if inner {
			g.P("case ", field.Desc.Number(), ":")
			g.P("if err := (*", field.Message.GoIdent, ")(nil).bound(content); err != nil {")
			g.P("return under(", name, ", err)")
			g.P("}")
		}
		return nil
	}
	g.P("case ", field.Desc.Number(), ":")
	g.P(counter(field), "++")
	if field.Message == nil {
		g.P("if n := len(content); n != ", limit.size, " {")
		g.P("return underIndex(", name, ", ", counter(field), `-1, wrongSize("", n, `, limit.size, "))")
		g.P("}")
		return nil
	}
	least, err := leastSize(field.Message)
	if err != nil {
		return err
	}
	g.P("if len(content) < ", least, " { // cannot be valid; decode says why")
	g.P("if err := decode(content, new(", field.Message.GoIdent, ")); err != nil {")
	g.P("return underIndex(", name, ", ", counter(field), "-1, err)")
	g.P("}")
	g.P("}")
	if inner {
		g.P("if err := (*", field.Message.GoIdent, ")(nil).bound(content); err != nil {")
		g.P("return underIndex(", name, ", ", counter(field), "-1, err)")
		g.P("}")
	}
	return nil
}

func counter(field *protogen.Field) string { return "n" + field.GoName }

// isElements says whether each element of the field costs the parser an allocation or a slot of one.
// Packed numbers cost about what they weigh.
func isElements(field *protogen.Field) bool {
	kind := field.Desc.Kind()
	return field.Desc.IsList() && (kind == protoreflect.MessageKind || kind == protoreflect.BytesKind)
}

func holdsElements(message *protogen.Message) bool {
	return slices.ContainsFunc(message.Fields, func(field *protogen.Field) bool {
		return isElements(field) || field.Message != nil && holdsElements(field.Message)
	})
}

// leastSize is the size of the shortest encoding that Check lets pass.
func leastSize(message *protogen.Message) (int, error) {
	total := 0
	for _, field := range message.Fields {
		limit, err := limitsOf(field)
		if err != nil {
			return 0, err
		}
		if field.Oneof != nil || field.Desc.IsList() || limit.optional {
			continue
		}
		switch field.Desc.Kind() {
		case protoreflect.BytesKind:
			if limit.size != 0 {
				total += protowire.SizeTag(field.Desc.Number()) + protowire.SizeBytes(int(limit.size))
			}
		case protoreflect.EnumKind:
			total += protowire.SizeTag(field.Desc.Number()) + 1
		case protoreflect.MessageKind:
			size, err := leastField(field)
			if err != nil {
				return 0, err
			}
			total += size
		default: // zero is not written
		}
	}
	for _, oneof := range message.Oneofs {
		least := 0
		for _, field := range oneof.Fields {
			size, err := leastField(field)
			if err != nil {
				return 0, err
			}
			if least == 0 || size < least {
				least = size
			}
		}
		total += least
	}
	return total, nil
}

func leastField(field *protogen.Field) (int, error) {
	size, err := leastSize(field.Message)
	return protowire.SizeTag(field.Desc.Number()) + protowire.SizeBytes(size), err
}

// refuseRecursion keeps the depth of a message, and so of our own stack, a matter of the schema.
func refuseRecursion(message *protogen.Message, outer []*protogen.Message) error {
	if slices.Contains(outer, message) {
		return fmt.Errorf("%s: a message must not contain itself", message.Desc.FullName())
	}
	for _, field := range message.Fields {
		if field.Message != nil {
			if err := refuseRecursion(field.Message, append(outer, message)); err != nil {
				return err
			}
		}
	}
	return nil
}
