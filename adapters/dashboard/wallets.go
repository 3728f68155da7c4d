package dashboard

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Wallet is one that a page offers for claims, over TON Connect. It is written as in TON's list of wallets
// (ton-blockchain/wallets-list, wallets-v2.json), of which other fields are passed over.
type Wallet struct {
	AppName      string         `json:"app_name"`                // which names it to programs
	Name         string         `json:"name"`                    // for people
	UniversalURL string         `json:"universal_url,omitempty"` // what opens it; without one tc:// does
	Bridges      []WalletBridge `json:"bridge"`
}

// WalletBridge is a way to a wallet: "sse" over HTTP, or "js", which a wallet puts into the page itself.
type WalletBridge struct {
	Type string `json:"type"`
	URL  string `json:"url,omitempty"` // of "sse": below it are events and message
	Key  string `json:"key,omitempty"` // of "js": window[key].tonconnect
}

// Types of bridges.
const (
	BridgeSSE = "sse"
	BridgeJS  = "js"
)

// wellKnown are the wallets that most people have, as TON's list had them in @tonconnect/sdk 3.4.1. Whoever lists others
// gives a file.
//
//go:embed wallets.json
var wellKnown []byte

// KnownWallets are the wallets that this program brings.
func KnownWallets() []Wallet {
	wallets, err := ReadWallets(strings.NewReader(string(wellKnown)))
	if err != nil {
		panic(fmt.Sprintf("dashboard: wallets that were compiled in: %v", err))
	}
	return wallets
}

const (
	// maxWalletsBytes bounds a list: TON's own has 40 kB.
	maxWalletsBytes = 1 << 20
	// MaxWallets is how many a page offers: each is a button, and two addresses in a header of every answer.
	MaxWallets = 20
)

// ReadWallets reads a list. Each wallet has a name and a bridge; what is neither https nor on this machine is refused.
func ReadWallets(from io.Reader) ([]Wallet, error) {
	raw, err := io.ReadAll(io.LimitReader(from, maxWalletsBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read wallets: %w", err)
	}
	if len(raw) > maxWalletsBytes {
		return nil, fmt.Errorf("wallets: want at most %d bytes", maxWalletsBytes)
	}
	var wallets []Wallet
	if err := json.Unmarshal(raw, &wallets); err != nil {
		return nil, fmt.Errorf("wallets: %w", err)
	}
	for i := range wallets {
		if err := wallets[i].check(); err != nil {
			return nil, fmt.Errorf("wallets[%d].%w", i, err)
		}
	}
	return wallets, nil
}

func (w *Wallet) check() error {
	if w.AppName == "" || w.Name == "" {
		return fmt.Errorf("app_name %q, name %q: want both", w.AppName, w.Name)
	}
	if w.UniversalURL != "" {
		if err := reachable(w.UniversalURL); err != nil {
			return fmt.Errorf("universal_url of %s: %w", w.AppName, err)
		}
	}
	// A kind of bridge that is not known here is one that a later list has.
	w.Bridges = slices.DeleteFunc(w.Bridges, func(b WalletBridge) bool { return b.Type != BridgeSSE && b.Type != BridgeJS })
	for i := range w.Bridges {
		b := &w.Bridges[i]
		b.URL = strings.TrimSuffix(b.URL, "/")
		if b.Type == BridgeJS && b.Key == "" {
			return fmt.Errorf("bridge of %s: js wants a key", w.AppName)
		}
		if b.Type != BridgeSSE {
			continue
		}
		if err := reachable(b.URL); err != nil {
			return fmt.Errorf("bridge of %s: %w", w.AppName, err)
		}
	}
	if len(w.Bridges) == 0 {
		return fmt.Errorf("bridge of %s: want one of type sse or js", w.AppName)
	}
	return nil
}

// reachable refuses what no page may speak to: what a bridge is told is sealed, but who speaks is not. What it lets through
// stands in a header as it is.
func reachable(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("%q: %w", text, err)
	case u.Host == "" || u.User != nil || u.Fragment != "" || strings.ContainsAny(text, " ;,\"'\t\r\n"):
		return fmt.Errorf("%q: want https://host/path", text)
	case u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost"):
		return fmt.Errorf("%q: want https", text)
	default:
		return nil
	}
}

// listOf is the file that tells a page of its wallets.
func listOf(wallets []Wallet) (file, error) {
	if wallets == nil {
		wallets = []Wallet{}
	}
	plain, err := json.Marshal(wallets)
	if err != nil {
		return file{}, err
	}
	return open("wallets.json", plain)
}

// policyWith is the policy of pages that may speak to the bridges of some wallets besides: to these two addresses of each.
func policyWith(wallets []Wallet) string {
	var bridges []string
	for _, wallet := range wallets {
		for _, b := range wallet.Bridges {
			if b.Type == BridgeSSE && !slices.Contains(bridges, b.URL+"/events") {
				bridges = append(bridges, b.URL+"/events", b.URL+"/message")
			}
		}
	}
	if len(bridges) == 0 {
		return policy
	}
	return strings.Replace(policy, "connect-src 'self'", "connect-src 'self' "+strings.Join(bridges, " "), 1)
}

// Paths that TON Connect has, or that this package has for it.
const (
	manifestPath = "/tonconnect-manifest.json"
	iconPath     = "/tonconnect-icon.png"
	walletsPath  = "/tonconnect-wallets.json"
)

// manifest is what a wallet shows of who asks (TON Connect, requests-responses, App manifest).
type manifest struct {
	URL     string `json:"url"`
	Name    string `json:"name"`
	IconURL string `json:"iconUrl"` //nolint:tagliatelle // TON Connect's name
}

// sendManifest answers wallets, which may be pages of other origins. Without a public URL the manifest names the address by which
// whoever asks has reached this server.
func (c Config) sendManifest(w http.ResponseWriter, r *http.Request) {
	at := strings.TrimSuffix(c.PublicURL, "/")
	if at == "" {
		at = "http://" + r.Host
		if r.TLS != nil {
			at = "https://" + r.Host
		}
	}
	body, err := json.Marshal(manifest{URL: at, Name: "Filature", IconURL: at + iconPath})
	if err != nil {
		http.Error(w, "manifest", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store") // it names who asked
	forAnyOrigin(header)
	_, _ = w.Write(body) // who went away has nothing to be told
}

// forAnyOrigin opens what wallets read.
func forAnyOrigin(header http.Header) {
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
}
