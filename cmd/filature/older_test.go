package main

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/internal/services"
	sqliteschema "github.com/filature/filature/schemas/sql/sqlite"
)

// TestAFolderOfAnOlderProgramIsBroughtUpToDateByTheCommandThatIsNamed runs that command as the message has it.
func TestAFolderOfAnOlderProgramIsBroughtUpToDateByTheCommandThatIsNamed(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	before := invoke(t, "balance", "--data", folder).want(t, exitOK)
	makeOlder(t, filepath.Join(folder, projectionFile))
	var named string
	for _, reader := range [][]string{{"balance"}, {"market", "all"}, {"workers"}, {"chain", "status"}, {"reconcile"}, {"audit"}, {"export", "table", "jobs"}} {
		refused := invoke(t, append(reader, "--data", folder)...).want(t, exitUnfinished, "an older schema than this program reads")
		found := regexp.MustCompile(`run "filature (.*)" of this version`).FindStringSubmatch(refused.stderr)
		if found == nil {
			t.Fatalf("%v does not say what to run: %s", reader, refused.stderr)
		}
		named = found[1]
	}
	server := launch(t, append(strings.Fields(named), "--listen", "127.0.0.1:0")...)
	server.awaitReady(t)
	server.until(t, func() bool { return invoke(t, "balance", "--data", folder).code == exitOK })
	server.end(t)
	if after := invoke(t, "balance", "--data", folder).want(t, exitOK); kindsIn(after.stdout) != kindsIn(before.stdout) {
		t.Errorf("the balance was\n%s\nand is\n%s", before.stdout, after.stdout)
	}
}

// makeOlder puts tables in the place of a folder's as the program of one migration before made them: empty still.
func makeOlder(t *testing.T, file string) {
	t.Helper()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(file + end); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	migrations, err := fs.Glob(sqliteschema.Migrations, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(migrations)
	older := len(migrations) - 1
	for _, name := range migrations[:older] {
		statements, err := fs.ReadFile(sqliteschema.Migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), string(statements)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA journal_mode = WAL; PRAGMA user_version = %d", older)); err != nil {
		t.Fatal(err)
	}
}

// kindsIn are the kinds of account in a trial balance.
func kindsIn(balance string) string {
	return strings.Join(regexp.MustCompile(`[a-z]+/[a-z]+`).FindAllString(balance, -1), " ")
}

// TestADatabaseOfAnOlderProgramIsToldWhatToRun: one that no program was in yet is the oldest.
func TestADatabaseOfAnOlderProgramIsToldWhatToRun(t *testing.T) {
	t.Parallel()
	network := writeConfig(t, "{}")
	config := writeConfig(t, fmt.Sprintf("kafka.brokers = [\"127.0.0.1:1\"]\npostgres.url = %q\nton.config_file = %q\n", services.Postgres(t), network))
	invoke(t, "reconcile", "--config", config).want(t, exitUnfinished,
		"an older schema than this program reads", `start "filature serve --config FILE" of this version`)
}
