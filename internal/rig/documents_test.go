package rig_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/documents"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	"github.com/filature/filature/workers/auditor/recount"
)

// january is the month in which every world begins.
var january = documents.MonthOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// liveAMonth gives a world a month with jobs, disputes, judgements, payouts, and the first days of the next one.
func liveAMonth(world *rig.World) {
	for range 2 {
		world.Live(120)
		world.Work()
		world.Mature()
		world.Work()
		world.Settle()
		world.Pass(24 * time.Hour)
	}
	world.Live(40)
	world.Work()
}

// nextMonth lets the next month begin, in every shard.
func nextMonth(world *rig.World) {
	world.Pass(time.UnixMilli(domain.NextMonth(world.Now().UnixMilli())).Sub(world.Now()) + time.Second)
	world.Tick()
	world.Work()
}

// papers are all documents of a month, by name: each in each format.
func papers(ctx context.Context, t *testing.T, source projections.Source, world *rig.World, month documents.Month) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(source.Read(ctx, func(r projections.Reader) error {
		keep := func(name string, document documents.Document) {
			for _, format := range []documents.Format{documents.HTML, documents.CSV, documents.JSON} {
				var out bytes.Buffer
				must(documents.Write(&out, document, format))
				all[name+"."+string(format)] = out.Bytes()
			}
		}
		for i, provider := range world.Providers {
			s, err := documents.Statement(ctx, r, provider.ID, month, documents.Options{})
			must(err)
			keep(fmt.Sprintf("statement-%d", i), s)
		}
		for i, client := range world.Clients {
			s, err := documents.Invoice(ctx, r, client.ID, month, documents.Options{})
			must(err)
			keep(fmt.Sprintf("invoice-%d", i), s)
		}
		s, err := documents.TrialBalance(ctx, r, month.ToMs-1, documents.Options{})
		must(err)
		keep("trial-balance", s)
		return nil
	}))
	return all
}

func TestAMonthThatIsOverIsTheSameBytesWhereverAndWheneverItIsPrinted(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	inSQLite := openSQLite(t)
	inPostgres, _ := openPostgres(t)
	world := rig.New(t, rig.Options{Seed: 53, Store: inSQLite, Judged: true})
	liveAMonth(world)
	world.Fold()
	for name, page := range papers(ctx, t, inSQLite, world, january) {
		if filepath.Ext(name) == ".csv" && !bytes.Contains(page, []byte(",draft,")) {
			t.Errorf("%s is no draft, while the month goes on", name)
		}
	}
	nextMonth(world)
	world.Fold()
	first := papers(ctx, t, inSQLite, world, january)
	if dir := os.Getenv("FILATURE_PAPERS"); dir != "" { // to look at
		for name, page := range first {
			if err := os.WriteFile(filepath.Join(dir, name), page, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, page := range first {
		if filepath.Ext(name) == ".csv" && bytes.Contains(page, []byte(",draft,")) {
			t.Errorf("%s is a draft, although the month is over", name)
		}
	}
	liveAMonth(world)
	world.Fold()
	if err := projections.FoldTo(ctx, world.Ledger, inPostgres, world.Ends(), projections.All()...); err != nil {
		t.Fatal(err)
	}
	for where, source := range map[string]projections.Source{"later": inSQLite, "on another machine": inPostgres} {
		for name, page := range papers(ctx, t, source, world, january) {
			if !bytes.Equal(page, first[name]) {
				t.Errorf("%s is printed otherwise %s:\n%s\nbefore:\n%s", name, where, page, first[name])
			}
		}
	}
}

// ledgerRecords is a ledger as the second opinion reads it.
type ledgerRecords [][][]byte

func (l ledgerRecords) Read(_ context.Context, shard int, from int64, limit int) ([][]byte, error) {
	return l[shard][from:min(int(from)+limit, len(l[shard]))], nil
}

// secondOpinion is what recount, which shares no code with read models or ledger, comes to at a place: the balance of each
// account.
func secondOpinion(ctx context.Context, t *testing.T, world *rig.World, heads []*queryv1.LogHead) map[string]domain.Nano {
	t.Helper()
	ledger, ends := make(ledgerRecords, len(heads)), make([]int64, len(heads))
	for shard, head := range heads {
		ends[shard] = head.Entries
		if err := eventstore.Each(ctx, world.Ledger, domain.Shard(shard), 0, domain.Offset(head.Entries), func(r eventstore.Record) error {
			ledger[shard] = append(ledger[shard], r.Value)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	count, err := recount.Begin(ctx, ledger, ends, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := count.To(ctx, ends); err != nil {
		t.Fatal(err)
	}
	balances, err := count.Balances()
	if err != nil {
		t.Fatal(err)
	}
	if found, _ := count.Disagreements(); len(found) != 0 {
		t.Fatalf("the second opinion disagrees with the ledger: %+v", found)
	}
	held := map[string]domain.Nano{}
	for account, amount := range balances {
		owner := ""
		if account.Owner != ([32]byte{}) {
			owner = hex.EncodeToString(account.Owner[:])
		}
		held[projections.KindName(account.Kind)+" "+owner] = domain.Nano(amount)
	}
	return held
}

// figures are numbers by what they are of: "provider/held 3f…", "all provider/held".
type figures map[string]domain.Nano

// TestEveryWayToANumberGivesTheSameNumber: what documents say of a month, what the API, finance's views and the exports say
// of it, and what the audit's second opinion counts, which has only the documents and the log.
func TestEveryWayToANumberGivesTheSameNumber(t *testing.T) { //nolint:tparallel // its parts share a connection
	t.Parallel()
	ctx := projectionstest.Context(t)
	store, url := openPostgres(t)
	world := rig.New(t, rig.Options{Seed: 59, Store: store, Judged: true})
	liveAMonth(world)
	nextMonth(world)
	liveAMonth(world)
	world.Fold()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	api := openLibrary(t, world, store, nil).clients(ways["JSON"], "")
	for _, c := range []struct {
		month string
		atMs  int64 // its end, or 0: now
	}{{"2026-01", january.ToMs - 1}, {"2026-02", 0}} {
		t.Run(c.month, func(t *testing.T) {
			trial, err := api.GetTrialBalanceAt(ctx, &queryv1.GetTrialBalanceAtRequest{AtMs: c.atMs})
			if err != nil {
				t.Fatal(err)
			}
			counted := secondOpinion(ctx, t, world, trial.TrialBalance.Heading.Log)
			ways := map[string]figures{
				"documents":          documentFigures(ctx, t, world, api, c.month),
				"the trial balance":  trialFigures(trial.TrialBalance),
				"the API":            apiFigures(ctx, t, world, api, c.atMs),
				"finance's views":    viewFigures(ctx, t, conn, c.month, c.atMs),
				"the journal's CSV":  journalFigures(ctx, t, store, c.atMs),
				"export table's CSV": tableFigures(ctx, t, store, c.atMs),
			}
			want := figures{}
			for account, held := range counted {
				kind, _, _ := strings.Cut(account, " ")
				want[account] = held
				want["all "+kind] += held
			}
			compared := 0
			for way, figures := range ways {
				for what, have := range figures {
					if wanted, known := want[what]; known || have != 0 {
						compared++
						if have != wanted {
							t.Errorf("%s: %s is %s, counted again it is %s", way, what, have, wanted)
						}
					}
				}
			}
			if compared < 100 {
				t.Errorf("%d figures were compared", compared)
			}
		})
	}
}

func documentFigures(ctx context.Context, t *testing.T, world *rig.World, api clients, month string) figures {
	t.Helper()
	found := figures{}
	for _, provider := range world.Providers {
		id := hex.EncodeToString(provider.ID[:])
		said, err := api.GetStatement(ctx, &queryv1.GetStatementRequest{Provider: id, Month: month})
		if err != nil {
			t.Fatal(err)
		}
		closing := said.Statement.Closing
		found["provider/earned "+id], found["provider/held "+id] = domain.Nano(closing.Earned.Nano), domain.Nano(closing.Held.Nano)
		found["provider/payable "+id], found["provider/committed "+id] = domain.Nano(closing.Payable.Nano), domain.Nano(closing.Committed.Nano)
	}
	for _, client := range world.Clients {
		said, err := api.GetInvoice(ctx, &queryv1.GetInvoiceRequest{Client: hex.EncodeToString(client.ID[:]), Month: month})
		if err != nil {
			t.Fatal(err)
		}
		found["all client/available"] += domain.Nano(said.Invoice.Closing.Available.Nano)
		found["all client/reserved"] += domain.Nano(said.Invoice.Closing.Reserved.Nano)
	}
	return found
}

func trialFigures(trial *queryv1.TrialBalance) figures {
	found := figures{}
	for _, line := range trial.Lines {
		found["all "+line.Kind] = domain.Nano(line.Credit.Nano - line.Debit.Nano)
	}
	return found
}

func apiFigures(ctx context.Context, t *testing.T, world *rig.World, api clients, atMs int64) figures {
	t.Helper()
	found := figures{}
	ask := func(kind string, owner [32]byte) {
		id := hex.EncodeToString(owner[:])
		said, err := api.GetBalance(ctx, &queryv1.GetBalanceRequest{Kind: kind, Owner: id, AtMs: atMs})
		switch {
		case connect.CodeOf(err) == connect.CodeNotFound: // nothing was ever posted
		case err != nil:
			t.Fatal(err)
		default:
			found[kind+" "+id] = domain.Nano(said.Balance.AmountNano)
		}
	}
	for _, provider := range world.Providers {
		for _, kind := range []string{"provider/earned", "provider/held", "provider/payable", "provider/committed"} {
			ask(kind, provider.ID)
		}
	}
	for _, account := range world.Accounts {
		ask("client/available", account.ID)
		ask("client/reserved", account.ID)
	}
	return found
}

func viewFigures(ctx context.Context, t *testing.T, conn *pgx.Conn, month string, atMs int64) figures {
	t.Helper()
	found := figures{}
	asOf := "2100-01-01"
	if atMs != 0 {
		asOf = time.UnixMilli(atMs).UTC().Format(time.RFC3339Nano)
	}
	rows, err := conn.Query(ctx, "SELECT kind, owner, (balance * 1000000000)::bigint FROM finance.balances_as_of($1::text::timestamptz)", asOf)
	if err != nil {
		t.Fatal(err)
	}
	var kind, owner string
	var nano int64
	if _, err := pgx.ForEachRow(rows, []any{&kind, &owner, &nano}, func() error {
		found[kind+" "+owner] = domain.Nano(nano)
		found["all "+kind] += domain.Nano(nano)
		return nil
	}); err != nil {
		t.Fatalf("%s: %v", month, err)
	}
	return found
}

// journalFigures sums the debits and credits of the ledger as accountants' programs get it.
func journalFigures(ctx context.Context, t *testing.T, store shelf, atMs int64) figures {
	t.Helper()
	kinds := map[string]string{
		"1000": "vault/cash", "2000": "client/available", "2010": "client/reserved", "2100": "provider/earned", "2110": "provider/held",
		"2120": "provider/payable", "2130": "provider/committed", "4000": "network/commission", "4100": "network/slashed",
	}
	found := figures{}
	for _, byDay := range []bool{false, true} {
		o := documents.JournalOptions{Style: documents.JournalCSV, ByDay: byDay}
		if atMs != 0 {
			o.ToMs = atMs + 1
		}
		sums := figures{}
		for _, row := range readCSV(t, exportJournal(ctx, t, store, o)) {
			sums["all "+kinds[row["account_code"]]] += coins(t, row["credit"]) - coins(t, row["debit"])
			if !byDay {
				sums[kinds[row["account_code"]]+" "+row["owner"]] += coins(t, row["credit"]) - coins(t, row["debit"])
			}
		}
		for what, sum := range sums {
			if before, there := found[what]; there && before != sum {
				t.Errorf("%s is %s by day, %s by posting", what, sum, before)
			}
			found[what] = sum
		}
	}
	return found
}

func exportJournal(ctx context.Context, t *testing.T, store shelf, o documents.JournalOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := store.Read(ctx, func(r projections.Reader) error {
		_, err := documents.WriteJournal(ctx, &out, r, o)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// tableFigures sums the journal's table, as export table writes it.
func tableFigures(ctx context.Context, t *testing.T, store shelf, atMs int64) figures {
	t.Helper()
	found := figures{}
	if err := store.View(ctx, func(view projections.View) error {
		for line, err := range projections.RowsOf(ctx, view, projections.Journal) {
			if err != nil {
				return err
			}
			if atMs == 0 || line.AtMs <= atMs {
				found["all "+line.Kind] += line.Amount
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func readCSV(t *testing.T, raw []byte) []map[string]string {
	t.Helper()
	in := csv.NewReader(bytes.NewReader(raw))
	head, err := in.Read()
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]string
	for {
		fields, err := in.Read()
		if err == io.EOF {
			return rows
		}
		if err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, name := range head {
			row[name] = fields[i]
		}
		rows = append(rows, row)
	}
}

func coins(t *testing.T, text string) domain.Nano {
	t.Helper()
	if text == "" {
		return 0
	}
	nano, err := domain.ParseCoins(text)
	if err != nil {
		t.Fatal(err)
	}
	return nano
}

// TestFinanceSeesTheFlowsOfAMonthAsDocumentsDo: what was earned, paid, charged and given back in a month.
func TestFinanceSeesTheFlowsOfAMonthAsDocumentsDo(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	store, url := openPostgres(t)
	world := rig.New(t, rig.Options{Seed: 61, Store: store, Judged: true})
	liveAMonth(world)
	nextMonth(world)
	liveAMonth(world)
	world.Fold()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	sum := func(query, id string) int64 {
		t.Helper()
		var nano int64
		if err := conn.QueryRow(ctx, "SELECT (coalesce(("+query+"), 0) * 1000000000)::bigint", id).Scan(&nano); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return nano
	}
	same := func(what string, have *queryv1.Amount, want int64) {
		t.Helper()
		if have.Nano != want {
			t.Errorf("%s: the document says %s, finance sees %s", what, have.Coins, domain.Nano(want))
		}
	}
	api := openLibrary(t, world, store, nil).clients(ways["gRPC"], "")
	for _, provider := range world.Providers {
		id := hex.EncodeToString(provider.ID[:])
		said, err := api.GetStatement(ctx, &queryv1.GetStatementRequest{Provider: id, Month: "2026-01"})
		if err != nil {
			t.Fatal(err)
		}
		const days = " FROM finance.provider_statement WHERE provider = $1 AND day < '2026-02-01'"
		same("earned", said.Statement.AllWorkers.Earned, sum("SELECT sum(earned)"+days, id))
		same("paid", said.Statement.Paid, sum("SELECT sum(paid)"+days, id))
		same("closing", said.Statement.Closing.Total, sum("SELECT closing"+days+" ORDER BY day DESC LIMIT 1", id))
		usage, err := api.ListUsage(ctx, &queryv1.ListUsageRequest{Provider: id, FromMs: january.FromMs, ToMs: january.ToMs})
		if err != nil || len(usage.Usage) != 1 {
			t.Fatalf("usage: %v (%v)", usage, err)
		}
		same("gross", said.Statement.AllWorkers.Gross, usage.Usage[0].ChargeNano)
		same("fee", said.Statement.AllWorkers.Fee, usage.Usage[0].CommissionNano)
		if len(said.Statement.Batches) == 0 || len(said.Statement.Payments) == 0 || said.Statement.Payments[0].Batch != said.Statement.Batches[0].Number {
			t.Errorf("batches %v, payments %v", said.Statement.Batches, said.Statement.Payments)
		}
	}
	for _, client := range world.Clients {
		id := hex.EncodeToString(client.ID[:])
		said, err := api.GetInvoice(ctx, &queryv1.GetInvoiceRequest{Client: id, Month: "2026-01"})
		if err != nil {
			t.Fatal(err)
		}
		const lines = " FROM finance.client_invoice WHERE client = $1 AND month = '2026-01-01'"
		same("charged", said.Invoice.Charged, sum("SELECT sum(amount)"+lines+" AND line = 'usage'", id))
		same("refunded", said.Invoice.Refunded, -sum("SELECT sum(amount)"+lines+" AND line = 'refund'", id))
		same("net", said.Invoice.Net, sum("SELECT sum(amount)"+lines, id))
		same("deposited", said.Invoice.Deposited, sum(`SELECT sum(amount) FROM finance.journal AS j
			JOIN filature.accounts AS a ON encode(a.account, 'hex') = j.owner
			WHERE encode(a.client, 'hex') = $1 AND j.kind = 'client/available' AND j.what = 'account_funded' AND j.posted_at < '2026-02-01Z'`, id))
		if said.Invoice.Refunded.Nano == 0 || len(said.Invoice.Prices) == 0 {
			t.Errorf("refunded %v, prices %v", said.Invoice.Refunded, said.Invoice.Prices)
		}
	}
}

// TestHledgerBelievesTheJournal has the program that accountants use check it: every entry balances, every account is
// declared, and all comes to the closing balances that other tables have.
func TestHledgerBelievesTheJournal(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	store := openSQLite(t)
	world := rig.New(t, rig.Options{Seed: 67, Store: store, Judged: true})
	liveAMonth(world)
	nextMonth(world)
	liveAMonth(world)
	world.Fold()
	prices, err := documents.ReadPrices(strings.NewReader("date,currency,rate,source\n2026-01-01,EUR,1.5,x\n2026-01-02,EUR,1.6,x\n2026-01-03,EUR,1.7,x\n"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(journal []byte) error {
		name := filepath.Join(t.TempDir(), "ledger.journal")
		if err := os.WriteFile(name, journal, 0o600); err != nil {
			return err
		}
		said, err := exec.CommandContext(ctx, "hledger", "-f", name, "check", "--strict").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, said)
		}
		return nil
	}
	for name, o := range map[string]documents.JournalOptions{
		"all":             {},
		"by day":          {ByDay: true},
		"with prices":     {Options: documents.Options{Currency: "EUR", Prices: prices}, ToMs: time.Date(2026, 1, 4, 0, 0, 0, 0, time.UTC).UnixMilli()},
		"a month":         {FromMs: january.FromMs, ToMs: january.ToMs},
		"the month after": {FromMs: january.ToMs},
		"a month by day":  {FromMs: january.ToMs, ByDay: true},
	} {
		o.Style = documents.Hledger
		journal := exportJournal(ctx, t, store, o)
		if err := check(journal); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// One nanoton more on one line, and hledger does not believe it.
		at := bytes.LastIndex(journal, []byte("1 TON"))
		if at < 0 {
			t.Fatalf("%s: no amount ends in 1", name)
		}
		journal[at] = '2'
		if check(journal) == nil {
			t.Errorf("%s: hledger believes an amount that is wrong", name)
		}
	}
}

// TestDocumentsAreFilesForThoseWhoseTheyAre: the paths that browsers open, by key.
func TestDocumentsAreFilesForThoseWhoseTheyAre(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	world := live(t, store)
	keys := queryapi.Keys{}
	l := openLibrary(t, world, store, keys)
	for name, asker := range map[string]queryapi.Asker{
		"provider": {Role: queryapi.RoleProvider, Subject: l.job.Provider}, "client": {Role: queryapi.RoleClient, Subject: l.job.Client},
		"finance": {Role: queryapi.RoleFinance}, "auditor": {Role: queryapi.RoleAuditor},
	} {
		asker.Name = name
		keys[sha256.Sum256([]byte(name))] = asker
	}
	statement, invoice := "/statements/"+l.job.Provider.String()+"/2026-01", "/invoices/"+l.job.Client.String()+"/2026-01"
	for _, c := range []struct {
		path, key string
		status    int
		says      string
	}{
		{statement + ".html", "provider", http.StatusOK, "<h1>Statement, January 2026</h1>"},
		{statement + ".csv", "provider", http.StatusOK, "number,status,"},
		{statement + ".json", "auditor", http.StatusOK, `"heading": {`},
		{statement + ".html", "client", http.StatusForbidden, "permission_denied"},
		{statement + ".html", "", http.StatusUnauthorized, "want Bearer"},
		{statement + ".pdf", "provider", http.StatusBadRequest, "file: want"},
		{statement[:len(statement)-2] + "13.html", "provider", http.StatusBadRequest, "month: want"},
		{"/statements/12/2026-01.html", "finance", http.StatusBadRequest, "provider: want"},
		{"/statements/" + strings.Repeat("ab", 32) + "/2026-01.html", "finance", http.StatusNotFound, "not found"},
		{"/statements/" + strings.Repeat("ab", 32) + "/2026-01.html", "provider", http.StatusForbidden, "permission_denied"},
		{statement + ".html?currency=EUR", "provider", http.StatusBadRequest, "no price file"},
		{invoice + ".html", "client", http.StatusOK, "<h1>Invoice, January 2026</h1>"},
		{invoice + ".csv", "finance", http.StatusOK, "number,status,"},
		{invoice + ".html", "provider", http.StatusForbidden, "permission_denied"},
		{"/trial-balance/now.html", "finance", http.StatusOK, "Trial balance"},
		{fmt.Sprintf("/trial-balance/%d.csv", january.FromMs+1000), "auditor", http.StatusOK, "number,status,"},
		{"/trial-balance/yesterday.csv", "auditor", http.StatusBadRequest, "at_ms"},
		{"/trial-balance/now.html", "provider", http.StatusForbidden, "permission_denied"},
	} {
		request, err := http.NewRequestWithContext(projectionstest.Context(t), http.MethodGet, l.url+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if c.key != "" {
			request.Header.Set("Authorization", "Bearer "+c.key)
		}
		response, err := l.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.status || !strings.Contains(string(body), c.says) {
			t.Errorf("%s as %q: %d %.200s, want %d %s", c.path, c.key, response.StatusCode, body, c.status, c.says)
		}
		if policy := response.Header.Get("Content-Security-Policy"); c.status == http.StatusOK && !strings.Contains(policy, "style-src 'sha256-") {
			t.Errorf("%s: its policy is %q", c.path, policy)
		}
	}
}
