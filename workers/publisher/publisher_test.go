package publisher

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/memlog"
	"github.com/filature/filature/eventstore/tlog"
)

var (
	key    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	theLog = tlog.Log{Network: domain.NetworkID{5}, Shard: 1}
)

func witnessKey(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(10 + i)}, ed25519.SeedSize))
}

// fakeWitness polices what it is shown: that it goes on from what it saw.
type fakeWitness struct {
	t    *testing.T
	key  ed25519.PrivateKey
	name string
	last tlog.Head
	away bool
	lie  []byte
}

var errAway = errors.New("away")

func (w *fakeWitness) AddCheckpoint(_ context.Context, seen int64, path []domain.Digest, signed []byte) ([]byte, error) {
	if w.away {
		return nil, errAway
	}
	if w.lie != nil {
		return w.lie, nil
	}
	if seen != w.last.Size {
		return nil, &tlog.SeenError{Size: w.last.Size}
	}
	logs, err := tlog.Keys(tlog.LogKey(theLog, public(key)))
	if err != nil {
		return nil, err
	}
	checkpoint, err := logs.Open(signed)
	if err != nil {
		w.t.Errorf("shown a checkpoint that is none: %v", err)
		return nil, err
	}
	if err := tlog.VerifyConsistency(w.last, checkpoint.Head, path); err != nil {
		w.t.Errorf("shown what is not consistent: %v", err)
		return nil, err
	}
	w.last = checkpoint.Head
	return tlog.Cosign(signed, w.name, w.key, time.Unix(1, 0))
}

func appended(t *testing.T, log eventstore.Appender, n int) {
	t.Helper()
	var values [][]byte
	for i := range n {
		values = append(values, fmt.Appendf(nil, "record %d", i))
	}
	if _, err := log.Append(t.Context(), theLog.Shard, values); err != nil {
		t.Fatal(err)
	}
}

// witnessed is a config with three witnesses of whom two are enough.
func witnessed(t *testing.T) (Config, *memlog.Log, []*fakeWitness) {
	t.Helper()
	log := memlog.New(2, time.Now)
	cfg := Config{Log: theLog, Ledger: log, Files: tlog.ReadFolder(t.TempDir()), Key: key}
	policy := "log " + tlog.NetworkKey(theLog.Network, public(key)) + "\n"
	var all []*fakeWitness
	for i := range 3 {
		name := fmt.Sprintf("w%d", i)
		w := &fakeWitness{t: t, key: witnessKey(i), name: name, last: tlog.EmptyHead()}
		all, cfg.Witnesses = append(all, w), append(cfg.Witnesses, w)
		policy += fmt.Sprintf("witness %s %s\n", name, tlog.WitnessKey(name, public(w.key)))
	}
	var err error
	if cfg.Policy, err = tlog.ParsePolicy([]byte(policy + "group g 2 w0 w1 w2\nquorum g\n")); err != nil {
		t.Fatal(err)
	}
	return cfg, log, all
}

func published(t *testing.T, cfg Config) *tlog.Checkpoint {
	t.Helper()
	signed, err := tlog.ReadCheckpoint(cfg.Files)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := cfg.Policy.Open(signed)
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

func TestACheckpointGoesUpWhenEnoughWitnessesHaveSeenIt(t *testing.T) {
	t.Parallel()
	cfg, log, witnesses := witnessed(t)
	appended(t, log, 300)
	if head, err := Once(t.Context(), cfg); err != nil || head.Size != 300 || len(published(t, cfg).Witnessed) != 3 {
		t.Fatalf("%v, %v", head, err)
	}
	witnesses[1].away = true
	appended(t, log, 10)
	if head, err := Once(t.Context(), cfg); err != nil || head.Size != 310 || len(published(t, cfg).Witnessed) != 2 {
		t.Fatalf("with one away: %v, %v", head, err)
	}
	witnesses[0].away = true
	appended(t, log, 10)
	if _, err := Once(t.Context(), cfg); !errors.Is(err, tlog.ErrNotWitnessed) || !errors.Is(err, errAway) {
		t.Fatalf("with two away: %v", err)
	}
	if size := published(t, cfg).Head.Size; size != 310 {
		t.Fatalf("with two away %d are published", size)
	}
	// One saw 320 that were never published, one 300: each is met where it stands.
	witnesses[0].away, witnesses[1].away = false, false
	appended(t, log, 10)
	if head, err := Once(t.Context(), cfg); err != nil || head.Size != 330 || len(published(t, cfg).Witnessed) != 3 {
		t.Errorf("when they are back: %v, %v", head, err)
	}
}

func TestAWitnessThatLiesDoesNotCount(t *testing.T) {
	t.Parallel()
	cfg, log, witnesses := witnessed(t)
	appended(t, log, 3)
	witnesses[0].lie = []byte("— w0 AAAA\n")
	witnesses[1].lie = []byte("nonsense")
	if _, err := Once(t.Context(), cfg); !errors.Is(err, tlog.ErrNotWitnessed) {
		t.Errorf("%v, want ErrNotWitnessed", err)
	}
	witnesses[1].lie = nil
	if _, err := Once(t.Context(), cfg); err != nil {
		t.Error(err)
	}
}

func TestALogThatWasRewrittenIsNotPublished(t *testing.T) {
	t.Parallel()
	cfg, log, witnesses := witnessed(t)
	appended(t, log, 20)
	if _, err := Once(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	shorter := memlog.New(2, time.Now)
	appended(t, shorter, 19)
	another := memlog.New(2, time.Now)
	appended(t, another, 10)
	appended(t, another, 10)
	for what, other := range map[string]*memlog.Log{"a shorter log": shorter, "a log with another end": another} {
		c := cfg
		c.Ledger = other
		if _, err := Once(t.Context(), c); !errors.Is(err, tlog.ErrRewritten) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// With its files lost, too, the witnesses remember.
	c := cfg
	c.Ledger, c.Files = shorter, tlog.ReadFolder(t.TempDir())
	if _, err := Once(t.Context(), c); !errors.Is(err, tlog.ErrRewritten) {
		t.Errorf("a shorter log with new files: %v", err)
	}
	c.Ledger = log
	if head, err := Once(t.Context(), c); err != nil || head != witnesses[0].last {
		t.Errorf("the true log with new files: %v, %v", head, err)
	}
}

func TestRunFollowsTheLogAtItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg, log, _ := witnessed(t)
		heads := make(chan tlog.Head, 10)
		cfg.Every, cfg.Published = time.Minute, func(head tlog.Head) { heads <- head }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- Run(ctx, cfg) }()
		began := time.Now()
		appended(t, log, 5)
		if head := <-heads; head.Size != 5 {
			t.Errorf("first %d", head.Size)
		}
		appended(t, log, 5)
		appended(t, log, 5)
		if head := <-heads; head.Size != 15 || time.Since(began) < time.Minute {
			t.Errorf("then %d, after %s", head.Size, time.Since(began))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAnEmptyLogHasNoCheckpoint(t *testing.T) {
	t.Parallel()
	cfg, _, _ := witnessed(t)
	head, err := Once(t.Context(), cfg)
	if err != nil || head != tlog.EmptyHead() {
		t.Errorf("%v, %v", head, err)
	}
	if _, err := tlog.ReadCheckpoint(cfg.Files); err == nil {
		t.Error("there is one")
	}
}
