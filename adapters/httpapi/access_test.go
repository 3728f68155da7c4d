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
)

// TestAClientsKeyFollowsItsOwnCompletionsAlone: whatever it asks for, nobody else's come.
func TestAClientsKeyFollowsItsOwnCompletionsAlone(t *testing.T) {
	ledger := jobsOf(t, 2)
	mine, others := accountIn(1, 2, 0), accountIn(1, 2, 1)
	ledger.Answer(1, "w1", 1, ended("of another", others, "other"), ended("of tg", mine, "tg"))
	errStranger := errors.New("who is that")
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpapi.NewServer(httpapi.Config{
		Completions: completions.New(ledger),
		Sees: func(header http.Header) (client domain.ClientID, everything bool, err error) {
			switch header.Get("Authorization") {
			case "tg":
				client, err = domain.ParseID[domain.ClientID](hexOf("tg"))
				return client, false, err
			case "finance":
				return client, true, nil
			case "provider":
				return client, false, nil
			default:
				return client, false, errStranger
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
		{"provider", "after=start", http.StatusForbidden, ""},
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
