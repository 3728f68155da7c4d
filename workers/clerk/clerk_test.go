package clerk_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/clerk"
)

// The history of the tests below is worth something: it has acceptances and rejections of claims and of
// whole reports.
func TestTheHistoryIsMixed(t *testing.T) {
	w := newWorld(t)
	w.found()
	w.live(40)
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	w.answer(w.config(shard, log))
	var refused, rejected, accepted int
	for _, entry := range w.entries(log, shard) {
		if entry.GetAnswer().GetRefusal() != nil {
			refused++
		}
		for _, fact := range entry.GetAnswer().GetFacts() {
			if fact.GetRejection() != nil {
				rejected++
			} else {
				accepted++
			}
		}
	}
	if refused < 10 || rejected < 3 || accepted < 10 {
		t.Errorf("%d reports refused, %d claims rejected, %d accepted: too few of one", refused, rejected, accepted)
	}
}

// However the log fails, wherever the clerk is stopped, and however intake is cut into batches.
func TestAnyDisturbanceEndsInTheSameLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.found()
		w.live(rapid.IntRange(1, 40).Draw(t, "reports"))
		want := w.undisturbed()

		log := w.newLog()
		w.answer(w.config(domain.Control, log))
		faulty := eventstoretest.Faulty(log)
		cfg := w.config(shard, faulty)
		for range rapid.IntRange(0, 3).Draw(t, "restarts") {
			cfg.Intake = sips{w.intake, rapid.IntRange(1, 5).Draw(t, "records at once")}
			faulty.FailNext(rapid.SliceOfN(rapid.SampledFrom([]eventstoretest.Fault{
				eventstoretest.Pass, eventstoretest.Lost, eventstoretest.Kept, eventstoretest.Cancelled,
			}), 0, 5).Draw(t, "faults")...)
			c := start(cfg)
			w.await(log, shard, rapid.IntRange(0, len(want)).Draw(t, "stopped at"), c.ended)
			if err := c.stop(); err != nil {
				t.Fatalf("clerk: %v", err)
			}
			faulty.Reopen()
		}
		w.answer(cfg)
		w.want(w.answers(log, shard), want)
	})
}

// patient ends a clerk that should have ended by itself.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestALogThatFailsForGoodEndsTheClerkAndTheNextOneGoesOn(t *testing.T) {
	for _, fault := range []eventstoretest.Fault{eventstoretest.Lost, eventstoretest.Kept} {
		t.Run(fault.String(), func(t *testing.T) {
			w := newWorld(t)
			w.found()
			w.live(20)
			log := w.newLog()
			w.answer(w.config(domain.Control, log))
			faulty := eventstoretest.Faulty(log)
			faulty.FailForGood(eventstoretest.Pass, eventstoretest.Pass, fault)
			cfg := w.config(shard, faulty)
			cfg.Intake = sips{w.intake, 3}
			if err := clerk.New(cfg).Run(patient(t)); !errors.Is(err, eventstore.ErrFailed) || !strings.Contains(err.Error(), "shard 1") {
				t.Fatalf("run: %v, want %v of shard 1", err, eventstore.ErrFailed)
			}
			faulty.Reopen()
			w.answer(cfg)
			w.want(w.answers(log, shard), w.undisturbed())
		})
	}
}

func TestAppendsThatNeverSucceedEndTheClerk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.found()
		w.live(3)
		log := w.newLog()
		w.answer(w.config(domain.Control, log))
		faulty := eventstoretest.Faulty(log)
		for range 1000 {
			faulty.FailNext(eventstoretest.Lost)
		}
		begun := time.Now()
		if err := clerk.New(w.config(shard, faulty)).Run(ctx); !errors.Is(err, eventstoretest.ErrInjected) {
			t.Errorf("run: %v, want %v", err, eventstoretest.ErrInjected)
		}
		if took := time.Since(begun); took < 3*time.Second || took > time.Minute {
			t.Errorf("it gave up after %v", took)
		}
	})
}

func TestTwoClerksAreAsGoodAsOne(t *testing.T) {
	w := newWorld(t)
	w.found()
	w.live(300)
	want := w.undisturbed()
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	ended := make(chan error, 1)
	var clerks []*running
	for range 2 {
		cfg := w.config(shard, log)
		cfg.Intake = sips{w.intake, 2}
		clerks = append(clerks, start(cfg))
	}
	w.await(log, shard, w.said(shard), ended)
	for _, c := range clerks {
		if err := c.stop(); err != nil {
			t.Errorf("clerk: %v", err)
		}
	}
	w.want(w.answers(log, shard), want)
	end, err := log.End(ctx, shard)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d entries, of which %d count", end, len(w.entries(log, shard)))
}

// late is a ledger whose first append waits until it is let go: the clerk that wakes up from the dead.
type late struct {
	eventstore.Log
	entered, letGo chan struct{}
	once           *atomic.Bool
}

func (l late) Append(ctx context.Context, of domain.Shard, values [][]byte) (domain.Offset, error) {
	if l.once.CompareAndSwap(false, true) {
		close(l.entered)
		<-l.letGo
	}
	return l.Log.Append(ctx, of, values)
}

func TestAClerkThatWakesUpLateWritesWhatIsVoidAndGoesOn(t *testing.T) {
	w := newWorld(t)
	w.found()
	w.live(20)
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	slow := late{log, make(chan struct{}), make(chan struct{}), new(atomic.Bool)}
	zombie := start(w.config(shard, slow))
	<-slow.entered
	w.answer(w.config(shard, log))
	before, _ := log.End(ctx, shard)
	close(slow.letGo)
	w.live(5)
	w.await(log, shard, w.said(shard), zombie.ended) // nobody else is left to answer
	if err := zombie.stop(); err != nil {
		t.Errorf("zombie: %v", err)
	}
	w.want(w.answers(log, shard), w.undisturbed())
	after, _ := log.End(ctx, shard)
	if void := int(after) - len(w.entries(log, shard)); void != int(before) {
		t.Errorf("%d entries are void, want the %d that came late", void, before)
	}
}

func TestDecidedIsToldOfEachEntryThatStandsAndOfNoneThatIsVoid(t *testing.T) {
	w := newWorld(t)
	w.found()
	w.live(20)
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	var told []*v1.Entry
	var mu sync.Mutex
	listening := func(to eventstore.Log) clerk.Config {
		cfg := w.config(shard, to)
		cfg.Decided = func(entry *v1.Entry) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, entry)
		}
		return cfg
	}
	slow := late{log, make(chan struct{}), make(chan struct{}), new(atomic.Bool)}
	zombie := start(listening(slow))
	<-slow.entered
	w.answer(listening(log))
	close(slow.letGo)
	w.live(5)
	w.await(log, shard, w.said(shard), zombie.ended)
	if err := zombie.stop(); err != nil {
		t.Errorf("zombie: %v", err)
	}
	stand := w.entries(log, shard)
	if !slices.EqualFunc(told, stand, func(a, b *v1.Entry) bool { return proto.Equal(a, b) }) {
		t.Errorf("told of %d entries, %d stand", len(told), len(stand))
	}
}

// rival is a ledger where somebody else always decides the same, just before.
type rival struct{ eventstore.Log }

func (r rival) Append(ctx context.Context, of domain.Shard, values [][]byte) (domain.Offset, error) {
	if _, err := r.Log.Append(ctx, of, values); err != nil {
		return 0, err
	}
	return r.Log.Append(ctx, of, values)
}

func TestAClerkThatAlwaysLosesToAnotherOneLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.found()
		w.live(60)
		log := w.newLog()
		w.answer(w.config(domain.Control, log))
		cfg := w.config(shard, rival{log})
		cfg.Intake = sips{w.intake, 1}
		w.answer(cfg)
		w.want(w.answers(log, shard), w.undisturbed())
	})
}

// watched is a ledger that is looked at before each append.
type watched struct {
	eventstore.Log
	before func()
}

func (l watched) Append(ctx context.Context, of domain.Shard, values [][]byte) (domain.Offset, error) {
	l.before()
	return l.Log.Append(ctx, of, values)
}

func TestWhatIsSaidToBeAnsweredIsDurable(t *testing.T) {
	w := newWorld(t)
	w.found()
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	// Answers so large that a batch of them takes several appends: a thousand deposits each.
	many := make([]*v1.Claim, 1000)
	for record := range 40 {
		for i := range many {
			many[i] = deposit("a", 1, uint64(1+record*len(many)+i))
		}
		w.say(shard, "operator", many...)
	}
	var c *running
	appends := 0
	c = prepared(w.config(shard, watched{log, func() {
		appends++
		if durable := len(w.answers(log, shard)); int(c.Answered()) != durable {
			t.Errorf("append %d: %d are said to be answered, %d are", appends, c.Answered(), durable)
		}
	}}))
	c.run()
	w.await(log, shard, w.said(shard), c.ended)
	if err := c.stop(); err != nil {
		t.Error(err)
	}
	if appends < 2 {
		t.Errorf("%d appends: the answers are too small for this test", appends)
	}
}

func TestControlBeginsWithItsGenesisOnce(t *testing.T) {
	for _, fault := range []eventstoretest.Fault{eventstoretest.Pass, eventstoretest.Lost, eventstoretest.Kept} {
		w := newWorld(t)
		w.found()
		log := w.newLog()
		faulty := eventstoretest.Faulty(log)
		faulty.FailNext(fault)
		w.answer(w.config(domain.Control, faulty))
		w.answer(w.config(domain.Control, faulty)) // again, after a restart
		entries := w.entries(log, domain.Control)
		if len(entries) != 2 || entries[0].GetGenesis() == nil {
			t.Errorf("genesis %v: control's ledger is %v", fault, entries)
		}
	}
}

func TestALedgerOfAnotherNetworkIsRefused(t *testing.T) {
	w := newWorld(t)
	w.found()
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	cfg := w.config(domain.Control, log)
	cfg.Genesis = &v1.Genesis{Name: "another", Shards: 1, Operator: w.genesis.Operator, CreatedAtMs: startMs}
	err := clerk.New(cfg).Run(patient(t))
	if err == nil || !strings.Contains(err.Error(), w.network.String()) {
		t.Errorf("run: %v, want a complaint that names network %v", err, w.network)
	}
}

func TestADataShardWaitsUntilControlHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.found()
		w.live(10)
		log := w.newLog()
		c := start(w.config(shard, log))
		synctest.Wait()
		if n := len(w.entries(log, shard)); n != 0 {
			t.Errorf("%d entries before there is a network", n)
		}
		w.answer(w.config(domain.Control, log))
		w.await(log, shard, w.said(shard), c.ended)
		if err := c.stop(); err != nil {
			t.Errorf("clerk: %v", err)
		}
		for _, entry := range w.entries(log, shard) {
			if r := entry.GetAnswer().GetRefusal(); r.GetReason() == v1.Reason_REASON_WRONG_NETWORK {
				t.Errorf("an honest report was refused: %v", r)
			}
		}
	})
}

// Whatever a gateway knew of control when it let a report in, the shard knows when it answers it.
func TestAShardKnowsWhatControlDecidedBeforeTheReport(t *testing.T) {
	w := newWorld(t)
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	w.say(shard, "ann", opening())
	w.answer(w.config(shard, log)) // nobody knows ann
	w.found()
	w.answer(w.config(domain.Control, log))
	w.say(shard, "ann", opening())
	w.answer(w.config(shard, log))

	var told []string
	for _, entry := range w.entries(log, shard) {
		switch {
		case entry.GetPin() != nil:
			told = append(told, "pin")
		case entry.GetAnswer().GetRefusal() != nil:
			told = append(told, entry.GetAnswer().Refusal.Reason.String())
		case entry.GetAnswer().Facts[0].GetAccountOpened() != nil:
			told = append(told, "opened")
		}
	}
	if have, want := strings.Join(told, " "), "pin REASON_UNKNOWN_SIGNER pin opened"; have != want {
		t.Errorf("the shard's ledger says %q, want %q", have, want)
	}
}

func TestLoadGivesTheStateThatTheClerkHad(t *testing.T) {
	w := newWorld(t)
	w.found()
	w.live(40)
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	w.answer(w.config(shard, log))
	state, err := clerk.Load(ctx, log, shard)
	if err != nil {
		t.Fatal(err)
	}
	intake, _ := w.intake.End(ctx, shard)
	entries, _ := log.End(ctx, shard)
	control, _ := log.End(ctx, domain.Control)
	if state.NextIntake() != intake || state.NextEntry() != entries || state.KnowsControlTo() != control {
		t.Errorf("loaded state stands at intake %d, entry %d, control %d; want %d, %d, %d",
			state.NextIntake(), state.NextEntry(), state.KnowsControlTo(), intake, entries, control)
	}
}

func TestALedgerThatDoesNotFollowIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		entry *v1.Entry
		junk  []byte
		want  error
	}{
		{name: "no entry", junk: []byte("junk"), want: eventstore.ErrCorrupt},
		{name: "an answer to what comes later", entry: &v1.Entry{AtMs: startMs, Body: &v1.Entry_Answer{Answer: &v1.Answer{
			IntakeOffset: 7, IntakeDigest: id("x"),
		}}}},
		{name: "a pin beyond control", entry: &v1.Entry{AtMs: startMs, Body: &v1.Entry_Pin{Pin: &v1.Pin{ControlOffset: 99}}}, want: eventstore.ErrGap},
	} {
		w := newWorld(t)
		w.found()
		log := w.newLog()
		w.answer(w.config(domain.Control, log))
		raw := c.junk
		if c.entry != nil {
			var err error
			if raw, err = v1.Encode(c.entry); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := log.Append(ctx, shard, [][]byte{raw}); err != nil {
			t.Fatal(err)
		}
		if err := clerk.New(w.config(shard, log)).Run(patient(t)); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: run: %v, want %v", c.name, err, c.want)
		}
	}
}
