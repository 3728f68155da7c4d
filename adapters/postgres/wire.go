package postgres

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/filature/filature/projections"
)

// How columns travel. A statement takes whole columns, one array for each, so its text does not depend on
// how many rows there are. The binary forms are those of PostgreSQL's *_recv and *_send functions.

// columnType is a type of our tables.
type columnType struct {
	name string
	oid  uint32
	// width is what an element takes in an array, its length included; of text and bytes, a guess.
	width int
}

var (
	bigints = columnType{"bigint", pgtype.Int8OID, 4 + 8}
	texts   = columnType{"text", pgtype.TextOID, 4 + 16}
	byteas  = columnType{"bytea", pgtype.ByteaOID, 4 + 32}
)

func typeOf(c projections.Column) columnType {
	switch c.Field.(type) {
	case *string:
		return texts
	case *[32]byte, *[]byte:
		return byteas
	default:
		return bigints
	}
}

// binaryFormat is for all parameters, or all columns of a result.
var binaryFormat = []int16{1}

// arrayHeader is what stands before the elements: one dimension, no nulls, the type, how many, from 1.
const arrayHeader = 5 * 4

// columnArrays returns the first columns of some rows, each as an array in binary form.
func columnArrays(rows []projections.Row, columns int) [][]byte {
	arrays := make([][]byte, columns)
	var row []projections.Column
	for i := range rows {
		row = rows[i].Columns(row[:0])[:columns]
		for j, c := range row {
			if i == 0 {
				arrays[j] = beginArray(typeOf(c), len(rows))
			}
			arrays[j] = appendElement(arrays[j], c)
		}
	}
	return arrays
}

func beginArray(of columnType, elements int) []byte {
	array := make([]byte, 0, arrayHeader+elements*of.width)
	for _, word := range [...]uint32{1, 0, of.oid, uint32(elements), 1} {
		array = binary.BigEndian.AppendUint32(array, word)
	}
	return array
}

func appendElement(array []byte, c projections.Column) []byte {
	switch field := c.Field.(type) {
	case *int64:
		return appendBigint(array, *field)
	case *uint64:
		return appendBigint(array, int64(*field))
	case *[32]byte:
		if *field == ([32]byte{}) {
			return appendBytes(array, nil)
		}
		return appendBytes(array, field[:])
	case *[]byte:
		return appendBytes(array, *field)
	case *string:
		array = binary.BigEndian.AppendUint32(array, uint32(len(*field)))
		return append(array, *field...)
	default: // the narrower numbers
		return appendBigint(array, c.Value().(int64))
	}
}

func appendBigint(array []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(array, 8), uint64(v))
}

func appendBytes(array, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(array, uint32(len(v))), v...)
}

// setColumns fills columns with values in binary form. Nothing of the values is kept.
func setColumns(columns []projections.Column, values [][]byte) error {
	if len(values) != len(columns) {
		return fmt.Errorf("there are %d columns, want %d: %w", len(values), len(columns), errMalformed)
	}
	for i, c := range columns {
		if err := setColumn(c, values[i]); err != nil {
			return err
		}
	}
	return nil
}

func setColumn(c projections.Column, value []byte) error {
	switch field := c.Field.(type) {
	case *string:
		*field = string(value)
		return nil
	case *[]byte:
		*field = slices.Clone(value)
		return nil
	case *[32]byte:
		return c.Set(value)
	}
	number, err := readBigint(value)
	if err != nil {
		return fmt.Errorf("column %s: %w", c.Name, err)
	}
	switch field := c.Field.(type) {
	case *int64:
		*field = number
		return nil
	case *uint64:
		*field = uint64(number)
		return nil
	default:
		return c.Set(number)
	}
}

func readBigint(value []byte) (int64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("a bigint has %d bytes, want 8: %w", len(value), errMalformed)
	}
	return int64(binary.BigEndian.Uint64(value)), nil
}
