package streams

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/eventstore/seglog"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// TestAFollowerGetsTheSameFromEitherEngine reads the same ledger on Kafka and in segment files with the SDK, through
// servers that are stopped and started again in between, and while the ledger grows.
func TestAFollowerGetsTheSameFromEitherEngine(t *testing.T) {
	ledger := write(t, 60, 3)
	end := ledger.Cut()
	half := make([]domain.Offset, len(end))
	for shard := range end {
		half[shard] = end[shard] / 2
	}
	for name, open := range map[string]func(*testing.T) eventstore.Log{
		"kafka": func(t *testing.T) eventstore.Log { return newSite(t).log },
		"segment files": func(t *testing.T) eventstore.Log {
			log, err := seglog.Open(t.TempDir(), seglog.Options{Shards: dataShards + 1, Now: time.Now})
			must(t, err)
			t.Cleanup(func() { _ = log.Close() })
			return log
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			log := open(t)
			copyTo(ctx, t, log, ledger, make([]domain.Offset, len(end)), half)

			// The address stays, and what is behind it changes: each time a server as production has it.
			var current atomic.Pointer[http.Server]
			restart := func() { current.Store(httpapi.NewServer(httpapi.Config{Completions: completions.New(log)})) }
			restart()
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { current.Load().Handler.ServeHTTP(w, r) }))
			defer front.Close()

			got := map[domain.Shard][]string{}
			total, want := 0, 0
			for shard := domain.Shard(1); shard <= dataShards; shard++ {
				want += len(told(t, ledger, shard, stream.Completions))
			}
			following, done := context.WithCancel(ctx)
			defer done()
			err := sdk.Follow(following, sdk.FollowConfig{
				API: front.URL, FromStart: true, Cursor: sdk.FileCursor(t.TempDir() + "/cursor"),
			}, func(_ context.Context, c sdk.Completion) error {
				at := stream.PositionOf(c.Position)
				got[at.Shard] = append(got[at.Shard], at.String())
				switch total++; total {
				case 10:
					copyTo(ctx, t, log, ledger, half, end)
				case want / 2:
					old := current.Load()
					restart()
					must(t, old.Shutdown(ctx)) // its streams end
				case want:
					done()
				}
				if c.Outcome != v1.Outcome_OUTCOME_COMPLETED || c.ChargeNano != 60 || c.ReleasedNano != 40 {
					t.Errorf("%s: %v", at, c.Completion)
				}
				return nil
			})
			must(t, err)
			for shard := domain.Shard(1); shard <= dataShards; shard++ {
				if want := told(t, ledger, shard, stream.Completions); !slices.Equal(got[shard], want) {
					t.Errorf("shard %d: got %d completions, want %d", shard, len(got[shard]), len(want))
				}
			}
		})
	}
}
