package main

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's way to PostgreSQL
)

// usageColumns are the columns of usage that are numbers.
var usageColumns = []string{
	"jobs_completed", "jobs_failed", "jobs_cancelled", "jobs_expired", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens",
	"adjusted_tokens", "charge_nano", "worker_nano", "commission_nano",
}

// jobColumns are those of jobs.
var jobColumns = append([]string{"reserved_nano", "refund_nano", "slashed_nano"}, usageColumns[4:]...)

// question is SQL whose last column is a number, and the others say of what.
type question struct{ kind, query string }

// each asks one question for each column, with its name as the last word.
func each(kind, query string, columns []string) []question {
	var all []question
	for _, column := range columns {
		all = append(all, question{kind, strings.NewReplacer("$name", "'"+column+"'", "$column", column).Replace(query)})
	}
	return all
}

// tablesSQL asks the tables of a folder, as docs/roles/finance.md does.
func tablesSQL(t *secondCount) []question {
	refunds := `SELECT client, refund_nano FROM jobs UNION ALL SELECT client, refund_nano FROM holds`
	some := []question{
		{"kind", `SELECT kind, sum(amount_nano) FROM balances GROUP BY kind`},
		{"accounts", `SELECT kind, count(*) FROM balances GROUP BY kind`},
		{"balance", `SELECT kind, lower(hex(owner)), amount_nano FROM balances`},
		{"balance", `SELECT kind, lower(hex(owner)), sum(amount_nano) FROM journal GROUP BY 1, 2`},
		{"balance", `SELECT kind, lower(hex(owner)), sum(in_nano - out_nano) FROM movements GROUP BY 1, 2`},
		{"balance then", fmt.Sprintf(`SELECT kind, lower(hex(owner)), sum(amount_nano) FROM journal WHERE at_ms <= %d GROUP BY 1, 2`, t.thenMs)},
		{"kind then", fmt.Sprintf(`SELECT kind, sum(amount_nano) FROM journal WHERE at_ms <= %d GROUP BY 1`, t.thenMs)},
		{"flow", `SELECT kind, lower(hex(owner)), what, sum(amount_nano) FROM journal GROUP BY 1, 2, 3`},
		{"flow since", fmt.Sprintf(`SELECT kind, lower(hex(owner)), what, sum(amount_nano) FROM journal WHERE at_ms > %d GROUP BY 1, 2, 3`, t.thenMs)},
		{"movement", `SELECT kind, lower(hex(owner)), hour_ms, 'in', in_nano FROM movements`},
		{"movement", `SELECT kind, lower(hex(owner)), hour_ms, 'out', out_nano FROM movements`},
		{"provider jobs ended", `SELECT lower(hex(provider)), sum(jobs_completed + jobs_failed + jobs_cancelled + jobs_expired)
			FROM usage WHERE length(provider) > 0 GROUP BY 1`},
		{"provider charged", `SELECT lower(hex(provider)), sum(charge_nano) FROM usage WHERE length(provider) > 0 GROUP BY 1`},
		{"provider fee", `SELECT lower(hex(provider)), sum(commission_nano) FROM usage WHERE length(provider) > 0 GROUP BY 1`},
		{"provider earned", `SELECT lower(hex(provider)), sum(worker_nano) FROM usage WHERE length(provider) > 0 GROUP BY 1`},
		{"provider paid", `SELECT lower(hex(payee)), paid_nano FROM payouts`},
		{"provider promised", `SELECT lower(hex(payee)), committed_nano FROM payouts`},
		{"provider owed", `SELECT lower(hex(owner)), sum(amount_nano) FROM balances WHERE kind LIKE 'provider/%' GROUP BY 1`},
		{"provider taken back", `SELECT lower(hex(provider)), sum(refunded_nano + slashed_nano) FROM worker_days GROUP BY 1`},
		{"client charged", `SELECT lower(hex(client)), sum(charge_nano) FROM usage GROUP BY 1`},
		{"client deposited", `SELECT lower(hex(a.client)), sum(d.amount_nano) FROM deposits d JOIN accounts a USING (account) GROUP BY 1`},
		{"client refunded", `SELECT lower(hex(client)), sum(refund_nano) FROM (` + refunds + `) GROUP BY 1`},
		{"client holds", `SELECT lower(hex(a.client)), substr(b.kind, 8), sum(b.amount_nano)
			FROM balances b JOIN accounts a ON a.account = b.owner WHERE b.kind LIKE 'client/%' GROUP BY 1, 2`},
		{"deposited", `SELECT lower(hex(account)), sum(amount_nano) FROM deposits GROUP BY 1`},
		{"network", `SELECT 'money in', sum(amount_nano) FROM deposits`},
		{"network", `SELECT 'paid', sum(amount_nano) FROM payments`},
		{"network", `SELECT 'promised', sum(committed_nano) FROM payouts`},
		{"network", `SELECT 'vault', -sum(amount_nano) FROM balances WHERE kind = 'vault/cash'`},
		{"network", `SELECT 'owed to providers', sum(amount_nano) FROM balances WHERE kind LIKE 'provider/%'`},
		{"jobs", `SELECT state, count(*) FROM jobs GROUP BY 1`},
		{"disputes", `SELECT dispute, count(*) FROM jobs WHERE dispute <> '' GROUP BY 1`},
		{"rejected", `SELECT reason, count(*) FROM rejections GROUP BY 1`},
		{"rejected", `SELECT reason, sum(rejections) FROM rejection_reasons GROUP BY 1`},
		{"job postings", `SELECT lower(hex(job)), kind, sum(amount_nano) FROM journal WHERE length(job) > 0 GROUP BY 1, 2`},
		{"batch", `SELECT batch, 'total', total_nano FROM batches`},
		{"batch", `SELECT batch, 'payees', payees FROM batches`},
		{"batch", `SELECT batch, 'lines', lines FROM batches`},
		{"batch line", `SELECT batch, lower(hex(payee)), 'delta', delta_nano FROM batch_lines`},
		{"batch line", `SELECT batch, lower(hex(payee)), 'cumulative', cumulative_nano FROM batch_lines`},
	}
	for _, q := range []question{
		{"usage", `SELECT hour_ms, lower(hex(model)), lower(hex(provider)), lower(hex(client)), $name, $column FROM usage`},
		{"usage by day", `SELECT date(hour_ms / 1000, 'unixepoch'), lower(hex(model)), lower(hex(provider)), lower(hex(client)), $name, sum($column)
			FROM usage GROUP BY 1, 2, 3, 4`},
		{"usage by provider", `SELECT lower(hex(provider)), $name, sum($column) FROM usage GROUP BY 1`},
		{"usage by client", `SELECT lower(hex(client)), $name, sum($column) FROM usage GROUP BY 1`},
		{"usage in all", `SELECT $name, sum($column) FROM usage`},
	} {
		some = append(some, each(q.kind, q.query, usageColumns)...)
	}
	return append(some, each("job", `SELECT lower(hex(job)), $name, $column FROM jobs`, jobColumns)...)
}

// financeSQL asks the views that finance has on a server. Amounts there are coins.
func financeSQL(t *secondCount) []question {
	const nano = " * 1000000000)::bigint"
	coins := func(expression string) string { return "(" + expression + nano }
	const hour = "(extract(epoch FROM hour) * 1000)::bigint"
	at := func(ms int64) string { return fmt.Sprintf("to_timestamp(%d / 1000.0)", ms) }
	some := []question{
		{"kind", `SELECT kind, ` + coins("balance") + ` FROM finance.trial_balance`},
		{"accounts", `SELECT kind, accounts FROM finance.trial_balance`},
		{"trial balance", `SELECT kind, 'debit', ` + coins("debit") + ` FROM finance.trial_balance`},
		{"trial balance", `SELECT kind, 'credit', ` + coins("credit") + ` FROM finance.trial_balance`},
		{"balance", `SELECT kind, owner, ` + coins("balance") + ` FROM finance.balances`},
		{"balance", `SELECT kind, owner, ` + coins("sum(amount)") + ` FROM finance.journal GROUP BY 1, 2`},
		{"balance", `SELECT kind, owner, ` + coins("sum(credit - debit)") + ` FROM finance.movements GROUP BY 1, 2`},
		{"balance then", `SELECT kind, owner, ` + coins("balance") + ` FROM finance.balances_as_of(` + at(t.thenMs) + `)`},
		{"kind then", `SELECT kind, ` + coins("sum(balance)") + ` FROM finance.balances_as_of(` + at(t.thenMs) + `) GROUP BY 1`},
		{"flow", `SELECT kind, owner, what, ` + coins("sum(amount)") + ` FROM finance.journal GROUP BY 1, 2, 3`},
		{"flow since", `SELECT kind, owner, what, ` + coins("sum(amount)") + ` FROM finance.journal WHERE posted_at > ` + at(t.thenMs) + ` GROUP BY 1, 2, 3`},
		{"movement", `SELECT kind, owner, ` + hour + `, 'in', ` + coins("credit") + ` FROM finance.movements`},
		{"movement", `SELECT kind, owner, ` + hour + `, 'out', ` + coins("debit") + ` FROM finance.movements`},
		{"provider jobs ended", `SELECT provider, sum(jobs) FROM finance.provider_statement GROUP BY 1`},
		{"provider earned", `SELECT provider, ` + coins("sum(earned)") + ` FROM finance.provider_statement GROUP BY 1`},
		{"provider charged", `SELECT provider, ` + coins("sum(charge)") + ` FROM finance.usage_by_day WHERE provider <> '' GROUP BY 1`},
		{"provider fee", `SELECT provider, ` + coins("sum(commission)") + ` FROM finance.usage_by_day WHERE provider <> '' GROUP BY 1`},
		{"provider paid", `SELECT provider, ` + coins("sum(paid)") + ` FROM finance.provider_statement GROUP BY 1`},
		{"provider owed", `SELECT DISTINCT ON (provider) provider, ` + coins("closing") + ` FROM finance.provider_statement ORDER BY provider, day DESC`},
		{"client charged", `SELECT client, ` + coins("sum(amount)") + ` FROM finance.client_invoice WHERE line = 'usage' GROUP BY 1`},
		{"client refunded", `SELECT client, ` + coins("-sum(amount)") + ` FROM finance.client_invoice WHERE line = 'refund' GROUP BY 1`},
		{"deposited", `SELECT owner, ` + coins("sum(amount)") + ` FROM finance.journal WHERE kind = 'client/available' AND what = 'account_funded' GROUP BY 1`},
		{"market", `SELECT ` + hour + `, model, 'jobs', jobs FROM finance.market`},
		{"market", `SELECT ` + hour + `, model, 'tokens', tokens FROM finance.market`},
		{"market", `SELECT ` + hour + `, model, 'charge', ` + coins("charge") + ` FROM finance.market`},
		{"market", `SELECT ` + hour + `, model, 'per million', ` + coins("coalesce(per_million_tokens, 0)") + ` FROM finance.market`},
	}
	for _, column := range usageColumns {
		shown := "sum(" + column + ")"
		if in, isMoney := map[string]string{"charge_nano": "charge", "worker_nano": "worker_part", "commission_nano": "commission"}[column]; isMoney {
			shown = coins("sum(" + in + ")")
		}
		some = append(some,
			question{"usage by day", `SELECT day::text, model, provider, client, '` + column + `', ` + shown + ` FROM finance.usage_by_day GROUP BY 1, 2, 3, 4`},
			question{"usage by provider", `SELECT provider, '` + column + `', ` + shown + ` FROM finance.usage_by_day GROUP BY 1`},
			question{"usage by client", `SELECT client, '` + column + `', ` + shown + ` FROM finance.usage_by_day GROUP BY 1`},
			question{"usage in all", `SELECT '` + column + `', ` + shown + ` FROM finance.usage_by_day`})
	}
	return some
}

// askSQL asks all questions of a database. Where several are about the same figure, their answers must be the same.
func askSQL(t *testing.T, driver, source string, questions []question) figures {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found := figures{}
	for _, q := range questions {
		for name, n := range answersOf(t, db, q) {
			if before, asked := found[name]; asked && before != n {
				t.Errorf("%s is %d, and elsewhere in the same tables %d: %s", name, before, n, q.query)
			}
			found[name] = n
		}
	}
	return found
}

func answersOf(t *testing.T, db *sql.DB, q question) figures {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), q.query)
	if err != nil {
		t.Fatalf("%s: %v", q.query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	last := len(columns) - 1
	words, into := make([]string, last), make([]any, last+1)
	var n int64
	for i := range words {
		into[i] = &words[i]
	}
	into[last] = &n
	found := figures{}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatalf("%s: %v", q.query, err)
		}
		of := make([]any, last)
		for i, word := range words {
			of[i] = word
		}
		found.add(n, q.kind, of...)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", q.query, err)
	}
	return found
}

func sqliteFigures(t *testing.T, file string, of *secondCount) figures {
	t.Helper()
	return askSQL(t, "sqlite", "file:"+file+"?mode=ro", tablesSQL(of))
}
