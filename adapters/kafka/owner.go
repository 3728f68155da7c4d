package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/filature/filature/domain"
)

const (
	// sessionTimeout is how long a process that died keeps its shards. It is the least that brokers allow
	// as they are delivered.
	sessionTimeout = 6 * time.Second
	// heartbeatEvery is how soon a process learns that shards are to be shared anew.
	heartbeatEvery = time.Second
	// rebalanceTimeout is how long the others wait for a process that lives but does not answer.
	rebalanceTimeout = 10 * time.Second
	// joinPause is waited before a process that was turned away asks again.
	joinPause = 500 * time.Millisecond
	// lonePatience is how long a process works on without hearing from its group. That does no harm (see Own),
	// but somebody should know.
	lonePatience = 2 * time.Minute
)

// Own shares the shards of a log among all processes that call it with the same group, and calls work for
// each shard that falls to this one, in a goroutine of its own. The context of a work ends when its
// shard goes to another process, and Own waits for it to return. When a process comes or goes, shards move
// only as far as the balance needs; the works on the others are not disturbed.
//
// It may happen that two processes work on the same shard for a while: one that was paused does not know
// that its shards were given away. A clerk does no harm then (ledger.Void).
//
// Own runs until the context ends, and then returns nil after all works have returned. It returns an error
// if a work returns one, or returns at all before its context ends, or if the group is out of reach for
// minutes.
func Own(ctx context.Context, cluster Cluster, topic Topic, group string, work func(context.Context, domain.Shard) error) error {
	if err := topic.check(); err != nil {
		return err
	}
	l, err := cluster.link()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	works := &works{running: map[domain.Shard]running{}, failed: cancel, work: work}
	members, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: cluster.Brokers, Dialer: l.dialer(), Topics: topic.names(),
		GroupBalancers:    []kafka.GroupBalancer{balancer{topic, works.shards}},
		HeartbeatInterval: heartbeatEvery, SessionTimeout: sessionTimeout, RebalanceTimeout: rebalanceTimeout, JoinGroupBackoff: joinPause,
		Timeout: dialTimeout,
	})
	if err != nil {
		return fmt.Errorf("group %s: %w", group, err)
	}
	lost := follow(ctx, members.Next, func(assigned map[string][]kafka.PartitionAssignment) {
		var mine []domain.Shard
		for name, partitions := range assigned {
			for _, p := range partitions {
				mine = append(mine, topic.shardAt(name, p.ID))
			}
		}
		works.become(ctx, mine)
	})
	// The works end before the others are told that their shards are free.
	works.become(ctx, nil)
	_ = members.Close() // returns nil always
	if cause := context.Cause(ctx); lost == nil && !errors.Is(cause, ctx.Err()) {
		lost = cause
	}
	if lost != nil {
		return fmt.Errorf("group %s: %w", group, lost)
	}
	return nil
}

// follow calls assign at each generation of the group until the context ends, or the group is out of
// reach for too long, which it returns. A generation lasts until somebody comes or goes, which may be weeks: only
// errors in a row count.
func follow(ctx context.Context, next func(context.Context) (*kafka.Generation, error), assign func(map[string][]kafka.PartitionAssignment)) error {
	var alone time.Time // when the first of the errors in a row came; zero after a generation
	for {
		generation, err := next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end that was asked for
		case err == nil:
			alone = time.Time{}
			assign(generation.Assignments)
		case alone.IsZero():
			alone = time.Now()
		case time.Since(alone) > lonePatience:
			return fmt.Errorf("out of reach for %v: %w", lonePatience, err)
		}
	}
}

// works are the works that run in this process.
type works struct {
	work   func(context.Context, domain.Shard) error
	failed context.CancelCauseFunc

	mu      sync.Mutex
	running map[domain.Shard]running
}

type running struct {
	stop  context.CancelFunc
	ended chan struct{}
}

// shards returns on which shards this process works.
func (w *works) shards() []domain.Shard {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []domain.Shard
	for shard := range w.running {
		all = append(all, shard)
	}
	return all
}

// become ends the works on other shards than these, waits for them, and starts those that are missing.
func (w *works) become(ctx context.Context, shards []domain.Shard) {
	wanted := map[domain.Shard]bool{}
	for _, shard := range shards {
		wanted[shard] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for shard, r := range w.running {
		if !wanted[shard] {
			r.stop()
		}
	}
	for shard, r := range w.running {
		if !wanted[shard] {
			<-r.ended
			delete(w.running, shard)
		}
	}
	for _, shard := range shards {
		if _, runs := w.running[shard]; !runs {
			w.running[shard] = w.start(ctx, shard)
		}
	}
}

var errReturned = errors.New("it returned, and was not asked to")

func (w *works) start(ctx context.Context, shard domain.Shard) running {
	ctx, stop := context.WithCancel(ctx)
	r := running{stop, make(chan struct{})}
	go func() {
		defer close(r.ended)
		err := w.work(ctx, shard)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errReturned
		}
		w.failed(fmt.Errorf("work on shard %d: %w", shard, err))
	}()
	return r
}

// balancer is our part in a rebalance: we say which shards we work on, and one member, chosen by Kafka,
// decides for all.
type balancer struct {
	topic  Topic
	shards func() []domain.Shard
}

var _ kafka.GroupBalancer = balancer{}

// ProtocolName implements kafka.GroupBalancer.
func (balancer) ProtocolName() string { return "filature-1" }

// UserData implements kafka.GroupBalancer: our shards, each as a varint.
func (b balancer) UserData() ([]byte, error) {
	var raw []byte
	for _, shard := range b.shards() {
		raw = binary.AppendUvarint(raw, uint64(shard))
	}
	return raw, nil
}

// AssignGroups implements kafka.GroupBalancer.
func (b balancer) AssignGroups(members []kafka.GroupMember, partitions []kafka.Partition) kafka.GroupMemberAssignments {
	all := make([]member, len(members))
	for i, m := range members {
		all[i] = member{id: m.ID, owned: readShards(m.UserData)}
	}
	shards := make([]domain.Shard, len(partitions))
	for i, p := range partitions {
		shards[i] = b.topic.shardAt(p.Topic, p.ID)
	}
	assigned := kafka.GroupMemberAssignments{}
	for id, mine := range share(all, shards) {
		assigned[id] = map[string][]int{}
		for _, shard := range mine {
			name, partition := b.topic.place(shard)
			assigned[id][name] = append(assigned[id][name], partition)
		}
	}
	return assigned
}

// readShards reads what UserData wrote. What can't be read was not owned.
func readShards(raw []byte) []domain.Shard {
	var shards []domain.Shard
	for len(raw) > 0 {
		shard, n := binary.Uvarint(raw)
		if n <= 0 || shard >= maxShards {
			return shards
		}
		shards, raw = append(shards, domain.Shard(shard)), raw[n:]
	}
	return shards
}
