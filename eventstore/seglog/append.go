package seglog

import (
	"context"
	"fmt"
	"sync"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// queueLength is how many Appends may wait for the writer before the next ones wait to be queued.
// More than join one group in practice, so the writer never starves.
const queueLength = 1024

// request is one Append on its way through the writer.
type request struct {
	shard  domain.Shard
	count  int
	frames *[]byte     // encoded by the caller behind room for a block header; the writer's once queued
	answer chan answer // holds one, so the writer never waits for a caller that left
}

type answer struct {
	first domain.Offset
	err   error
}

// framesPool keeps the memory that frames are encoded in.
var framesPool = sync.Pool{New: func() any { return new([]byte) }}

// Append implements eventstore.Appender. If the context ends while the batch is being written,
// Append returns at once, and the batch may have been kept.
func (l *Log) Append(ctx context.Context, shard domain.Shard, values [][]byte) (domain.Offset, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := eventstore.CheckBatch(values); err != nil {
		return 0, fmt.Errorf("append to shard %d: %w", shard, err)
	}
	end, err := l.End(ctx, shard)
	if err != nil || len(values) == 0 {
		return end, err
	}
	r := request{shard: shard, count: len(values), answer: make(chan answer, 1)}
	// Encoding here spreads the checksums over the callers' cores, and lets a caller whose context
	// ends have its values back.
	r.frames = framesPool.Get().(*[]byte)
	*r.frames = append((*r.frames)[:0], make([]byte, blockHeaderBytes)...)
	for _, v := range values {
		*r.frames = appendFrame(*r.frames, l.seed, v)
	}
	select {
	case l.queue <- r:
	case <-l.over:
		return 0, eventstore.ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case a := <-r.answer:
		return a.first, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-l.stopped:
	}
	// The writer is gone. It answers all that it took; what it did not take was not written.
	select {
	case a := <-r.answer:
		return a.first, a.err
	default:
		return 0, eventstore.ErrClosed
	}
}
