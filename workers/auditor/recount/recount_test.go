package recount_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor/recount"
)

// records are a ledger's, in memory.
type records [][][]byte

func (r records) Read(_ context.Context, shard int, from int64, limit int) ([][]byte, error) {
	return r[shard][from:min(int(from)+limit, len(r[shard]))], nil
}

func (r records) ends() []int64 {
	ends := make([]int64, len(r))
	for shard := range r {
		ends[shard] = int64(len(r[shard]))
	}
	return ends
}

func ledgerOf(t testing.TB, w *rig.World) records {
	t.Helper()
	var all records
	for shard, end := range w.Ends() {
		all = append(all, nil)
		err := eventstore.Each(t.Context(), w.Ledger, domain.Shard(shard), 0, end, func(r eventstore.Record) error {
			all[shard] = append(all[shard], r.Value)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// lived is a world in which everything has happened.
func lived(t *testing.T, options rig.Options, jobs int) *rig.World {
	t.Helper()
	w := rig.New(t, options)
	for range 3 {
		w.Live(jobs)
		w.Work()
		w.Mature()
		w.Work()
		if w.Settle() == nil {
			t.Fatal("nobody is owed anything")
		}
	}
	w.Live(jobs / 2)
	w.Work()
	w.Fold()
	return w
}

// count counts a whole ledger and every batch in it.
func count(t testing.TB, log records) *recount.Count {
	t.Helper()
	c, err := recount.Begin(t.Context(), log, log.ends(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, sealed := range c.Batches() {
		if _, _, err := c.Batch(t.Context(), sealed); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.To(t.Context(), log.ends()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhoHasOnlyTheDocumentsComesToTheSameBooks(t *testing.T) {
	for seed := range uint64(4) {
		w := lived(t, rig.Options{Seed: seed, Judged: seed%2 == 1, DataShards: 1 + int(seed%3)}, 60)
		c := count(t, ledgerOf(t, w))
		if found, total := c.Disagreements(); total != 0 {
			t.Fatalf("seed %d: %d disagreements, the first: %+v", seed, total, found[0])
		}
		if batches := c.Batches(); len(batches) != 3 {
			t.Fatalf("seed %d: %d batches, want 3", seed, len(batches))
		}
		counted, err := c.Balances()
		if err != nil {
			t.Fatal(err)
		}
		err = w.Store.View(t.Context(), func(view projections.View) error {
			rows := 0
			for row, err := range projections.RowsOf(t.Context(), view, projections.Balances) {
				if err != nil {
					return err
				}
				rows++
				if have := counted[account(t, row.Kind, row.Owner)]; have != int64(row.Amount) {
					t.Errorf("seed %d, %s of %x: counted %d, the table has %d", seed, row.Kind, row.Owner, have, row.Amount)
				}
			}
			if totals := c.Totals(); int64(rows) != totals.Accounts || totals.Charges == 0 || totals.Matured == 0 {
				t.Errorf("seed %d: the table has %d accounts; counted %+v", seed, rows, totals)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if all, err := c.Imbalance(); all != 0 || err != nil {
			t.Errorf("seed %d: all accounts together are %d, %v", seed, all, err)
		}
	}
}

func account(t *testing.T, kind string, owner [32]byte) recount.Account {
	t.Helper()
	for value := range v1.AccountKind_name {
		if value != 0 && projections.KindName(v1.AccountKind(value)) == kind {
			return recount.Account{Kind: v1.AccountKind(value), Owner: owner}
		}
	}
	t.Fatalf("no account kind %q", kind)
	return recount.Account{}
}

// TestNoAmountInAFactCanBeWrongUnnoticed makes each number of nanotons in each kind of fact wrong by one, in turn.
func TestNoAmountInAFactCanBeWrongUnnoticed(t *testing.T) {
	w := lived(t, rig.Options{Seed: 3, Judged: true}, 40)
	log := ledgerOf(t, w)
	tried := map[string]bool{}
	for shard := range log {
		for offset, raw := range log[shard] {
			var entry v1.Entry
			if err := proto.Unmarshal(raw, &entry); err != nil {
				t.Fatal(err)
			}
			if entry.Offset != int64(offset) {
				continue
			}
			for i := range entry.GetAnswer().GetFacts() {
				for _, change := range amounts(entry.GetAnswer().Facts[i]) {
					if tried[change.name] {
						continue
					}
					tried[change.name] = true
					forged := proto.CloneOf(&entry)
					for _, same := range amounts(forged.GetAnswer().Facts[i]) {
						if same.name == change.name {
							same.add(1)
							break
						}
					}
					noticed(t, log, shard, offset, forged, change.name)
				}
			}
		}
	}
	for _, name := range []string{
		"account_funded.amount_nano", "job_submitted.reserved_nano", "job_completed.charge_nano", "job_completed.worker_nano",
		"job_completed.commission_nano", "job_completed.released_nano", "job_failed.charge_nano", "job_disputed.held_nano",
		"dispute_resolved.refund_nano", "earnings_matured.amount_nano", "earnings_matured.held_nano", "payout_observed.amount_nano",
		"batch_sealed.total_nano", "job_completed.postings[0]", "pay_released.amount_nano", "holdback_forfeited.amount_nano",
	} {
		if !tried[name] {
			t.Errorf("nothing in this world has a %s", name)
		}
	}
	t.Logf("%d amounts, one in each kind of fact", len(tried))
}

// noticed counts a ledger with one entry forged, and wants it named.
func noticed(t *testing.T, log records, shard, offset int, forged *v1.Entry, name string) {
	t.Helper()
	raw, err := proto.Marshal(forged)
	if err != nil {
		t.Fatal(err)
	}
	changed := slices.Clone(log)
	changed[shard] = slices.Clone(log[shard])
	changed[shard][offset] = raw
	c := count(t, changed)
	found, _ := c.Disagreements()
	if !slices.ContainsFunc(found, func(d recount.Disagreement) bool { return d.Shard == shard && d.Offset == int64(offset) }) {
		t.Errorf("%s at %d/%d is one more than it should be, and nobody noticed: %+v", name, shard, offset, found)
	}
}

type amount struct {
	name string
	add  func(int64)
}

// amounts are the numbers of nanotons in a fact: those that it says, and those that it posts.
func amounts(fact *v1.Fact) []amount {
	var all []amount
	message := fact.ProtoReflect()
	which := message.WhichOneof(message.Descriptor().Oneofs().ByName("body"))
	for i, posting := range fact.Postings {
		all = append(all, amount{fmt.Sprintf("%s.postings[%d]", which.Name(), i), func(n int64) { posting.AmountNano += n }})
	}
	body := message.Get(which).Message()
	fields := body.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if name := string(field.Name()); len(name) > 5 && name[len(name)-5:] == "_nano" && which.Name() != "network_set" {
			all = append(all, amount{string(which.Name()) + "." + name, func(n int64) {
				body.Set(field, protoreflect.ValueOfInt64(body.Get(field).Int()+n))
			}})
		}
	}
	return all
}

// BenchmarkCount counts a ledger a second time, batches and all.
func BenchmarkCount(b *testing.B) {
	w := rig.New(b, rig.Options{Seed: 71, Clients: 40, Providers: 20, DataShards: 1, Honest: true})
	w.Live(4000)
	w.Work()
	w.Mature()
	w.Work()
	w.Settle()
	log := ledgerOf(b, w)
	var facts int64
	b.ReportAllocs()
	for b.Loop() {
		c := count(b, log)
		facts = c.Totals().Facts
	}
	b.ReportMetric(float64(facts)*float64(b.N)/b.Elapsed().Seconds(), "facts/s")
}
