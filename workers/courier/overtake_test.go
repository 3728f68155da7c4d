package courier_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/workers/courier"
)

// shortly is how long others wait for a message in these tests.
const shortly = 100 * time.Millisecond

// source delivers one message after the other, each when the one before was acknowledged, as one partition does.
type source struct {
	ids   []string
	acked []string
	nacks int
}

func (s *source) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for _, id := range s.ids {
			for acked := false; !acked; {
				given, cancel := context.WithCancel(context.WithoutCancel(ctx))
				m := message.NewMessage(id, []byte(id))
				m.SetContext(given)
				select {
				case out <- m:
				case <-ctx.Done():
					cancel()
					return
				}
				select {
				case <-m.Acked():
					acked = true
					s.acked = append(s.acked, id)
				case <-m.Nacked():
					s.nacks++
				case <-ctx.Done():
					cancel()
					return
				}
				cancel() // as Kafka's subscriber: the message is over
			}
		}
		<-ctx.Done()
	}()
	return out, nil
}

func (*source) Close() error { return nil }

// subscribed subscribes to a source; end ends that, and fails the test where it does not.
func subscribed(t *testing.T, s message.Subscriber, most int) (o *courier.Overtaking, messages <-chan *message.Message, end func()) {
	t.Helper()
	o = courier.Overtake(s, shortly, most)
	ctx, stop := context.WithCancel(t.Context())
	messages, err := o.Subscribe(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	return o, messages, func() {
		stop()
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		if _, more := <-messages; more {
			t.Error("a message after the end")
		}
	}
}

// TestAMessageThatTakesLongIsOvertaken, with its context alive, until it is dealt with.
func TestAMessageThatTakesLongIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{ids: []string{"slow", "quick", "last"}}
		o, messages, end := subscribed(t, s, 8)
		defer end()
		slow := <-messages
		began := time.Now()
		for range 2 {
			m := <-messages
			if m.UUID == "slow" {
				t.Fatal("it came again")
			}
			m.Ack()
		}
		if waited := time.Since(began); waited != shortly {
			t.Errorf("the others waited %s", waited)
		}
		synctest.Wait()
		if slow.Context().Err() != nil || o.UnderWay() != 1 {
			t.Errorf("it was given up: %v, %d under way", slow.Context().Err(), o.UnderWay())
		}
		slow.Nack()
		again := <-messages // nobody else has it any more
		if again.UUID != "slow" {
			t.Fatalf("%s came", again.UUID)
		}
		again.Ack()
		synctest.Wait()
		if o.UnderWay() != 0 || fmt.Sprint(s.acked) != "[slow quick last]" {
			t.Errorf("%d under way, acknowledged %v", o.UnderWay(), s.acked)
		}
	})
}

// TestWhatIsDealtWithSoonIsAcknowledgedThenAndNotBefore: so a crash in between brings it back.
func TestWhatIsDealtWithSoonIsAcknowledgedThenAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{ids: []string{"one", "two"}}
		_, messages, end := subscribed(t, s, 8)
		defer end()
		m := <-messages
		<-time.After(shortly / 2)
		synctest.Wait()
		if len(s.acked) != 0 {
			t.Fatal("it was acknowledged before")
		}
		m.Nack()
		if m = <-messages; m.UUID != "one" || s.nacks != 1 {
			t.Fatalf("%s came after a nack", m.UUID)
		}
		m.Ack()
		if m = <-messages; m.UUID != "two" || len(s.acked) != 1 {
			t.Fatalf("%s came, acknowledged %v", m.UUID, s.acked)
		}
	})
}

// TestNoMoreThanItMayAreUnderWay, and the end gives up what is.
func TestNoMoreThanItMayAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{ids: []string{"1", "2", "3", "4"}}
		o, messages, end := subscribed(t, s, 2)
		first, second := <-messages, <-messages
		<-time.After(time.Minute)
		select {
		case m := <-messages:
			t.Fatalf("%s came", m.UUID)
		default:
		}
		if o.UnderWay() != 2 {
			t.Errorf("%d under way", o.UnderWay())
		}
		first.Ack()
		if m := <-messages; m.UUID != "3" {
			t.Errorf("%s came", m.UUID)
		}
		end()
		if second.Context().Err() == nil {
			t.Error("what was under way at the end goes on")
		}
	})
}

// TestAQueueKeepsWhatNobodyReadsYet, in order, up to its bound.
func TestAQueueKeepsWhatNobodyReadsYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := courier.NewQueue(3)
		for i := range 4 {
			err := q.Publish(topic, message.NewMessage(fmt.Sprint(i), nil))
			if full := errors.Is(err, courier.ErrFull); full != (i == 3) {
				t.Fatalf("message %d: %v", i, err)
			}
		}
		_, messages, end := subscribed(t, q, 8)
		defer end()
		for i := range 3 {
			if m := <-messages; m.UUID != fmt.Sprint(i) || !m.Ack() {
				t.Errorf("%s came", m.UUID)
			}
		}
		if err := q.Publish(topic, message.NewMessage("later", nil)); err != nil {
			t.Fatal(err)
		}
		m := <-messages
		m.Nack()
		if m = <-messages; m.UUID != "later" {
			t.Errorf("%s came after a nack", m.UUID)
		}
		m.Ack()
	})
}

// TestARouterOvertakes: what fails for minutes is put aside in the end, and holds nobody up meanwhile.
func TestARouterOvertakes(t *testing.T) {
	w := newWorld(t, nil)
	q := courier.NewQueue(8)
	for i := range 3 {
		if err := q.Publish(topic, message.NewMessage(fmt.Sprint(i), nil)); err != nil {
			t.Fatal(err)
		}
	}
	release, done := make(chan struct{}), atomic.Int32{}
	w.courier.Handle("verify", topic, courier.Overtake(q, time.Millisecond, 8), func(_ context.Context, m *message.Message) error {
		if m.UUID == "0" {
			<-release
			return errors.New("can't tell")
		}
		if done.Add(1) == 2 {
			close(release)
		}
		return nil
	})
	w.run()
	if m := <-w.poison.kept; m.UUID != "0" {
		t.Errorf("%s was put aside", m.UUID)
	}
}
