package projectionstest

import (
	"context"
	"fmt"
	"strings"

	"github.com/filature/filature/projections"
)

// differencesShown bounds what a failing test prints.
const differencesShown = 10

// SameRows ends the test if two stores do not have the same rows of all the models, and prints some of
// the differences.
func SameRows(ctx context.Context, t Fataler, want, have projections.Store, models ...projections.Model) {
	t.Helper()
	var found strings.Builder
	n := 0
	err := want.View(ctx, func(w projections.View) error {
		return have.View(ctx, func(h projections.View) error {
			for _, model := range models {
				for d, err := range projections.Differences(ctx, model, w, h) {
					if err != nil {
						return err
					}
					if n++; n <= differencesShown {
						fmt.Fprintf(&found, "\n  %s", d)
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatalf("compare stores: %v", err)
	}
	if n > 0 {
		t.Fatalf("the stores differ in %d rows:%s", n, found.String())
	}
}
