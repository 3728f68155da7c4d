// Package filaturev1 knows the events: every claim that somebody can make, every fact that the
// ledger can decide, and how strictly their bytes are read. The generated types are the events;
// there is no second copy of them anywhere.
package filaturev1

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// FieldError says which field of a message breaks which rule.
type FieldError struct {
	Field string // path from the outermost message: "claims[3].submit_job.account"; "message" for itself
	Rule  string // "has 31 bytes, want 32"
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Rule }

// Message is any event type.
type Message interface {
	Check() error
	SizeVT() int
	MarshalToSizedBufferVTStrict(buf []byte) (int, error)
	UnmarshalVTUnsafe(buf []byte) error
}

// Decode reads an event and accepts one encoding only, the one that Encode gives. It refuses an
// unknown field, a wrong length, an unknown enum value, a missing part, fields out of order, a field
// given twice and a number in more bytes than it needs, so that equal events have equal digests.
//
// What it allocates is in proportion to raw, however raw was made. The message must be new; it keeps
// pointing into raw, which must not change afterwards. Errors are *FieldError.
func Decode(raw []byte, into Message) error {
	err := decode(raw, into)
	if refused, ok := errors.AsType[*FieldError](err); ok && refused.Field == "" {
		return &FieldError{Field: "message", Rule: refused.Rule}
	}
	return err
}

// decode is Decode, but an error that is about the message itself names no field.
func decode(raw []byte, into Message) error {
	if m, ok := into.(interface{ bound(raw []byte) error }); ok {
		if err := m.bound(raw); err != nil {
			return err
		}
	}
	if err := into.UnmarshalVTUnsafe(raw); err != nil {
		return notProtobuf(err)
	}
	if err := into.Check(); err != nil {
		return err
	}
	if into.SizeVT() != len(raw) {
		return notCanonical(-1)
	}
	scratch := scratchBuffers.Get().(*[]byte)
	defer scratchBuffers.Put(scratch)
	if cap(*scratch) < len(raw) {
		*scratch = make([]byte, len(raw))
	}
	again := (*scratch)[:len(raw)]
	if _, err := into.MarshalToSizedBufferVTStrict(again); err != nil {
		return &FieldError{Rule: "cannot be encoded: " + err.Error()}
	}
	if !bytes.Equal(raw, again) {
		return notCanonical(firstDifference(raw, again))
	}
	return nil
}

// Encode gives the one encoding of an event. It checks the event first: what Decode would refuse
// can't be written.
func Encode(m Message) ([]byte, error) { return AppendEncoded(nil, m) }

// AppendEncoded is Encode onto the end of a buffer.
func AppendEncoded(buf []byte, m Message) ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	start, size := len(buf), m.SizeVT()
	buf = append(buf, make([]byte, size)...)
	if _, err := m.MarshalToSizedBufferVTStrict(buf[start:]); err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	return buf, nil
}

// splitField takes the first field off an encoded message: its number, what it holds if that is of
// some length, and the rest.
func splitField(raw []byte) (number protowire.Number, content, rest []byte, err error) {
	if len(raw) > 1 && raw[0] < 0x80 && raw[1] < 0x80 && raw[0]&7 == byte(protowire.BytesType) && raw[0] >= 8 {
		if end := 2 + int(raw[1]); end <= len(raw) { // nearly every field: a number below 16, a short length
			return protowire.Number(raw[0] >> 3), raw[2:end], raw[end:], nil
		}
	}
	number, kind, size := protowire.ConsumeField(raw)
	if size < 0 {
		return 0, nil, nil, notProtobuf(protowire.ParseError(size))
	}
	if kind == protowire.BytesType {
		_, _, tag := protowire.ConsumeTag(raw)
		content, _ = protowire.ConsumeBytes(raw[tag:])
	}
	return number, content, raw[size:], nil
}

// scratchBuffers hold re-encodings for the length of one Decode.
var scratchBuffers = sync.Pool{New: func() any { return new([]byte) }}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func notProtobuf(err error) error { return &FieldError{Rule: "is not protobuf: " + err.Error()} }

func notCanonical(at int) error {
	rule := "is a second encoding of the same value"
	if at >= 0 {
		rule += fmt.Sprintf(" (from byte %d on)", at)
	}
	return &FieldError{Rule: rule}
}

func utf8Valid(s string) bool { return utf8.ValidString(s) }

func unknownField(raw []byte) error {
	number, _, _ := protowire.ConsumeTag(raw)
	return &FieldError{Rule: fmt.Sprintf("has an unknown field, number %d", number)}
}

func wrongSize(field string, have, want int) error {
	return &FieldError{Field: field, Rule: fmt.Sprintf("has %d bytes, want %d", have, want)}
}

func tooLong(field string, have, want int) error {
	return &FieldError{Field: field, Rule: fmt.Sprintf("has %d bytes, at most %d are allowed", have, want)}
}

func tooMany(field string, have, want int) error {
	return &FieldError{Field: field, Rule: fmt.Sprintf("has %d elements, at most %d are allowed", have, want)}
}

func wrongEnum(field string, have int32) error {
	return &FieldError{Field: field, Rule: fmt.Sprintf("has the unknown value %d", have)}
}

func tooGreat(field string, have uint64) error {
	return &FieldError{Field: field, Rule: fmt.Sprintf("is %d, at most %d is allowed", have, uint64(1<<63-1))}
}

func notText(field string) error { return &FieldError{Field: field, Rule: "is not UTF-8"} }

func missing(field string) error { return &FieldError{Field: field, Rule: "is missing"} }

// under puts the name of the enclosing field before the path of a nested error.
func under(field string, err error) error {
	nested, ok := errors.AsType[*FieldError](err)
	if !ok {
		return fmt.Errorf("%s: %w", field, err)
	}
	if nested.Field != "" {
		field += "." + nested.Field
	}
	return &FieldError{Field: field, Rule: nested.Rule}
}

func underIndex(field string, index int, err error) error {
	return under(fmt.Sprintf("%s[%d]", field, index), err)
}

// AsFieldError returns the FieldError in an error of this package, or one that wraps its text.
func AsFieldError(err error) *FieldError {
	if field, ok := errors.AsType[*FieldError](err); ok {
		return field
	}
	return &FieldError{Field: "message", Rule: err.Error()}
}
