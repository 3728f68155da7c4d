package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/tlog"
)

var (
	logKey     = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	witnessKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
	theLog     = tlog.Log{Network: domain.NetworkID{5}, Shard: 1}
	theTime    = time.Unix(1_790_000_000, 0).UTC()
)

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

// stage is a log, a witness of it, and a client of that.
type stage struct {
	t       *testing.T
	tree    *tlog.Tree
	files   *tlog.Folder
	client  *Client
	policy  *tlog.Policy
	url     string
	memory  *tlog.Folder
	witness *Witness
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, files: tlog.ReadFolder(t.TempDir()), memory: tlog.ReadFolder(t.TempDir())}
	logs, err := tlog.Keys(tlog.NetworkKey(theLog.Network, public(logKey)))
	if err != nil {
		t.Fatal(err)
	}
	s.witness = New("witness.example/w", witnessKey, logs, s.memory, func() time.Time { return theTime })
	server := httptest.NewServer(s.witness)
	t.Cleanup(server.Close)
	s.url, s.client = server.URL, NewClient(server.URL+"/")
	s.policy, err = tlog.ParsePolicy(fmt.Appendf(nil, "log %s\nwitness w %s\nquorum w\n",
		tlog.NetworkKey(theLog.Network, public(logKey)), tlog.WitnessKey("witness.example/w", public(witnessKey))))
	if err != nil {
		t.Fatal(err)
	}
	if s.tree, err = tlog.OpenTree(theLog, s.files, public(logKey)); err != nil {
		t.Fatal(err)
	}
	return s
}

// grow adds records and returns the checkpoint.
func (s *stage) grow(to int64, word string) []byte {
	s.t.Helper()
	for s.tree.Size() < to {
		if err := s.tree.Append(fmt.Appendf(nil, "%s %d", word, s.tree.Size())); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.tree.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return s.sign()
}

func (s *stage) sign() []byte {
	s.t.Helper()
	signed, err := tlog.Sign(theLog, s.head(), logKey)
	if err != nil {
		s.t.Fatal(err)
	}
	return signed
}

func (s *stage) head() tlog.Head {
	s.t.Helper()
	head, err := s.tree.Head()
	if err != nil {
		s.t.Fatal(err)
	}
	return head
}

func (s *stage) ask(seen int64, signed []byte) ([]byte, error) {
	s.t.Helper()
	path, err := tlog.Read(s.files, s.head()).Consistency(min(seen, s.head().Size))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.client.AddCheckpoint(context.Background(), seen, path, signed)
}

func (s *stage) cosigned(seen int64, signed []byte) {
	s.t.Helper()
	lines, err := s.ask(seen, signed)
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := s.policy.AddCosignatures(signed, lines)
	if err != nil {
		s.t.Fatal(err)
	}
	checkpoint, err := s.policy.Open(all)
	if err != nil || !checkpoint.Witnessed[0].At.Equal(theTime) {
		s.t.Fatalf("%v, %v", checkpoint, err)
	}
}

func TestAWitnessCosignsALogThatGrows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	seen := int64(0)
	for _, size := range []int64{1, 2, 300, 300, 1000} {
		s.cosigned(seen, s.grow(size, "record"))
		seen = size
	}
}

func TestAWitnessRemembersAcrossItsDeath(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.cosigned(0, s.grow(10, "record"))
	server := httptest.NewServer(New(s.witness.name, witnessKey, s.witness.logs, s.memory, s.witness.now))
	t.Cleanup(server.Close)
	s.client = NewClient(server.URL)
	_, err := s.ask(0, s.grow(20, "record"))
	if saw, is := errors.AsType[*tlog.SeenError](err); !is || saw.Size != 10 {
		t.Errorf("%v, want that it saw 10", err)
	}
}

func TestAWitnessRefusesRollbacksAndForks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	old := s.grow(5, "record")
	s.cosigned(0, s.grow(10, "record"))

	var saw *tlog.SeenError
	if _, err := s.client.AddCheckpoint(t.Context(), 0, nil, old); !errors.As(err, &saw) || saw.Size != 10 {
		t.Errorf("an old checkpoint: %v", err)
	}
	if _, err := s.client.AddCheckpoint(t.Context(), 10, nil, old); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("a rollback: %v", err)
	}
	fork := newStage(t)
	same := fork.grow(10, "another")
	if _, err := s.client.AddCheckpoint(t.Context(), 10, nil, same); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("a fork of the same size: %v", err)
	}
	longer := fork.grow(20, "another")
	path, err := tlog.Read(fork.files, fork.head()).Consistency(10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.AddCheckpoint(t.Context(), 10, path, longer); err == nil || !strings.Contains(err.Error(), "422") {
		t.Errorf("a fork that grew: %v", err)
	}
	s.cosigned(10, s.grow(20, "record"))
}

func TestAWitnessSignsOnlyForLogsThatItKnows(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	head := tlog.Head{Size: 1, Root: tlog.LeafHash([]byte("x"))}
	for _, c := range []struct {
		log  tlog.Log
		key  ed25519.PrivateKey
		want string
	}{{tlog.Log{Network: domain.NetworkID{6}, Shard: 1}, logKey, "404"}, {theLog, witnessKey, "403"}} {
		signed, err := tlog.Sign(c.log, head, c.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.AddCheckpoint(t.Context(), 0, nil, signed); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestOfManyRequestsAtOnceOneIsNext(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.cosigned(0, s.grow(10, "record"))
	signed := make([][]byte, 8)
	paths := make([][]domain.Digest, len(signed))
	for i := range signed {
		signed[i] = s.grow(int64(11+i), "record")
		var err error
		if paths[i], err = tlog.Read(s.files, s.head()).Consistency(10); err != nil {
			t.Fatal(err)
		}
	}
	var wait sync.WaitGroup
	won := make([]bool, len(signed))
	for i := range signed {
		wait.Go(func() {
			_, err := s.client.AddCheckpoint(context.Background(), 10, paths[i], signed[i])
			won[i] = err == nil
		})
	}
	wait.Wait()
	count := 0
	for i, is := range won {
		if is {
			count++
			if last, err := s.witness.last(theLog); err != nil || last.Size != int64(11+i) {
				t.Errorf("%d was cosigned, and it remembers %d, %v", 11+i, last.Size, err)
			}
		}
	}
	if count != 1 {
		t.Errorf("%d heads that go on from 10 were cosigned", count)
	}
}

func TestARequestIsReadAsItIsWrittenAndInNoOtherForm(t *testing.T) {
	t.Parallel()
	r := request{10, []domain.Digest{{1}, {2}}, []byte("note\n")}
	got, err := parseRequest(r.encode())
	if err != nil || !bytes.Equal(got.encode(), r.encode()) {
		t.Fatalf("%v, %v", got, err)
	}
	hash := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, body := range []string{
		"", "old 1", "old 1\nnote", "old 01\n\nx", "old -1\n\nx", "new 1\n\nx", "old 1 \n\nx", "old 1\nAA==\n\nx", "old 99999999999999999999\n\nx",
		"old 1\n" + hash[:42] + "B=\n\nx", "old 1\n" + strings.Repeat(hash+"\n", 64) + "\nx",
	} {
		if r, err := parseRequest([]byte(body)); err == nil {
			t.Errorf("%q is read as %v", body, r)
		}
	}
}

func TestOtherRequestsAreRefused(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{http.MethodGet, addCheckpoint, "", http.StatusMethodNotAllowed},
		{http.MethodPost, "/", "", http.StatusNotFound},
		{http.MethodPost, addCheckpoint, "old 0\n\n", http.StatusForbidden},
		{http.MethodPost, addCheckpoint, strings.Repeat("x", maxBodyBytes+1), http.StatusBadRequest},
	} {
		in, err := http.NewRequestWithContext(t.Context(), c.method, s.url+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		out, err := http.DefaultClient.Do(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := out.Body.Close(); err != nil || out.StatusCode != c.want {
			t.Errorf("%s %s: %s, want %d", c.method, c.path, out.Status, c.want)
		}
	}
}
