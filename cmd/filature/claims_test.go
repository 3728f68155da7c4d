package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// wake runs an engine on a folder that a demo left, which claims for nobody by itself, and returns its address.
func wake(t *testing.T, folder string) (awake *engine, url string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	log := slog.New(slog.DiscardHandler)
	p, err := openEmbedded(ctx, folder, 1, chainFlags{}, time.Now, log)
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(ctx, p, log, embeddedRoles(), settleOptions{every: day}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.run(ctx) }()
	server := httptest.NewServer(e.server().Handler)
	t.Cleanup(func() {
		server.Close()
		stop()
		if err := errors.Join(<-ended, e.close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-e.ready:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return e, server.URL
}

// unpaid returns some payees whom the active root gives something and who got nothing yet.
func unpaid(t *testing.T, folder string) (payees []domain.ProviderID) {
	t.Helper()
	read(t, folder, func(ctx context.Context, r projections.Reader) error {
		for payout, err := range projections.RowsOf(ctx, r, projections.Payouts) {
			if err != nil {
				return err
			}
			if payout.Paid == 0 && payout.Committed > 0 {
				payees = append(payees, payout.Payee)
			}
		}
		return nil
	})
	return payees
}

// checkAPayeeClaims has payees of a folder claim over the API, on the chain of the folder.
func checkAPayeeClaims(t *testing.T, folder string) {
	t.Helper()
	waiting := unpaid(t, folder)
	if len(waiting) < 3 {
		t.Fatalf("%d payees wait for their pay", len(waiting))
	}
	e, url := wake(t, folder)
	claims := queryv1.NewClaimServiceClient(http.DefaultClient, url)
	money := queryv1.NewSettlementServiceClient(http.DefaultClient, url)
	payee := waiting[0].String()
	before, err := claims.GetClaim(t.Context(), &queryv1.GetClaimRequest{Payee: payee})
	if err != nil {
		t.Fatal(err)
	}
	offered := before.Claim
	if offered.ClaimableNano <= 0 || offered.PaidNano != 0 || !offered.Sends || !strings.HasPrefix(offered.Link, "ton://transfer/"+offered.Vault+"?") {
		t.Errorf("the offer is %v", offered)
	}
	// Whoever clicks twice is paid once, and both are told.
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			claimed, err := claims.Claim(t.Context(), &queryv1.ClaimRequest{Payee: payee})
			if err != nil || claimed.State != "paid" || claimed.Claim.ClaimableNano != 0 || claimed.Claim.PaidNano != offered.CumulativeNano {
				t.Errorf("claimed: %v, %v", claimed, err)
			}
		})
	}
	both.Wait()
	paid, err := money.ListPayments(t.Context(), &queryv1.ListPaymentsRequest{Payee: payee})
	if err != nil || len(paid.Payments) != 1 || paid.Payments[0].AmountNano != offered.CumulativeNano {
		t.Errorf("paid: %v, %v", paid, err)
	}
	onChain, err := e.vault.Load().Claimed(t.Context(), waiting[0])
	if err != nil || int64(onChain) != offered.CumulativeNano {
		t.Errorf("on chain the payee got %s, %v", onChain, err)
	}
	// Where nobody pays the fee, who asks gets the message.
	e.faucet = nil
	server := httptest.NewServer(e.server().Handler)
	defer server.Close()
	elsewhere := queryv1.NewClaimServiceClient(server.Client(), server.URL)
	_, err = elsewhere.Claim(t.Context(), &queryv1.ClaimRequest{Payee: waiting[1].String()})
	failed, _ := errors.AsType[*connect.Error](err)
	if failed == nil || failed.Code() != connect.CodeFailedPrecondition || len(failed.Details()) != 1 {
		t.Fatalf("elsewhere: %v", err)
	}
	detail, err := failed.Details()[0].Value()
	claim, is := detail.(*queryv1.Claim)
	if err != nil || !is || claim.Payee != waiting[1].String() || claim.ClaimableNano <= 0 || claim.Link == "" || claim.Sends {
		t.Errorf("elsewhere the detail is %v, %v", detail, err)
	}
	if _, err := elsewhere.Claim(t.Context(), &queryv1.ClaimRequest{Payee: strings.Repeat("ab", 32)}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a payee whom nobody knows: %v", err)
	}
}
