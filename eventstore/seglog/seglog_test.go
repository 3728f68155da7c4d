package seglog_test

import (
	"testing"
	"time"

	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/eventstore/seglog"
)

func TestSeglogKeepsTheContract(t *testing.T) {
	for name, segmentBytes := range map[string]int64{"one segment": 0, "many segments": seglog.MinSegmentBytes} {
		t.Run(name, func(t *testing.T) {
			eventstoretest.Exercise(t, func(t *testing.T) eventstoretest.Open {
				dir := t.TempDir()
				return func(t *testing.T) eventstoretest.Log {
					t.Helper()
					log, err := seglog.Open(dir, seglog.Options{
						Shards: eventstoretest.Shards, Now: time.Now, SegmentBytes: segmentBytes,
					})
					if err != nil {
						t.Fatal(err)
					}
					return log
				}
			})
		})
	}
}
