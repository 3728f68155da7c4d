package projections_test

import (
	"testing"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

func TestMemStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	projectionstest.Exercise(t, projectionstest.Harness{
		Open:      func(*testing.T) projections.Store { return projections.NewMemStore() },
		Reopen:    func(_ *testing.T, store projections.Store) projections.Store { return store },
		MakeTable: func(*testing.T, projections.Store, projections.Table) {},
	})
}
