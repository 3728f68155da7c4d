package tlog

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	xtlog "golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
)

var (
	testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	testLog = Log{Network: domain.NetworkID{1, 2, 3}, Shard: 3}
)

func record(i int64) []byte { return fmt.Appendf(nil, "record %d", i) }

// reference is the tree of the first n records by another implementation of RFC 6962.
type reference []xtlog.Hash

func (r *reference) ReadHashes(indexes []int64) ([]xtlog.Hash, error) {
	var found []xtlog.Hash
	for _, i := range indexes {
		found = append(found, (*r)[i])
	}
	return found, nil
}

func referenceOf(t testing.TB, size int64) *reference {
	t.Helper()
	var r reference
	for i := range size {
		more, err := xtlog.StoredHashes(i, record(i), &r)
		if err != nil {
			t.Fatal(err)
		}
		r = append(r, more...)
	}
	return &r
}

func (r *reference) head(t testing.TB, size int64) Head {
	t.Helper()
	root, err := xtlog.TreeHash(size, r)
	if err != nil {
		t.Fatal(err)
	}
	return Head{size, domain.Digest(root)}
}

// grow publishes the records up to a size.
func grow(tree *Tree, size int64) error {
	for i := tree.Size(); i < size; i++ {
		if err := tree.Append(record(i)); err != nil {
			return err
		}
	}
	if err := tree.Flush(); err != nil {
		return err
	}
	head, err := tree.Head()
	if err != nil {
		return err
	}
	signed, err := Sign(tree.log, head, testKey)
	if err != nil {
		return err
	}
	return tree.Publish(signed)
}

func publish(t testing.TB, files Files, sizes ...int64) *Tree {
	t.Helper()
	tree, err := OpenTree(testLog, files, publicOf(testKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		if err := grow(tree, size); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// inMemory keeps files, and polices that what was published does not change.
type inMemory map[string][]byte

func (m inMemory) Read(name string) ([]byte, error) {
	content, there := m[name]
	if !there {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return content, nil
}

func (m inMemory) Write(name string, content []byte) error {
	if there, is := m[name]; is && name != checkpointName && !bytes.Equal(there, content) {
		panic(name + " was changed")
	}
	m[name] = bytes.Clone(content)
	return nil
}

func (m inMemory) Sync() error { return nil }

func (m inMemory) RemoveAll(folder string) error {
	for name := range m {
		if strings.HasPrefix(name, folder+"/") {
			delete(m, name)
		}
	}
	return nil
}

func TestAnyCutOfTheLogGivesTheSameRootAndProofs(t *testing.T) {
	t.Parallel()
	const most = 1100
	reference := referenceOf(t, most)
	rapid.Check(t, func(rt *rapid.T) {
		sizes := rapid.SliceOfN(rapid.Int64Range(1, most), 1, 5).Draw(rt, "published at")
		slices.Sort(sizes)
		sizes = slices.Compact(sizes)
		files := inMemory{}
		for _, size := range sizes { // each time by a process that begins anew
			publish(t, files, size)
		}
		size := sizes[len(sizes)-1]
		head := reference.head(t, size)
		published := Read(files, head) // refuses hashes that are not those of the head
		then := rapid.Int64Range(1, size).Draw(rt, "then")
		older, err := published.HeadAt(then)
		if err != nil || older != reference.head(t, then) {
			rt.Fatalf("head at %d is %v, %v", then, older, err)
		}
		path, err := published.Consistency(then)
		if err != nil {
			rt.Fatal(err)
		}
		if err := VerifyConsistency(older, head, path); err != nil {
			rt.Fatal(err)
		}
		offset := rapid.Int64Range(0, then-1).Draw(rt, "offset")
		if path, err = published.Inclusion(then, domain.Offset(offset)); err != nil {
			rt.Fatal(err)
		}
		if err := VerifyInclusion(older, domain.Offset(offset), record(offset), path); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestATreeThatOnlyGrowsHasTheHeadsOfAnyOther(t *testing.T) {
	const size = 600
	want, tree := referenceOf(t, size), NewGrowing()
	for i := range int64(size) {
		if have, err := tree.Head(); err != nil || tree.Size() != i || i > 0 && have != want.head(t, i) || i == 0 && have != EmptyHead() {
			t.Fatalf("of %d records: %v, %v", i, have, err)
		}
		if err := tree.Append(record(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAProofHoldsForOneRecordPlaceAndHeadOnly(t *testing.T) {
	t.Parallel()
	const size, offset = 300, 77
	files := inMemory{}
	tree := publish(t, files, size)
	head := tree.Published()
	path, err := Read(files, head).Inclusion(size, offset)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyInclusion(head, offset, record(offset), path); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, head Head, offset domain.Offset, record []byte, path []domain.Digest) {
		if VerifyInclusion(head, offset, record, path) == nil {
			t.Errorf("another %s passes", what)
		}
	}
	refused("root", Head{size, domain.Digest{}}, offset, record(offset), path)
	refused("record", head, offset, record(offset+1), path)
	for _, other := range []domain.Offset{-1, 0, offset - 1, offset + 1, size, 1 << 62} {
		refused("offset", head, other, record(offset), path)
	}
	refused("path, shorter,", head, offset, record(offset), path[1:])
	refused("path, longer,", head, offset, record(offset), append(slices.Clone(path), domain.Digest{}))
	for i := range path {
		other := slices.Clone(path)
		other[i][31] ^= 1
		refused(fmt.Sprintf("hash %d", i), head, offset, record(offset), other)
	}
}

func TestATreeThatWasRewrittenIsNotConsistent(t *testing.T) {
	t.Parallel()
	files := inMemory{}
	tree := publish(t, files, 200, 500)
	newer := tree.Published()
	older, err := Read(files, newer).HeadAt(200)
	if err != nil {
		t.Fatal(err)
	}
	path, err := Read(files, newer).Consistency(200)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyConsistency(older, newer, path); err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]Head{
		"another old root": {{200, domain.Digest{1}}, newer}, "another new root": {older, {500, domain.Digest{1}}},
		"another old size": {{201, older.Root}, newer}, "a shrunk log": {newer, older}, "no records with a root": {{0, older.Root}, newer},
	} {
		if VerifyConsistency(pair[0], pair[1], path) == nil {
			t.Errorf("%s passes", what)
		}
	}
	if err := VerifyConsistency(EmptyHead(), newer, nil); err != nil {
		t.Errorf("every tree begins with nothing: %v", err)
	}
}

// The figures are the example of tlog-tiles, "Partial Tiles".
func TestTheFilesAreThoseOfTlogTiles(t *testing.T) {
	t.Parallel()
	files := inMemory{}
	publish(t, files, 69_000, 70_000)
	full := map[string]int{}
	var partial []string
	for name, content := range files {
		switch {
		case strings.Contains(name, ".p/"):
			partial = append(partial, fmt.Sprintf("%s: %d", name, len(content)/32))
		case name != "checkpoint":
			if len(content) != 8192 {
				t.Errorf("%s has %d bytes", name, len(content))
			}
			full[name[:len("tile/0")]]++
		}
	}
	slices.Sort(partial)
	if full["tile/0"] != 273 || full["tile/1"] != 1 || len(full) != 2 {
		t.Errorf("full tiles: %v", full)
	}
	// What stood at 69 000 for tiles that are full now is gone; what stands for those that are not may stay.
	want := []string{"tile/0/273.p/112: 112", "tile/1/001.p/13: 13", "tile/1/001.p/17: 17", "tile/2/000.p/1: 1"}
	if !slices.Equal(partial, want) {
		t.Errorf("partial tiles: %v, want %v", partial, want)
	}
	if got := partials(0, 1234067); got != "tile/0/x001/x234/067.p" {
		t.Errorf("partial tiles of 1234067 are in %s", got)
	}
}

func TestAReaderOfAnOldCheckpointFindsItsTilesStill(t *testing.T) {
	t.Parallel()
	files := inMemory{}
	old := publish(t, files, 300).Published()
	publish(t, files, 1000)
	if _, there := files["tile/0/001.p/44"]; there {
		t.Fatal("the partial tile is still there: nothing is tested")
	}
	if _, err := Read(files, old).Inclusion(300, 299); err != nil {
		t.Error(err)
	}
}

func TestAnyChangedTileIsNoticed(t *testing.T) {
	t.Parallel()
	files := inMemory{}
	head := publish(t, files, 600).Published()
	for name, content := range files {
		if name == checkpointName {
			continue
		}
		content[len(content)-1] ^= 1
		bad := 0
		for offset := domain.Offset(0); offset < 600; offset += 50 {
			if _, err := Read(files, head).Inclusion(600, offset); err != nil {
				bad++
			}
		}
		if bad == 0 {
			t.Errorf("a bit in %s is another, and all proofs were made", name)
		}
		content[len(content)-1] ^= 1
	}
}

func TestALogThatIsNotWhatWasPublishedIsNotPublished(t *testing.T) {
	t.Parallel()
	files := inMemory{}
	publish(t, files, 255)
	tree, err := OpenTree(testLog, files, publicOf(testKey))
	if err != nil {
		t.Fatal(err)
	}
	files["tile/0/000"] = make([]byte, 8192) // somebody else published another record 255
	if err := tree.Append(record(255)); err == nil {
		t.Error("a tile that was published is replaced")
	}
	other, err := Sign(testLog, Head{255, domain.Digest{}}, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if tree, err = OpenTree(testLog, inMemory{}, publicOf(testKey)); err != nil {
		t.Fatal(err)
	}
	if tree.Publish(other) == nil {
		t.Error("a checkpoint of another tree is published")
	}
}
