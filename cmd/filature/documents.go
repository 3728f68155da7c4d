package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/documents"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// printed is how a document goes out.
type printed struct {
	Out    string `type:"path" help:"File to write: .html, .csv or .json. Default: text, on standard output."`
	Format string `enum:"html,csv,json," default:"" help:"html, csv or json, where the name of the file does not say it."`
	JSON   bool   `help:"Print JSON."`
}

// priced says what amounts are in besides coins.
type priced struct {
	Coin     string `default:"TON" help:"Ticker of the coin."`
	Currency string `help:"Give amounts in this currency, too: EUR."`
	Prices   string `type:"existingfile" help:"Price file: CSV with date, currency, rate, source."`
}

func (p priced) options() (documents.Options, error) {
	o := documents.Options{Coin: p.Coin, Currency: p.Currency}
	if (p.Currency == "") != (p.Prices == "") {
		return o, usage("--currency and --prices want each other")
	}
	if p.Prices == "" {
		return o, nil
	}
	var err error
	o.Prices, err = readPrices(p.Prices)
	return o, err
}

func readPrices(name string) (*documents.Prices, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, usage("%w", err)
	}
	defer file.Close()
	prices, err := documents.ReadPrices(file)
	if err != nil {
		return nil, usage("%s: %w", name, err)
	}
	return prices, nil
}

// onPaper says what a document is made of, and how it goes out.
type onPaper struct {
	where
	printed
	priced
}

// statementCmd prints what a provider earned and was paid.
type statementCmd struct {
	onPaper

	Provider string `arg:"" help:"Name of a provider, or its id in hexadecimal."`
	Month    string `help:"Month, UTC: 2026-11. Default: the present one, as a draft."`
}

// Run prints a statement.
func (c *statementCmd) Run(ctx context.Context, out *console) error {
	name := func(p projections.Provider) (domain.ProviderID, string) { return p.Provider, p.Name }
	return c.ofMonth(ctx, out, c.Month, func(r projections.Reader, m documents.Month, o documents.Options) (documents.Document, error) {
		provider, err := named(ctx, r, "provider", c.Provider, projections.Providers, name)
		if err != nil {
			return nil, err
		}
		return documents.Statement(ctx, r, provider, m, o)
	})
}

// invoiceCmd prints what a client paid in and used.
type invoiceCmd struct {
	onPaper

	Client string `arg:"" help:"Name of a client, or its id in hexadecimal."`
	Month  string `help:"Month, UTC: 2026-11. Default: the present one, as a draft."`
}

// Run prints an invoice.
func (c *invoiceCmd) Run(ctx context.Context, out *console) error {
	name := func(p projections.Client) (domain.ClientID, string) { return p.Client, p.Name }
	return c.ofMonth(ctx, out, c.Month, func(r projections.Reader, m documents.Month, o documents.Options) (documents.Document, error) {
		client, err := named(ctx, r, "client", c.Client, projections.Clients, name)
		if err != nil {
			return nil, err
		}
		return documents.Invoice(ctx, r, client, m, o)
	})
}

// balanceCmd prints what all accounts hold, by kind.
type balanceCmd struct {
	onPaper

	At string `help:"Moment of log time, itself included: 2026-11-30T23:59:59.999Z, or a month for its end: 2026-11. Default: now."`
}

// Run prints a trial balance.
func (c *balanceCmd) Run(ctx context.Context, out *console) error {
	atMs, err := momentOf(c.At)
	if err != nil {
		return err
	}
	return c.print(ctx, out, func(r projections.Reader, o documents.Options) (documents.Document, error) {
		return documents.TrialBalance(ctx, r, atMs, o)
	})
}

func momentOf(text string) (atMs int64, err error) {
	if text == "" {
		return 0, nil
	}
	if month, err := documents.ParseMonth(text); err == nil {
		return month.ToMs - 1, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.UnixMilli() <= 0 {
		return 0, usage("--at %q: want a moment as 2026-11-30T23:59:59Z, or a month as 2026-11", text)
	}
	return at.UnixMilli(), nil
}

// ofMonth prints a document of a month; "" is the present one.
func (p onPaper) ofMonth(
	ctx context.Context, out *console, month string, makeIt func(projections.Reader, documents.Month, documents.Options) (documents.Document, error),
) (err error) {
	m := documents.MonthOf(time.Now())
	if month != "" {
		if m, err = documents.ParseMonth(month); err != nil {
			return usage("--month: %w", err)
		}
	}
	return p.print(ctx, out, func(r projections.Reader, o documents.Options) (documents.Document, error) { return makeIt(r, m, o) })
}

// print makes a document and lets it out.
func (p onPaper) print(
	ctx context.Context, out *console, makeIt func(projections.Reader, documents.Options) (documents.Document, error),
) (err error) {
	options, err := p.options()
	if err != nil {
		return err
	}
	source, err := p.openTables(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	var made documents.Document
	err = source.store.Read(ctx, func(r projections.Reader) error {
		if _, err := r.At(ctx); err != nil {
			return err
		}
		made, err = makeIt(r, options)
		return err
	})
	switch {
	case errors.Is(err, projections.ErrNotFound):
		return &exitError{exitNo, err}
	case errors.Is(err, documents.ErrNoRate):
		return usage("%w", err)
	case err != nil:
		return err
	}
	return p.write(out, made)
}

func (p printed) write(out *console, made documents.Document) error {
	format := documents.Format(p.Format)
	switch {
	case p.JSON:
		format = documents.JSON
	case format == "" && p.Out != "":
		format = documents.Format(strings.TrimPrefix(filepath.Ext(p.Out), "."))
		if format.MediaType() == "" {
			return usage("--out %s: want a name that ends in .html, .csv or .json, or --format", p.Out)
		}
	case format == "":
		printDocument(out, made)
		return nil
	}
	if p.Out == "" {
		return documents.Write(out.out, made, format)
	}
	to, done, err := replacing(p.Out)
	if err != nil {
		return usage("--out: %w", err)
	}
	if err := done(documents.Write(to, made, format)); err != nil {
		return err
	}
	out.stepf("wrote %s to %s", made.GetHeading().Number, p.Out)
	return nil
}

// named finds somebody by name, or takes an id as it is.
func named[I ~[32]byte, K comparable, R any, P interface {
	*R
	projections.Row
}](ctx context.Context, r projections.Reader, what, name string, model *projections.Definition[K, R, P], of func(R) (I, string)) (I, error) {
	if id, err := domain.ParseID[I](name); err == nil {
		return id, nil
	}
	for row, err := range projections.RowsOf(ctx, r, model) {
		if err != nil {
			return I{}, err
		}
		if id, have := of(row); have == name {
			return id, nil
		}
	}
	return I{}, &exitError{exitNo, fmt.Errorf("%s %q: %w", what, name, errNoSuchThing)}
}

// printDocument is a document for a terminal: its sums and what moved.
func printDocument(out *console, made documents.Document) {
	h := made.GetHeading()
	fmt.Fprint(out.out, h.Number)
	if h.PartyName != "" {
		fmt.Fprint(out.out, ", ", h.PartyName)
	}
	if h.Draft && h.Month != "" {
		fmt.Fprint(out.out, ", draft: the month is not over")
	}
	fmt.Fprint(out.out, "\n\n")
	switch d := made.(type) {
	case *queryv1.Statement:
		row := func(words string, f *queryv1.ProviderFunds) []string {
			return []string{words, f.Earned.Coins, f.Held.Coins, f.Payable.Coins, f.Committed.Coins, f.Total.Coins}
		}
		rows := [][]string{row("Opening", d.Opening)}
		for _, f := range d.Flows {
			rows = append(rows, row(f.Words, f.Moved))
		}
		out.table([]string{h.Coin, "earned", "held", "payable", "in batches", "together"}, rows, row("Closing", d.Closing))
	case *queryv1.Invoice:
		row := func(words string, f *queryv1.ClientFunds) []string {
			return []string{words, f.Available.Coins, f.Reserved.Coins, f.Total.Coins}
		}
		rows := [][]string{row("Opening", d.Opening)}
		for _, f := range d.Flows {
			rows = append(rows, row(f.Words, f.Moved))
		}
		out.table([]string{h.Coin, "available", "reserved", "together"}, rows, row("Closing", d.Closing))
		fmt.Fprintf(out.out, "\nCharged %s, refunded %s: %s %s net.\n", d.Charged.Coins, d.Refunded.Coins, d.Net.Coins, h.Coin)
	case *queryv1.TrialBalance:
		rows := make([][]string, len(d.Lines))
		for i, l := range d.Lines {
			rows[i] = []string{l.Kind, l.Debit.Coins, l.Credit.Coins}
		}
		out.table([]string{h.Coin, "debit", "credit"}, rows, []string{"All", d.Debit.Coins, d.Credit.Coins})
	}
	fmt.Fprintln(out.out, "\nCounted up to:")
	for _, head := range h.Log {
		fmt.Fprintf(out.out, "  shard %d, entry %d, root %s\n", head.Shard, head.Entries, head.Root)
	}
	fmt.Fprintln(out.out, "\nAll of it: --out FILE.html, .csv or .json")
}

// exportJournalCmd writes the general ledger for other programs.
type exportJournalCmd struct {
	where
	priced

	Style string `enum:"hledger,csv" default:"hledger" help:"hledger, or csv: a line for each posting, with debit and credit."`
	By    string `enum:"posting,day" default:"posting" help:"posting, or day: a day's postings summed by kind of account."`
	Month string `xor:"span" help:"Only this month, UTC: 2026-11."`
	From  string `xor:"span" help:"From this day on, UTC: 2026-11-01."`
	To    string `help:"To this day, itself not included."`
	Out   string `type:"path" help:"File to write. Default: standard output."`
}

// Run writes the journal.
func (c *exportJournalCmd) Run(ctx context.Context, out *console) (err error) {
	o := documents.JournalOptions{Style: documents.JournalStyle(c.Style), ByDay: c.By == "day"}
	if o.Options, err = c.options(); err != nil {
		return err
	}
	if o.FromMs, o.ToMs, err = c.span(); err != nil {
		return err
	}
	source, err := c.openTables(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.close()) }()
	to, done := out.out, func(err error) error { return err }
	if c.Out != "" {
		if to, done, err = replacing(c.Out); err != nil {
			return usage("--out: %w", err)
		}
	}
	var written int64
	err = done(source.store.Read(ctx, func(r projections.Reader) error {
		if _, err := r.At(ctx); err != nil {
			return err
		}
		written, err = documents.WriteJournal(ctx, to, r, o)
		return err
	}))
	if errors.Is(err, documents.ErrNoRate) {
		return usage("%w", err)
	}
	if err == nil {
		out.stepf("wrote %s postings", count(written))
	}
	return err
}

// span reads the days. 0 is the beginning, or the end.
func (c *exportJournalCmd) span() (fromMs, toMs int64, err error) {
	if c.Month != "" {
		if c.To != "" {
			return 0, 0, usage("--month and --to: want one of them")
		}
		month, err := documents.ParseMonth(c.Month)
		if err != nil {
			return 0, 0, usage("--month: %w", err)
		}
		return month.FromMs, month.ToMs, nil
	}
	for _, day := range []struct {
		flag, text string
		to         *int64
	}{{"--from", c.From, &fromMs}, {"--to", c.To, &toMs}} {
		if day.text == "" {
			continue
		}
		at, err := time.Parse(time.DateOnly, day.text)
		if err != nil || at.UnixMilli() <= 0 {
			return 0, 0, usage("%s %q: want a day as 2026-11-01", day.flag, day.text)
		}
		*day.to = at.UnixMilli()
	}
	if toMs != 0 && toMs <= fromMs {
		return 0, 0, usage("--to %s: want a day after --from", c.To)
	}
	return fromMs, toMs, nil
}
