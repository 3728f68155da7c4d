package main

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/browser"
)

// readPage takes from a page what a person reads there: the lists of names and values, and the tables, with the labels that
// both have. What is said to screen readers alone is told apart, and so are units, which stand beside their figures.
const readPage = `(() => {
	const said = (e, ...without) => {
		const copy = e.cloneNode(true);
		copy.querySelectorAll(["script", ...without].join()).forEach((x) => x.remove());
		return copy.textContent.trim();
	};
	const cell = (e) => ({
		Text: said(e, ".hidden", ".unit", ".narrow", "button"), Href: e.querySelector("a[href]")?.getAttribute("href") ?? "",
		Title: e.querySelector("[title]")?.title ?? "", Heard: [...e.querySelectorAll(".money > .hidden")].map((x) => x.textContent),
		Seen: [...e.querySelectorAll(".money > [aria-hidden]")].map((x) => x.textContent),
	});
	const labelled = (e) => e.getAttribute("aria-label") ?? document.getElementById(e.getAttribute("aria-labelledby"))?.textContent ?? "";
	const all = (e, what) => [...e.querySelectorAll(what)];
	return {
		Lists: all(document, "dl > div").map((d) => ({
			List: labelled(d.parentElement), Name: said(d.querySelector("dt")),
			Value: cell(d.querySelector(".value") ?? d.querySelector("dd")), Note: cell(d.querySelector(".note") ?? d.querySelector("dt")),
		})),
		Tables: all(document, "[role=region] > table").map((t) => ({
			Label: labelled(t.parentElement), Columns: all(t, "thead th").map((c) => said(c, ".unit")),
			Rows: all(t, "tbody tr").filter((r) => r.children.length === t.querySelectorAll("thead th").length).map((r) => [...r.children].map(cell)),
			Sums: all(t, "tfoot tr > *").map(cell),
		})),
	};
})()`

// pageCell is a place on a page that says something.
type pageCell struct {
	Text, Href, Title string
	// Heard is what a screen reader says of the amounts, Seen what the eye reads: the same.
	Heard, Seen []string
}

type pageRead struct {
	Lists []struct {
		List, Name  string
		Value, Note pageCell
	}
	Tables []struct {
		Label   string
		Columns []string
		Rows    [][]pageCell
		Sums    []pageCell // the last row, where it sums the others
	}
}

// reader reads pages of one server into figures.
type reader struct {
	t    *testing.T
	b    *browser.Browser
	url  string
	page string
	pageRead
	figures figures
}

// open shows a page, waits until it has the list or table that it is read for, and reads it. Where a table has sums, they are
// those of its rows.
func (r *reader) open(path, label string) {
	r.t.Helper()
	r.b.Show(r.url+path, browser.Screen{Width: 1280, Scheme: "light"})
	r.b.Until(fmt.Sprintf(`document.querySelector("main [aria-label='%s'], main [aria-labelledby]")`, label))
	r.page, r.pageRead = path, pageRead{}
	r.b.Ask(readPage, &r.pageRead)
	for _, table := range r.Tables {
		for i, sum := range table.Sums {
			if len(sum.Seen) != 1 || len(table.Rows) == 0 {
				continue
			}
			want := r.amount(sum)
			for _, row := range table.Rows {
				if len(row[i].Seen) == 1 {
					want -= r.amount(row[i])
				}
			}
			if want != 0 {
				r.t.Errorf("%s: the sum of %q in %q is off by %d", path, table.Columns[i], table.Label, want)
			}
		}
	}
}

// plain takes out of a figure what only groups its digits.
var plain = strings.NewReplacer("\u202f", "", ",", "", "+", "", "\u2212", "-")

var exactCoins = regexp.MustCompile(`^-?\d+\.\d{9}$`)

// nano is an amount as it is read. It is exact: nine digits behind the point, or it is no amount.
func (r *reader) nano(text string) int64 {
	r.t.Helper()
	text = plain.Replace(text)
	amount, err := domain.ParseCoins(strings.TrimPrefix(text, "-"))
	if err != nil || !exactCoins.MatchString(text) {
		r.t.Fatalf("%s: %q is no amount: %v", r.page, text, err)
	}
	if strings.HasPrefix(text, "-") {
		return -int64(amount)
	}
	return int64(amount)
}

func (r *reader) count(text string) int64 {
	r.t.Helper()
	n, err := strconv.ParseInt(plain.Replace(text), 10, 64)
	if err != nil {
		r.t.Fatalf("%s: %q is no count: %v", r.page, text, err)
	}
	return n
}

// amount is the one amount of a cell, which the ear gets as the eye does.
func (r *reader) amount(c pageCell) int64 {
	r.t.Helper()
	if len(c.Seen) == 1 && (len(c.Heard) != 1 || plain.Replace(c.Heard[0]) != plain.Replace(c.Seen[0])) {
		r.t.Errorf("%s: %q is said as %q", r.page, c.Seen, c.Heard)
	}
	return r.nano(c.Text)
}

// value is what stands beside a name in a list, note what stands below it.
func (r *reader) value(list, name string) (value, note pageCell) {
	r.t.Helper()
	for _, l := range r.Lists {
		if l.List == list && l.Name == name {
			return l.Value, l.Note
		}
	}
	r.t.Fatalf("%s: the list %q has no %q: %+v", r.page, list, name, r.Lists)
	return value, note
}

// shown notes the amount that stands beside a name in a list.
func (r *reader) shown(list, name, kind string, of ...any) {
	r.t.Helper()
	value, _ := r.value(list, name)
	r.figures[figure(kind, of...)] = r.amount(value)
}

// rows hands out each row of a table, by column. A table that is not there is empty: the page says so in words.
func (r *reader) rows(label string, take func(row map[string]pageCell)) {
	r.t.Helper()
	for _, table := range r.Tables {
		if table.Label != label {
			continue
		}
		for _, cells := range table.Rows {
			row := map[string]pageCell{}
			for i, column := range table.Columns {
				row[column] = cells[i]
			}
			take(row)
		}
	}
}

// idIn is the id that a link leads to.
func idIn(href string) string { return href[strings.LastIndex(href, "/")+1:] }

// pageFigures are what a person reads on the dashboard.
func pageFigures(t *testing.T, b *browser.Browser, url string, of *secondCount) figures {
	t.Helper()
	r := &reader{t: t, b: b, url: url, figures: figures{}}
	r.overview()
	r.providers(of)
	r.clients(of)
	r.batches(of)
	r.jobs(of)
	r.models(of)
	return r.figures
}

func (r *reader) overview() {
	r.open("/", "Money")
	r.shown("Money", "Money in", "network", "money in")
	r.shown("Money", "Owed to providers", "network", "owed to providers")
	r.shown("Money", "Paid", "network", "paid")
	r.shown("Money", "Vault", "network", "vault")
	jobs, _ := r.value("Work", "Jobs completed")
	r.figures[figure("usage in all", "jobs_completed")] = r.count(jobs.Text)
	r.rows("The books", func(row map[string]pageCell) {
		kind := row["Account"].Text
		switch {
		case kind == "vault/cash":
			r.figures[figure("kind", kind)] = -r.amount(row["Amount"])
		case strings.Contains(kind, "/"):
			r.figures[figure("kind", kind)] = r.amount(row["Amount"])
			r.figures[figure("accounts", kind)] = r.count(row["Owners"].Text)
		}
	})
	r.rows("Reasons", func(row map[string]pageCell) {
		r.figures[figure("rejected", strings.ReplaceAll(row["Reason"].Text, " ", "_"))] = r.count(row["Claims"].Text)
	})
}

func (r *reader) providers(of *secondCount) {
	r.open("/providers", "Providers")
	r.rows("Providers", func(row map[string]pageCell) {
		id := idIn(row["Provider"].Href)
		r.figures[figure("usage by provider", id, "jobs_completed")] = r.count(row["Jobs completed"].Text)
		r.figures[figure("provider earned", id)] = r.amount(row["Earned so far"])
		r.figures[figure("provider owed", id)] = r.amount(row["Not paid yet"])
		r.figures[figure("provider paid", id)] = r.amount(row["Paid"])
	})
	listed := maps.Clone(r.figures)
	for _, id := range of.providers() {
		r.open("/providers/"+id, "Provider")
		r.shown("Provider", "Earned so far", "provider earned", id)
		r.shown("Provider", "On its way", "provider owed", id)
		r.shown("Provider", "Paid", "provider paid", id)
		steps := map[string]string{"Earned": "earned", "Held": "held", "Payable": "payable", "In a batch": "committed"}
		r.rows("Where the pay stands", func(row map[string]pageCell) {
			if word, is := steps[row["Step"].Text]; is {
				r.figures[figure("provider holds", id, word)] = r.amount(row["Amount"])
			}
		})
		r.rows("Payouts", func(row map[string]pageCell) {
			r.figures[figure("statement batch", id, idIn(row["Batch"].Href))] = r.amount(row["Added"])
			r.figures[figure("batch line", idIn(row["Batch"].Href), id, "cumulative")] = r.amount(row["Cumulative"])
		})
	}
	for name, n := range listed {
		if r.figures[name] != n {
			r.t.Errorf("%s is %d in the list, %d on its own page", name, n, r.figures[name])
		}
	}
}

func (r *reader) clients(of *secondCount) {
	r.open("/clients", "Clients")
	r.rows("Clients", func(row map[string]pageCell) {
		id := idIn(row["Client"].Href)
		r.figures[figure("client holds", id, "available")] = r.amount(row["Available"])
		r.figures[figure("client holds", id, "reserved")] = r.amount(row["Reserved"])
	})
	for _, id := range of.clients() {
		r.open("/clients/"+id, "Client")
		available, reserved := r.value("Client", "Available")
		held := map[string]int64{"available": r.amount(available), "reserved": r.nano(reserved.Seen[0])}
		for word, n := range held {
			if listed := r.figures[figure("client holds", id, word)]; listed != n {
				r.t.Errorf("client %s: %s is %d in the list, %d on its own page", id, word, listed, n)
			}
		}
		r.shown("Client", "Charged so far", "client charged", id)
		r.rows("Accounts", func(row map[string]pageCell) {
			account := row["Account"].Title
			r.figures[figure("balance", "client/available", account)] = r.amount(row["Available"])
			r.figures[figure("balance", "client/reserved", account)] = r.amount(row["Reserved"])
		})
		r.rows("By model", func(row map[string]pageCell) {
			model := idIn(row["Model"].Href)
			for _, column := range []string{"Jobs completed", "Prompt tokens", "Completion tokens"} {
				what := strings.ToLower(strings.ReplaceAll(column, " ", "_"))
				r.figures[figure("usage by client and model", id, model, what)] = r.count(row[column].Text)
			}
			r.figures[figure("usage by client and model", id, model, "charge_nano")] = r.amount(row["Charged"])
		})
		r.rows("Disputes and refunds", func(row map[string]pageCell) {
			job := idIn(row["Job"].Href)
			r.figures[figure("job", job, "charge_nano")] = r.amount(row["Charged"])
			if len(row["Refunded"].Seen) == 1 { // else it is open
				r.figures[figure("job", job, "refund_nano")] = r.amount(row["Refunded"])
			}
		})
	}
}

func (r *reader) batches(of *secondCount) {
	r.open("/batches", "Batches")
	r.rows("Batches", func(row map[string]pageCell) {
		number := idIn(row["Batch"].Href)
		r.figures[figure("batch", number, "total")] = r.amount(row["Cumulative"])
		r.figures[figure("batch", number, "payees")] = r.count(row["Payees"].Text)
		r.figures[figure("batch", number, "payout root")] = digestOf(r.t, row["Payout root"].Title)
	})
	for _, batch := range of.books.Batches {
		number := fmt.Sprint(batch.Number)
		r.open("/batches/"+number, "Batch")
		total, _ := r.value("Batch", "Total, cumulative")
		if n := r.amount(total); n != r.figures[figure("batch", number, "total")] {
			r.t.Errorf("batch %s comes to %d in the list, to %d on its own page", number, r.figures[figure("batch", number, "total")], n)
		}
		root, _ := r.value("", "Payout root")
		commitment, _ := r.value("", "Commitment")
		r.figures[figure("batch", number, "payout root")] = digestOf(r.t, root.Text)
		r.figures[figure("batch", number, "commitment")] = digestOf(r.t, commitment.Text)
		_, changed := r.value("Batch", "Payees in the root")
		lines, _, _ := strings.Cut(changed.Text, " ")
		r.figures[figure("batch", number, "lines")] = r.count(lines)
		r.rows("Who gets what", func(row map[string]pageCell) {
			payee := idIn(row["Payee"].Href)
			r.figures[figure("batch line", number, payee, "delta")] = r.amount(row["Added"])
			r.figures[figure("batch line", number, payee, "cumulative")] = r.amount(row["Cumulative"])
		})
		r.rows("Cut", func(row map[string]pageCell) {
			shard := strings.Replace(row["Shard"].Text, "control", "0", 1)
			r.figures[figure("batch cut", number, shard, "offset")] = r.count(row["Offset"].Text)
			r.figures[figure("batch cut", number, shard, "root")] = digestOf(r.t, row["Root of the log"].Text)
		})
	}
}

// jobs reads the list, and the page of one job of each state, and of those whose pay was given back.
func (r *reader) jobs(of *secondCount) {
	r.open("/jobs", "Jobs")
	r.rows("Jobs", func(row map[string]pageCell) {
		r.figures[figure("job", idIn(row["Job"].Href), "charge_nano")] = r.amount(row["Charged"])
	})
	for _, id := range of.someJobs() {
		r.open("/jobs/"+id, "Job")
		charge, reserved := r.value("Job", "Charged")
		worker, commission := r.value("Job", "For the worker")
		r.figures[figure("job", id, "charge_nano")], r.figures[figure("job", id, "reserved_nano")] = r.amount(charge), r.nano(reserved.Seen[0])
		r.figures[figure("job", id, "worker_nano")], r.figures[figure("job", id, "commission_nano")] = r.amount(worker), r.nano(commission.Seen[0])
		for _, class := range []struct{ name, tokens, part string }{
			{"Prompt tokens", "prompt_tokens", "cached_tokens"}, {"Completion tokens", "completion_tokens", "reasoning_tokens"},
		} {
			value, _ := r.value("", class.name) // "1 234, 12 of them cached"
			tokens, rest, _ := strings.Cut(value.Text, ", ")
			part, _, _ := strings.Cut(rest, " ")
			r.figures[figure("job", id, class.tokens)], r.figures[figure("job", id, class.part)] = r.count(tokens), r.count(part)
		}
		adjusted, _ := r.value("", "Adjusted tokens")
		r.figures[figure("job", id, "adjusted_tokens")] = r.count(adjusted.Text)
		moved := figures{}
		r.rows("Postings", func(row map[string]pageCell) {
			moved.add(r.amount(row["Amount"]), "job postings", id, row["Account"].Text)
		})
		maps.Copy(r.figures, moved)
	}
}

func (r *reader) models(of *secondCount) {
	for _, model := range of.models() {
		r.open("/market/"+model, "Latest hours")
		r.rows("Latest hours", func(row map[string]pageCell) {
			hour := hourOf(r.t, row["Hour, UTC"].Text)
			r.figures[figure("market", hour, model, "jobs")] = r.count(row["Jobs"].Text)
			r.figures[figure("market", hour, model, "tokens")] = r.count(row["Tokens"].Text)
			if len(row["A million tokens"].Seen) == 1 { // else nothing cleared
				r.figures[figure("market", hour, model, "per million")] = r.amount(row["A million tokens"])
			}
		})
	}
}
