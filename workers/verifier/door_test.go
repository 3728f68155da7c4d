package verifier_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/memlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/verifier"
)

// topic is where a door publishes.
type topic struct {
	fails error
	kept  bool // although it fails
	took  []*message.Message
}

func (p *topic) Publish(_ string, messages ...*message.Message) error {
	if p.fails == nil || p.kept {
		p.took = append(p.took, messages...)
	}
	return p.fails
}

func (*topic) Close() error { return nil }

func (w *world) door(to *topic) *verifier.Door {
	w.book = new(verifier.Book)
	return verifier.NewDoor(verifier.DoorConfig{
		Network: network, Directory: w, Book: w.book, Publisher: to, Topic: "answers", Now: func() time.Time { return w.now },
	})
}

// TestTheDoorLetsInWhatAVerifierWouldLookAt, and each refusal says why.
func TestTheDoorLetsInWhatAVerifierWouldLookAt(t *testing.T) {
	for name, test := range map[string]struct {
		message func(w *world) *message.Message
		want    error
	}{
		"honest":         {func(w *world) *message.Message { return w.answer("one", nonceOf(1)) }, nil},
		"garbage":        {func(*world) *message.Message { return message.NewMessage("x", []byte("garbage")) }, verifier.ErrMalformed},
		"too long":       {func(*world) *message.Message { return message.NewMessage("x", make([]byte, 1<<20)) }, verifier.ErrMalformed},
		"signed garbage": {func(w *world) *message.Message { return message.NewMessage("x", signedGarbage(w.t)) }, verifier.ErrMalformed},
		"another network": {func(w *world) *message.Message {
			return w.answer("one", nonceOf(1), func(a *v1.AttestationAnswer) { a.Network = make([]byte, 32) })
		}, verifier.ErrMalformed},
		"nobody": {func(w *world) *message.Message {
			return w.answer("one", nonceOf(1), func(a *v1.AttestationAnswer) { a.Worker = make([]byte, 32) })
		}, verifier.ErrNoWorker},
		"forged": {func(w *world) *message.Message {
			name := id("two")
			return w.answer("one", nonceOf(1), func(a *v1.AttestationAnswer) { a.Worker = name[:] })
		}, verifier.ErrNotSigned},
		"another challenge": {func(w *world) *message.Message { return w.answer("one", nonceOf(2)) }, verifier.ErrNotYet},
		"too late": {func(w *world) *message.Message {
			m := w.answer("one", nonceOf(1))
			w.now = w.now.Add(verifier.ChallengeLife)
			return m
		}, verifier.ErrTooLate},
	} {
		t.Run(name, func(t *testing.T) {
			w, to := newWorld(t), new(topic)
			d := w.door(to)
			w.asked("one", nonceOf(1), 1)
			m := test.message(w)
			taken, err := d.Take(t.Context(), m.Payload)
			if !errors.Is(err, test.want) || test.want != nil && len(to.took) != 0 {
				t.Fatalf("%v, %d published", err, len(to.took))
			}
			if test.want != nil {
				return
			}
			if taken.Worker != id("one") || taken.Challenge != nonceOf(1) || len(to.took) != 1 || !bytes.Equal(to.took[0].Payload, m.Payload) {
				t.Errorf("taken as %+v, published %v", taken, to.took)
			}
			if worker := id("one"); to.took[0].Metadata["key"] != string(worker[:]) {
				t.Error("answers of one worker are not together")
			}
		})
	}
}

// TestADoorThatCouldNotPublishTakesTheSameAnswerAgain, as often as that happens: lost, or kept although it failed.
func TestADoorThatCouldNotPublishTakesTheSameAnswerAgain(t *testing.T) {
	for _, kept := range []bool{false, true} {
		w, to := newWorld(t), &topic{fails: errors.New("no broker"), kept: kept}
		d := w.door(to)
		w.asked("one", nonceOf(1), 1)
		for range 20 {
			if _, err := d.Take(t.Context(), w.answer("one", nonceOf(1)).Payload); !errors.Is(err, verifier.ErrUnsure) || !errors.Is(err, to.fails) {
				t.Fatal(err)
			}
		}
		to.fails, to.took = nil, nil
		if _, err := d.Take(t.Context(), w.answer("one", nonceOf(1)).Payload); err != nil || len(to.took) != 1 {
			t.Errorf("%v, %d published", err, len(to.took))
		}
	}
}

// TestADoorSlowsAWorkerDown that sends more than a verifier would look at.
func TestADoorSlowsAWorkerDown(t *testing.T) {
	w, to := newWorld(t), new(topic)
	d := w.door(to)
	w.asked("one", nonceOf(1), 1)
	var last error
	for range 6 {
		_, last = d.Take(t.Context(), w.answer("one", nonceOf(1)).Payload)
	}
	if !errors.Is(last, verifier.ErrTooOften) || len(to.took) != 5 {
		t.Errorf("%v, %d published", last, len(to.took))
	}
}

// TestABookKnowsTheChallengeThatALedgerHoldsOpen: nothing else ends it but time, a result, a new key, and the like.
func TestABookKnowsTheChallengeThatALedgerHoldsOpen(t *testing.T) {
	one, two := id("one"), id("two")
	ended := func(nonce domain.Digest) *v1.Fact {
		return &v1.Fact{Body: &v1.Fact_AttestationFailed{AttestationFailed: &v1.FailAttestation{Worker: one[:], Challenge: nonce[:]}}}
	}
	passed := func(worker domain.WorkerID, nonce domain.Digest) *v1.Fact {
		return &v1.Fact{Body: &v1.Fact_AttestationPassed{AttestationPassed: &v1.PassAttestation{Worker: worker[:], Challenge: nonce[:]}}}
	}
	rotated := func(kind v1.SubjectKind, subject domain.WorkerID) *v1.Fact {
		return &v1.Fact{Body: &v1.Fact_KeyRotated{KeyRotated: &v1.RotateKey{Kind: kind, Subject: subject[:]}}}
	}
	for name, test := range map[string]struct {
		fact *v1.Fact
		wait time.Duration
		open bool
	}{
		"nothing":                    {&v1.Fact{}, 0, true},
		"a failure":                  {ended(nonceOf(1)), 0, false},
		"a failure of an older one":  {ended(nonceOf(9)), 0, true},
		"a pass":                     {passed(one, nonceOf(1)), 0, false},
		"a pass of somebody else":    {passed(two, nonceOf(1)), 0, true},
		"a revocation":               {&v1.Fact{Body: &v1.Fact_AttestationRevoked{AttestationRevoked: &v1.RevokeAttestation{Worker: one[:]}}}, 0, false},
		"a new key":                  {rotated(v1.SubjectKind_SUBJECT_KIND_WORKER, one), 0, false},
		"a provider's new key":       {rotated(v1.SubjectKind_SUBJECT_KIND_PROVIDER, one), 0, true},
		"its leaving":                {&v1.Fact{Body: &v1.Fact_Retired{Retired: &v1.Retire{Kind: v1.SubjectKind_SUBJECT_KIND_WORKER, Subject: one[:]}}}, 0, false},
		"a moment before its end":    {&v1.Fact{}, verifier.ChallengeLife - time.Millisecond, true},
		"its end":                    {&v1.Fact{}, verifier.ChallengeLife, false},
		"a challenge of another one": {nil, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.door(new(topic))
			w.asked("one", nonceOf(1), 7)
			if test.fact == nil {
				test.fact = w.challenged("two", nonceOf(3))
			}
			w.book.Hear(8, w.entry(8, test.fact))
			w.book.Hear(9, w.entry(10, ended(nonceOf(1)))) // void: it names another offset
			w.now = w.now.Add(test.wait)
			request, is := d.Challenge(one)
			if is != test.open {
				t.Fatalf("open: %v", is)
			}
			if is && (request.Position.Offset != 7 || request.Position.Fact != 2 || !bytes.Equal(request.Challenge, bytes.Repeat([]byte{1}, 32)) ||
				request.Check() != nil) {
				t.Errorf("it is asked %v", request)
			}
		})
	}
}

// TestABookBeginsWhereChallengesMayStillBeOpen, and hears what comes behind.
func TestABookBeginsWhereChallengesMayStillBeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		log := &countingLog{Log: memlog.New(1, func() time.Time { return w.now })}
		add := func(worker string, nonce domain.Digest) {
			t.Helper()
			end, err := log.End(t.Context(), domain.Control)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := v1.Encode(w.entry(int64(end), w.challenged(worker, nonce)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := log.Append(t.Context(), domain.Control, [][]byte{raw}); err != nil {
				t.Fatal(err)
			}
		}
		for range 3000 {
			w.now = w.now.Add(time.Second)
			add("two", nonceOf(2))
		}
		add("one", nonceOf(1))
		d := w.door(new(topic))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.book.Follow(ctx, log, w.now) }()
		synctest.Wait()
		if _, is := d.Challenge(id("one")); !is {
			t.Error("it does not know an open challenge")
		}
		if log.read > 1024+600 {
			t.Errorf("it read %d entries", log.read)
		}
		add("one", nonceOf(5))
		synctest.Wait()
		if request, is := d.Challenge(id("one")); !is || request.Challenge[0] != 5 {
			t.Errorf("it knows %v", request)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// countingLog counts what is read.
type countingLog struct {
	eventstore.Log
	read int
}

func (l *countingLog) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	records, err := l.Log.Read(ctx, shard, from, limit)
	l.read += len(records)
	return records, err
}
