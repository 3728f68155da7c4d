package tonconnect

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A page is shown to be right by a wallet and a bridge that are strict. Here they are shown to be.

func TestAWalletSendsOnlyWhatItsOwnerCouldMean(t *testing.T) {
	t.Parallel()
	account := "0:" + strings.Repeat("5e", 32)
	ends := func(in time.Duration) string { return fmt.Sprint(time.Now().Add(in).Unix()) }
	good := `{"valid_until": ` + ends(time.Minute) + `, "network": "-3", "from": "` + account + `", "messages": [
		{"address": "EQBBJBB3HagsujBqVfqeDUPJ0kXjgTPLWPFFffuNXNiJL0aA", "amount": "1", "payload": "te6cckEBAQEAAgAAAEysuc0="}]}`
	w := Wallet{Network: "-3", Account: account}
	if request, err := w.check(appRequest{Params: []string{good}}); err != nil || request.Nano != 1 || request.Payload == nil {
		t.Fatalf("%+v, %v", request, err)
	}
	for _, c := range []struct{ old, replacement, want string }{
		{`"network": "-3"`, `"network": "-239"`, "network"},
		{`"network": "-3"`, `"network": "-3", "nonce": 1`, "unknown field"},
		{ends(time.Minute), ends(-time.Minute), "valid_until"},
		{ends(time.Minute), ends(time.Hour), "valid_until"},
		{`"from": "0:5e`, `"from": "0:5f`, "from"},
		{`"messages": [`, `"messages": [{}, `, "2 messages"},
		{"EQBBJBB3HagsujBqVfqeDUPJ0kXjgTPLWPFFffuNXNiJL0aA", account, "friendly form"},
		{"EQBBJBB3HagsujBqVfqeDUPJ0kXjgTPLWPFFffuNXNiJL0aA", "EQBBJBB3HagsujBqVfqeDUPJ0kXjgTPLWPFFffuNXNiJL0aB", "friendly form"},
		{"EQBBJBB3HagsujBqVfqeDUPJ0kXjgTPLWPFFffuNXNiJL0aA", "UQBBJBB3HagsujBqVfqeDUPJ0kXjgTPLWPFFffuNXNiJLxtF", "bounces"},
		{`"amount": "1"`, `"amount": "0"`, "amount"},
		{`"amount": "1"`, `"amount": "0.1"`, "amount"},
		{`te6cckEB`, `te6cckEC`, "payload"},
	} {
		bad := strings.Replace(good, c.old, c.replacement, 1)
		if _, err := w.check(appRequest{Params: []string{bad}}); bad == good || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", bad, err, c.want)
		}
	}
	if _, err := w.check(appRequest{Params: []string{good, good}}); err == nil {
		t.Error("it sends the first of two requests")
	}
}

func TestAWalletScansOnlyLinksOfTheProtocol(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0f", 32)
	asks := `%7B%22manifestUrl%22:%22https://a.example/m.json%22,%22items%22:%5B%7B%22name%22:%22ton_addr%22%7D%5D%7D`
	for link, want := range map[string]string{
		"tc://?v=2&id=" + id + "&r=" + asks:       "",
		"tc://?v=1&id=" + id + "&r=" + asks:       "v is",
		"tc://?v=2&id=" + id[2:] + "&r=" + asks:   "32 bytes",
		"tc://?v=2&id=" + id + "&r=%7B%7D":        "asks for",
		"tc://?v=2&id=" + id:                      "r: ",
		"tc://?v=2&id=" + id + "&r=" + asks + "x": "r: ",
		"https://t.me/wallet/start?startapp=tonconnect-v__2-id__" + id + "-r__" + strings.NewReplacer("%", "--", ".", "--2E").Replace(asks): "",
	} {
		at, err := new(Wallet).read(link)
		if (err == nil) != (want == "") || err == nil && at != "https://a.example/m.json" || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %q", link, at, err, want)
		}
	}
}

func TestABridgePassesOnOnlyWhatHasASenderAReaderAndAnEnd(t *testing.T) {
	t.Parallel()
	b := StartBridge(t)
	id := strings.Repeat("0f", 32)
	for path, want := range map[string]int{
		"client_id=" + id + "&to=" + id + "&ttl=300":     http.StatusOK,
		"client_id=" + id + "&to=" + id + "&ttl=301":     http.StatusBadRequest,
		"client_id=" + id + "&to=" + id + "&ttl=0":       http.StatusBadRequest,
		"client_id=" + id + "&to=" + id:                  http.StatusBadRequest,
		"client_id=" + id + "&to=" + id[2:] + "&ttl=300": http.StatusBadRequest,
		"to=" + id + "&ttl=300":                          http.StatusBadRequest,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/message?"+path, strings.NewReader("sealed"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode != want {
			t.Errorf("%s: %s, %v; want %d", path, answer.Status, err, want)
		}
	}
	if news, _, _ := b.after([]string{id}, 0); len(news) != 1 {
		t.Errorf("%d messages were passed on, want 1", len(news))
	}
}
