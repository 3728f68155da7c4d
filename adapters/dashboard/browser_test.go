package dashboard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/filature/filature/internal/browser"
)

var wide = browser.Screen{Width: 1280, Scheme: "light"}

// everyPage is one path of each page. Ids are of nothing in particular.
var everyPage = []string{
	"/", "/jobs", "/jobs/" + anID, "/market", "/market/" + anID, "/providers", "/providers/" + anID, "/workers/" + anID,
	"/clients", "/clients/" + anID, "/batches", "/batches/7", "/network", "/audit", "/find?q=nobody",
}

var anID = strings.Repeat("0f", 32)

// bareAPI answers each question with as little as the API ever does: what is zero or empty is left out. It knows one key, if
// any, and maybe one more whose holder may ask nothing.
type bareAPI struct {
	key, barred string

	mu    sync.Mutex
	asked []string // what was sent as authorization
	down  bool
}

func (a *bareAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	given := r.Header.Get("Authorization")
	a.asked = append(a.asked, given)
	w.Header().Set("Content-Type", "application/json")
	answer := func(status int, body any) {
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			panic(err)
		}
	}
	switch _, method, _ := strings.Cut(r.URL.Path, "Service/"); {
	case a.down:
		answer(http.StatusServiceUnavailable, map[string]string{"code": "unavailable", "message": "the tables have not read the ledger that far"})
	case a.barred != "" && given == "Bearer "+a.barred:
		answer(http.StatusForbidden, map[string]string{"code": "permission_denied", "message": "the role of this key may not ask " + method})
	case a.key != "" && given != "Bearer "+a.key:
		answer(http.StatusUnauthorized, map[string]string{"code": "unauthenticated", "message": "authorization: want Bearer and a key that this server knows"})
	case method == "ListModels": // whose page is of what it lists
		answer(http.StatusOK, map[string]any{"models": []any{map[string]string{"model": anID}}})
	case method == "Explain":
		answer(http.StatusOK, map[string]any{"outcome": "pending", "because": "nothing is known of it"})
	default: // each takes of it what it knows
		answer(http.StatusOK, map[string]any{
			"position": map[string]any{"ledgerOffsets": []string{"3", "5"}},
			"network":  map[string]any{"id": anID, "name": "bare"}, "overview": map[string]any{}, "provider": map[string]any{"provider": anID},
			"claim": map[string]any{}, "batch": map[string]any{"number": 7, "state": "sealed"}, "job": map[string]any{"job": anID, "state": "submitted"},
			"audit": map[string]any{"verdict": "none"}, "reconciliation": map[string]any{"state": "none"},
		})
	}
}

func serve(t *testing.T, api http.Handler) string {
	t.Helper()
	return serveWith(t, handler(), api)
}

func serveWith(t *testing.T, pages, api http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	for _, service := range []string{"Money", "Job", "Settlement", "Network", "Claim", "Audit"} {
		mux.Handle(fmt.Sprintf("/filature.query.v1.%sService/", service), api)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// shown waits until a page is, or says why it is not.
const shown = `document.querySelector("main h1") && !document.querySelector(".waiting")`

func TestEveryPageStandsAnAnswerThatHasNothing(t *testing.T) {
	url := serve(t, &bareAPI{})
	b := browser.Open(t)
	for _, path := range everyPage {
		b.Show(url+path, wide)
		b.Until(shown)
		var seen struct{ Text, Title string }
		b.Ask(`({Text: document.querySelector("main").innerText, Title: document.title})`, &seen)
		for _, bad := range []string{"undefined", "NaN", "null", "[object", "could not be shown"} {
			if strings.Contains(seen.Text+seen.Title, bad) {
				t.Errorf("%s says %q:\n%s", path, bad, seen.Text)
			}
		}
		if len(b.Console) > 0 {
			t.Errorf("%s: the console says %s", path, b.Console)
		}
		if !strings.HasSuffix(seen.Title, " · Filature") {
			t.Errorf("%s has the title %q", path, seen.Title)
		}
		for _, asked := range b.Requests {
			if !strings.HasPrefix(asked, url) {
				t.Errorf("%s asks for %s", path, asked)
			}
		}
	}
}

func TestAPageAsksForAKeyAndKeepsItInItsTab(t *testing.T) {
	api := &bareAPI{key: "filature_right", barred: "filature_barred"}
	url := serve(t, api)
	b := browser.Open(t)
	b.Show(url+"/batches", wide)
	give := func(key string) {
		b.Until(`document.getElementById("key-dialog").open && document.activeElement.id === "key"`)
		for _, letter := range key {
			b.Press(string(letter))
		}
		b.Press("Enter")
	}
	give("filature_wrong")
	b.Until(`document.getElementById("key-dialog").innerText.includes("does not know")`)
	give("filature_barred")
	b.Until(`!document.getElementById("key-dialog").open && document.querySelector("h1").innerText === "This key may not see this"`)
	b.Ask(`document.querySelector(".trouble button").click()`, nil)
	b.Until(`!document.getElementById("key-dialog").innerText.includes("does not know")`)
	give("filature_right")
	b.Until(`!document.getElementById("key-dialog").open && document.querySelector("h1").innerText === "Batches"`)
	var kept struct {
		Session, Local string
		Shown          bool
	}
	b.Ask(`({Session: JSON.stringify(sessionStorage), Local: JSON.stringify(localStorage),
		Shown: document.documentElement.outerHTML.includes("filature_right")})`, &kept)
	if !strings.Contains(kept.Session, "filature_right") || strings.Contains(kept.Local, "filature") || kept.Shown {
		t.Errorf("the key is kept as %+v", kept)
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	if last := api.asked[len(api.asked)-1]; last != "Bearer filature_right" {
		t.Errorf("asked at last with %q", last)
	}
}

func TestAPageThatGetsNoAnswerSaysSoAndGoesOn(t *testing.T) {
	api := &bareAPI{}
	url := serve(t, api)
	turn := func(down bool) {
		api.mu.Lock()
		defer api.mu.Unlock()
		api.down = down
	}
	b := browser.Open(t)
	b.Show(url+"/batches/7", wide)
	b.Until(`document.querySelector("h1")?.innerText === "Batch 7"`)
	turn(true)
	b.Until(`document.querySelector(".live").innerText.includes("No answer")`)
	var kept string
	if b.Ask(`document.querySelector("h1").innerText`, &kept); kept != "Batch 7" {
		t.Errorf("what was known is gone: %q", kept)
	}
	b.Show(url+"/batches/7", wide)
	b.Until(`document.querySelector(".trouble button")`)
	turn(false) // and nobody has to press the button
	b.Until(`document.querySelector("h1")?.innerText === "Batch 7"`)
}
