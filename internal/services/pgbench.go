package services

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// oneRow is a transaction that changes one row, which is the least that a server can make durable.
const oneRow = "\\set id random(1, 1000)\nUPDATE yardstick SET n = n + 1 WHERE id = :id;\n"

// PostgresRate is how many transactions of one row each the server makes durable in a second, by pgbench with two
// clients for five seconds: the yardstick of what is measured on the same server in the same run.
func PostgresRate(t testing.TB, server string) (perSecond float64) {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := address.User.Password()
	admin(t, server, "CREATE TABLE IF NOT EXISTS yardstick (id int PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 50)")
	admin(t, server, "INSERT INTO yardstick SELECT i, 0 FROM generate_series(1, 1000) AS i ON CONFLICT DO NOTHING")
	script := filepath.Join(t.TempDir(), "one_row.sql")
	if err := os.WriteFile(script, []byte(oneRow), 0o600); err != nil {
		t.Fatal(err)
	}
	//nolint:gosec // the program is the one that we found
	run := exec.CommandContext(t.Context(), PostgresTool(t, "pgbench"), "--no-vacuum", "--protocol=prepared",
		"--client=2", "--jobs=2", "--time=5", "--file="+script, "--host="+address.Hostname(), "--port="+address.Port(),
		"--username="+address.User.Username(), address.Path[1:])
	run.Env = append(os.Environ(), "PGPASSWORD="+password)
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("pgbench: %v\n%s", err, out)
	}
	rate := regexp.MustCompile(`tps = ([0-9.]+)`).FindSubmatch(out)
	if rate == nil {
		t.Fatalf("pgbench says\n%s", out)
	}
	if perSecond, err = strconv.ParseFloat(string(rate[1]), 64); err != nil {
		t.Fatal(err)
	}
	return perSecond
}
