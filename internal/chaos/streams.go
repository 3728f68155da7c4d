package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/workload"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// positionHeader says of which fact of the ledger a message is.
const positionHeader = "position"

// told is a message as the ledger tells it, or as a topic holds it.
type told struct {
	at   domain.FactPosition
	body []byte
}

// streamCounts are what the topics of all streams hold.
type streamCounts struct {
	Completions int64 // each counted once
	Messages    int64 // of all streams, each counted once
	Copies      int64 // messages that a reader drops who has stored the last position that it took
}

// checkStreams wants each stream's topic to hold what the ledger tells, all of it and in order, once copies are
// dropped as a reader drops them. The relays may be a little behind, so it waits for them.
func (s *stage) checkStreams(ctx context.Context, wrong *workload.Findings) (n streamCounts, err error) {
	client, err := kafka.Dial(ctx, kafka.Cluster{Brokers: s.servers.kafka.Brokers()})
	if err != nil {
		return n, err
	}
	defer client.Close()
	for shard := range domain.Shard(s.ledger.Shards()) {
		tells, err := s.tells(ctx, shard)
		if err != nil {
			return n, err
		}
		for _, name := range stream.From(shard) {
			holds, copies, err := follow(ctx, client, s.name+"."+string(name), max(0, int(shard)-1), len(tells[name]))
			if err != nil {
				wrong.Addf("%s: %s of shard %d: %d of %d messages came: %v", s.name, name, shard, len(holds), len(tells[name]), err)
				continue
			}
			compareStream(wrong, fmt.Sprintf("%s: %s of shard %d", s.name, name, shard), holds, tells[name])
			if name == stream.Completions {
				n.Completions += int64(len(holds))
			}
			n.Messages += int64(len(holds))
			n.Copies += copies
		}
	}
	jobs := &s.say.Want
	workload.Want(wrong, s.name, "jobs in the stream of completions", n.Completions, jobs.Completed+jobs.Failed+jobs.Cancelled)
	return n, nil
}

// tells is what the ledger of a shard tells others.
func (s *stage) tells(ctx context.Context, shard domain.Shard) (map[stream.Name][]told, error) {
	all := make(map[stream.Name][]told)
	end, err := s.ledger.End(ctx, shard)
	if err != nil {
		return nil, err
	}
	err = eventstore.Each(ctx, s.ledger, shard, 0, end, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(shard, rec)
		if err != nil {
			return err
		}
		for _, m := range stream.Of(shard, rec.Offset, entry) {
			body, err := v1.Encode(m.Body)
			if err != nil {
				return err
			}
			all[m.Stream] = append(all[m.Stream], told{m.Position, body})
		}
		return nil
	})
	return all, err
}

// follow reads a partition until it had so many messages, and on to its end, and drops what is not behind the last
// position that it took.
func follow(ctx context.Context, client *kafka.Client, topic string, partition, want int) (holds []told, copies int64, err error) {
	var last domain.FactPosition
	for next := int64(0); ; {
		page, err := client.Fetch(ctx, topic, partition, next, lookAt)
		if err != nil {
			return holds, copies, err
		}
		for _, m := range page.Messages {
			at, err := positionOf(m)
			if err != nil {
				return holds, copies, fmt.Errorf("%s/%d at %d: %w", topic, partition, m.Offset, err)
			}
			if at.Compare(last) <= 0 {
				copies++
				continue
			}
			last = at
			holds = append(holds, told{at, m.Value})
		}
		if next = page.Next; next >= page.End && len(holds) >= want {
			return holds, copies, nil
		}
	}
}

func positionOf(m kafka.Message) (domain.FactPosition, error) {
	for _, h := range m.Headers {
		if h.Name == positionHeader {
			return domain.ParseFactPosition(string(h.Value))
		}
	}
	return domain.FactPosition{}, fmt.Errorf("it has no header %q", positionHeader)
}

func compareStream(wrong *workload.Findings, what string, holds, tells []told) {
	workload.Want(wrong, what, "messages", len(holds), len(tells))
	for i := range min(len(holds), len(tells)) {
		if holds[i].at != tells[i].at || !bytes.Equal(holds[i].body, tells[i].body) {
			wrong.Addf("%s: message %d is of fact %s; want %s, as the ledger tells it", what, i, holds[i].at, tells[i].at)
			return
		}
	}
}
