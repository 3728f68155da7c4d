package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/relay"
)

// run runs a relay until it has relayed a shard's ledger as it is now.
func run(t testing.TB, cfg relay.Config, end domain.Offset) {
	t.Helper()
	ctx, stop := context.WithCancel(projectionstest.Context(t))
	r := relay.New(cfg)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for r.Relayed() < end {
		select {
		case err := <-ended:
			t.Fatalf("relay of shard %d ended at %d of %d: %v", cfg.Shard, r.Relayed(), end, err)
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("relay of shard %d: %v", cfg.Shard, err)
	}
}

// check compares what readers take with what the ledger tells.
func check(t *rapid.T, ledger *projectionstest.Ledger, topics *topics) {
	t.Helper()
	if len(topics.holes) > 0 {
		t.Fatalf("%s", strings.Join(topics.holes, "\n"))
	}
	for partition, want := range topics.want {
		taken := topics.deduped(partition)
		if len(taken) != len(want) {
			t.Fatalf("%s: a reader takes %d messages, want %d", partition, len(taken), len(want))
		}
		for i, m := range taken {
			payload, err := v1.Encode(want[i].Body)
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			if m.UUID != want[i].Position.String() || !bytes.Equal(m.Payload, payload) {
				t.Fatalf("%s: message %d is %s, want %s", partition, i, m.UUID, want[i].Position)
			}
		}
	}
	for shard := range domain.Shard(ledger.Shards()) {
		for _, name := range stream.From(shard) {
			topic := partitionOf(relay.Topic("test", name), shard)
			if len(topics.want[topic]) == 0 && len(topics.kept[topic]) != 0 {
				t.Fatalf("%s has %d messages and should have none", topic, len(topics.kept[topic]))
			}
		}
	}
}

// However publishing fails, wherever the relay dies, and however the ledger had grown by then.
func TestAnyDisturbanceGivesTheSameStreams(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inBubble(t, func(t *testing.T) {
			ledger := projectionstest.NewLedger(rt, rapid.IntRange(2, 4).Draw(rt, "shards"))
			ledger.Begin()
			topics := newTopics()
			for range rapid.IntRange(1, 4).Draw(rt, "lives") {
				grow(rt, ledger)
				topics.expect(ledger)
				shard := domain.Shard(rapid.IntRange(0, ledger.Shards()-1).Draw(rt, "shard"))
				topics.plan = rapid.SliceOfN(rapid.SampledFrom([]fault{pass, lost, kept, part, died}), 0, 5).Draw(rt, "faults")
				disturbed(t, config(ledger, shard, topics), topics, ledger.Cut()[shard])
			}
			topics.plan = nil
			for shard, end := range ledger.Cut() {
				run(t, config(ledger, domain.Shard(shard), topics), end)
			}
			check(rt, ledger, topics)
		})
	})
}

// inBubble runs f in a bubble, where no pause costs time, and lets through how rapid ends a try.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	var ended any
	synctest.Test(t, func(t *testing.T) {
		defer func() { ended = recover() }()
		f(t)
	})
	if ended != nil {
		panic(ended)
	}
}

// disturbed runs a relay until it is done or dies.
func disturbed(t *testing.T, cfg relay.Config, topics *topics, end domain.Offset) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	topics.die = stop
	r := relay.New(cfg)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	for r.Relayed() < end {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("relay: %v", err)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("relay: %v", err)
	}
}

// A relay that lost its shard to another and does not know goes on for a while.
func TestTwoRelaysOnAShardAreAsGoodAsOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ledger := projectionstest.NewLedger(rt, 2)
		ledger.Begin()
		for range 3 {
			grow(rt, ledger)
		}
		topics := newTopics()
		topics.expect(ledger)
		topics.plan = rapid.SliceOfN(rapid.SampledFrom([]fault{pass, pass, kept}), 0, 3).Draw(rt, "faults")
		for shard, end := range ledger.Cut() {
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() { run(t, config(ledger, domain.Shard(shard), topics), end) })
			}
			both.Wait()
		}
		check(rt, ledger, topics)
	})
}

func TestAMessageSaysWhatItIsAndWhereItIsFrom(t *testing.T) {
	ledger := projectionstest.NewLedger(t, 2)
	ledger.Begin()
	challenge := &v1.Fact{Body: &v1.Fact_AttestationChallenged{AttestationChallenged: &v1.ChallengeAttestation{
		Worker: projectionstest.Bytes("w1"), Challenge: projectionstest.Bytes("challenge"), ExpiresAtMs: 7,
	}}}
	ledger.Answer(domain.Control, "settler", 1, challenge, projectionstest.Paid("prov-a", 5, 1))
	account := accountIn(1, 2, 0)
	ledger.Answer(1, "w1", 1, projectionstest.Rejected(1, v1.Reason_REASON_UNKNOWN_JOB, "job", "ghost"), closed("job 1", account))
	topics := newTopics()
	topics.expect(ledger)
	for shard, end := range ledger.Cut() {
		run(t, config(ledger, domain.Shard(shard), topics), end)
	}
	for partition, want := range map[string]message.Metadata{
		"test.completions[0]": {
			"ce_id": "1/0/2", "ce_type": "filature.v1.Completion", "position": "1/0/2",
			"key": string(projectionstest.Bytes(account)), "correlation_id": fmt.Sprintf("%x", projectionstest.Bytes("job 1")),
		},
		"test.settlement[0]": {
			"ce_id": "0/1/2", "ce_type": "filature.v1.SettlementStep", "position": "0/1/2",
			"correlation_id": fmt.Sprintf("%x", projectionstest.Bytes("prov-a")),
		},
		"test.attestation[0]": {
			"ce_id": "0/1/1", "ce_type": "filature.v1.AttestationRequest", "position": "0/1/1",
			"key": string(projectionstest.Bytes("w1")), "correlation_id": fmt.Sprintf("%x", projectionstest.Bytes("challenge")),
		},
	} {
		want["ce_source"], want["ce_specversion"], want["content-type"] = "/filature/test", "1.0", "application/protobuf"
		want["ce_time"] = "2026-01-01T00:00:00Z"
		kept := topics.kept[partition]
		if len(kept) != 1 {
			t.Errorf("%s has %d messages", partition, len(kept))
			continue
		}
		if fmt.Sprint(kept[0].Metadata) != fmt.Sprint(want) || kept[0].UUID != want["ce_id"] {
			t.Errorf("%s: %s with\n%q, want\n%q", partition, kept[0].UUID, kept[0].Metadata, want)
		}
	}
}

// An entry has more facts than a batch takes, so a batch ends in the middle of one, and so may a crash.
func TestBatchesAreBoundedAndEndAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := projectionstest.NewLedger(t, 2)
		ledger.Begin()
		const facts = 900
		for i := range 3 {
			var jobs []*v1.Fact
			for j := range facts {
				jobs = append(jobs, closed(fmt.Sprintf("job %d/%d", i, j), accountIn(1, 2, j%3)))
			}
			ledger.Answer(1, "w1", 1, jobs...)
		}
		topics := newTopics()
		topics.expect(ledger)
		topics.plan = []fault{pass, died}
		disturbed(t, config(ledger, 1, topics), topics, ledger.Cut()[1])
		if kept := len(topics.kept["test.completions[0]"]); kept != 1500 {
			t.Fatalf("%d messages were kept when the relay died, want a batch and half of the next", kept)
		}
		run(t, config(ledger, 1, topics), ledger.Cut()[1])
		if topics.largest != 1000 {
			t.Errorf("the largest batch has %d messages", topics.largest)
		}
		if kept := len(topics.kept["test.completions[0]"]); kept != 3*facts || len(topics.holes) != 0 {
			t.Errorf("%d messages, want %d; holes: %v", kept, 3*facts, topics.holes)
		}
	})
}

func TestARelayFollowsTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := projectionstest.NewLedger(t, 2)
		ledger.Begin()
		topics := newTopics()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- relay.New(config(ledger, 1, topics)).Run(ctx) }()
		for i := range 5 {
			ledger.Answer(1, "w1", 1, closed(fmt.Sprint("job ", i), accountIn(1, 2, 0)))
			topics.expect(ledger)
			synctest.Wait()
			if kept := len(topics.kept["test.completions[0]"]); kept != i+1 {
				t.Fatalf("%d messages after %d jobs", kept, i+1)
			}
		}
		if topics.tails != 1 {
			t.Errorf("the topic was asked %d times for its tail", topics.tails)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("stopped: %v", err)
		}
	})
}

// What was kept although Publish failed is found in the topic and not sent again.
func TestAFailureThatKeptAllDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := projectionstest.NewLedger(t, 2)
		ledger.Begin()
		topics := newTopics()
		for i, f := range []fault{kept, part, lost, kept} {
			ledger.Answer(1, "w1", 1, closed(fmt.Sprint("job ", i), accountIn(1, 2, 0)), closed(fmt.Sprint("job' ", i), accountIn(1, 2, 1)))
			topics.expect(ledger)
			topics.plan = []fault{f}
			run(t, config(ledger, 1, topics), ledger.Cut()[1])
			if have, want := len(topics.kept["test.completions[0]"]), 2*(i+1); have != want || len(topics.plan) != 0 {
				t.Fatalf("%d messages after fault %d, want %d", have, f, want)
			}
		}
	})
}

// Patience is for what happens in a row, not for a lifetime.
func TestARelayThatGetsOnHasAllItsPatienceAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := projectionstest.NewLedger(t, 2)
		ledger.Begin()
		topics := newTopics()
		ctx, stop := context.WithCancel(t.Context())
		r := relay.New(config(ledger, 1, topics))
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		for i := range 3 {
			topics.plan = make([]fault, 20)
			for j := range topics.plan {
				topics.plan[j] = lost
			}
			ledger.Answer(1, "w1", 1, closed(fmt.Sprint("job ", i), accountIn(1, 2, 0)))
			topics.expect(ledger)
			for r.Relayed() < ledger.Cut()[1] {
				select {
				case err := <-ended:
					t.Fatalf("ended before job %d: %v", i, err)
				case <-time.After(time.Second):
				}
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("stopped: %v", err)
		}
	})
}

// A topic that is away for good is not tried for ever, and one that comes back is not given up.
func TestTroubleIsWaitedOutForMinutes(t *testing.T) {
	for _, c := range []struct {
		name  string
		fails int
		least time.Duration
		ends  bool
	}{
		{"it comes back", 23, 3 * time.Minute, false},
		{"it does not", 1000, 3 * time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ledger := projectionstest.NewLedger(t, 2)
				ledger.Begin()
				ledger.Answer(1, "w1", 1, closed("job", accountIn(1, 2, 0)))
				topics := newTopics()
				topics.expect(ledger)
				for range c.fails {
					topics.plan = append(topics.plan, lost)
				}
				cfg := config(ledger, 1, topics)
				troubles := 0
				cfg.Trouble = func(err error) {
					const says = "relay of shard 1, at entry 0: publish 1 messages to test.completions"
					if troubles++; !errors.Is(err, errInjected) || !strings.Contains(err.Error(), says) {
						t.Errorf("trouble: %v", err)
					}
				}
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				began, r := time.Now(), relay.New(cfg)
				ended := make(chan error, 1)
				go func() { ended <- r.Run(ctx) }()
				var err error
				for over := false; !over && r.Relayed() == 0; {
					select {
					case err = <-ended:
						over = true
					case <-time.After(time.Second):
					}
				}
				if errors.Is(err, errInjected) != c.ends || troubles != 23 {
					t.Errorf("ended with %v after %d troubles", err, troubles)
				}
				if took := time.Since(began); took < c.least || took > 2*c.least {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestATopicOfAnotherLedgerIsNotGoneOnWith(t *testing.T) {
	for name, c := range map[string]struct {
		at   string
		want error
	}{
		"beyond the end":              {"1/2/1", relay.ErrStranger},
		"of another shard":            {"2/0/1", relay.ErrStranger},
		"of a fact that tells no one": {"1/1/1", relay.ErrStranger},
		"of a fact that is not there": {"1/0/2", relay.ErrStranger},
		"of this ledger":              {"1/0/1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			ledger := projectionstest.NewLedger(t, 3)
			ledger.Begin()
			ledger.Answer(1, "w1", 1, closed("job", accountIn(1, 3, 0)))
			ledger.Answer(1, "w1", 1, projectionstest.Rejected(1, v1.Reason_REASON_UNKNOWN_JOB, "job", "ghost"))
			topics := newTopics()
			topics.expect(ledger)
			stranger := message.NewMessage(c.at, nil)
			stranger.Metadata["position"] = c.at
			topics.kept["test.completions[0]"] = []*message.Message{stranger}
			cfg := config(ledger, 1, topics)
			if c.want == nil {
				run(t, cfg, ledger.Cut()[1])
				return
			}
			if err := relay.New(cfg).Run(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("run: %v", err)
			}
			if kept := topics.kept["test.completions[0]"]; len(kept) != 1 {
				t.Errorf("published %d messages all the same", len(kept)-1)
			}
		})
	}
}

func TestALedgerThatCannotBeReadEndsTheRelay(t *testing.T) {
	topics := newTopics()
	ledger := projectionstest.NewLedger(t, 2)
	if _, err := ledger.Append(t.Context(), 1, [][]byte{[]byte("no entry")}); err != nil {
		t.Fatal(err)
	}
	if err := relay.New(config(ledger, 1, topics)).Run(t.Context()); !errors.Is(err, eventstore.ErrCorrupt) {
		t.Errorf("a corrupt entry: %v", err)
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
	if err := relay.New(config(ledger, 0, topics)).Run(t.Context()); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("a closed log: %v", err)
	}
}
