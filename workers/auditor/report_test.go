package auditor

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var update = flag.Bool("update", false, "write the golden files")

// passed and failed are reports as people meet them.
func passed() Report {
	root := strings.Repeat("9f3ca1", 11)[:64]
	r := Report{
		Network: strings.Repeat("82871d32", 8),
		Steps: []Step{
			Step{Name: "files"}.done(count(6, "files"), count(12_345_678, "bytes")),
			Step{Name: "ledger"}.done(count(48_213, "entries"), count(61_002, "facts"), count(120_332, "postings"), count(48_001, "signatures")),
			Step{Name: "batches"}.done(count(1, "batches"), count(6, "payout lines")),
			Step{Name: "chain"}.done(count(1203, "events booked"), count(2, "events not booked yet")),
			Step{Name: "projections"}.skip("no store of read models was given"),
			Step{Name: "money"}.done(count(27, "accounts")),
		},
		Shards: []Shard{
			{Shard: 0, Checked: 213, End: 213, Answered: 212, Facts: 412},
			{Shard: 1, Checked: 48_000, End: 48_000, Answered: 47_989, Pending: 3, Facts: 60_590, Rejections: 37, Refusals: 5, Postings: 120_332, Void: 12},
		},
		Batches: []Batch{{
			Number: 1, Cut: []int64{7, 52}, Root: root, LogRoot: root, ChainRoot: root, Equal: true, TotalNano: 4_016_535,
			Payees: 6, State: "activated", Tx: strings.Repeat("a777f00d", 8), Sealed: Place{0, 8},
		}, {
			Number: 2, Cut: []int64{99, 40_000}, Root: root, LogRoot: root, TotalNano: 5_000_000, Payees: 6, State: "sealed", Sealed: Place{0, 100},
		}},
		Money: &Money{
			ClientsNano: 599_985_943_562, ProvidersNano: 4_131_113, NetworkNano: 1_105_812, BooksNano: 599_991_180_487,
			Vault: &VaultMoney{FreeNano: 600_041_180_487, PaidNano: 8_819_513, PendingInNano: 50_000_000},
		},
		Offences: []Offence{}, Totals: []KindTotal{},
	}
	r.Verdict = r.verdict()
	return r
}

func failed() Report {
	r := passed()
	r.Shards[1].Checked, r.Shards[1].Why = 17, "not to be believed from entry 17 on"
	r.Batches[0].ChainRoot, r.Batches[0].Equal = strings.Repeat("00", 32), false
	r.Steps[2] = Step{Name: "batches"}.stop(errNoSuchBatch)
	r.Steps[5] = Step{Name: "money"}.skip("the ledger was not made again to its end")
	r.Money = nil
	var o offences
	o.add(Offence{Kind: DamagedFile, Log: Ledger, File: "ledger/000000000003.seg", Byte: 4711, At: &Place{1, 12}, Why: "frame: checksum does not match"})
	o.add(Offence{
		Kind: ChangedEntry, Log: Ledger, At: &Place{1, 17}, Intake: &Place{1, 15}, Field: "answer.facts[0].postings[2].amount_nano",
		Have: "190", Want: "19", Why: "is not what follows from the log before it",
	})
	o.add(Offence{Kind: UnbookedEvent, Log: OnChain, LT: 52_000, Why: "a payout that the ledger of shard 0 passed over: later ones were brought to it"})
	o.add(Offence{
		Kind: BatchOnChain, Log: Ledger, At: &Place{0, 8}, Batch: 1, Field: "payout_root",
		Have: r.Batches[0].ChainRoot, Want: r.Batches[0].Root, Why: "the vault took another batch than was sealed",
	})
	for range 25 {
		o.add(Offence{
			Kind: ChangedRow, Log: ReadModels, Table: "balances", Row: "kind=vault/cash, owner=", Field: "amount_nano",
			Have: "1", Want: "2", Why: "is not what the ledger adds up to",
		})
	}
	r.Offences, r.Totals = o.list[:6], o.totals
	r.Verdict = r.verdict()
	return r
}

func TestReportsReadAsTheyAlwaysDid(t *testing.T) {
	resumed := passed()
	resumed.Resumed = &Resumed{
		Shards:  []ResumedShard{{0, 213, domain.Digest{1}}, {1, 40_960, domain.Digest{2}}},
		Batches: true, Folded: 30_000,
	}
	for name, report := range map[string]Report{"passed": passed(), "failed": failed(), "resumed": resumed} {
		var text bytes.Buffer
		if err := WriteText(&text, report); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".txt", text.Bytes())
		raw, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", append(raw, '\n'))
	}
}

func golden(t *testing.T, name string, have []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, have, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is now\n%s", path, have)
	}
}

func TestTheVerdictIsTheWorstOfAllSteps(t *testing.T) {
	done, stopped, skipped := Step{Name: "ledger"}.done(), Step{Name: "chain"}.stop(errRestless), Step{Name: "ledger"}.skip("why")
	offence := []Offence{{Kind: ChangedEntry}}
	for _, c := range []struct {
		report Report
		want   Verdict
	}{
		{Report{Steps: []Step{done}}, Pass},
		{Report{Steps: []Step{done, stopped}}, Incomplete},
		{Report{Steps: []Step{skipped}}, Incomplete},
		{Report{Steps: []Step{done, stopped}, Offences: offence}, Fail},
		{Report{Steps: []Step{skipped}, Offences: offence}, Fail},
		{Report{}, Incomplete},
	} {
		if got := c.report.verdict(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.report, got, c.want)
		}
	}
}

func posting(kind v1.AccountKind, amount int64) *v1.Posting {
	return &v1.Posting{Kind: kind, AmountNano: amount}
}

func TestAClientBelowZeroIsSeenAtOnce(t *testing.T) {
	b := newBooks(1)
	in := &v1.Fact{Postings: []*v1.Posting{
		posting(v1.AccountKind_ACCOUNT_KIND_VAULT_CASH, -5), posting(v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, 5),
	}}
	out := &v1.Fact{Postings: []*v1.Posting{
		posting(v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, -3), posting(v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, 3),
	}}
	for i, step := range []struct {
		fact *v1.Fact
		ok   bool
	}{{in, true}, {out, true}, {out, false}} {
		if why := b.post(step.fact); (why == "") != step.ok {
			t.Errorf("fact %d: %q", i, why)
		}
	}
	// On the way a fact may pass below zero.
	swap := &v1.Fact{Postings: append(out.Postings, in.Postings...)}
	c := newBooks(1)
	if why := c.post(swap); why != "" {
		t.Errorf("a fact that ends above zero: %q", why)
	}
}

func TestATrialBalanceThatIsNotZeroIsAnOffence(t *testing.T) {
	for _, cash := range []domain.Nano{-7, -6} {
		r := &replay{books: newBooks(1)}
		r.books.balances[account{kind: v1.AccountKind_ACCOUNT_KIND_VAULT_CASH}] = cash
		r.books.balances[account{kind: v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE}] = 7
		a := &audit{shards: []*replay{r}}
		if step := a.countMoney(t.Context()); step.State != StepDone || a.report.Money.TrialBalanceNano != 7+cash {
			t.Fatalf("%+v, %+v", step, a.report.Money)
		}
		if offends := len(a.offences.list) == 1 && a.offences.list[0].Kind == Unbalanced; offends != (cash != -7) {
			t.Errorf("cash %d: %v", cash, a.offences.list)
		}
	}
}
