package queryapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// Claims makes claims on the vault for payees.
type Claims interface {
	// Offer returns what the active root gives a payee, and the message that collects it. It is projections.ErrNotFound
	// where no root is active, or the active one does not have the payee.
	Offer(ctx context.Context, payee domain.ProviderID) (Offer, error)
	// Sends tells whether Send does anything: somebody here pays the fees.
	Sends() bool
	// Send sends the message and returns when it is on chain. Twice is harmless.
	Send(ctx context.Context, payee domain.ProviderID) error
}

// Offer is a claim that a wallet can send.
type Offer struct {
	Batch      uint32
	Root       domain.Digest
	Cumulative domain.Nano
	Address    string // the payee's
	Vault      string
	Attach     domain.Nano
	Payload    string // a bag of cells in base64
	Link       string
	Network    string // TON's number for it, in decimal; empty where nobody here sees it
}

// errOtherBatch: the tables and the offer are of different moments. It passes.
var errOtherBatch = fmt.Errorf("another batch has just become the active one: %w", errBehind)

// GetClaim implements queryv1.ClaimServiceHandler.
func (s *server) GetClaim(ctx context.Context, asked *queryv1.GetClaimRequest) (*queryv1.GetClaimResponse, error) {
	payee, err := idOf[domain.ProviderID]("payee", asked.Payee)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, payee, domain.ClientID{}); err != nil {
		return nil, err
	}
	return s.claimOf(ctx, asked.Reading, payee)
}

// claimTries is how often a claim is put together: each time that it fails, another batch has become the active one, which
// is hours apart.
const claimTries = 3

// claimOf reads what a payee has to collect. The offer is read by itself: what is paid only grows, and what a batch gives
// never changes, so the two fit together if they are of one batch.
func (s *server) claimOf(ctx context.Context, reading *queryv1.Reading, payee domain.ProviderID) (*queryv1.GetClaimResponse, error) {
	if s.Claims == nil {
		return nil, problem(connect.CodeUnimplemented, "payee", "ask a server that knows the vault")
	}
	for range claimTries {
		var payout projections.Payout
		var active uint32
		found, err := answer(ctx, s, reading, func(r projections.Reader, at *queryv1.Position) (_ *queryv1.GetClaimResponse, err error) {
			if payout, err = r.Payout(ctx, payee); err != nil {
				return nil, fmt.Errorf("payout of %s: %w", payee, err)
			}
			active, err = activeBatch(ctx, r)
			return &queryv1.GetClaimResponse{Position: at}, err
		})
		if err != nil {
			return nil, err
		}
		offer, err := s.Claims.Offer(ctx, payee)
		if err != nil {
			return nil, asError(fmt.Errorf("claim of %s: %w", payee, err))
		}
		if offer.Batch == active {
			found.Claim = claim(payout, offer, s.Claims.Sends())
			return found, nil
		}
	}
	return nil, asError(errOtherBatch)
}

// activeBatch is the number of the batch whose root the vault pays from; 0: none.
func activeBatch(ctx context.Context, r projections.Reader) (active uint32, err error) {
	for progress, err := range projections.RowsOf(ctx, r, projections.TheProgress) {
		if err != nil {
			return 0, err
		}
		active = progress.Active
	}
	return active, nil
}

func claim(payout projections.Payout, offer Offer, sends bool) *queryv1.Claim {
	c := &queryv1.Claim{
		Payee: text(payout.Payee), Address: offer.Address, Batch: offer.Batch, PayoutRoot: text(offer.Root),
		CumulativeNano: int64(offer.Cumulative), PaidNano: int64(payout.Paid), Sends: sends,
		Vault: offer.Vault, AttachNano: int64(offer.Attach), Payload: offer.Payload, Link: offer.Link, TonNetwork: offer.Network,
	}
	// More than the root gives was paid where the vault is ahead of the tables' batch.
	c.ClaimableNano = max(0, c.CumulativeNano-c.PaidNano)
	return c
}

// States of a claim.
const (
	claimPaid = "paid"
	claimSent = "sent"
)

// Claim implements queryv1.ClaimServiceHandler.
func (s *server) Claim(ctx context.Context, asked *queryv1.ClaimRequest) (*queryv1.ClaimResponse, error) {
	payee, err := idOf[domain.ProviderID]("payee", asked.Payee)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, payee, domain.ClientID{}); err != nil {
		return nil, err
	}
	before, err := s.claimOf(ctx, asked.Reading, payee)
	if err != nil {
		return nil, err
	}
	switch {
	case before.Claim.ClaimableNano == 0:
		return &queryv1.ClaimResponse{Position: before.Position, State: claimPaid, Claim: before.Claim}, nil
	case !s.Claims.Sends():
		return nil, errSendYourself(before.Claim)
	}
	if err := s.Claims.Send(ctx, payee); err != nil {
		return nil, asError(fmt.Errorf("claim of %s: %w", payee, err))
	}
	return s.paidSoon(ctx, payee, before.Claim.CumulativeNano)
}

// paidSoon waits, not for long, until the books have a payment: the watcher sees final transactions only.
func (s *server) paidSoon(ctx context.Context, payee domain.ProviderID, cumulativeNano int64) (*queryv1.ClaimResponse, error) {
	for deadline := s.Now().Add(s.Wait); ; {
		now, err := s.claimOf(ctx, nil, payee)
		switch {
		case err != nil:
			return nil, err
		case now.Claim.PaidNano >= cumulativeNano:
			return &queryv1.ClaimResponse{Position: now.Position, State: claimPaid, Claim: now.Claim}, nil
		case !s.Now().Before(deadline):
			return &queryv1.ClaimResponse{Position: now.Position, State: claimSent, Claim: now.Claim}, nil
		}
		select {
		case <-ctx.Done():
			return nil, asError(ctx.Err())
		case <-time.After(lookAgain):
		}
	}
}

// errSendYourself hands a claim to whoever asked for it to be sent.
func errSendYourself(c *queryv1.Claim) error {
	failed := connect.NewError(connect.CodeFailedPrecondition, errors.New("this server sends no claims: send the message from any wallet, "+c.Link))
	if detail, err := connect.NewErrorDetail(c); err == nil {
		failed.AddDetail(detail)
	}
	return failed
}
