package projectionstest

import (
	"context"
	"errors"

	"github.com/filature/filature/projections"
)

// Fault is what becomes of a commit that fails.
type Fault int

// The two ways in which a commit can fail without its caller knowing which it was.
const (
	Lost Fault = iota + 1 // nothing was written
	Kept                  // all was written, and the answer was lost
)

// ErrInjected is what a faulty commit returns.
var ErrInjected = errors.New("injected fault")

// Faulty is a store that fails chosen commits.
type Faulty struct {
	projections.Store
	// Faults are taken from the front by one commit each; zero lets it pass.
	Faults []Fault
}

// Commit commits, or fails as chosen.
func (f *Faulty) Commit(ctx context.Context, changes []projections.Change) error {
	var fault Fault
	if len(f.Faults) > 0 {
		fault, f.Faults = f.Faults[0], f.Faults[1:]
	}
	if fault == Lost {
		return ErrInjected
	}
	if err := f.Store.Commit(ctx, changes); err != nil {
		return err
	}
	if fault == Kept {
		return ErrInjected
	}
	return nil
}
