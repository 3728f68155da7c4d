package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/adapters/attestation/sevsnp"
)

// vendors answer as AMD's and Intel's servers do, and fail the test where a request is not one that they should get.
type vendors struct {
	t     *testing.T
	files map[string][]byte
	// answer, if set, takes the place of the honest answer.
	answer func(*http.Request) (*http.Response, error)

	mu    sync.Mutex
	asked []string
}

func (v *vendors) RoundTrip(request *http.Request) (*http.Response, error) {
	v.mu.Lock()
	v.asked = append(v.asked, request.URL.String())
	v.mu.Unlock()
	if request.URL.Scheme != "https" || pace[request.URL.Host] == 0 {
		v.t.Errorf("%s is asked for", request.URL)
	}
	if deadline, bounded := request.Context().Deadline(); !bounded || time.Until(deadline) > requestTimeout {
		v.t.Error("a request has no end")
	}
	if v.answer != nil {
		return v.answer(request)
	}
	return v.honest(request), nil
}

func (v *vendors) requests() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.asked)
}

func (v *vendors) honest(request *http.Request) *http.Response {
	escaped := func(name string) string { return url.QueryEscape(string(v.files[name])) }
	switch address := request.URL.String(); {
	case address == "https://kdsintf.amd.com/vcek/v1/Genoa/crl":
		return respond(200, v.files["amd/Genoa/vcek.crl"])
	case address == "https://kdsintf.amd.com/vlek/v1/Turin/crl":
		return respond(200, v.files["amd/Turin/vlek.crl"])
	case strings.HasPrefix(address, "https://kdsintf.amd.com/vcek/v1/"):
		return respond(200, v.files[address])
	case address == "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der":
		return respond(200, v.files["intel/root.crl"])
	case address == "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der":
		return respond(200, v.files["intel/pck-platform.crl"], "SGX-PCK-CRL-Issuer-Chain", escaped("intel/pck-platform.pem"))
	case address == "https://api.trustedservices.intel.com/tdx/certification/v4/tcb?fmspc=00906ed50000":
		return respond(200, v.files["intel/tdx-tcb-00906ed50000.json"], "TCB-Info-Issuer-Chain", escaped("intel/tcb-signer.pem"))
	case address == "https://api.trustedservices.intel.com/tdx/certification/v4/qe/identity":
		return respond(200, v.files["intel/tdx-qe-identity.json"], "SGX-Enclave-Identity-Issuer-Chain", escaped("intel/tcb-signer.pem"))
	default:
		return respond(404, nil)
	}
}

func respond(status int, body []byte, headers ...string) *http.Response {
	header := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: header, Body: io.NopCloser(bytes.NewReader(body))}
}

// inTime runs a test in a bubble whose clock moves when everybody waits.
func inTime(t *testing.T, test func(t *testing.T, w *attestationtest.World, server *vendors, fetcher *Fetcher, folder string)) {
	t.Helper()
	w := attestationtest.NewWorld(t)
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		server := &vendors{t: t, files: w.Files(t)}
		test(t, w, server, New(Config{
			Folder: folder, Verifier: w.Verifier(), Now: time.Now, Transport: server,
			Lot: func(below time.Duration) time.Duration { return below / 2 },
		}), folder)
	})
}

// eventually fetches, waiting as it is told to.
func eventually(t *testing.T, f *Fetcher, name string) {
	t.Helper()
	for range 100 {
		err := f.Fetch(t.Context(), name)
		if err == nil {
			return
		}
		if !errors.Is(err, ErrLater) {
			t.Fatal(err)
		}
		<-time.After(time.Second)
	}
	t.Fatalf("%s never comes", name)
}

// TestWhatAVerifierLacksIsBroughtAndIsEnough: from an empty folder to a worker that is taken, by asking for what the
// results say is missing and for nothing else.
func TestWhatAVerifierLacksIsBroughtAndIsEnough(t *testing.T) {
	inTime(t, func(t *testing.T, w *attestationtest.World, server *vendors, f *Fetcher, folder string) {
		genoa := w.SNP(t, "Genoa")
		report, err := sevsnp.Parse(genoa.Report)
		if err != nil {
			t.Fatal(err)
		}
		turin := w.SNP(t, "Turin")
		const chips = "https://kdsintf.amd.com/vcek/v1/"
		turinChip := hexOf(turin.Report[0x1A0:0x1A8])
		server.files[chips+"Genoa/"+hexOf(report.ChipID[:])+"?blSPL=10&snpSPL=24&teeSPL=00&ucodeSPL=220"] = genoa.EndorsementKey
		server.files[chips+"Turin/"+turinChip+"?blSPL=01&fmcSPL=01&snpSPL=04&teeSPL=01&ucodeSPL=77"] = turin.EndorsementKey
		genoa.EndorsementKey, turin.EndorsementKey = nil, nil
		for _, c := range []attestation.Case{w.Case(t, genoa), w.Case(t, w.TDX(t, 4, nil))} {
			for round := 0; ; round++ {
				c.Collateral, err = attestation.ReadCollateral(folder)
				if err != nil {
					t.Fatal(err)
				}
				result := w.Verifier().Appraise(c)
				if attestation.Accepted(result) {
					break
				}
				missing := attestation.Lacking(result)
				if len(missing) == 0 || round == 10 {
					t.Fatalf("round %d: not taken, and misses %v", round, missing)
				}
				for _, name := range missing {
					if _, err := os.Stat(filepath.Join(folder, name)); err != nil { // another may have brought it
						eventually(t, f, name)
					}
				}
			}
		}
		eventually(t, f, "amd/Turin/vcek/"+turinChip+"-4d00000004010101.der")
	})
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// TestWhatTheVendorDidNotSignReplacesNothing.
func TestWhatTheVendorDidNotSignReplacesNothing(t *testing.T) {
	const list = "amd/Genoa/vcek.crl"
	for name, answer := range map[string]func(w *attestationtest.World) *http.Response{
		"garbage":             func(*attestationtest.World) *http.Response { return respond(200, []byte("garbage")) },
		"another line's list": func(w *attestationtest.World) *http.Response { return respond(200, w.AMD["Milan"].Revocations(t)) },
		"a page that says no": func(*attestationtest.World) *http.Response { return respond(503, []byte("later")) },
		"a way to somewhere else": func(*attestationtest.World) *http.Response {
			return respond(302, nil, "Location", "https://example.com/")
		},
		"more than it should have": func(*attestationtest.World) *http.Response { return respond(200, make([]byte, 1<<20)) },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *attestationtest.World, server *vendors, f *Fetcher, folder string) {
				eventually(t, f, list)
				before, err := os.ReadFile(filepath.Join(folder, list))
				if err != nil {
					t.Fatal(err)
				}
				server.answer = func(*http.Request) (*http.Response, error) { return answer(w), nil }
				<-time.After(freshFor)
				if err := f.Fetch(t.Context(), list); err == nil || errors.Is(err, ErrLater) {
					t.Errorf("it is taken: %v", err)
				}
				if after, err := os.ReadFile(filepath.Join(folder, list)); err != nil || !bytes.Equal(before, after) {
					t.Errorf("what was there is gone: %v", err)
				}
				if server.requests() != 2 {
					t.Errorf("%d requests, want 2: %v", server.requests(), server.asked)
				}
			})
		})
	}
}

// TestARefusalIsRememberedLongerEachTime: 10 s, 20 s, 40 s, each and a quarter, up to half an hour and a quarter.
func TestARefusalIsRememberedLongerEachTime(t *testing.T) {
	inTime(t, func(t *testing.T, _ *attestationtest.World, server *vendors, f *Fetcher, _ string) {
		server.answer = func(*http.Request) (*http.Response, error) { return respond(429, nil), nil }
		began := time.Now()
		var at []time.Duration
		for time.Since(began) < 4*time.Hour {
			if err := f.Fetch(t.Context(), "amd/Genoa/vcek.crl"); err == nil {
				t.Fatal("it is taken")
			} else if !errors.Is(err, ErrLater) {
				at = append(at, time.Since(began))
			}
			<-time.After(500 * time.Millisecond)
		}
		want := 12500 * time.Millisecond
		for i := 1; i < len(at); i++ {
			if gap := at[i] - at[i-1]; gap < want || gap > want+time.Second {
				t.Errorf("request %d comes %s after the one before, want %s", i, gap, want)
			}
			want = min(2*want, lastPause+lastPause/4)
		}
		if len(at) != server.requests() || len(at) < 10 {
			t.Errorf("%d requests, %d refusals", server.requests(), len(at))
		}
	})
}

// TestAMDIsAskedSeldomWhateverWorkersShow: chips that there are not make no storm.
func TestAMDIsAskedSeldomWhateverWorkersShow(t *testing.T) {
	inTime(t, func(t *testing.T, _ *attestationtest.World, server *vendors, f *Fetcher, _ string) {
		began := time.Now()
		for i := range 3000 {
			name := "amd/Genoa/vcek/" + strings.Repeat("0", 120) + hexOf([]byte{0, byte(i >> 16), byte(i >> 8), byte(i)}) + "-dc1800000000000a.der"
			if err := f.Fetch(t.Context(), name); err == nil {
				t.Fatal("there is no such chip")
			}
			<-time.After(20 * time.Millisecond)
		}
		if most := int(time.Since(began)/pace[amd]) + 1; server.requests() > most {
			t.Errorf("%d requests, at most %d are polite", server.requests(), most)
		}
	})
}

// TestManyWhoWantOneFileMakeOneRequest, and the one who gives up takes it from nobody.
func TestManyWhoWantOneFileMakeOneRequest(t *testing.T) {
	inTime(t, func(t *testing.T, _ *attestationtest.World, server *vendors, f *Fetcher, folder string) {
		release := make(chan struct{})
		server.answer = func(request *http.Request) (*http.Response, error) {
			<-release
			return server.honest(request), nil
		}
		impatient, giveUp := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if err := f.Fetch(impatient, "intel/root.crl"); !errors.Is(err, context.Canceled) {
				t.Errorf("the impatient one: %v", err)
			}
		})
		synctest.Wait()
		for range 20 {
			group.Go(func() {
				if err := f.Fetch(t.Context(), "intel/root.crl"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		giveUp()
		synctest.Wait()
		close(release)
		group.Wait()
		if server.requests() != 1 {
			t.Errorf("%d requests, want 1", server.requests())
		}
		if _, err := os.Stat(filepath.Join(folder, "intel/root.crl")); err != nil {
			t.Error(err)
		}
	})
}

// TestAServerThatHangsCostsFiveSeconds.
func TestAServerThatHangsCostsFiveSeconds(t *testing.T) {
	inTime(t, func(t *testing.T, _ *attestationtest.World, server *vendors, f *Fetcher, _ string) {
		server.answer = func(request *http.Request) (*http.Response, error) {
			<-request.Context().Done()
			return nil, request.Context().Err()
		}
		began := time.Now()
		if err := f.Fetch(t.Context(), "intel/root.crl"); err == nil || time.Since(began) > requestTimeout {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// TestANameThatNoVerifierAsksForIsNotAskedForEither.
func TestANameThatNoVerifierAsksForIsNotAskedForEither(t *testing.T) {
	inTime(t, func(t *testing.T, _ *attestationtest.World, server *vendors, f *Fetcher, _ string) {
		for _, name := range []string{"", "../x", "https://example.com/", "amd/Genoa/vcek/" + strings.Repeat("0", 16) + "-0000000000000000.der"} {
			if err := f.Fetch(t.Context(), name); err == nil {
				t.Errorf("%q is brought", name)
			}
		}
		if server.requests() != 0 {
			t.Errorf("asked for %v", server.asked)
		}
	})
}

// TestAnAnswerWithoutItsSignersChainIsRefused: without it nobody could tell whose the list is.
func TestAnAnswerWithoutItsSignersChainIsRefused(t *testing.T) {
	inTime(t, func(t *testing.T, _ *attestationtest.World, server *vendors, f *Fetcher, folder string) {
		for _, chain := range []string{"", "%zz", "no chain"} {
			server.answer = func(*http.Request) (*http.Response, error) {
				return respond(200, server.files["intel/tdx-qe-identity.json"], "SGX-Enclave-Identity-Issuer-Chain", chain), nil
			}
			if err := f.Fetch(t.Context(), "intel/tdx-qe-identity.json"); err == nil {
				t.Errorf("%q: is taken", chain)
			}
			<-time.After(time.Hour)
		}
		if _, err := os.Stat(filepath.Join(folder, "intel")); err == nil {
			t.Error("something was kept")
		}
	})
}
