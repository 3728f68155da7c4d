package eventstoretest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/eventstore/memlog"
)

var one = [][]byte{[]byte("a"), []byte("b")}

func TestAFaultStrikesOnceAndKeepsWhatItSays(t *testing.T) {
	for _, c := range []struct {
		fault eventstoretest.Fault
		err   error
		kept  int
	}{
		{eventstoretest.Pass, nil, 2},
		{eventstoretest.Lost, eventstoretest.ErrInjected, 0},
		{eventstoretest.Kept, eventstoretest.ErrInjected, 2},
		{eventstoretest.Cancelled, context.Canceled, 2},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			log := eventstoretest.Faulty(memlog.New(1, time.Now))
			log.FailNext(c.fault)
			if _, err := log.Append(t.Context(), 0, one); !errors.Is(err, c.err) {
				t.Errorf("got error %v; want %v", err, c.err)
			}
			if got := eventstoretest.ReadAll(t, log, 0, 10); len(got) != c.kept {
				t.Errorf("got %d records; want %d", len(got), c.kept)
			}
			if n := log.Planned(); n != 0 {
				t.Errorf("%d faults left; want none", n)
			}
			first, err := log.Append(t.Context(), 0, one)
			if err != nil || int(first) != c.kept {
				t.Errorf("the append after: got %d, %v; want %d", first, err, c.kept)
			}
		})
	}
}

func TestFaultsStrikeInTheOrderPlanned(t *testing.T) {
	log := eventstoretest.Faulty(memlog.New(1, time.Now))
	log.FailNext(eventstoretest.Pass, eventstoretest.Lost)
	log.FailNext(eventstoretest.Kept)
	for i, fails := range []bool{false, true, true, false} {
		if _, err := log.Append(t.Context(), 0, one); (err != nil) != fails {
			t.Errorf("append %d: got %v; should fail: %v", i, err, fails)
		}
	}
	if got := eventstoretest.ReadAll(t, log, 0, 10); len(got) != 6 {
		t.Errorf("got %d records; want 6", len(got))
	}
}

func TestAFaultForGoodLastsUntilReopen(t *testing.T) {
	log := eventstoretest.Faulty(memlog.New(1, time.Now))
	log.FailForGood(eventstoretest.Pass, eventstoretest.Kept)
	for i, want := range []error{nil, eventstoretest.ErrInjected, eventstore.ErrFailed, eventstore.ErrFailed} {
		if _, err := log.Append(t.Context(), 0, one); !errors.Is(err, want) {
			t.Errorf("append %d: got %v; want %v", i, err, want)
		}
	}
	log.Reopen()
	if first, err := log.Append(t.Context(), 0, one); err != nil || first != 4 {
		t.Errorf("append after reopen: got %d, %v; want 4", first, err)
	}
}

func TestAWrongBatchDoesNotUseUpAFault(t *testing.T) {
	log := eventstoretest.Faulty(memlog.New(1, time.Now))
	log.FailNext(eventstoretest.Lost)
	if _, err := log.Append(t.Context(), 0, make([][]byte, eventstore.MaxBatch+1)); !errors.Is(err, eventstore.ErrTooLarge) {
		t.Errorf("got %v; want %v", err, eventstore.ErrTooLarge)
	}
	if n := log.Planned(); n != 1 {
		t.Errorf("%d faults left; want 1", n)
	}
}

func TestAFaultyLogWithoutFaultsKeepsTheContract(t *testing.T) {
	eventstoretest.Exercise(t, func(*testing.T) eventstoretest.Open {
		log := memlog.New(eventstoretest.Shards, time.Now)
		return func(*testing.T) eventstoretest.Log {
			log = log.Reopen()
			return struct {
				*eventstoretest.FaultyLog
				closer
			}{eventstoretest.Faulty(log), log}
		}
	})
}

type closer interface{ Close() error }
