package ledger

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// clerk is a clerk as workers/clerk has it, with every pause between reading and appending made
// visible: another one may write in each.
type clerk struct {
	state   *State // nil: it has to load
	decided [][]byte
	base    domain.Offset // where it expects decided to land
}

// TestTwoClerksAreOneClerk lets two clerks take turns at random over one shard, also in the middle of
// each other's work. Whatever lands, the entries that count are those of a single clerk, and so is the
// state.
func TestTwoClerksAreOneClerk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t, 60) // each reload replays the whole ledger
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "schedule"), 0))
		for shard := range h.states {
			h.twoClerks(random, domain.Shard(shard))
		}
	})
}

func (h *history) twoClerks(random *rand.Rand, shard domain.Shard) {
	h.Helper()
	alone := h.undisturbed(shard)
	lonely := h.ledger[shard]

	h.ledger[shard] = nil
	clerks := [2]clerk{}
	voids := 0
	for turns := 0; ; turns++ {
		if turns > 100*len(lonely)+100 {
			h.Fatalf("two clerks came to no end")
		}
		c := &clerks[random.IntN(2)]
		switch {
		case c.state == nil:
			c.state, c.decided = h.replay(shard, len(h.ledger[shard])), nil
		case c.decided == nil:
			c.base = c.state.NextEntry()
			c.decided = h.decideSome(c.state, shard, 1+random.IntN(3))
			if len(c.decided) == 0 && len(h.ledger[shard]) == int(c.base) {
				h.compareBut(alone, c.state, voids)
				h.compareEntries(shard, lonely)
				return
			}
		default:
			landed := domain.Offset(len(h.ledger[shard]))
			h.ledger[shard] = append(h.ledger[shard], c.decided...)
			if landed != c.base {
				voids += len(c.decided)
				c.state = nil
			}
			c.decided = nil
		}
	}
}

// undisturbed answers a shard's intake once more, by one clerk, told of all of control before.
func (h *history) undisturbed(shard domain.Shard) *State {
	h.Helper()
	h.ledger[shard] = append([][]byte(nil), h.ledger[shard]...)
	state := New(shard)
	entries := [][]byte(nil)
	for {
		some := h.decideSome(state, shard, 1)
		if len(some) == 0 {
			h.ledger[shard] = entries
			return state
		}
		entries = append(entries, some...)
	}
}

// decideSome begins a ledger, or answers up to so many records.
func (h *history) decideSome(state *State, shard domain.Shard, most int) [][]byte {
	h.Helper()
	var raws [][]byte
	add := func(entry *v1.Entry, err error) {
		if err != nil {
			h.Fatalf("decide: %v", err)
		}
		raw, err := v1.Encode(entry)
		if err != nil {
			h.Fatalf("encode: %v", err)
		}
		raws = append(raws, raw)
	}
	switch {
	case state.NextEntry() == 0 && shard == domain.Control:
		add(state.Begin(&v1.Genesis{Name: "test", Shards: scriptShards, Operator: adminKey[:], CreatedAtMs: startMs}))
	case shard != domain.Control && int(state.KnowsControlTo()) < len(h.ledger[domain.Control]):
		h.learn(state, domain.Offset(len(h.ledger[domain.Control])))
		add(state.Pin())
	}
	for len(raws) < most && int(state.NextIntake()) < len(h.intake[shard]) {
		add(state.Step(h.said(shard, state.NextIntake())))
	}
	return raws
}

// compareBut compares two states that differ by the void entries of one of them alone.
func (h *history) compareBut(alone, disturbed *State, voids int) {
	h.Helper()
	if int(disturbed.nextEntry-alone.nextEntry) != voids {
		h.Fatalf("%d entries are void, but the ledger is longer by %d", voids, disturbed.nextEntry-alone.nextEntry)
	}
	shifted := *disturbed
	shifted.nextEntry = alone.nextEntry
	if shifted.shard == domain.Control {
		shifted.control.next = alone.control.next
		h.shiftWorkers(disturbed.control.workers)
	}
	h.compare(&shifted, alone)
}

// shiftWorkers names the places in control as they are without the void entries.
func (h *history) shiftWorkers(workers map[domain.WorkerID]*worker) {
	counted := map[domain.Offset]domain.Offset{}
	for at, raw := range h.ledger[domain.Control] {
		if !Void(domain.Offset(at), h.decode(raw)) {
			counted[domain.Offset(at)] = domain.Offset(len(counted))
		}
	}
	for _, w := range workers {
		w.toldAt, w.passedAt = counted[w.toldAt], counted[w.passedAt]
	}
}

// compareEntries compares what counts in a shard's ledger with what one clerk wrote.
func (h *history) compareEntries(shard domain.Shard, lonely [][]byte) {
	h.Helper()
	for at, raw := range h.ledger[shard] {
		entry := h.decode(raw)
		if Void(domain.Offset(at), entry) {
			continue
		}
		if len(lonely) == 0 {
			h.Fatalf("two clerks answered more than one")
		}
		want := h.decode(lonely[0])
		entry.Offset = want.Offset
		if got, _ := v1.Encode(entry); string(got) != string(lonely[0]) {
			h.Fatalf("two clerks decided %v, one decided %v", entry, want)
		}
		lonely = lonely[1:]
	}
	if len(lonely) != 0 {
		h.Fatalf("two clerks left %d entries undecided", len(lonely))
	}
}
