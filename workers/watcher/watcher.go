// Package watcher knows how what happened on chain gets into the ledger: it reads the vault's final
// transactions in their order and claims each, to the shard that it concerns.
//
// It keeps nothing. It goes through the history in order, a page at a time, and begins with a page when all of the one before is
// durable in intake. So after a restart the tables tell where to go on: everything before the page of the last transaction that
// any shard has booked is in intake, and of that page and the rest it claims what is not booked. What it claims a second time
// the ledger rejects.
package watcher

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/reporter"
)

// History is what the vault did, oldest first.
type History interface {
	// Next returns claims for the next finalized transactions, in the order of logical time, and the
	// logical time up to which everything was returned. Nothing new is no claims and the same time
	// again. After an error it may be called again.
	Next(ctx context.Context) (claims []*v1.Claim, upToLT uint64, err error)
}

// Books say what the ledger has.
type Books interface {
	// Unbooked returns those of claims, in their order, that are not booked.
	Unbooked(ctx context.Context, claims []*v1.Claim) ([]*v1.Claim, error)
}

// Reporter gets claims into the intake of a shard, durably.
type Reporter interface {
	Report(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error)
}

// Config says what a watcher works on.
type Config struct {
	// History begins at the vault's birth, or no later than the page of BookedLT.
	History  History
	Reporter Reporter
	Books    Books
	// BookedLT is the highest logical time that any shard has booked; zero: none has booked anything. Of what is later the
	// books are not asked.
	BookedLT   uint64
	DataShards int
	// Poll is the pause when the chain has nothing new.
	Poll time.Duration
	// Trouble is told of an error that the watcher will try to get over: a lite-server that does not
	// answer. It may be nil.
	Trouble func(error)
}

// Run claims what the vault does until the context ends, and then returns nil. An error means that a
// claim could not be brought in; the chain's own troubles are waited out.
func Run(ctx context.Context, cfg Config) error {
	var readTo uint64
	for ctx.Err() == nil {
		claims, upTo, err := cfg.History.Next(ctx)
		if err == nil {
			if err := book(ctx, cfg, claims); err != nil && ctx.Err() == nil {
				return fmt.Errorf("watcher, from logical time %d: %w", readTo, err)
			}
		} else if ctx.Err() == nil && cfg.Trouble != nil {
			cfg.Trouble(fmt.Errorf("watcher, from logical time %d: %w", readTo, err))
		}
		if err == nil && upTo != readTo {
			readTo = upTo
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(cfg.Poll):
		}
	}
	return nil
}

// book reports claims to their shards. Claims of one transaction go in one report, so that a shard has
// booked all of them or none.
func book(ctx context.Context, cfg Config, claims []*v1.Claim) error {
	late := slices.IndexFunc(claims, func(claim *v1.Claim) bool {
		_, lt := concerns(claim, cfg.DataShards)
		return lt > cfg.BookedLT
	})
	if late < 0 {
		late = len(claims)
	}
	if late > 0 {
		unbooked, err := cfg.Books.Unbooked(ctx, claims[:late])
		if err != nil {
			return err
		}
		claims = slices.Concat(unbooked, claims[late:])
	}
	byShard := make([][]*v1.Claim, cfg.DataShards+1)
	for _, claim := range claims {
		shard, _ := concerns(claim, cfg.DataShards)
		byShard[shard] = append(byShard[shard], claim)
	}
	for shard, claims := range byShard {
		for len(claims) > 0 {
			n := wholeTransactions(claims, cfg.DataShards)
			if _, err := cfg.Reporter.Report(ctx, domain.Shard(shard), claims[:n]...); err != nil {
				return err
			}
			claims = claims[n:]
		}
	}
	return nil
}

// wholeTransactions is how many of the first claims fit one report without parting a transaction.
func wholeTransactions(claims []*v1.Claim, dataShards int) int {
	if len(claims) <= reporter.MaxClaims {
		return len(claims)
	}
	n := reporter.MaxClaims
	_, next := concerns(claims[n], dataShards)
	for n > 1 {
		if _, lt := concerns(claims[n-1], dataShards); lt != next {
			break
		}
		n--
	}
	return n
}

// concerns returns the shard that a claim is for, and its logical time.
func concerns(claim *v1.Claim, dataShards int) (domain.Shard, uint64) {
	switch body := claim.Body.(type) {
	case *v1.Claim_ObserveDeposit:
		return domain.ShardOf(domain.AccountID(body.ObserveDeposit.Account), dataShards), body.ObserveDeposit.Lt
	case *v1.Claim_ObserveProposal:
		return domain.Control, body.ObserveProposal.Lt
	case *v1.Claim_ObserveActivation:
		return domain.Control, body.ObserveActivation.Lt
	case *v1.Claim_ObserveVeto:
		return domain.Control, body.ObserveVeto.Lt
	case *v1.Claim_ObservePayout:
		return domain.Control, body.ObservePayout.Lt
	default:
		panic(fmt.Sprintf("watcher: no chain event: %T", claim.Body))
	}
}
