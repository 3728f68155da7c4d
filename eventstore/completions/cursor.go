package completions

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/filature/filature/domain"
)

// cursorVersion is the first byte of a cursor.
const cursorVersion = 1

// tagBytes of the network's id are in a cursor, so that one of another network is told from one that is
// damaged or old.
const tagBytes = 8

// place is how far a follower is in one shard: it is done with every entry below offset, and with the first facts
// of the entry there.
type place struct {
	shard  domain.Shard
	offset domain.Offset
	facts  int
}

// cursor is how far a follower is in all shards that it follows, in ascending order.
//
// Its text is base64url without padding of: the version; 8 bytes of the network id; then per shard three
// unsigned varints: how far its number is above the one before (from 0), offset, facts. Nobody but us needs to
// know: a reader hands it back as it is.
type cursor []place

// encode writes the cursor as readers get it.
func (c cursor) encode(network domain.NetworkID) string {
	raw := append(make([]byte, 0, 1+tagBytes+8*len(c)), cursorVersion)
	raw = append(raw, network[:tagBytes]...)
	before := domain.Control
	for _, p := range c {
		raw = binary.AppendUvarint(raw, uint64(p.shard-before))
		raw = binary.AppendUvarint(raw, uint64(p.offset))
		raw = binary.AppendUvarint(raw, uint64(p.facts))
		before = p.shard
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

var errOtherNetwork = &CursorError{"it is a cursor of another network"}

// decodeCursor reads a cursor that must be for exactly these shards, in ascending order.
func decodeCursor(text string, network domain.NetworkID, shards []domain.Shard) (cursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < 1+tagBytes || raw[0] != cursorVersion {
		return nil, ErrNoCursor
	}
	if !bytes.Equal(raw[1:1+tagBytes], network[:tagBytes]) {
		return nil, errOtherNetwork
	}
	raw = raw[1+tagBytes:]
	number := func() uint64 {
		n, size := binary.Uvarint(raw)
		if size <= 0 {
			err = ErrNoCursor
			return 0
		}
		raw = raw[size:]
		return n
	}
	var c cursor
	before := domain.Control
	for len(raw) > 0 && err == nil && len(c) <= len(shards) {
		p := place{before + domain.Shard(number()), domain.Offset(number()), int(number())}
		c, before = append(c, p), p.shard
	}
	switch {
	case err != nil:
		return nil, err
	case len(c) != len(shards):
		return nil, otherFilter(shards)
	}
	for i, p := range c {
		if p.shard != shards[i] {
			return nil, otherFilter(shards)
		}
		if p.offset < 0 || p.facts < 0 {
			return nil, ErrNoCursor
		}
	}
	if c.encode(network) != text { // a number in more bytes than it needs
		return nil, ErrNoCursor
	}
	return c, nil
}

func otherFilter(shards []domain.Shard) error {
	return &CursorError{fmt.Sprintf("it was given to a stream with another filter; this one follows %d shards, and not the same", len(shards))}
}
