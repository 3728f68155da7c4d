package ledger

import (
	"crypto/sha256"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// failer is what *testing.T and *rapid.T have in common, as far as the world needs it.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// startMs is the log time at which every world begins.
const startMs = 1_767_225_600_000 // 2026-01-01

// world is a network in memory: the two logs of each shard and the states of their clerks. It
// polices what holds for every entry whatever was said: that it fits a record, that it is read back
// strictly, and that its postings sum to zero.
type world struct {
	failer
	nowMs   int64
	network domain.NetworkID
	states  []*State
	intake  [][]intakeRecord
	ledger  [][][]byte
	// pinning lets a data shard learn what control decided before it answers, as clerks do.
	pinning   bool
	sequences map[signerInShard]uint64
}

type intakeRecord struct {
	atMs   int64
	value  []byte
	signed bool
}

type signerInShard struct {
	key   domain.KeyID
	shard domain.Shard
}

func newWorld(t failer, dataShards int) *world {
	t.Helper()
	w := &world{failer: t, nowMs: startMs, pinning: true, sequences: map[signerInShard]uint64{}}
	for shard := range domain.Shard(dataShards + 1) {
		w.states = append(w.states, New(shard))
	}
	w.intake = make([][]intakeRecord, dataShards+1)
	w.ledger = make([][][]byte, dataShards+1)
	entry, err := w.states[domain.Control].Begin(&v1.Genesis{
		Name: "test", Shards: uint32(dataShards), Operator: adminKey[:], CreatedAtMs: startMs,
	})
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	w.append(domain.Control, entry)
	w.network = w.states[domain.Control].Network()
	return w
}

// append writes an entry that was just decided to the shard's ledger.
func (w *world) append(shard domain.Shard, entry *v1.Entry) {
	w.Helper()
	raw, err := v1.Encode(entry)
	if err != nil {
		w.Fatalf("entry %d/%d: %v", shard, len(w.ledger[shard]), err)
	}
	if len(raw) > eventstore.MaxRecordBytes {
		w.Fatalf("entry %d/%d has %d bytes and fits no record", shard, len(w.ledger[shard]), len(raw))
	}
	for _, fact := range w.decode(raw).GetAnswer().GetFacts() {
		if err := SumsToZero(fact); err != nil {
			w.Fatalf("entry %d/%d: %v: %v", shard, len(w.ledger[shard]), err, fact)
		}
	}
	w.ledger[shard] = append(w.ledger[shard], raw)
}

func (w *world) decode(raw []byte) *v1.Entry {
	w.Helper()
	entry := &v1.Entry{}
	if err := v1.Decode(raw, entry); err != nil {
		w.Fatalf("entry: %v", err)
	}
	return entry
}

// report makes the next report of a signer.
func (w *world) report(shard domain.Shard, key domain.KeyID, claims ...*v1.Claim) *v1.Report {
	w.sequences[signerInShard{key, shard}]++
	return &v1.Report{
		Network: w.network[:], Signer: key[:], Shard: uint32(shard),
		Sequence: w.sequences[signerInShard{key, shard}], Claims: claims,
	}
}

// record encodes a report as intake holds it. The signature is made up: whether it holds is said
// beside the record.
func (w *world) record(report *v1.Report) []byte {
	w.Helper()
	raw, err := v1.Encode(report)
	if err != nil {
		w.Fatalf("report: %v", err)
	}
	record, err := v1.Encode(&v1.SignedReport{Report: raw, Signature: make([]byte, 64)})
	if err != nil {
		w.Fatalf("signed report: %v", err)
	}
	return record
}

// say puts a signed report on a shard's intake and lets the clerk answer.
func (w *world) say(shard domain.Shard, key domain.KeyID, claims ...*v1.Claim) *v1.Entry {
	w.Helper()
	return w.hear(shard, w.record(w.report(shard, key, claims...)), true)
}

// hear puts a record on a shard's intake and lets the clerk answer.
func (w *world) hear(shard domain.Shard, record []byte, signed bool) *v1.Entry {
	w.Helper()
	w.pin(shard)
	w.intake[shard] = append(w.intake[shard], intakeRecord{w.nowMs, record, signed})
	entry, err := w.states[shard].Step(w.said(shard, domain.Offset(len(w.intake[shard])-1)))
	if err != nil {
		w.Fatalf("step: %v", err)
	}
	w.append(shard, entry)
	return entry
}

// said reads an intake record again.
func (w *world) said(shard domain.Shard, offset domain.Offset) Said {
	record := w.intake[shard][offset]
	said, _ := Read(offset, record.atMs, record.value)
	said.Signed = record.signed
	return said
}

// pin tells a data shard what control decided since it last heard of it.
func (w *world) pin(shard domain.Shard) {
	w.Helper()
	state := w.states[shard]
	if shard == domain.Control || !w.pinning || int(state.KnowsControlTo()) == len(w.ledger[domain.Control]) {
		return
	}
	w.learn(state, domain.Offset(len(w.ledger[domain.Control])))
	entry, err := state.Pin()
	if err != nil {
		w.Fatalf("pin: %v", err)
	}
	w.append(shard, entry)
}

func (w *world) learn(state *State, to domain.Offset) {
	w.Helper()
	for at := state.KnowsControlTo(); at < to; at++ {
		if err := state.Learn(at, w.decode(w.ledger[domain.Control][at])); err != nil {
			w.Fatalf("learn: %v", err)
		}
	}
}

// replay makes the state of a shard again from the first entries of its ledger.
func (w *world) replay(shard domain.Shard, entries int) *State {
	w.Helper()
	state := New(shard)
	for at, raw := range w.ledger[shard][:entries] {
		entry := w.decode(raw)
		if pin := entry.GetPin(); pin != nil && !Void(domain.Offset(at), entry) {
			w.learn(state, domain.Offset(pin.ControlOffset))
		}
		if err := state.Evolve(domain.Offset(at), entry); err != nil {
			w.Fatalf("replay: %v", err)
		}
	}
	return state
}

// balances adds up the shards.
func (w *world) balances() balances {
	all := balances{}
	for _, state := range w.states {
		for key, amount := range state.balances {
			if all[key] += amount; all[key] == 0 {
				delete(all, key)
			}
		}
	}
	return all
}

// idNamed gives the id that stands for a name in tests.
func idNamed(name string) [32]byte { return sha256.Sum256([]byte("filature/test/" + name)) }

// adminKey is the operator's in every genesis.
var adminKey = domain.KeyID(idNamed("admin-key"))

// accountNamed gives the id of an account that lives in a shard.
func accountNamed(name string, shard domain.Shard, dataShards int) domain.AccountID {
	for try := 0; ; try++ {
		id := domain.AccountID(idNamed(fmt.Sprintf("%s/%d", name, try)))
		if domain.ShardOf(id, dataShards) == shard {
			return id
		}
	}
}
