package ledger

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// entryAt is an entry that its clerk meant to stand at an offset.
func entryAt(offset domain.Offset, atMs int64, entry *v1.Entry) *v1.Entry {
	entry.Offset, entry.AtMs = int64(offset), atMs
	return entry
}

func TestAnEntryThatDoesNotFollowStopsTheShard(t *testing.T) {
	answer := func(intake int64) *v1.Entry {
		return &v1.Entry{Body: &v1.Entry_Answer{Answer: &v1.Answer{IntakeOffset: intake}}}
	}
	genesis := func(shards uint32) *v1.Entry {
		return &v1.Entry{Body: &v1.Entry_Genesis{Genesis: &v1.Genesis{Shards: shards, Operator: make([]byte, 32)}}}
	}
	pin := func(control int64) *v1.Entry {
		return &v1.Entry{Body: &v1.Entry_Pin{Pin: &v1.Pin{ControlOffset: control}}}
	}
	for _, c := range []struct {
		name  string
		state func(w *world) *State
		entry func(s *State) (domain.Offset, *v1.Entry)
	}{
		{"a gap in the ledger", live(1), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry() + 1, entryAt(s.NextEntry()+1, s.nowMs, answer(int64(s.NextIntake())))
		}},
		{"an entry twice", live(1), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry() - 1, entryAt(s.NextEntry()-1, s.nowMs, answer(int64(s.NextIntake())))
		}},
		{"an answer to a later record", live(1), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry(), entryAt(s.NextEntry(), s.nowMs, answer(int64(s.NextIntake())+1))
		}},
		{"a second answer to a record", live(1), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry(), entryAt(s.NextEntry(), s.nowMs, answer(int64(s.NextIntake())-1))
		}},
		{"log time that goes back", live(1), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry(), entryAt(s.NextEntry(), s.nowMs-1, answer(int64(s.NextIntake())))
		}},
		{"log time beyond its end", live(1), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry(), entryAt(s.NextEntry(), latestMs+1, answer(int64(s.NextIntake())))
		}},
		{"a pin to what was not learned", live(1), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry(), entryAt(s.NextEntry(), s.nowMs, pin(int64(s.KnowsControlTo())+1))
		}},
		{"a pin in control", live(0), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry(), entryAt(s.NextEntry(), s.nowMs, pin(int64(s.KnowsControlTo())))
		}},
		{"an entry that says nothing", live(1), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry(), entryAt(s.NextEntry(), s.nowMs, &v1.Entry{})
		}},
		{"a second genesis", live(0), func(s *State) (domain.Offset, *v1.Entry) {
			return s.NextEntry(), entryAt(s.NextEntry(), s.nowMs, genesis(1))
		}},
		{"a genesis in a data shard", fresh(1), func(*State) (domain.Offset, *v1.Entry) { return 0, entryAt(0, 0, genesis(1)) }},
		{"a network without shards", fresh(0), func(*State) (domain.Offset, *v1.Entry) { return 0, entryAt(0, 0, genesis(0)) }},
		{"a network of too many shards", fresh(0), func(*State) (domain.Offset, *v1.Entry) { return 0, entryAt(0, 0, genesis(maxDataShards+1)) }},
		{"a network from before time", fresh(0), func(*State) (domain.Offset, *v1.Entry) { return 0, entryAt(0, -1, genesis(1)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.say(1, adminKey)
			state := c.state(w)
			before := state.dump()
			offset, entry := c.entry(state)
			if err := state.Evolve(offset, entry); !errors.Is(err, ErrNotDecidable) {
				t.Errorf("got %v", err)
			}
			if state.dump() != before {
				t.Error("the state took something of it in")
			}
		})
	}
}

func live(shard domain.Shard) func(*world) *State {
	return func(w *world) *State { return w.states[shard] }
}
func fresh(shard domain.Shard) func(*world) *State { return func(*world) *State { return New(shard) } }

func TestARecordIsAnsweredInItsTurn(t *testing.T) {
	w := newWorld(t, 1)
	w.say(1, adminKey)
	for _, offset := range []domain.Offset{0, 2} {
		if entry, err := w.states[1].Step(Said{Offset: offset}); !errors.Is(err, ErrNotDecidable) {
			t.Errorf("record %d, where 1 is next: got %v, %v", offset, entry, err)
		}
	}
}

func TestControlIsLearnedInItsOrder(t *testing.T) {
	w := newWorld(t, 1)
	genesis := w.decode(w.ledger[domain.Control][0])
	if err := w.states[domain.Control].Learn(1, genesis); err == nil {
		t.Error("control learned of itself")
	}
	for name, learn := range map[string]func(domain.Offset, *v1.Entry) error{"shard": w.states[1].Learn, "view": NewView().Learn} {
		if err := learn(1, genesis); !errors.Is(err, ErrNotDecidable) {
			t.Errorf("%s: a gap: got %v", name, err)
		}
		if err := learn(0, genesis); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := learn(0, genesis); !errors.Is(err, ErrNotDecidable) {
			t.Errorf("%s: an entry twice: got %v", name, err)
		}
		if err := learn(1, genesis); err != nil { // meant for 0, so it is void here
			t.Errorf("%s: a void entry: %v", name, err)
		}
	}
}

func TestAViewKnowsTheKeysAndTheRules(t *testing.T) {
	s := newScript(t)
	s.play("use standard")
	view := NewView()
	if view.Knows(s.keyOf("telegram")) || view.Params() != nil || view.DataShards() != 0 {
		t.Error("a view knows something before it learned")
	}
	for at, raw := range s.ledger[domain.Control] {
		if err := view.Learn(domain.Offset(at), s.decode(raw)); err != nil {
			t.Fatal(err)
		}
	}
	if !view.Knows(s.keyOf("telegram")) || view.Knows(s.keyOf("stranger")) {
		t.Error("a view knows the wrong keys")
	}
	if view.Network() != s.network || view.DataShards() != scriptShards || view.Params().GetMaxOpenJobs() != 3 ||
		int(view.KnowsTo()) != len(s.ledger[domain.Control]) {
		t.Errorf("network %s, %d shards, params %v, known to %d", view.Network(), view.DataShards(), view.Params(), view.KnowsTo())
	}
}

func TestAShardSaysWhenSomethingIsDue(t *testing.T) {
	s := newScript(t)
	s.play("use standard")
	if at, due := s.states[1].NextDueMs(); due {
		t.Errorf("due at %d, where nothing is open", at)
	}
	s.play("telegram: submit_job account=A number=1 model=deepseek timeout_ms=5m")
	if at, due := s.states[1].NextDueMs(); !due || at != startMs+5*60*1000 {
		t.Errorf("due %t at %d, where a job expires at %d", due, at, startMs+5*60*1000)
	}
}

func TestABalanceIsTheSumOfItsPostings(t *testing.T) {
	s := newScript(t)
	s.play("use standard\ntelegram: request_withdrawal account=A amount_nano=1c destination=wallet")
	account, wallet := s.id("A"), s.id("wallet")
	for _, c := range []struct {
		kind  v1.AccountKind
		owner []byte
		want  domain.Nano
	}{
		{v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, account[:], 9 * domain.Coin},
		{v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE, wallet[:], domain.Coin},
		{v1.AccountKind_ACCOUNT_KIND_VAULT_CASH, nil, -10 * domain.Coin},
		{v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, account[:], 0},
	} {
		if got := s.states[1].Balance(c.kind, c.owner); got != c.want {
			t.Errorf("%s: got %s, want %s", c.kind, got, c.want)
		}
	}
}

func TestPostingsThatDoNotSumToZeroAreFound(t *testing.T) {
	posting := func(amount int64) *v1.Posting { return &v1.Posting{AmountNano: amount} }
	for _, c := range []struct {
		name     string
		postings []*v1.Posting
		balanced bool
	}{
		{"none", nil, true},
		{"two that cancel", []*v1.Posting{posting(-5), posting(5)}, true},
		{"one alone", []*v1.Posting{posting(1)}, false},
		{"a sum that wraps to zero", []*v1.Posting{posting(math.MaxInt64), posting(math.MaxInt64), posting(2)}, false},
	} {
		if err := SumsToZero(&v1.Fact{Postings: c.postings}); (err == nil) != c.balanced {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestTheNetworkIsTheDigestOfItsGenesis(t *testing.T) {
	genesis := &v1.Genesis{Name: "a", Shards: 1, Operator: make([]byte, 32)}
	one, err := NetworkIDOf(genesis)
	if err != nil {
		t.Fatal(err)
	}
	genesis.Name = "b"
	if other, err := NetworkIDOf(genesis); err != nil || other == one {
		t.Errorf("another genesis is network %s too, %v", other, err)
	}
	genesis.Operator = nil
	if id, err := NetworkIDOf(genesis); err == nil {
		t.Errorf("a genesis without an operator is network %s", id)
	}
}

// TestWhatCannotBeReadIsSaidInOurOwnWords: the words of a library would make two builds write two
// ledgers.
func TestWhatCannotBeReadIsSaidInOurOwnWords(t *testing.T) {
	said, signed := Read(3, 4, []byte{0xff})
	if signed != nil || said.Report != nil || said.Malformed == nil || said.Offset != 3 || said.AtMs != 4 {
		t.Fatalf("got %+v, %v", said, signed)
	}
	said.Malformed = &v1.FieldError{Field: "claims[0]", Rule: "is not protobuf: whatever\u00a0it says"}
	if got := malformed(said.Malformed); got != "claims[0]: is not protobuf" {
		t.Errorf("got %q", got)
	}
	long := &v1.FieldError{Field: "x" + strings.Repeat("é", 200), Rule: "is long"}
	if got := malformed(long); len(got) > 200 || strings.ToValidUTF8(got, "?") != got {
		t.Errorf("got %q, %d bytes", got, len(got))
	}
}
