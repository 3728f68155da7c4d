package dashboard_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/dashboard"
)

func serveOnce(cfg dashboard.Config, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil) //nolint:noctx // it goes nowhere
	change(request)
	answer := httptest.NewRecorder()
	dashboard.Handler(cfg).ServeHTTP(answer, request)
	return answer
}

// Exactly: a prefix of a bridge's address would be all of it, and its server may have more.
func TestAPageMaySpeakToTheBridgesThatItOffersAndToNothingElseOfTheirs(t *testing.T) {
	t.Parallel()
	policy := func(wallets []dashboard.Wallet) string {
		return serveOnce(dashboard.Config{Wallets: wallets}, "/", func(*http.Request) {}).Header().Get("Content-Security-Policy")
	}
	if bare := policy(nil); !strings.Contains(bare, "connect-src 'self';") {
		t.Errorf("without wallets: %s", bare)
	}
	wallets, err := dashboard.ReadWallets(strings.NewReader(`[
		{"app_name": "a", "name": "A", "bridge": [{"type": "sse", "url": "https://a.example/bridge/"}, {"type": "js", "key": "a"}], "image": "a.png"},
		{"app_name": "b", "name": "B", "bridge": [{"type": "js", "key": "b"}, {"type": "carrier pigeon", "url": "far"}]},
		{"app_name": "c", "name": "C", "bridge": [{"type": "sse", "url": "https://a.example/bridge"}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	if offered := policy(wallets); !strings.Contains(offered, "connect-src 'self' https://a.example/bridge/events https://a.example/bridge/message;") {
		t.Errorf("with wallets: %s", offered)
	}
}

func TestTheWalletsThatAreBroughtAreThoseThatPeopleHave(t *testing.T) {
	t.Parallel()
	var names []string
	for _, wallet := range dashboard.KnownWallets() {
		names = append(names, wallet.AppName)
		if !slices.ContainsFunc(wallet.Bridges, func(b dashboard.WalletBridge) bool { return b.Type == dashboard.BridgeSSE }) {
			t.Errorf("%s has no bridge that a page elsewhere reaches", wallet.Name)
		}
	}
	if want := []string{"tonkeeper", "telegram-wallet", "mytonwallet", "tonhub"}; !slices.Equal(names, want) {
		t.Errorf("%s, want %s", names, want)
	}
	var listed []dashboard.Wallet
	body := serveOnce(dashboard.Config{Wallets: dashboard.KnownWallets()}, "/tonconnect-wallets.json", func(*http.Request) {}).Body
	if err := json.NewDecoder(body).Decode(&listed); err != nil || len(listed) != len(names) || listed[0].Bridges[0].URL == "" {
		t.Errorf("pages are told of %+v, %v", listed, err)
	}
}

func TestAListOfWalletsIsReadStrictlyWhereAPageWouldTrustIt(t *testing.T) {
	t.Parallel()
	const a = `[{"app_name": "a", "name": "A", `
	for list, want := range map[string]string{
		`{}`:                               "cannot unmarshal",
		`[{"name": "A", "bridge": []}]`:    "want both",
		`[{"app_name": "a", "name": "A"}]`: "want one of type sse or js",
		a + `"bridge": [{"type": "js"}]}]`: "js wants a key",
		a + `"bridge": [{"type": "sse", "url": "http://a.example/b"}]}]`:                                        "want https",
		a + `"bridge": [{"type": "sse", "url": "https://a.example/b; script-src *"}]}]`:                         "want https://host/path",
		a + `"bridge": [{"type": "sse", "url": "https://user@a.example/b"}]}]`:                                  "want https://host/path",
		a + `"bridge": [{"type": "sse", "url": "https://a.example"}], "universal_url": "javascript:alert(1)"}]`: "want https",
	} {
		if _, err := dashboard.ReadWallets(strings.NewReader(list)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", list, err, want)
		}
	}
}

func TestAWalletIsToldWhoAsksAtTheAddressThatPeopleUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		public string
		tls    bool
		want   string
	}{
		{"", false, "http://books.example:8420"},
		{"", true, "https://books.example:8420"},
		{"https://filature.example/", false, "https://filature.example"},
	} {
		answer := serveOnce(dashboard.Config{PublicURL: c.public}, "/tonconnect-manifest.json", func(r *http.Request) {
			r.Host = "books.example:8420"
			if r.TLS = nil; c.tls {
				r.TLS = &tls.ConnectionState{}
			}
		})
		var said map[string]string
		if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		anyOrigin := answer.Header().Get("Access-Control-Allow-Origin") == "*"
		if said["url"] != c.want || said["iconUrl"] != c.want+"/tonconnect-icon.png" || said["name"] != "Filature" || !anyOrigin {
			t.Errorf("%+v: %s, %s", c, said, answer.Header())
		}
	}
	icon := serveOnce(dashboard.Config{}, "/tonconnect-icon.png", func(*http.Request) {})
	if icon.Header().Get("Content-Type") != "image/png" || icon.Header().Get("Access-Control-Allow-Origin") != "*" || icon.Body.Len() == 0 {
		t.Errorf("the icon: %s, %d bytes", icon.Header(), icon.Body.Len())
	}
}
