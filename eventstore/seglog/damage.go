package seglog

import (
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// Damage is the error for stored bytes that are not what was written. It unwraps to
// eventstore.ErrCorrupt.
type Damage struct { //nolint:errname // a *Damage is what is wrong, and not only its report
	File string // path
	Byte int64  // place in the file where the damage shows
	// Record is the first record that can't be trusted, if Placed.
	Record domain.Position
	Placed bool
	Why    string
}

func (d *Damage) Error() string {
	if d.Placed {
		return fmt.Sprintf("%s, byte %d, record %v: %s: %v", d.File, d.Byte, d.Record, d.Why, eventstore.ErrCorrupt)
	}
	return fmt.Sprintf("%s, byte %d: %s: %v", d.File, d.Byte, d.Why, eventstore.ErrCorrupt)
}

// Unwrap makes errors.Is(err, eventstore.ErrCorrupt) true.
func (d *Damage) Unwrap() error { return eventstore.ErrCorrupt }

// Repair says what Open cut off: the remains of a write that was never acknowledged.
type Repair struct {
	File    string // path
	Byte    int64  // the file now ends here
	Dropped int64  // bytes that were cut off
}

func (r Repair) String() string {
	return fmt.Sprintf("%s: cut %d bytes of a torn write at byte %d", r.File, r.Dropped, r.Byte)
}
