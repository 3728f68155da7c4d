package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/liteclient"
	"github.com/xssnick/tonutils-go/tlb"
	tonlib "github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/ton/wallet"

	"github.com/filature/filature/adapters/dashboard"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/browser"
	"github.com/filature/filature/internal/tonconnect"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// checkAWalletClaims has a payee of a folder claim on its page, with a wallet that is reached over a bridge of its own and
// knows nothing of us: a stock one, with a key of its own and a stock client to the chain's lite-server.
func checkAWalletClaims(t *testing.T, e *engine, folder, payee string) {
	t.Helper()
	owner, account := stockWallet(t, e, folder)
	bridge := tonconnect.StartBridge(t)
	e.pages.Wallets = []dashboard.Wallet{{
		AppName: "stock", Name: "Stock wallet", UniversalURL: "https://wallet.example/connect",
		Bridges: []dashboard.WalletBridge{{Type: dashboard.BridgeSSE, URL: bridge.URL}},
	}}
	server := httptest.NewServer(e.server().Handler)
	defer server.Close()
	claims := queryv1.NewClaimServiceClient(http.DefaultClient, server.URL)
	before, err := claims.GetClaim(t.Context(), &queryv1.GetClaimRequest{Payee: payee})
	if err != nil {
		t.Fatal(err)
	}
	network := strconv.Itoa(int(e.chain.NetworkID()))
	attach, err := e.chain.ClaimValue(t.Context())
	if err != nil || before.Claim.TonNetwork != network || before.Claim.AttachNano != int64(attach) || before.Claim.ClaimableNano <= 0 {
		t.Fatalf("the offer is %v, to attach is %s, %v", before.Claim, attach, err)
	}

	b := browser.Open(t)
	b.Show(server.URL+"/providers/"+payee, browser.Screen{Width: 1280, Scheme: "light"})
	b.Click("Claim with a wallet")
	b.Click("Stock wallet")
	b.Until(`document.querySelector("#wallet-dialog .code svg path")`)
	var link string
	b.Ask(`document.getElementById("wallet-link").href`, &link)
	phone := &tonconnect.Wallet{Bridge: bridge.URL, Network: network, Account: account, Sign: owner.send}
	phone.Scan(t, link)
	b.Click("Send with Stock wallet")
	b.Until(`document.getElementById("wallet-dialog").innerText.includes("The vault has paid, and the books have seen it.")`)
	if len(b.Console) > 0 {
		t.Errorf("the console says %s", b.Console)
	}

	after, err := claims.GetClaim(t.Context(), &queryv1.GetClaimRequest{Payee: payee})
	if err != nil || after.Claim.PaidNano < before.Claim.CumulativeNano { // more, if another batch came meanwhile
		t.Errorf("after it the claim is %v, %v", after, err)
	}
	id, err := domain.ParseID[domain.ProviderID](payee)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.vault.Load().Claimed(t.Context(), id); err != nil || int64(got) < before.Claim.CumulativeNano {
		t.Errorf("on chain the payee got %s, %v", got, err)
	}
	if seen := phone.Seen(); len(seen) != 1 || seen[0].To.String() != before.Claim.Vault || seen[0].Nano != uint64(attach) {
		t.Errorf("the wallet was asked for %+v", seen)
	}
}

// stock is somebody's wallet, as the library has it.
type stock struct {
	*wallet.Wallet

	api tonlib.APIClientWrapped
}

// stockWallet makes a wallet with some coins, and returns its account, too.
func stockWallet(t *testing.T, e *engine, folder string) (owner stock, account string) {
	t.Helper()
	pool := liteclient.NewConnectionPool()
	t.Cleanup(pool.Stop)
	global, err := liteclient.GetConfigFromFile(filepath.Join(folder, chainDir, localchain.GlobalConfigName))
	if err == nil {
		err = pool.AddConnectionsFromConfig(t.Context(), global)
	}
	if err != nil {
		t.Fatal(err)
	}
	owner.api = tonlib.NewAPIClient(pool).WithRetryTimeout(3, time.Second*5)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err == nil {
		owner.Wallet, err = wallet.FromPrivateKeyWithOptions(key, wallet.ConfigV5R1Final{NetworkGlobalID: e.chain.NetworkID()}, wallet.WithAPI(owner.api))
	}
	if err != nil {
		t.Fatal(err)
	}
	account = owner.WalletAddress().StringRaw()
	at, err := ton.ParseAddress(account)
	if err == nil {
		err = e.faucet(at.Account, domain.Coin)
	}
	if err != nil {
		t.Fatal(err)
	}
	for funded := domain.Nano(0); funded == 0; {
		if funded, err = e.chain.Balance(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if err := pause(t.Context(), localPoll); err != nil {
			t.Fatal(err)
		}
	}
	return owner, account
}

// send signs what was asked and sends it.
func (s stock) send(ctx context.Context, asked tonconnect.Request) ([]byte, error) {
	message := wallet.SimpleMessage(asked.To, tlb.FromNanoTONU(asked.Nano), asked.Payload)
	external, err := s.BuildExternalMessage(ctx, message)
	if err != nil {
		return nil, err
	}
	if err := s.api.SendExternalMessage(ctx, external); err != nil {
		return nil, err
	}
	signed, err := tlb.ToCell(external)
	if err != nil {
		return nil, err
	}
	return signed.ToBOC(), nil
}
