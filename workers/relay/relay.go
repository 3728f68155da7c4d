// Package relay knows how what the ledger tells others gets onto topics: completions, settlement steps and
// attestation requests, each once or more, in the ledger's order.
//
// A relay keeps no cursor. Where to go on stands in the newest message of what it published, and a message
// follows from the ledger alone. So a crash on any line loses nothing, and doubles at most what was being
// published. Messages of one shard are in one partition (the topic has as many partitions as there are data
// shards, and the account, which is the key, has the same hash in both), and they are appended batch behind
// batch, each after the one before is durable. So a partition holds a shard's messages up to some place
// without a hole, and between them copies of earlier ones. That is true for two relays on one shard,
// too. A reader drops what is not behind the last position that it took.
package relay

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
)

const (
	// readRecords is how many entries are read at once. More would not share a round trip noticeably better.
	readRecords = 1024
	// batchMessages and batchBytes bound what is published at once, and so what a crash can double. An entry
	// has up to 1900 facts, so a batch may end in the middle of one.
	batchMessages = 1000
	batchBytes    = 1 << 20
	// maxTries is how often in a row the relay may fail without having got on; firstPause is waited after
	// the first, then twice as long each time, up to lastPause. Together that is above four minutes: longer
	// than a cluster needs to choose its leaders again, and soon enough for somebody to look.
	maxTries   = 24
	firstPause = 100 * time.Millisecond
	lastPause  = 15 * time.Second
)

// Tail tells what was published of a shard.
type Tail interface {
	// Last returns the greatest position of a shard's messages in a topic, or false if it never had one.
	// It sees every message whose Publish has returned nil, in whatever process. Where it can't be known,
	// for example because the topic had messages and keeps none of them, it returns an error.
	Last(ctx context.Context, topic string, shard domain.Shard) (last domain.FactPosition, found bool, err error)
}

// Config says what a relay works on.
type Config struct {
	Ledger eventstore.Reader
	Shard  domain.Shard
	// Publisher appends to topics. When Publish returns nil, all its messages are durable. When it returns an
	// error, each partition has taken some first of its messages, in order, perhaps some twice, or none.
	Publisher message.Publisher
	Tail      Tail
	// Prefix of the topics: "filature" gives filature.completions, filature.settlement, filature.attestation.
	Prefix string
	// Source is the CloudEvents source of the messages, a URI reference that names the network.
	Source string
	// Trouble is told of an error that the relay will try to get over. It may be nil.
	Trouble func(error)
}

// ErrStranger: the newest message of a topic is not what this ledger tells there. Two networks share a topic,
// or the ledger was begun anew and the topic was not. Nothing was published.
var ErrStranger = errors.New("the topic holds messages of another ledger")

// Relay publishes one shard. Run owns it.
type Relay struct {
	cfg Config
	// told is the last position that each stream of the shard had when the topics were asked; nil where they
	// have to be asked.
	told map[stream.Name]domain.FactPosition
	next domain.Offset // of the entry to read

	relayed atomic.Int64
}

// New returns a relay that has not looked at anything yet.
func New(cfg Config) *Relay { return &Relay{cfg: cfg} }

// Relayed is the ledger offset up to which (exclusive) this relay knows everything to be published.
func (r *Relay) Relayed() domain.Offset { return domain.Offset(r.relayed.Load()) }

// Topic is the name of a stream's topic.
func Topic(prefix string, name stream.Name) string { return prefix + "." + string(name) }

// Run publishes until the context ends, and then returns nil. Trouble with the topics or the ledger is waited
// out for some minutes. An error says why the shard makes no progress.
func (r *Relay) Run(ctx context.Context) error {
	wait, tries := firstPause, 0
	for ctx.Err() == nil {
		advanced, err := r.turn(ctx)
		if advanced {
			wait, tries = firstPause, 0
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		r.told = nil // what was kept of a failed batch, only the topic knows
		err = fmt.Errorf("relay of shard %d, at entry %d: %w", r.cfg.Shard, r.next, err)
		if tries++; tries == maxTries || hopeless(err) {
			return err
		}
		if r.cfg.Trouble != nil {
			r.cfg.Trouble(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, lastPause)
	}
	return nil
}

// hopeless says whether the same would happen again.
func hopeless(err error) bool {
	for _, final := range []error{ErrStranger, eventstore.ErrClosed, eventstore.ErrCorrupt, eventstore.ErrGap, eventstore.ErrNoShard} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// turn publishes what the next entries tell, or waits for one. It says whether the relay got on.
func (r *Relay) turn(ctx context.Context) (advanced bool, err error) {
	if r.told == nil {
		if err := r.resume(ctx); err != nil {
			return false, err
		}
	}
	records, err := r.cfg.Ledger.Read(ctx, r.cfg.Shard, r.next, readRecords)
	if err != nil {
		return false, fmt.Errorf("read: %w", err)
	}
	if len(records) == 0 {
		if err := r.cfg.Ledger.Wait(ctx, r.cfg.Shard, r.next); err != nil {
			return false, fmt.Errorf("wait: %w", err)
		}
		return true, nil
	}
	return r.tell(ctx, records)
}

// tell publishes what records tell. It says whether the relay got on.
func (r *Relay) tell(ctx context.Context, records []eventstore.Record) (advanced bool, err error) {
	batches := make(map[stream.Name]*batch)
	for _, name := range stream.From(r.cfg.Shard) {
		batches[name] = &batch{topic: Topic(r.cfg.Prefix, name)}
	}
	for _, record := range records {
		entry, err := eventstore.DecodeEntry(r.cfg.Shard, record)
		if err != nil {
			return advanced, err
		}
		for _, m := range stream.Of(r.cfg.Shard, record.Offset, entry) {
			if m.Position.Compare(r.told[m.Stream]) <= 0 {
				continue
			}
			b := batches[m.Stream]
			if err := b.add(ctx, m, r.cfg.Source); err != nil {
				return advanced, err
			}
			if !b.full() {
				continue
			}
			if err := r.publish(b); err != nil {
				return advanced, err
			}
			advanced = true
		}
	}
	for _, name := range stream.From(r.cfg.Shard) {
		if err := r.publish(batches[name]); err != nil {
			return advanced, err
		}
	}
	r.next = records[len(records)-1].Offset + 1
	r.relayed.Store(int64(r.next))
	return true, nil
}

// publish makes a batch durable and empties it. If we crash behind it, the topic's tail says that it is there.
func (r *Relay) publish(b *batch) error {
	if len(b.messages) == 0 {
		return nil
	}
	if err := r.cfg.Publisher.Publish(b.topic, b.messages...); err != nil {
		return fmt.Errorf("publish %d messages to %s: %w", len(b.messages), b.topic, err)
	}
	b.messages, b.bytes = nil, 0 // the publisher may have kept the slice
	return nil
}

// resume learns from the topics what they have. The relay goes on at the entry of the stream that has least,
// and leaves out what the others have.
func (r *Relay) resume(ctx context.Context) error {
	told := make(map[stream.Name]domain.FactPosition)
	next := domain.Offset(-1)
	for _, name := range stream.From(r.cfg.Shard) {
		topic := Topic(r.cfg.Prefix, name)
		last, found, err := r.cfg.Tail.Last(ctx, topic, r.cfg.Shard)
		if err != nil {
			return fmt.Errorf("last message of %s: %w", topic, err)
		}
		if found {
			if err := r.recognize(ctx, name, last); err != nil {
				return fmt.Errorf("last message of %s: %w", topic, err)
			}
			told[name] = last
		}
		if at := told[name].Offset; next < 0 || at < next {
			next = at
		}
	}
	r.told, r.next = told, next
	return nil
}

// recognize checks that the ledger tells what stands in the topic. Otherwise going on from there would leave
// out messages of this ledger, or wait for entries that are never written.
func (r *Relay) recognize(ctx context.Context, name stream.Name, at domain.FactPosition) error {
	end, err := r.cfg.Ledger.End(ctx, r.cfg.Shard)
	if err != nil {
		return fmt.Errorf("end of the ledger: %w", err)
	}
	if at.Shard != r.cfg.Shard || at.Offset >= end {
		return fmt.Errorf("it is of %s, and the ledger of shard %d ends at %d: %w", at, r.cfg.Shard, end, ErrStranger)
	}
	records, err := r.cfg.Ledger.Read(ctx, r.cfg.Shard, at.Offset, 1)
	if err != nil {
		return fmt.Errorf("read its entry: %w", err)
	}
	if len(records) == 0 {
		return fmt.Errorf("read its entry: nothing at %d of %d: %w", at.Offset, end, eventstore.ErrGap)
	}
	entry, err := eventstore.DecodeEntry(r.cfg.Shard, records[0])
	if err != nil {
		return err
	}
	for _, m := range stream.Of(r.cfg.Shard, at.Offset, entry) {
		if m.Stream == name && m.Position == at {
			return nil
		}
	}
	return fmt.Errorf("it is of %s, and that fact tells nothing of the kind: %w", at, ErrStranger)
}
