package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/internal/workload"
)

// director carries out a plan.
type director struct {
	stage *stage
	gate  *workload.Gate
	began time.Time
	// one of a sort is disturbed at a time: with two of three brokers down nothing goes on, and nobody would be left
	// to take over.
	brokers, postgres, clerks, projectors, settlers, relays, gateways sync.Mutex

	mu  sync.Mutex // guards what is below
	out io.Writer
	// took is what was measured in strikes that were alone.
	took  map[kind]takeover
	wrong workload.Findings
	hits  map[kind]int
}

// takeover is what was measured after a disturbance.
type takeover struct {
	Of       []string // works
	By       []string // posts
	Taken    time.Duration
	Recovery recovery
}

func (d *director) sayf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, "%7.1f s  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *director) findf(format string, args ...any) {
	d.sayf("✗ "+format, args...)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wrong.Addf(format, args...)
}

// carryOut does one strike after the other, and those that are not to be alone while others are going on.
func (d *director) carryOut(ctx context.Context, strikes []strike) error {
	together, togetherCtx := errgroup.WithContext(ctx)
	for i := range strikes {
		s := &strikes[i]
		d.gate.Admit(s.slices())
		if s.Alone {
			if err := d.alone(ctx, s); err != nil {
				return err
			}
			continue
		}
		if err := workload.Pause(ctx, s.Gap); err != nil {
			return errors.Join(err, together.Wait())
		}
		together.Go(func() error { return d.strike(togetherCtx, s, func(time.Time, []string, *process) {}) })
	}
	if err := together.Wait(); err != nil {
		return err
	}
	m, err := d.stage.mark(ctx, time.Now())
	if err != nil {
		return err
	}
	if _, err := d.stage.awaitRecovery(ctx, m, func() { d.gate.Admit(1) }); err != nil {
		d.findf("after the last disturbance: %v", err)
	}
	return nil
}

// alone does a strike, measures how long it takes until all goes on, and waits until all is well.
func (d *director) alone(ctx context.Context, s *strike) error {
	watching, watchCtx := errgroup.WithContext(ctx)
	var t takeover
	err := d.strike(ctx, s, func(at time.Time, works []string, from *process) {
		t.Of = works
		watching.Go(func() (err error) {
			t.By, err = d.stage.awaitTaken(watchCtx, works, from)
			t.Taken = since(at)
			return err
		})
		watching.Go(func() error {
			m, err := d.stage.mark(watchCtx, at)
			if err != nil {
				return err
			}
			t.Recovery, err = d.stage.awaitRecovery(watchCtx, m, func() { d.gate.Admit(1) })
			return err
		})
	})
	if failed := watching.Wait(); failed != nil && ctx.Err() == nil {
		d.findf("%s: %v", s.Kind, failed)
	} else {
		who := ""
		if len(t.By) > 0 {
			who = fmt.Sprintf("taken on by %s after %s, ", strings.Join(t.By, " and "), t.Taken)
		}
		d.sayf("  → %sanswers again in all shards after %s, in the tables after %s", who, t.Recovery.Answers, t.Recovery.Tables)
		d.mu.Lock()
		d.took[s.Kind] = t
		d.mu.Unlock()
	}
	if err != nil {
		return err
	}
	if err := d.stage.crew.awaitReady(ctx); err != nil {
		d.findf("after %s: %v", s.Kind, err)
	}
	return ctx.Err()
}

// strike does it. done is told when it had its effect, what the process that it hit had taken on, if it was one,
// and which one that was. strike returns when what it hit is there again.
func (d *director) strike(ctx context.Context, s *strike, done func(at time.Time, works []string, from *process)) error {
	d.mu.Lock()
	d.hits[s.Kind]++
	d.mu.Unlock()
	crew := d.stage.crew
	switch s.Kind {
	case killBroker:
		d.brokers.Lock()
		defer d.brokers.Unlock()
		return d.killBroker(ctx, s, done)
	case freezeBroker:
		d.brokers.Lock()
		defer d.brokers.Unlock()
		return d.freezeBroker(ctx, s, done)
	case moveLeaders:
		d.brokers.Lock()
		defer d.brokers.Unlock()
		return d.moveLeaders(ctx, done)
	case killPostgres:
		d.postgres.Lock()
		defer d.postgres.Unlock()
		return d.killPostgres(ctx, s, done)
	case killClerk:
		d.clerks.Lock()
		defer d.clerks.Unlock()
		return d.kill(ctx, s, d.working("clerk", "clerk"), done)
	case freezeClerk:
		d.clerks.Lock()
		defer d.clerks.Unlock()
		return d.freeze(ctx, s, d.working("clerk", "clerk"), done)
	case rebalance:
		d.clerks.Lock()
		defer d.clerks.Unlock()
		return d.rebalance(ctx, s, done)
	case killProjector:
		d.projectors.Lock()
		defer d.projectors.Unlock()
		return d.kill(ctx, s, d.working("projector", "projector"), done)
	case freezeProjector:
		d.projectors.Lock()
		defer d.projectors.Unlock()
		return d.freeze(ctx, s, d.working("projector", "projector"), done)
	case killSettler:
		d.settlers.Lock()
		defer d.settlers.Unlock()
		return d.kill(ctx, s, d.working("settler", "settler"), done)
	case killWatcher:
		d.settlers.Lock()
		defer d.settlers.Unlock()
		return d.kill(ctx, s, d.working("watcher", "settler"), done)
	case killRelay:
		d.relays.Lock()
		defer d.relays.Unlock()
		return d.kill(ctx, s, d.working("relay", "relay"), done)
	case killGateway:
		d.gateways.Lock()
		defer d.gateways.Unlock()
		return d.kill(ctx, s, crew.named("gateway"), done)
	}
	panic("not a kind: " + s.Kind)
}

// working returns the processes that do some work, or, while it moves, those that might.
func (d *director) working(work, name string) []*post {
	if doing := d.stage.crew.doing(work); len(doing) > 0 {
		return doing
	}
	return d.stage.crew.named(name)
}

// kill kills one of some processes, and has another one started in its place later.
func (d *director) kill(ctx context.Context, s *strike, some []*post, done func(time.Time, []string, *process)) error {
	if len(some) == 0 {
		d.sayf("%s: there is none just now", s.Kind)
		return nil
	}
	p, at := some[s.Pick%len(some)], time.Now()
	victim := d.stage.crew.kill(p)
	if victim == nil {
		d.sayf("%s: %s has just ended", s.Kind, p.name)
		return nil
	}
	works := d.stage.crew.holding(victim)
	d.sayf("%s: %s%s; back after %s", s.Kind, p.name, having(works), round(s.Down))
	done(at, works, victim)
	err := workload.Pause(ctx, s.Down)
	d.stage.crew.revive(p)
	return err
}

// freeze stops one of some processes, and lets it go on later, when others have its work.
func (d *director) freeze(ctx context.Context, s *strike, some []*post, done func(time.Time, []string, *process)) error {
	if len(some) == 0 {
		d.sayf("%s: there is none just now", s.Kind)
		return nil
	}
	p, at := some[s.Pick%len(some)], time.Now()
	victim := d.stage.crew.freeze(p)
	if victim == nil {
		d.sayf("%s: %s has just ended", s.Kind, p.name)
		return nil
	}
	works := d.stage.crew.holding(victim)
	d.sayf("%s: %s%s; wakes after %s", s.Kind, p.name, having(works), round(s.Down))
	done(at, works, victim)
	err := workload.Pause(ctx, s.Down)
	victim.signal(syscall.SIGCONT)
	return err
}

// rebalance lets a clerk join the others, and then all of them leave and come back.
func (d *director) rebalance(ctx context.Context, s *strike, done func(time.Time, []string, *process)) error {
	crew := d.stage.crew
	d.sayf("%s: the further one leaves after %s", s.Kind, round(s.Down))
	if err := d.stage.hire(ctx, perRole+1, "127.0.0.1:0", "clerk"); err != nil {
		return err
	}
	err := workload.Pause(ctx, s.Down)
	at, further := time.Now(), fmt.Sprintf("clerk-%d", perRole+1)
	var leaving []*process
	for _, p := range crew.named("clerk") {
		if p.name != further {
			leaving = append(leaving, crew.tell(p, toReturn, syscall.SIGTERM))
		}
	}
	err = errors.Join(err, crew.retire(further), awaitEnd(leaving))
	done(at, nil, nil)
	return err
}

func (d *director) killBroker(ctx context.Context, s *strike, done func(time.Time, []string, *process)) error {
	number, at := s.Pick%brokers, time.Now()
	if err := d.stage.servers.kafka.Signal(number, syscall.SIGKILL); err != nil {
		return err
	}
	d.sayf("%s: broker %d; back after %s", s.Kind, number, round(s.Down))
	done(at, nil, nil)
	err := workload.Pause(ctx, s.Down)
	return errors.Join(err, d.stage.servers.kafka.Revive(context.WithoutCancel(ctx), number))
}

func (d *director) freezeBroker(ctx context.Context, s *strike, done func(time.Time, []string, *process)) error {
	number, at := s.Pick%brokers, time.Now()
	if err := d.stage.servers.kafka.Signal(number, syscall.SIGSTOP); err != nil {
		return err
	}
	d.sayf("%s: broker %d; wakes after %s", s.Kind, number, round(s.Down))
	done(at, nil, nil)
	err := workload.Pause(ctx, s.Down)
	return errors.Join(err, d.stage.servers.kafka.Signal(number, syscall.SIGCONT))
}

func (d *director) killPostgres(ctx context.Context, s *strike, done func(time.Time, []string, *process)) error {
	at := time.Now()
	if err := d.stage.servers.postgres.Kill(); err != nil {
		return err
	}
	d.sayf("%s; back after %s", s.Kind, round(s.Down))
	done(at, nil, nil)
	err := workload.Pause(ctx, s.Down)
	return errors.Join(err, d.stage.servers.postgres.Revive(context.WithoutCancel(ctx)))
}

const (
	// electionLimit is how long a partition may take to get its new leader.
	electionLimit = 30 * time.Second
	// offsets is the topic whose leaders coordinate the groups.
	offsets = "__consumer_offsets"
)

// moveLeaders gives each partition, those of the groups' coordinators too, another leader that lives.
func (d *director) moveLeaders(ctx context.Context, done func(time.Time, []string, *process)) error {
	ctx, cancel := context.WithTimeout(ctx, electionLimit)
	defer cancel()
	name := d.stage.name
	topics := []string{name + ".intake", name + ".intake.control", name + ".ledger", name + ".ledger.control", offsets}
	client := &kafka.Client{Addr: kafka.TCP(d.stage.servers.kafka.Brokers()...), Timeout: electionLimit / 3}
	metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
	if err != nil {
		return fmt.Errorf("move leaders: %w", err)
	}
	moves := &kafka.AlterPartitionReassignmentsRequest{Timeout: electionLimit / 3}
	elections := map[string][]int{}
	for _, topic := range metadata.Topics {
		for _, p := range topic.Partitions {
			var replicas []int // the leader goes to the end
			for _, replica := range p.Replicas {
				if replica.ID != p.Leader.ID {
					replicas = append(replicas, replica.ID)
				}
			}
			moves.Assignments = append(moves.Assignments, kafka.AlterPartitionReassignmentsRequestAssignment{
				Topic: topic.Name, PartitionID: p.ID, BrokerIDs: append(replicas, p.Leader.ID),
			})
			elections[topic.Name] = append(elections[topic.Name], p.ID)
		}
	}
	answer, err := client.AlterPartitionReassignments(ctx, moves)
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return fmt.Errorf("move leaders: %w", err)
	}
	at := time.Now()
	for topic, partitions := range elections {
		if err := elect(ctx, client, topic, partitions); err != nil {
			return fmt.Errorf("move the leaders of %s: %w", topic, err)
		}
	}
	d.sayf("%s: %d partitions", moveLeaders, len(moves.Assignments))
	done(at, nil, nil)
	return nil
}

// elect makes the first replica of each partition its leader, as soon as it can be.
func elect(ctx context.Context, client *kafka.Client, topic string, partitions []int) error {
	for {
		answer, err := client.ElectLeaders(ctx, &kafka.ElectLeadersRequest{Topic: topic, Partitions: partitions, Timeout: electionLimit / 3})
		if err == nil {
			err = answer.Error
		}
		if err == nil {
			for _, p := range answer.PartitionResults {
				if p.Error != nil && !errors.Is(p.Error, kafka.ElectionNotNeeded) {
					err = errors.Join(err, fmt.Errorf("partition %d: %w", p.Partition, p.Error))
				}
			}
		}
		if err == nil {
			return nil
		}
		if pauseErr := workload.Pause(ctx, lookAt); pauseErr != nil {
			return errors.Join(pauseErr, err)
		}
	}
}

func having(works []string) string {
	if len(works) == 0 {
		return ""
	}
	return " (" + strings.Join(works, ", ") + ")"
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }
