package projectionstest

import (
	"slices"
	"testing"

	"github.com/filature/filature/projections"
)

// TestRowsOfALargeNetworkAreGivenOnceAndWhole: what is given hour by hour is what is there when nothing is given before the end.
func TestRowsOfALargeNetworkAreGivenOnceAndWhole(t *testing.T) {
	t.Parallel()
	big := Big{Jobs: 1_500, AnHour: 20, Seed: 47} // three days and some hours
	at := newFilling(big, projections.All())
	at.begin()
	for hour := range big.Hours() {
		if err := at.hour(hour); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]projections.Row{}
	for _, change := range at.changes(big.EndMs(), true) {
		want[change.Table.Name] = change.Rows
	}
	have := map[string][]projections.Row{}
	for changes, err := range big.Changes(projections.All()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range changes {
			have[change.Table.Name] = append(have[change.Table.Name], change.Rows...)
		}
	}
	for _, model := range projections.All() {
		table := model.Table()
		inKeyOrder(have[table.Name], table.KeyColumns)
		if !slices.EqualFunc(want[table.Name], have[table.Name], sameColumns) {
			t.Errorf("%s: %d rows, or other ones, want %d", table, len(have[table.Name]), len(want[table.Name]))
		}
	}
	for _, folded := range []projections.Model{projections.Jobs, projections.UsageSummed, projections.Movements, projections.ClientDays} {
		if len(want[folded.Table().Name]) == 0 {
			t.Errorf("%s is empty", folded.Table())
		}
	}
}

func sameColumns(a, b projections.Row) bool {
	return slices.EqualFunc(a.Columns(nil), b.Columns(nil), func(a, b projections.Column) bool { return a.String() == b.String() })
}
