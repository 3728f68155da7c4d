package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/services"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// buildProgram builds the program, for processes of its own.
func buildProgram(b *testing.B) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "filature")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// child is the program in a process of its own.
type child struct {
	command *exec.Cmd
	log     *lines
	ended   chan struct{}
}

// spawn starts a process with a role, which uses one core at most. It is killed with the benchmark, if it has not
// ended before.
func (p *plant) spawn(b *testing.B, program string, r role) *child {
	b.Helper()
	ctx := context.WithoutCancel(b.Context()) // which ends before the cleanup that ends the process
	command := exec.CommandContext(ctx, program, "serve", "--config", p.config(b), "--role", string(r))
	c := &child{command: command, log: &lines{}, ended: make(chan struct{})}
	c.command.Env = append(os.Environ(), "GOMAXPROCS=1")
	c.command.Stderr = c.log
	if err := c.command.Start(); err != nil {
		b.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		_ = c.command.Wait() // most are killed
	}()
	b.Cleanup(func() { c.end(b) })
	return c
}

// signal sends a signal, to a process that has not ended.
func (c *child) signal(b *testing.B, signal syscall.Signal) {
	b.Helper()
	if err := c.command.Process.Signal(signal); err != nil {
		b.Errorf("%s: %v", signal, err)
	}
}

// end kills a process, if it has not ended yet, and waits for its end.
func (c *child) end(b *testing.B) {
	b.Helper()
	if err := c.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.Errorf("kill: %v", err)
	}
	<-c.ended
}

// until waits for something that processes bring about.
func until(b *testing.B, children []*child, holds func() bool) {
	b.Helper()
	const lookEvery = 5 * time.Millisecond
	deadline := time.Now().Add(2 * waitLimit)
	for !holds() {
		if time.Now().After(deadline) {
			for _, c := range children {
				b.Log(c.log)
			}
			b.Fatalf("does not hold after %s", 2*waitLimit)
		}
		_ = pause(b.Context(), lookEvery)
	}
}

// shared tells whether all shards are taken, and no process has two more than another.
func shared(children []*child) bool {
	all, least, most := 0, benchShards+1, 0
	for _, c := range children {
		n := worksOf(c.log, roleClerk)
		all, least, most = all+n, min(least, n), max(most, n)
	}
	return all == benchShards+1 && most-least <= 1
}

// joined tells whether so many processes are members of a role's group, and all of them know of each other. A standby
// that is still on its way in would be let in by the end of the first, and take over sooner than one that waits.
func (p *plant) joined(b *testing.B, r role, members int) bool {
	b.Helper()
	client := &kafkago.Client{Addr: kafkago.TCP(p.brokers), Timeout: waitLimit}
	answer, err := client.DescribeGroups(b.Context(), &kafkago.DescribeGroupsRequest{GroupIDs: []string{p.topics + "." + string(r)}})
	if err != nil {
		b.Fatal(err)
	}
	group := answer.Groups[0]
	return group.Error == nil && group.GroupState == "Stable" && len(group.Members) == members
}

// answered tells whether the ledger of each shard ends behind the answer to an intake record.
func (p *plant) answered(b *testing.B, last map[domain.Shard]domain.Offset) bool {
	b.Helper()
	for shard, at := range last {
		end, err := p.Ledger.End(b.Context(), shard)
		if err != nil {
			b.Fatal(err)
		}
		if end <= at { // each record has its own answer
			return false
		}
		records, err := p.Ledger.Read(b.Context(), shard, end-1, 1)
		if err != nil || len(records) != 1 {
			b.Fatalf("read ledger %d/%d: %d records, %v", shard, end-1, len(records), err)
		}
		entry, err := eventstore.DecodeEntry(shard, records[0])
		if err != nil {
			b.Fatal(err)
		}
		if answer := entry.GetAnswer(); answer == nil || domain.Offset(answer.IntakeOffset) < at {
			return false
		}
	}
	return true
}

// put appends reports to intake, as a gateway does, and returns where the last of each shard stands.
func (p *plant) put(b *testing.B, all map[domain.Shard][][]byte) map[domain.Shard]domain.Offset {
	b.Helper()
	const together = 4096
	last := map[domain.Shard]domain.Offset{}
	for shard, reports := range all {
		for len(reports) > 0 {
			n := min(together, len(reports))
			first, err := p.Intake.Append(b.Context(), shard, reports[:n])
			if err != nil {
				b.Fatal(err)
			}
			last[shard], reports = first+domain.Offset(n-1), reports[n:]
		}
	}
	return last
}

// everywhere says something to all shards that the ledger answers and that changes nothing.
func (p *plant) everywhere() map[domain.Shard][][]byte {
	all := map[domain.Shard][][]byte{}
	for shard := range domain.Shard(benchShards + 1) {
		all[shard] = [][]byte{p.Sign(p.Proxy, shard, &v1.Claim{Body: &v1.Claim_CancelJob{CancelJob: &v1.CancelJob{Job: make([]byte, 32)}}})}
	}
	return all
}

// BenchmarkClerkProcesses is how fast clerks answer what stands in intake already, in one process, two and three, of
// one core each. Reports have one claim, so that each has a signature to be checked. The processes share the shards
// before the clock starts, and are stopped while intake is filled. Each round measures one, two and three after another,
// so that whatever else the machine does slows all of them; x-one is over what one process does in the same rounds.
func BenchmarkClerkProcesses(b *testing.B) {
	const claims = benchShards * 5_000 * claimsPerJob
	program := buildProgram(b)
	var took [4]time.Duration // by number of processes
	for b.Loop() {
		for processes := 1; processes < len(took); processes++ {
			took[processes] += answering(b, program, processes, claims)
		}
	}
	for processes := 1; processes < len(took); processes++ {
		b.ReportMetric(float64(b.N)*claims/took[processes].Seconds(), fmt.Sprintf("claims/s-by-%d", processes))
		b.ReportMetric(took[1].Seconds()/took[processes].Seconds(), fmt.Sprintf("x-one-by-%d", processes))
	}
	b.ReportMetric(0, "ns/op")
}

// answering is how long some processes take to answer claims in a new network.
func answering(b *testing.B, program string, processes, claims int) time.Duration {
	b.Helper()
	p := newPlant(b, services.Postgres(b))
	work := p.work(claims/benchShards/claimsPerJob, 1)
	var children []*child
	for range processes {
		children = append(children, p.spawn(b, program, roleClerk))
	}
	until(b, children, func() bool { return shared(children) && p.joined(b, roleClerk, processes) })
	greeted := p.put(b, p.everywhere())
	until(b, children, func() bool { return p.answered(b, greeted) })
	for _, c := range children {
		c.signal(b, syscall.SIGSTOP)
	}
	last := p.put(b, work)
	began := time.Now()
	for _, c := range children {
		c.signal(b, syscall.SIGCONT)
	}
	until(b, children, func() bool { return p.answered(b, last) })
	took := time.Since(began)
	if !shared(children) {
		b.Error("the shards moved meanwhile: somebody was stopped for too long")
	}
	for _, c := range children {
		c.end(b)
	}
	return took
}

// BenchmarkTakeover is from the signal that ends one of two processes to when the other has done what comes after
// it: answered a report to each shard, or folded the answers into the tables. A process that is told to stop gives its
// shards away; one that is killed keeps them until its session with Kafka ends.
func BenchmarkTakeover(b *testing.B) {
	program := buildProgram(b)
	for _, how := range []struct {
		name   string
		signal syscall.Signal
	}{{"told to stop", syscall.SIGTERM}, {"killed", syscall.SIGKILL}} {
		b.Run("clerk "+how.name, func(b *testing.B) {
			p := newPlant(b, services.Postgres(b))
			children := []*child{p.spawn(b, program, roleClerk), p.spawn(b, program, roleClerk)}
			for b.Loop() {
				b.StopTimer()
				until(b, children, func() bool { return shared(children) && p.joined(b, roleClerk, 2) })
				last := p.put(b, p.everywhere())
				until(b, children, func() bool { return p.answered(b, last) })
				b.StartTimer()
				children[0].signal(b, how.signal)
				<-children[0].ended // or else it may answer still
				last = p.put(b, p.everywhere())
				until(b, children, func() bool { return p.answered(b, last) })
				b.StopTimer()
				children = []*child{children[1], p.spawn(b, program, roleClerk)}
				b.StartTimer()
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/takeover")
			b.ReportMetric(0, "ns/op")
		})
		b.Run("projector "+how.name, func(b *testing.B) {
			p := newPlant(b, services.Postgres(b))
			clerk := p.spawn(b, program, roleClerk)
			leader, standby := p.spawn(b, program, roleProjector), p.spawn(b, program, roleProjector)
			look := books{p.server.store, p.Ledger}
			for b.Loop() {
				b.StopTimer()
				until(b, []*child{clerk, leader, standby}, func() bool {
					return worksOf(leader.log, roleProjector)+worksOf(standby.log, roleProjector) == 1 && p.joined(b, roleProjector, 2)
				})
				if worksOf(standby.log, roleProjector) == 1 {
					leader, standby = standby, leader
				}
				p.await(b, look, clerk)
				b.StartTimer()
				leader.signal(b, how.signal)
				<-leader.ended // or else it may fold still
				p.await(b, look, clerk)
				b.StopTimer()
				leader = p.spawn(b, program, roleProjector)
				b.StartTimer()
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/takeover")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// await says something to all shards and waits until the tables have the answers.
func (p *plant) await(b *testing.B, look books, clerk *child) {
	b.Helper()
	last := p.put(b, p.everywhere())
	until(b, []*child{clerk}, func() bool { return p.answered(b, last) })
	for shard, at := range last {
		if err := look.answered(b.Context(), shard, at); err != nil {
			b.Fatal(err)
		}
	}
}
