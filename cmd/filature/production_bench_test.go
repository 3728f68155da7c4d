package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/internal/services"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
	"github.com/filature/filature/workers/gateway"
)

const (
	// benchShards is as many data shards as a config has that says nothing of them.
	benchShards = 4
	// claimsPerJob: submitted, assigned, started, metered, completed.
	claimsPerJob = 5
)

// plant is a network on real servers with all that jobs need, founded without a chain.
type plant struct {
	site
	*rig.World
	server   parts // for the benchmark to look at
	accounts map[domain.Shard][]*rig.Account
	jobs     map[domain.AccountID]uint64 // number of the last one
	waves    int
}

func newPlant(b *testing.B, database string) *plant {
	b.Helper()
	s := newSite(b)
	s.shards, s.database = benchShards, database
	s.create(b)
	p := &plant{site: s, server: s.open(b), accounts: map[domain.Shard][]*rig.Account{}, jobs: map[domain.AccountID]uint64{}}
	p.World = rig.New(b, rig.Options{
		DataShards: benchShards, Clients: 16, MaxOpenJobs: 100_000, Deposit: 1_000_000 * domain.Coin,
		OpenLogs: func(func() time.Time) (intake, ledger eventstore.Log) { return p.server.intake, p.server.ledger },
	})
	for _, account := range p.Accounts {
		p.accounts[account.Shard] = append(p.accounts[account.Shard], account)
	}
	if len(p.accounts) != benchShards {
		b.Fatalf("accounts in %d shards, want all %d", len(p.accounts), benchShards)
	}
	if _, err := makeKey(p.keyFile("spare")); err != nil { // makes the folder
		b.Fatal(err)
	}
	if err := sdk.WriteKey(p.keyFile("clock"), p.Clock.Key); err != nil {
		b.Fatal(err)
	}
	return p
}

// begin signs a wave of jobs of one account up to where they can be completed: one report a stage.
func (p *plant) begin(shard domain.Shard, jobs int) (reports [][]byte, ids []domain.JobID, worker *rig.Worker) {
	account := p.accounts[shard][p.waves%len(p.accounts[shard])]
	worker = p.Workers[p.waves%len(p.Workers)]
	p.waves++
	var submitted, assigned, started, metered []*v1.Claim
	for range jobs {
		p.jobs[account.ID]++
		id := domain.JobIDOf(account.ID, p.jobs[account.ID])
		ids = append(ids, id)
		submitted = append(submitted, &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
			Account: account.ID[:], Number: p.jobs[account.ID], Model: p.Models[0][:], MaxPromptTokens: 2048, MaxCompletionTokens: 1024,
			MaxCoefficient: 2000, TimeoutMs: rig.JobTimeout.Milliseconds(),
		}}})
		assigned = append(assigned, &v1.Claim{Body: &v1.Claim_AssignJob{AssignJob: &v1.AssignJob{Job: id[:], Worker: worker.ID[:]}}})
		started = append(started, &v1.Claim{Body: &v1.Claim_StartJob{StartJob: &v1.StartJob{Job: id[:]}}})
		metered = append(metered, &v1.Claim{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{Job: id[:], Usage: used(250)}}})
	}
	return [][]byte{
		p.Sign(account.Client, shard, submitted...), p.Sign(p.Proxy, shard, assigned...),
		p.Sign(worker.Actor, shard, started...), p.Sign(worker.Actor, shard, metered...),
	}, ids, worker
}

func used(completion int64) *v1.Usage {
	return &v1.Usage{PromptTokens: 1000, CachedTokens: 300, CompletionTokens: completion, ReasoningTokens: completion / 10}
}

func completed(id domain.JobID) *v1.Claim {
	return &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: id[:], Usage: used(500)}}}
}

// work signs whole jobs for each data shard, in reports of so many claims.
func (p *plant) work(jobsPerShard, claims int) map[domain.Shard][][]byte {
	all := map[domain.Shard][][]byte{}
	for shard := domain.Shard(1); shard <= benchShards; shard++ {
		for range jobsPerShard / claims {
			reports, ids, worker := p.begin(shard, claims)
			var ends []*v1.Claim
			for _, id := range ids {
				ends = append(ends, completed(id))
			}
			all[shard] = append(append(all[shard], reports...), p.Sign(worker.Actor, shard, ends...))
		}
	}
	return all
}

// run runs an engine with some roles until the benchmark ends.
func (p *plant) run(b *testing.B, some ...role) *engine {
	b.Helper()
	c, err := loadConfig(p.config(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	opened, err := openProduction(b.Context(), c, rolesOf(some...))
	if err != nil {
		b.Fatal(err)
	}
	e, err := newEngine(b.Context(), opened, slog.New(slog.DiscardHandler), rolesOf(some...), settleOptions{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		if err := e.close(); err != nil {
			b.Error(err)
		}
	})
	select {
	case <-e.ready:
	case err := <-ended:
		b.Fatalf("the engine ended: %v", err)
	}
	return e
}

// submit hands each shard's reports to the gateway, one submission after the other, side by side for all shards,
// and returns where the last of each shard stands.
func submit(ctx context.Context, e *engine, all map[domain.Shard][][]byte) (map[domain.Shard]domain.Offset, error) {
	const together = 500
	last := make([]domain.Offset, benchShards+1)
	group, ctx := errgroup.WithContext(ctx)
	for shard, reports := range all {
		group.Go(func() error {
			for some := range slices.Chunk(reports, together) {
				receipts, err := e.gateway.Submit(ctx, some)
				if err != nil {
					return err
				}
				for _, r := range receipts {
					if r.Status != v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED {
						return fmt.Errorf("a report was %s: %s %s: %w", r.Status, r.Reason, r.Field, gateway.ErrUnsure)
					}
					last[shard] = domain.Offset(r.Offset)
				}
			}
			return nil
		})
	}
	err := group.Wait()
	at := map[domain.Shard]domain.Offset{}
	for shard := range all {
		at[shard] = last[shard]
	}
	return at, err
}

// facts counts the facts of the data shards' ledgers, and wants no claim to have been rejected.
func (p *plant) facts(b *testing.B) (facts int) {
	b.Helper()
	for shard := domain.Shard(1); shard <= benchShards; shard++ {
		end, err := p.Ledger.End(b.Context(), shard)
		if err != nil {
			b.Fatal(err)
		}
		if err := eventstore.Each(b.Context(), p.Ledger, shard, 0, end, func(rec eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(shard, rec)
			for _, fact := range entry.GetAnswer().GetFacts() {
				facts++
				if rejected := fact.GetRejection(); rejected != nil {
					b.Errorf("a claim was rejected: %v", rejected)
				}
			}
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
	return facts
}

// newDatabase makes an empty database on a server.
func newDatabase(b *testing.B, server string) string {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), server)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	name := "bench_" + lot(b)
	if _, err := conn.Exec(b.Context(), "CREATE DATABASE "+name); err != nil {
		b.Fatal(err)
	}
	return changed(b, server, func(u *url.URL) { u.Path = "/" + name })
}

// BenchmarkReportsToTables is all of production mode but the chain, in one process: signed reports through the
// gateway into Kafka, decided by the clerks into Kafka, folded into PostgreSQL with its durable defaults. The clock
// runs from the first report to the commit that has the last one's answer; the reports were signed before. taken/s and
// decided/s are the claims over the time until the last report was acknowledged, and answered in the ledger.
// The yardstick, tx/s, is pgbench's on the same server in the same run.
func BenchmarkReportsToTables(b *testing.B) {
	server := services.OwnPostgres(b, "shared_buffers=1GB", "max_wal_size=4GB")
	for _, size := range []struct{ claims, jobsPerShard int }{{1, 2_000}, {64, 6_400}} {
		yardstick := services.PostgresRate(b, server)
		b.Run(fmt.Sprintf("claims=%d", size.claims), func(b *testing.B) {
			p := newPlant(b, newDatabase(b, server))
			before := p.facts(b)
			e := p.run(b, roleGateway, roleClerk, roleProjector)
			var taking, deciding time.Duration // until the last report was taken, and answered
			for b.Loop() {
				b.StopTimer()
				all := p.work(size.jobsPerShard, size.claims)
				b.StartTimer()
				began := time.Now()
				last, err := submit(b.Context(), e, all)
				if err != nil {
					b.Fatal(err)
				}
				taking += time.Since(began)
				until(b, nil, func() bool { return p.answered(b, last) })
				deciding += time.Since(began)
				for shard, at := range last {
					if err := e.books.answered(b.Context(), shard, at); err != nil {
						b.Fatal(err)
					}
				}
			}
			seconds := b.Elapsed().Seconds()
			facts := float64(p.facts(b) - before)
			claims := float64(b.N * size.jobsPerShard / size.claims * size.claims * benchShards * claimsPerJob)
			b.ReportMetric(claims/taking.Seconds(), "taken/s")
			b.ReportMetric(claims/deciding.Seconds(), "decided/s")
			b.ReportMetric(claims/seconds, "claims/s")
			b.ReportMetric(facts/seconds, "facts/s")
			b.ReportMetric(yardstick, "tx/s")
			b.ReportMetric(facts/seconds/yardstick, "x-pgbench")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkCompletionLatency is from the gateway's acknowledgement of a completion to when a consumer has read it
// from the topic of completions, with gateway, clerks, projector and relay in one process. Four callers, one a
// shard, report one job at a time: 25 a second each, or as soon as the one before is acknowledged.
func BenchmarkCompletionLatency(b *testing.B) {
	for _, pace := range []struct {
		name string
		each time.Duration
	}{{"100 a second", time.Second * benchShards / 100}, {"unpaced", 0}} {
		b.Run(pace.name, func(b *testing.B) {
			p := newPlant(b, services.Postgres(b))
			e := p.run(b, roleGateway, roleClerk, roleProjector, roleRelay)
			var acknowledging, reading []time.Duration
			for b.Loop() {
				b.StopTimer()
				t := p.prepareTimed(b, e)
				b.StartTimer()
				t.run(b, e, pace.each)
				acknowledging, reading = append(acknowledging, t.acknowledging...), append(reading, t.reading()...)
			}
			b.ReportMetric(float64(len(reading))/b.Elapsed().Seconds(), "completions/s")
			b.ReportMetric(milliseconds(acknowledging, 50), "ack-p50-ms")
			b.ReportMetric(milliseconds(acknowledging, 99), "ack-p99-ms")
			b.ReportMetric(milliseconds(reading, 50), "p50-ms")
			b.ReportMetric(milliseconds(reading, 99), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// milliseconds is a percentile.
func milliseconds(all []time.Duration, percent int) float64 {
	slices.Sort(all)
	return float64(all[min(len(all)-1, len(all)*percent/100)].Microseconds()) / 1000
}

// timed is jobs that run, and what became of their completions when.
type timed struct {
	p             *plant
	reports       map[domain.Shard][][]byte
	jobs          map[domain.Shard][]domain.JobID
	consumer      *kafka.Client
	from          map[domain.Shard]int64 // where the partition of a shard's completions ends now
	acknowledging []time.Duration
	acknowledged  map[domain.JobID]time.Time
	read          map[domain.JobID]time.Time
}

// timedWaves of 64 jobs a shard are completed in one round.
const timedWaves = 4

func (p *plant) prepareTimed(b *testing.B, e *engine) *timed {
	b.Helper()
	t := &timed{
		p: p, reports: map[domain.Shard][][]byte{}, jobs: map[domain.Shard][]domain.JobID{}, from: map[domain.Shard]int64{},
		acknowledged: map[domain.JobID]time.Time{}, read: map[domain.JobID]time.Time{},
	}
	c, err := loadConfig(p.config(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	cluster, err := c.cluster()
	if err != nil {
		b.Fatal(err)
	}
	if t.consumer, err = kafka.Dial(b.Context(), cluster); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(t.consumer.Close)
	begun := map[domain.Shard][][]byte{}
	for shard := domain.Shard(1); shard <= benchShards; shard++ {
		for range timedWaves {
			reports, ids, worker := p.begin(shard, 64)
			begun[shard] = append(begun[shard], reports...)
			t.jobs[shard] = append(t.jobs[shard], ids...)
			for _, id := range ids {
				t.reports[shard] = append(t.reports[shard], p.Sign(worker.Actor, shard, completed(id)))
			}
		}
		if _, t.from[shard], err = t.consumer.Bounds(b.Context(), p.topics+".completions", int(shard)-1); err != nil {
			b.Fatal(err)
		}
	}
	last, err := submit(b.Context(), e, begun)
	if err != nil {
		b.Fatal(err)
	}
	for shard, at := range last {
		if err := e.books.answered(b.Context(), shard, at); err != nil {
			b.Fatal(err)
		}
	}
	return t
}

// moment is when something happened to a job, and how long it took where that is known.
type moment struct {
	job  domain.JobID
	at   time.Time
	took time.Duration
}

// run reports all completions and reads them.
func (t *timed) run(b *testing.B, e *engine, pace time.Duration) {
	b.Helper()
	total := benchShards * timedWaves * 64
	acknowledged, read := make(chan moment, total), make(chan moment, total)
	group, ctx := errgroup.WithContext(b.Context())
	for shard := range t.reports {
		group.Go(func() error { return t.report(ctx, e, shard, pace, acknowledged) })
		group.Go(func() error { return t.consume(ctx, shard, read) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	for range total {
		a, r := <-acknowledged, <-read
		t.acknowledged[a.job], t.read[r.job] = a.at, r.at
		t.acknowledging = append(t.acknowledging, a.took)
	}
}

func (t *timed) report(ctx context.Context, e *engine, shard domain.Shard, pace time.Duration, acknowledged chan<- moment) error {
	next := time.Now()
	for i, report := range t.reports[shard] {
		if err := pause(ctx, time.Until(next)); err != nil {
			return err
		}
		began := time.Now()
		receipts, err := e.gateway.Submit(ctx, [][]byte{report})
		if err != nil {
			return err
		}
		if receipts[0].Status != v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED {
			return fmt.Errorf("a completion was %s: %s: %w", receipts[0].Status, receipts[0].Reason, errNotTaken)
		}
		now := time.Now()
		acknowledged <- moment{t.jobs[shard][i], now, now.Sub(began)}
		next = next.Add(pace)
	}
	return nil
}

// consume reads the partition of a shard as a consumer would that is always there.
func (t *timed) consume(ctx context.Context, shard domain.Shard, read chan<- moment) error {
	const wait = time.Second
	from, left := t.from[shard], len(t.jobs[shard])
	for left > 0 {
		page, err := t.consumer.Fetch(ctx, t.p.topics+".completions", int(shard)-1, from, wait)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, m := range page.Messages {
			var body v1.Completion
			if err := v1.Decode(m.Value, &body); err != nil {
				return err
			}
			read <- moment{job: domain.JobID(body.Job), at: now}
			left--
		}
		from = page.Next
	}
	return nil
}

// reading is from each acknowledgement to when the completion was read. One that was read first took no time.
func (t *timed) reading() (all []time.Duration) {
	for job, at := range t.acknowledged {
		all = append(all, max(0, t.read[job].Sub(at)))
	}
	return all
}
