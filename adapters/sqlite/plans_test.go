package sqlite_test

import (
	"database/sql"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// TestNoQuestionReadsAllOfATableThatGrows asks SQLite how it would answer. It has no statistics, so it does the same
// whatever is in the tables.
func TestNoQuestionReadsAllOfATableThatGrows(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	store := open(t, path)
	ctx := projectionstest.Context(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// What is asked first must be there, or the rest is not asked.
	owned := projectionstest.Owned{Kind: projectionstest.Earned, Owner: [32]byte{5}}
	execute(t, path, "INSERT INTO balances_v1 VALUES ('provider/earned', x'05"+strings.Repeat("00", 31)+"', 1, 1, 1)")
	var asked []query
	plans := map[string][]string{}
	for name, ask := range projectionstest.NarrowQuestions(ctx, owned) {
		asked = nil
		err := store.ReadTraced(ctx, func(statement string, args []any) { asked = append(asked, query{statement, args}) }, func(r projections.Reader) error {
			_, _ = ask(r) // what is not there has been asked for all the same
			return nil
		})
		if err != nil || len(asked) == 0 {
			t.Fatalf("%s: %d statements, error %v", name, len(asked), err)
		}
		for _, q := range asked {
			plans[name] = append(plans[name], planOf(t, db, q)...)
			if whole := wholeTables(t, db, q); len(whole) > 0 {
				t.Errorf("%s: %v\n%s", name, whole, q.statement)
			}
		}
	}
	for name, index := range map[string]string{ // what could be found in two ways, of which one is slow
		"MaturityOf": "maturities_v1_by_bucket", "RejectionsOfReport": "rejections_v1_by_signer", "HoldbacksOf": "holdbacks_v1_waiting",
		"AttestationsLike of a word": "attestations_v1_by_word", "AttestationsLike of both": "PRIMARY KEY (worker=?",
		"OfferChangesLike of a model": "offer_history_v1_of_model", "OffersUntil of a model": "offers_v1_of_model", "Cleared of all": "PRIMARY KEY (hour_ms",
		"NamesFrom of models": "models_v1_by_folded_name", "NamesFrom of providers": "providers_v1_by_folded_name",
		"NamesFrom of clients": "clients_v1_by_folded_name", "IDsFrom of workers": "PRIMARY KEY (worker>?", "IDsFrom of clients": "PRIMARY KEY (client>?",
		"UsageTotals of a client by hour": "usage_totals_v1_of_client", "UsageTotals of a provider by day": "usage_totals_v1_of_provider",
		"UsageTotals of a provider by client": "usage_v1_of_provider", "UsageTotals of days by model": "PRIMARY KEY (width=? AND told=? AND start_ms",
		"JobsLike of a client and a state": "jobs_v1_of_client (client=? AND state=?", "JobsLike of a worker": "jobs_v1_of_worker (worker=? AND state=?",
	} {
		if !strings.Contains(strings.Join(plans[name], "\n"), index) {
			t.Errorf("%s does not go by %s: %q", name, index, plans[name])
		}
	}
	for method := range reflect.TypeFor[projections.Reader]().Methods() {
		isAsked := func(question string) bool {
			return question == method.Name || strings.HasPrefix(question, method.Name+" ")
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(plans)), isAsked) && !slices.Contains(projectionstest.WideQuestions(), method.Name) {
			t.Errorf("nobody asks %s", method.Name)
		}
	}
	if seen := wholeTables(t, db, query{"SELECT job FROM jobs WHERE number = ?", []any{5}}); len(seen) != 1 {
		t.Errorf("a search without an index is seen as %v", seen)
	}
}

type query struct {
	statement string
	args      []any
}

// wholeTables are the steps of a plan that go through a table that grows, or through an index of it, from end to end. An
// index that has only some of the rows is for going through.
func wholeTables(t *testing.T, db *sql.DB, q query) (steps []string) {
	t.Helper()
	grows := map[string]bool{}
	for _, model := range projectionstest.Growing() {
		grows[fmt.Sprintf("%s_v%d", model.Table().Name, model.Table().Version)] = true
	}
	for _, step := range planOf(t, db, q) {
		words := strings.Fields(step)
		if words[0] == "SCAN" && grows[words[1]] {
			steps = append(steps, step)
		}
	}
	return steps
}

func planOf(t *testing.T, db *sql.DB, q query) (steps []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+q.statement, q.args...)
	if err != nil {
		t.Fatalf("explain %s: %v", q.statement, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}
