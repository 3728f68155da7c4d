// Package recount knows what a ledger adds up to, to somebody who has only the documents: docs/money.md,
// docs/settlement.md, docs/reputation.md and the comments of the schemas. It is the second opinion of an audit.
//
// It shares no code with the domain, with the read models, or with the decoder that they use, and
// internal/archtest holds it to that: the generated types, read by the standard protobuf library, are all that it
// knows of the rest. So a mistake in the one is not a mistake in the other. Where the two disagree, one of them, or a
// document, is wrong.
//
// It believes what an entry says happened, and counts what has to follow from it in money: the postings of each fact,
// what each job costs, what each bucket matures to, what is held back, each account, each payee's cumulative amount,
// each batch with its root and commitment. Who may say what, and whether a signature holds, is not its business.
package recount

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Log gives the records of the ledger as they are stored, byte for byte.
type Log interface {
	// Read returns up to limit records of a shard from an offset on, at least one, or an error.
	Read(ctx context.Context, shard int, from int64, limit int) ([][]byte, error)
}

// Account is one account of the books. The owner is zero where the kind has none.
type Account struct {
	Kind  v1.AccountKind
	Owner [32]byte
}

// Disagreement is one thing that is not as the documents say that it has to be.
type Disagreement struct {
	Shard  int
	Offset int64
	Batch  uint32 // set where it is about a batch
	Field  string
	// Have is what the ledger says, Want what it should.
	Have, Want string
	Why        string
}

// EntryError says which entry makes no sense, and why: nothing can be counted beyond it.
type EntryError struct {
	Shard  int
	Offset int64
	Err    error
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("recount: ledger %d/%d: %v", e.Shard, e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *EntryError) Unwrap() error { return e.Err }

// Totals counts what was counted again.
type Totals struct {
	Entries, Facts, Postings int64
	// Charges were rated again from their usage, Matured are the buckets that were added up again.
	Charges, Matured int64
	Accounts         int64
}

// Bounds of what is held in memory.
const (
	readRecords      = 1024 // at a time and shard: about 300 kB
	maxDisagreements = 100  // of a shard; more are only counted
)

// Count is one counting of a ledger. One goroutine owns it.
type Count struct {
	log    Log
	ends   []int64
	rules  *rules
	shards []*shard
	// judged is how far disagreements were noted in each shard: a second counting does not note them again.
	judged        []int64
	disagreements []Disagreement
	total         int64
	progress      func(entries int64)
}

// Begin reads the rules out of control: what prices there are, what policies were in force from which entry on, and
// which batches were sealed. Ends are the offsets, one per shard and each exclusive, that are counted at most.
// Progress is told of entries that were read, by many goroutines; nil is nobody.
func Begin(ctx context.Context, log Log, ends []int64, progress func(entries int64)) (*Count, error) {
	if progress == nil {
		progress = func(int64) {}
	}
	c := &Count{log: log, ends: ends, judged: make([]int64, len(ends)), progress: progress}
	if len(ends) == 0 {
		return nil, errNoControl
	}
	var err error
	if c.rules, err = readRules(ctx, log, ends[control]); err != nil {
		return nil, fmt.Errorf("recount: rules: %w", err)
	}
	c.again()
	return c, nil
}

var (
	errNoControl = errors.New("recount: a ledger has at least control")
	errShards    = errors.New("recount: a cut has one offset for each shard")
	errEnd       = errors.New("recount: the cut is beyond the end")
)

// again begins at the first entry.
func (c *Count) again() {
	c.shards = make([]*shard, len(c.ends))
	for number := range c.shards {
		c.shards[number] = newShard(number, c.rules)
	}
}

// To counts all shards up to a cut, side by side. Where a shard is beyond it, all are counted again from the first
// entry: that is so only after a veto. The error says that the log could not be read, or is no ledger.
func (c *Count) To(ctx context.Context, cut []int64) error {
	if len(cut) != len(c.shards) {
		return fmt.Errorf("%w: have %d of %d", errShards, len(cut), len(c.shards))
	}
	for number, to := range cut {
		if to > c.ends[number] {
			return fmt.Errorf("%w: shard %d ends at %d, the cut is at %d", errEnd, number, c.ends[number], to)
		}
		if to < c.shards[number].next {
			c.again()
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for number, s := range c.shards {
		group.Go(func() error { return s.to(ctx, c.log, cut[number], c.progress) })
	}
	err := group.Wait()
	for number, s := range c.shards {
		for _, d := range s.disagreements {
			if d.Offset >= c.judged[number] {
				c.disagreements = append(c.disagreements, d)
			}
		}
		if s.next > c.judged[number] {
			c.total += s.total
			c.judged[number] = s.next
		}
		s.disagreements, s.total = nil, 0
	}
	return err
}

// Disagreements returns what was found so far, and how many there are: it may be more than are listed.
func (c *Count) Disagreements() (found []Disagreement, total int64) { return c.disagreements, c.total }

// Totals returns what was counted up to where the counting stands.
func (c *Count) Totals() Totals {
	var t Totals
	accounts := map[Account]struct{}{}
	for _, s := range c.shards {
		t.Entries += s.next
		t.Facts += s.totals.Facts
		t.Postings += s.totals.Postings
		t.Charges += s.totals.Charges
		t.Matured += s.totals.Matured
		for account := range s.balances {
			accounts[account] = struct{}{}
		}
	}
	t.Accounts = int64(len(accounts))
	return t
}

// Balances adds up the postings of each account over all shards, where the counting stands.
func (c *Count) Balances() (map[Account]int64, error) {
	sums := map[Account]int64{}
	for _, s := range c.shards {
		for account, amount := range s.balances {
			sum, ok := add(sums[account], amount)
			if !ok {
				return nil, fmt.Errorf("recount: %s of %x: %w", kindName(account.Kind), account.Owner, errOverflow)
			}
			sums[account] = sum
		}
	}
	return sums, nil
}

// Imbalance is what all accounts come to together, where the counting stands: zero.
func (c *Count) Imbalance() (int64, error) {
	sums, err := c.Balances()
	if err != nil {
		return 0, err
	}
	var all int64
	for _, account := range slices.SortedFunc(keysOf(sums), compareAccounts) {
		var ok bool
		// In the order of the chart of accounts what is owed comes first: it is bounded by what the vault holds.
		if all, ok = add(all, sums[account]); !ok {
			return 0, fmt.Errorf("recount: all accounts together: %w", errOverflow)
		}
	}
	return all, nil
}

var errOverflow = errors.New("more than an int64 holds")

// add is false where an int64 can't hold the sum.
func add(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}
