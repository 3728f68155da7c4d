package filaturev1

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// ParseClaim reads the JSON form of one claim, as one line of `filature emit` holds it.
//
// It is as strict as Decode: it refuses an unknown name, a name given twice, a value of another type,
// null, and what the schema's limits refuse. Errors are *FieldError with the path of the field.
func ParseClaim(line []byte) (*Claim, error) {
	claim := new(Claim)
	if err := parseJSON(line, claim.ProtoReflect(), strict); err != nil {
		return nil, err
	}
	if err := claim.Check(); err != nil {
		return nil, err
	}
	return claim, nil
}

// ParseCompletion reads the JSON form of a completion, as the stream over HTTP carries it.
//
// A later server may say more than this program knows: it passes over a name that the schema does not have,
// and takes a name of an enum's value that it does not know for no value. Everything else is as
// strict as ParseClaim. Errors are *FieldError.
func ParseCompletion(line []byte) (*Completion, error) {
	completion := new(Completion)
	if err := parseJSON(line, completion.ProtoReflect(), tolerant); err != nil {
		return nil, err
	}
	if err := completion.Check(); err != nil {
		return nil, err
	}
	return completion, nil
}

// ParseAttestationRequest reads the JSON form of a challenge, as a worker is told it over HTTP. It is as tolerant as
// ParseCompletion. Errors are *FieldError.
func ParseAttestationRequest(text []byte) (*AttestationRequest, error) {
	request := new(AttestationRequest)
	if err := parseJSON(text, request.ProtoReflect(), tolerant); err != nil {
		return nil, err
	}
	if err := request.Check(); err != nil {
		return nil, err
	}
	return request, nil
}

// attitude is what a parser thinks of names that the schema does not have.
type attitude bool

const (
	strict   attitude = false
	tolerant attitude = true
)

func parseJSON(line []byte, into protoreflect.Message, towards attitude) error {
	if !utf8.Valid(line) {
		return notText("message")
	}
	// Once the whole line is known to be one JSON value, reading its tokens cannot fail.
	if !json.Valid(line) {
		var value json.RawMessage
		return &FieldError{Field: "message", Rule: fmt.Sprintf("is not JSON: %v", json.Unmarshal(line, &value))}
	}
	tokens := json.NewDecoder(bytes.NewReader(line))
	tokens.UseNumber()
	p := parser{tokens: tokens, towards: towards}
	return p.message(p.next(), into, "")
}

// parser turns JSON tokens into one message. Recursion is bounded by the schema, which is not
// recursive: a name that it does not have ends the parse.
type parser struct {
	tokens  *json.Decoder
	towards attitude
}

func (p parser) next() json.Token {
	token, err := p.tokens.Token()
	if err != nil {
		panic("filaturev1: valid JSON has no next token: " + err.Error())
	}
	return token
}

func (p parser) message(open json.Token, into protoreflect.Message, path string) error {
	if open != json.Delim('{') {
		return wrongType(path, "an object", open)
	}
	fields := into.Descriptor().Fields()
	seen := make([]bool, fields.Len())
	for p.tokens.More() {
		name := p.next().(string) // of a valid object
		field := fields.ByName(protoreflect.Name(name))
		at := clip(name)
		if path != "" {
			at = path + "." + at
		}
		switch {
		case field == nil && p.towards == tolerant:
			p.passOver()
			continue
		case field == nil:
			return &FieldError{Field: at, Rule: "is not a field of " + string(into.Descriptor().Name())}
		case seen[field.Index()]:
			return &FieldError{Field: at, Rule: "is given twice"}
		}
		seen[field.Index()] = true
		if oneof := field.ContainingOneof(); oneof != nil {
			if other := into.WhichOneof(oneof); other != nil {
				return &FieldError{Field: at, Rule: fmt.Sprintf("stands beside %s, want one of them", other.Name())}
			}
		}
		if err := p.field(field, into, at); err != nil {
			return err
		}
	}
	p.next() // the closing brace
	return nil
}

// passOver reads one value and forgets it.
func (p parser) passOver() {
	for depth := 0; ; {
		switch p.next() {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return
		}
	}
}

func (p parser) field(field protoreflect.FieldDescriptor, into protoreflect.Message, path string) error {
	token := p.next()
	if !field.IsList() {
		value := into.NewField(field)
		if err := p.value(field, &value, token, path); err != nil {
			return err
		}
		into.Set(field, value)
		return nil
	}
	if token != json.Delim('[') {
		return wrongType(path, "an array", token)
	}
	list := into.Mutable(field).List()
	for p.tokens.More() {
		value := list.NewElement()
		if err := p.value(field, &value, p.next(), fmt.Sprintf("%s[%d]", path, list.Len())); err != nil {
			return err
		}
		list.Append(value)
	}
	p.next() // the closing bracket
	return nil
}

// value reads one value into a new one of the field's kind.
func (p parser) value(field protoreflect.FieldDescriptor, into *protoreflect.Value, token json.Token, path string) (err error) {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return p.message(token, into.Message(), path)
	case protoreflect.BytesKind:
		digits, ok := token.(string)
		if !ok {
			return wrongType(path, "a string of hexadecimal digits", token)
		}
		raw, err := hex.DecodeString(digits)
		if err != nil {
			return &FieldError{Field: path, Rule: "is not an even number of hexadecimal digits"}
		}
		*into = protoreflect.ValueOfBytes(raw)
	case protoreflect.StringKind:
		text, ok := token.(string)
		if !ok {
			return wrongType(path, "a string", token)
		}
		if strings.ContainsRune(text, utf8.RuneError) { // what the decoder makes of half a surrogate pair
			return &FieldError{Field: path, Rule: "holds U+FFFD, the mark of lost text"}
		}
		*into = protoreflect.ValueOfString(text)
	case protoreflect.EnumKind:
		*into, err = p.enum(field.Enum(), token, path)
	case protoreflect.BoolKind:
		value, ok := token.(bool)
		if !ok {
			return wrongType(path, "true or false", token)
		}
		*into = protoreflect.ValueOfBool(value)
	default:
		number, ok := token.(json.Number)
		if !ok {
			return wrongType(path, "a number", token)
		}
		*into, err = parseInteger(field.Kind(), number.String(), path)
	}
	return err
}

func (p parser) enum(enum protoreflect.EnumDescriptor, token json.Token, path string) (protoreflect.Value, error) {
	var names []string
	for i := range enum.Values().Len() {
		value := enum.Values().Get(i)
		if value.Number() == 0 {
			continue // to be unspecified is to be left out
		}
		if enumName(value) == token {
			return protoreflect.ValueOfEnum(value.Number()), nil
		}
		names = append(names, strconv.Quote(enumName(value)))
	}
	if _, named := token.(string); named && p.towards == tolerant {
		return protoreflect.ValueOfEnum(0), nil
	}
	return protoreflect.Value{}, wrongType(path, "one of "+strings.Join(names, ", "), token)
}

func parseInteger(kind protoreflect.Kind, digits, path string) (value protoreflect.Value, err error) {
	var (
		signed   int64
		unsigned uint64
	)
	switch kind {
	case protoreflect.Uint32Kind:
		unsigned, err = strconv.ParseUint(digits, 10, 32)
		value = protoreflect.ValueOfUint32(uint32(unsigned))
	case protoreflect.Uint64Kind:
		unsigned, err = strconv.ParseUint(digits, 10, 64)
		value = protoreflect.ValueOfUint64(unsigned)
	default: // int64 and sint64; the generator refuses every other kind
		signed, err = strconv.ParseInt(digits, 10, 64)
		value = protoreflect.ValueOfInt64(signed)
	}
	if err != nil {
		rule := fmt.Sprintf("is %s, want a whole number that fits %s", clip(digits), kind)
		return value, &FieldError{Field: path, Rule: rule}
	}
	return value, nil
}

func wrongType(path, want string, have json.Token) error {
	if path == "" {
		path = "message"
	}
	var found string
	switch have := have.(type) {
	case nil:
		found = "null"
	case json.Delim:
		found = map[json.Delim]string{'{': "an object", '[': "an array"}[have]
	case string:
		found = strconv.Quote(clip(have))
	default:
		found = clip(fmt.Sprint(have))
	}
	return &FieldError{Field: path, Rule: fmt.Sprintf("is %s, want %s", found, want)}
}

// clip keeps a complaint short, whatever somebody sent.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
