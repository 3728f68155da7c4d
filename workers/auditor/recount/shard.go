package recount

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// shard is one shard of the ledger as far as it was counted. One goroutine owns it at a time.
type shard struct {
	number int
	rules  *rules
	// force is what this shard goes by: what control said below its last pin.
	force *step

	next   int64 // offset of the next entry
	intake int64 // of the next answer
	tree   tree
	totals Totals

	balances map[Account]int64
	// payable has the balances of provider/payable once more: a batch wants them alone.
	payable   map[[32]byte]int64
	jobs      map[[32]byte]*job
	buckets   map[bucketOf]*bucket
	heldBack  map[bucketOf]int64
	standings map[[32]byte]standing
	// Of control: what was ever promised to each payee, and the latest batch.
	promised map[[32]byte]int64
	last     *v1.SealBatch

	disagreements []Disagreement
	total         int64 // of disagreements

	sums []sum // scratch
}

// job is what has to be remembered of a job until its pay is mature.
type job struct {
	account, provider, card [32]byte
	coefficient             uint32
	reserved                int64
	usage                   *v1.Usage

	charge, worker int64
	bucketMs       int64
	closed         bool
	disputed       bool
	held           bool // its pay waits for an attestation
}

// bucketOf names what a provider earned in one span of log time, by the span's end.
type bucketOf struct {
	provider [32]byte
	endMs    int64
}

type bucket struct {
	sum  int64
	jobs map[[32]byte]struct{}
}

// standing is what is held back of a provider, and for how long.
type standing struct{ permille, buckets int64 }

func newShard(number int, r *rules) *shard {
	return &shard{
		number: number, rules: r, force: r.inForce(0),
		balances: map[Account]int64{}, payable: map[[32]byte]int64{}, jobs: map[[32]byte]*job{},
		buckets: map[bucketOf]*bucket{}, heldBack: map[bucketOf]int64{}, standings: map[[32]byte]standing{},
		promised: map[[32]byte]int64{},
	}
}

func (s *shard) to(ctx context.Context, log Log, end int64, progress func(int64)) error {
	for s.next < end {
		records, err := log.Read(ctx, s.number, s.next, int(min(readRecords, end-s.next)))
		if err != nil {
			return fmt.Errorf("recount: ledger %d from %d: %w", s.number, s.next, err)
		}
		for _, raw := range records {
			if err := s.entry(raw); err != nil {
				return &EntryError{Shard: s.number, Offset: s.next, Err: err}
			}
			s.next++
		}
		progress(int64(len(records)))
	}
	return nil
}

// entry counts one record. All are in the tree; void ones are in nothing else.
func (s *shard) entry(raw []byte) error {
	s.tree.append(raw)
	var entry v1.Entry
	if err := proto.Unmarshal(raw, &entry); err != nil {
		return err
	}
	if entry.Offset != s.next {
		return nil // made for another place: another clerk wrote first
	}
	if s.number == control {
		s.force = s.rules.inForce(s.next)
	}
	if pin := entry.GetPin(); pin != nil {
		s.force = s.rules.inForce(pin.ControlOffset)
	}
	answer := entry.GetAnswer()
	if answer == nil {
		return nil
	}
	if answer.IntakeOffset != s.intake {
		s.disagree("answer.intake_offset", answer.IntakeOffset, s.intake, "each intake record is answered once, in order")
	}
	s.intake = answer.IntakeOffset + 1
	for i, fact := range answer.Facts {
		s.totals.Facts++
		if err := s.fact(&entry, i, fact); err != nil {
			return err
		}
	}
	return nil
}

// fact counts what a fact posts, and compares it with what its kind has to post.
func (s *shard) fact(entry *v1.Entry, index int, fact *v1.Fact) error {
	want, err := s.follow(entry, fact)
	if err != nil {
		return fmt.Errorf("answer.facts[%d]: %w", index, err)
	}
	s.sums = s.sums[:0]
	var all int64
	for _, p := range fact.Postings {
		s.totals.Postings++
		account := accountOf(p.Kind, p.Owner)
		if err := s.post(account, p.AmountNano); err != nil {
			return err
		}
		s.sum(account, p.AmountNano, 0)
		all += p.AmountNano // wraps where it wants: then some leg below is not as documented either
	}
	field := func() string { return fmt.Sprintf("answer.facts[%d].postings", index) }
	if all != 0 {
		s.disagree(field(), all, 0, "the postings of a fact sum to zero")
	}
	for _, leg := range want {
		s.sum(leg.account, 0, leg.amount)
	}
	for _, sum := range s.sums {
		if sum.have != sum.want {
			s.disagree(field(), sum.have, sum.want, sum.account.String()+": is not what a fact of its kind posts")
		}
		if s.balances[sum.account] < 0 && neverBelowZero(sum.account.Kind) {
			s.disagree(field(), s.balances[sum.account], 0, sum.account.String()+" falls below zero")
		}
	}
	return nil
}

// sum is what a fact posts to one account.
type sum struct {
	account    Account
	have, want int64
}

func (s *shard) sum(account Account, have, want int64) {
	for i := range s.sums {
		if s.sums[i].account == account {
			s.sums[i].have += have
			s.sums[i].want += want
			return
		}
	}
	s.sums = append(s.sums, sum{account, have, want})
}

func (s *shard) post(account Account, amount int64) error {
	balance, ok := add(s.balances[account], amount)
	if !ok {
		return fmt.Errorf("%s: %w", account, errOverflow)
	}
	s.balances[account] = balance
	if account.Kind == v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE {
		s.payable[account.Owner] = balance
	}
	return nil
}

// neverBelowZero is docs/money.md, "Accounts".
func neverBelowZero(kind v1.AccountKind) bool {
	return kind >= v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE && kind <= v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD
}

func accountOf(kind v1.AccountKind, owner []byte) Account {
	account := Account{Kind: kind}
	copy(account.Owner[:], owner)
	return account
}

func (s *shard) disagree(field string, have, want int64, why string) {
	s.disagreeText(field, fmt.Sprint(have), fmt.Sprint(want), why)
}

func (s *shard) disagreeText(field, have, want, why string) {
	if s.total++; len(s.disagreements) < maxDisagreements {
		s.disagreements = append(s.disagreements, Disagreement{
			Shard: s.number, Offset: s.next, Field: field, Have: have, Want: want, Why: why,
		})
	}
}
