package sdk

import (
	"context"
	"errors"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// MaxReports bounds one Submit.
	MaxReports = 1000
	// MaxBytes bounds the bytes of its reports.
	MaxBytes = 4 << 20
)

// Gateway takes signed reports into intake. HTTP is one; adapters/kafka.Direct goes to the log itself.
//
// Any error means that nobody knows what was kept, and that the same bytes may be sent again: a copy
// counts once. An error that has a method Permanent() bool which says true needs a person (a wrong login,
// a body that is not understood), and Deliver gives up on it at once. The emitter has one call under way
// at a time, and needs no more.
type Gateway interface {
	// Network returns the network's id and the number of its data shards; a zero id says that the
	// network has not begun. It is asked again after each error, before anything is sent.
	Network(ctx context.Context) (domain.NetworkID, int, error)
	// Submit takes encoded SignedReports, up to MaxReports and MaxBytes, and returns a receipt for each, in
	// order, when all that it accepted is durable. Reports of a shard are kept in the order given. The
	// records are not changed.
	Submit(ctx context.Context, reports [][]byte) ([]*v1.Receipt, error)
}

// Network is what one has to know to report: the id goes under each signature, and accounts are spread
// over the data shards.
type Network struct {
	ID         domain.NetworkID
	DataShards int
}

// ShardOf is the shard of an account.
func (n Network) ShardOf(account domain.AccountID) domain.Shard {
	return domain.ShardOf(account, n.DataShards)
}

// mistakeError: trying again does not help before a person has looked.
type mistakeError struct{ error }

// Permanent implements what Gateway's contract asks of an error.
func (mistakeError) Permanent() bool { return true }

// Unwrap lets errors.Is look inside.
func (e mistakeError) Unwrap() error { return e.error }

func isPermanent(err error) bool {
	var marked interface{ Permanent() bool }
	return errors.As(err, &marked) && marked.Permanent()
}
