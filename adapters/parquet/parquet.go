// Package parquet knows how rows of a read model are written as a Parquet file, which every tool for tables reads.
package parquet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"

	"github.com/parquet-go/parquet-go"

	"github.com/filature/filature/projections"
)

const (
	// groupRows are held in memory until they are written together: some 20 MB.
	groupRows = 100_000
	// atOnce are handed to the writer together.
	atOnce = 512
)

// Write writes all rows of a table, with columns of the table's names in the table's order, and returns how many there were.
// Numbers are INT64, ids and digests are text in lower-case hexadecimal, as everywhere else, and nothing is null. The same
// rows give the same bytes.
func Write(ctx context.Context, w io.Writer, table projections.Table, rows iter.Seq2[projections.Row, error]) (written int64, err error) {
	schema := schemaOf(table)
	to := parquet.NewWriter(w, schema, parquet.Compression(&parquet.Zstd), parquet.MaxRowsPerRowGroup(groupRows),
		parquet.CreatedBy("filature", "1", "0"))
	defer func() {
		if err = errors.Join(err, to.Close()); err != nil {
			err = fmt.Errorf("write %s as Parquet: %w", table.Name, err)
		}
	}()
	var columns []projections.Column
	batch := make([]parquet.Row, 0, atOnce)
	for row, err := range rows {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return written, err
		}
		columns = row.Columns(columns[:0])
		batch = append(batch, rowOf(columns))
		written++
		if len(batch) == atOnce {
			if _, err := to.WriteRows(batch); err != nil {
				return written, err
			}
			batch = batch[:0]
		}
	}
	_, err = to.WriteRows(batch)
	return written, err
}

// schemaOf makes a schema whose columns stand as the table's do: the library keeps the order of a struct's fields.
func schemaOf(table projections.Table) *parquet.Schema {
	columns := table.New().Columns(nil)
	fields := make([]reflect.StructField, len(columns))
	for i, column := range columns {
		fields[i] = reflect.StructField{
			Name: fmt.Sprintf("Column%d", i), Type: kindOf(column),
			Tag: reflect.StructTag(fmt.Sprintf(`parquet:"%s"`, column.Name)),
		}
	}
	return parquet.NewSchema(table.Name, parquet.SchemaOf(reflect.New(reflect.StructOf(fields)).Interface()))
}

func kindOf(column projections.Column) reflect.Type {
	switch column.Value().(type) {
	case int64:
		if _, is := column.Field.(*bool); is {
			return reflect.TypeFor[bool]()
		}
		return reflect.TypeFor[int64]()
	default:
		return reflect.TypeFor[string]()
	}
}

func rowOf(columns []projections.Column) parquet.Row {
	row := make(parquet.Row, len(columns))
	for i, column := range columns {
		var value parquet.Value
		switch v := column.Value().(type) {
		case int64:
			if _, is := column.Field.(*bool); is {
				value = parquet.BooleanValue(v == 1)
			} else {
				value = parquet.Int64Value(v)
			}
		case []byte:
			value = parquet.ByteArrayValue([]byte(hex.EncodeToString(v)))
		case string:
			value = parquet.ByteArrayValue([]byte(v))
		}
		row[i] = value.Level(0, 0, i)
	}
	return row
}
