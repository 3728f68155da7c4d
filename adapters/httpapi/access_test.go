package httpapi_test

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/projections/projectionstest"
)

// TestAKeyFollowsItsOwnCompletionsAlone: whatever a client or a provider asks for, nobody else's come.
func TestAKeyFollowsItsOwnCompletionsAlone(t *testing.T) {
	ledger := jobsOf(t, 2)
	mine, others := accountIn(1, 2, 0), accountIn(1, 2, 1)
	ledger.Answer(1, "w1", 1, ended("of another", others, "other"), ended("of tg", mine, "tg"),
		projectionstest.Job{
			Name: "elsewhere", Account: mine, Client: "tg", Model: "qwen", Worker: "w2", Provider: "prov-b", Reserve: 9, Charge: 6, Part: 5,
		}.Completed())
	errStranger := errors.New("who is that")
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpapi.NewServer(httpapi.Config{
		Completions: completions.New(ledger),
		Sees: func(header http.Header) (own completions.Filter, everything bool, err error) {
			switch header.Get("Authorization") {
			case "tg":
				own.Client = projectionstest.ID[domain.ClientID]("tg")
				return own, false, nil
			case "prov-b":
				own.Provider = projectionstest.ID[domain.ProviderID]("prov-b")
				return own, false, nil
			case "finance":
				return own, true, nil
			case "nobody":
				return own, false, nil
			default:
				return own, false, errStranger
			}
		},
	})
	server.Start()
	defer server.Close()
	for _, c := range []struct {
		key, ask string
		status   int
		first    string // account of the first event
	}{
		{"tg", "after=start", http.StatusOK, mine},
		{"tg", "after=start&" + query("client", hexOf("tg")), http.StatusOK, mine},
		{"tg", "after=start&" + query("account", hexOf(others), "account", hexOf(mine)), http.StatusOK, mine},
		{"tg", query("client", hexOf("other")), http.StatusForbidden, ""},
		{"finance", "after=start", http.StatusOK, others},
		{"finance", "after=start&" + query("provider", hexOf("prov-b")), http.StatusOK, mine},
		{"prov-b", "after=start", http.StatusOK, mine},
		{"prov-b", "after=start&" + query("client", hexOf("tg"), "account", hexOf(mine)), http.StatusOK, mine},
		{"prov-b", query("provider", hexOf("prov-a")), http.StatusForbidden, ""},
		{"nobody", "after=start", http.StatusForbidden, ""},
		{"", "after=start", http.StatusUnauthorized, ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/completions?"+c.ask, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", c.key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != c.status {
			t.Errorf("%s asks %s: %s, want %d", c.key, c.ask, response.Status, c.status)
		} else if c.first != "" {
			r := &reader{response, bufio.NewScanner(response.Body), func() {}}
			if got := domain.AccountID(r.event(t).completion(t).Account).String(); got != hexOf(c.first) {
				t.Errorf("%s asks %s: the first is of %s, want %s", c.key, c.ask, got, hexOf(c.first))
			}
		}
		response.Body.Close()
	}
}
