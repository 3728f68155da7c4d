package sdk_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// network is that of all tests.
var network = sdk.Network{ID: domain.NetworkID{1, 2, 3}, DataShards: 4}

// annsKey signs.
func annsKey() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("filature/test/ann"))
	return ed25519.NewKeyFromSeed(seed[:])
}

// trouble is what a gateway does to one request instead of answering it well.
type trouble int

const (
	none     trouble = iota
	down             // nobody there
	busy             // 503, nothing taken
	deaf             // taken, and the answer is lost
	broken           // 500, taken
	mumbling         // taken, and half an answer
	rude             // 400
	short            // taken, and a receipt too few
)

// gateway plays a gateway and polices what an emitter may do: bodies within bounds, honest signatures,
// and numbers that grow in each shard. It tells copies apart for ever.
type gateway struct {
	t  testing.TB
	id sdk.Network

	mu       sync.Mutex
	plan     []trouble         // of the next POSTs
	refuse   map[string]string // signers (hex) it does not know, and why
	taken    [][]byte          // reports, in order
	places   map[[32]byte]int  // by digest
	last     map[domain.Shard]uint64
	requests int
	// before and after are called around the taking of a body, with the gateway's lock.
	before, after func()
}

func newGateway(t testing.TB) *gateway {
	return &gateway{
		t: t, id: network, refuse: map[string]string{}, places: map[[32]byte]int{}, last: map[domain.Shard]uint64{},
		before: func() {}, after: func() {},
	}
}

// client speaks to the gateway without a network between.
func (g *gateway) client() *http.Client { return &http.Client{Transport: g} }

// RoundTrip implements http.RoundTripper.
func (g *gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	if err := g.serve(w, r); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := g.serve(w, r); err != nil {
		panic(http.ErrAbortHandler)
	}
}

var errDown = errors.New("connection refused")

func (g *gateway) serve(w http.ResponseWriter, r *http.Request) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.URL.Path == "/v1/network" {
		if len(g.plan) > 0 && g.plan[0] == down {
			g.plan = g.plan[1:]
			return errDown
		}
		fmt.Fprintf(w, `{"network":"%s","data_shards":%d}`, g.id.ID, g.id.DataShards)
		return nil
	}
	g.requests++
	now := none
	if len(g.plan) > 0 {
		now, g.plan = g.plan[0], g.plan[1:]
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if now == down {
		return errDown
	}
	if now == busy || now == rude {
		http.Error(w, `{"error":"not now"}`, status(now))
		return nil
	}
	g.before()
	answer := g.take(body)
	g.after()
	if now == deaf {
		return errDown
	}
	if now == broken {
		http.Error(w, `{"error":"reports may not be durable"}`, http.StatusInternalServerError)
		return nil
	}
	if now == mumbling {
		answer = answer[:len(answer)/2]
	}
	if now == short {
		answer = []byte(`{"receipts":[]}`)
	}
	_, err = w.Write(answer)
	return err
}

func status(of trouble) int {
	if of == rude {
		return http.StatusBadRequest
	}
	return http.StatusServiceUnavailable
}

func (g *gateway) take(body []byte) []byte {
	reports, err := v1.Frames(body, sdk.MaxReports)
	if err != nil || len(reports) == 0 || len(body) > sdk.MaxBytes+8<<10 {
		g.t.Errorf("a body of %d bytes with %d reports: %v", len(body), len(reports), err)
	}
	answer := []byte(`{"receipts":[`)
	for i, record := range reports {
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = v1.AppendJSON(answer, g.judge(record))
	}
	return append(answer, "]}"...)
}

func (g *gateway) judge(record []byte) *v1.Receipt {
	signed, report := &v1.SignedReport{}, &v1.Report{}
	if err := errors.Join(v1.Decode(record, signed), v1.Decode(signed.Report, report)); err != nil {
		g.t.Errorf("a report that can't be read: %v", err)
		return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_REFUSED, Reason: v1.Reason_REASON_MALFORMED}
	}
	shard, key := domain.Shard(report.Shard), domain.KeyID(report.Signer)
	if !signing.NewVerifier(1).Verify(key, signed.Report, signed.Signature) || domain.NetworkID(report.Network) != g.id.ID {
		g.t.Errorf("a report that is not of its signer, or of another network")
	}
	if g.refuse[key.String()] != "" {
		return &v1.Receipt{
			Status: v1.ReceiptStatus_RECEIPT_STATUS_REFUSED, Shard: report.Shard, Reason: v1.Reason_REASON_UNKNOWN_SIGNER, Field: "signer",
		}
	}
	digest := sha256.Sum256(record)
	if at, known := g.places[digest]; known {
		return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE, Shard: report.Shard, Offset: int64(at), FirstOffset: int64(at)}
	}
	if report.Sequence <= g.last[shard] {
		g.t.Errorf("shard %d: number %d after %d", shard, report.Sequence, g.last[shard])
	}
	g.last[shard] = report.Sequence
	g.places[digest] = len(g.taken)
	g.taken = append(g.taken, bytes.Clone(record))
	return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED, Shard: report.Shard, Offset: int64(len(g.taken) - 1)}
}

// claims are the names of all the models listed in what was taken, by shard, in order: tests tell claims
// apart by them.
func (g *gateway) claims() map[domain.Shard][]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := map[domain.Shard][]string{}
	for _, record := range g.taken {
		signed, report := &v1.SignedReport{}, &v1.Report{}
		if err := errors.Join(v1.Decode(record, signed), v1.Decode(signed.Report, report)); err != nil {
			g.t.Fatal(err)
		}
		for _, c := range report.Claims {
			all[domain.Shard(report.Shard)] = append(all[domain.Shard(report.Shard)], c.GetListModel().Name)
		}
	}
	return all
}

func (g *gateway) trouble(plan ...trouble) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.plan = append(g.plan, plan...)
}

// named is a claim that can be told from others.
func named(format string, args ...any) *v1.Claim {
	name := fmt.Sprintf(format, args...)
	model := sha256.Sum256([]byte(name))
	return &v1.Claim{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{Model: model[:], Name: name}}}
}

// overHTTP is the gateway as an emitter sees it.
func overHTTP(t testing.TB, url string, client *http.Client) *sdk.HTTP {
	t.Helper()
	gateway, err := sdk.NewHTTP(url, client)
	must(t, err)
	return gateway
}

func config(g *gateway, dir string) sdk.Config {
	return sdk.Config{Key: annsKey(), Gateway: overHTTP(g.t, "http://gateway.test", g.client()), SpoolDir: dir}
}

func open(t testing.TB, cfg sdk.Config) *sdk.Emitter {
	t.Helper()
	e, err := sdk.Open(context.Background(), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return e
}

// failer is what *testing.T and *rapid.T have in common, as far as these tests need it.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func must(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lines(t testing.TB, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	var all []string
	for line := range bytes.Lines(raw) {
		all = append(all, string(line))
	}
	return all
}

// photograph copies a spool as it is on the disk at this moment: what a kill -9 would leave.
func photograph(t testing.TB, dir string) string {
	t.Helper()
	copied := t.TempDir()
	must(t, os.CopyFS(filepath.Join(copied, "spool"), os.DirFS(dir)))
	return filepath.Join(copied, "spool")
}
