package domain

import "fmt"

// Shard numbers one partition of both logs. Shard 0 is control; accounts live in 1..n.
type Shard int32

// Control is the shard that holds what all shards need: keys, workers, rate cards, batches.
const Control Shard = 0

// Offset is the place of a record in one shard of one log, counted from 0 without gaps.
type Offset int64

// Position names one record of one log.
type Position struct {
	Shard  Shard
	Offset Offset
}

func (p Position) String() string { return fmt.Sprintf("%d/%d", p.Shard, p.Offset) }
