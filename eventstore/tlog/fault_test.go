package tlog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
)

// disk is files of which a crash loses what was not synced, one by one. It polices that a checkpoint is written only
// when all that its readers need is durable.
type disk struct {
	inMemory               // as readers see it
	durable       inMemory // as it is after a crash, at least
	calls, breaks int      // the call that fails
	kept          bool     // and yet does its work
	policed       func(durable inMemory, checkpoint []byte) error
}

var errBroken = errors.New("broken")

func (d *disk) broken() bool { d.calls++; return d.calls == d.breaks }

func (d *disk) Write(name string, content []byte) error {
	failed := d.broken()
	if !failed || d.kept {
		if name == checkpointName {
			if err := d.policed(d.durable, content); err != nil {
				panic(err)
			}
		}
		_ = d.inMemory.Write(name, content)
	}
	if failed {
		return errBroken
	}
	return nil
}

func (d *disk) Sync() error {
	failed := d.broken()
	if !failed || d.kept {
		d.durable = maps.Clone(d.inMemory)
	}
	if failed {
		return errBroken
	}
	return nil
}

func (d *disk) RemoveAll(folder string) error {
	failed := d.broken()
	if !failed || d.kept {
		_ = d.inMemory.RemoveAll(folder)
	}
	if failed {
		return errBroken
	}
	return nil
}

// crash loses of what was not synced what keep does not name.
func (d *disk) crash(keep func(name string) bool) {
	for _, name := range slices.Sorted(maps.Keys(d.inMemory)) {
		if there, is := d.durable[name]; (!is || !bytes.Equal(there, d.inMemory[name])) && keep(name) {
			d.durable[name] = d.inMemory[name]
		}
	}
	d.inMemory = maps.Clone(d.durable)
}

// wholeTree checks that every record of a checkpoint can be proven from the files.
func wholeTree(t testing.TB, reference *reference) func(inMemory, []byte) error {
	t.Helper()
	return func(files inMemory, signed []byte) error {
		_, head, err := parseText(body(signed))
		if err != nil {
			return err
		}
		if head != reference.head(t, head.Size) {
			return fmt.Errorf("checkpoint of %d has another root", head.Size)
		}
		for offset := int64(0); offset < head.Size; offset += 150 {
			if _, err := Read(files, head).Inclusion(head.Size, domain.Offset(offset)); err != nil {
				return fmt.Errorf("checkpoint of %d is published, and %w", head.Size, err)
			}
		}
		return nil
	}
}

func TestWhateverWriteFailsTheNextRunPublishesTheSameTree(t *testing.T) {
	t.Parallel()
	sizes := []int64{3, 256, 300, 600}
	reference := referenceOf(t, sizes[len(sizes)-1])
	crashes := 0
	for _, kept := range []bool{false, true} {
		for at := 1; ; at++ {
			d := &disk{inMemory: inMemory{}, durable: inMemory{}, breaks: at, kept: kept, policed: wholeTree(t, reference)}
			failed := false
			for i := 0; i < len(sizes); {
				tree, err := OpenTree(testLog, d, publicOf(testKey))
				if err != nil {
					t.Fatalf("call %d failed, kept %v: %v", at, kept, err)
				}
				for ; i < len(sizes) && err == nil; i++ {
					if err = grow(tree, sizes[i]); err != nil {
						break
					}
				}
				if err != nil {
					if failed || !errors.Is(err, errBroken) {
						t.Fatalf("call %d failed, kept %v: %v", at, kept, err)
					}
					failed = true
					crashes++
					d.crash(func(string) bool { return at%2 == 0 })
				}
			}
			if err := d.policed(d.durable, d.durable[checkpointName]); err != nil {
				t.Fatalf("call %d failed, kept %v: %v", at, kept, err)
			}
			if !failed {
				break // there is no such call any more
			}
		}
	}
	if crashes < 30 {
		t.Errorf("only %d calls were broken", crashes)
	}
}

func TestAnyCrashLeavesATreeThatGoesOn(t *testing.T) {
	t.Parallel()
	const most = 600
	reference := referenceOf(t, most)
	rapid.Check(t, func(rt *rapid.T) {
		d := &disk{inMemory: inMemory{}, durable: inMemory{}, policed: wholeTree(t, reference)}
		published := int64(0)
		for range rapid.IntRange(1, 5).Draw(rt, "runs") {
			d.calls, d.breaks = 0, rapid.IntRange(1, 30).Draw(rt, "dies at call")
			d.kept = rapid.Bool().Draw(rt, "kept")
			tree, err := OpenTree(testLog, d, publicOf(testKey))
			if err != nil {
				rt.Fatal(err)
			}
			if tree.Published().Size < published {
				rt.Fatalf("%d records were published, now %d", published, tree.Published().Size)
			}
			for err == nil && tree.Size() < most {
				if err = grow(tree, rapid.Int64Range(tree.Size()+1, most).Draw(rt, "grow to")); err == nil {
					published = tree.Published().Size
				}
			}
			d.crash(func(name string) bool { return rapid.Bool().Draw(rt, "keep "+name) })
		}
	})
}

func TestAFolderIsWrittenByOneAndReadByMany(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tree")
	folder, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := OpenFolder(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("a second writer got %v, %v", second, err)
	}
	publish(t, folder.In("ledger/3"), 10, 300, 1000)
	head := publish(t, folder.In("ledger/3")).Published()
	if _, err := Read(ReadFolder(dir).In("ledger/3"), head).Inclusion(1000, 999); err != nil || head.Size != 1000 {
		t.Errorf("size %d: %v", head.Size, err)
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
	if folder, err = OpenFolder(dir); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(); err != nil {
		t.Error(err)
	}
}
