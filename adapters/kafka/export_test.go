package kafka

import (
	"context"
	"time"

	"github.com/filature/filature/domain"
)

// SetPatience makes a log give up sooner. Call it before the log is used.
func (l *Log) SetPatience(limit time.Duration) { l.patience = limit }

// Doubt makes a shard's lane believe that the fate of its last batch is unknown. Nobody may be appending.
func (l *Log) Doubt(number domain.Shard) { l.shards[number].lane.doubt = true }

// Straggler makes a batch as the shard's lane would send it next, and returns how to send it later: as
// a request that was held up on its way. Nobody may be appending when it is made.
func (l *Log) Straggler(number domain.Shard, values [][]byte) (send func(context.Context) error, err error) {
	s := l.shards[number]
	batch, err := encodeBatch(values, l.headers)
	if err != nil {
		return nil, err
	}
	stamp(batch, s.lane.producer)
	return func(ctx context.Context) error {
		_, err := l.produce(ctx, s, batch)
		return err
	}, nil
}
