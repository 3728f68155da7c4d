package main

import (
	"archive/tar"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

// exported makes an archive of a folder.
func exported(t *testing.T, folder, out string) string {
	t.Helper()
	invoke(t, "export", "archive", out, "--data", folder).want(t, exitOK, "Network", "To audit it")
	return out
}

func TestAnArchiveIsTheSameFilesHoweverItWasMade(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	once := exported(t, folder, filepath.Join(t.TempDir(), "once"))
	want, err := archive.Read(once)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Files) < 4 || len(want.Network) != 64 {
		t.Fatalf("manifest: %+v", want)
	}

	// Cut off: the first third of each shard was copied, and there is no manifest.
	twice := filepath.Join(t.TempDir(), "twice")
	source, err := readMaterial(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer source.close()
	network, err := networkOf(t.Context(), source.ledger)
	if err != nil {
		t.Fatal(err)
	}
	begun := slices.Clone(want.Intake)
	for shard := range begun {
		begun[shard] = begun[shard] / 3 / 256 * 256 // where a group ends
	}
	if err := copyLog(t.Context(), source.intake, twice, archive.IntakeDir, network, begun, newMeter(&console{}, nowhere)); err != nil {
		t.Fatal(err)
	}
	invoke(t, "audit", "--logs", twice).want(t, exitUsage, "cut off")
	exported(t, folder, twice)
	again, err := archive.Read(twice)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Files, want.Files) {
		t.Errorf("an archive that was cut off and gone on with: %+v, want %+v", again.Files, want.Files)
	}
	if have, want := recordsIn(t, twice, again), recordsOf(t, source); !slices.Equal(have, want) {
		t.Error("an archive has other records than the folder that it was made from, or other times")
	}

	tars := [2][]byte{}
	for i := range tars {
		file := exported(t, folder, filepath.Join(t.TempDir(), "archive.tar"))
		if tars[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(tars[0], tars[1]) {
		t.Error("the same archive is two files")
	}
}

// recordsIn are the records of both logs of an archive, with their times.
func recordsIn(t *testing.T, dir string, m archive.Manifest) (all []string) {
	t.Helper()
	logs, end, err := readArchive(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	}()
	return recordsOf(t, &material{intake: logs[0], ledger: logs[1]})
}

func recordsOf(t *testing.T, from *material) (all []string) {
	t.Helper()
	for _, log := range []eventstore.Reader{from.intake, from.ledger} {
		for shard := range domain.Shard(log.Shards()) {
			end, err := log.End(t.Context(), shard)
			if err != nil {
				t.Fatal(err)
			}
			for at := domain.Offset(0); at < end; {
				records, err := log.Read(t.Context(), shard, at, 1000)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range records {
					all = append(all, fmt.Sprintf("%d/%d %d %x", shard, r.Offset, r.Time.UnixMilli(), r.Value))
				}
				at += domain.Offset(len(records))
			}
		}
	}
	return all
}

// handedOver is an archive of a folder in a folder of its own, and the chain that it is settled on, which runs in this process.
// The operator's folder is gone.
func handedOver(t *testing.T, folder string) (archive, globalConfig string) {
	t.Helper()
	archive = exported(t, folder, filepath.Join(t.TempDir(), "handed"))
	chainOnly := t.TempDir()
	if err := os.Rename(filepath.Join(folder, chainDir), filepath.Join(chainOnly, chainDir)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	chain, err := localchain.Open(localchain.Options{Dir: filepath.Join(chainOnly, chainDir)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chain.Close(); err != nil {
			t.Error(err)
		}
	})
	return archive, chain.GlobalConfigFile()
}

// TestAnArchiveAndALiteServerAreAllThatAnAuditNeeds: no tables, no folder of the operator's, no chain but the network's.
func TestAnArchiveAndALiteServerAreAllThatAnAuditNeeds(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	file := exported(t, folder, filepath.Join(t.TempDir(), "handed.tar"))
	dir, globalConfig := handedOver(t, folder)
	audit := func(archive string) answer {
		return invoke(t, "audit", "--logs", archive, "--ton-config", globalConfig, "--ton-unverified", "--json")
	}
	report := decoded[auditor.Report](t, audit(file).want(t, exitOK))
	checkAudit(t, &report, "projections")
	if len(report.Batches) != len(sharedDemo.result.Audit.Batches) {
		t.Errorf("%d batches, the operator has %d", len(report.Batches), len(sharedDemo.result.Audit.Batches))
	}
	for i, b := range report.Batches {
		operators := sharedDemo.result.Audit.Batches[i].Root
		if b.LogRoot != operators || b.SecondRoot != operators || b.ChainRoot != operators {
			t.Errorf("batch %d: %s from the log, %s by the second count, %s on chain; the operator has %s", b.Number, b.LogRoot, b.SecondRoot, b.ChainRoot, operators)
		}
	}
	for shard, row := range report.Shards {
		if row.SignedTo != int64(row.End) {
			t.Errorf("shard %d has %d entries, and is signed to %d", shard, row.End, row.SignedTo)
		}
	}

	manifest, err := archive.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	last := filepath.Join(dir, filepath.FromSlash(manifest.Files[len(manifest.Files)-2].Name))
	flip(t, last, sizeOf(t, last)/2)
	report = decoded[auditor.Report](t, audit(dir).want(t, exitNo))
	if o := report.Offences[0]; o.Kind != auditor.DamagedFile || o.File != last {
		t.Errorf("a byte of %s was flipped: %s", last, o)
	}
	flip(t, last, sizeOf(t, last)/2)
	if err := os.WriteFile(filepath.Join(dir, archive.LedgerDir, "0001", "extra.seg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	audit(dir).want(t, exitNo, "damaged_file", "extra.seg")
}

func TestATableIsTheSameAsCSVAndAsParquet(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	for _, name := range []string{"balances", "jobs", "journal", "offers"} {
		out := t.TempDir()
		asCSV, asParquet := filepath.Join(out, "x.csv"), filepath.Join(out, "x.parquet")
		invoke(t, "export", "table", name, "--data", folder, "--out", asCSV).want(t, exitOK, "rows of "+name)
		invoke(t, "export", "table", name, "--data", folder, "--out", asParquet).want(t, exitOK, "rows of "+name)
		file, err := os.Open(asCSV)
		if err != nil {
			t.Fatal(err)
		}
		want, err := csv.NewReader(file).ReadAll()
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil || len(want) < 3 {
			t.Fatalf("%s: %d lines, %v", name, len(want), err)
		}
		if have := parquetRows(t, asParquet); !slices.EqualFunc(have, want, slices.Equal[[]string]) {
			t.Errorf("%s as Parquet begins %v, as CSV %v", name, have[:2], want[:2])
		}
	}
	invoke(t, "export", "table", "payouts", "--data", folder).want(t, exitOK, "payee")
	invoke(t, "export", "table", "nonsense", "--data", folder).want(t, exitUsage, "there is no table", "balances")
	invoke(t, "export", "table", "balances", "--data", folder, "--format", "parquet").want(t, exitUsage, "--out")
}

// parquetRows are the rows of a file as text, the columns' names first.
func parquetRows(t *testing.T, name string) [][]string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, field := range file.Schema().Fields() {
		names = append(names, field.Name())
	}
	all := [][]string{names}
	reader := parquet.NewReader(file)
	buffer := make([]parquet.Row, 100)
	for {
		n, err := reader.ReadRows(buffer)
		for _, row := range buffer[:n] {
			cells := make([]string, len(row))
			for i, value := range row {
				if cells[i] = value.String(); value.Kind() == parquet.Boolean {
					cells[i] = strings.NewReplacer("true", "1", "false", "0").Replace(cells[i])
				}
			}
			all = append(all, cells)
		}
		if err == io.EOF { //nolint:errorlint // the library says so
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestATarThatIsNoArchiveIsRefused(t *testing.T) {
	for _, name := range []string{"../x", "/etc/x", "other/x", "ledger/../../x", "ledger/0001/../x", "ledger/x"} {
		if err := unpack(tarOf(t, name), t.TempDir(), anyFile); err == nil {
			t.Errorf("%q was unpacked", name)
		}
	}
	if err := unpack(tarOf(t, "ledger/0001/000000000000.seg"), t.TempDir(), anyFile); err != nil {
		t.Error(err)
	}
	if _, err := modelNamed(projections.Balances.Name); err != nil {
		t.Error(err)
	}
}

func anyFile(string) bool { return true }

func tarOf(t *testing.T, name string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "x.tar"))
	if err != nil {
		t.Fatal(err)
	}
	to := tar.NewWriter(file)
	err = to.WriteHeader(&tar.Header{Name: name, Size: 1, Mode: 0o600, Typeflag: tar.TypeReg})
	if err == nil {
		_, err = to.Write([]byte("x"))
	}
	if err := errors.Join(err, to.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// nowhere is a clock for a meter that nobody looks at.
func nowhere() time.Time { return time.Time{} }
