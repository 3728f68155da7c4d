package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/services"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

// site is where a test runs production mode: topics and a database that nobody else uses on real servers, and a
// folder with keys, a chain and config files. It is a value, so that a test can change a copy.
type site struct {
	dir      string
	brokers  string
	kafka    string // more lines of [kafka], and tables below it
	topics   string
	shards   int
	database string
	keys     string
}

func newSite(t testing.TB) site {
	t.Helper()
	return site{
		dir: t.TempDir(), brokers: services.Kafka(t)[0], topics: "site-" + lot(t), shards: 2,
		database: services.Postgres(t), keys: "keys",
	}
}

// lot is a name that nobody else has.
func lot(t testing.TB) string {
	t.Helper()
	var raw [6]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// config writes the config of the site as it is now, and returns the file. The network's times are as short as
// the demo's.
func (s site) config(t testing.TB) string {
	t.Helper()
	file := filepath.Join(s.dir, lot(t)+".toml")
	text := fmt.Sprintf(`
[postgres]
url = %q
[ton]
config_file = "chain/global.config.json"
unverified = true
poll = "200ms"
[keys]
dir = %q
[network]
dispute_window = "1s"
bucket = "1s"
threshold = "0.000000001"
delay = "1s"
vault_float = "1"
[settlement]
batch_every = "1s"
[http]
listen = "127.0.0.1:0"
[kafka]
brokers = [%q]
topics = %q
data_shards = %d
replicas = 1
%s`, s.database, s.keys, s.brokers, s.topics, s.shards, s.kafka)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// keyFile is where a key of the operator's is.
func (s site) keyFile(name string) string { return filepath.Join(s.dir, "keys", name+keySuffix) }

// runChain runs the site's chain, with coins for the treasury and for other wallets, in a process of its own.
func (s site) runChain(t *testing.T, others ...string) *served {
	t.Helper()
	args := []string{"chain", "--data", filepath.Join(s.dir, chainDir), "--fund", s.keyFile("treasury") + "=20"}
	for _, file := range others {
		args = append(args, "--fund", file+"=20")
	}
	chain := launch(t, args...)
	chain.until(t, func() bool { return strings.Contains(chain.out.String(), "lite-server at") })
	return chain
}

// found runs init.
func (s site) found(t *testing.T) initResult {
	t.Helper()
	return decoded[initResult](t, invoke(t, "init", "--config", s.config(t), "--json").want(t, exitOK))
}

// serve starts a process with some roles, and waits until it is ready.
func (s site) serve(t *testing.T, some ...role) *served {
	t.Helper()
	args := []string{"serve", "--config", s.config(t)}
	for _, r := range some {
		args = append(args, "--role", string(r))
	}
	p := launch(t, args...)
	p.awaitReady(t)
	return p
}

// worksOf is how many works of a role a process has, by what it logs.
func worksOf(log *lines, r role) (n int) {
	for line := range strings.Lines(log.String()) {
		var event struct {
			Msg  string `json:"msg"`
			Work string `json:"work"`
		}
		if json.Unmarshal([]byte(line), &event) != nil || !strings.HasPrefix(event.Work, string(r)) {
			continue
		}
		switch event.Msg {
		case "work taken on":
			n++
		case "work left":
			n--
		}
	}
	return n
}

// open opens the site's logs and tables for the test to look at.
func (s site) open(t testing.TB) parts {
	t.Helper()
	c, err := loadConfig(s.config(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openServers(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// audit audits the site, its chain included, which has to run.
func (s site) audit(t *testing.T) {
	t.Helper()
	invoke(t, "reconcile", "--config", s.config(t)).want(t, exitOK, "Compared")
	report := decoded[auditor.Report](t, invoke(t, "audit", "--config", s.config(t), "--json").want(t, exitOK))
	checkAudit(t, &report, "files")
}

// answeredTo is up to which intake offset a shard is answered, by the ledger itself.
func answeredTo(t testing.TB, log eventstore.Reader, shard domain.Shard) (next domain.Offset) {
	t.Helper()
	end, err := log.End(t.Context(), shard)
	if err != nil {
		t.Fatal(err)
	}
	if err := eventstore.Each(t.Context(), log, shard, 0, end, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(shard, rec)
		if answer := entry.GetAnswer(); err == nil && answer != nil && domain.Offset(answer.IntakeOffset) == next {
			next++ // what a slower clerk wrote again is not the next
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return next
}

// speaker is somebody with a key, who numbers reports.
func speaker(t *testing.T, file string) *party {
	t.Helper()
	key, err := makeKey(file)
	if err != nil {
		t.Fatal(err)
	}
	return &party{name: filepath.Base(file), key: key, sequence: map[domain.Shard]uint64{}}
}

func keyOf(p *party) []byte { return p.key.Public().(ed25519.PublicKey) }

// tell has a party make claims in one report, and sends it until a gateway takes it: one that has just
// started may know too little to.
func (p *party) tell(t *testing.T, gateway *served, network domain.NetworkID, shard domain.Shard, claims ...*v1.Claim) httpReceipt {
	t.Helper()
	report, err := signing.Report(p.key, network, shard, p.next(shard), claims)
	if err != nil {
		t.Fatal(err)
	}
	var taken httpReceipt
	gateway.until(t, func() bool {
		receipts, err := post(t.Context(), gateway.url, [][]byte{report})
		if err == nil {
			taken = receipts[0]
		}
		return err == nil && (taken.Status == "accepted" || taken.Status == "duplicate")
	})
	return taken
}

// idle is a claim that changes nothing: it cancels a job that nobody knows.
func idle() *v1.Claim {
	return &v1.Claim{Body: &v1.Claim_CancelJob{CancelJob: &v1.CancelJob{Job: bytes.Repeat([]byte{0xab}, 32)}}}
}

var errNotTaken = errors.New("not taken")

// post sends reports once.
func post(ctx context.Context, url string, reports [][]byte) ([]httpReceipt, error) {
	var body []byte
	for _, report := range reports {
		body = v1.AppendFrame(body, report)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/reports", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", httpapi.ContentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %w", response.StatusCode, errNotTaken)
	}
	var answer struct {
		Receipts []httpReceipt `json:"receipts"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if len(answer.Receipts) != len(reports) {
		return nil, fmt.Errorf("%d receipts for %d reports: %w", len(answer.Receipts), len(reports), errNotTaken)
	}
	return answer.Receipts, nil
}
