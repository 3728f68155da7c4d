package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

// demoCmd runs a small network from end to end.
type demoCmd struct {
	Data   string `type:"path" help:"Folder to leave the logs in; it must not exist. Default: a new temporary one."`
	Jobs   int    `default:"20000" help:"How many jobs to run."`
	Trace  string `type:"existingfile" help:"Take arrivals and token counts from a CSV with TIMESTAMP, ContextTokens, GeneratedTokens: one job a row."`
	Payees int    `help:"Instead of jobs, settle for so many payees: several batches, claims for a sample, and the audit."`
	Seed   uint64 `default:"1" help:"Of all that is drawn by lot."`
	Shards int    `default:"4" help:"Data shards."`

	Production bool   `help:"Keep the logs in Kafka and the tables in PostgreSQL, which --config or the environment names; the database must be empty."`
	Config     string `type:"existingfile" help:"With --production: config file. Without it the environment: FILATURE_KAFKA_BROKERS, FILATURE_POSTGRES_URL."`

	Serve  bool   `help:"Afterwards stay up: more jobs come, and the dashboard shows them."`
	Listen string `default:"127.0.0.1:8420" help:"With --serve: address of the dashboard and the API."`

	topics string // what the names of the topics begin with, in production mode
	JSON   bool   `help:"Print the result as JSON."`

	clock *lapse // of all that is this process's
	world *world // as play has left it, for --serve
}

const (
	// demoLimit ends a demo that hangs; it takes some twenty seconds.
	demoLimit = 4 * time.Minute
	// The demo's times: short enough to see money mature, be sealed, wait out its challenge delay and be
	// paid, several times over. What comes of a job must not depend on how fast the machine is, so each is long beside what
	// has to be said in it (traffic.hurry), and nothing else has to be.
	demoWindow  = 2 * time.Second
	demoBucket  = time.Second
	demoDelay   = time.Second
	demoTimeout = 3 * time.Second // after which an abandoned job expires
	// demoPatience is after what any other job would; none does.
	demoPatience = 10 * time.Minute
	// demoParts is in how many parts the traffic comes, at most; after each, a batch is sealed.
	demoParts = 4
)

// Run runs the demo.
func (c *demoCmd) Run(ctx context.Context, out *console) error {
	if c.Serve && (c.Payees != 0 || c.Production) {
		return usage("--serve: goes with neither --payees nor --production")
	}
	if !c.Serve {
		return c.perform(ctx, out)
	}
	// First, so that an address that is taken is said at once, and not after half a minute.
	listener, err := listenAt(ctx, c.Listen)
	if err != nil {
		return err
	}
	if err := c.perform(ctx, out); err != nil {
		return errors.Join(err, listener.Close())
	}
	return c.stay(ctx, out, listener)
}

// perform runs the demo to its end.
func (c *demoCmd) perform(ctx context.Context, out *console) (err error) {
	limit := demoLimit
	if c.Payees != 0 {
		limit = payeesLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := checkShards(c.Shards); err != nil {
		return err
	}
	if c.Payees < 0 || c.Payees > maxDemoPayees || c.Payees != 0 && c.Trace != "" {
		return usage("--payees %d: want 1 to %d, and no --trace beside it", c.Payees, maxDemoPayees)
	}
	plan, err := c.plan()
	if err != nil {
		return err
	}
	if err := c.folder(); err != nil {
		return err
	}
	c.clock = lapseOf(0)
	if c.Trace == "" && c.Payees == 0 && !c.Production { // a trace has a pace of its own, and Kafka a clock
		c.clock = lapseOf(demoParts * demoDay)
	}
	rules := defaultTerms()
	rules.disputes.WindowMs, rules.disputes.ResolveWithinMs = demoWindow.Milliseconds(), (5 * time.Second).Milliseconds()
	rules.network.MaturityBucketMs = demoBucket.Milliseconds()
	rules.network.MaxJobTimeoutMs = demoPatience.Milliseconds()
	rules.network.PayoutThresholdNano = 1
	rules.network.RequireAttestation = c.Trace != "" // else some workers begin without, and their pay waits
	rules.card.CancelledPermille = 500
	if c.Payees != 0 {
		return c.runPayees(ctx, rules, out)
	}
	var result *demoResult
	pace := settleOptions{every: demoWindow + demoBucket, claims: everybody(), clock: c.clock.books}
	audit, err := c.live(ctx, rules, pace, out, func(ctx context.Context, e *engine) (err error) {
		result, err = c.play(ctx, e, plan, out)
		return err
	})
	if err != nil {
		return err
	}
	if result.Audit, err = audit(ctx, out.auditing); err != nil {
		return fmt.Errorf("audit %s: %w", c.Data, err)
	}
	out.stepf("✓ audited in a fresh look at the logs")
	if c.JSON {
		err = out.json(result)
	} else {
		err = result.print(out)
	}
	if err == nil && result.Audit.Verdict != auditor.Pass {
		return &exitError{code: exitNo}
	}
	return err
}

// live founds a network, keeps its engine running while play uses it, and returns how to audit what that left.
func (c *demoCmd) live(ctx context.Context, rules terms, pace settleOptions, out *console, play func(context.Context, *engine) error) (freshLook, error) {
	log := slog.New(slog.NewTextHandler(out.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, audit, err := c.open(ctx, log)
	if err != nil {
		return nil, err
	}
	all := embeddedRoles()
	if c.Production {
		all = allRoles().without(roleVerifier, roleAuditor)
		if p.publishing == nil {
			delete(all, rolePublisher)
		}
	}
	e, err := newEngine(ctx, p, log, all, pace, &founding{
		name: "demo", terms: rules, delay: demoDelay, vaultFloat: domain.Coin, treasuryFloat: 100 * domain.Coin,
	})
	if err != nil {
		return nil, err
	}
	working, stopWork := context.WithCancel(ctx)
	group, groupCtx := errgroup.WithContext(working)
	group.Go(func() error { return e.run(groupCtx) })
	group.Go(func() error {
		defer stopWork()
		return play(groupCtx, e)
	})
	err = group.Wait()
	stopWork()
	if err = errors.Join(err, e.close()); err != nil {
		return nil, fmt.Errorf("demo (its data is in %s): %w", c.Data, err)
	}
	return audit, nil
}

// everybody has each payee claimed for, whatever it is owed: fees cost nothing here.
func everybody() *settlement.ClaimPolicy {
	return &settlement.ClaimPolicy{FeeNano: 1, BudgetNano: domain.Coin}
}

// freshLook audits what the demo left, as somebody else would.
type freshLook func(ctx context.Context, progress func(done, total int64, what string)) (*auditor.Report, error)

// open opens what the demo runs on.
func (c *demoCmd) open(ctx context.Context, log *slog.Logger) (parts, freshLook, error) {
	if !c.Production {
		p, err := openEmbedded(ctx, c.Data, c.Shards, chainFlags{}, c.clock.now, log)
		return p, func(ctx context.Context, progress func(done, total int64, what string)) (*auditor.Report, error) {
			return auditFolder(ctx, c.Data, headFlags{}, chainFlags{}, progress, nil)
		}, err
	}
	file := c.Config
	if file == "" {
		file = os.DevNull
	}
	cfg, err := loadConfig(file, os.Environ())
	if err != nil {
		return parts{}, nil, err
	}
	c.topics = fmt.Sprintf("%s.demo-%d", cfg.Kafka.Topics, time.Now().UnixMilli())
	cfg.Kafka.Topics, cfg.Kafka.DataShards = c.topics, c.Shards
	p, err := openServersAndFolder(ctx, cfg, c.Data)
	return p, func(ctx context.Context, progress func(done, total int64, what string)) (*auditor.Report, error) {
		return auditServers(ctx, cfg, c.Data, headFlags{}, chainFlags{}, progress, nil)
	}, err
}

// folder settles where the data goes.
func (c *demoCmd) folder() error {
	if c.Data == "" {
		dir, err := os.MkdirTemp("", "filature-demo-")
		if err != nil {
			return usage("make a temporary folder: %w: name one with --data", err)
		}
		c.Data = filepath.Join(dir, "data")
		return nil
	}
	if _, err := os.Stat(c.Data); err == nil {
		return usage("--data %s: exists already; the demo wants a new folder", c.Data)
	}
	return nil
}

// plan is the jobs that the demo will run.
func (c *demoCmd) plan() ([]jobPlan, error) {
	if c.Trace != "" {
		file, err := os.Open(c.Trace)
		if err != nil {
			return nil, usage("--trace: %w", err)
		}
		defer file.Close()
		plan, err := readTrace(file)
		if err != nil {
			return nil, usage("--trace %s: %w", c.Trace, err)
		}
		return plan, nil
	}
	if c.Jobs < 1 || c.Jobs > 1_000_000 {
		return nil, usage("--jobs %d: want 1 to 1000000", c.Jobs)
	}
	return drawJobs(rand.New(rand.NewPCG(c.Seed, 1)), c.Jobs), nil //nolint:gosec // a demo is to be repeated, not guarded
}

// begin founds the network and has its clients pay in.
func (c *demoCmd) begin(ctx context.Context, e *engine, out *console) error {
	out.progressf("starting: logs, projections, a TON chain of our own")
	select {
	case <-e.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	out.stepf("✓ network %s… with %d shards, vault %s on a local TON chain", e.network.String()[:8], e.dataShards(), e.vault.Load().Address())
	w, err := newWorld(e, c.Seed)
	if err != nil {
		return err
	}
	c.world = w
	w.suspicious = c.Trace == ""
	if err := w.found(ctx); err != nil {
		return fmt.Errorf("found the network: %w", err)
	}
	out.stepf("✓ %d models, %d clients, %d providers with %d workers, %d of them attested",
		len(w.models), len(w.clients), len(w.providers), len(w.workers), w.challenges)
	deposited, err := w.deposit(ctx)
	if err != nil {
		return fmt.Errorf("deposit: %w", err)
	}
	out.stepf("✓ %s coins deposited on chain for %d accounts, seen by the watcher and booked", deposited, len(w.accounts))
	return nil
}

// play is the demo itself: found the network, run the jobs, and wait until everybody is paid.
func (c *demoCmd) play(ctx context.Context, e *engine, plan []jobPlan, out *console) (*demoResult, error) {
	began := time.Now()
	if err := c.begin(ctx, e, out); err != nil {
		return nil, err
	}
	w, vault := c.world, e.vault.Load().Address().String()
	result := &demoResult{Data: c.Data, Topics: c.topics, Network: e.network.String(), Vault: vault, Seed: c.Seed}
	t := newTraffic(w, rand.New(rand.NewPCG(c.Seed, 2)), c.Trace == "") //nolint:gosec // as above
	parts, lastBatch, span := min(demoParts, len(plan)), uint32(0), "part"
	if c.Trace == "" {
		t.pace, span = overDays, "day"
	}
	for part := range parts {
		from, to := len(plan)*part/parts, len(plan)*(part+1)/parts
		if err := w.takeTurns(ctx, part, out); err != nil {
			return nil, err
		}
		start := time.Now()
		if err := c.stream(ctx, t, plan[from:to], func(jobs int) {
			out.progressf("streaming jobs: %s of %s, %s claims", count(from+jobs), count(len(plan)), count(t.claims))
		}); err != nil {
			return nil, fmt.Errorf("stream jobs: %w", err)
		}
		if err := w.decided(ctx); err != nil {
			return nil, err
		}
		result.Streaming += time.Since(start)
		if part == parts-1 {
			if err := w.takeTurns(ctx, demoParts, out); err != nil {
				return nil, err
			}
		}
		if err := c.endDay(ctx, w); err != nil {
			return nil, err
		}
		sealed, err := w.awaitBatch(ctx, lastBatch, func(state string) {
			out.progressf("streamed %s jobs; %s", count(to), state)
		})
		if err != nil {
			return nil, fmt.Errorf("wait for batch %d: %w", lastBatch+1, err)
		}
		if sealed.Number == 0 {
			out.stepf("✓ %s %d of %d: %s jobs, %s claims; nobody earned anything", span, part+1, parts, count(to), count(t.claims))
			continue
		}
		lastBatch = sealed.Number
		out.stepf("✓ %s %d of %d: %s jobs, %s claims; batch %d sealed: %s coins for %d payees",
			span, part+1, parts, count(to), count(t.claims), sealed.Number, sealed.Total, sealed.Payees)
		if !c.clock.caughtUp() { // the next hour comes when the batch is paid
			if err := w.awaitPaid(ctx, inABatch, func(domain.Nano) {}); err != nil {
				return nil, fmt.Errorf("wait for the payouts of batch %d: %w", sealed.Number, err)
			}
		}
	}
	result.Jobs, result.Claims, result.AtTheDoor = len(plan), t.claims, t.refusals()
	if err := w.tell(ctx); err != nil {
		return nil, err
	}
	if err := w.awaitPaid(ctx, onItsWay, func(left domain.Nano) {
		out.progressf("%s coins still on their way to providers", left)
	}); err != nil {
		return nil, fmt.Errorf("wait for payouts: %w", err)
	}
	out.stepf("✓ all that was earned is paid on chain")
	if err := result.collect(ctx, w); err != nil {
		return nil, err
	}
	result.Took = time.Since(began)
	return result, nil
}

// stream runs the jobs of a part, over the hours of a day; prices follow. A trace comes as it is.
func (c *demoCmd) stream(ctx context.Context, t *traffic, plan []jobPlan, progress func(jobs int)) error {
	if c.Trace != "" {
		return t.run(ctx, plan, progress)
	}
	for hour := range demoHours {
		before := untilJobs(c.clock.now()) + time.Duration(t.lots.Int64N(int64(jobsWithin)))
		if hour == demoHours-1 {
			before = time.Hour // right before the day ends
		}
		c.clock.skip(before)
		if hour%repriceHours == 0 {
			if err := t.world.reprice(ctx, t.lots, hour); err != nil {
				return err
			}
		}
		from, to := byHour(len(plan), hour-1), byHour(len(plan), hour)
		if err := t.run(ctx, plan[from:to], func(jobs int) { progress(from + jobs) }); err != nil {
			return err
		}
		c.clock.skip(time.Hour - before)
	}
	return nil
}

// endDay lets all that a day brought fall due, in every shard.
func (c *demoCmd) endDay(ctx context.Context, w *world) error {
	for range 2 { // what matures may be held back for some seconds more
		c.clock.skip(lull)
		if err := errors.Join(w.tell(ctx), w.decided(ctx)); err != nil {
			return err
		}
	}
	c.clock.closeDay()
	return nil
}

// demoResult is what the demo ends with.
type demoResult struct {
	Data       string                    `json:"data"`
	Topics     string                    `json:"topics,omitempty"` // in production mode: how their names begin
	Network    string                    `json:"network"`
	Vault      string                    `json:"vault"`
	Seed       uint64                    `json:"seed"`
	Jobs       int                       `json:"jobs"`
	Claims     int                       `json:"claims"`
	Streaming  time.Duration             `json:"streaming_ns"`
	Took       time.Duration             `json:"took_ns"`
	Providers  []providerResult          `json:"providers"`
	Rejections []projections.ReasonTotal `json:"rejections"`
	AtTheDoor  []projections.ReasonTotal `json:"refused_at_the_gateway"`
	Tokens     projections.Tokens        `json:"tokens"`
	Trial      []projections.KindTotal   `json:"trial_balance"`
	Held       []heldResult              `json:"held_pay"`
	Standings  []standingResult          `json:"standings"`
	Market     []projections.MarketHour  `json:"market"`
	Audit      *auditor.Report           `json:"audit"`

	models map[domain.ModelID]string
}

type providerResult struct {
	projections.ProviderTotal
	// PaidOnChain is what the payee's claim account on the chain says.
	PaidOnChain domain.Nano `json:"paid_on_chain_nano"`
}

// collect reads the tables, and from the chain what was paid.
func (r *demoResult) collect(ctx context.Context, w *world) error {
	e := w.engine
	err := e.store.Read(ctx, func(reader projections.Reader) error {
		totals, err := reader.ProviderTotals(ctx, projections.ProviderTotal{}, projections.MaxRows)
		if err != nil {
			return err
		}
		for _, total := range totals {
			r.Providers = append(r.Providers, providerResult{ProviderTotal: total})
			r.Tokens.Prompt += total.Tokens.Prompt
			r.Tokens.Cached += total.Tokens.Cached
			r.Tokens.Completion += total.Tokens.Completion
			r.Tokens.Reasoning += total.Tokens.Reasoning
		}
		if r.Rejections, err = reader.RejectionTotals(ctx, 0, math.MaxInt64); err != nil {
			return err
		}
		if r.Trial, err = reader.TrialBalance(ctx); err != nil {
			return err
		}
		return r.collectTrust(ctx, reader, w)
	})
	if err != nil {
		return fmt.Errorf("read the tables: %w", err)
	}
	vault := e.vault.Load()
	for i := range r.Providers {
		if r.Providers[i].PaidOnChain, err = vault.Claimed(ctx, r.Providers[i].Provider); err != nil {
			return fmt.Errorf("read the chain: %w", err)
		}
	}
	return nil
}

func (r *demoResult) print(out *console) error {
	fmt.Fprint(out.out, "\nProviders, amounts in coins; what disputes took, or was refused, is earned and not paid\n\n")
	var rows [][]string
	var sum providerResult
	for _, p := range r.Providers {
		rows = append(rows, p.cells())
		sum.Completed += p.Completed
		sum.Failed += p.Failed + p.Cancelled + p.Expired
		sum.Tokens.Prompt += p.Tokens.Prompt
		sum.Tokens.Cached += p.Tokens.Cached
		sum.Tokens.Completion += p.Tokens.Completion
		sum.Tokens.Reasoning += p.Tokens.Reasoning
		sum.WorkerPart += p.WorkerPart
		sum.Paid += p.Paid
		sum.PaidOnChain += p.PaidOnChain
	}
	sum.Name = "all"
	out.table([]string{"provider", "jobs", "not done", "prompt", "cached", "completion", "reasoning", "earned", "paid", "paid on chain"}, rows, sum.cells())
	r.printTrust(out)
	fmt.Fprint(out.out, "\nRejected by the ledger (each with its reason, field and figures: filature why)\n\n")
	printReasons(out, r.Rejections)
	fmt.Fprint(out.out, "\nRefused at the gateway, so in no log\n\n")
	printReasons(out, r.AtTheDoor)
	seconds := r.Streaming.Seconds()
	fmt.Fprintf(out.out, "\n%s jobs, %s claims streamed, decided and projected in %.1f s: %s claims/s, %s jobs/s. All in all %.1f s.\n\n",
		count(r.Jobs), count(r.Claims), seconds, count(int(float64(r.Claims)/seconds)), count(int(float64(r.Jobs)/seconds)), r.Took.Seconds())
	if err := auditor.WriteText(out.out, *r.Audit); err != nil {
		return err
	}
	if r.Topics != "" {
		_, err := fmt.Fprintf(out.out, "\nThe logs are left for you in the topics %s.*, chain and keys in %s\n", r.Topics, r.Data)
		return err
	}
	_, err := fmt.Fprintf(out.out, "\nThe folder is left for you:\n  filature audit --data %s\n", r.Data)
	return err
}

func (p providerResult) cells() []string {
	return []string{
		p.Name, count(p.Completed), count(p.Failed + p.Cancelled + p.Expired),
		count(p.Tokens.Prompt), count(p.Tokens.Cached), count(p.Tokens.Completion), count(p.Tokens.Reasoning),
		p.WorkerPart.String(), p.Paid.String(), p.PaidOnChain.String(),
	}
}

func printReasons(out *console, totals []projections.ReasonTotal) {
	var rows [][]string
	var all int64
	for _, t := range totals {
		rows = append(rows, []string{t.Reason, count(t.Count)})
		all += t.Count
	}
	out.table([]string{"reason", "count"}, rows, []string{"all", count(all)})
}
