package projections

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/filature/filature/eventstore/tlog"
)

// The reference is another implementation of RFC 6962.
func TestLogTreeIsTheTreeOfRFC6962(t *testing.T) {
	t.Parallel()
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	reference := factory.NewEmptyRange(0)
	var tree LogTree
	for size := range 300 {
		root, err := tree.Root()
		if err != nil {
			t.Fatal(err)
		}
		want := rfc6962.DefaultHasher.EmptyRoot()
		if size > 0 {
			if want, err = reference.GetRootHash(nil); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(root[:], want) {
			t.Fatalf("root of %d records is %x, want %x", size, root, want)
		}
		record := fmt.Appendf(nil, "record %d", size)
		if err := reference.Append(rfc6962.DefaultHasher.HashLeaf(record), nil); err != nil {
			t.Fatal(err)
		}
		tree.append(hashLeaf(record))
	}
}

func TestTheTreeOfABatchIsTheTreeThatIsPublished(t *testing.T) {
	t.Parallel()
	published, err := tlog.OpenTree(tlog.Log{}, tlog.ReadFolder(t.TempDir()), nil) // fewer records than fill a tile: nothing is written
	if err != nil {
		t.Fatal(err)
	}
	var tree LogTree
	for i := range 255 {
		record := []byte{byte(i)}
		tree.append(hashLeaf(record))
		if err := published.Append(record); err != nil {
			t.Fatal(err)
		}
		root, err := tree.Root()
		if err != nil {
			t.Fatal(err)
		}
		if head, err := published.Head(); err != nil || head != (tlog.Head{Size: tree.Size, Root: root}) {
			t.Fatalf("%d records: the batch's root is %s, what is published has %v, %v", tree.Size, root, head, err)
		}
	}
}

func TestAppendingToATreeDoesNotChangeItsCopies(t *testing.T) {
	t.Parallel()
	var tree LogTree
	for i := range 100 {
		before := tree
		nodes := bytes.Clone(before.Nodes)
		tree.append(hashLeaf([]byte{byte(i)}))
		if !bytes.Equal(before.Nodes, nodes) {
			t.Fatalf("the tree of %d records was written into", i)
		}
	}
}

func TestATreeWithNodesMissingHasNoRoot(t *testing.T) {
	t.Parallel()
	var tree LogTree
	for i := range 7 {
		tree.append(hashLeaf([]byte{byte(i)}))
	}
	tree.Nodes = tree.Nodes[32:]
	if root, err := tree.Root(); err == nil {
		t.Errorf("root is %s, want an error", root)
	}
}
