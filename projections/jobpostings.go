package projections

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// journalPage is how many lines of an account JobPostings reads at once: an entry rarely has more for one account.
const journalPage = 256

// JobPostings returns what a job moved, in the order of the ledger: the postings that name it. They are looked up in the
// accounts that a job can move, at the entries that moved it, so it does not matter how long any journal is. What became of
// its pay later, with that of others, names no job: see WhyJob.
func JobPostings(ctx context.Context, r Reader, job Job) ([]JournalLine, error) {
	moments := []Moment{job.Submitted, job.Closed, job.Disputed, job.Resolved}
	switch hold, err := r.Hold(ctx, job.Job); { // its pay may have waited for its worker's attestation
	case err == nil:
		moments = append(moments, hold.Held, hold.Ended)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	// An entry may hold more than one step.
	slices.SortFunc(moments, func(a, b Moment) int { return cmp.Compare(a.Offset, b.Offset) })
	moments = slices.Compact(moments)
	var lines []JournalLine
	for _, account := range accountsOf(job) {
		for _, moment := range moments {
			if moment.AtMs == 0 {
				continue
			}
			at := JournalLine{PostingKey: PostingKey{BalanceKey: account.key, AtMs: moment.AtMs, Shard: job.Shard, Ledger: moment.Offset}}
			for more := true; more; {
				page, err := r.Journal(ctx, account.kind, account.key.Owner, at, journalPage)
				if err != nil && !errors.Is(err, ErrNotFound) { // nothing was ever posted to it
					return nil, err
				}
				more = len(page) == journalPage
				for _, line := range page {
					if line.AtMs != moment.AtMs || line.Shard != job.Shard || line.Ledger != moment.Offset {
						more = false
						break
					}
					if line.Job == job.Job {
						lines = append(lines, line)
					}
					at = line
				}
			}
		}
	}
	slices.SortFunc(lines, func(a, b JournalLine) int {
		return cmp.Or(cmp.Compare(a.Ledger, b.Ledger), cmp.Compare(a.Fact, b.Fact), cmp.Compare(a.Posting, b.Posting))
	})
	return lines, nil
}

type jobAccount struct {
	kind v1.AccountKind
	key  BalanceKey
}

// accountsOf are the accounts of the chart that the steps of a job can move.
func accountsOf(job Job) []jobAccount {
	var accounts []jobAccount
	of := func(owner [32]byte, kinds ...v1.AccountKind) {
		for _, kind := range kinds {
			accounts = append(accounts, jobAccount{kind, BalanceKey{KindName(kind), owner}})
		}
	}
	of([32]byte(job.Account), v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED)
	if job.Provider != (domain.ProviderID{}) {
		of([32]byte(job.Provider), v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED, v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD,
			v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE)
	}
	of([32]byte{}, v1.AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION, v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED)
	return accounts
}
