package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/workers/auditor"
)

// caught audits a folder that was changed. It must say no, and name what was changed.
func caught(t *testing.T, folder string) []auditor.Offence {
	t.Helper()
	report := decoded[auditor.Report](t, invoke(t, "audit", "--data", folder, "--json").want(t, exitNo))
	if report.Verdict != auditor.Fail || len(report.Offences) == 0 {
		t.Fatalf("verdict %s with %d offences", report.Verdict, len(report.Offences))
	}
	return report.Offences
}

// has tells whether one of the offences is the one that is looked for.
func has(offences []auditor.Offence, is func(auditor.Offence) bool) bool {
	return slices.ContainsFunc(offences, is)
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[at] ^= 1 << (at % 8)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestAnyFlippedByteOfALogIsCaughtAndPlaced(t *testing.T) {
	t.Parallel()
	demo := sharedDemo.folder(t)
	for _, log := range []string{intakeDir, ledgerDir} {
		files, err := filepath.Glob(filepath.Join(demo, log, "*"))
		if err != nil || len(files) < 2 {
			t.Fatalf("%s has files %v, %v", log, files, err)
		}
		for _, file := range files {
			name := filepath.Join(log, filepath.Base(file))
			last := sizeOf(t, file) - 1
			for _, at := range []int64{0, last / 5, last / 3, last / 2, last - last/7, last} {
				t.Run(fmt.Sprintf("%s/%d", name, at), func(t *testing.T) {
					t.Parallel()
					folder := mustCopy(t, demo)
					flip(t, filepath.Join(folder, name), at)
					offences := caught(t, folder)
					if !has(offences, func(o auditor.Offence) bool {
						return o.Kind == auditor.DamagedFile && string(o.Log) == log && strings.HasSuffix(o.File, name) && o.Byte <= at
					}) {
						t.Errorf("the damage is not placed: %+v", offences)
					}
				})
			}
		}
	}
}

func TestThePageOfAnAuditSaysWhatTheAuditSays(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	page := filepath.Join(t.TempDir(), "report.html")
	left := filepath.Join(t.TempDir(), "audit.prom")
	invoke(t, "audit", "--data", folder, "--html", page, "--metrics", left).want(t, exitOK, "Verdict: PASS", "wrote "+page)
	if text, err := os.ReadFile(left); err != nil || !strings.Contains(string(text), "filature_audit_passed 1\n") {
		t.Errorf("the audit left %q (%v)", text, err)
	}
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	root := sharedDemo.result.Audit.Batches[0].Root
	for _, want := range []string{`id="verdict"><strong>pass</strong>`, root, "filature audit --data " + folder + " --html " + page} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(string(raw), "<a ") {
		t.Error("nobody shows transactions of a folder's own chain, and the page links to them")
	}
	invoke(t, "audit", "--data", folder, "--html", filepath.Join(folder, "nowhere", "x.html")).want(t, exitUsage, "--html")
}

func TestProgressSaysHowLongTheRestTakes(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		since       time.Duration
		want        string
	}{
		{1000, 0, time.Minute, "1 000"},
		{0, 5000, time.Minute, "0 of 5 000"},
		{1000, 5000, 500 * time.Millisecond, "1 000 of 5 000"},
		{1000, 5000, 2 * time.Second, "1 000 of 5 000, 500/s, about 8s left"},
		{5000, 5000, 2 * time.Second, "5 000 of 5 000"},
	} {
		if have := progressText(c.done, c.total, c.since); have != c.want {
			t.Errorf("%d of %d after %s: %q, want %q", c.done, c.total, c.since, have, c.want)
		}
	}
}

func TestATransactionIsLinkedOnPublicNetworksAlone(t *testing.T) {
	for hash, want := range map[string]string{
		"F6OpKZKqvqeFp6CQmFomXNMfMj2EnaUSOXN+Mh+wVWk=": "https://tonviewer.com/transaction/%s",
		"gj+B8wb/AmlPk1z1AhVI484rhrUpgSr2oSFIh56VoSg=": "https://testnet.tonviewer.com/transaction/%s",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=": "",
		"": "", // an old config of a local chain
	} {
		file := filepath.Join(t.TempDir(), "global.config.json")
		if err := os.WriteFile(file, []byte(`{"validator":{"zero_state":{"root_hash":"`+hash+`"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if have, err := explorerOf(file); have != want || err != nil {
			t.Errorf("zero state %s: %q, %v, want %q", hash, have, err, want)
		}
	}
	chain, err := localchain.Open(localchain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	zero, err := zeroStateOf(chain.GlobalConfigFile())
	if err != nil || len(zero) != len("F6OpKZKqvqeFp6CQmFomXNMfMj2EnaUSOXN+Mh+wVWk=") {
		t.Errorf("a local chain names itself %q, %v", zero, err)
	}
	if link, err := explorerOf(chain.GlobalConfigFile()); link != "" || err != nil {
		t.Errorf("nobody shows a local chain, and %q does: %v", link, err)
	}
}

func TestAMissingEndOrSegmentIsCaught(t *testing.T) {
	t.Parallel()
	demo := sharedDemo.folder(t)
	const segment = "000000000000.seg"
	for _, log := range []string{intakeDir, ledgerDir} {
		for name, change := range map[string]func(path string) error{
			"one byte short":     func(path string) error { return shorten(path, 1) },
			"a record short":     func(path string) error { return shorten(path, 700) },
			"half of it is gone": func(path string) error { return shorten(path, 60_000) },
			"removed":            os.Remove,
		} {
			t.Run(log+", "+name, func(t *testing.T) {
				t.Parallel()
				folder := mustCopy(t, demo)
				if err := change(filepath.Join(folder, log, segment)); err != nil {
					t.Fatal(err)
				}
				offences := caught(t, folder)
				if !has(offences, func(o auditor.Offence) bool {
					return o.Kind == auditor.DamagedFile && string(o.Log) == log && strings.Contains(o.File, log)
				}) {
					t.Errorf("the damage is not placed: %+v", offences)
				}
				invoke(t, "audit", "--data", folder).want(t, exitNo, "Verdict: FAIL", filepath.Join(log, segment))
			})
		}
	}
}

func TestADamagedChainIsCaughtByFileAndByte(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	journal := filepath.Join(folder, chainDir, "blocks.journal")
	flip(t, journal, sizeOf(t, journal)/2)
	invoke(t, "audit", "--data", folder).want(t, exitNo, journal, "byte ")
}

func TestNobodyServesFromADamagedLog(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	segment := filepath.Join(folder, ledgerDir, "000000000000.seg")
	flip(t, segment, sizeOf(t, segment)/2)
	invoke(t, "serve", "--data", folder, "--listen", "127.0.0.1:0").want(t, exitNo, segment, "byte ", "checksum")
	invoke(t, "why", "job", strings.Repeat("ab", 32), "--data", folder).want(t, exitNo, segment, "byte ")
}

func shorten(path string, by int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()-by)
}

func TestAnInventedRowIsCaughtAndNamed(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	changeRow(t, folder, `INSERT INTO payments_v1 SELECT payee, lt + 1, tx_hash, amount_nano, seen_at_ms, seen_offset FROM payments_v1 LIMIT 1`)
	offences := caught(t, folder)
	if !has(offences, func(o auditor.Offence) bool {
		return o.Kind == auditor.ChangedRow && o.Table == "payments" && o.Row != "" && o.Want == "missing"
	}) {
		t.Errorf("the row is not named: %+v", offences)
	}
}

func TestAChangedRowIsCaughtAndNamed(t *testing.T) {
	t.Parallel()
	demo := sharedDemo.folder(t)
	for table, change := range map[string]struct{ do, key string }{
		"balances": {"UPDATE balances_v1 SET amount_nano = amount_nano + 1", "kind, owner"},
		"jobs":     {"UPDATE jobs_v1 SET charge_nano = charge_nano - 1", "job"},
		"usage":    {"UPDATE usage_v1 SET completion_tokens = completion_tokens + 1", "hour_ms, model, provider, client"},
		"payouts":  {"DELETE FROM payouts_v1", "payee"},
		"reports":  {"UPDATE reports_v1 SET sequence = sequence + 1000000", "signer, shard, sequence"},
		"journal":  {"DELETE FROM journal_v1", "kind, owner, at_ms, shard, ledger_offset, fact, posting"},
		"offers":   {"UPDATE offers_v1 SET coefficient = 1", "worker, model"},
	} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			folder := mustCopy(t, demo)
			changeRow(t, folder, fmt.Sprintf("%s WHERE (%s) = (SELECT %s FROM %s_v1 LIMIT 1)", change.do, change.key, change.key, table))
			offences := caught(t, folder)
			if !has(offences, func(o auditor.Offence) bool {
				return o.Kind == auditor.ChangedRow && o.Log == auditor.ReadModels && o.Table == table && o.Row != ""
			}) {
				t.Errorf("the row is not named: %+v", offences)
			}
		})
	}
}

func changeRow(t *testing.T, folder, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(folder, projectionFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	result, err := db.ExecContext(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%s changed %d rows, %v", statement, n, err)
	}
}

// The tables can be made again from the ledger, so an audit does without them. It does not do without the
// chain: only that says that the history was not written anew.
func TestWithoutTheTablesTheChainIsStillAskedAndWithoutTheChainNothingPasses(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	if err := os.Remove(filepath.Join(folder, projectionFile)); err != nil {
		t.Fatal(err)
	}
	report := decoded[auditor.Report](t, invoke(t, "audit", "--data", folder, "--json").want(t, exitOK))
	for _, batch := range report.Batches {
		if !batch.Equal {
			t.Errorf("batch %d was not compared with the chain", batch.Number)
		}
	}
	if err := os.RemoveAll(filepath.Join(folder, chainDir)); err != nil {
		t.Fatal(err)
	}
	report = decoded[auditor.Report](t, invoke(t, "audit", "--data", folder, "--json").want(t, exitNo))
	if report.Verdict != auditor.Incomplete {
		t.Errorf("without the chain the verdict is %s", report.Verdict)
	}
	if _, err := os.Stat(filepath.Join(folder, chainDir)); err == nil {
		t.Error("the audit made a chain")
	}
}
