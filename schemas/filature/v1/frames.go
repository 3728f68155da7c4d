package filaturev1

import (
	"encoding/binary"
	"fmt"
)

// AppendFrame adds one record, an encoded SignedReport, to a body that carries several: its length as
// an unsigned varint, then its bytes. It is protobuf's usual delimiting, as protodelim does it.
func AppendFrame(body, record []byte) []byte {
	return append(binary.AppendUvarint(body, uint64(len(record))), record...)
}

// Frames cuts a body into its records, at most limit of them. The records are parts of the body.
func Frames(body []byte, limit int) ([][]byte, error) {
	var records [][]byte
	for at := 0; at < len(body); {
		length, n := binary.Uvarint(body[at:])
		if n <= 0 || length > uint64(len(body)-at-n) {
			return nil, &FieldError{Field: fmt.Sprintf("body[%d]", at), Rule: "wants the length of a record, as a varint, and then the record"}
		}
		if len(records) == limit {
			return nil, &FieldError{Field: "body", Rule: fmt.Sprintf("has more than %d records", limit)}
		}
		at += n
		records = append(records, body[at:at+int(length):at+int(length)])
		at += int(length)
	}
	return records, nil
}
