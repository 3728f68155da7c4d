package projections_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTheStoryGivesTheseRows(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story, store := projectionstest.NewStory(t), projections.NewMemStore()
	mustFold(ctx, t, story.Ledger, store, projections.All()...)
	for _, model := range projections.All() {
		t.Run(model.Table().Name, func(t *testing.T) {
			t.Parallel()
			var have strings.Builder
			err := store.View(ctx, func(view projections.View) error {
				for row, err := range view.Rows(ctx, model.Table()) {
					if err != nil {
						return err
					}
					have.WriteString(readable(row, model.Table().KeyColumns))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", model.Table().Name+".txt"), have.String())
		})
	}
}

// readable prints a row: its key, then under it every column that says something.
func readable(row projections.Row, key int) string {
	var out strings.Builder
	for i, column := range row.Columns(nil) {
		text := column.String()
		if raw, ok := column.Value().([]byte); ok {
			text = name(raw)
		}
		switch {
		case i < key:
			fmt.Fprintf(&out, "%s=%s ", column.Name, text)
		case text != "0" && text != "" && text != "-":
			fmt.Fprintf(&out, "\n    %s = %s", column.Name, text)
		}
	}
	return strings.ReplaceAll(out.String(), " \n", "\n") + "\n"
}

// name prints the ids of tests as the names that they are.
func name(raw []byte) string {
	trimmed := bytes.TrimRight(raw, "\x00")
	for _, b := range trimmed {
		if b < ' ' || b > '~' {
			return hex.EncodeToString(raw)
		}
	}
	if len(trimmed) == 0 {
		return "-"
	}
	return string(trimmed)
}

func golden(t *testing.T, path, have string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if string(want) != have {
		t.Errorf("%s: these are not the rows (go test -update, then look at the difference):\n%s", path, have)
	}
}
