package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/memlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
	"github.com/filature/filature/workers/clerk"
	"github.com/filature/filature/workers/gateway"
)

const emitShards = 4 // data shards of the tests below

// nothingProjected is a projection that knows no report, so that the gateway has to.
type nothingProjected struct{}

func (nothingProjected) AnsweredTo(context.Context, domain.Shard) (domain.Offset, error) {
	return 0, nil
}

func (nothingProjected) LastSequence(context.Context, domain.Shard, domain.KeyID) (uint64, error) {
	return 0, nil
}

func (nothingProjected) Heard(context.Context, domain.Shard, domain.KeyID, uint64) (domain.Digest, domain.Offset, bool, error) {
	return domain.Digest{}, 0, false, nil
}

// emitWorld is a real gateway over logs in memory, behind HTTP, and the folder of somebody who emits.
type emitWorld struct {
	*testing.T
	dir    string
	intake *memlog.Log
	server *httptest.Server
	down   atomic.Bool // the server answers 503 to all
	deaf   atomic.Bool // it takes reports, and the answer is lost
}

// newEmitWorld runs a network whose operator's key is in the file "key".
func newEmitWorld(t *testing.T) *emitWorld {
	t.Helper()
	w := &emitWorld{T: t, dir: t.TempDir(), intake: memlog.New(emitShards+1, time.Now)}
	operator := w.key("key")
	ledgerLog := memlog.New(emitShards+1, time.Now)
	public := signing.KeyOf(operator)
	c := clerk.New(clerk.Config{
		Shard: domain.Control, Intake: w.intake, Ledger: ledgerLog, Verifier: signing.NewVerifier(16), Entropy: rand.Reader,
		Genesis: &v1.Genesis{Name: "test", Shards: emitShards, Operator: public[:], CreatedAtMs: 1},
	})
	g := gateway.New(gateway.Config{
		Intake: w.intake, Ledger: ledgerLog, Reports: nothingProjected{}, Verifier: signing.NewVerifier(16), Entropy: rand.Reader,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- c.Run(ctx) }()
	go func() { ended <- g.Run(ctx) }()
	handler := httpapi.NewHandler(httpapi.Config{Gateway: g, Ready: func(context.Context) error { return nil }, Status: statusOf})
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.down.Load() {
			http.Error(rw, "nobody here", http.StatusServiceUnavailable)
			return
		}
		if w.deaf.Load() && r.Method == http.MethodPost {
			handler.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() {
		w.server.Close()
		cancel()
		if err := errors.Join(<-ended, <-ended); err != nil {
			t.Errorf("network: %v", err)
		}
	})
	return w
}

// key makes a key file.
func (w *emitWorld) key(name string) ed25519.PrivateKey {
	w.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	if err := sdk.WriteKey(filepath.Join(w.dir, name), key); err != nil {
		w.Fatal(err)
	}
	return key
}

// emit runs the program with some input.
func (w *emitWorld) emit(input string, more ...string) (code int, stdout, stderr string) {
	w.Helper()
	args := append([]string{
		"emit", "--gateway", w.server.URL, "--key", filepath.Join(w.dir, "key"), "--spool", filepath.Join(w.dir, "spool"), "--wait", "1ms",
	}, more...)
	var out, err strings.Builder
	code = run(w.Context(), args, strings.NewReader(input), &out, &err)
	return code, out.String(), err.String()
}

// want emits and wants an exit code and some words on standard output or error.
func (w *emitWorld) want(code int, words, input string, more ...string) {
	w.Helper()
	have, stdout, stderr := w.emit(input, more...)
	if have != code || !strings.Contains(stdout+stderr, words) {
		w.Fatalf("exit code %d, want %d, and %q in\n%s%s", have, code, words, stdout, stderr)
	}
}

// taken are the claims in intake, as "shard claim", each shard in its order.
func (w *emitWorld) taken() []string {
	w.Helper()
	var all []string
	for shard := range domain.Shard(emitShards + 1) {
		end, err := w.intake.End(w.Context(), shard)
		if err != nil {
			w.Fatal(err)
		}
		if err := eventstore.Each(w.Context(), w.intake, shard, 0, end, func(rec eventstore.Record) error {
			signed, report := &v1.SignedReport{}, &v1.Report{}
			if err := errors.Join(v1.Decode(rec.Value, signed), v1.Decode(signed.Report, report)); err != nil {
				return err
			}
			for _, c := range report.Claims {
				all = append(all, fmt.Sprintf("%d %s", shard, v1.AppendJSON(nil, c)))
			}
			return nil
		}); err != nil {
			w.Fatal(err)
		}
	}
	return all
}

func (w *emitWorld) wantTaken(want ...string) {
	w.Helper()
	have := w.taken()
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		w.Fatalf("intake holds\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

func hexID(b byte) string { return strings.Repeat(hex.EncodeToString([]byte{b}), 32) }

func homeOf(t *testing.T, account string) domain.Shard {
	t.Helper()
	id, err := domain.ParseID[domain.AccountID](account)
	if err != nil {
		t.Fatal(err)
	}
	return domain.ShardOf(id, emitShards)
}

func startJob(job byte) string { return fmt.Sprintf(`{"start_job":{"job":"%s"}}`, hexID(job)) }

func openAccount(account string) string {
	return fmt.Sprintf(`{"open_account":{"account":"%s","client":"%s"}}`, account, hexID(1))
}

func listModel(name string) string {
	return fmt.Sprintf(`{"list_model":{"model":"%s","name":"%s"}}`, hexID(2), name)
}

func TestEmitDeliversEachClaimToItsShard(t *testing.T) {
	w := newEmitWorld(t)
	a, b := hexID(0xa1), hexID(0xb2)
	input := strings.Join([]string{
		openAccount(a), "", openAccount(b), listModel("qwen"),
		`{"account":"` + b + `",` + startJob(7)[1:], strings.TrimSuffix(startJob(8), "}") + `,"account":"` + strings.ToUpper(b) + `"}`,
		startJob(9), // to the default
	}, "\n")
	w.want(exitOK, "accepted", input, "--account", a)
	w.wantTaken(
		fmt.Sprintf("%d %s", homeOf(t, a), openAccount(a)), fmt.Sprintf("%d %s", homeOf(t, b), openAccount(b)), "0 "+listModel("qwen"),
		fmt.Sprintf("%d %s", homeOf(t, b), startJob(7)), fmt.Sprintf("%d %s", homeOf(t, b), startJob(8)), fmt.Sprintf("%d %s", homeOf(t, a), startJob(9)),
	)
	w.want(exitOK, "5 claims", strings.Repeat(startJob(10)+"\n", 5), "--shard", "3")
	if n := len(w.taken()); n != 11 {
		t.Errorf("%d claims in intake, want 11", n)
	}
}

func TestEmitStopsAtABadLineAndDeliversThoseBefore(t *testing.T) {
	a := hexID(0xa1)
	for _, c := range []struct{ name, line, want string }{
		{"no JSON", `{"list_model":`, "line 2: message: is not JSON"},
		{"no claim", `{"list_modell":{}}`, "line 2: list_modell: is not a field of Claim"},
		{"a broken rule", `{"open_account":{"account":"07"}}`, "line 2: open_account.account: has 1 bytes, want 32"},
		{"a job without account", startJob(7), "line 2: account: is missing"},
		{"a short account", `{"account":"07",` + startJob(7)[1:], "line 2: account: wants 64 hexadecimal digits"},
		{"no account", `{"account":7,` + startJob(7)[1:], "line 2: account: is not a field of Claim"},
		{"two accounts", `{"account":"` + a + `","account":"` + a + `",` + startJob(7)[1:], "line 2: account: is not a field of Claim"},
		{"another account than its own", `{"account":"` + a + `",` + openAccount(hexID(3))[1:], "line 2: account: is not the claim's own, 0303"},
		{"an account and nothing else", `{"account":"` + a + `"}`, "line 2: "},
		{"two claims in one", strings.TrimSuffix(startJob(7), "}") + "," + listModel("x")[1:], "line 2: list_model: stands beside start_job"},
		{"a list", "[]", "line 2: message: is an array, want an object"},
		{"a line without end", strings.Repeat("x", maxLineBytes+1), "line 2: read input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newEmitWorld(t)
			w.want(exitUsage, c.want, listModel("first")+"\n"+c.line+"\n"+listModel("last")+"\n")
			w.wantTaken("0 " + listModel("first"))
		})
	}
	w := newEmitWorld(t)
	w.want(exitUsage, "--shard 9: want 0 to 4", startJob(7), "--shard", "9")
	w.want(exitUsage, "--account", startJob(7), "--account", "zz")
	w.want(exitUsage, "can't be used together", startJob(7), "--account", a, "--shard", "1")
	w.want(exitUsage, "want a URL", "", "--gateway", "nowhere")
	w.want(exitUsage, "no-such-key", "", "--key", filepath.Join(w.dir, "no-such-key"))
	w.wantTaken()
}

func TestEmitKeepsWhatAnAbsentGatewayDidNotTake(t *testing.T) {
	w := newEmitWorld(t)
	w.want(exitOK, "accepted", listModel("first"))
	w.down.Store(true)
	w.want(exitUnfinished, "waiting    1 report,", listModel("second"))
	w.want(exitUnfinished, "waiting    2 reports", listModel("third"))
	w.want(exitUnfinished, "waiting    2 reports", "")
	w.wantTaken("0 " + listModel("first"))
	w.down.Store(false)
	w.want(exitOK, "2 reports", "")
	w.want(exitOK, "0 reports", "")
	if have, want := strings.Join(w.taken(), "\n"), "0 "+listModel("first")+"\n0 "+listModel("second")+"\n0 "+listModel("third"); have != want {
		t.Errorf("intake holds\n%s\nwant\n%s", have, want)
	}
}

func TestEmitInANetworkThatNobodyKnowsTakesNothing(t *testing.T) {
	w := newEmitWorld(t)
	w.down.Store(true)
	w.want(exitUnfinished, "unreachable", listModel("first"))
	w.down.Store(false)
	w.want(exitOK, "0 reports", "")
}

func TestEmitReportsWhatIsRefused(t *testing.T) {
	w := newEmitWorld(t)
	w.key("stranger")
	stranger := []string{"--key", filepath.Join(w.dir, "stranger"), "--spool", filepath.Join(w.dir, "other spool")}
	w.want(exitNo, "unknown_signer (signer): 1", listModel("first"), stranger...)
	w.want(exitOK, "accepted", "", stranger...) // it was told once, and kept
	w.wantTaken()
}

// What was sent and not noted as answered, because we died in between, is sent again and not doubled.
func TestEmitAfterACrashIsADuplicate(t *testing.T) {
	w := newEmitWorld(t)
	w.deaf.Store(true)
	w.want(exitUnfinished, "waiting", listModel("first"))
	w.deaf.Store(false)
	w.want(exitOK, "duplicate  1 report,", "")
	w.wantTaken("0 " + listModel("first"))
}

func TestEmitPrintsReceiptsForPrograms(t *testing.T) {
	w := newEmitWorld(t)
	code, stdout, stderr := w.emit(listModel("first")+"\n"+startJob(7)+"\n", "--json", "--shard", "2")
	if code != exitOK || !strings.Contains(stderr, "accepted") {
		t.Errorf("exit code %d, standard error %q", code, stderr)
	}
	var shards []domain.Shard
	for line := range strings.Lines(stdout) {
		var r sdk.Receipt
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Status != sdk.Accepted || r.Claims != 1 || r.Sequence == 0 {
			t.Errorf("receipt %q: %v", line, err)
		}
		shards = append(shards, r.Shard)
	}
	if !slices.Equal(shards, []domain.Shard{0, 2}) {
		t.Errorf("receipts of shards %v, want 0 and 2", shards)
	}
}

func TestEmitTellsWhatItDid(t *testing.T) {
	w := newEmitWorld(t)
	_, stdout, _ := w.emit(strings.Repeat(startJob(7)+"\n", 200), "--shard", "1")
	if want := "accepted   4 reports, 200 claims\nshard 1    up to intake 1/3\n"; stdout != want {
		t.Errorf("it says %q, want %q", stdout, want)
	}
}
