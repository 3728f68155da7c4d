package tlog

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/filature/filature/domain"
)

// A tile holds up to 256 hashes of one level, each the root over 256 times as many records as one of the level below
// (C2SP tlog-tiles).
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// checkpointName is the file that is replaced; all others never change once they are there.
const checkpointName = "checkpoint"

// tilePath is where a tile is served: tile/<level>/<index>[.p/<width>].
func tilePath(t xtlog.Tile) string {
	return strings.Replace(t.Path(), fmt.Sprintf("tile/%d/", tileHeight), "tile/", 1) // the library's has the height, too
}

// partials is the folder of what stood for a tile before it was full.
func partials(level int, index int64) string {
	return tilePath(xtlog.Tile{H: tileHeight, L: level, N: index, W: tileWidth}) + ".p"
}

// tiles reads them for the library.
type tiles struct{ files Files }

// Height implements xtlog.TileReader.
func (t tiles) Height() int { return tileHeight }

// SaveTiles implements xtlog.TileReader.
func (t tiles) SaveTiles([]xtlog.Tile, [][]byte) {}

// ReadTiles implements xtlog.TileReader. A partial tile that is gone since the tree grew is the beginning of the full
// one.
func (t tiles) ReadTiles(wanted []xtlog.Tile) ([][]byte, error) {
	all := make([][]byte, len(wanted))
	for i, tile := range wanted {
		content, err := t.files.Read(tilePath(tile))
		if full := tile; errors.Is(err, fs.ErrNotExist) && tile.W < tileWidth {
			full.W = tileWidth
			content, err = t.files.Read(tilePath(full))
		}
		if err != nil {
			return nil, fmt.Errorf("tile: %w", err)
		}
		if len(content) < tile.W*xtlog.HashSize {
			return nil, fmt.Errorf("tile %s: has %d bytes, want %d", tilePath(tile), len(content), tile.W*xtlog.HashSize)
		}
		all[i] = content[:tile.W*xtlog.HashSize]
	}
	return all, nil
}

// Published reads a tree that was published. Each hash that it returns was checked against the head, so the files need
// not be believed.
type Published struct {
	head   Head
	hashes xtlog.HashReader
}

// Read returns the tree with a head, out of its files.
func Read(files Files, head Head) *Published {
	tree := xtlog.Tree{N: head.Size, Hash: xtlog.Hash(head.Root)}
	return &Published{head, xtlog.TileHashReader(tree, tiles{files})}
}

// ReadCheckpoint returns the checkpoint as it is published. It is fs.ErrNotExist where nothing is.
func ReadCheckpoint(files Files) ([]byte, error) { return files.Read(checkpointName) }

// Head is the head that was asked for.
func (p *Published) Head() Head { return p.head }

// HeadAt is the tree as it was when it had a size.
func (p *Published) HeadAt(size int64) (Head, error) {
	if size == 0 {
		return EmptyHead(), nil
	}
	if size < 0 || size > p.head.Size {
		return Head{}, fmt.Errorf("head at %d: the tree has %d records", size, p.head.Size)
	}
	root, err := xtlog.TreeHash(size, p.hashes)
	if err != nil {
		return Head{}, fmt.Errorf("head at %d: %w", size, err)
	}
	return Head{size, domain.Digest(root)}, nil
}

// Inclusion proves that the record at an offset is among the first size ones; VerifyInclusion checks it against
// HeadAt(size).
func (p *Published) Inclusion(size int64, offset domain.Offset) ([]domain.Digest, error) {
	if size > p.head.Size {
		return nil, fmt.Errorf("prove record %d in %d: the tree has %d records", offset, size, p.head.Size)
	}
	path, err := xtlog.ProveRecord(size, int64(offset), p.hashes)
	if err != nil {
		return nil, fmt.Errorf("prove record %d in %d: %w", offset, size, err)
	}
	return digests(path), nil
}

// Consistency proves that the tree begins with the one that it was at a size.
func (p *Published) Consistency(size int64) ([]domain.Digest, error) {
	if size == 0 {
		return nil, nil
	}
	path, err := xtlog.ProveTree(p.head.Size, size, p.hashes)
	if err != nil {
		return nil, fmt.Errorf("prove the tree of %d from that of %d: %w", p.head.Size, size, err)
	}
	return digests(path), nil
}

func digests(path []xtlog.Hash) []domain.Digest {
	all := make([]domain.Digest, len(path))
	for i, hash := range path {
		all[i] = domain.Digest(hash)
	}
	return all
}
