package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/filature/filature/projections"
)

// rowsPerStatement are how many rows one statement carries, so that a batch takes few statements and
// each is prepared once. The widest row has about fifty columns; SQLite takes 32,766 parameters.
var rowsPerStatement = [...]int{128, 32, 8, 2, 1}

// chunks calls f with the pieces of a slice that have a prepared size.
func chunks[T any](all []T, f func([]T) error) error {
	for _, size := range rowsPerStatement {
		for len(all) >= size {
			if err := f(all[:size]); err != nil {
				return err
			}
			all = all[size:]
		}
	}
	return nil
}

func tableName(table projections.Table) string {
	return fmt.Sprintf("%s_v%d", table.Name, table.Version)
}

func columnNames(table projections.Table) []string {
	columns := table.New().Columns(nil)
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// insertStatement writes rows; unless they are written once, they take the place of those with their key.
func insertStatement(table projections.Table, rows int) string {
	names := columnNames(table)
	var s strings.Builder
	fmt.Fprintf(&s, "INSERT INTO %s (%s) VALUES %s", tableName(table), strings.Join(names, ", "),
		list(rows, "("+list(len(names), "?")+")"))
	if table.WriteOnce {
		return s.String()
	}
	keys, rest := names[:table.KeyColumns], names[table.KeyColumns:]
	set := make([]string, len(rest))
	for i, name := range rest {
		set[i] = name + " = excluded." + name
	}
	fmt.Fprintf(&s, " ON CONFLICT (%s) DO UPDATE SET %s", strings.Join(keys, ", "), strings.Join(set, ", "))
	return s.String()
}

// loadStatement looks rows up by their keys: for each that is there, its number in the request and its
// columns. CROSS JOIN makes the keys the outer loop, so that each is one search in the primary key.
func loadStatement(table projections.Table, rows int) string {
	names := columnNames(table)
	keys := names[:table.KeyColumns]
	values := make([]string, rows)
	for i := range values {
		values[i] = fmt.Sprintf("(%d, %s)", i, list(len(keys), "?"))
	}
	columns, matches := make([]string, len(names)), make([]string, len(keys))
	for i, name := range names {
		columns[i] = "t." + name
	}
	for i, name := range keys {
		matches[i] = fmt.Sprintf("t.%s = k.%s", name, name)
	}
	return fmt.Sprintf("WITH k (place, %s) AS (VALUES %s) SELECT k.place, %s FROM k CROSS JOIN %s AS t ON %s",
		strings.Join(keys, ", "), strings.Join(values, ", "), strings.Join(columns, ", "), tableName(table), strings.Join(matches, " AND "))
}

// selectStatement reads whole rows of a table or view.
func selectStatement(table projections.Table, from, rest string) string {
	return fmt.Sprintf("SELECT %s FROM %s %s", strings.Join(columnNames(table), ", "), from, rest)
}

// through names a table and the index that a question must be answered with. SQLite keeps no statistics here, and sometimes
// goes by another one, whose rows are shorter, through rows of everybody.
func through(table projections.Table, index string) string {
	return fmt.Sprintf("%[1]s INDEXED BY %[1]s_%[2]s", tableName(table), index)
}

func inKeyOrder(table projections.Table) string {
	return "ORDER BY " + strings.Join(columnNames(table)[:table.KeyColumns], ", ")
}

func list(n int, item string) string { return strings.Join(slices.Repeat([]string{item}, n), ", ") }
