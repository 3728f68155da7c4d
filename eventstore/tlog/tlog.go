// Package tlog knows how a shard of the ledger is a transparency log: its records are the leaves of a Merkle
// tree (RFC 6962), a checkpoint is its head under a signature, and the tree's hashes are files that any web
// server can serve. Whoever has them can check that a record is in the log, and that the log of today begins
// with the log of yesterday.
//
// The formats are those of the C2SP, so that other people's monitors and witnesses work: tlog-checkpoint,
// signed-note, tlog-cosignature (cosignature/v1), tlog-policy, tlog-tiles, and the errors of tlog-witness.
//
// There is no tree of intake. Each ledger entry holds the SHA-256 of the intake record that it answers, and
// every intake record is answered, so the ledger's tree covers both logs. There are no entry bundles among the
// files either: they take 64 KiB for an entry, which ours exceed, and who may read the ledger is not for a web
// server to decide.
package tlog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/filature/filature/domain"
)

// Log names the tree of one ledger shard.
type Log struct {
	Network domain.NetworkID
	Shard   domain.Shard
}

const (
	originPrefix = "filature/"
	originLedger = "/ledger/"
)

// Origin is the first line of the log's checkpoints, and the name of the key that signs them:
// "filature/<network>/ledger/<shard>".
func (l Log) Origin() string {
	return NetworkName(l.Network) + originLedger + strconv.Itoa(int(l.Shard))
}

// NetworkName names all logs of a network together: "filature/<network>".
func NetworkName(network domain.NetworkID) string { return originPrefix + network.String() }

// ParseOrigin reads what Origin wrote, and accepts no other form of it.
func ParseOrigin(origin string) (Log, error) {
	rest, _ := strings.CutPrefix(origin, originPrefix)
	id, shard, _ := strings.Cut(rest, originLedger)
	network, err := domain.ParseID[domain.NetworkID](id)
	number, _ := strconv.ParseInt(shard, 10, 32)
	log := Log{network, domain.Shard(number)}
	if err != nil || number < 0 || log.Origin() != origin {
		return Log{}, fmt.Errorf("origin %q: want filature/<network>/ledger/<shard>", origin)
	}
	return log, nil
}

// Head is a tree as of a size: the first Size records, and the root over them.
type Head struct {
	Size int64
	Root domain.Digest
}

// EmptyHead is the head of no records.
func EmptyHead() Head { return Head{Root: domain.Digest(rfc6962.DefaultHasher.EmptyRoot())} }

// LeafHash is the leaf of a record.
func LeafHash(record []byte) domain.Digest {
	return domain.Digest(rfc6962.DefaultHasher.HashLeaf(record))
}

// VerifyInclusion checks that the record at an offset is in a tree. The proof is RFC 6962's audit path
// (section 2.1.1), from the leaf up.
func VerifyInclusion(head Head, offset domain.Offset, record []byte, path []domain.Digest) error {
	if offset < 0 || int64(offset) >= head.Size {
		return fmt.Errorf("record %d: the tree has %d records", offset, head.Size)
	}
	leaf := LeafHash(record)
	err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(offset), uint64(head.Size), leaf[:], hashes(path), head.Root[:])
	if err != nil {
		return fmt.Errorf("record %d in the tree of %d: %w", offset, head.Size, inHex(err))
	}
	return nil
}

// VerifyConsistency checks that a tree begins with an older one. The proof is RFC 6962's consistency proof
// (section 2.1.2).
func VerifyConsistency(older, newer Head, path []domain.Digest) error {
	if older.Size < 0 || older.Size > newer.Size {
		return fmt.Errorf("a tree of %d does not begin with one of %d", newer.Size, older.Size)
	}
	if older.Size == 0 { // the library takes any root for that of nothing
		if older != EmptyHead() || len(path) != 0 {
			return fmt.Errorf("the tree of no records has the root %s and an empty proof", EmptyHead().Root)
		}
		return nil
	}
	err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(older.Size), uint64(newer.Size), hashes(path), older.Root[:], newer.Root[:])
	if err != nil {
		return fmt.Errorf("tree of %d from that of %d: %w", newer.Size, older.Size, inHex(err))
	}
	return nil
}

// inHex writes the roots in the library's error as people compare them.
func inHex(err error) error {
	if differ, is := errors.AsType[proof.RootMismatchError](err); is {
		return fmt.Errorf("it leads to the root %x, want %x", differ.CalculatedRoot, differ.ExpectedRoot)
	}
	return err
}

func hashes(path []domain.Digest) [][]byte {
	raw := make([][]byte, len(path))
	for i := range path {
		raw[i] = path[i][:]
	}
	return raw
}
