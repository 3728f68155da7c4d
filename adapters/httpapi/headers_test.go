package httpapi_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/httpapi"
)

// pagesPolicy is what pages want of a browser.
const pagesPolicy = "default-src 'none'; script-src 'self'; frame-ancestors 'none'"

// dashboard is pages that say their path.
var dashboard = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", pagesPolicy)
	_, _ = io.WriteString(w, r.URL.Path)
})

// asked is the answer of a handler to a request that change has changed.
func asked(h http.Handler, method, url string, change func(*http.Request)) *httptest.ResponseRecorder {
	request := httptest.NewRequestWithContext(context.Background(), method, url, http.NoBody)
	if change != nil {
		change(request)
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	return answer
}

func TestEveryAnswerKeepsBrowsersFromHelpingStrangers(t *testing.T) {
	t.Parallel()
	h := httpapi.NewHandler(httpapi.Config{Gateway: &gateway{}, Pages: dashboard, OpenAPI: []byte(`{}`)})
	for _, path := range []string{"/", "/jobs/1", "/healthz", "/openapi.json", "/v1/network", "/v1/nothing"} {
		header := asked(h, http.MethodGet, path, nil).Header()
		policy := header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") ||
			header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" || header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %v", path, header)
		}
		if isPage := path == "/" || path == "/jobs/1"; (policy == pagesPolicy) != isPage {
			t.Errorf("%s: the policy is %s", path, policy)
		}
	}
	overTLS := asked(h, http.MethodGet, "/", func(r *http.Request) { r.TLS = &tls.ConnectionState{} }).Header()
	if overTLS.Get("Strict-Transport-Security") == "" {
		t.Errorf("over TLS: %v", overTLS)
	}
}

func TestAPageOfAnotherOriginCanDoNothing(t *testing.T) {
	t.Parallel()
	h := httpapi.NewHandler(httpapi.Config{Gateway: &gateway{}, Pages: dashboard})
	for site, want := range map[string]int{
		"cross-site": http.StatusForbidden, "same-site": http.StatusForbidden, "same-origin": http.StatusOK, "": http.StatusOK,
	} {
		got := asked(h, http.MethodPost, "/v1/reports", func(r *http.Request) {
			if site != "" {
				r.Header.Set("Sec-Fetch-Site", site)
			}
		})
		if got.Code != want {
			t.Errorf("a POST from %q: %d, want %d", site, got.Code, want)
		}
	}
}

func TestWhereNobodyIsAskedForAKeyTheServerHasNoName(t *testing.T) {
	t.Parallel()
	open := httpapi.NewHandler(httpapi.Config{Pages: dashboard, AtAddress: true})
	guarded := httpapi.NewHandler(httpapi.Config{Pages: dashboard})
	for host, isAddress := range map[string]bool{
		"127.0.0.1:8420": true, "localhost:8420": true, "localhost": true, "[::1]:8420": true, "10.1.2.3": true, "[::1]": true,
		"filature.example:8420": false, "127.0.0.1.evil.example": false, "localhost.evil.example:8420": false, "": false,
	} {
		setHost := func(r *http.Request) { r.Host = host }
		if got := asked(open, http.MethodGet, "/", setHost).Code; (got == http.StatusOK) != isAddress {
			t.Errorf("asked as %q: %d", host, got)
		}
		if got := asked(guarded, http.MethodGet, "/", setHost).Code; got != http.StatusOK {
			t.Errorf("one that asks for keys, asked as %q: %d", host, got)
		}
	}
}

func TestPagesAnswerWhatNoProgramsPathDoes(t *testing.T) {
	t.Parallel()
	h := httpapi.NewHandler(httpapi.Config{Gateway: &gateway{}, Pages: dashboard})
	for _, one := range []struct {
		method, path string
		status       int
		isPage       bool
	}{
		{http.MethodGet, "/", http.StatusOK, true},
		{http.MethodGet, "/providers/ab", http.StatusOK, true},
		{http.MethodGet, "/v1/nothing", http.StatusNotFound, false},
		{http.MethodGet, "/v1/reports", http.StatusMethodNotAllowed, false},
		{http.MethodGet, "/filature.query.v1.NoService/NoMethod", http.StatusNotFound, false},
		{http.MethodGet, "/healthz", http.StatusOK, false},
	} {
		got := asked(h, one.method, one.path, nil)
		if got.Code != one.status || (got.Body.String() == one.path) != one.isPage {
			t.Errorf("%s %s: %d %s", one.method, one.path, got.Code, got.Body)
		}
	}
}

func TestWhatIsRefusedIsInTheLogAndQuestionsAndProbesAreNot(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	queries := map[string]http.Handler{"/a.Service/": http.NotFoundHandler(), "GET /papers/{name}": http.NotFoundHandler()}
	h := httpapi.NewHandler(httpapi.Config{Queries: queries, Pages: dashboard, Log: slog.New(slog.NewJSONHandler(&lines, nil))})
	for path, want := range map[string]int{"/v1/nothing": http.StatusNotFound, "/": 0, "/healthz": 0, "/readyz": 0, "/a.Service/Method": 0, "/papers/1": 0} {
		lines.Reset()
		asked(h, http.MethodGet, path, nil)
		var line struct {
			Path   string `json:"path"`
			Status int    `json:"status"`
		}
		if lines.Len() > 0 {
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Path != path {
				t.Errorf("%s: %s", path, lines.String())
			}
		}
		if line.Status != want {
			t.Errorf("%s: %s", path, lines.String())
		}
	}
}
