package main

import (
	"bufio"
	"encoding/csv"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/domain"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// sheetRow is a line of a table, by column.
type sheetRow map[string]string

// number is a cell that is one.
func (r sheetRow) number(t *testing.T, column string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(r[column], 10, 64)
	if err != nil {
		t.Fatalf("%s: %v in %v", column, err, r)
	}
	return n
}

func (r sheetRow) coins(t *testing.T, column string) int64 {
	t.Helper()
	if r[column] == "" {
		return 0
	}
	nano, err := domain.ParseCoins(r[column])
	if err != nil {
		t.Fatalf("%s: %v in %v", column, err, r)
	}
	return int64(nano)
}

func rowsOf(cells [][]string) []sheetRow {
	rows := make([]sheetRow, len(cells)-1)
	for i, line := range cells[1:] {
		rows[i] = sheetRow{}
		for column, name := range cells[0] {
			rows[i][name] = line[column]
		}
	}
	return rows
}

func sheetOf(t *testing.T, text string) []sheetRow {
	t.Helper()
	cells, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rowsOf(cells)
}

// tableFigures are what `export table` writes of a folder, added up as somebody with a spreadsheet would.
func tableFigures(t *testing.T, folder, format string) figures {
	t.Helper()
	f := figures{}
	table := func(name string, take func(sheetRow)) {
		t.Helper()
		var rows []sheetRow
		if format == "csv" {
			rows = sheetOf(t, invoke(t, "export", "table", name, "--data", folder).want(t, exitOK).stdout)
		} else {
			file := filepath.Join(t.TempDir(), name+".parquet")
			invoke(t, "export", "table", name, "--data", folder, "--out", file).want(t, exitOK)
			rows = rowsOf(parquetRows(t, file))
		}
		for _, row := range rows {
			take(row)
		}
	}
	table("balances", func(r sheetRow) {
		f.add(r.number(t, "amount_nano"), "balance", r["kind"], r["owner"])
		f.add(r.number(t, "amount_nano"), "kind", r["kind"])
		f.add(1, "accounts", r["kind"])
	})
	table("movements", func(r sheetRow) {
		f.add(r.number(t, "in_nano"), "movement", r["kind"], r["owner"], r["hour_ms"], "in")
		f.add(r.number(t, "out_nano"), "movement", r["kind"], r["owner"], r["hour_ms"], "out")
	})
	table("journal", func(r sheetRow) { f.add(r.number(t, "amount_nano"), "flow", r["kind"], r["owner"], r["what"]) })
	table("usage", func(r sheetRow) {
		for _, column := range usageColumns {
			f.add(r.number(t, column), "usage", r["hour_ms"], r["model"], r["provider"], r["client"], column)
			f.add(r.number(t, column), "usage in all", column)
		}
	})
	table("jobs", func(r sheetRow) {
		f.add(1, "jobs", r["state"])
		if r["dispute"] != "" {
			f.add(1, "disputes", r["dispute"])
		}
		for _, column := range jobColumns {
			f.add(r.number(t, column), "job", r["job"], column)
		}
	})
	table("worker_days", func(r sheetRow) {
		f.add(r.number(t, "refunded_nano")+r.number(t, "slashed_nano"), "provider taken back", r["provider"])
	})
	table("payouts", func(r sheetRow) {
		f.add(r.number(t, "paid_nano"), "provider paid", r["payee"])
		f.add(r.number(t, "committed_nano"), "provider promised", r["payee"])
	})
	table("deposits", func(r sheetRow) { f.add(r.number(t, "amount_nano"), "deposited", r["account"]) })
	table("rejections", func(r sheetRow) { f.add(1, "rejected", r["reason"]) })
	table("batches", func(r sheetRow) {
		f.add(r.number(t, "total_nano"), "batch", r["batch"], "total")
		f.add(r.number(t, "payees"), "batch", r["batch"], "payees")
		f.add(r.number(t, "lines"), "batch", r["batch"], "lines")
		f.add(digestOf(t, r["payout_root"]), "batch", r["batch"], "payout root")
		f.add(digestOf(t, r["commitment"]), "batch", r["batch"], "commitment")
	})
	table("batch_lines", func(r sheetRow) {
		f.add(r.number(t, "delta_nano"), "batch line", r["batch"], r["payee"], "delta")
		f.add(r.number(t, "cumulative_nano"), "batch line", r["batch"], r["payee"], "cumulative")
	})
	table("batch_cuts", func(r sheetRow) {
		f.add(r.number(t, "ledger_offset"), "batch cut", r["batch"], r["shard"], "offset")
		f.add(digestOf(t, r["log_root"]), "batch cut", r["batch"], r["shard"], "root")
	})
	return f
}

// The chart of accounts as docs/documents.md has it, for accountants' programs.
var chartOfAccounts = []struct{ code, hledger, kind string }{
	{"1000", "assets:vault", "vault/cash"},
	{"2000", "liabilities:clients:available", "client/available"}, {"2010", "liabilities:clients:reserved", "client/reserved"},
	{"2100", "liabilities:providers:earned", "provider/earned"}, {"2110", "liabilities:providers:held", "provider/held"},
	{"2120", "liabilities:providers:payable", "provider/payable"}, {"2130", "liabilities:providers:committed", "provider/committed"},
	{"4000", "revenues:commission", "network/commission"}, {"4100", "revenues:slashed", "network/slashed"},
}

// journalCSVFigures are what the journal for spreadsheets comes to: credit is what is owed.
func journalCSVFigures(t *testing.T, folder string) figures {
	t.Helper()
	kinds := map[string]string{}
	for _, a := range chartOfAccounts {
		kinds[a.code] = a.kind
	}
	f := figures{}
	for _, r := range sheetOf(t, invoke(t, "export", "journal", "--data", folder, "--style", "csv").want(t, exitOK).stdout) {
		n := r.coins(t, "credit") - r.coins(t, "debit")
		f.add(n, "balance", kinds[r["account_code"]], r["owner"])
		f.add(n, "kind", kinds[r["account_code"]])
	}
	return f
}

// hledgerFigures are what the journal for hledger comes to; its closing assertions, which are of other tables, must say so, too.
func hledgerFigures(t *testing.T, folder string) figures {
	t.Helper()
	f, asserted := figures{}, figures{}
	what := ""
	lines := bufio.NewScanner(strings.NewReader(invoke(t, "export", "journal", "--data", folder).want(t, exitOK).stdout))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) >= 3 && strings.HasPrefix(words[1], "("): // 2026-11-23 (1/5/1) account_funded, and the job if there is one
			what = words[2]
		case strings.HasPrefix(lines.Text(), "    "):
			kind, owner := "", ""
			for _, a := range chartOfAccounts {
				if rest, is := strings.CutPrefix(words[0], a.hledger); is {
					kind, owner = a.kind, strings.TrimPrefix(rest, ":")
				}
			}
			nano := -sheetRow{"n": words[len(words)-2]}.coins(t, "n") // debits are positive here
			if words[len(words)-3] == "=*" {
				asserted.add(nano, "kind", kind)
				continue
			}
			f.add(nano, "balance", kind, owner)
			f.add(nano, "kind", kind)
			f.add(nano, "flow", kind, owner, what)
		}
	}
	for name, n := range asserted {
		if f[name] != n {
			t.Errorf("the journal for hledger asserts %d of %s, its entries come to %d", n, name, f[name])
		}
	}
	return f
}

// paper is a document as a command writes it.
type paper struct {
	kind, party string // "statement", and the id of whose it is
	text        string
}

// papersOf has the program write every document of a folder.
func papersOf(t *testing.T, folder, format string, of *secondCount) (all []paper) {
	t.Helper()
	write := func(kind, party string, args ...string) {
		t.Helper()
		said := invoke(t, append([]string{kind}, append(args, "--data", folder, "--format", format)...)...)
		if said.code == exitNo && strings.Contains(said.stderr, "not found") {
			return // nothing happened in that month
		}
		all = append(all, paper{kind, party, said.want(t, exitOK).stdout})
	}
	write("balance", "")
	for _, month := range of.months {
		for _, provider := range of.providers() {
			write("statement", provider, provider, "--month", month)
		}
		for _, client := range of.clients() {
			write("invoice", client, client, "--month", month)
		}
	}
	return all
}

// jsonFigures are what documents say in JSON.
func jsonFigures(t *testing.T, papers []paper) figures {
	t.Helper()
	f := figures{}
	read := func(text string, into proto.Message) {
		t.Helper()
		if err := protojson.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
	}
	for _, p := range papers {
		switch p.kind {
		case "balance":
			var d queryv1.TrialBalance
			read(p.text, &d)
			for _, line := range d.Lines {
				f.add(line.Debit.Nano, "trial balance", line.Kind, "debit")
				f.add(line.Credit.Nano, "trial balance", line.Kind, "credit")
			}
		case "statement":
			var d queryv1.Statement
			read(p.text, &d)
			statementJSON(&d, p.party, f)
		case "invoice":
			var d queryv1.Invoice
			read(p.text, &d)
			invoiceJSON(&d, p.party, f)
		}
	}
	return f
}

func statementJSON(d *queryv1.Statement, provider string, f figures) {
	held := func(funds *queryv1.ProviderFunds) map[string]*queryv1.Amount {
		return map[string]*queryv1.Amount{"earned": funds.Earned, "held": funds.Held, "payable": funds.Payable, "committed": funds.Committed}
	}
	for word, amount := range held(d.Closing) {
		f[figure("provider holds", provider, word)] = amount.Nano // a later month takes the place of an earlier one
	}
	f[figure("provider owed", provider)] = d.Closing.Total.Nano
	for _, flow := range d.Flows {
		for word, amount := range held(flow.Moved) {
			f.add(amount.Nano, "statement flow", provider, "provider/"+word, flow.What)
		}
	}
	for _, w := range d.Workers {
		for what, n := range map[string]int64{
			"jobs": w.Jobs.Completed + w.Jobs.Failed + w.Jobs.Cancelled + w.Jobs.Expired, "prompt": w.Tokens.GetPrompt(), "completion": w.Tokens.GetCompletion(),
			"gross": w.Gross.Nano, "fee": w.Fee.Nano, "earned": w.Earned.Nano, "taken back": w.Refunded.Nano + w.Slashed.Nano,
		} {
			f.add(n, "worker", w.Worker, what)
		}
	}
	f.add(d.AllWorkers.Gross.Nano, "provider charged", provider)
	f.add(d.AllWorkers.Fee.Nano, "provider fee", provider)
	f.add(d.AllWorkers.Earned.Nano, "provider earned", provider)
	f.add(d.AllWorkers.Refunded.Nano+d.AllWorkers.Slashed.Nano, "provider taken back", provider)
	f.add(d.Paid.Nano, "provider paid", provider)
	for _, b := range d.Batches {
		f.add(b.Amount.Nano, "statement batch", provider, b.Number)
	}
}

func invoiceJSON(d *queryv1.Invoice, client string, f figures) {
	held := func(funds *queryv1.ClientFunds) map[string]*queryv1.Amount {
		return map[string]*queryv1.Amount{"available": funds.Available, "reserved": funds.Reserved}
	}
	for word, amount := range held(d.Closing) {
		f[figure("client holds", client, word)] = amount.Nano
	}
	for _, flow := range d.Flows {
		for word, amount := range held(flow.Moved) {
			f.add(amount.Nano, "invoice flow", client, "client/"+word, flow.What)
		}
	}
	for _, u := range d.Usage {
		for what, n := range map[string]int64{
			"jobs": u.Jobs.Completed + u.Jobs.Failed + u.Jobs.Cancelled + u.Jobs.Expired, "prompt": u.Tokens.GetPrompt(), "cached": u.Tokens.GetCached(),
			"completion": u.Tokens.GetCompletion(), "adjusted": u.AdjustedTokens, "charge": u.Charge.Nano,
		} {
			f.add(n, "invoice usage", client, u.ModelName, what)
		}
	}
	f.add(d.Charged.Nano, "client charged", client)
	f.add(d.Refunded.Nano, "client refunded", client)
	f.add(d.Deposited.Nano, "client deposited", client)
	for _, x := range d.Deposits {
		f.add(x.Amount.Nano, "deposited", x.Account)
	}
}

// sheetFigures are what documents say in CSV.
func sheetFigures(t *testing.T, papers []paper) figures {
	t.Helper()
	f := figures{}
	for _, p := range papers {
		for _, r := range sheetOf(t, p.text) {
			amount := r.coins(t, "amount")
			class, word, _ := strings.Cut(r["figure"], "/")
			switch p.kind + " " + r["section"] {
			case "balance account":
				f.add(amount, "trial balance", r["item"], r["figure"])
			case "statement closing", "invoice closing":
				f[figure(class+" holds", p.party, word)] = amount
			case "statement flow", "invoice flow":
				f.add(amount, p.kind+" flow", p.party, r["figure"], r["item"])
			case "statement worker":
				what := r["figure"]
				if what == "refunded" || what == "slashed" {
					what = "taken back"
				}
				f.add(amount, "worker", r["item"], what)
				if what == "gross" {
					f.add(r.number(t, "jobs"), "worker", r["item"], "jobs")
					f.add(r.number(t, "prompt_tokens"), "worker", r["item"], "prompt")
					f.add(r.number(t, "completion_tokens"), "worker", r["item"], "completion")
				}
			case "statement batch":
				f.add(amount, "statement batch", p.party, r["item"])
			case "statement payment":
				f.add(amount, "provider paid", p.party)
			case "invoice usage":
				f.add(amount, "invoice usage", p.party, r["name"], "charge")
				f.add(r.number(t, "jobs"), "invoice usage", p.party, r["name"], "jobs")
				for _, what := range []string{"prompt", "cached", "completion", "adjusted"} {
					f.add(r.number(t, what+"_tokens"), "invoice usage", p.party, r["name"], what)
				}
			case "invoice deposit":
				f.add(amount, "deposited", r["item"])
			case "invoice total":
				if r["figure"] != "net" {
					f.add(amount, "client "+r["figure"], p.party)
				}
			}
		}
	}
	return f
}
