package dashboard_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/adapters/dashboard"
	"github.com/filature/filature/internal/browser"
	"github.com/filature/filature/internal/tonconnect"
)

var walletShots = flag.String("wallet.shots", "", "folder for screenshots of the wallet's dialog, dark and light, wide and narrow")

const (
	testNetwork = "-3"
	theVault    = "EQBBJBB3HagsujBqVfqeDUPJ0kXjgTPLWPFFffuNXNiJL0aA"
	dueNano     = "12345678901"
	attachNano  = 23_000_000
)

var (
	theClaim = cell.BeginCell().MustStoreUInt(0x434c4149, 32).MustStoreSlice([]byte("a claim"), 56).EndCell()
	anOwner  = "0:" + strings.Repeat("5e", 32)
)

// claimAPI is a server whose provider has something to collect, until it is paid.
type claimAPI struct {
	bareAPI
	network string // TON's

	mu   sync.Mutex
	paid bool
}

func (a *claimAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/GetClaim") {
		a.bareAPI.ServeHTTP(w, r)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	claim := map[string]any{
		"payee": anID, "batch": 7, "cumulativeNano": dueNano, "vault": theVault, "attachNano": fmt.Sprint(attachNano), "tonNetwork": a.network,
		"payload": base64.StdEncoding.EncodeToString(theClaim.ToBOC()), "link": "ton://transfer/" + theVault + "?amount=1", "payoutRoot": anID,
	}
	if claim["claimableNano"] = dueNano; a.paid {
		claim["claimableNano"], claim["paidNano"] = "0", dueNano
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(map[string]any{"claim": claim}); err != nil {
		panic(err)
	}
}

// within waits for what somebody else does.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stand is a provider's page that offers one wallet, the wallet's bridge, and a browser.
type stand struct {
	*browser.Browser

	t      *testing.T
	api    *claimAPI
	bridge *tonconnect.Bridge
	url    string
}

// newStand has a page whose wallet opens by a link.
func newStand(t *testing.T, universal string) *stand {
	t.Helper()
	s := &stand{t: t, api: &claimAPI{network: testNetwork}, bridge: tonconnect.StartBridge(t)}
	pages := dashboard.Handler(dashboard.Config{Wallets: []dashboard.Wallet{{
		AppName: "test", Name: "Test wallet", UniversalURL: universal,
		Bridges: []dashboard.WalletBridge{{Type: dashboard.BridgeSSE, URL: s.bridge.URL}, {Type: dashboard.BridgeJS, Key: "testwallet"}},
	}}})
	s.url = serveWith(t, pages, s.api)
	s.Browser = browser.Open(t)
	s.Show(s.url+"/providers/"+anID, wide)
	s.Click("Claim with a wallet")
	s.stage("Claim with a wallet")
	return s
}

// wallet is somebody's, on the network of the claim, who says yes. What it sends is paid at once.
func (s *stand) wallet() *tonconnect.Wallet {
	return &tonconnect.Wallet{
		Bridge: s.bridge.URL, Network: testNetwork, Account: anOwner,
		Sign: func(context.Context, tonconnect.Request) ([]byte, error) { return theClaim.ToBOC(), nil },
	}
}

func (s *stand) pay() {
	s.api.mu.Lock()
	defer s.api.mu.Unlock()
	s.api.paid = true
}

// stage waits for a stage of the dialog, which has the focus then: where a screen reader goes on.
func (s *stand) stage(title string) {
	s.t.Helper()
	s.Until(fmt.Sprintf(`document.getElementById("wallet-dialog")?.open && document.getElementById("wallet-title").innerText === %q`, title))
	s.Until(`document.activeElement.id === "wallet-title"`)
}

// says waits for words of the dialog.
func (s *stand) says(words string) {
	s.t.Helper()
	s.Until(fmt.Sprintf(`document.getElementById("wallet-dialog").innerText.replaceAll("\u202f", "").includes(%q)`, words))
}

// link is what a camera would read.
func (s *stand) link() (href string) {
	s.t.Helper()
	s.Until(`document.querySelector("#wallet-dialog .code svg path")`)
	s.Ask(`document.getElementById("wallet-link").href`, &href)
	return href
}

// session is what the tab keeps.
func (s *stand) session() (kept string) {
	s.t.Helper()
	s.Ask(`sessionStorage.getItem("filature.wallet") ?? ""`, &kept)
	return kept
}

// looks checks what can be checked of any page, and draws it for who wants to look.
func (s *stand) looks(name string) {
	s.t.Helper()
	for _, violation := range s.Violations() {
		s.t.Errorf("%s: %s", name, violation)
	}
	if *walletShots == "" {
		return
	}
	for _, screen := range []browser.Screen{{Width: 390, Scheme: "dark"}, {Width: 390, Scheme: "light"}, {Width: 1280, Scheme: "dark"}, wide} {
		s.Resize(screen)
		if err := s.Shoot(filepath.Join(*walletShots, fmt.Sprintf("%s-%s.png", name, screen))); err != nil {
			s.t.Fatal(err)
		}
	}
	s.Resize(wide)
}

// The whole way, by clicking, with a wallet that follows the protocol's own documents: it is chosen, scans the code, is
// asked, sends, and is let go.
func TestAWalletIsConnectedOverItsBridgeAndSendsTheClaim(t *testing.T) {
	s := newStand(t, "https://wallet.example/connect")
	s.looks("choose")
	if asked := s.bridge.Asked(); len(asked) > 0 {
		t.Errorf("the bridge was asked before anybody chose it: %s", asked)
	}
	s.Click("Test wallet")
	s.stage("Connect Test wallet")
	link := s.link()
	if !strings.HasPrefix(link, "https://wallet.example/connect?v=2&id=") {
		t.Errorf("the link is %s", link)
	}
	s.looks("connect")
	wallet := s.wallet()
	wallet.Scan(t, link)
	s.stage("Send the claim")
	s.says("12.345678901")
	s.says("0.023000000")
	s.looks("connected")
	s.Click("Send with Test wallet")
	s.stage("Sent")
	s.looks("sent")
	if moved := s.Shifts(); moved > 0 && *walletShots == "" { // what is collected leaves the page later, and what is below it moves up
		t.Errorf("the page moves by itself, by %f", moved)
	}
	s.pay()
	s.says("The vault has paid, and the books have seen it.")
	var inFront bool
	if s.Ask(`document.getElementById("wallet-dialog").matches(":modal")`, &inFront); !inFront {
		t.Error("the dialog is no longer in front of the page")
	}
	s.looks("paid")

	seen := wallet.Seen()
	if len(seen) != 1 || seen[0].To.String() != theVault || seen[0].Nano != attachNano || seen[0].Payload.HashKey() != theClaim.HashKey() {
		t.Errorf("the wallet was asked for %+v", seen)
	}
	for _, asked := range s.Requests {
		if !strings.HasPrefix(asked, s.url+"/") && !strings.HasPrefix(asked, s.bridge.URL+"/") {
			t.Errorf("the page asks for %s", asked)
		}
	}
	if len(s.Console) > 0 {
		t.Errorf("the console says %s", s.Console)
	}
	s.Click("Disconnect")
	s.stage("Claim with a wallet")
	s.Until(`sessionStorage.getItem("filature.wallet") === null`)
	within(t, "the wallet is told", wallet.Ended)
}

// A reload in between changes nothing, whatever the bridge says again.
func TestAConnectedWalletIsKnownForAsLongAsTheTabIsOpen(t *testing.T) {
	s := newStand(t, "") // no link of its own: any wallet opens tc://
	s.Click("Test wallet")
	link := s.link()
	if !strings.HasPrefix(link, "tc://?v=2&id=") {
		t.Errorf("the link is %s", link)
	}
	wallet := s.wallet()
	wallet.Scan(t, link)
	s.stage("Send the claim")
	if kept := s.session(); !strings.Contains(kept, anOwner) {
		t.Errorf("the tab keeps %q", kept)
	}
	for range 2 {
		s.Show(s.url+"/providers/"+anID, wide)
		s.Click("Claim with a wallet")
		s.stage("Send the claim")
		s.Click("Send with Test wallet") // each with a number above the one before, or the wallet complains
		s.stage("Sent")
	}
	s.Click("Close")
	wallet.Disconnect() // nobody listens: the bridge keeps it
	s.Click("Claim with a wallet")
	s.says("Test wallet has ended the connection.")
	if kept := s.session(); kept != "" {
		t.Errorf("the tab keeps %q of a session that has ended", kept)
	}
}

func TestWhoSaysNoIsHeardAndNothingIsSent(t *testing.T) {
	s := newStand(t, "https://t.me/wallet?attach=wallet")
	s.Click("Test wallet")
	link := s.link()
	if !strings.HasPrefix(link, "https://t.me/wallet/start?startapp=tonconnect-v__2-id__") {
		t.Errorf("the link is %s", link)
	}
	no := s.wallet()
	no.Refuses = "connect"
	no.Scan(t, link)
	s.stage("It did not work")
	s.says("Test wallet refused to connect.")
	s.looks("refused-to-connect")

	s.Click("Choose a wallet")
	s.Click("Test wallet")
	no = s.wallet()
	no.Refuses = "send"
	no.Scan(t, s.link())
	s.stage("Send the claim")
	s.Click("Send with Test wallet")
	s.stage("Test wallet refused")
	s.says("Nothing was sent. What is due stays due.")
	s.looks("refused")
	if moved := s.Shifts(); moved > 0 && *walletShots == "" { // to be drawn on other screens moves all of it
		t.Errorf("the page moves by itself, by %f", moved)
	}
	s.Click("Ask again")
	within(t, "it is asked again", func() bool { return len(no.Seen()) == 2 })
	s.stage("Test wallet refused")
	s.Press("Escape")
	s.Until(`!document.getElementById("wallet-dialog").open`)
}

func TestAWalletOfAnotherNetworkIsSentAway(t *testing.T) {
	s := newStand(t, "https://wallet.example/connect")
	s.Click("Test wallet")
	other := s.wallet()
	other.Network = "-239"
	other.Scan(t, s.link())
	s.stage("It did not work")
	s.says("Test wallet is on TON’s main network. This claim is on TON’s test network")
	s.looks("other-network")
	within(t, "it is told", other.Ended)
	if kept := s.session(); kept != "" || len(other.Seen()) > 0 {
		t.Errorf("the tab keeps %q, and the wallet was asked for %v", kept, other.Seen())
	}
}

func TestABridgeThatIsAwayIsNamedAndAskedAgain(t *testing.T) {
	s := newStand(t, "https://wallet.example/connect")
	s.bridge.SetDown(true)
	s.Click("Test wallet")
	s.says("The bridge of Test wallet does not answer.")
	s.looks("away")
	s.bridge.SetDown(false)
	s.Until(`!document.getElementById("wallet-dialog").innerText.includes("does not answer")`)
	s.wallet().Scan(t, s.link())
	s.stage("Send the claim")
	s.bridge.SetDown(true)
	s.Click("Send with Test wallet")
	s.stage("It did not work")
	s.says("Nothing was sent.")
	s.bridge.SetDown(false)
	s.Click("Try again")
	s.Click("Send with Test wallet")
	s.stage("Sent")
}

// A wallet that is in the browser needs no bridge.
func TestAWalletInTheBrowserIsAskedThere(t *testing.T) {
	s := newStand(t, "https://wallet.example/connect")
	s.Ask(fmt.Sprintf(`window.testwallet = {tonconnect: {
		connect: (version, {manifestUrl, items}) => fetch(manifestUrl).then((r) => r.json()).then((m) => ({event: "connect", id: 1, payload: {
			items: items.map(({name}) => ({name, address: %q, network: %q})), device: {appName: m.name, features: ["SendTransaction"]},
		}})),
		listen: () => () => {},
		send: (request) => Promise.resolve((window.asked = request, {id: request.id, result: "te6cc="})),
	}}; document.dispatchEvent(new Event("redraw"))`, anOwner, testNetwork), nil)
	s.says("in this browser")
	s.Click("Test wallet")
	s.stage("Send the claim")
	s.Click("Send with Test wallet")
	s.stage("Sent")
	var asked struct {
		Method string
		Params []string
	}
	s.Ask("window.asked", &asked)
	if asked.Method != "sendTransaction" || len(asked.Params) != 1 || !strings.Contains(asked.Params[0], theVault) || len(s.bridge.Asked()) > 0 {
		t.Errorf("asked for %+v, and the bridge for %s", asked, s.bridge.Asked())
	}
}
