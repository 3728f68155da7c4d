package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/sdk"
)

// headsOf is what is known of the heads of a ledger before it is archived.
type headsOf struct {
	network   domain.NetworkID
	key       ed25519.PrivateKey // nil where it is not at hand: then nothing is signed
	published map[domain.Shard][]byte
}

// readHeads reads the newest checkpoints that are published. It comes before the ledger's ends are taken: a checkpoint is of
// records that are there.
func (s *material) readHeads(network domain.NetworkID) (*headsOf, error) {
	h := &headsOf{network: network, published: map[domain.Shard][]byte{}}
	key, err := sdk.ReadKey(filepath.Join(s.keys, logKey+keySuffix))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key %s: %w", logKey, err)
	}
	h.key = key
	if s.tiles == "" {
		return h, nil
	}
	for shard := range domain.Shard(s.ledger.Shards()) {
		signed, err := tlog.ReadCheckpoint(tlog.ReadFolder(s.tiles).In(logFolder(shard)))
		if err == nil {
			h.published[shard] = signed
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return h, nil
}

// archive makes the trees of an archived ledger. It returns their roots, and puts checkpoints beside the log: the published
// one, with whatever witnesses signed, and where the key is at hand one of all that the archive has. It signs nothing that
// does not go on from what is published.
func (h *headsOf) archive(ctx context.Context, dir string, log eventstore.Reader, ends []domain.Offset, m *meter) ([]string, error) {
	var mu sync.Mutex
	var done int64
	total := int64(sumOf(ends))
	progress := func(entries int64) {
		mu.Lock()
		defer mu.Unlock()
		done += entries
		m.progress(done, total, "making trees")
	}
	roots := make([]string, len(ends))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, end := range ends {
		group.Go(func() error {
			tree := growingTree{log: log, shard: domain.Shard(i), tree: tlog.NewGrowing(), progress: progress}
			head, err := h.archiveShard(ctx, dir, &tree, end)
			if err != nil {
				return fmt.Errorf("archive %s: %w", tlog.Log{Network: h.network, Shard: domain.Shard(i)}.Origin(), err)
			}
			roots[i] = head.Root.String()
			return nil
		})
	}
	return roots, group.Wait()
}

// archiveShard archives the heads of one shard.
func (h *headsOf) archiveShard(ctx context.Context, dir string, tree *growingTree, end domain.Offset) (tlog.Head, error) {
	log := tlog.Log{Network: h.network, Shard: tree.shard}
	var published tlog.Head
	if signed := h.published[tree.shard]; signed != nil {
		of, head, err := tlog.Peek(signed)
		if err != nil {
			return head, err
		}
		if of != log || head.Size > int64(end) {
			return head, fmt.Errorf("%w: %d entries of %s, and the ledger has %d", tlog.ErrRewritten, head.Size, of.Origin(), end)
		}
		have, err := tree.grow(ctx, domain.Offset(head.Size))
		if err == nil && have != head {
			err = fmt.Errorf("%w: the root of %d entries is %s, published was %s", tlog.ErrRewritten, head.Size, have.Root, head.Root)
		}
		if err == nil {
			err = archive.WriteCheckpoint(dir, tree.shard, head.Size, signed)
		}
		if err != nil {
			return head, err
		}
		published = head
	}
	head, err := tree.grow(ctx, end)
	if err != nil || h.key == nil || head.Size == 0 || head == published {
		return head, err
	}
	signed, err := tlog.Sign(log, head, h.key)
	if err != nil {
		return head, err
	}
	return head, archive.WriteCheckpoint(dir, tree.shard, head.Size, signed)
}

// growingTree is the tree of a shard as far as it was read.
type growingTree struct {
	log      eventstore.Reader
	shard    domain.Shard
	tree     *tlog.Growing
	progress func(entries int64)
}

// grow reads on, up to an offset, and returns the head there.
func (t *growingTree) grow(ctx context.Context, to domain.Offset) (tlog.Head, error) {
	from := domain.Offset(t.tree.Size())
	if err := eventstore.Each(ctx, t.log, t.shard, from, to, func(r eventstore.Record) error { return t.tree.Append(r.Value) }); err != nil {
		return tlog.Head{}, err
	}
	t.progress(int64(to - from))
	return t.tree.Head()
}
