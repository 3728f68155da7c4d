package rig_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	"github.com/filature/filature/workers/settler"
)

// clients ask all services in one way of speaking.
type clients struct {
	queryv1.MoneyServiceClient
	queryv1.JobServiceClient
	queryv1.SettlementServiceClient
	queryv1.NetworkServiceClient
	queryv1.DocumentServiceClient
	queryv1.ClaimServiceClient
	queryv1.AuditServiceClient
}

// ways are the ways of speaking.
var ways = map[string]connect.ClientOption{
	"JSON": connect.WithProtoJSON(), "gRPC": connect.WithGRPC(), "gRPC-Web": connect.WithGRPCWeb(),
}

// library is a world's books behind the API.
type library struct {
	world *rig.World
	job   projections.Job // one that is done
	url   string
	http  *http.Client

	completions *completions.Stream
}

// live makes a world with a batch paid and some jobs under way, its rows in a store.
func live(t testing.TB, store shelf) *rig.World {
	t.Helper()
	world := rig.New(t, rig.Options{Seed: 47, Store: store, Judged: true})
	world.Live(120)
	world.Work()
	world.Mature()
	world.Work()
	if world.Settle() == nil {
		t.Fatal("nobody is owed anything")
	}
	world.Live(20)
	world.Work()
	world.Fold()
	return world
}

// desk offers claims and sends none.
type desk struct{ store projections.Store }

func (d desk) Offer(ctx context.Context, payee domain.ProviderID) (queryapi.Offer, error) {
	active, err := settler.ReadActive(ctx, d.store)
	return queryapi.Offer{Batch: active.Batch.Number, Root: active.Tree.Root(), Cumulative: active.Tree.Of(payee)}, err
}

func (desk) Sends() bool { return false }

func (desk) Send(context.Context, domain.ProviderID) error {
	return errors.New("this desk sends nothing")
}

// openLibrary serves a world's books.
func openLibrary(t testing.TB, world *rig.World, store shelf, keys queryapi.Keys) *library {
	t.Helper()
	l := &library{world: world}
	ctx := projectionstest.Context(t)
	if err := store.Read(ctx, func(r projections.Reader) error {
		for job, err := range projections.RowsOf(ctx, r, projections.Jobs) {
			if err != nil {
				return err
			}
			if job.State == projections.JobCompleted && job.Dispute == "" {
				l.job = job
				return nil
			}
		}
		return errors.New("no job was completed")
	}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	l.completions = completions.New(world.Ledger)
	for path, service := range queryapi.New(queryapi.Config{
		Source: store, Ledger: world.Ledger, Completions: l.completions, Claims: desk{store}, Findings: store,
		Keys: keys, Wait: 50 * time.Millisecond, Now: time.Now,
	}) {
		mux.Handle(path, service)
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true) // as gRPC needs it
	t.Cleanup(transport.CloseIdleConnections)
	l.url, l.http = server.URL, &http.Client{Transport: transport}
	return l
}

// clients returns clients that speak in one way and show a key, if there is one.
func (l *library) clients(way connect.ClientOption, key string) clients {
	options := []connect.ClientOption{way, connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
			if key != "" {
				request.Header().Set("Authorization", "Bearer "+key)
			}
			return next(ctx, request)
		}
	}))}
	return clients{
		queryv1.NewMoneyServiceClient(l.http, l.url, options...), queryv1.NewJobServiceClient(l.http, l.url, options...),
		queryv1.NewSettlementServiceClient(l.http, l.url, options...), queryv1.NewNetworkServiceClient(l.http, l.url, options...),
		queryv1.NewDocumentServiceClient(l.http, l.url, options...),
		queryv1.NewClaimServiceClient(l.http, l.url, options...),
		queryv1.NewAuditServiceClient(l.http, l.url, options...),
	}
}

// question asks one method for something that there is.
type question func(ctx context.Context, c clients) (proto.Message, error)

// questions are one for each method, by the method's full name.
func (l *library) questions() map[string]question {
	id := func(of [32]byte) string { return fmt.Sprintf("%x", of) }
	job, provider, client, account := id(l.job.Job), id(l.job.Provider), id(l.job.Client), id(l.job.Account)
	return map[string]question{
		"MoneyService.GetBalance": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetBalance(ctx, &queryv1.GetBalanceRequest{Kind: "client/available", Owner: account})
		},
		"MoneyService.ListBalances": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListBalances(ctx, &queryv1.ListBalancesRequest{Owner: provider})
		},
		"MoneyService.GetTrialBalance": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetTrialBalance(ctx, &queryv1.GetTrialBalanceRequest{})
		},
		"MoneyService.ListPostings": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListPostings(ctx, &queryv1.ListPostingsRequest{Kind: "provider/earned", Owner: provider})
		},
		"JobService.GetJob": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetJob(ctx, &queryv1.GetJobRequest{Job: job})
		},
		"JobService.ListUsage": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListUsage(ctx, &queryv1.ListUsageRequest{Client: client, By: []queryv1.UsageColumn{
				queryv1.UsageColumn_USAGE_COLUMN_DAY, queryv1.UsageColumn_USAGE_COLUMN_MODEL,
			}})
		},
		"JobService.Explain": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.Explain(ctx, &queryv1.ExplainRequest{Kind: "job", Id: job})
		},
		"JobService.ListRejections": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListRejections(ctx, &queryv1.ListRejectionsRequest{})
		},
		"SettlementService.ListBatches": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListBatches(ctx, &queryv1.ListBatchesRequest{})
		},
		"SettlementService.GetBatch": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetBatch(ctx, &queryv1.GetBatchRequest{Number: 1})
		},
		"SettlementService.ListBatchLines": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListBatchLines(ctx, &queryv1.ListBatchLinesRequest{Number: 1})
		},
		"SettlementService.GetPayout": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetPayout(ctx, &queryv1.GetPayoutRequest{Payee: provider})
		},
		"SettlementService.ListPayments": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListPayments(ctx, &queryv1.ListPaymentsRequest{Payee: provider})
		},
		"ClaimService.GetClaim": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetClaim(ctx, &queryv1.GetClaimRequest{Payee: provider})
		},
		"ClaimService.Claim": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.Claim(ctx, &queryv1.ClaimRequest{Payee: provider})
		},
		"NetworkService.GetNetwork": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetNetwork(ctx, &queryv1.GetNetworkRequest{})
		},
		"NetworkService.ListProviders": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListProviders(ctx, &queryv1.ListProvidersRequest{})
		},
		"NetworkService.ListAccounts": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListAccounts(ctx, &queryv1.ListAccountsRequest{Client: client})
		},
		"NetworkService.ListStandings": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListStandings(ctx, &queryv1.ListStandingsRequest{Kind: "provider", Subject: provider})
		},
		"NetworkService.ListMarketHours": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListMarketHours(ctx, &queryv1.ListMarketHoursRequest{})
		},
		"MoneyService.ListDeposits": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListDeposits(ctx, &queryv1.ListDepositsRequest{Account: account})
		},
		"JobService.ListJobs": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListJobs(ctx, &queryv1.ListJobsRequest{Provider: provider, Page: &queryv1.Page{Size: 7}})
		},
		"SettlementService.ListPayouts": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListPayouts(ctx, &queryv1.ListPayoutsRequest{Payee: provider})
		},
		"NetworkService.GetOverview": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetOverview(ctx, &queryv1.GetOverviewRequest{AtMs: l.job.Closed.AtMs + projections.HourMs})
		},
		"NetworkService.GetProvider": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetProvider(ctx, &queryv1.GetProviderRequest{Provider: provider})
		},
		"NetworkService.ListWorkers": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListWorkers(ctx, &queryv1.ListWorkersRequest{Provider: provider})
		},
		"NetworkService.ListClients": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListClients(ctx, &queryv1.ListClientsRequest{})
		},
		"NetworkService.ListAttestations": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListAttestations(ctx, &queryv1.ListAttestationsRequest{What: "attestation_passed"})
		},
		"NetworkService.ListNames": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListNames(ctx, &queryv1.ListNamesRequest{})
		},
		"NetworkService.Find": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.Find(ctx, &queryv1.FindRequest{Text: id(l.job.Model)[:8]})
		},
		"NetworkService.ListModels": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListModels(ctx, &queryv1.ListModelsRequest{})
		},
		"NetworkService.ListOffers": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListOffers(ctx, &queryv1.ListOffersRequest{Model: id(l.job.Model)})
		},
		"NetworkService.ListOfferChanges": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListOfferChanges(ctx, &queryv1.ListOfferChangesRequest{Model: id(l.job.Model)})
		},
		"NetworkService.ListHoldbacks": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListHoldbacks(ctx, &queryv1.ListHoldbacksRequest{Provider: provider})
		},
		"DocumentService.GetStatement": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetStatement(ctx, &queryv1.GetStatementRequest{Provider: provider, Month: "2026-01"})
		},
		"DocumentService.GetInvoice": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetInvoice(ctx, &queryv1.GetInvoiceRequest{Client: client, Month: "2026-01"})
		},
		"DocumentService.GetTrialBalanceAt": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetTrialBalanceAt(ctx, &queryv1.GetTrialBalanceAtRequest{})
		},
		"AuditService.GetAudit": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetAudit(ctx, &queryv1.GetAuditRequest{})
		},
		"AuditService.GetReconciliation": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.GetReconciliation(ctx, &queryv1.GetReconciliationRequest{})
		},
		"NetworkService.ListHolds": func(ctx context.Context, c clients) (proto.Message, error) {
			return c.ListHolds(ctx, &queryv1.ListHoldsRequest{})
		},
	}
}

// methods lists what the schema has; streams have tests of their own.
func methods() []string {
	var names []string
	protoregistry.GlobalFiles.RangeFilesByPackage("filature.query.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				if method := service.Methods().Get(j); !method.IsStreamingServer() {
					names = append(names, string(service.Name()+"."+method.Name()))
				}
			}
		}
		return true
	})
	slices.Sort(names)
	return names
}

func openSQLite(t testing.TB) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(projectionstest.Context(t), filepath.Join(t.TempDir(), "rows.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// TestEveryWayOfAskingGivesTheSameAnswer: over gRPC, gRPC-Web and JSON, out of SQLite and out of PostgreSQL.
func TestEveryWayOfAskingGivesTheSameAnswer(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	inSQLite := openSQLite(t)
	inPostgres, _ := openPostgres(t)
	libraries := map[string]*library{
		"SQLite":     openLibrary(t, live(t, inSQLite), inSQLite, nil),
		"PostgreSQL": openLibrary(t, live(t, inPostgres), inPostgres, nil),
	}
	keepFindings(t, inSQLite)
	keepFindings(t, inPostgres)
	questions := libraries["SQLite"].questions()
	if have, want := slices.Sorted(maps.Keys(questions)), methods(); !slices.Equal(have, want) {
		t.Fatalf("there are questions for %v, and methods %v", have, want)
	}
	for name, ask := range questions {
		var first proto.Message
		for where, l := range libraries {
			for way, speaking := range ways {
				answer, err := ask(ctx, l.clients(speaking, ""))
				if err != nil {
					t.Fatalf("%s: %s, %s: %v", name, where, way, err)
				}
				if first == nil {
					first = answer
				}
				if !proto.Equal(first, answer) {
					t.Errorf("%s: %s, %s: %v\nanother way: %v", name, where, way, answer, first)
				}
			}
		}
		says := first.ProtoReflect()
		position := says.Get(says.Descriptor().Fields().ByName("position")).Message().Interface().(*queryv1.Position)
		if len(position.LedgerOffsets) != libraries["SQLite"].world.Ledger.Shards() || slices.Contains(position.LedgerOffsets, 0) {
			t.Errorf("%s: it was read at %v", name, position)
		}
		fields := 0
		says.Range(func(protoreflect.FieldDescriptor, protoreflect.Value) bool { fields++; return true })
		if fields < 2 {
			t.Errorf("%s: it says nothing but where: %v", name, first)
		}
	}
}

// TestEachRoleSeesItsOwnAndNoMore tries every method with a key of every role: with the own id, and with another's.
func TestEachRoleSeesItsOwnAndNoMore(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	world := live(t, store)
	keys := queryapi.Keys{}
	l := openLibrary(t, world, store, keys)
	add := func(name string, role queryapi.Role, subject [32]byte) {
		keys[sha256.Sum256([]byte("key of "+name))] = queryapi.Asker{Name: name, Role: role, Subject: subject}
	}
	add("the provider", queryapi.RoleProvider, l.job.Provider)
	add("another provider", queryapi.RoleProvider, [32]byte{1})
	add("the client", queryapi.RoleClient, l.job.Client)
	add("another client", queryapi.RoleClient, [32]byte{2})
	add("finance", queryapi.RoleFinance, [32]byte{})
	add("auditor", queryapi.RoleAuditor, [32]byte{})
	add("nobody", "", [32]byte{})
	// What providers and clients may ask of what the questions ask for. Finance and auditors see all of it.
	everybody := []string{"the provider", "another provider", "the client", "another client"}
	allowed := map[string][]string{
		"MoneyService.GetBalance": {"the client"}, "MoneyService.ListBalances": {"the provider"}, "MoneyService.GetTrialBalance": {},
		"MoneyService.ListPostings": {"the provider"}, "MoneyService.ListDeposits": {"the client"},
		"JobService.ListJobs": {"the provider"}, "SettlementService.ListPayouts": {"the provider"},
		"NetworkService.GetOverview": {}, "NetworkService.GetProvider": {"the provider"}, "NetworkService.ListWorkers": everybody,
		"NetworkService.ListClients": {}, "NetworkService.ListAttestations": everybody, "NetworkService.ListModels": everybody, "NetworkService.Find": everybody,
		"NetworkService.ListNames":  everybody,
		"NetworkService.ListOffers": everybody, "NetworkService.ListOfferChanges": everybody, "NetworkService.ListHoldbacks": {"the provider"},
		"JobService.GetJob": {"the provider", "the client"}, "JobService.Explain": {"the provider", "the client"},
		"JobService.ListUsage": {"the client"}, "JobService.ListRejections": {},
		"SettlementService.ListBatches": everybody, "SettlementService.GetBatch": everybody, "SettlementService.ListBatchLines": {},
		"SettlementService.GetPayout": {"the provider"}, "SettlementService.ListPayments": {"the provider"},
		"ClaimService.GetClaim": {"the provider"}, "ClaimService.Claim": {"the provider"},
		"DocumentService.GetStatement": {"the provider"}, "DocumentService.GetInvoice": {"the client"}, "DocumentService.GetTrialBalanceAt": {},
		"NetworkService.GetNetwork": everybody, "NetworkService.ListProviders": {}, "NetworkService.ListAccounts": {"the client"},
		"NetworkService.ListStandings": everybody, "NetworkService.ListMarketHours": everybody, "NetworkService.ListHolds": {},
		"AuditService.GetAudit": everybody, "AuditService.GetReconciliation": everybody,
	}
	for name, ask := range l.questions() {
		for _, asker := range append([]string{"finance", "auditor", "nobody", "a stranger", ""}, everybody...) {
			want := connect.CodePermissionDenied
			switch {
			case asker == "finance", asker == "auditor" && name != "ClaimService.Claim", slices.Contains(allowed[name], asker):
				want = 0
			case asker == "a stranger", asker == "":
				want = connect.CodeUnauthenticated
			case asker == "nobody" && len(allowed[name]) == len(everybody):
				want = 0 // what every key may ask
			}
			key := ""
			if asker != "" {
				key = "key of " + asker
			}
			_, err := ask(projectionstest.Context(t), l.clients(ways["JSON"], key))
			var have connect.Code
			if err != nil {
				have = connect.CodeOf(err)
			}
			if have != want {
				t.Errorf("%s, asked by %q: %v, want %v (%v)", name, asker, have, want, err)
			}
		}
	}
}

// TestARefusedQuestionNamesTheFieldAndTheRule.
func TestARefusedQuestionNamesTheFieldAndTheRule(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	c := l.clients(ways["JSON"], "")
	ctx := projectionstest.Context(t)
	id := strings.Repeat("ab", 32)
	twice := []queryv1.UsageColumn{queryv1.UsageColumn_USAGE_COLUMN_MODEL, queryv1.UsageColumn_USAGE_COLUMN_MODEL}
	both := []queryv1.UsageColumn{queryv1.UsageColumn_USAGE_COLUMN_HOUR, queryv1.UsageColumn_USAGE_COLUMN_DAY}
	shards := l.world.Ledger.Shards()
	const offsets = "reading.at_least.ledger_offsets"
	type refused struct {
		ask   func() (any, error)
		code  connect.Code
		field string
	}
	balanceOf := func(asked *queryv1.GetBalanceRequest) func() (any, error) {
		return func() (any, error) { return c.GetBalance(ctx, asked) }
	}
	batches := func(page *queryv1.Page) func() (any, error) {
		return func() (any, error) { return c.ListBatches(ctx, &queryv1.ListBatchesRequest{Page: page}) }
	}
	usage := func(by []queryv1.UsageColumn) func() (any, error) {
		return func() (any, error) { return c.ListUsage(ctx, &queryv1.ListUsageRequest{By: by}) }
	}
	job := func(job string) func() (any, error) {
		return func() (any, error) { return c.GetJob(ctx, &queryv1.GetJobRequest{Job: job}) }
	}
	why := func(kind string) func() (any, error) {
		return func() (any, error) { return c.Explain(ctx, &queryv1.ExplainRequest{Kind: kind, Id: id}) }
	}
	jobs := func(asked *queryv1.ListJobsRequest) func() (any, error) {
		return func() (any, error) { return c.ListJobs(ctx, asked) }
	}
	at := func(offsets ...int64) func() (any, error) {
		reading := &queryv1.Reading{AtLeast: &queryv1.Position{LedgerOffsets: offsets}}
		return func() (any, error) { return c.GetNetwork(ctx, &queryv1.GetNetworkRequest{Reading: reading}) }
	}
	for name, ask := range map[string]refused{
		"a kind that is none":     {balanceOf(&queryv1.GetBalanceRequest{Kind: "client", Owner: id}), connect.CodeInvalidArgument, "kind"},
		"a time before time":      {balanceOf(&queryv1.GetBalanceRequest{Kind: "vault/cash", AtMs: -1}), connect.CodeInvalidArgument, "at_ms"},
		"a time without a date":   {balanceOf(&queryv1.GetBalanceRequest{Kind: "vault/cash", AtMs: 253_402_300_800_000}), connect.CodeInvalidArgument, "at_ms"},
		"an id that is none":      {job("12"), connect.CodeInvalidArgument, "job"},
		"a job that is not":       {job(id), connect.CodeNotFound, ""},
		"too large a page":        {batches(&queryv1.Page{Size: 1001}), connect.CodeInvalidArgument, "page.size"},
		"another method's cursor": {batches(&queryv1.Page{Cursor: "bAI"}), connect.CodeInvalidArgument, "page.cursor"},
		"hours and days":          {usage(both), connect.CodeInvalidArgument, "by"},
		"a column twice":          {usage(twice), connect.CodeInvalidArgument, "by"},
		"jobs of two":             {jobs(&queryv1.ListJobsRequest{Client: id, Provider: id}), connect.CodeInvalidArgument, "provider"},
		"a state that is none":    {jobs(&queryv1.ListJobsRequest{State: "running\x00"}), connect.CodeInvalidArgument, "state"},
		"a dispute that is none":  {jobs(&queryv1.ListJobsRequest{Dispute: "'"}), connect.CodeInvalidArgument, "dispute"},
		"a dispute and a state":   {jobs(&queryv1.ListJobsRequest{Dispute: "open", State: "failed"}), connect.CodeInvalidArgument, "dispute"},
		"a time that ends before": {jobs(&queryv1.ListJobsRequest{ToMs: -1}), connect.CodeInvalidArgument, "to_ms"},
		"why what":                {why("client"), connect.CodeInvalidArgument, "kind"},
		"a report without parts":  {why("report"), connect.CodeInvalidArgument, "id"},
		"nobody's account":        {balanceOf(&queryv1.GetBalanceRequest{Kind: "client/available"}), connect.CodeInvalidArgument, "owner"},
		"somebody's vault":        {balanceOf(&queryv1.GetBalanceRequest{Kind: "vault/cash", Owner: id}), connect.CodeInvalidArgument, "owner"},
		"a place not yet reached": {at(1 << 40), connect.CodeUnavailable, ""},
		"a place with a shard":    {at(make([]int64, shards+1)...), connect.CodeInvalidArgument, offsets},
		"a place below zero":      {at(1, -1), connect.CodeInvalidArgument, offsets + "[1]"},
	} {
		_, err := ask.ask()
		var failed *connect.Error
		if !errors.As(err, &failed) || failed.Code() != ask.code {
			t.Errorf("%s: %v, want %s", name, err, ask.code)
			continue
		}
		field := ""
		for _, detail := range failed.Details() {
			if value, err := detail.Value(); err == nil {
				field = value.(*queryv1.Problem).Field
			}
		}
		if field != ask.field {
			t.Errorf("%s: names the field %q, want %q", name, field, ask.field)
		}
	}
}
