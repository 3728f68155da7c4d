package postgres

import (
	"fmt"
	"strings"

	"github.com/filature/filature/projections"
)

// tableName is where the rows of one version of a model are.
func tableName(table projections.Table) string {
	return fmt.Sprintf("filature.%s_v%d", table.Name, table.Version)
}

// viewName is where readers find the published version.
func viewName(table projections.Table) string { return "filature." + table.Name }

func columnNames(table projections.Table) []string {
	columns := table.New().Columns(nil)
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// unnest makes rows of arrays: parameter n is column n.
func unnest(columns []projections.Column) string {
	arrays := make([]string, len(columns))
	for i, c := range columns {
		arrays[i] = fmt.Sprintf("$%d::%s[]", i+1, typeOf(c).name)
	}
	return "unnest(" + strings.Join(arrays, ", ") + ")"
}

// insertStatement writes rows; unless they are written once, they take the place of those with their key.
// It goes through the index from left to right, which touches each of its pages once.
func insertStatement(table projections.Table) string {
	columns, names := table.New().Columns(nil), columnNames(table)
	keys, rest := names[:table.KeyColumns], names[table.KeyColumns:]
	order := make([]string, len(keys))
	for i, c := range columns[:table.KeyColumns] {
		order[i] = keys[i]
		if typeOf(c) == texts {
			order[i] += ` COLLATE "C"`
		}
	}
	all := strings.Join(names, ", ")
	statement := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s AS r (%s) ORDER BY %s",
		tableName(table), all, all, unnest(columns), all, strings.Join(order, ", "))
	if table.WriteOnce {
		return statement
	}
	set := make([]string, len(rest))
	for i, name := range rest {
		set[i] = name + " = excluded." + name
	}
	return fmt.Sprintf("%s ON CONFLICT (%s) DO UPDATE SET %s", statement, strings.Join(keys, ", "), strings.Join(set, ", "))
}

// loadStatement looks rows up by their keys: for each that is there, its place in the request, from 1, and
// its columns.
func loadStatement(table projections.Table) string {
	names := columnNames(table)
	keys := names[:table.KeyColumns]
	columns, matches := make([]string, len(names)), make([]string, len(keys))
	for i, name := range names {
		columns[i] = "t." + name
	}
	for i, name := range keys {
		matches[i] = fmt.Sprintf("t.%s = k.%s", name, name)
	}
	return fmt.Sprintf("SELECT k.place, %s FROM %s WITH ORDINALITY AS k (%s, place) JOIN %s AS t ON %s",
		strings.Join(columns, ", "), unnest(table.New().Columns(nil)[:len(keys)]), strings.Join(keys, ", "),
		tableName(table), strings.Join(matches, " AND "))
}

// selectStatement reads whole rows of a table or view.
func selectStatement(table projections.Table, from, rest string) string {
	return fmt.Sprintf("SELECT %s FROM %s %s", strings.Join(columnNames(table), ", "), from, rest)
}

func inKeyOrder(table projections.Table) string {
	return "ORDER BY " + strings.Join(columnNames(table)[:table.KeyColumns], ", ")
}
