package rig_test

import (
	"crypto/sha256"
	"maps"
	"slices"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// TestPagesTogetherAreTheWhole: whatever the size of a page, each row comes once, in order.
func TestPagesTogetherAreTheWhole(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	c := l.clients(ways["gRPC"], "")
	ctx := projectionstest.Context(t)
	postings := func(size uint32) (all []*queryv1.Posting) {
		for cursor := ""; ; {
			page, err := c.ListPostings(ctx, &queryv1.ListPostingsRequest{
				Kind: "provider/earned", Owner: l.job.Provider.String(), Page: &queryv1.Page{Size: size, Cursor: cursor},
			})
			if err != nil {
				t.Fatal(err)
			}
			if all = append(all, page.Postings...); page.NextCursor == "" {
				return all
			}
			cursor = page.NextCursor
		}
	}
	whole := postings(1000)
	if len(whole) < 10 {
		t.Fatalf("%d postings are too few to page", len(whole))
	}
	for _, size := range []uint32{1, 7, uint32(len(whole))} {
		if !slices.EqualFunc(whole, postings(size), func(a, b *queryv1.Posting) bool { return proto.Equal(a, b) }) {
			t.Errorf("pages of %d are not the whole", size)
		}
	}
	balance, err := c.GetBalance(ctx, &queryv1.GetBalanceRequest{Kind: "provider/earned", Owner: l.job.Provider.String()})
	if err != nil {
		t.Fatal(err)
	}
	var sum domain.Nano
	for _, p := range whole {
		sum += domain.Nano(p.AmountNano)
	}
	if int64(sum) != balance.Balance.AmountNano {
		t.Errorf("the postings sum to %d, the balance is %d", sum, balance.Balance.AmountNano)
	}
}

// TestEveryListComesInPages: each list, in pages of one and of two, is the list, and a cursor is no other method's.
func TestEveryListComesInPages(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	keys := queryapi.Keys{} // one for each list, as each key may ask so often
	l := openLibrary(t, live(t, store), store, keys)
	ctx := projectionstest.Context(t)
	provider, client, account, model := l.job.Provider.String(), l.job.Client.String(), l.job.Account.String(), l.job.Model.String()
	lists := map[string]func(clients, *queryv1.Page) (proto.Message, error){
		"ListJobs": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListJobs(ctx, &queryv1.ListJobsRequest{Page: p, Client: client})
		},
		"ListBalances": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListBalances(ctx, &queryv1.ListBalancesRequest{Page: p, Kind: "client/available", AtMs: l.job.Closed.AtMs})
		},
		"ListPostings": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListPostings(ctx, &queryv1.ListPostingsRequest{Page: p, Kind: "client/available", Owner: account})
		},
		"ListDeposits": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListDeposits(ctx, &queryv1.ListDepositsRequest{Page: p, Account: account})
		},
		"ListBatches": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListBatches(ctx, &queryv1.ListBatchesRequest{Page: p})
		},
		"ListBatchLines": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListBatchLines(ctx, &queryv1.ListBatchLinesRequest{Page: p, Number: 1})
		},
		"ListPayouts": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListPayouts(ctx, &queryv1.ListPayoutsRequest{Page: p, Payee: provider})
		},
		"ListPayments": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListPayments(ctx, &queryv1.ListPaymentsRequest{Page: p, Payee: provider})
		},
		"ListProviders": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListProviders(ctx, &queryv1.ListProvidersRequest{Page: p})
		},
		"ListWorkers": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListWorkers(ctx, &queryv1.ListWorkersRequest{Page: p})
		},
		"ListClients": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListClients(ctx, &queryv1.ListClientsRequest{Page: p})
		},
		"ListAccounts": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListAccounts(ctx, &queryv1.ListAccountsRequest{Page: p, Client: client})
		},
		"ListAttestations": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListAttestations(ctx, &queryv1.ListAttestationsRequest{Page: p})
		},
		"ListModels": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListModels(ctx, &queryv1.ListModelsRequest{Page: p})
		},
		"ListOffers": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListOffers(ctx, &queryv1.ListOffersRequest{Page: p})
		},
		"ListOfferChanges": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListOfferChanges(ctx, &queryv1.ListOfferChangesRequest{Page: p, Model: model})
		},
		"ListHolds": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListHolds(ctx, &queryv1.ListHoldsRequest{Page: p})
		},
		"ListHoldbacks": func(c clients, p *queryv1.Page) (proto.Message, error) {
			return c.ListHoldbacks(ctx, &queryv1.ListHoldbacksRequest{Page: p, Provider: provider})
		},
	}
	if have, want := slices.Sorted(maps.Keys(lists)), pagedMethods(); !slices.Equal(have, want) {
		t.Fatalf("there are lists for %v, and methods with pages %v", have, want)
	}
	asked := map[string]func(*queryv1.Page) (proto.Message, error){}
	for name, list := range lists {
		keys[sha256.Sum256([]byte(name))] = queryapi.Asker{Name: name, Role: queryapi.RoleAuditor}
		c := l.clients(ways["gRPC"], name)
		asked[name] = func(page *queryv1.Page) (proto.Message, error) { return list(c, page) }
	}
	cursors := map[string]string{}
	for name, list := range asked {
		whole, _ := allOf(t, name, list, 1000)
		if len(whole) == 0 {
			t.Errorf("%s: it is empty", name)
		}
		rows, last := allOf(t, name, list, 1+uint32(len(whole)/20))
		cursors[name] = last
		if !slices.EqualFunc(rows, whole, proto.Equal) {
			t.Errorf("%s: in pages it has %d rows, want %d", name, len(rows), len(whole))
		}
	}
	for name, list := range asked {
		for other, cursor := range cursors {
			if other == name || cursor == "" {
				continue
			}
			if _, err := list(&queryv1.Page{Cursor: cursor}); connect.CodeOf(err) != connect.CodeInvalidArgument {
				t.Errorf("%s with a cursor of %s: %v", name, other, err)
			}
		}
	}
}

// TestTheBalancesOfAnOwnerComeInPages, too: they are another list than those of a kind.
func TestTheBalancesOfAnOwnerComeInPages(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	c := l.clients(ways["JSON"], "")
	balances := func(p *queryv1.Page) (proto.Message, error) {
		return c.ListBalances(projectionstest.Context(t), &queryv1.ListBalancesRequest{Owner: l.job.Provider.String(), Page: p})
	}
	whole, _ := allOf(t, "balances", balances, 1000)
	rows, _ := allOf(t, "balances", balances, 1)
	if len(whole) < 2 || !slices.EqualFunc(rows, whole, proto.Equal) {
		t.Errorf("in pages they are %v, at once %v", rows, whole)
	}
}

// pagedMethods are those whose request has a page.
func pagedMethods() []string {
	var names []string
	protoregistry.GlobalFiles.RangeFilesByPackage("filature.query.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if methods.Get(j).Input().Fields().ByName("page") != nil {
					names = append(names, string(methods.Get(j).Name()))
				}
			}
		}
		return true
	})
	slices.Sort(names)
	return names
}

// allOf reads a list page by page, and returns the cursor of its last page but one, too.
func allOf(t *testing.T, name string, list func(*queryv1.Page) (proto.Message, error), size uint32) (rows []proto.Message, last string) {
	t.Helper()
	for cursor := ""; ; {
		answer, err := list(&queryv1.Page{Size: size, Cursor: cursor})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		says := answer.ProtoReflect()
		fields := says.Descriptor().Fields()
		for i := range fields.Len() {
			if field := fields.Get(i); field.IsList() {
				found := says.Get(field).List()
				if found.Len() > int(size) {
					t.Errorf("%s: a page of %d has %d rows", name, size, found.Len())
				}
				for j := range found.Len() {
					rows = append(rows, found.Get(j).Message().Interface())
				}
			}
		}
		if cursor = says.Get(fields.ByName("next_cursor")).String(); cursor == "" {
			return rows, last
		}
		last = cursor
	}
}
