package projectionstest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// namesAreFoundByHowTheyBegin, and ids: whatever their case, in order, and no more of them than was asked for.
func namesAreFoundByHowTheyBegin(ctx context.Context, t *testing.T, store Readable) {
	t.Helper()
	hexID := func(digits string) (id [32]byte) { // padded with zeros
		parsed := must[domain.Digest](t)(domain.ParseID[domain.Digest](digits + strings.Repeat("0", 64-len(digits))))
		return parsed
	}
	var models, providers, clients, workers []projections.Row
	for id, name := range map[string]string{"a1": "Qwen/Qwen3", "a2": "qwen/qwen2", "a3": "QWEN", "a4": "Zürich", "a5": "ZÜRICH", "a6": "", "abcd": "qwen"} {
		models = append(models, &projections.ListedModel{Model: hexID(id), Name: name, Listed: projections.Moment{AtMs: 11}})
	}
	for id, name := range map[string]string{"b1": "qwest", "abcdef": "Other", "abce": "abcd & sons"} {
		providers = append(providers, &projections.Provider{Provider: hexID(id), Name: name})
	}
	clients = append(clients, &projections.Client{Client: hexID("abcd12"), Name: "ABCD", Registered: projections.Moment{AtMs: 12}})
	for _, id := range []string{"abcd", "abcc" + strings.Repeat("f", 60), "abcdff", "abce", "", "0001"} {
		workers = append(workers, &projections.Worker{Worker: hexID(id)})
	}
	for _, rows := range [][]projections.Row{models, providers, workers} { // maps have no order, and change wants the key's
		slices.SortFunc(rows, func(a, b projections.Row) int {
			return bytes.Compare(a.Columns(nil)[0].Field.(*[32]byte)[:], b.Columns(nil)[0].Field.(*[32]byte)[:])
		})
	}
	mustCommit(ctx, t, store,
		change(projections.Models, nil, at(1), models...), change(projections.Providers, nil, at(1), providers...),
		change(projections.Clients, nil, at(1), clients...), change(projections.Workers, nil, at(1), workers...))
	all := []projections.NamedKind{projections.NamedModel, projections.NamedProvider, projections.NamedClient, projections.NamedWorker}
	if err := store.Read(ctx, func(r projections.Reader) error {
		for _, c := range []struct {
			text  string
			kinds []projections.NamedKind
			limit int
			want  string // kind, and the first six digits of the id
			more  bool
		}{
			{"qwe", all, 10, "model a30000, model abcd00, model a20000, model a10000, provider b10000", false},
			{"QWEN/", all, 10, "model a20000, model a10000", false},
			{"qwe", all, 2, "model a30000, model abcd00, provider b10000", true},
			{"qwe", all, 4, "model a30000, model abcd00, model a20000, model a10000, provider b10000", false},
			{"qwe", all[1:], 10, "provider b10000", false},
			{"Zü", all, 10, "model a40000", false}, // beyond ASCII a letter is itself
			{"zÜ", all, 10, "model a50000", false},
			{"AbCd", all, 10, "model abcd00, provider abce00, provider abcdef, client abcd12, worker abcd00, worker abcdff", false},
			{"abcd", all[3:], 1, "worker abcd00", true},
			{"abcdf", all, 10, "worker abcdff", false},
			{"abc", all, 10, "provider abce00, client abcd12", false}, // names: too few digits for an id
			{"0000", all, 10, "worker 000000", false},
			{strings.Repeat("0", 64), all, 10, "worker 000000", false},
			{strings.Repeat("0", 65), all, 10, "", false},
			{"%", all, 10, "", false},
			{"wen", all, 10, "", false},
		} {
			found, more, err := projections.Find(ctx, r, c.text, c.kinds, c.limit)
			if err != nil {
				return err
			}
			var have []string
			for _, n := range found {
				have = append(have, fmt.Sprintf("%s %x", n.Kind, n.ID[:3]))
			}
			if strings.Join(have, ", ") != c.want || more != c.more {
				t.Errorf("%d each of %v for %q: %v, more: %t; want %s", c.limit, c.kinds, c.text, have, more, c.want)
			}
		}
		models := must[[]projections.Named](t)(r.NamesFrom(ctx, projections.NamedModel, "", 1))
		clients := must[[]projections.Named](t)(r.NamesFrom(ctx, projections.NamedClient, "", 1))
		if want := []projections.Named{
			{Kind: projections.NamedModel, ID: hexID("a6"), SinceMs: 11}, {Kind: projections.NamedClient, ID: hexID("abcd12"), Name: "ABCD", SinceMs: 12},
		}; !slices.Equal(append(models, clients...), want) {
			t.Errorf("the first names are %v and %v", models, clients)
		}
		_, _, err := projections.Find(ctx, r, "qwe", all, projections.MaxRows)
		if err == nil {
			t.Error("an answer above MaxRows is no error")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
