package rig_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/internal/bigbooks"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// benchJobsEnv says how many jobs the books of the benchmark have; benchFolderEnv where they are kept and found again, if they
// are to be: a file and the data of a PostgreSQL. Without it they are made anew each time, and thrown away.
const (
	benchJobsEnv   = "FILATURE_BENCH_JOBS"
	benchFolderEnv = "FILATURE_BENCH_FOLDER"
	benchJobs      = 50_000
)

// BenchmarkQuestions asks every question of the API, as pages ask it, over HTTP and JSON, of somebody else each time: first a
// page of the network's largest, then whoever is drawn. It gives p50 and p99 of each, in milliseconds.
func BenchmarkQuestions(b *testing.B) {
	big := projectionstest.Big{Jobs: benchJobs, Seed: 47}
	if asked := os.Getenv(benchJobsEnv); asked != "" {
		jobs, err := strconv.Atoi(asked)
		if err != nil || jobs < projectionstest.BigJobsPerHour {
			b.Fatalf("%s is %q, want at least %d", benchJobsEnv, asked, projectionstest.BigJobsPerHour)
		}
		big.Jobs = jobs
	}
	var server string
	folder := os.Getenv(benchFolderEnv)
	if folder == "" {
		folder, server = b.TempDir(), services.OwnPostgres(b, bigbooks.ServerSettings()...)
	} else {
		if err := os.MkdirAll(folder, 0o755); err != nil { // PostgreSQL's user goes through it
			b.Fatal(err)
		}
		server = services.KeptPostgres(b, filepath.Join(folder, "postgres"), bigbooks.ServerSettings()...)
	}
	began, last := time.Now(), time.Time{}
	books, err := bigbooks.Open(b.Context(), big, folder, server, func(what string, done, of int) {
		if time.Since(last) > 10*time.Second {
			last = time.Now()
			fmt.Fprintf(os.Stderr, "%s: %d of %d after %s\n", what, done, of, time.Since(began).Round(time.Second)) // b.Logf waits for the end
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("SQLite", func(b *testing.B) { questionsBench(b, big, bigSQLite(b, books.SQLite)) })
	b.Run("PostgreSQL", func(b *testing.B) { questionsBench(b, big, bigPostgres(b, books.Postgres)) })
}

func bigSQLite(b *testing.B, path string) shelf {
	b.Helper()
	store, err := sqlite.Open(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	if info, err := os.Stat(path); err == nil {
		b.Logf("the file has %d MB", info.Size()>>20)
	}
	return store
}

func bigPostgres(b *testing.B, dsn string) shelf {
	b.Helper()
	store, err := postgres.Open(b.Context(), postgres.Config{URL: dsn})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(store.Close)
	return store
}

// shelf is a store that is asked, too.
type shelf interface {
	projections.Store
	projections.Source
	projections.Findings
}

// asks is a question of the benchmark about somebody.
type asks func(ctx context.Context, c clients, of projectionstest.Someone) (proto.Message, error)

func questionsBench(b *testing.B, big projectionstest.Big, store shelf) {
	b.Helper()
	mux := http.NewServeMux()
	// Whoever asks without a pause is told to wait, so the clock goes on a second whenever somebody looks.
	var looked atomic.Int64
	clock := func() time.Time { return time.UnixMilli(big.EndMs() + 1000*looked.Add(1)) }
	for path, service := range queryapi.New(queryapi.Config{Source: store, Claims: newBigDesk(b, store), Findings: store, Now: clock}) {
		mux.Handle(path, service)
	}
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	l := &library{url: server.URL, http: server.Client()}
	c := l.clients(connect.WithProtoJSON(), "")
	questions := bigQuestions(big)
	for page, parts := range pageQuestions(b) {
		questions["page "+page] = func(ctx context.Context, _ clients, of projectionstest.Someone) (proto.Message, error) {
			return nil, l.askAtOnce(ctx, parts, big, of)
		}
	}
	names := make([]string, 0, len(questions))
	for name := range questions {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			by := rand.New(rand.NewPCG(1, 2))
			var took []time.Duration
			for b.Loop() {
				of := big.Someone(by)
				began := time.Now()
				_, err := questions[name](b.Context(), c, of)
				took = append(took, time.Since(began))
				if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
					b.Fatal(err)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// bigDesk offers claims as cmd/filature does: the tree of the active batch is kept, and what may have changed is read for each
// claim. The root of a large network's batches is made up, so the tree is of what its payees were given. The message that wallets send
// is left out; it is made of the proof, and nothing is read for it.
type bigDesk struct {
	desk
	active uint32
	tree   settlement.Tree
}

func newBigDesk(b *testing.B, store projections.Store) *bigDesk {
	b.Helper()
	progress, err := projections.ReadProgress(b.Context(), store)
	if err != nil {
		b.Fatal(err)
	}
	var leaves []settlement.Leaf
	if err := store.View(b.Context(), func(view projections.View) error {
		for payout, err := range projections.RowsOf(b.Context(), view, projections.Payouts) {
			if err != nil {
				return err
			}
			leaves = append(leaves, settlement.Leaf{Payee: payout.Payee, Cumulative: payout.Committed})
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	tree, err := settlement.NewTree(leaves)
	if err != nil {
		b.Fatal(err)
	}
	return &bigDesk{desk{store}, progress.Active, tree}
}

func (d *bigDesk) Offer(ctx context.Context, payee domain.ProviderID) (offer queryapi.Offer, err error) {
	progress, err := projections.ReadProgress(ctx, d.store)
	if err != nil {
		return offer, err
	}
	if progress.Active != d.active {
		return offer, fmt.Errorf("batch %d is active, and the tree is of batch %d", progress.Active, d.active)
	}
	proof, err := d.tree.Proof(payee)
	if err != nil {
		return offer, fmt.Errorf("%w: %w", err, projections.ErrNotFound)
	}
	var vault [32]byte
	err = d.store.View(ctx, func(view projections.View) error {
		for network, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil {
				return err
			}
			vault = network.Vault
		}
		return nil
	})
	return queryapi.Offer{
		Batch: d.active, Root: d.tree.Root(), Cumulative: d.tree.Of(payee), Vault: fmt.Sprintf("%x", vault), Payload: base64.StdEncoding.EncodeToString(proof),
	}, err
}

// bigQuestions are all questions of the API, by what they are about.
func bigQuestions(big projectionstest.Big) map[string]asks {
	id := func(of [32]byte) string { return fmt.Sprintf("%x", of) }
	type someone = projectionstest.Someone
	day, week := int64(projections.DayMs), int64(7*projections.DayMs)
	end := big.EndMs() - big.EndMs()%day
	questions := map[string]asks{
		"GetBalance": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetBalance(ctx, &queryv1.GetBalanceRequest{Kind: "client/available", Owner: id(of.Account)})
		},
		"GetBalance at a time": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetBalance(ctx, &queryv1.GetBalanceRequest{Kind: "provider/earned", Owner: id(of.Provider), AtMs: of.AtMs})
		},
		"GetAudit": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.GetAudit(ctx, &queryv1.GetAuditRequest{})
		},
		"ListBalances of an owner": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListBalances(ctx, &queryv1.ListBalancesRequest{Owner: id(of.Provider)})
		},
		"ListBalances of a kind": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListBalances(ctx, &queryv1.ListBalancesRequest{Kind: "client/available"})
		},
		"ListBalances of a kind at a time": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListBalances(ctx, &queryv1.ListBalancesRequest{Kind: "provider/earned", AtMs: of.AtMs})
		},
		"GetTrialBalance": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.GetTrialBalance(ctx, &queryv1.GetTrialBalanceRequest{})
		},
		"ListPostings": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListPostings(ctx, &queryv1.ListPostingsRequest{Kind: "provider/earned", Owner: id(of.Provider)})
		},
		"ListPostings of a job": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListPostings(ctx, &queryv1.ListPostingsRequest{Job: id(of.Job)})
		},
		"ListDeposits": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListDeposits(ctx, &queryv1.ListDepositsRequest{Account: id(of.Account)})
		},
		"GetJob": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetJob(ctx, &queryv1.GetJobRequest{Job: id(of.Job)})
		},
		"Explain a job": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.Explain(ctx, &queryv1.ExplainRequest{Kind: "job", Id: id(of.Job)})
		},
		"Explain a provider": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.Explain(ctx, &queryv1.ExplainRequest{Kind: "provider", Id: id(of.Provider)})
		},
		"ListRejections": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListRejections(ctx, &queryv1.ListRejectionsRequest{})
		},
		"ListBatches": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListBatches(ctx, &queryv1.ListBatchesRequest{})
		},
		"GetBatch": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.GetBatch(ctx, &queryv1.GetBatchRequest{Number: 1})
		},
		"ListBatchLines": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListBatchLines(ctx, &queryv1.ListBatchLinesRequest{Number: 1})
		},
		"GetPayout": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetPayout(ctx, &queryv1.GetPayoutRequest{Payee: id(of.Provider)})
		},
		"ListPayouts": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListPayouts(ctx, &queryv1.ListPayoutsRequest{Payee: id(of.Provider)})
		},
		"ListPayments": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListPayments(ctx, &queryv1.ListPaymentsRequest{Payee: id(of.Provider)})
		},
		"GetClaim": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetClaim(ctx, &queryv1.GetClaimRequest{Payee: id(of.Provider)})
		},
		"GetNetwork": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.GetNetwork(ctx, &queryv1.GetNetworkRequest{})
		},
		"GetOverview": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetOverview(ctx, &queryv1.GetOverviewRequest{AtMs: of.AtMs})
		},
		"GetProvider": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetProvider(ctx, &queryv1.GetProviderRequest{Provider: id(of.Provider)})
		},
		"ListProviders": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListProviders(ctx, &queryv1.ListProvidersRequest{})
		},
		"ListProviders, a full page": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListProviders(ctx, &queryv1.ListProvidersRequest{Page: &queryv1.Page{Size: 1000}})
		},
		"ListWorkers": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListWorkers(ctx, &queryv1.ListWorkersRequest{Provider: id(of.Provider)})
		},
		"ListWorkers of all": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListWorkers(ctx, &queryv1.ListWorkersRequest{})
		},
		"ListClients": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListClients(ctx, &queryv1.ListClientsRequest{})
		},
		"ListClients, a full page": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListClients(ctx, &queryv1.ListClientsRequest{Page: &queryv1.Page{Size: 1000}})
		},
		"ListAccounts": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListAccounts(ctx, &queryv1.ListAccountsRequest{Client: id(of.Client)})
		},
		"ListStandings": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListStandings(ctx, &queryv1.ListStandingsRequest{Kind: "worker", Subject: id(of.Worker)})
		},
		"ListAttestations": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListAttestations(ctx, &queryv1.ListAttestationsRequest{})
		},
		"ListAttestations of a worker": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListAttestations(ctx, &queryv1.ListAttestationsRequest{Worker: id(of.Worker), What: "attestation_passed"})
		},
		"ListNames": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListNames(ctx, &queryv1.ListNamesRequest{})
		},
		"Find by name": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.Find(ctx, &queryv1.FindRequest{Text: "client-00"})
		},
		"Find by id": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.Find(ctx, &queryv1.FindRequest{Text: id(of.Worker)[:6]})
		},
		"ListModels": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListModels(ctx, &queryv1.ListModelsRequest{})
		},
		"ListOffers": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListOffers(ctx, &queryv1.ListOffersRequest{Model: id(of.Model)})
		},
		"ListOfferChanges": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListOfferChanges(ctx, &queryv1.ListOfferChangesRequest{Model: id(of.Model)})
		},
		"ListMarketHours of a model's week": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListMarketHours(ctx, &queryv1.ListMarketHoursRequest{Model: id(of.Model), FromMs: end - week, ToMs: end})
		},
		"ListMarketHours of all models' day": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListMarketHours(ctx, &queryv1.ListMarketHoursRequest{FromMs: end - day, ToMs: end})
		},
		"ListHolds": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.ListHolds(ctx, &queryv1.ListHoldsRequest{})
		},
		"ListHoldbacks": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListHoldbacks(ctx, &queryv1.ListHoldbacksRequest{Provider: id(of.Provider)})
		},
	}
	const january, januaryEnds = "2026-01", 1_769_904_000_000 // the month in which a large network begins
	maps.Copy(questions, map[string]asks{
		"GetStatement": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetStatement(ctx, &queryv1.GetStatementRequest{Provider: id(of.Provider), Month: january})
		},
		"GetInvoice": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetInvoice(ctx, &queryv1.GetInvoiceRequest{Client: id(of.Client), Month: january})
		},
		"GetTrialBalanceAt now": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.GetTrialBalanceAt(ctx, &queryv1.GetTrialBalanceAtRequest{})
		},
		"GetTrialBalanceAt a month's end": func(ctx context.Context, c clients, _ someone) (proto.Message, error) {
			return c.GetTrialBalanceAt(ctx, &queryv1.GetTrialBalanceAtRequest{AtMs: januaryEnds - 1})
		},
		"GetTrialBalanceAt an hour's end": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.GetTrialBalanceAt(ctx, &queryv1.GetTrialBalanceAtRequest{AtMs: of.AtMs - of.AtMs%projections.HourMs - 1})
		},
		"GetTrialBalanceAt a moment": func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			balance, err := c.GetTrialBalanceAt(ctx, &queryv1.GetTrialBalanceAtRequest{AtMs: of.AtMs})
			if connect.CodeOf(err) == connect.CodeInternal {
				return balance, nil // of the minute that had begun the journal has only some postings, so it does not add up
			}
			return balance, err
		},
	})
	for name, asked := range map[string]func(someone) *queryv1.ListJobsRequest{
		"the latest": func(someone) *queryv1.ListJobsRequest { return &queryv1.ListJobsRequest{} },
		"a provider": func(of someone) *queryv1.ListJobsRequest { return &queryv1.ListJobsRequest{Provider: id(of.Provider)} },
		"a client's failed": func(of someone) *queryv1.ListJobsRequest {
			return &queryv1.ListJobsRequest{Client: id(of.Client), State: "failed"}
		},
		"a worker until a time": func(of someone) *queryv1.ListJobsRequest {
			return &queryv1.ListJobsRequest{Worker: id(of.Worker), ToMs: of.AtMs}
		},
		"a model":       func(of someone) *queryv1.ListJobsRequest { return &queryv1.ListJobsRequest{Model: id(of.Model)} },
		"open disputes": func(someone) *queryv1.ListJobsRequest { return &queryv1.ListJobsRequest{Dispute: "open"} },
		"running":       func(someone) *queryv1.ListJobsRequest { return &queryv1.ListJobsRequest{State: "started"} },
	} {
		questions["ListJobs of "+name] = func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListJobs(ctx, asked(of))
		}
	}
	const hours, days, models = queryv1.UsageColumn_USAGE_COLUMN_HOUR, queryv1.UsageColumn_USAGE_COLUMN_DAY, queryv1.UsageColumn_USAGE_COLUMN_MODEL
	const providers, payers = queryv1.UsageColumn_USAGE_COLUMN_PROVIDER, queryv1.UsageColumn_USAGE_COLUMN_CLIENT
	for name, asked := range map[string]func(someone) *queryv1.ListUsageRequest{
		"all time": func(someone) *queryv1.ListUsageRequest { return &queryv1.ListUsageRequest{} },
		"all days by model": func(someone) *queryv1.ListUsageRequest {
			return &queryv1.ListUsageRequest{By: []queryv1.UsageColumn{days, models}}
		},
		"a week's hours": func(someone) *queryv1.ListUsageRequest {
			return &queryv1.ListUsageRequest{FromMs: end - week, ToMs: end, By: []queryv1.UsageColumn{hours}}
		},
		"a provider by day": func(of someone) *queryv1.ListUsageRequest {
			return &queryv1.ListUsageRequest{Provider: id(of.Provider), By: []queryv1.UsageColumn{days}}
		},
		"a provider by hour": func(of someone) *queryv1.ListUsageRequest {
			return &queryv1.ListUsageRequest{Provider: id(of.Provider), FromMs: end - week, ToMs: end, By: []queryv1.UsageColumn{hours}}
		},
		"a client by day and model": func(of someone) *queryv1.ListUsageRequest {
			return &queryv1.ListUsageRequest{Client: id(of.Client), FromMs: end - 30*day, ToMs: end, By: []queryv1.UsageColumn{days, models}}
		},
		"a month by client": func(someone) *queryv1.ListUsageRequest {
			return &queryv1.ListUsageRequest{FromMs: end - 30*day, ToMs: end, By: []queryv1.UsageColumn{payers}}
		},
		"a provider's day by client": func(of someone) *queryv1.ListUsageRequest {
			return &queryv1.ListUsageRequest{Provider: id(of.Provider), FromMs: end - day, ToMs: end, By: []queryv1.UsageColumn{payers}}
		},
		"all time by provider": func(someone) *queryv1.ListUsageRequest {
			return &queryv1.ListUsageRequest{By: []queryv1.UsageColumn{providers}}
		},
	} {
		questions["ListUsage of "+name] = func(ctx context.Context, c clients, of someone) (proto.Message, error) {
			return c.ListUsage(ctx, asked(of))
		}
	}
	return questions
}
