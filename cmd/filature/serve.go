package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/dashboard"
	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/completions"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/gateway"
	"github.com/filature/filature/workers/verifier"
)

// serveCmd runs the engine until it is told to stop.
type serveCmd struct {
	Data   string   `required:"true" xor:"where" type:"path" help:"Run all of it in this process, on a folder of its own. Made if it is missing."`
	Config string   `required:"true" xor:"where" type:"existingfile" help:"Run roles on Kafka, PostgreSQL and TON as this file says."`
	Role   []string `help:"With --config: its roles: gateway, clerk, projector, settler, watcher, relay, verifier, publisher, auditor, api. Default: all."`
	Resync bool     `help:"Read the vault's history from its birth again, and book what is not booked. Without it, from where the books are."`

	Listen  string `default:"127.0.0.1:8420" help:"With --data: address to take reports at."`
	Keys    string `type:"existingfile" help:"With --data: who may ask the books; apikey makes its lines. Without it anybody at 127.0.0.1, and elsewhere nobody."`
	Verbose bool   `short:"v" help:"With --data: log each decision of the settlement."`
	Publish string `type:"path" help:"With --data: publish the ledger's trees in this folder, for any web server."`
	Policy  string `type:"existingfile" help:"With --publish: C2SP tlog-policy file: which witnesses have to cosign."`

	AuditEvery    time.Duration `default:"1h" help:"With --data: how often to audit the folder; 0 for never. It takes a tenth of the time at most."`
	Name          string        `default:"embedded" help:"For a new folder: name of the network."`
	Shards        int           `default:"4" help:"For a new folder: data shards. They can't be changed later."`
	DisputeWindow time.Duration `default:"24h" help:"For a new folder: how long a charge may be disputed."`
	Bucket        time.Duration `default:"1h" help:"For a new folder: earnings mature together per provider and bucket."`
	Threshold     string        `default:"1" help:"For a new folder: least payout, in coins."`
	Delay         time.Duration `default:"10m" help:"For a new folder: challenge delay of the vault."`
	BatchEvery    time.Duration `default:"1h" help:"With --data: least time between two settlement batches."`
	Chain         chainFlags    `embed:""`
	Verify        verifyFlags   `embed:""`
}

const (
	// shutdownGrace is how long requests under way may take to end.
	shutdownGrace = 10 * time.Second
	day           = 24 * time.Hour
	// longest is what the ledger lets a network wait for anything.
	longest = 366 * day
	// maxShards is more than one process can make use of; each costs a clerk.
	maxShards = 1024
)

// Run serves. It logs to stderr, as JSON lines if the config does not say otherwise.
func (c *serveCmd) Run(ctx context.Context, line *kong.Context, out *console) error {
	open, log, listen := c.openFolder, slog.New(slog.NewJSONHandler(out.err, &slog.HandlerOptions{Level: c.level()})), c.Listen
	if c.Config != "" {
		if err := onlyWithData(line); err != nil {
			return err
		}
		cfg, err := loadConfig(c.Config, os.Environ())
		if err != nil {
			return err
		}
		log, listen = cfg.logger(out.err), cfg.HTTP.Listen
		open = func(ctx context.Context, log *slog.Logger) (*engine, error) { return c.openRoles(ctx, cfg, log) }
	} else if len(c.Role) > 0 {
		return usage("--role %s: goes with --config; a folder has one process, which does all", strings.Join(c.Role, ","))
	}
	// First of all: with an address that is taken nothing is made and nothing is opened.
	listener, err := listenAt(ctx, listen)
	if err != nil {
		return err
	}
	e, err := open(ctx, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	e.resync = c.Resync
	log.Info("serving", "address", listener.Addr().String(), "network", e.network.String(), "roles", e.roles.String())
	err = errors.Join(e.serve(ctx, listener), e.close())
	log.Info("stopped")
	return err
}

// listenAt opens the address that a server will answer at. Who calls meanwhile waits.
func listenAt(ctx context.Context, address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, usage("listen on %s: %w: end the program that has it, or name another port", address, err)
	case err != nil:
		return nil, usage("listen on %s: %w", address, err)
	}
	return listener, nil
}

// onlyWithData refuses flags that say nothing where there is a config file.
func onlyWithData(line *kong.Context) error {
	for _, part := range line.Path {
		if part.Flag != nil && !slices.Contains([]string{"config", "role", "resync"}, part.Flag.Name) {
			return usage("--%s: does not go with --config; the file says it", part.Flag.Name)
		}
	}
	return nil
}

func (c *serveCmd) level() slog.Level {
	if c.Verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// openFolder opens the engine on a folder of its own.
func (c *serveCmd) openFolder(ctx context.Context, log *slog.Logger) (*engine, error) {
	threshold, err := c.check()
	if err != nil {
		return nil, err
	}
	if c.Policy != "" && c.Publish == "" {
		return nil, usage("--policy: goes with --publish")
	}
	rules := defaultTerms()
	rules.disputes.WindowMs = c.DisputeWindow.Milliseconds()
	rules.network.MaturityBucketMs = c.Bucket.Milliseconds()
	rules.network.PayoutThresholdNano = int64(threshold)
	askers, err := readAskers(c.Listen, c.Keys, "--keys")
	if err != nil {
		return nil, err
	}
	p, err := openEmbedded(ctx, c.Data, c.Shards, c.Chain, time.Now, log)
	if err != nil {
		return nil, err
	}
	p.askers = askers
	r := embeddedRoles()
	if c.Publish != "" {
		r[rolePublisher] = true
		to := defaultConfig().Transparency
		to.Folder, to.Policy = filePath(c.Publish), filePath(c.Policy)
		if err := p.publishes(to); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	if c.AuditEvery > 0 {
		r[roleAuditor] = true
		if err := p.auditsFolder(c.Data, c.AuditEvery, headFlags{Tiles: c.Publish}, c.Chain); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	if c.Verify.Attest != "" {
		p.verifyHere(c.Data, c.Verify)
		r[roleVerifier] = true
	}
	return newEngine(ctx, p, log, r, settleOptions{every: c.BatchEvery, claims: defaultConfig().Settlement.claims()}, &founding{
		name: c.Name, terms: rules, delay: c.Delay, vaultFloat: 10 * domain.Coin, treasuryFloat: 1000 * domain.Coin,
	})
}

// openRoles opens the engine on the servers that a config names.
func (c *serveCmd) openRoles(ctx context.Context, cfg *config, log *slog.Logger) (*engine, error) {
	r, err := parseRoles(c.Role)
	if err != nil {
		return nil, err
	}
	for _, some := range []struct {
		role role
		keys []string // of the config; without the first nobody is told to
	}{
		{roleVerifier, []string{"verifier.policy", "verifier.collateral", "verifier.archive"}},
		{rolePublisher, []string{"transparency.folder"}},
		{roleAuditor, []string{"audit.folder"}},
	} {
		if !r[some.role] || cfg.needs("", some.keys[0]) == nil {
			continue
		}
		if slices.Contains(c.Role, string(some.role)) {
			return nil, cfg.needs("--role "+string(some.role), some.keys...)
		}
		r = r.without(some.role) // of one who does everything, this was not asked
	}
	p, err := openProduction(ctx, cfg, r)
	if err != nil {
		return nil, err
	}
	if r[roleAuditor] {
		if err := p.auditsServers(cfg, c.Config); err != nil {
			return nil, errors.Join(usage("audit.folder: %w", err), p.close())
		}
	}
	return newEngine(ctx, p, log, r, settleOptions{every: cfg.Settlement.BatchEvery.Duration, claims: cfg.Settlement.claims()}, nil)
}

// check refuses what a new network could not be founded with, before anything is made, and returns the
// threshold.
func (c *serveCmd) check() (domain.Nano, error) {
	threshold, err := domain.ParseCoins(c.Threshold)
	if err != nil || threshold <= 0 {
		return 0, usage("--threshold %q: want coins above zero, such as 1.5", c.Threshold)
	}
	if err := checkShards(c.Shards); err != nil {
		return 0, err
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
		least time.Duration
	}{
		{"dispute-window", c.DisputeWindow, 0}, {"bucket", c.Bucket, time.Second}, {"batch-every", c.BatchEvery, 0}, {"delay", c.Delay, 0},
	} {
		if d.value < d.least || d.value > longest {
			return 0, usage("--%s %s: want %s to %s", d.flag, d.value, d.least, longest)
		}
	}
	if c.Delay%time.Second != 0 {
		return 0, usage("--delay %s: want whole seconds, as the vault counts them", c.Delay)
	}
	if c.AuditEvery != 0 && (c.AuditEvery < leastAuditEvery || c.AuditEvery > longest) {
		return 0, usage("--audit-every %s: want %s to %s, or 0 for never", c.AuditEvery, leastAuditEvery, longest)
	}
	return threshold, nil
}

func checkShards(n int) error {
	if n < 1 || n > maxShards {
		return usage("--shards %d: want 1 to %d", n, maxShards)
	}
	return nil
}

// serve runs the workers and the HTTP server until the context ends: first no new requests, then, when
// those under way are answered, no more work.
func (e *engine) serve(ctx context.Context, listener net.Listener) error {
	server := e.server()
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	group, groupCtx := errgroup.WithContext(working)
	group.Go(func() error { return e.run(groupCtx) })
	group.Go(func() error {
		serve := server.Serve
		if e.certificate != nil {
			server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*e.certificate}}
			serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-groupCtx.Done():
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		err := server.Shutdown(grace)
		stopWork()
		return err
	})
	return group.Wait()
}

// server answers what the roles of this process have answers to; how it is doing, in any role.
func (e *engine) server() *http.Server {
	cfg := httpapi.Config{Ready: e.isReady, Status: statusOf, Metrics: e.metrics.handler(), Log: e.log, AtAddress: e.askers == nil && e.roles[roleAPI]}
	if e.roles[roleGateway] {
		cfg.Gateway = e.metrics.gateway(e.gateway)
	}
	if e.door != nil {
		cfg.Attestation = doorway{e.door, e.metrics}
	}
	if e.roles[roleAPI] {
		cfg.Completions, cfg.OpenAPI = completions.New(e.ledger), queryv1.OpenAPI
		if e.askers != nil {
			cfg.Sees = e.askers.Sees
		}
		cfg.Pages = dashboard.Handler(e.pages)
		cfg.Queries = queryapi.New(queryapi.Config{
			Source: e.store, Findings: e.store, Ledger: e.ledger, Completions: cfg.Completions,
			Claims: e.claims(), Keys: e.askers, Prices: e.prices, Now: e.now, Log: e.log,
		})
	}
	return httpapi.NewServer(cfg)
}

// isReady tells whether the network is set up, so that claims can be accepted, and all work goes on.
func (e *engine) isReady(context.Context) error {
	select {
	case <-e.ready:
		return e.works.check()
	default:
		return errors.New("the network is being set up")
	}
}

// statusOf gives an error of the gateway or of a verifier its HTTP status.
func statusOf(err error) int {
	switch {
	case errors.Is(err, gateway.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, gateway.ErrBusy), errors.Is(err, gateway.ErrClosed), errors.Is(err, gateway.ErrUnsure):
		return http.StatusServiceUnavailable
	case errors.Is(err, verifier.ErrMalformed):
		return http.StatusBadRequest
	case errors.Is(err, verifier.ErrNotSigned):
		return http.StatusForbidden
	case errors.Is(err, verifier.ErrNotYet):
		return http.StatusConflict
	case errors.Is(err, verifier.ErrTooLate):
		return http.StatusGone
	case errors.Is(err, verifier.ErrTooOften):
		return http.StatusTooManyRequests
	case errors.Is(err, verifier.ErrUnsure):
		return http.StatusServiceUnavailable
	case errors.Is(err, verifier.ErrNoWorker):
		return http.StatusNotFound
	default:
		return http.StatusInternalServerError
	}
}

// defaultTerms are the network's figures of April 2026 (research: price 20, fee 19), with the rule that
// gives Cocoon's own numbers.
func defaultTerms() terms {
	return terms{
		network: &v1.SetNetwork{
			MaxJobTimeoutMs: time.Hour.Milliseconds(), MaxOpenJobs: 100_000, MaturityBucketMs: time.Hour.Milliseconds(),
			PayoutThresholdNano: int64(domain.Coin), BatchPayees: 4096,
		},
		disputes: &v1.SetDisputePolicy{WindowMs: day.Milliseconds(), ResolveWithinMs: (7 * day).Milliseconds(), DefaultRefundPermille: 0},
		card: &v1.RateCard{
			Rule: v1.RateRule_RATE_RULE_COCOON_V1, PricePerTokenNano: 20, WorkerFeePerTokenNano: 19,
			PromptMultiplier: 10_000, CachedMultiplier: 1_000, CompletionMultiplier: 80_000, ReasoningMultiplier: 80_000,
		},
	}
}
