package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

func TestAPublishedVersionIsTheOneThatReadersAndFinanceFind(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	b, story := storyBooks(t)
	next := *projections.Clients
	next.Version = 2
	execute(t, b.url, createTable(next.Table()))
	if err := projections.FoldTo(ctx, story, b.store, story.Cut(), &next); err != nil {
		t.Fatal(err)
	}
	execute(t, b.url, "UPDATE filature.clients_v2 SET name = 'new'")
	const found = "SELECT name FROM filature.clients UNION SELECT client_name FROM finance.client_invoice ORDER BY 1"
	if have := column[string](t, b.url, found); !slices.Equal(have, []string{"Other", "Telegram", "Third"}) {
		t.Errorf("while the new version is made, readers find %v", have)
	}
	for range 2 {
		if err := b.store.Publish(ctx, next.Table()); err != nil {
			t.Fatal(err)
		}
	}
	if have := column[string](t, b.url, found); !slices.Equal(have, []string{"new"}) {
		t.Errorf("once it is published, readers find %v", have)
	}
	if old := column[string](t, b.url, "SELECT tablename FROM pg_tables WHERE tablename = 'clients_v1'"); len(old) > 0 {
		t.Error("the older version is still there")
	}
	// A program that knows only the older version is told what happened.
	err := b.store.Forget(ctx, projections.Clients.Table())
	if err == nil || !strings.Contains(err.Error(), "use that program") {
		t.Errorf("the older program gets %v", err)
	}
}

func TestAVersionWithoutTheOldColumnsIsNotPublished(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	dsn := services.Postgres(t)
	store := open(t, dsn)
	other := projections.Operators.Table() // another model's columns
	other.Name, other.Version = "clients", 2
	execute(t, dsn, createTable(other))
	err := store.Publish(ctx, other)
	if err == nil || !strings.Contains(err.Error(), "keeps the columns of the old one") {
		t.Errorf("error is %v, want one that says what a version must keep", err)
	}
	if have := column[int64](t, dsn, "SELECT version FROM filature.published WHERE model = 'clients'"); fmt.Sprint(have) != "[1]" {
		t.Errorf("version %v is published", have)
	}
	if left := column[string](t, dsn, "SELECT tablename FROM pg_tables WHERE tablename = 'clients_v1'"); len(left) != 1 {
		t.Error("the old version is gone")
	}
}

func TestALongQueryOfTheOldVersionKeepsTheNewOneOutAndSaysSo(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	dsn := services.Postgres(t)
	store := open(t, dsn)
	next := *projections.Clients
	next.Version = 2
	execute(t, dsn, createTable(next.Table()))
	slow, err := connect(t, dsn).Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(ctx, "SELECT client_name FROM finance.client_invoice"); err != nil {
		t.Fatal(err)
	}
	if err := store.Publish(ctx, next.Table()); err == nil || !strings.Contains(err.Error(), "end that query") {
		t.Errorf("error is %v, want one that says what is in the way", err)
	}
	if err := slow.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := store.Publish(ctx, next.Table()); err != nil {
		t.Errorf("when the query is over: %v", err)
	}
}

func TestAViewIsNotDisturbedByAForget(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	b, _ := storyBooks(t)
	table := projections.Balances.Table()
	err := b.store.View(ctx, func(view projections.View) error {
		count := func() (n int) {
			for _, err := range view.Rows(ctx, table) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			return n
		}
		before := count()
		if err := b.store.Forget(ctx, table); err != nil {
			return err
		}
		if after := count(); before == 0 || after != before {
			t.Errorf("the view sees %d rows, and had seen %d", after, before)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAViewAnswersBetweenTwoRowsAndAfterAnEarlyStop(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	b, _ := storyBooks(t)
	execute(t, b.url, `INSERT INTO filature.offers_v1 SELECT decode(lpad(to_hex(i), 64, '0'), 'hex'), '', i, 0, i, i FROM generate_series(1, 2500) AS i`)
	b.read(ctx, t, func(r projections.Reader) error {
		n := 0
		for outer, err := range projections.RowsOf(ctx, r, projections.Offers) {
			if err != nil {
				return err
			}
			n++
			if n%1000 != 0 {
				continue
			}
			for inner, err := range projections.RowsOf(ctx, r, projections.Providers) {
				if err != nil {
					return err
				}
				if provider, err := r.Provider(ctx, inner.Provider); err != nil || provider != inner {
					t.Errorf("beside offer %d: provider is %+v (%v)", outer.Coefficient, provider, err)
				}
				break
			}
		}
		if n != 2505 {
			t.Errorf("there were %d rows, want 2500 and the story's five", n)
		}
		return nil
	})
}
