package auditor_test

import (
	"context"
	"slices"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/rig"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

// paper is a log that somebody wrote anew: whole frames, right offsets, and whatever records it was
// given.
type paper [][]eventstore.Record

func copyOf(t *testing.T, log eventstore.Reader) paper {
	t.Helper()
	copied := make(paper, log.Shards())
	for shard := range copied {
		end, err := log.End(t.Context(), domain.Shard(shard))
		if err != nil {
			t.Fatal(err)
		}
		err = eventstore.Each(t.Context(), log, domain.Shard(shard), 0, end, func(r eventstore.Record) error {
			copied[shard] = append(copied[shard], r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

func (p paper) Shards() int { return len(p) }

func (p paper) End(_ context.Context, shard domain.Shard) (domain.Offset, error) {
	return domain.Offset(len(p[shard])), nil
}

func (p paper) Read(_ context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	if from < 0 || int(from) > len(p[shard]) {
		return nil, eventstore.ErrGap
	}
	return p[shard][from:min(len(p[shard]), int(from)+limit)], nil
}

func (p paper) Wait(ctx context.Context, _ domain.Shard, _ domain.Offset) error {
	<-ctx.Done()
	return ctx.Err()
}

// renumber gives every record of a shard the offset that it stands at.
func (p paper) renumber(shard domain.Shard) {
	for i := range p[shard] {
		p[shard][i].Offset = domain.Offset(i)
	}
}

func (p paper) remove(at domain.Position) {
	p[at.Shard] = slices.Delete(p[at.Shard], int(at.Offset), int(at.Offset)+1)
	p.renumber(at.Shard)
}

func (p paper) insert(at domain.Position, value []byte) {
	record := p[at.Shard][at.Offset]
	record.Value = value
	p[at.Shard] = slices.Insert(p[at.Shard], int(at.Offset), record)
	p.renumber(at.Shard)
}

// swap lets a record and the next change places.
func (p paper) swap(at domain.Position) {
	a, b := &p[at.Shard][at.Offset], &p[at.Shard][at.Offset+1]
	a.Value, b.Value = b.Value, a.Value
}

func (p paper) entry(t *testing.T, at domain.Position) *v1.Entry {
	t.Helper()
	entry, err := eventstore.DecodeEntry(at.Shard, eventstore.Record{Offset: at.Offset, Value: slices.Clone(p[at.Shard][at.Offset].Value)})
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// edit changes an entry and writes it as a clerk would.
func (p paper) edit(t *testing.T, at domain.Position, change func(*v1.Entry)) {
	t.Helper()
	entry := p.entry(t, at)
	change(entry)
	raw, err := v1.Encode(entry)
	if err != nil {
		t.Fatal(err)
	}
	p[at.Shard][at.Offset].Value = raw
}

// find returns the place of the first entry that is as wanted, at or after an offset.
func (p paper) find(t *testing.T, shard domain.Shard, from domain.Offset, want func(*v1.Entry) bool) domain.Position {
	t.Helper()
	for i := from; int(i) < len(p[shard]); i++ {
		at := domain.Position{Shard: shard, Offset: i}
		if entry := p.entry(t, at); !ledger.Void(i, entry) && want(entry) {
			return at
		}
	}
	t.Fatalf("no such entry in shard %d from %d on", shard, from)
	return domain.Position{}
}

// hasFact wants an entry whose first fact is of a kind.
func hasFact[T any](is func(*v1.Fact) *T) func(*v1.Entry) bool {
	return func(entry *v1.Entry) bool {
		facts := entry.GetAnswer().GetFacts()
		return len(facts) > 0 && is(facts[0]) != nil
	}
}

func entryWith(t *testing.T, p paper, shard domain.Shard, want func(*v1.Entry) bool) domain.Position {
	t.Helper()
	return p.find(t, shard, domain.Offset(len(p[shard])/3), want)
}

func anyAnswer(entry *v1.Entry) bool {
	return entry.GetAnswer() != nil && entry.GetAnswer().Refusal == nil
}

// told is a chain that tells what it was given.
type told struct {
	seen   settlement.Seen
	claims []*v1.Claim
	read   int
}

func chainOf(t *testing.T, w *rig.World) *told {
	t.Helper()
	c := &told{}
	history := w.Vault.History()
	for {
		claims, _, err := history.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(claims) == 0 {
			break
		}
		c.claims = append(c.claims, claims...)
	}
	var err error
	if c.seen, err = w.Vault.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *told) Look(context.Context) (settlement.Seen, error) { return c.seen, nil }

func (c *told) Next(context.Context) (claims []*v1.Claim, upToLT uint64, err error) {
	claims = c.claims[c.read:]
	c.read = len(c.claims)
	return claims, 1, nil
}

// crime is a history that somebody changed, and what an audit has to say of it first.
type crime struct {
	intake, ledger paper
	want           auditor.Offence // only what is set has to be as it is here
}

func place(at domain.Position) *auditor.Place {
	return &auditor.Place{Shard: int32(at.Shard), Offset: int64(at.Offset)}
}

// names checks that a report fails and that an offence of it is the wanted one, in all that is set.
func names(t *testing.T, r auditor.Report, want auditor.Offence) {
	t.Helper()
	if r.Verdict != auditor.Fail {
		t.Fatalf("verdict is %s, want fail:\n%s", r.Verdict, text(t, r))
	}
	for _, o := range r.Offences {
		if matches(o, want) {
			return
		}
	}
	t.Fatalf("want %s (field %q), got:\n%s", want, want.Field, text(t, r))
}

func matches(o, want auditor.Offence) bool {
	return o.Kind == want.Kind && o.Log == want.Log && samePlace(o.At, want.At) &&
		(want.Field == "" || o.Field == want.Field) && (want.Have == "" || o.Have == want.Have) &&
		(want.Want == "" || o.Want == want.Want) && (want.Batch == 0 || o.Batch == want.Batch) &&
		(want.LT == 0 || o.LT == want.LT) && (want.Table == "" || o.Table == want.Table) && (want.Row == "" || o.Row == want.Row)
}

func samePlace(a, b *auditor.Place) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
