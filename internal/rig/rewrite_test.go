package rig_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/archive"
	"github.com/filature/filature/eventstore/memlog"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/internal/services"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

// forger keeps an intake in which one report is not the one that was sent: a worker counted one token more.
type forger struct {
	eventstore.Log
	world  *rig.World
	forged int
}

func (f *forger) Append(ctx context.Context, shard domain.Shard, values [][]byte) (domain.Offset, error) {
	if f.world != nil && f.forged == 0 {
		for i, value := range values {
			if again := f.forge(shard, value); again != nil {
				values = slices.Clone(values)
				values[i] = again
				f.forged++
				break
			}
		}
	}
	return f.Log.Append(ctx, shard, values)
}

// forge counts one token more in a report that completes a job, and signs it with the worker's own key: nil for any other.
func (f *forger) forge(shard domain.Shard, value []byte) []byte {
	said, _ := ledger.Read(0, 0, slices.Clone(value))
	if said.Report == nil || len(said.Report.Claims) != 1 || said.Report.Claims[0].GetCompleteJob() == nil {
		return nil
	}
	for _, worker := range f.world.Workers {
		if key := worker.KeyID(); bytes.Equal(said.Report.Signer, key[:]) {
			said.Report.Claims[0].GetCompleteJob().Usage.CompletionTokens++
			again, err := signing.Report(worker.Key, f.world.Network, shard, said.Report.Sequence, said.Report.Claims)
			if err != nil {
				return nil
			}
			return again
		}
	}
	return nil
}

// twoHistories are one network, twice: as it was, and as all who hold keys tell it after they changed one count of one job,
// and everything that follows from it: reports and signatures, facts, postings, tables, batches and log roots.
func twoHistories(t *testing.T) (was, told *rig.World) {
	t.Helper()
	var worlds [2]*rig.World
	for i := range worlds {
		f := &forger{}
		w := rig.New(t, rig.Options{Seed: 61, Honest: true, OpenLogs: func(now func() time.Time) (intake, ledger eventstore.Log) {
			f.Log = memlog.New(3, now)
			return f, memlog.New(3, now)
		}})
		if i == 1 {
			f.world = w
		}
		w.Live(40)
		w.Work()
		w.Mature()
		w.Work()
		if w.Settle() == nil {
			t.Fatal("nobody is owed anything")
		}
		if f.forged != i {
			t.Fatalf("%d reports were forged, want %d", f.forged, i)
		}
		worlds[i] = w
	}
	return worlds[0], worlds[1]
}

func recordsOf(t *testing.T, log eventstore.Reader) (all [][][]byte) {
	t.Helper()
	for shard := range domain.Shard(log.Shards()) {
		end, err := log.End(t.Context(), shard)
		if err != nil {
			t.Fatal(err)
		}
		var values [][]byte
		if err := eventstore.Each(t.Context(), log, shard, 0, end, func(r eventstore.Record) error {
			values = append(values, r.Value)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	return all
}

// archived makes an archive of a world, and opens it as an auditor does.
func archived(t *testing.T, w *rig.World) (dir string, intake, ledger eventstore.Reader) {
	t.Helper()
	dir = t.TempDir()
	var logs []eventstore.Reader
	for _, source := range []struct {
		name string
		log  eventstore.Reader
	}{{archive.IntakeDir, w.Intake}, {archive.LedgerDir, w.Ledger}} {
		var shards archive.Shards
		for shard, values := range recordsOf(t, source.log) {
			folder := filepath.Join(dir, archive.Folder(source.name, domain.Shard(shard)))
			clock := &archive.Clock{}
			to, err := seglog.Open(folder, seglog.Options{
				Shards: 1, Now: clock.Now, Random: archive.Name(w.Network, source.name, domain.Shard(shard)), Unsynced: true, SegmentBytes: 64 << 10,
			})
			if err != nil {
				t.Fatal(err)
			}
			err = archive.Copy(t.Context(), source.log, domain.Shard(shard), domain.Offset(len(values)), to, clock, func(int64) {})
			if err := errors.Join(err, to.Close()); err != nil {
				t.Fatal(err)
			}
			reader, err := seglog.OpenReadOnly(folder)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := reader.Close(); err != nil {
					t.Error(err)
				}
			})
			shards = append(shards, reader)
		}
		logs = append(logs, shards)
	}
	if err := archive.Seal(dir, archive.Manifest{Network: w.Network.String()}); err != nil {
		t.Fatal(err)
	}
	return dir, logs[0], logs[1]
}

func auditLogs(t *testing.T, genesis *v1.Genesis, intake, ledger eventstore.Reader, chain auditor.Chain) auditor.Report {
	t.Helper()
	r, err := auditor.Audit(t.Context(), auditor.Config{
		Genesis: genesis, Intake: intake, Ledger: ledger, Verifier: signing.NewVerifier(1024), Entropy: rand.Reader, Chain: chain,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// contradicted wants an audit to fail for the chain's sake and for nothing else.
func contradicted(t *testing.T, r auditor.Report) {
	t.Helper()
	if r.Verdict != auditor.Fail || len(r.Batches) == 0 || r.Batches[0].Equal {
		t.Fatalf("a history with one count changed, against the real chain:\n%s", text(t, r))
	}
	for _, step := range r.Steps {
		if step.State == auditor.StepStopped {
			t.Errorf("step %s stopped: %s", step.Name, step.Why)
		}
	}
	for _, o := range r.Offences {
		if o.Kind != auditor.BatchOnChain && o.Kind != auditor.ChangedEvent && o.Kind != auditor.VaultShort && o.Log != auditor.OnChain {
			t.Errorf("something local gave it away: %s", o)
		}
	}
	if o := r.Offences[0]; o.Kind != auditor.BatchOnChain && o.Kind != auditor.ChangedEvent {
		t.Errorf("the first offence is %s", o)
	}
}

// TestOneCountChangedInAnArchiveIsCaughtByTheChainAlone: everybody conspires, and all that they can write agrees.
func TestOneCountChangedInAnArchiveIsCaughtByTheChainAlone(t *testing.T) {
	was, told := twoHistories(t)
	changed := 0
	for shard, values := range recordsOf(t, was.Intake) {
		for i, value := range values[:min(len(values), len(recordsOf(t, told.Intake)[shard]))] {
			if !bytes.Equal(value, recordsOf(t, told.Intake)[shard][i]) {
				changed++
				break
			}
		}
	}
	if changed == 0 {
		t.Fatal("nothing was changed")
	}
	dir, intake, ledger := archived(t, told)
	manifest, err := archive.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if wrong, err := archive.Check(t.Context(), dir, manifest); len(wrong) != 0 || err != nil {
		t.Fatalf("the forged archive's own manifest: %v, %v", wrong, err)
	}
	if r := auditLogs(t, told.Genesis, intake, ledger, told.Vault.History()); r.Verdict != auditor.Pass {
		t.Fatalf("with a chain of its own the forged archive is whole:\n%s", text(t, r))
	}
	contradicted(t, auditLogs(t, told.Genesis, intake, ledger, was.Vault.History()))

	_, intake, ledger = archived(t, was)
	if r := auditLogs(t, was.Genesis, intake, ledger, was.Vault.History()); r.Verdict != auditor.Pass || r.Batches[0].SecondRoot != r.Batches[0].ChainRoot {
		t.Fatalf("the archive of the history as it was, with nothing but the chain:\n%s", text(t, r))
	}
}

// TestOneFactChangedInKafkaIsCaughtByTheChainAlone has the forged ledger in a real Kafka.
func TestOneFactChangedInKafkaIsCaughtByTheChainAlone(t *testing.T) {
	t.Parallel()
	was, told := twoHistories(t)
	inKafka := func(w *rig.World) eventstore.Reader {
		cluster := kafka.Cluster{Brokers: services.Kafka(t)}
		name := sha256.Sum256([]byte(t.Name() + time.Now().String()))
		topic := kafka.LedgerTopic("rewrite-"+domain.Digest(name).String()[:16], 2)
		if err := kafka.Create(t.Context(), cluster, topic, 1); err != nil {
			t.Fatal(err)
		}
		log, err := kafka.Open(t.Context(), cluster, topic)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		})
		for shard, values := range recordsOf(t, w.Ledger) {
			if _, err := log.Append(t.Context(), domain.Shard(shard), values); err != nil {
				t.Fatal(err)
			}
		}
		return log
	}
	forged := inKafka(told)
	if r := auditLogs(t, told.Genesis, told.Intake, forged, told.Vault.History()); r.Verdict != auditor.Pass {
		t.Fatalf("with a chain of its own the forged ledger is whole:\n%s", text(t, r))
	}
	contradicted(t, auditLogs(t, told.Genesis, told.Intake, forged, was.Vault.History()))
	if r := auditLogs(t, was.Genesis, was.Intake, forged, was.Vault.History()); r.Verdict != auditor.Fail {
		t.Fatalf("a forged ledger over the true intake:\n%s", text(t, r))
	}
}
