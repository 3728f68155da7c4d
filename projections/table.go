package projections

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"strings"
)

// Column is one column of one row: its name, and where its value is. The field is a pointer to one of
//
//	int64, uint64, int32, uint32, bool   an integer; a uint64 is kept as the int64 of the same 64 bits
//	string     text, without a zero byte
//	[32]byte   an id or a digest: 32 bytes, or none where it is all zeros
//	[]byte     any bytes; never written into, only replaced
//
// No column is ever null: zero, "" and no bytes say that there is nothing.
type Column struct {
	Name  string
	Field any
}

// Row is one row of a read model. Columns appends its columns, always the same ones in the same
// order, those of the key first. It is the one place where a row's columns are listed: stores read,
// write and compare rows through it.
type Row interface {
	Columns(into []Column) []Column
}

// Table is what a store has to know of a read model.
type Table struct {
	// Name is under what readers find the rows.
	Name string
	// Version rises when the meaning of the rows changes. Rows of two versions are kept side by side
	// until the newer one has caught up and is published.
	Version int
	// KeyColumns says how many of the columns are the key.
	KeyColumns int
	// WriteOnce rows are never looked at again by their fold: nothing is loaded, and writing a key a
	// second time is an error.
	WriteOnce bool
	// New returns a blank row.
	New func() Row
}

func (t Table) String() string { return fmt.Sprintf("%s, version %d", t.Name, t.Version) }

// Value returns what a column holds in the form in which SQL drivers take it: int64, string or []byte.
func (c Column) Value() any {
	switch field := c.Field.(type) {
	case *string:
		return *field
	case *[32]byte, *[]byte:
		return c.bytes()
	default:
		return c.integer()
	}
}

// integer returns the value of a column of numbers.
func (c Column) integer() int64 {
	switch field := c.Field.(type) {
	case *int64:
		return *field
	case *uint64:
		return int64(*field)
	case *int32:
		return int64(*field)
	case *uint32:
		return int64(*field)
	case *bool:
		if *field {
			return 1
		}
		return 0
	default:
		panic(fmt.Sprintf("projections: column %s has a %T", c.Name, c.Field))
	}
}

// bytes returns the value of a column of bytes; nil for one of another kind.
func (c Column) bytes() []byte {
	switch field := c.Field.(type) {
	case *[32]byte:
		if *field != ([32]byte{}) {
			return field[:]
		}
		return []byte{}
	case *[]byte:
		if *field != nil {
			return *field
		}
		return []byte{}
	default:
		return nil
	}
}

// Set puts a value into the column, as Value gives it. Bytes are copied. An error names the column
// and says what does not fit.
func (c Column) Set(value any) error {
	switch v := value.(type) {
	case int64:
		return c.setInt(v)
	case string:
		if field, ok := c.Field.(*string); ok {
			*field = v
			return nil
		}
	case []byte:
		return c.setBytes(v)
	}
	return fmt.Errorf("column %s: a %T does not fit a %T", c.Name, value, c.Field)
}

func (c Column) setInt(v int64) error {
	switch field := c.Field.(type) {
	case *int64:
		*field = v
	case *uint64:
		*field = uint64(v)
	case *int32:
		if v != int64(int32(v)) {
			return fmt.Errorf("column %s: %d does not fit 32 bits", c.Name, v)
		}
		*field = int32(v)
	case *uint32:
		if v != int64(uint32(v)) {
			return fmt.Errorf("column %s: %d does not fit 32 bits", c.Name, v)
		}
		*field = uint32(v)
	case *bool:
		if v != 0 && v != 1 {
			return fmt.Errorf("column %s: %d is neither 0 nor 1", c.Name, v)
		}
		*field = v == 1
	default:
		return fmt.Errorf("column %s: a number does not fit a %T", c.Name, c.Field)
	}
	return nil
}

func (c Column) setBytes(v []byte) error {
	switch field := c.Field.(type) {
	case *[32]byte:
		if len(v) != 0 && len(v) != len(field) {
			return fmt.Errorf("column %s: has %d bytes, want 32 or none", c.Name, len(v))
		}
		*field = [32]byte{}
		copy(field[:], v)
	case *[]byte:
		*field = bytes.Clone(v)
	default:
		return fmt.Errorf("column %s: bytes do not fit a %T", c.Name, c.Field)
	}
	return nil
}

// copyFrom takes over the value of the same column of another row. Bytes are shared.
func (c Column) copyFrom(other Column) {
	switch field := c.Field.(type) {
	case *int64:
		*field = *other.Field.(*int64)
	case *uint64:
		*field = *other.Field.(*uint64)
	case *int32:
		*field = *other.Field.(*int32)
	case *uint32:
		*field = *other.Field.(*uint32)
	case *bool:
		*field = *other.Field.(*bool)
	case *string:
		*field = *other.Field.(*string)
	case *[32]byte:
		*field = *other.Field.(*[32]byte)
	case *[]byte:
		*field = *other.Field.(*[]byte)
	}
}

// compare orders two values of one column: numbers by size, text and bytes byte by byte, as the
// primary key of a table does.
func (c Column) compare(other Column) int {
	switch field := c.Field.(type) {
	case *string:
		return cmp.Compare(*field, *other.Field.(*string))
	case *[32]byte, *[]byte:
		return bytes.Compare(c.bytes(), other.bytes())
	default:
		return cmp.Compare(c.integer(), other.integer())
	}
}

// isZero reports that a column says nothing.
func (c Column) isZero() bool {
	switch field := c.Field.(type) {
	case *string:
		return *field == ""
	case *[32]byte:
		return *field == [32]byte{}
	case *[]byte:
		return len(*field) == 0
	default:
		return c.integer() == 0
	}
}

// compareRows orders rows by their first columns.
func compareRows(a, b []Column, columns int) int {
	for i := range columns {
		if order := a[i].compare(b[i]); order != 0 {
			return order
		}
	}
	return 0
}

// isBlank reports that a row has no history: nothing stands beside its key. Such a row is not kept.
func isBlank(columns []Column, keyColumns int) bool {
	for _, c := range columns[keyColumns:] {
		if !c.isZero() {
			return false
		}
	}
	return true
}

// String prints the value: bytes in hexadecimal.
func (c Column) String() string {
	if v, ok := c.Value().([]byte); ok {
		if len(v) == 0 {
			return "none"
		}
		return hex.EncodeToString(v)
	}
	return fmt.Sprint(c.Value())
}

// describe names a row by its key: "payee=3f…, lt=7".
func describe(key []Column) string {
	parts := make([]string, len(key))
	for i, c := range key {
		parts[i] = c.Name + "=" + c.String()
	}
	return strings.Join(parts, ", ")
}
