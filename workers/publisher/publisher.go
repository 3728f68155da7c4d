// Package publisher knows when the head of a log is published, and who has to have seen it before.
package publisher

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/tlog"
)

// maxRecords go into the tree between two checkpoints: a crash, or a witness that is away, costs their hashing again,
// a second.
const maxRecords = 1 << 20

// leastRest is waited before witnesses are asked again.
const leastRest = time.Second

// Witness cosigns checkpoints.
type Witness interface {
	// AddCheckpoint shows a witness a checkpoint, and that it goes on from the one of a size that the witness saw last.
	// It returns signature lines. It is a *tlog.SeenError where the witness saw another size last; ask again with that. It
	// never retries; to ask twice is harmless.
	AddCheckpoint(ctx context.Context, seen int64, consistency []domain.Digest, checkpoint []byte) ([]byte, error)
}

// Config is what a publisher works on.
type Config struct {
	Log    tlog.Log
	Ledger eventstore.Reader
	Files  tlog.Files
	Key    ed25519.PrivateKey
	// Policy says which witnesses have to have cosigned before a checkpoint goes up. It lists the log's key, too: it is
	// the one that readers are given. Nil asks for none.
	Policy    *tlog.Policy
	Witnesses []Witness
	// Every is the least time between two checkpoints of Run.
	Every time.Duration
	// Published is told of each checkpoint; it may be nil.
	Published func(tlog.Head)
	// Trouble is told when too few witnesses cosign. Run asks again, and the checkpoint before stays. It may be nil.
	Trouble func(error)
}

// Run publishes until the context ends, which is no error. After any other error it may be called again, and goes on
// from what is published.
func Run(ctx context.Context, cfg Config) error {
	for {
		head, err := Once(ctx, cfg)
		switch {
		case errors.Is(err, tlog.ErrNotWitnessed) && !errors.Is(err, tlog.ErrRewritten):
			if cfg.Trouble != nil {
				cfg.Trouble(err)
			}
			err = rest(ctx, max(cfg.Every, leastRest))
			if err == nil {
				continue
			}
		case err == nil:
			err = cfg.Ledger.Wait(ctx, cfg.Log.Shard, domain.Offset(head.Size))
		}
		if err == nil {
			err = rest(ctx, cfg.Every)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		if err != nil {
			return err
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Once publishes all that the log holds now, and returns the head that stands then. A log without records has none.
//
// The order is that of safety: tiles, durable; then the signature; then the witnesses; then the checkpoint. A
// checkpoint that too few witnesses cosigned does not go up, and the one before stays (tlog.ErrNotWitnessed). A log
// that ends before what was published, or has another record at its end, is tlog.ErrRewritten.
func Once(ctx context.Context, cfg Config) (tlog.Head, error) {
	tree, err := tlog.OpenTree(cfg.Log, cfg.Files, public(cfg.Key))
	if err != nil {
		return tlog.Head{}, err
	}
	if err := sameLog(ctx, cfg, tree.Published()); err != nil {
		return tlog.Head{}, err
	}
	end, err := cfg.Ledger.End(ctx, cfg.Log.Shard)
	if err != nil {
		return tlog.Head{}, fmt.Errorf("publish %s: %w", cfg.Log.Origin(), err)
	}
	for tree.Size() < int64(end) {
		if err := step(ctx, cfg, tree, min(end, domain.Offset(tree.Size()+maxRecords))); err != nil {
			return tlog.Head{}, err
		}
		if cfg.Published != nil {
			cfg.Published(tree.Published())
		}
	}
	return tree.Published(), nil
}

// sameLog looks whether the last record that was published still stands at its place.
func sameLog(ctx context.Context, cfg Config, head tlog.Head) error {
	if head.Size == 0 {
		return nil
	}
	last := domain.Offset(head.Size - 1)
	records, err := cfg.Ledger.Read(ctx, cfg.Log.Shard, last, 1)
	if err == nil && len(records) == 1 {
		path, err := tlog.Read(cfg.Files, head).Inclusion(head.Size, last)
		if err != nil {
			return fmt.Errorf("publish %s: %w", cfg.Log.Origin(), err)
		}
		if err := tlog.VerifyInclusion(head, last, records[0].Value, path); err != nil {
			return fmt.Errorf("publish %s: %w: %w", cfg.Log.Origin(), tlog.ErrRewritten, err)
		}
		return nil
	}
	if err == nil || errors.Is(err, eventstore.ErrGap) {
		return fmt.Errorf("publish %s: %w: %d records were published, the log has fewer", cfg.Log.Origin(), tlog.ErrRewritten, head.Size)
	}
	return fmt.Errorf("publish %s: %w", cfg.Log.Origin(), err)
}

// step publishes the log up to an offset.
func step(ctx context.Context, cfg Config, tree *tlog.Tree, to domain.Offset) error {
	err := eventstore.Each(ctx, cfg.Ledger, cfg.Log.Shard, domain.Offset(tree.Size()), to, func(rec eventstore.Record) error {
		return tree.Append(rec.Value)
	})
	if err != nil {
		return fmt.Errorf("publish %s: %w", cfg.Log.Origin(), err)
	}
	if err := tree.Flush(); err != nil {
		return err
	}
	head, err := tree.Head()
	if err != nil {
		return err
	}
	signed, err := tlog.Sign(cfg.Log, head, cfg.Key)
	if err != nil {
		return err
	}
	if cfg.Policy != nil {
		if signed, err = cosigned(ctx, cfg, tree.Published(), head, signed); err != nil {
			return err
		}
	}
	return tree.Publish(signed)
}

// cosigned asks all witnesses at once, and returns the checkpoint with their signatures, if they are enough.
func cosigned(ctx context.Context, cfg Config, published, head tlog.Head, signed []byte) ([]byte, error) {
	lines, troubles := make([][]byte, len(cfg.Witnesses)), make([]error, len(cfg.Witnesses))
	var group errgroup.Group
	for i, witness := range cfg.Witnesses {
		group.Go(func() error {
			lines[i], troubles[i] = ask(ctx, witness, tlog.Read(cfg.Files, head), published.Size, signed)
			return nil
		})
	}
	_ = group.Wait() // each has its own error
	for i := range lines {
		added, err := cfg.Policy.AddCosignatures(signed, lines[i])
		if err != nil {
			troubles[i] = errors.Join(troubles[i], err)
			continue
		}
		signed = added
	}
	if _, err := cfg.Policy.Open(signed); err != nil {
		return nil, errors.Join(append([]error{err}, troubles...)...)
	}
	return signed, nil
}

// ask asks a witness, at first on the supposition that it saw what was published last.
func ask(ctx context.Context, witness Witness, tree *tlog.Published, seen int64, signed []byte) ([]byte, error) {
	const tries = 2
	for try := 1; ; try++ {
		path, err := tree.Consistency(seen)
		if err != nil {
			return nil, err
		}
		lines, err := witness.AddCheckpoint(ctx, seen, path, signed)
		other, is := errors.AsType[*tlog.SeenError](err)
		if !is || try == tries {
			return lines, err
		}
		if seen = other.Size; seen > tree.Head().Size {
			return nil, fmt.Errorf("%w: %w, and the log has %d", tlog.ErrRewritten, err, tree.Head().Size)
		}
	}
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }
