package tlog

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	xtlog "golang.org/x/mod/sumdb/tlog"
)

// ErrRewritten says that what is to be published contradicts what was published: the log, or the files, are not what
// they were. Publish nothing until a person has looked.
var ErrRewritten = errors.New("contradicts what was published")

// Tree publishes the tree of one log. Records go in with Append, which writes each tile that is full; Flush writes the
// rest; Publish puts up the checkpoint. A crash in between leaves tiles that no checkpoint needs, and that the next
// run writes again, byte for byte. After an error the tree must be opened anew. It is for one goroutine.
type Tree struct {
	log       Log
	files     Files
	published Head
	nodes     *compact.Range
	edge      [][]byte // per level, the hashes of the tile at the right edge, which is not full
}

var ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// OpenTree goes on from the checkpoint that is published, if there is one. It must be signed with the key.
func OpenTree(log Log, files Files, key ed25519.PublicKey) (*Tree, error) {
	t := &Tree{log: log, files: files, published: EmptyHead(), nodes: ranges.NewEmptyRange(0)}
	signed, err := ReadCheckpoint(files)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open tree of %s: %w", log.Origin(), err)
	}
	policy, err := Keys(LogKey(log, key))
	if err != nil {
		return nil, err
	}
	checkpoint, err := policy.Open(signed)
	if err != nil {
		return nil, fmt.Errorf("open tree of %s: %w", log.Origin(), err)
	}
	t.published = checkpoint.Head
	if err := t.load(); err != nil {
		return nil, fmt.Errorf("open tree of %s at %d: %w", log.Origin(), t.published.Size, err)
	}
	return t, nil
}

// load reads the right edge of the tree that is published.
func (t *Tree) load() error {
	size := t.published.Size
	ids := compact.RangeNodes(0, uint64(size), nil)
	indexes := make([]int64, len(ids))
	for i, id := range ids {
		indexes[i] = xtlog.StoredHashIndex(int(id.Level), int64(id.Index))
	}
	reader := Read(t.files, t.published).hashes
	found, err := reader.ReadHashes(indexes)
	if err != nil {
		return err
	}
	roots := make([][]byte, len(found))
	for i := range found {
		roots[i] = found[i][:]
	}
	if t.nodes, err = ranges.NewRange(0, uint64(size), roots); err != nil {
		return err
	}
	t.edge = nil
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		nodes := size >> (tileHeight * level)
		var hashes []byte
		if width := int(nodes % tileWidth); width > 0 {
			content, err := tiles{t.files}.ReadTiles([]xtlog.Tile{{H: tileHeight, L: level, N: nodes / tileWidth, W: width}})
			if err != nil {
				return err
			}
			hashes = bytes.Clone(content[0])
		}
		t.edge = append(t.edge, hashes)
	}
	return nil
}

// Published is the head of the checkpoint that stands.
func (t *Tree) Published() Head { return t.published }

// Size is how many records are in the tree.
func (t *Tree) Size() int64 { return int64(t.nodes.End()) }

// Head is the tree with all that was appended.
func (t *Tree) Head() (Head, error) {
	head, err := headOf(t.nodes)
	if err != nil {
		return Head{}, fmt.Errorf("tree of %s: %w", t.log.Origin(), err)
	}
	return head, nil
}

// Append adds the next record.
func (t *Tree) Append(record []byte) error {
	leaf := LeafHash(record)
	var failed error
	err := t.nodes.Append(leaf[:], func(id compact.NodeID, hash []byte) {
		if id.Level%tileHeight == 0 && failed == nil {
			failed = t.put(int(id.Level/tileHeight), int64(id.Index), hash)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("append to tree of %s: %w", t.log.Origin(), err)
	}
	return nil
}

// put adds a hash to the tile at the edge of its level, and writes the tile when it is full.
func (t *Tree) put(level int, index int64, hash []byte) error {
	if level == len(t.edge) {
		t.edge = append(t.edge, nil)
	}
	t.edge[level] = append(t.edge[level], hash...)
	if len(t.edge[level]) < tileWidth*xtlog.HashSize {
		return nil
	}
	tile := xtlog.Tile{H: tileHeight, L: level, N: index / tileWidth, W: tileWidth}
	err := t.write(tile, t.edge[level])
	t.edge[level] = nil
	return err
}

// write writes a tile. One that is there may have been read by somebody, and is never replaced.
func (t *Tree) write(tile xtlog.Tile, hashes []byte) error {
	name := tilePath(tile)
	there, err := t.files.Read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t.files.Write(name, hashes)
	case err != nil:
		return err
	case !bytes.Equal(there, hashes):
		return fmt.Errorf("tile %s: %w", name, ErrRewritten)
	}
	// It may have been written by a run that crashed before it synced: the name is there, but for how long?
	return t.files.Write(name, hashes)
}

// Flush writes the tiles at the edge. When it returns nil, all that proofs up to Head need is durable.
func (t *Tree) Flush() error {
	for level, hashes := range t.edge {
		if len(hashes) == 0 {
			continue
		}
		width := len(hashes) / xtlog.HashSize
		tile := xtlog.Tile{H: tileHeight, L: level, N: (t.Size() >> (tileHeight * level)) / tileWidth, W: width}
		if err := t.write(tile, hashes); err != nil {
			return fmt.Errorf("flush tree of %s: %w", t.log.Origin(), err)
		}
	}
	if err := t.files.Sync(); err != nil {
		return fmt.Errorf("flush tree of %s: %w", t.log.Origin(), err)
	}
	return nil
}

// Publish puts up a checkpoint of Head. The tree must have been flushed. When it returns nil the checkpoint is durable.
func (t *Tree) Publish(signed []byte) error {
	head, err := t.Head()
	if err != nil {
		return err
	}
	fail := func(err error) error {
		return fmt.Errorf("publish %d records of %s: %w", head.Size, t.log.Origin(), err)
	}
	log, signedHead, err := parseText(body(signed))
	if err != nil {
		return fail(err)
	}
	if log != t.log || signedHead != head {
		return fail(fmt.Errorf("the checkpoint is of %s, %d records", log.Origin(), signedHead.Size))
	}
	if err := t.files.Write(checkpointName, signed); err != nil {
		return fail(err)
	}
	if err := t.files.Sync(); err != nil {
		return fail(err)
	}
	before := t.published
	t.published = head
	if err := t.clear(before.Size, head.Size); err != nil {
		return fail(err)
	}
	return nil
}

// clear removes what stood for tiles that are full now.
func (t *Tree) clear(before, now int64) error {
	for level := 0; before>>(tileHeight*level) > 0; level++ {
		index := (before >> (tileHeight * level)) / tileWidth
		if (now>>(tileHeight*level))/tileWidth > index {
			if err := t.files.RemoveAll(partials(level, index)); err != nil {
				return err
			}
		}
	}
	return nil
}
