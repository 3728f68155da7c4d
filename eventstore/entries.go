package eventstore

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// DecodeEntry reads a record of a ledger shard. Bytes that are no entry mean that the log was
// changed, so the error wraps ErrCorrupt.
func DecodeEntry(shard domain.Shard, rec Record) (*v1.Entry, error) {
	entry := &v1.Entry{}
	if err := v1.Decode(rec.Value, entry); err != nil {
		return nil, fmt.Errorf("ledger %d/%d: %w: %w", shard, rec.Offset, ErrCorrupt, err)
	}
	return entry, nil
}

// Each calls visit for every record of a shard in [from, to), in order. It stops at the first error,
// its own or visit's, and reports a log that ends early as ErrGap.
func Each(ctx context.Context, log Reader, shard domain.Shard, from, to domain.Offset, visit func(Record) error) error {
	for from < to {
		records, err := log.Read(ctx, shard, from, int(min(to-from, MaxBatch)))
		if err != nil {
			return fmt.Errorf("read shard %d from %d: %w", shard, from, err)
		}
		if len(records) == 0 {
			return fmt.Errorf("read shard %d: ends at %d, expected %d: %w", shard, from, to, ErrGap)
		}
		for _, rec := range records {
			if rec.Offset != from {
				return fmt.Errorf("read shard %d: record %d where %d belongs: %w", shard, rec.Offset, from, ErrGap)
			}
			if err := visit(rec); err != nil {
				return err
			}
			from++
		}
	}
	return nil
}
