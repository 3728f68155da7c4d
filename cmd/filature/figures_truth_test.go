package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor/recount"
)

// figures are numbers by what they are of: "balance: provider/held 3f…". What stands before the colon is the kind of figure.
type figures map[string]int64

// figure names a number by its kind and what it is of. What is empty is a dash, so that a missing owner moves nothing.
func figure(kind string, of ...any) string {
	words := make([]string, len(of))
	for i, part := range of {
		switch part := part.(type) {
		case [32]byte:
			words[i] = hexOf(part)
		default:
			words[i] = fmt.Sprint(part)
		}
		if words[i] == "" {
			words[i] = "-"
		}
	}
	return kind + ": " + strings.Join(words, " ")
}

func (f figures) add(n int64, kind string, of ...any) { f[figure(kind, of...)] += n }

func hexOf(id [32]byte) string {
	if id == [32]byte{} {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// ledgerFiles is a ledger as recount reads it.
type ledgerFiles struct{ log eventstore.Reader }

func (l ledgerFiles) Read(ctx context.Context, shard int, from int64, limit int) ([][]byte, error) {
	records, err := l.log.Read(ctx, domain.Shard(shard), domain.Offset(from), limit)
	raw := make([][]byte, len(records))
	for i := range records {
		raw[i] = records[i].Value
	}
	return raw, err
}

// secondCount is what a ledger comes to at a place in it, to somebody who has only the documents: workers/auditor/recount, which
// shares no code with what decides, folds, asks and shows.
type secondCount struct {
	books *recount.Books
	// thenMs is a moment in the middle: what was so then is asked, too, and what has moved since. months are those that there are
	// postings in.
	thenMs  int64
	months  []string
	figures figures
}

var errDisagrees = errors.New("the second count disagrees with the ledger")

// countAgain counts a ledger from its first entry up to a place.
func countAgain(ctx context.Context, log eventstore.Reader, ends []int64) (*secondCount, error) {
	count, err := recount.Begin(ctx, ledgerFiles{log}, ends, nil)
	if err != nil {
		return nil, err
	}
	t := &secondCount{figures: figures{}}
	if t.books, err = recount.ReadBooks(ctx, ledgerFiles{log}, ends); err != nil {
		return nil, err
	}
	for i, sealed := range count.Batches() {
		root, payees, err := count.Batch(ctx, sealed)
		if err != nil {
			return nil, err
		}
		t.batch(t.books.Batches[i], root, payees)
	}
	if err := count.To(ctx, ends); err != nil {
		return nil, err
	}
	if found, total := count.Disagreements(); total != 0 {
		return nil, fmt.Errorf("%w: %+v", errDisagrees, found)
	}
	balances, err := count.Balances()
	if err != nil {
		return nil, err
	}
	for account, held := range balances {
		t.balance(account, held)
	}
	byTime := func(a, b recount.Posting) int { return cmp.Compare(a.AtMs, b.AtMs) }
	first, last := slices.MinFunc(t.books.Postings, byTime).AtMs, slices.MaxFunc(t.books.Postings, byTime).AtMs
	t.thenMs = (first + last) / 2
	t.months = slices.Compact([]string{monthOf(first), monthOf(last)}) // a demo has four days
	for _, p := range t.books.Postings {
		t.posting(p)
	}
	for name, job := range t.books.Jobs {
		t.job(name, job)
	}
	t.market()
	for reason, n := range t.books.Rejected {
		t.figures.add(n, "rejected", reason)
	}
	return t, nil
}

// providers and clients are the ids of those who took part.
func (t *secondCount) providers() []string {
	all := map[string]bool{}
	for _, j := range t.books.Jobs {
		all[hexOf(j.Provider)] = true
	}
	delete(all, "")
	return slices.Sorted(maps.Keys(all))
}

func (t *secondCount) clients() []string {
	all := map[string]bool{}
	for _, client := range t.books.ClientOf {
		all[hexOf(client)] = true
	}
	return slices.Sorted(maps.Keys(all))
}

func (t *secondCount) models() []string {
	all := map[string]bool{}
	for _, j := range t.books.Jobs {
		all[hexOf(j.Model)] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// someJobs are two of each state, dispute and end of held pay.
func (t *secondCount) someJobs() (some []string) {
	seen := map[string]int{}
	for _, name := range slices.SortedFunc(maps.Keys(t.books.Jobs), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }) {
		j := t.books.Jobs[name]
		kind := fmt.Sprint(j.State, j.Dispute, j.Hold, j.Refused > 0, j.Slashed > 0)
		if seen[kind]++; seen[kind] <= 2 {
			some = append(some, hexOf(name))
		}
	}
	return some
}

func monthOf(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01") }

// chart has the words of the chart of accounts, as docs/money.md has them.
var chart = map[v1.AccountKind]string{
	v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE: "client/available", v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED: "client/reserved",
	v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED: "provider/earned", v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD: "provider/held",
	v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE: "provider/payable", v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED: "provider/committed",
	v1.AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION: "network/commission", v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED: "network/slashed",
	v1.AccountKind_ACCOUNT_KIND_VAULT_CASH: "vault/cash",
}

func (t *secondCount) balance(account recount.Account, held int64) {
	kind, f := chart[account.Kind], t.figures
	f.add(held, "balance", kind, account.Owner)
	f.add(held, "kind", kind)
	f.add(1, "accounts", kind)
	f.add(max(held, 0), "trial balance", kind, "credit")
	f.add(max(-held, 0), "trial balance", kind, "debit")
	class, word, _ := strings.Cut(kind, "/")
	switch class {
	case "provider":
		f.add(held, "provider holds", account.Owner, word)
		f.add(held, "provider owed", account.Owner)
		f.add(held, "network", "owed to providers")
	case "client":
		client := t.books.ClientOf[account.Owner]
		f.add(held, "client holds", client, word)
	case "vault":
		f.add(-held, "network", "vault")
	}
}

func (t *secondCount) posting(p recount.Posting) {
	kind, owner, f := chart[p.Account.Kind], p.Account.Owner, t.figures
	if p.AtMs <= t.thenMs {
		f.add(p.Amount, "balance then", kind, owner)
		f.add(p.Amount, "kind then", kind)
	}
	hour := p.AtMs - p.AtMs%time.Hour.Milliseconds()
	if p.Amount > 0 {
		f.add(p.Amount, "movement", kind, owner, hour, "in")
	} else {
		f.add(-p.Amount, "movement", kind, owner, hour, "out")
	}
	isProviders, isClients := strings.HasPrefix(kind, "provider/"), strings.HasPrefix(kind, "client/")
	client := t.books.ClientOf[owner]
	if p.AtMs > t.thenMs {
		f.add(p.Amount, "flow since", kind, owner, p.What)
	}
	f.add(p.Amount, "flow", kind, owner, p.What)
	if p.Job != [32]byte{} {
		f.add(p.Amount, "job postings", p.Job, kind)
	}
	if isProviders {
		f.add(p.Amount, "statement flow", owner, kind, p.What)
	} else if isClients {
		f.add(p.Amount, "invoice flow", client, kind, p.What)
	}
	switch {
	case p.What == "account_funded" && isClients:
		f.add(p.Amount, "deposited", owner)
		f.add(p.Amount, "client deposited", client)
		f.add(p.Amount, "network", "money in")
	case p.What == "payout_observed" && isProviders:
		f.add(-p.Amount, "provider paid", owner)
		f.add(-p.Amount, "network", "paid")
	case (p.What == "batch_sealed" || p.What == "batch_vetoed") && kind == "provider/committed":
		f.add(p.Amount, "provider promised", owner)
		f.add(p.Amount, "network", "promised")
	}
}

// measures are what usage counts, in the words of the tables.
func measures(j *recount.Job) map[string]int64 {
	return map[string]int64{
		"jobs_" + j.State: 1, "prompt_tokens": j.Usage.PromptTokens, "cached_tokens": j.Usage.CachedTokens,
		"completion_tokens": j.Usage.CompletionTokens, "reasoning_tokens": j.Usage.ReasoningTokens,
		"adjusted_tokens": j.Adjusted, "charge_nano": j.Charge, "worker_nano": j.WorkerPart, "commission_nano": j.Fee,
	}
}

func (t *secondCount) job(name [32]byte, j *recount.Job) {
	f := t.figures
	f.add(1, "jobs", j.State)
	if j.Dispute != "" {
		f.add(1, "disputes", j.Dispute)
	}
	f.add(j.Reserved, "job", name, "reserved_nano")
	for what, n := range measures(j) {
		if !strings.HasPrefix(what, "jobs_") {
			f.add(n, "job", name, what)
		}
	}
	f.add(j.Refund, "job", name, "refund_nano")
	f.add(j.Slashed, "job", name, "slashed_nano")
	f.add(j.Refund+j.Refused, "client refunded", j.Client)
	f.add(j.FromWorker+j.RefusedFromWorker+j.Slashed, "provider taken back", j.Provider)
	if j.ClosedMs == 0 {
		return
	}
	hour := j.ClosedMs - j.ClosedMs%time.Hour.Milliseconds()
	day := time.UnixMilli(j.ClosedMs).UTC().Format(time.DateOnly)
	for what, n := range measures(j) {
		f.add(n, "usage", hour, j.Model, j.Provider, j.Client, what)
		f.add(n, "usage by day", day, j.Model, j.Provider, j.Client, what)
		f.add(n, "usage by hour", hour, what)
		f.add(n, "usage by model", j.Model, what)
		f.add(n, "usage by provider", j.Provider, what)
		f.add(n, "usage by client", j.Client, what)
		f.add(n, "usage by client and model", j.Client, j.Model, what)
		f.add(n, "usage in all", what)
	}
	for what, n := range map[string]int64{
		"jobs": 1, "prompt": j.Usage.PromptTokens, "cached": j.Usage.CachedTokens, "completion": j.Usage.CompletionTokens,
		"adjusted": j.Adjusted, "charge": j.Charge,
	} {
		f.add(n, "invoice usage", j.Client, t.books.NameOf[j.Model], what)
	}
	f.add(j.Charge, "client charged", j.Client)
	if j.Worker == [32]byte{} {
		return
	}
	for what, n := range map[string]int64{
		"jobs": 1, "prompt": j.Usage.PromptTokens, "completion": j.Usage.CompletionTokens, "gross": j.Charge, "fee": j.Fee, "earned": j.WorkerPart,
		"taken back": j.FromWorker + j.RefusedFromWorker + j.Slashed,
	} {
		f.add(n, "worker", j.Worker, what)
	}
	f.add(1, "provider jobs ended", j.Provider)
	f.add(j.Charge, "provider charged", j.Provider)
	f.add(j.Fee, "provider fee", j.Provider)
	f.add(j.WorkerPart, "provider earned", j.Provider)
}

// market adds up what cleared by hour and model, and what a million tokens cost, rounded down.
func (t *secondCount) market() {
	type hour struct {
		ms    int64
		model [32]byte
	}
	charged, tokens := map[hour]int64{}, map[hour]int64{}
	for _, j := range t.books.Jobs {
		if j.State != "completed" {
			continue
		}
		at := hour{j.ClosedMs - j.ClosedMs%time.Hour.Milliseconds(), j.Model}
		charged[at] += j.Charge
		tokens[at] += j.Usage.PromptTokens + j.Usage.CompletionTokens
		t.figures.add(1, "market", at.ms, at.model, "jobs")
	}
	for at := range charged {
		t.figures.add(charged[at], "market", at.ms, at.model, "charge")
		t.figures.add(tokens[at], "market", at.ms, at.model, "tokens")
		t.figures.add(charged[at]*1_000_000/tokens[at], "market", at.ms, at.model, "per million")
	}
}

// batch takes a batch down as it was made again.
func (t *secondCount) batch(b *recount.Batch, root [32]byte, payees int64) {
	f := t.figures
	f.add(b.TotalNano, "batch", b.Number, "total")
	f.add(payees, "batch", b.Number, "payees")
	f.add(int64(len(b.Lines)), "batch", b.Number, "lines")
	f.add(digest(root[:]), "batch", b.Number, "payout root")
	f.add(digest(b.Commitment), "batch", b.Number, "commitment")
	for shard, offset := range b.Cut {
		f.add(offset, "batch cut", b.Number, shard, "offset")
		f.add(digest(b.LogRoots[shard]), "batch cut", b.Number, shard, "root")
	}
	for _, line := range b.Lines {
		payee := [32]byte(line.Payee)
		f.add(line.DeltaNano, "batch line", b.Number, payee, "delta")
		f.add(line.CumulativeNano, "batch line", b.Number, payee, "cumulative")
		f.add(line.DeltaNano, "statement batch", payee, b.Number)
	}
}

// digest is the beginning of a hash as a number, so that hashes are compared as all else is.
func digest(hash []byte) int64 { return int64(binary.BigEndian.Uint64(hash) >> 1) }

func digestOf(t *testing.T, text string) int64 {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 32 {
		t.Fatalf("%q is no hash", text)
	}
	return digest(raw)
}
