package rig_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

// onDisk is a world whose logs are segment files and whose read models are a SQLite file, all closed.
type onDisk struct {
	world          *rig.World
	intake, ledger string // folders
	rows           string // file
}

func newOnDisk(t *testing.T) onDisk {
	t.Helper()
	dir := t.TempDir()
	d := onDisk{intake: filepath.Join(dir, "intake"), ledger: filepath.Join(dir, "ledger"), rows: filepath.Join(dir, "rows.db")}
	store, err := sqlite.Open(t.Context(), d.rows)
	if err != nil {
		t.Fatal(err)
	}
	var logs []*seglog.Log
	open := func(folder string, now func() time.Time) eventstore.Log {
		log, err := seglog.Open(folder, seglog.Options{Shards: 3, Now: now, SegmentBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, log)
		return log
	}
	d.world = rig.New(t, rig.Options{
		Seed: 41, DataShards: 2, Store: store,
		OpenLogs: func(now func() time.Time) (intake, ledger eventstore.Log) {
			return open(d.intake, now), open(d.ledger, now)
		},
	})
	d.world.Live(60)
	d.world.Work()
	d.world.Mature()
	d.world.Work()
	if d.world.Settle() == nil {
		t.Fatal("nobody is owed anything")
	}
	for _, log := range logs {
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

type logFolder struct {
	name auditor.LogName
	dir  string
}

func (d onDisk) logs() []logFolder {
	return []logFolder{{auditor.Intake, d.intake}, {auditor.Ledger, d.ledger}}
}

// files verifies both folders, as `filature audit` does.
func (d onDisk) files(context.Context) ([]auditor.Folder, error) {
	var folders []auditor.Folder
	for _, log := range d.logs() {
		report, err := seglog.Verify(log.dir)
		folder := auditor.Folder{Log: log.name, Files: report.Segments + 1, Bytes: report.Bytes}
		var damage *seglog.Damage
		switch {
		case errors.As(err, &damage):
			folder.Damage = &auditor.Damage{File: damage.File, Byte: damage.Byte, Why: damage.Why}
			if damage.Placed {
				folder.Damage.Record = &damage.Record
			}
		case err != nil:
			return nil, err
		}
		folders = append(folders, folder)
	}
	return folders, nil
}

func (d onDisk) audit(t *testing.T) auditor.Report {
	t.Helper()
	cfg := auditor.Config{
		Files: d.files, Genesis: d.world.Genesis, Verifier: signing.NewVerifier(1024), Entropy: rand.Reader, Chain: d.world.Vault.History(),
	}
	intake, errIntake := seglog.OpenReadOnly(d.intake)
	ledger, errLedger := seglog.OpenReadOnly(d.ledger)
	if errIntake == nil {
		defer intake.Close()
	}
	if errLedger == nil {
		defer ledger.Close()
	}
	if errIntake == nil && errLedger == nil {
		cfg.Intake, cfg.Ledger = intake, ledger
	}
	store, err := sqlite.Open(t.Context(), d.rows)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	cfg.Store = store
	r, err := auditor.Audit(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func text(t *testing.T, r auditor.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := auditor.WriteText(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAWorldOnDiskPassesItsAudit(t *testing.T) {
	d := newOnDisk(t)
	if r := d.audit(t); r.Verdict != auditor.Pass || r.Steps[0].State != auditor.StepDone {
		t.Fatalf("an untouched folder:\n%s", text(t, r))
	}
}

// TestAFlippedByteIsNamedByItsRecord flips one bit in records of every shard of both logs.
func TestAFlippedByteIsNamedByItsRecord(t *testing.T) {
	d := newOnDisk(t)
	for _, log := range d.logs() {
		name, folder := log.name, log.dir
		reader, err := seglog.OpenReadOnly(folder)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		for shard := range domain.Shard(reader.Shards()) {
			end, err := reader.End(t.Context(), shard)
			if err != nil {
				t.Fatal(err)
			}
			for offset := domain.Offset(0); offset < end; offset += 1 + end/9 {
				records, err := reader.Read(t.Context(), shard, offset, 1)
				if err != nil {
					t.Fatal(err)
				}
				file, at, once := whereIs(t, folder, records[0].Value)
				if !once {
					continue // pins of two shards can be the same bytes
				}
				mend := flip(t, file, at+int64(len(records[0].Value)/2))
				found, err := d.files(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range found {
					want := domain.Position{Shard: shard, Offset: offset}
					switch {
					case f.Log != name && f.Damage != nil:
						t.Errorf("%s %v: damage in the other log: %+v", name, want, f.Damage)
					case f.Log == name && (f.Damage == nil || f.Damage.File != file || f.Damage.Record == nil || *f.Damage.Record != want):
						t.Errorf("%s %v, file %s: named is %+v", name, want, file, f.Damage)
					}
				}
				mend()
			}
		}
	}
}

// TestNoByteOfAnyFileCanBeFlippedUnseen flips bytes all over all files of both logs: headers, lengths,
// times and checksums, too.
func TestNoByteOfAnyFileCanBeFlippedUnseen(t *testing.T) {
	d := newOnDisk(t)
	for _, log := range d.logs() {
		name, folder := log.name, log.dir
		files, err := os.ReadDir(folder)
		if err != nil || len(files) < 3 {
			t.Fatalf("%d files in %s, want a few: %v", len(files), folder, err)
		}
		for _, file := range files {
			path := filepath.Join(folder, file.Name())
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at < len(raw); at += 1 + len(raw)/13 {
				mend := flip(t, path, int64(at))
				r := d.audit(t)
				if r.Verdict != auditor.Fail || r.Offences[0].Kind != auditor.DamagedFile || r.Offences[0].Log != name {
					t.Errorf("%s, byte %d:\n%s", path, at, text(t, r))
				}
				mend()
			}
		}
	}
}

// whereIs finds a record's bytes in the files of a folder, and tells whether they are there once.
func whereIs(t *testing.T, folder string, value []byte) (file string, at int64, once bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	times := 0
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(raw, value); n > 0 {
			times += n
			file, at = path, int64(bytes.Index(raw, value))
		}
	}
	return file, at, times == 1
}

// flip changes one bit of a file and returns what changes it back.
func flip(t *testing.T, path string, at int64) (mend func()) {
	t.Helper()
	change := func() {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var b [1]byte
		if _, err := file.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1 << (at % 8)
		if _, err := file.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
	}
	change()
	return change
}

// TestNoRowOfAReadModelCanBeChangedUnseen changes the last column of one row of every table through SQL,
// and then takes the row away. It does so to a dozen tables at once: as many as a report lists.
func TestNoRowOfAReadModelCanBeChangedUnseen(t *testing.T) {
	d := newOnDisk(t)
	tried := 0
	for models := range slices.Chunk(projections.All(), 12) {
		var crimes []rowCrime
		for _, model := range models {
			if c := crimeAgainst(model.Table()); d.sql(t, c.change) > 0 { // else nothing of the kind happened in the world
				crimes = append(crimes, c)
			}
		}
		tried += len(crimes)
		d.wants(t, crimes, func(o auditor.Offence, c rowCrime) bool { return o.Field == c.column })
		for _, c := range crimes {
			d.sql(t, c.remove)
		}
		d.wants(t, crimes, func(o auditor.Offence, _ rowCrime) bool { return o.Field == "" && o.Have == "missing" })
		d.forget(t, models)
	}
	if tried < 20 {
		t.Errorf("only %d models had rows", tried)
	}
}

// rowCrime is SQL against the first row of a table.
type rowCrime struct {
	table, column  string
	change, remove string
}

func crimeAgainst(table projections.Table) rowCrime {
	columns := table.New().Columns(nil)
	last := columns[len(columns)-1]
	value := last.Name + " + 1"
	switch last.Field.(type) {
	case *string:
		value = last.Name + " || 'x'"
	case *[32]byte, *[]byte:
		value = "randomblob(32)"
	case *bool:
		value = "1 - " + last.Name
	}
	rows := fmt.Sprintf("%s_v%d", table.Name, table.Version)
	first := fmt.Sprintf("(%s) = (SELECT %[1]s FROM %s ORDER BY %[1]s LIMIT 1)", keyOf(columns, table), rows)
	return rowCrime{
		table: table.Name, column: last.Name,
		change: "UPDATE " + rows + " SET " + last.Name + " = " + value + " WHERE " + first,
		remove: "DELETE FROM " + rows + " WHERE " + first,
	}
}

// wants an audit that names each crime, as the crime that it is, and nothing else.
func (d onDisk) wants(t *testing.T, crimes []rowCrime, is func(auditor.Offence, rowCrime) bool) {
	t.Helper()
	r := d.audit(t)
	// A balance that is gone is missed by the second count, too.
	r.Offences = slices.DeleteFunc(r.Offences, func(o auditor.Offence) bool { return o.Kind == auditor.CountedOtherwise })
	if len(r.Offences) != len(crimes) {
		t.Fatalf("%d rows were changed, %d are named:\n%s", len(crimes), len(r.Offences), text(t, r))
	}
	for _, c := range crimes {
		if !slices.ContainsFunc(r.Offences, func(o auditor.Offence) bool {
			return o.Kind == auditor.ChangedRow && o.Log == auditor.ReadModels && o.Table == c.table && is(o, c)
		}) {
			t.Fatalf("%s is not named, or not as it should be:\n%s", c.table, text(t, r))
		}
	}
}

func keyOf(columns []projections.Column, table projections.Table) string {
	var names []string
	for _, c := range columns[:table.KeyColumns] {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

func (d onDisk) sql(t *testing.T, statement string) int64 {
	t.Helper()
	db, err := sql.Open("sqlite", d.rows)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	result, err := db.ExecContext(t.Context(), statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// forget has models folded again from the first entry.
func (d onDisk) forget(t *testing.T, models []projections.Model) {
	t.Helper()
	store, err := sqlite.Open(t.Context(), d.rows)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ledger, err := seglog.OpenReadOnly(d.ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	cut := make([]domain.Offset, ledger.Shards())
	for shard := range cut {
		if cut[shard], err = ledger.End(t.Context(), domain.Shard(shard)); err != nil {
			t.Fatal(err)
		}
	}
	for _, model := range models {
		if err := store.Forget(t.Context(), model.Table()); err != nil {
			t.Fatal(err)
		}
	}
	if err := projections.FoldTo(t.Context(), ledger, store, cut, models...); err != nil {
		t.Fatal(err)
	}
}
