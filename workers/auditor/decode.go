package auditor

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// maxDecoded is how many fields of a record are shown: more than most have, few enough to be read.
const maxDecoded = 400

// Decoded is one record of a log, byte by byte.
type Decoded struct {
	Log   LogName `json:"log"`
	At    Place   `json:"at"`
	Bytes int     `json:"bytes"`
	// TimeMs is when the log accepted the record, in Unix milliseconds.
	TimeMs int64          `json:"time_ms"`
	Fields []DecodedField `json:"fields"`
	// Why says why the rest could not be read, or was left out.
	Why string `json:"why,omitempty"`
}

// DecodedField is one field of a record as it stands there.
type DecodedField struct {
	// Byte is where the field begins in the record, its tag included.
	Byte int `json:"byte"`
	// Path is the field's name from the outermost message on.
	Path string `json:"path"`
	// Raw are the bytes, in hexadecimal, cut where they are long; none for a message, whose fields follow.
	Raw   string `json:"raw,omitempty"`
	Value string `json:"value,omitempty"`
	// Differs marks the field that the offence is about.
	Differs bool `json:"differs,omitempty"`
}

// decodeFirst reads the record of the first offence that is about one, and takes it apart.
func (a *audit) decodeFirst(ctx context.Context) *Decoded {
	if len(a.offences.list) == 0 {
		return nil
	}
	o := a.offences.list[0]
	log, message := a.cfg.Ledger, (&v1.Entry{}).ProtoReflect().Descriptor()
	if o.Log == Intake {
		log, message = a.cfg.Intake, (&v1.SignedReport{}).ProtoReflect().Descriptor()
	}
	if o.At == nil || log == nil || o.Log != Ledger && o.Log != Intake {
		return nil
	}
	records, err := log.Read(ctx, domain.Shard(o.At.Shard), domain.Offset(o.At.Offset), 1)
	if err != nil || len(records) == 0 {
		return nil // what could not be read was named as that
	}
	return decodeRecord(o, records[0], message)
}

func decodeRecord(o Offence, record eventstore.Record, message protoreflect.MessageDescriptor) *Decoded {
	d := &Decoded{Log: o.Log, At: *o.At, Bytes: len(record.Value), TimeMs: record.Time.UnixMilli()}
	if err := d.walk(message, record.Value, 0, ""); err != nil {
		d.Why = err.Error()
	}
	best := -1
	for i, field := range d.Fields { // the field itself, or the innermost that it would be in
		if o.Field != "" && (field.Path == o.Field || strings.HasPrefix(o.Field, field.Path+".")) {
			best = i
		}
	}
	if best >= 0 {
		d.Fields[best].Differs = true
	}
	return d
}

// walk lists the fields of one message. The error says at which byte it is none any more, or that there are too many.
func (d *Decoded) walk(message protoreflect.MessageDescriptor, raw []byte, at int, path string) error {
	seen := map[protowire.Number]int{}
	for len(raw) > 0 {
		if len(d.Fields) >= maxDecoded {
			return errLongRecord
		}
		number, kind, tag := protowire.ConsumeTag(raw)
		if tag < 0 {
			return fmt.Errorf("byte %d: %w", at, protowire.ParseError(tag))
		}
		length := protowire.ConsumeFieldValue(number, kind, raw[tag:])
		if length < 0 {
			return fmt.Errorf("byte %d: %w", at, protowire.ParseError(length))
		}
		whole := raw[:tag+length]
		field := message.Fields().ByNumber(number)
		name := fmt.Sprintf("unknown field %d", number)
		if field != nil {
			name = string(field.Name())
			if field.IsList() {
				name = fmt.Sprintf("%s[%d]", name, seen[number])
			}
		}
		seen[number]++
		if path != "" {
			name = path + "." + name
		}
		if err := d.field(field, kind, whole, tag, at, name); err != nil {
			return err
		}
		raw, at = raw[tag+length:], at+tag+length
	}
	return nil
}

var errLongRecord = fmt.Errorf("the record has more than %d fields; the rest is left out", maxDecoded)

func (d *Decoded) field(field protoreflect.FieldDescriptor, kind protowire.Type, whole []byte, tag, at int, name string) error {
	content, value := []byte(nil), ""
	switch kind {
	case protowire.BytesType:
		content, _ = protowire.ConsumeBytes(whole[tag:])
		value = clipHex(content)
	case protowire.VarintType:
		n, _ := protowire.ConsumeVarint(whole[tag:])
		value = varint(field, n)
	case protowire.Fixed32Type, protowire.Fixed64Type, protowire.StartGroupType, protowire.EndGroupType:
		value = clipHex(whole[tag:])
	}
	inner := nested(field)
	if kind == protowire.BytesType && inner != nil {
		d.Fields = append(d.Fields, DecodedField{Byte: at, Path: name, Value: fmt.Sprintf("%d bytes", len(content))})
		return d.walk(inner, content, at+len(whole)-len(content), name)
	}
	if field != nil && field.Kind() == protoreflect.StringKind {
		value = clip(string(content))
	}
	d.Fields = append(d.Fields, DecodedField{Byte: at, Path: name, Raw: clipHex(whole), Value: value})
	return nil
}

// nested is the message in a field; nil where it is none. The report in a signed report is one, too, though it is kept
// as bytes so that nobody encodes it again.
func nested(field protoreflect.FieldDescriptor) protoreflect.MessageDescriptor {
	switch {
	case field == nil:
		return nil
	case field.FullName() == "filature.v1.SignedReport.report":
		return (&v1.Report{}).ProtoReflect().Descriptor()
	default:
		return field.Message()
	}
}

func varint(field protoreflect.FieldDescriptor, n uint64) string {
	switch {
	case field == nil:
		return fmt.Sprint(n)
	case field.Kind() == protoreflect.EnumKind && n <= math.MaxInt32:
		return text(field, protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)))
	case field.Kind() == protoreflect.Sint64Kind:
		return amountText(field, protowire.DecodeZigZag(n))
	case field.Kind() == protoreflect.BoolKind:
		return fmt.Sprint(protowire.DecodeBool(n))
	case field.Kind() == protoreflect.Uint64Kind:
		return fmt.Sprint(n)
	default:
		return amountText(field, int64(n))
	}
}

// amountText writes a number, and what it is in coins if it is one of nanotons.
func amountText(field protoreflect.FieldDescriptor, n int64) string {
	if strings.HasSuffix(string(field.Name()), "_nano") {
		return fmt.Sprintf("%d (%s coins)", n, domain.Nano(n))
	}
	return fmt.Sprint(n)
}

// clipHex keeps bytes short enough for a line: an id or a digest is whole.
func clipHex(raw []byte) string {
	const most = 40
	if len(raw) <= most {
		return hex.EncodeToString(raw)
	}
	return fmt.Sprintf("%x… (%d bytes)", raw[:most], len(raw))
}
