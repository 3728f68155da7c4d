package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// waitLimit is how long a test waits for what takes a second on an idle machine.
const waitLimit = time.Minute

// served is one run of serve, or of another command that runs until it is told to stop.
type served struct {
	out  *lines // its results
	log  *lines
	url  string
	stop context.CancelFunc
	code chan int
}

// lines is what a command writes, safe to read while it runs.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// startServe runs serve on a folder until it is ready. It is stopped with the test, if not before.
func startServe(t *testing.T, folder string) *served {
	t.Helper()
	s := launch(t, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--shards", "2", "--delay", "1s")
	s.awaitReady(t)
	return s
}

// launch runs a command. It is stopped with the test, if not before.
func launch(t *testing.T, args ...string) *served {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &served{out: &lines{}, log: &lines{}, stop: stop, code: make(chan int, 1)}
	go func() { s.code <- run(ctx, args, strings.NewReader(""), s.out, s.log) }()
	t.Cleanup(func() {
		stop()
		select {
		case code := <-s.code:
			s.code <- code
		case <-time.After(waitLimit):
			t.Errorf("%s did not end:\n%s", args[0], s.log)
		}
	})
	return s
}

// until waits for something that only a command that still runs can bring about.
func (s *served) until(t *testing.T, holds func() bool) {
	t.Helper()
	eventually(t, func() bool {
		select {
		case code := <-s.code:
			s.code <- code
			t.Fatalf("it ended with %d:\n%s", code, s.log)
		default:
		}
		return holds()
	})
}

// awaitReady waits until serve says where it is, and that it is ready.
func (s *served) awaitReady(t *testing.T) {
	t.Helper()
	s.until(t, func() bool {
		for line := range strings.Lines(s.log.String()) {
			var event struct {
				Msg     string `json:"msg"`
				Address string `json:"address"`
			}
			if json.Unmarshal([]byte(line), &event) == nil && event.Msg == "serving" {
				s.url = "http://" + event.Address
			}
		}
		return s.url != "" && s.answers(t, "/readyz", nil)
	})
}

// end stops a command, and wants it to end well and soon.
func (s *served) end(t *testing.T) {
	t.Helper()
	began := time.Now()
	s.stop()
	select {
	case code := <-s.code:
		s.code <- code
		if code != exitOK || time.Since(began) > shutdownGrace {
			t.Errorf("it ended with %d after %s:\n%s", code, time.Since(began), s.log)
		}
	case <-time.After(waitLimit):
		t.Fatalf("it did not end:\n%s", s.log)
	}
}

// answers asks for a path, and tells whether there is an answer.
func (s *served) answers(t *testing.T, path string, into any) bool {
	t.Helper()
	return s.ask(t, http.MethodGet, path, nil, into) == http.StatusOK
}

func (s *served) ask(t *testing.T, method, path string, body []byte, into any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", httpapi.ContentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if into != nil {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return response.StatusCode
}

// explains asks why something is as it is.
func (s *served) explains(t *testing.T, kind, id string) (*queryv1.ExplainResponse, error) {
	t.Helper()
	return queryv1.NewJobServiceClient(http.DefaultClient, s.url).Explain(t.Context(), &queryv1.ExplainRequest{Kind: kind, Id: id})
}

// network asks for the network's id.
func (s *served) network(t *testing.T) domain.NetworkID {
	t.Helper()
	var network struct {
		Network string `json:"network"`
		Shards  int    `json:"data_shards"`
	}
	if !s.answers(t, "/v1/network", &network) || network.Shards != 2 {
		t.Fatalf("the network is %+v", network)
	}
	id, err := domain.ParseID[domain.NetworkID](network.Network)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *served) report(t *testing.T, report []byte) (receipt httpReceipt) {
	t.Helper()
	var answer struct{ Receipts []httpReceipt }
	if status := s.ask(t, http.MethodPost, "/v1/reports", v1.AppendFrame(nil, report), &answer); status != http.StatusOK || len(answer.Receipts) != 1 {
		t.Fatalf("status %d, %d receipts", status, len(answer.Receipts))
	}
	return answer.Receipts[0]
}

type httpReceipt struct {
	Status string `json:"status"`
	Shard  int    `json:"shard"`
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	const lookEvery = 10 * time.Millisecond
	deadline := time.Now().Add(waitLimit)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("does not hold after %s", waitLimit)
		}
		_ = pause(t.Context(), lookEvery)
	}
}

func TestServeTakesReportsAndGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	s := startServe(t, folder)
	network := s.network(t)
	if !s.answers(t, "/healthz", nil) {
		t.Error("it does not say that it lives")
	}
	key, err := sdk.ReadKey(filepath.Join(folder, keysDir, "proxy.key"))
	if err != nil {
		t.Fatal(err)
	}
	job := strings.Repeat("ab", 32)
	claim := &v1.Claim{Body: &v1.Claim_CancelJob{CancelJob: &v1.CancelJob{Job: bytes.Repeat([]byte{0xab}, 32)}}}
	report, err := signing.Report(key, network, 1, 1, []*v1.Claim{claim})
	if err != nil {
		t.Fatal(err)
	}
	taken := s.report(t, report)
	if taken.Status != "accepted" || taken.Shard != 1 {
		t.Fatalf("the receipt is %+v", taken)
	}
	if again := s.report(t, report); again.Status != "duplicate" || again.Offset != taken.Offset {
		t.Errorf("the copy's receipt is %+v, the first was %+v", again, taken)
	}
	forged := bytes.Clone(report)
	forged[len(forged)-1] ^= 1
	if strange := s.report(t, forged); strange.Status != "refused" || strange.Reason != "bad_signature" {
		t.Errorf("the forged report's receipt is %+v", strange)
	}
	reported := fmt.Sprintf("%s:1:1", signing.KeyOf(key))
	var why *queryv1.ExplainResponse
	eventually(t, func() bool {
		why, err = s.explains(t, "report", reported)
		return err == nil
	})
	if why.Outcome == "" || len(why.Evidence) == 0 {
		t.Errorf("%v says nothing", why)
	}
	for _, wrong := range []struct {
		kind, id string
		code     connect.Code
	}{{"report", "x", connect.CodeInvalidArgument}, {"letter", job, connect.CodeInvalidArgument}, {"provider", job, connect.CodeNotFound}} {
		if _, err := s.explains(t, wrong.kind, wrong.id); connect.CodeOf(err) != wrong.code {
			t.Errorf("why %s %s: %v, want %s", wrong.kind, wrong.id, err, wrong.code)
		}
	}
	if have := s.ask(t, http.MethodGet, "/v1/nothing", nil, nil); have != http.StatusNotFound {
		t.Errorf("nothing: status %d", have)
	}
	s.end(t)

	s = startServe(t, folder)
	if s.network(t) != network {
		t.Error("after a restart it is another network")
	}
	if again := s.report(t, report); again.Status != "duplicate" || again.Offset != taken.Offset {
		t.Errorf("after a restart the copy's receipt is %+v, the first was %+v", again, taken)
	}
	if _, err := s.explains(t, "report", reported); err != nil {
		t.Errorf("after a restart it has forgotten the report: %v", err)
	}
	invoke(t, "audit", "--data", folder).want(t, exitOK, "Verdict: PASS") // while it is in use
	s.end(t)
	for _, event := range []string{`"msg":"serving"`, `"msg":"ready","vault":"EQ`, `"msg":"stopped"`} {
		if !strings.Contains(s.log.String(), event) {
			t.Errorf("the log does not say %s:\n%s", event, s.log)
		}
	}
	invoke(t, "audit", "--data", folder).want(t, exitOK, "Verdict: PASS")
}

func TestASecondServeOnAFolderIsRefused(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	s := startServe(t, folder)
	invoke(t, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--shards", "2").want(t, exitUnfinished, folder, "in use by process")
	if !s.answers(t, "/readyz", nil) {
		t.Error("the first one suffered")
	}
	s.end(t)
}

func TestServeSaysWhichAddressItCannotListenAt(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	s := startServe(t, filepath.Join(t.TempDir(), "other"))
	address := strings.TrimPrefix(s.url, "http://")
	invoke(t, "serve", "--data", folder, "--listen", address).
		want(t, exitUsage, "listen on "+address, "address already in use: end the program that has it, or name another port")
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("it made %s all the same: %v", folder, err)
	}
	invoke(t, "demo", "--serve", "--data", folder, "--listen", address).want(t, exitUsage, "listen on "+address)
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the demo was played first: %v", err)
	}
	s.end(t)
}
