package rig_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/documents"
	"github.com/filature/filature/projections/projectionstest"
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
	world.Pass(time.UnixMilli(projections.NextMonth(world.Now().UnixMilli())).Sub(world.Now()) + time.Second)
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
