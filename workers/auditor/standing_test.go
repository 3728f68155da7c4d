package auditor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filature/filature/workers/auditor"
)

func TestAnAuditTakesATenthOfTheTimeAtMost(t *testing.T) {
	t.Parallel()
	at := func(minute int) time.Time { return time.Date(2026, 11, 23, 4, minute, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		last  auditor.Span
		every time.Duration
		want  time.Time
	}{
		"the first is made at once":          {auditor.Span{}, time.Hour, time.Time{}},
		"a short one is made when it is due": {auditor.Span{at(0), at(1)}, 30 * time.Minute, at(30)},
		"a long one is rested from":          {auditor.Span{at(0), at(5)}, 10 * time.Minute, at(50)},
	} {
		if due := auditor.Due(c.last, c.every); !due.Equal(c.want) {
			t.Errorf("%s: it is due at %v, want %v", name, due, c.want)
		}
	}
}

// TestAVerdictStandsUntilAnAuditCameToItsEnd: what is cut off, in the audit or before it is kept, leaves the one before.
func TestAVerdictStandsUntilAnAuditCameToItsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		errBroken := errors.New("the disk is full")
		var kept []auditor.Verdict
		var looked []time.Duration
		var broken error
		ctx, cancel := context.WithCancel(t.Context())
		standing := auditor.Standing{
			Every: time.Hour, Now: time.Now,
			Audit: func(context.Context) (auditor.Report, error) {
				looked = append(looked, time.Since(began))
				<-time.After(time.Minute) // of the bubble's time
				switch len(looked) {
				case 2:
					return auditor.Report{Verdict: auditor.Fail}, nil
				case 4:
					cancel()
				}
				return auditor.Report{Verdict: auditor.Pass}, broken
			},
			Keep: func(_ context.Context, r auditor.Report, span auditor.Span) error {
				if span.Ended.Sub(span.Began) != time.Minute {
					t.Errorf("it took %v", span)
				}
				kept = append(kept, r.Verdict)
				if len(kept) == 2 {
					broken = errBroken
				}
				return nil
			},
		}
		if err := standing.Run(ctx); !errors.Is(err, errBroken) {
			t.Errorf("an audit that could not be made is %v", err)
		}
		broken = nil
		if err := standing.Run(ctx); err != nil { // cut off in the middle
			t.Errorf("told to stop, it says %v", err)
		}
		if want := []auditor.Verdict{auditor.Pass, auditor.Fail}; !slices.Equal(kept, want) {
			t.Errorf("%v was kept, want %v", kept, want)
		}
		if want := []time.Duration{0, time.Hour, 2 * time.Hour}; !slices.Equal(looked[:3], want) {
			t.Errorf("it was audited after %v, want %v", looked, want)
		}
	})
}
