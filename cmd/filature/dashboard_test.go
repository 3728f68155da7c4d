package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	neturl "net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/browser"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

var dashboardShots = flag.String("dashboard.shots", "", "folder for screenshots of every page, dark and light, wide and narrow")

// apiClients ask the API as any program would.
type apiClients struct {
	queryv1.MoneyServiceClient
	queryv1.JobServiceClient
	queryv1.SettlementServiceClient
	queryv1.NetworkServiceClient
	queryv1.ClaimServiceClient
	queryv1.AuditServiceClient
	queryv1.DocumentServiceClient
}

func clientsOf(url string, options ...connect.ClientOption) apiClients {
	return apiClients{
		queryv1.NewMoneyServiceClient(http.DefaultClient, url, options...), queryv1.NewJobServiceClient(http.DefaultClient, url, options...),
		queryv1.NewSettlementServiceClient(http.DefaultClient, url, options...), queryv1.NewNetworkServiceClient(http.DefaultClient, url, options...),
		queryv1.NewClaimServiceClient(http.DefaultClient, url, options...), queryv1.NewAuditServiceClient(http.DefaultClient, url, options...),
		queryv1.NewDocumentServiceClient(http.DefaultClient, url, options...),
	}
}

// dashboardPage is a page and what it has to say, as the API says it.
type dashboardPage struct {
	name, path string
	says       []string
}

// TestTheDashboardShowsWhatTheAPISays opens every page over what a demo has left, wide and light, narrow and dark: each
// shows the API's figures, moves nothing by itself, breaks no rule of accessibility, and its scripts complain of nothing. What
// each asks is what benchmarks ask in its name.
func TestTheDashboardShowsWhatTheAPISays(t *testing.T) {
	server := launch(t, "serve", "--data", sharedDemo.copied(t), "--listen", "127.0.0.1:0")
	server.awaitReady(t)
	api := clientsOf(server.url)
	server.until(t, func() bool { // before the pages are looked at: what moves them is not the page's doing
		audit := answered(t.Context(), t, api.GetAudit, &queryv1.GetAuditRequest{}).Audit
		return audit.Verdict != "none" && answered(t.Context(), t, api.GetReconciliation, &queryv1.GetReconciliationRequest{}).Reconciliation.State != "none"
	})
	pages := pagesOf(t, api)

	b := browser.Open(t)
	b.BeforeEach(noteQuestions)
	asked := map[string]string{}
	screens := []browser.Screen{{Width: 1280, Scheme: "light"}, {Width: 390, Scheme: "dark"}}
	if *dashboardShots != "" {
		screens = append(screens, browser.Screen{Width: 1280, Scheme: "dark"}, browser.Screen{Width: 390, Scheme: "light"})
	}
	for _, page := range pages {
		for _, screen := range screens {
			look(t, b, server.url, page, screen)
			questions := questionsOf(t, b, page)
			if first, before := asked[page.name]; before && questions != first {
				t.Errorf("%s asks on %s\n%sand on another screen\n%s", page.name, screen, questions, first)
			}
			asked[page.name] = questions
			if *dashboardShots != "" {
				if err := b.Shoot(filepath.Join(*dashboardShots, fmt.Sprintf("%s-%s.png", page.name, screen))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	checkQuestions(t, pages, asked)
	walk(t, b, server.url)
	search(t, b, server.url, api)
	server.end(t)
}

// TestEmptyBooksLookAsTheyAre opens every page of a network in which nothing has happened yet: each says so, and what comes
// first, and what is asked for by an id that nobody has is told apart from it.
func TestEmptyBooksLookAsTheyAre(t *testing.T) {
	server := launch(t, "serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0")
	server.awaitReady(t)
	b := browser.Open(t)
	for _, page := range []dashboardPage{
		{"overview", "/", []string{
			"Network embedded", "Nothing has happened here yet", "No batch was sealed yet", "Every claim was accepted", "No job ended in this time",
		}},
		{"jobs", "/jobs", []string{"No job was submitted yet"}},
		{"jobs that failed", "/jobs?state=failed", []string{"No job is like this", "Clear"}},
		{"market", "/market", []string{"No model is listed yet", "list_model"}},
		{"providers", "/providers", []string{"No provider is registered yet", "register_provider"}},
		{"clients", "/clients", []string{"No client is registered yet", "register_client"}},
		{"batches", "/batches", []string{"No batch was sealed yet"}},
		{"audit", "/audit", nil},
		{"find", "/find?q=nobody", []string{"Nothing found"}},
	} {
		for _, screen := range []browser.Screen{{Width: 1280, Scheme: "dark"}, {Width: 390, Scheme: "light"}} {
			look(t, b, server.url, page, screen)
			if *dashboardShots != "" {
				if err := b.Shoot(filepath.Join(*dashboardShots, fmt.Sprintf("empty %s-%s.png", page.name, screen))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	nobody := strings.Repeat("0f", 32)
	for _, lost := range []struct{ path, says, up string }{
		{"/jobs/" + nobody, "There is no such thing", "/jobs"},
		{"/jobs/0f", "This can’t be looked up", "/jobs"},
		{"/market/" + nobody, "There is no such thing", "/market"},
		{"/providers/" + nobody, "There is no such thing", "/providers"},
		{"/batches/9", "There is no such thing", "/batches"},
		{"/jobs/0f/0f", "There is no such thing", "/"},
	} {
		b.Show(server.url+lost.path, browser.Screen{Width: 390, Scheme: "light"})
		b.Until(`document.querySelector(".trouble")`)
		var seen struct{ Title, Text, Way string }
		b.Ask(`({Title: document.title, Text: document.querySelector("main").innerText, Way: document.querySelector(".trouble a").getAttribute("href")})`, &seen)
		if !strings.Contains(seen.Text, lost.says) || seen.Way != lost.up || !strings.HasPrefix(seen.Title, "Not shown") {
			t.Errorf("%s: %+v, want %q and a way to %s", lost.path, seen, lost.says, lost.up)
		}
		for _, violation := range b.Violations() {
			t.Errorf("%s: %s", lost.path, violation)
		}
	}
	server.end(t)
}

// look opens a page on a screen, and checks all that can be checked of it.
func look(t *testing.T, b *browser.Browser, url string, page dashboardPage, screen browser.Screen) {
	t.Helper()
	where := fmt.Sprintf("%s, %s", page.name, screen)
	b.Show(url+page.path, screen)
	b.Until(`document.querySelector("main h1") && !document.querySelector(".waiting")`)
	// A page that moves has asked a second time, so that what a refresh moves is seen, too.
	asked := `performance.getEntriesByType("resource").filter((r) => r.name.includes("/filature.query.v1.")).length`
	b.Ask(fmt.Sprintf(`window.before = %s; document.dispatchEvent(new Event("look"))`, asked), nil)
	b.Until(fmt.Sprintf(`!document.querySelector(".live") || %s > before`, asked))
	var seen struct {
		Text, Position string
		Overflow       bool
		Paper          string
	}
	b.Ask(`({Text: document.querySelector("main").innerText, Position: document.querySelector("footer").innerText,
		Overflow: document.documentElement.scrollWidth > innerWidth, Paper: getComputedStyle(document.body).backgroundColor})`, &seen)
	text := strings.ReplaceAll(seen.Text, "\u202f", "") // what groups digits
	for _, want := range page.says {
		if !strings.Contains(text, want) {
			t.Errorf("%s: does not say %q:\n%s", where, want, text)
		}
	}
	if !strings.Contains(seen.Position, "As of log position 0/") {
		t.Errorf("%s: the foot says no position: %q", where, seen.Position)
	}
	if seen.Overflow {
		t.Errorf("%s: is wider than the screen", where)
	}
	if dark := seen.Paper == "rgb(14, 16, 19)"; dark != (screen.Scheme == "dark") {
		t.Errorf("%s: the paper is %s", where, seen.Paper)
	}
	if moved := b.Shifts(); moved > 0 {
		t.Errorf("%s: moves by itself, by %f", where, moved)
	}
	for _, violation := range b.Violations() {
		t.Errorf("%s: %s", where, violation)
	}
	if len(b.Console) > 0 {
		t.Errorf("%s: the console says %s", where, b.Console)
	}
	for _, asked := range b.Requests {
		if !strings.HasPrefix(asked, url) {
			t.Errorf("%s: asks for %s", where, asked)
		}
	}
}

// pagesOf is every page, about what there is, with figures of the API that it has to show.
func pagesOf(t *testing.T, api apiClients) []dashboardPage {
	t.Helper()
	ctx := projectionstest.Context(t)
	overview := answered(ctx, t, api.GetOverview, &queryv1.GetOverviewRequest{}).Overview
	trial := answered(ctx, t, api.GetTrialBalance, &queryv1.GetTrialBalanceRequest{})
	network := answered(ctx, t, api.GetNetwork, &queryv1.GetNetworkRequest{}).Network
	providers := answered(ctx, t, api.ListProviders, &queryv1.ListProvidersRequest{}).Providers
	provider := slices.MaxFunc(providers, func(a, b *queryv1.ProviderTotal) int { return int(a.JobsCompleted - b.JobsCompleted) })
	claim := answered(ctx, t, api.GetClaim, &queryv1.GetClaimRequest{Payee: provider.Provider}).Claim
	worker := answered(ctx, t, api.ListWorkers, &queryv1.ListWorkersRequest{Provider: provider.Provider}).Workers[0]
	standing := answered(ctx, t, api.ListStandings, &queryv1.ListStandingsRequest{Kind: "worker", Subject: worker.Worker}).Standings[0]
	clients := answered(ctx, t, api.ListClients, &queryv1.ListClientsRequest{}).Clients
	client := slices.MaxFunc(clients, func(a, b *queryv1.Client) int { return int(a.Accounts - b.Accounts) })
	account := answered(ctx, t, api.ListAccounts, &queryv1.ListAccountsRequest{Client: client.Client}).Accounts[0]
	models := answered(ctx, t, api.ListModels, &queryv1.ListModelsRequest{}).Models
	market := answered(ctx, t, api.ListMarketHours, &queryv1.ListMarketHoursRequest{Model: models[0].Model}).Hours
	jobs := answered(ctx, t, api.ListJobs, &queryv1.ListJobsRequest{Page: &queryv1.Page{Size: 50}}).Jobs
	completed := answered(ctx, t, api.ListJobs, &queryv1.ListJobsRequest{Provider: provider.Provider, State: "completed"}).Jobs
	job := completed[len(completed)-1]
	for _, one := range completed {
		facts := answered(ctx, t, api.Explain, &queryv1.ExplainRequest{Kind: "job", Id: one.Job}).Evidence
		if !slices.IsSortedFunc(facts, func(a, b *queryv1.Evidence) int { return cmp.Compare(a.AtMs, b.AtMs) }) {
			t.Errorf("job %s is not told in the order of log time: %v", one.Job, facts)
		}
	}
	moved := answered(ctx, t, api.ListPostings, &queryv1.ListPostingsRequest{Job: job.Job}).Postings
	why := answered(ctx, t, api.Explain, &queryv1.ExplainRequest{Kind: "job", Id: job.Job})
	batches := answered(ctx, t, api.ListBatches, &queryv1.ListBatchesRequest{}).Batches
	batch := batches[0]
	audit := answered(ctx, t, api.GetAudit, &queryv1.GetAuditRequest{}).Audit
	vault := answered(ctx, t, api.GetReconciliation, &queryv1.GetReconciliationRequest{}).Reconciliation
	passed := answered(ctx, t, api.ListAttestations, &queryv1.ListAttestationsRequest{What: "attestation_passed"}).Attestations[0]
	var facts int64
	for _, shard := range audit.Shards {
		facts += shard.Facts
	}
	lines := answered(ctx, t, api.ListBatchLines, &queryv1.ListBatchLinesRequest{Number: batch.Number}).Lines

	var kinds []string
	for _, total := range trial.Totals {
		kinds = append(kinds, strings.TrimPrefix(inCoins(total.AmountNano), "-"))
	}
	return []dashboardPage{
		{"overview", "/", append(kinds, network.Name, inCoins(overview.DepositedNano), inCoins(overview.PaidNano),
			inCoins(overview.VaultNano), fmt.Sprint(overview.Total.JobsCompleted), "sums to zero",
			"Passed", fmt.Sprintf("%d facts", facts), "Covered, with "+inCoins(vault.HoldsNano-vault.HasToHoldNano))},
		{"jobs", "/jobs", []string{jobs[0].Job[:8], jobs[0].State, inCoins(jobs[0].ChargeNano), jobs[len(jobs)-1].Job[:8]}},
		{"job", "/jobs/" + job.Job, []string{
			job.State, inCoins(job.ChargeNano), inCoins(job.WorkerNano), inCoins(job.ReservedNano), why.Because, inCoins(why.AmountNano),
			fmt.Sprintf("ledger %d/%d", why.Evidence[0].Shard, why.Evidence[0].LedgerOffset), provider.Name, fmt.Sprint(job.AdjustedTokens),
			"+" + inCoins(moved[len(moved)-1].AmountNano), moved[0].Kind,
		}},
		{"market", "/market", []string{models[0].Name, models[1].Name}},
		{"model", "/market/" + models[0].Model, []string{models[0].Name, inCoins(market[len(market)-1].PerMillionNano)}},
		{"providers", "/providers", []string{provider.Name, inCoins(provider.WorkerNano), inCoins(provider.PaidNano)}},
		{"provider", "/providers/" + provider.Provider, []string{
			provider.Name, inCoins(provider.WorkerNano), inCoins(provider.PaidNano), inCoins(claim.PaidNano), fmt.Sprintf("batch %d", claim.Batch), worker.Worker[:8],
		}},
		{"worker", "/workers/" + worker.Worker, []string{worker.Worker, fmt.Sprintf("%.2f%%", float64(standing.ScorePpm)/10_000)}},
		{"clients", "/clients", []string{client.Name, inCoins(client.AvailableNano)}},
		{"client", "/clients/" + client.Client, []string{client.Name, inCoins(client.AvailableNano), account.Account[:8], inCoins(account.AvailableNano)}},
		{"batches", "/batches", []string{fmt.Sprint(batch.Number), batch.State, inCoins(batch.TotalNano), inCoins(batches[len(batches)-1].TotalNano)}},
		{"batch", fmt.Sprintf("/batches/%d", batch.Number), []string{
			batch.State, inCoins(batch.TotalNano), batch.PayoutRoot, batch.Commitment, batch.ActivatedTx.Hash, inCoins(lines[0].DeltaNano),
		}},
		{"audit", "/audit", []string{
			"they sum to zero", batch.Commitment[:8], "Passed", fmt.Sprintf("%d of %d batches", audit.BatchesEqual, audit.Batches), "operator’s own",
			"Second count", "sound", inCoins(vault.HoldsNano), inCoins(vault.HasToHoldNano),
		}},
		{"network", "/network", []string{models[0].Name, passed.Worker[:8], passed.ImageHash[:16], "Not at work"}},
		{"network filtered", "/network?what=passed", []string{passed.Worker[:8]}},
		{"find", "/find?q=nobody", []string{"Nothing found"}},
	}
}

func answered[Q, A any](ctx context.Context, t *testing.T, method func(context.Context, *Q) (*A, error), question *Q) *A {
	t.Helper()
	answer, err := method(ctx, question)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func inCoins(nano int64) string { return domain.Nano(nano).String() }

// search looks for one of each kind, as people do: with an id, with how it begins, with a name, and with an address.
func search(t *testing.T, b *browser.Browser, url string, api apiClients) {
	t.Helper()
	ctx := projectionstest.Context(t)
	provider := answered(ctx, t, api.ListProviders, &queryv1.ListProvidersRequest{}).Providers[0]
	worker := answered(ctx, t, api.ListWorkers, &queryv1.ListWorkersRequest{}).Workers[0].Worker
	client := answered(ctx, t, api.ListClients, &queryv1.ListClientsRequest{}).Clients[0]
	model := answered(ctx, t, api.ListModels, &queryv1.ListModelsRequest{}).Models[0]
	job := answered(ctx, t, api.ListJobs, &queryv1.ListJobsRequest{}).Jobs[0].Job
	payee, err := domain.ParseID[domain.ProviderID](provider.Provider)
	if err != nil {
		t.Fatal(err)
	}
	paidTo := ton.PayeeAddress(payee)
	_, tail, _ := strings.Cut(model.Name, "/")
	for text, path := range map[string]string{
		job: "/jobs/" + job, provider.Provider: "/providers/" + provider.Provider, strings.ToUpper(worker): "/workers/" + worker,
		client.Client: "/clients/" + client.Client, model.Model: "/market/" + model.Model,
		worker[:8]: "/workers/" + worker, provider.Provider[:9]: "/providers/" + provider.Provider,
		strings.ToUpper(client.Name): "/clients/" + client.Client, model.Name: "/market/" + model.Model, tail: "/market/" + model.Model,
		paidTo.String(): "/providers/" + provider.Provider,
	} {
		b.Show(url+"/find?q="+neturl.QueryEscape(text), browser.Screen{Width: 1280, Scheme: "light"})
		b.Until(`document.querySelector("main h1") && !document.querySelector(".waiting")`)
		var at string
		if b.Ask(`location.pathname`, &at); at != path {
			t.Errorf("who looks for %q comes to %s, want %s", text, at, path)
		}
	}
}

// walk goes through the pages with the keyboard alone.
func walk(t *testing.T, b *browser.Browser, url string) {
	t.Helper()
	b.Show(url+"/", browser.Screen{Width: 1280, Scheme: "light"})
	b.Until(`document.querySelector("main h1")`)
	b.Press("Tab")
	focused := func() (at struct{ Text, ID, Outline string }) {
		b.Ask(`(() => { const e = document.activeElement; return {Text: e.innerText ?? "", ID: e.id, Outline: getComputedStyle(e).outlineStyle}; })()`, &at)
		return at
	}
	if first := focused(); first.Text != "Skip to content" {
		t.Errorf("the first that Tab comes to is %+v", first)
	}
	var names []string
	for range 12 {
		b.Press("Tab")
		at := focused()
		names = append(names, strings.TrimSpace(at.Text))
		if at.Outline == "none" {
			t.Errorf("it is not to be seen that %+v has the focus", at)
		}
	}
	for _, want := range []string{"Filature", "Overview", "Jobs", "Market", "Providers", "Clients", "Batches", "Network", "Audit"} {
		if !slices.Contains(names, want) {
			t.Errorf("Tab does not come to %q: %q", want, names)
		}
	}
	b.Ask(`document.activeElement.blur()`, nil)
	b.Press("/")
	if at := focused(); at.ID != "find" {
		t.Errorf("/ comes to %+v", at)
	}
	b.Press("1")
	b.Press("Enter")
	b.Until(`location.pathname === "/batches/1" && document.querySelector("h1")?.innerText === "Batch 1"`)
	b.Until(`document.activeElement.tagName === "H1"`) // where a screen reader goes on
}
