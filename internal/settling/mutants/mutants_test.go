package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/filature/filature/internal/settling"
)

// Whoever moves a guard in the source learns here that its edit has to follow.
func TestEachGuardIsInTheSourceOnce(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	sources, err := edited(func(file string) ([]byte, error) { return os.ReadFile(filepath.Join(root, file)) })
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 8 {
		t.Errorf("edits in %d files", len(sources))
	}
}

func TestEachCellHasGuardsAndEachGuardACell(t *testing.T) {
	held := map[string]bool{}
	for _, cell := range settling.Cells() {
		names := removed(cell)
		if (len(names) == 0) != (cell.Fault == "none") {
			t.Errorf("%s is held by %v", cell.Name(), names)
		}
		for _, name := range names {
			held[name] = true
			if !slices.ContainsFunc(guards, func(g guard) bool { return g.name == name }) {
				t.Errorf("%s is held by %q, which is no guard", cell.Name(), name)
			}
		}
	}
	for _, g := range guards {
		if !held[g.name] {
			t.Errorf("nothing is held by %q", g.name)
		}
	}
}
