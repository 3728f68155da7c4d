package projections

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func TestAValueThatDoesNotFitItsColumnIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field, value any
	}{
		"text in a number":       {new(int64), "7"},
		"a number in text":       {new(string), int64(7)},
		"a number in an id":      {new([32]byte), int64(7)},
		"bytes in a number":      {new(uint32), []byte{7}},
		"half an id":             {new([32]byte), make([]byte, 16)},
		"too much for 32 bits":   {new(uint32), int64(1) << 32},
		"below zero, unsigned":   {new(uint32), int64(-1)},
		"too low for 32 bits":    {new(int32), -int64(1)<<31 - 1},
		"neither true nor false": {new(bool), int64(2)},
		"a null":                 {new([]byte), nil},
		"a float":                {new(int64), 7.0},
	} {
		if err := (Column{"amount_nano", c.field}).Set(c.value); err == nil || !strings.Contains(err.Error(), "amount_nano") {
			t.Errorf("%s: error is %v, want one that names the column", name, err)
		}
	}
}

func TestEveryModelKeepsTheRulesOfATable(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, model := range All() {
		table := model.Table()
		if names[table.Name] {
			t.Errorf("two models are called %s", table.Name)
		}
		names[table.Name] = true
		columns := table.New().Columns(nil)
		if table.Version < 1 || table.KeyColumns < 1 || table.KeyColumns >= len(columns) {
			t.Errorf("%s has %d key columns of %d", table, table.KeyColumns, len(columns))
		}
		if !isBlank(columns, table.KeyColumns) {
			t.Errorf("a new row of %s says something", table)
		}
		seen := map[string]bool{}
		for _, c := range columns {
			if seen[c.Name] || strings.ToLower(c.Name) != c.Name {
				t.Errorf("%s has a second or misspelt column %s", table, c.Name)
			}
			seen[c.Name] = true
		}
	}
}

func TestEveryFactKindAndReasonHasAName(t *testing.T) {
	t.Parallel()
	if fields := (&v1.Fact{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields().Len(); len(factNames) != fields {
		t.Errorf("%d facts have names, there are %d", len(factNames), fields)
	}
	for kind := range v1.AccountKind_name {
		if name := KindName(v1.AccountKind(kind)); kind != 0 && strings.Count(name, "/") != 1 {
			t.Errorf("account kind %d is called %q", kind, name)
		}
	}
	for reason := range v1.Reason_name {
		if name := ReasonName(v1.Reason(reason)); reason != 0 && name == "" {
			t.Errorf("reason %d has no name", reason)
		}
	}
	if name := FactName(&v1.Fact{Body: &v1.Fact_JobCompleted{}}); name != "job_completed" {
		t.Errorf("a completed job is called %q", name)
	}
	if KindName(v1.AccountKind_ACCOUNT_KIND_VAULT_CASH) != "vault/cash" || ReasonName(v1.Reason_REASON_NO_OFFER) != "no_offer" {
		t.Error("names are not what people say")
	}
}

func TestAnEntryThatCannotStandThereDoesNotMoveTheReader(t *testing.T) {
	t.Parallel()
	genesis := &v1.Entry{AtMs: 1, Body: &v1.Entry_Genesis{Genesis: &v1.Genesis{Name: "n", Shards: 1, Operator: make([]byte, 32), CreatedAtMs: 1}}}
	raw, err := v1.Encode(genesis)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		shard  domain.Shard
		offset domain.Offset
		raw    []byte
		want   error
	}{
		"a gap":                        {0, 1, raw, eventstore.ErrGap},
		"a genesis in a data shard":    {1, 0, raw, ErrOutOfOrder},
		"bytes that are no entry":      {0, 0, raw[:len(raw)-1], nil},
		"an entry in another encoding": {0, 0, append(slices.Clip(raw), 0x08, 0x01), nil},
	} {
		var p Progress
		_, err := p.Advance(c.shard, eventstore.Record{Offset: c.offset, Time: time.Unix(0, 0), Value: c.raw})
		var entry *EntryError
		if !errors.As(err, &entry) || entry.At != (domain.Position{Shard: c.shard, Offset: c.offset}) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: error is %v", name, err)
		}
		if p != (Progress{}) {
			t.Errorf("%s: the reader has moved to %+v", name, p)
		}
	}
}
