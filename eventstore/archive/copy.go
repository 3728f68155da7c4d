package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// Bounds of what is read, held and written at once. A run never crosses a multiple of runRecords, so that it does not
// depend on where a copy began.
const (
	runRecords = 256
	runBytes   = 1 << 20
)

// Folder is where a shard of a log is in an archive: "ledger/0003". It is a segment log of its own with one shard: in one
// log for all, a record could not be written with an earlier time than that of another shard before it.
func Folder(log string, shard domain.Shard) string { return fmt.Sprintf("%s/%04d", log, shard) }

// Name gives the 16 bytes that tell one log of an archive from all others: the same for the same shard of the same network.
func Name(network domain.NetworkID, log string, shard domain.Shard) io.Reader {
	digest := sha256.Sum256(binary.BigEndian.AppendUint32(slices.Concat([]byte("filature/archive/v1\x00"), network[:], []byte(log)), uint32(shard)))
	return bytes.NewReader(digest[:16])
}

// Clock is the clock of a log that is being written by Copy: it stands at the time of the record that comes next.
type Clock struct{ ms atomic.Int64 }

// Now is for the log's options.
func (c *Clock) Now() time.Time { return time.UnixMilli(c.ms.Load()) }

// errOther says that the target holds other records than the source, so it is no earlier part of it.
var errOther = errors.New("the archive is of another log")

// Copy appends to the one shard of a log all records of a shard of another up to an end (exclusive), but for those that are
// there already. The target is written by nobody else, and takes its time from the clock. What is written when an error is
// returned is right as far as it goes; Copy again goes on from there. Progress is told of each record that was copied.
func Copy(
	ctx context.Context, from eventstore.Reader, shard domain.Shard, end domain.Offset, to eventstore.Log, clock *Clock, progress func(records int64),
) error {
	next, latest, err := resume(ctx, from, shard, to)
	if err != nil {
		return fmt.Errorf("copy shard %d: %w", shard, err)
	}
	for next < end {
		window, err := read(ctx, from, shard, next, min(end, next-next%runRecords+runRecords))
		if err != nil {
			return fmt.Errorf("copy shard %d: %w", shard, err)
		}
		for len(window) > 0 {
			run, atMs := take(window, latest)
			window, latest = window[len(run):], atMs
			clock.ms.Store(atMs)
			first, err := to.Append(ctx, 0, run)
			if err == nil && first != next {
				err = fmt.Errorf("record %d was put at %d: %w", next, first, errOther)
			}
			if err != nil {
				return fmt.Errorf("copy shard %d: %w", shard, err)
			}
			next += domain.Offset(len(run))
			progress(int64(len(run)))
		}
	}
	return nil
}

// resume finds out how much is there, and as of when. The last record that is there has to be the source's.
func resume(ctx context.Context, from eventstore.Reader, shard domain.Shard, to eventstore.Log) (next domain.Offset, latest int64, err error) {
	next, err = to.End(ctx, 0)
	if err != nil || next == 0 {
		return 0, 0, err
	}
	kept, err := to.Read(ctx, 0, next-1, 1)
	if err != nil {
		return 0, 0, err
	}
	source, err := from.Read(ctx, shard, next-1, 1)
	if err != nil {
		return 0, 0, err
	}
	if len(kept) == 0 || len(source) == 0 || !bytes.Equal(kept[0].Value, source[0].Value) {
		return 0, 0, fmt.Errorf("record %d: %w", next-1, errOther)
	}
	return next, kept[0].Time.UnixMilli(), nil
}

// read reads all records from an offset up to another.
func read(ctx context.Context, from eventstore.Reader, shard domain.Shard, next, end domain.Offset) ([]eventstore.Record, error) {
	window := make([]eventstore.Record, 0, end-next)
	err := eventstore.Each(ctx, from, shard, next, end, func(r eventstore.Record) error {
		window = append(window, r)
		return nil
	})
	return window, err
}

// take returns the records that count as of one moment, and the moment: a group of a segment has one time. It is that of
// the latest record so far, as whoever decides takes it.
func take(window []eventstore.Record, latest int64) (run [][]byte, atMs int64) {
	atMs = max(latest, window[0].Time.UnixMilli())
	size := 0
	for _, record := range window {
		if max(atMs, record.Time.UnixMilli()) != atMs || len(run) > 0 && size+len(record.Value) > runBytes {
			break
		}
		size += len(record.Value)
		run = append(run, record.Value)
	}
	return run, atMs
}

// Shards is a log whose shards are logs of their own, as in an archive. It implements eventstore.Reader.
type Shards []eventstore.Reader

// Shards implements eventstore.Reader.
func (s Shards) Shards() int { return len(s) }

// End implements eventstore.Reader.
func (s Shards) End(ctx context.Context, shard domain.Shard) (domain.Offset, error) {
	if shard < 0 || int(shard) >= len(s) {
		return 0, eventstore.ErrNoShard
	}
	return s[shard].End(ctx, 0)
}

// Read implements eventstore.Reader.
func (s Shards) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	if shard < 0 || int(shard) >= len(s) {
		return nil, eventstore.ErrNoShard
	}
	return s[shard].Read(ctx, 0, from, limit)
}

// Wait implements eventstore.Reader.
func (s Shards) Wait(ctx context.Context, shard domain.Shard, from domain.Offset) error {
	if shard < 0 || int(shard) >= len(s) {
		return eventstore.ErrNoShard
	}
	return s[shard].Wait(ctx, 0, from)
}
