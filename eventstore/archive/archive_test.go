package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/eventstore/seglog"
)

// timed is one shard of records at any times.
type timed []eventstore.Record

func (timed) Shards() int { return 1 }

func (l timed) End(context.Context, domain.Shard) (domain.Offset, error) {
	return domain.Offset(len(l)), nil
}

func (l timed) Read(_ context.Context, _ domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	return l[from:min(len(l), int(from)+limit)], nil
}

func (timed) Wait(context.Context, domain.Shard, domain.Offset) error { return nil }

func write(t *rapid.T, dir string, from timed, ends ...int) {
	for _, end := range ends {
		clock := &archive.Clock{}
		to, err := seglog.Open(dir, seglog.Options{Shards: 1, Now: clock.Now, Random: archive.Name(domain.NetworkID{1}, "ledger", 0), Unsynced: true})
		if err != nil {
			t.Fatal(err)
		}
		err = archive.Copy(context.Background(), from, 0, domain.Offset(end), to, clock, func(int64) {})
		if err := errors.Join(err, to.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACopyHasEachRecordAtTheTimeThatCounts: a broker's clock may go back; whoever decides takes the latest so far.
func TestACopyHasEachRecordAtTheTimeThatCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var from timed
		for i, ms := range rapid.SliceOfN(rapid.Int64Range(1000, 1005), 1, 700).Draw(t, "times") {
			from = append(from, eventstore.Record{Offset: domain.Offset(i), Time: time.UnixMilli(ms), Value: fmt.Appendf(nil, "record %d", i)})
		}
		once, cut := tempDir(t), tempDir(t)
		write(t, once, from, len(from))
		seam := rapid.IntRange(0, len(from)).Draw(t, "seam") / 256 * 256
		write(t, cut, from, seam, len(from))
		log, err := seglog.OpenReadOnly(once)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		have, err := log.Read(context.Background(), 0, 0, len(from))
		if err != nil || len(have) != len(from) {
			t.Fatalf("%d records, want %d: %v", len(have), len(from), err)
		}
		latest := int64(0)
		for i, record := range have {
			latest = max(latest, from[i].Time.UnixMilli())
			if record.Time.UnixMilli() != latest || string(record.Value) != string(from[i].Value) {
				t.Fatalf("record %d is %q at %d, want %q at %d", i, record.Value, record.Time.UnixMilli(), from[i].Value, latest)
			}
		}
		for _, name := range []string{"000000000000.seg", "watermark"} {
			a, errA := os.ReadFile(filepath.Join(once, name))
			b, errB := os.ReadFile(filepath.Join(cut, name))
			if errA != nil || errB != nil || !slices.Equal(a, b) {
				t.Fatalf("%s of a copy that was cut off at %d differs: %v, %v", name, seam, errA, errB)
			}
		}
		other := slices.Clone(from)
		other[len(other)-1].Value = []byte("another")
		to, err := seglog.Open(once, seglog.Options{Shards: 1, Now: time.Now, Unsynced: true})
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		if err := archive.Copy(context.Background(), other, 0, domain.Offset(len(other)), to, &archive.Clock{}, func(int64) {}); err == nil {
			t.Fatal("a copy went on with another log")
		}
	})
}

func tempDir(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "filature-archive-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestAManifestNoticesWhateverWasDoneToAFile(t *testing.T) {
	file := func(dir string) string { return filepath.Join(dir, "ledger", "0001", "000000000000.seg") }
	for name, c := range map[string]struct {
		do    func(dir string) error
		wrong int
	}{
		"nothing": {func(string) error { return nil }, 0},
		"changed": {func(dir string) error { return os.WriteFile(file(dir), []byte("eno"), 0o600) }, 1},
		"missing": {func(dir string) error { return os.Remove(file(dir)) }, 1},
		"added": {func(dir string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(file(dir)), "watermark"), nil, 0o600)
		}, 1},
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Dir(file(dir)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file(dir), []byte("one"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Read(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("without a manifest: %v", err)
		}
		if err := archive.Seal(dir, archive.Manifest{Network: "n"}); err != nil {
			t.Fatal(err)
		}
		m, err := archive.Read(dir)
		if err != nil || len(m.Files) != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
		if err := c.do(dir); err != nil {
			t.Fatal(err)
		}
		if wrong, err := archive.Check(t.Context(), dir, m); len(wrong) != c.wrong || err != nil {
			t.Errorf("%s: %v, %v", name, wrong, err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := archive.Seal(dir, archive.Manifest{}); err == nil {
		t.Error("a folder with other things in it was sealed")
	}
}
