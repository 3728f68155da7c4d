package seglog_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
)

const benchValueBytes = 300

// randomValues do not compress, whatever the disk does beneath us.
func randomValues(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		out[i] = make([]byte, benchValueBytes)
		for j := range out[i] {
			out[i][j] = byte(r.Uint32())
		}
	}
	return out
}

func benchLog(b *testing.B, shards int) *seglog.Log {
	b.Helper()
	log, err := seglog.Open(b.TempDir(), seglog.Options{Shards: shards, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	return log
}

// bareFile appends bytes and syncs them: what an Append can't be faster than.
type bareFile struct {
	file *os.File
	at   int64
}

func newBareFile(b *testing.B) *bareFile {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	})
	return &bareFile{file: f}
}

func (f *bareFile) append(b *testing.B, p []byte) {
	b.Helper()
	if _, err := f.file.WriteAt(p, f.at); err != nil {
		b.Fatal(err)
	}
	if err := unix.Fdatasync(int(f.file.Fd())); err != nil {
		b.Fatal(err)
	}
	f.at += int64(len(p))
}

// BenchmarkAppend alternates an Append with a bare write and sync of the same values, so that both
// see the same disk. "of-bare" is the speed of the one against that of the other; 1 is the limit.
func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			log, bare := benchLog(b, 4), newBareFile(b)
			values := randomValues(batch)
			var flat []byte
			for _, v := range values {
				flat = append(flat, v...)
			}
			var ours, theirs time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				if _, err := log.Append(context.Background(), 1, values); err != nil {
					b.Fatal(err)
				}
				ours += time.Since(start)
				b.StopTimer()
				start = time.Now()
				bare.append(b, flat)
				theirs += time.Since(start)
				b.StartTimer()
			}
			b.ReportMetric(float64(batch*b.N)/ours.Seconds(), "records/s")
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-bare")
		})
	}
}

func BenchmarkAppendConcurrently(b *testing.B) {
	const appenders = 64
	for _, shards := range []int{1, 8} {
		b.Run(fmt.Sprintf("appenders=%d/shards=%d", appenders, shards), func(b *testing.B) {
			log := benchLog(b, shards)
			values := randomValues(1)
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range appenders {
				wg.Go(func() {
					for range b.N/appenders + 1 {
						if _, err := log.Append(context.Background(), domain.Shard(i%shards), values); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// benchFill writes records evenly to all shards, so many to an Append.
func benchFill(b *testing.B, dir string, shards, batch, records int) {
	b.Helper()
	log, err := seglog.Open(dir, seglog.Options{Shards: shards, Now: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	values := randomValues(batch)
	var wg sync.WaitGroup
	for shard := range domain.Shard(shards) {
		wg.Go(func() {
			for range records / shards / batch {
				if _, err := log.Append(context.Background(), shard, values); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := log.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReplay reads all records of all shards, one shard after the other, from the page cache.
func BenchmarkReplay(b *testing.B) {
	for _, c := range []struct{ shards, batch, records int }{
		{1, 1000, 1_000_000}, {8, 1000, 1_000_000}, {8, 10, 200_000},
	} {
		b.Run(fmt.Sprintf("shards=%d/batch=%d", c.shards, c.batch), func(b *testing.B) {
			dir := b.TempDir()
			benchFill(b, dir, c.shards, c.batch, c.records)
			log, err := seglog.OpenReadOnly(dir)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = log.Close() }()
			records := 0
			b.ReportAllocs()
			for b.Loop() {
				for shard := range domain.Shard(c.shards) {
					for from := domain.Offset(0); ; {
						got, err := log.Read(context.Background(), shard, from, eventstore.MaxBatch)
						if err != nil {
							b.Fatal(err)
						}
						if len(got) == 0 {
							break
						}
						from += domain.Offset(len(got))
						records += len(got)
					}
				}
			}
			b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(records*benchValueBytes)/1e6/b.Elapsed().Seconds(), "MB/s")
		})
	}
}

// BenchmarkReadOne reads single records at random: what a proof or a page of one job costs.
func BenchmarkReadOne(b *testing.B) {
	const shards, records = 8, 400_000
	dir := b.TempDir()
	benchFill(b, dir, shards, 100, records)
	log, err := seglog.OpenReadOnly(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	r := rand.New(rand.NewPCG(3, 4))
	b.ReportAllocs()
	for b.Loop() {
		from := domain.Offset(r.IntN(records / shards))
		got, err := log.Read(context.Background(), domain.Shard(r.IntN(shards)), from, 1)
		if err != nil || len(got) != 1 {
			b.Fatal(got, err)
		}
	}
}

// BenchmarkOpen reads and checks a whole log, as each start does.
func BenchmarkOpen(b *testing.B) {
	const records = 1_000_000
	dir := b.TempDir()
	benchFill(b, dir, 8, 1000, records)
	for b.Loop() {
		log, err := seglog.OpenReadOnly(dir)
		if err != nil {
			b.Fatal(err)
		}
		_ = log.Close()
	}
	b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
}
