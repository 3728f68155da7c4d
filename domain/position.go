package domain

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

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

// FactPosition names one fact of one log: the fact's place in its entry, from 1. In one shard positions only
// grow, so they tell a fact that was heard before. As what was heard last, Fact 0 is an entry of which
// nothing was heard, and the zero value the very start of control.
type FactPosition struct {
	Position
	Fact int
}

// String is shard, offset and fact: "3/1042/7".
func (p FactPosition) String() string { return fmt.Sprintf("%s/%d", p.Position, p.Fact) }

// Compare orders positions of one shard.
func (p FactPosition) Compare(other FactPosition) int {
	return cmp.Or(cmp.Compare(p.Offset, other.Offset), cmp.Compare(p.Fact, other.Fact))
}

// ParseFactPosition reads what String wrote, and accepts no other form of it.
func ParseFactPosition(s string) (FactPosition, error) {
	var p FactPosition
	parts := strings.Split(s, "/")
	if len(parts) == 3 {
		shard, _ := strconv.ParseInt(parts[0], 10, 32)
		offset, _ := strconv.ParseInt(parts[1], 10, 64)
		fact, _ := strconv.ParseInt(parts[2], 10, 32)
		p = FactPosition{Position{Shard(shard), Offset(offset)}, int(fact)}
	}
	if p.Shard < 0 || p.Offset < 0 || p.Fact < 0 || p.String() != s {
		return FactPosition{}, fmt.Errorf("fact position %q: want shard/offset/fact, such as 3/1042/7", s)
	}
	return p, nil
}
