package memlog_test

import (
	"testing"
	"time"

	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/eventstore/memlog"
)

func TestMemlogKeepsTheContract(t *testing.T) {
	eventstoretest.Exercise(t, func(*testing.T) eventstoretest.Open {
		log := memlog.New(eventstoretest.Shards, time.Now)
		return func(*testing.T) eventstoretest.Log {
			log = log.Reopen()
			return log
		}
	})
}

func TestTimeStandsWhenTheClockGoesBack(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	log := memlog.New(1, func() time.Time { return now })
	for _, step := range []time.Duration{0, -time.Hour, 1500 * time.Microsecond} {
		now = now.Add(step)
		if _, err := log.Append(t.Context(), 0, [][]byte{nil}); err != nil {
			t.Fatal(err)
		}
	}
	now = time.UnixMilli(1_000_007)
	if _, err := log.Append(t.Context(), 0, [][]byte{nil}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{1_000_000, 1_000_000, 1_000_000, 1_000_007} {
		if got := eventstoretest.ReadAll(t, log, 0, 10)[i].Time; got.UnixMilli() != want || got.Location() != time.UTC {
			t.Errorf("record %d has time %v; want %v", i, got, time.UnixMilli(want).UTC())
		}
	}
}
