package watcher_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/reporter"
	"github.com/filature/filature/workers/watcher"
)

const dataShards = 3

var errAway = errors.New("lite-server does not answer")

// event is what a transaction did: a deposit into an account, or a payout.
type event struct {
	lt      uint64
	account byte // 0: a payout
}

func (e event) claim() *v1.Claim {
	hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, e.lt))
	if e.account == 0 {
		return &v1.Claim{Body: &v1.Claim_ObservePayout{ObservePayout: &v1.ObservePayout{
			Payee: hash[:], AmountNano: 1, TxHash: hash[:], Lt: e.lt,
		}}}
	}
	id := accountOf(e.account)
	return &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: &v1.ObserveDeposit{
		Account: id[:], AmountNano: int64(e.lt), TxHash: hash[:], Lt: e.lt,
	}}}
}

func (e event) shard() domain.Shard {
	if e.account == 0 {
		return domain.Control
	}
	return domain.ShardOf(accountOf(e.account), dataShards)
}

func accountOf(n byte) domain.AccountID { return sha256.Sum256([]byte{n}) }

// chain is a history that is read from its beginning, some transactions at a time, with failures between.
type chain struct {
	events []event
	page   int
	plan   []error // of the next calls
	read   int
}

func (c *chain) Next(context.Context) ([]*v1.Claim, uint64, error) {
	if len(c.plan) > 0 {
		err := c.plan[0]
		if c.plan = c.plan[1:]; err != nil {
			return nil, 0, err
		}
	}
	var claims []*v1.Claim
	upTo := uint64(0)
	if c.read > 0 {
		upTo = c.events[c.read-1].lt
	}
	for transactions := 0; c.read < len(c.events); c.read++ {
		e := c.events[c.read]
		if e.lt != upTo {
			if transactions++; transactions > c.page {
				break
			}
		}
		claims, upTo = append(claims, e.claim()), e.lt
	}
	return claims, upTo, nil
}

// books are what each shard has booked: they reject a transaction that is not after the last one, as the
// ledger does, and police that one comes whole, in one report.
type books struct {
	t       failer
	want    []event
	booked  []uint64 // by shard
	when    []uint64 // booked when the watcher began
	taken   map[domain.Shard][]uint64
	dies    int // fails before so many more reports
	reports int
}

type failer interface {
	Errorf(format string, args ...any)
}

var errDied = errors.New("the process died")

func newBooks(t failer, want []event) *books {
	return &books{t: t, want: want, booked: make([]uint64, dataShards+1), taken: map[domain.Shard][]uint64{}, dies: -1}
}

func (b *books) Report(_ context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error) {
	if b.dies == 0 {
		return 0, errDied
	}
	b.dies--
	b.reports++
	if len(claims) == 0 || len(claims) > reporter.MaxClaims {
		b.t.Errorf("a report of %d claims", len(claims))
	}
	count := map[uint64]int{}
	last, high := b.booked[shard], b.booked[shard]
	for _, c := range claims {
		lt := c.GetObserveDeposit().GetLt() + c.GetObservePayout().GetLt()
		if lt < last {
			b.t.Errorf("shard %d: transaction %d after %d", shard, lt, last)
		}
		last, high = lt, max(high, lt)
		count[lt]++
		if lt > b.booked[shard] {
			b.taken[shard] = append(b.taken[shard], lt)
		}
	}
	for lt, have := range count {
		if want := countOf(b.want, shard, lt); have != want {
			b.t.Errorf("shard %d: %d claims of transaction %d in one report, it has %d", shard, have, lt, want)
		}
	}
	b.booked[shard] = high
	return domain.Offset(b.reports), nil
}

func (b *books) Unbooked(_ context.Context, claims []*v1.Claim) (left []*v1.Claim, err error) {
	for _, c := range claims {
		lt, shard := c.GetObserveDeposit().GetLt()+c.GetObservePayout().GetLt(), domain.Control
		if d := c.GetObserveDeposit(); d != nil {
			shard = domain.ShardOf(domain.AccountID(d.Account), dataShards)
		}
		if high := slices.Max(b.when); lt > high {
			b.t.Errorf("asked for %d, and nothing is booked after %d", lt, high)
		}
		if lt > b.when[shard] {
			left = append(left, c)
		}
	}
	return left, nil
}

func countOf(events []event, shard domain.Shard, lt uint64) (n int) {
	for _, e := range events {
		if e.lt == lt && e.shard() == shard {
			n++
		}
	}
	return n
}

// complete wants everything booked once, in order.
func (b *books) complete() {
	want := map[domain.Shard][]uint64{}
	for _, e := range b.want {
		want[e.shard()] = append(want[e.shard()], e.lt)
	}
	for shard := range domain.Shard(dataShards + 1) {
		if !slices.Equal(b.taken[shard], want[shard]) {
			b.t.Errorf("shard %d has booked %v, want %v", shard, b.taken[shard], want[shard])
		}
	}
}

// watch runs a watcher for a while of a bubble's time.
func watch(t *testing.T, c *chain, b *books, change ...func(*watcher.Config)) error {
	t.Helper()
	b.when = slices.Clone(b.booked)
	cfg := watcher.Config{History: c, Reporter: b, Books: b, BookedLT: slices.Max(b.booked), DataShards: dataShards, Poll: time.Second}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	return watcher.Run(ctx, cfg)
}

func deposits(n int) []event {
	var all []event
	for i := range n {
		all = append(all, event{lt: uint64(10 + i), account: byte(i % 7)})
	}
	return all
}

func TestEachEventGoesToItsShardOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := deposits(50)
		b := newBooks(t, events)
		if err := watch(t, &chain{events: events, page: 8}, b); err != nil {
			t.Error(err)
		}
		b.complete()
	})
}

func TestALiteServerThatIsAwayIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := deposits(20)
		b := newBooks(t, events)
		c := &chain{events: events, page: 5, plan: []error{errAway, nil, errAway, errAway, nil}}
		var troubles []error
		err := watch(t, c, b, func(cfg *watcher.Config) { cfg.Trouble = func(err error) { troubles = append(troubles, err) } })
		if err != nil {
			t.Error(err)
		}
		b.complete()
		if len(troubles) != 3 || !errors.Is(troubles[0], errAway) || !strings.Contains(troubles[1].Error(), "14") {
			t.Errorf("it told of %v", troubles)
		}
	})
}

func TestWhoeverDiedIsFollowedByOneThatReadsFromTheBooks(t *testing.T) {
	events := deposits(60)
	for dies := range 12 {
		synctest.Test(t, func(t *testing.T) {
			b := newBooks(t, events)
			b.dies = dies
			if err := watch(t, &chain{events: events, page: 20}, b); err != nil && !errors.Is(err, errDied) {
				t.Error(err)
			}
			before := b.reports
			b.dies = -1
			if err := watch(t, &chain{events: events, page: 20}, b); err != nil {
				t.Error(err)
			}
			b.complete()
			if before == 12 && b.reports != before {
				t.Errorf("all was booked, and %d reports were made again", b.reports-before)
			}
		})
	}
}

// A page is in intake before the next is begun. So whoever goes on a page before the newest event that any shard has booked
// misses nothing, wherever the one before him died, however often, and however each of them cut the history into pages.
func TestWhoeverGoesOnAPageBehindTheNewestBookedMissesNothing(t *testing.T) {
	const page = 16
	rapid.Check(t, func(t *rapid.T) {
		events := deposits(rapid.IntRange(1, 120).Draw(t, "events"))
		b := newBooks(t, events)
		for life := range 6 {
			b.dies = rapid.IntRange(0, 12).Draw(t, "dies before report")
			if life == 5 {
				b.dies = -1
			}
			newest := slices.Max(b.booked)
			first := 0
			for i, e := range events {
				if e.lt == newest {
					first = max(0, i-(page-1))
				}
			}
			b.when = slices.Clone(b.booked)
			ctx, cancel := context.WithCancel(context.Background())
			c := &chain{events: events[first:], page: rapid.IntRange(1, page).Draw(t, "page")}
			err := watcher.Run(ctx, watcher.Config{
				History: ending{c, cancel}, Reporter: b, Books: b, BookedLT: newest, DataShards: dataShards, Poll: time.Hour,
			})
			cancel()
			if err != nil && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
		}
		b.complete()
	})
}

func TestWhatIsBookedIsNotClaimedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := deposits(30)
		b := newBooks(t, events)
		for range 2 {
			if err := watch(t, &chain{events: events, page: 100}, b); err != nil {
				t.Error(err)
			}
		}
		b.complete()
		if b.reports != dataShards+1 {
			t.Errorf("%d reports, want one for each shard", b.reports)
		}
	})
}

// An event that the chain tells twice is claimed twice: it is the ledger that knows what is booked.
func TestAnEventThatIsToldTwiceIsLeftToTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := deposits(10)
		b := newBooks(ignore{}, events) // who goes back in time is rejected, not complained about
		if err := watch(t, &chain{events: slices.Concat(events, events), page: 3}, b); err != nil {
			t.Error(err)
		}
		b.t = t
		b.complete()
	})
}

type ignore struct{}

func (ignore) Errorf(string, ...any) {}

func TestATransactionIsNeverParted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []event
		lt := uint64(0)
		for range rapid.IntRange(0, 40).Draw(t, "transactions") {
			lt += uint64(rapid.IntRange(1, 3).Draw(t, "step"))
			what := byte(rapid.IntRange(0, 3).Draw(t, "account"))
			for range rapid.IntRange(1, 255).Draw(t, "events") { // as many messages as a transaction can send
				events = append(events, event{lt, what})
			}
		}
		b := newBooks(t, events)
		c := &chain{events: events, page: rapid.IntRange(1, 50).Draw(t, "page")}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		err := watcher.Run(ctx, watcher.Config{
			History: ending{c, cancel}, Reporter: b, Books: b, DataShards: dataShards, Poll: time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		b.complete()
	})
}

// ending is a chain that ends the watcher when it has told all.
type ending struct {
	*chain
	end context.CancelFunc
}

func (e ending) Next(ctx context.Context) ([]*v1.Claim, uint64, error) {
	if e.read == len(e.events) {
		e.end()
	}
	return e.chain.Next(ctx)
}

func TestAReportThatCanNotBeBroughtInEndsTheWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := deposits(5)
		b := newBooks(t, events)
		b.dies = 1
		if err := watch(t, &chain{events: events, page: 100}, b); !errors.Is(err, errDied) {
			t.Errorf("run: %v, want %v", err, errDied)
		}
	})
}
