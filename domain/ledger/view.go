package ledger

import (
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// View is what anybody may know of control without deciding anything: who signs, and the rules.
type View struct{ control *control }

// NewView returns a view of nothing; Learn fills it.
func NewView() *View { return &View{control: newControl()} }

// Learn takes in the next entry of control's ledger.
func (v *View) Learn(offset domain.Offset, entry *v1.Entry) error {
	return v.control.learn(offset, entry, func(*v1.Fact, int64) {})
}

// KnowsTo is the control ledger's offset up to which (exclusive) the view has learned.
func (v *View) KnowsTo() domain.Offset { return v.control.next }

// Network is the id of the network.
func (v *View) Network() domain.NetworkID { return v.control.network }

// DataShards is how many shards hold accounts. They are numbered from 1.
func (v *View) DataShards() int { return v.control.dataShards }

// Knows tells whether a key is registered.
func (v *View) Knows(key domain.KeyID) bool {
	_, known := v.control.keyring[key]
	return known
}

// Params are the network's parameters, nil until they are set.
func (v *View) Params() *v1.SetNetwork { return v.control.params }

func (c *control) learn(offset domain.Offset, entry *v1.Entry, hear func(fact *v1.Fact, atMs int64)) error {
	if offset != c.next {
		return fmt.Errorf("learn control %d, known to %d: %w", offset, c.next, ErrNotDecidable)
	}
	if Void(offset, entry) {
		c.next++
		return nil
	}
	c.evolveEntry(entry, hear)
	return nil
}
