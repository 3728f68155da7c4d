package main

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/filature/filature/internal/browser"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// TestADemoThatStaysUpHasSomethingToClaimAndPaysIt is the newcomer's way: start it, open the address that it names, take a
// provider, and click Claim.
func TestADemoThatStaysUpHasSomethingToClaimAndPaysIt(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	demo, url := stayingDemo(t, data)
	ctx := projectionstest.Context(t)
	claims := queryv1.NewClaimServiceClient(http.DefaultClient, url, connect.WithProtoJSON())
	providers, err := queryv1.NewNetworkServiceClient(http.DefaultClient, url).ListProviders(ctx, &queryv1.ListProvidersRequest{})
	if err != nil || len(providers.Providers) != len(demoProviders) {
		t.Fatalf("%d providers: %v", len(providers.GetProviders()), err)
	}
	payee := providers.Providers[0].Provider
	look := func() *queryv1.Claim {
		if err := pause(ctx, localPoll); err != nil { // a key may ask only so often
			t.Fatal(err)
		}
		found, err := claims.GetClaim(ctx, &queryv1.GetClaimRequest{Payee: payee})
		if err != nil {
			t.Fatal(err)
		}
		return found.Claim
	}
	var due *queryv1.Claim
	demo.until(t, func() bool {
		due = look()
		return due.ClaimableNano > 0
	})
	if !due.Sends {
		t.Fatal("the server does not send the claim, though the chain is its own")
	}
	b := browser.Open(t)
	b.Show(url+"/", browser.Screen{Width: 1280, Scheme: "light"})
	b.Click("Providers")
	b.Click(providers.Providers[0].Name)
	b.Until(`document.querySelector(".code svg path")`) // for a wallet's camera
	b.Click("Claim")
	b.Until(`document.querySelector("main").innerText.includes("The vault has paid, and the books have seen it.")`)
	if len(b.Console) > 0 {
		t.Errorf("the console says %s", b.Console)
	}
	demo.until(t, func() bool { return look().PaidNano >= due.CumulativeNano })
	// Another provider has a wallet of its own, and a server that offers to ask it.
	payee = providers.Providers[1].Provider
	demo.until(t, func() bool { return look().ClaimableNano > 0 })
	demo.end(t)
	e, _ := wake(t, data)
	checkAWalletClaims(t, e, data, payee)
}

// stayingDemo starts a small demo that stays up, and waits until it names its address.
func stayingDemo(t *testing.T, data string) (*served, string) {
	t.Helper()
	demo := launch(t, "demo", "--serve", "--listen", "127.0.0.1:0", "--jobs", "400", "--data", data)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)
	url := ""
	demo.until(t, func() bool {
		url = address.FindString(demo.log.String())
		return url != ""
	})
	return demo, strings.TrimSuffix(url, "/")
}
