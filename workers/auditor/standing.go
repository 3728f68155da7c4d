package auditor

import (
	"context"
	"fmt"
	"time"
)

// restTimes is how long a standing audit rests, beside how long it took: so it takes a tenth of the time at most, however
// large the ledger has become and however often it was asked for.
const restTimes = 9

// Span is when an audit was made.
type Span struct{ Began, Ended time.Time }

// Due is when the next audit is to begin: so long after the last one began, and not before there was a rest. Without a last
// one it is at once.
func Due(last Span, every time.Duration) time.Time {
	due, rested := last.Began.Add(every), last.Ended.Add(restTimes*last.Ended.Sub(last.Began))
	switch {
	case last.Began.IsZero():
		return time.Time{}
	case rested.After(due):
		return rested
	default:
		return due
	}
}

// Standing audits again and again.
type Standing struct {
	// Last is when the audit was made whose verdict stands; zero where there is none.
	Last  Span
	Every time.Duration
	Now   func() time.Time
	// Audit makes one audit. An error means that it came to no verdict.
	Audit func(context.Context) (Report, error)
	// Keep has the verdict stand from here on, whole or not at all. Nothing is kept of an audit that was not made to its
	// end: if the process dies in the middle of one, the verdict before stands, with its time.
	Keep func(context.Context, Report, Span) error
}

// Run audits until the context ends, and then returns nil. An error means that an audit could not be made, or kept; the
// verdict before stands. Whoever runs it decides when to try again.
func (s Standing) Run(ctx context.Context) error {
	for last := s.Last; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(Due(last, s.Every).Sub(s.Now())):
		}
		began := s.Now()
		report, err := s.Audit(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		if err != nil {
			return fmt.Errorf("standing audit: %w", err)
		}
		last = Span{began, s.Now()}
		if err := s.Keep(ctx, report, last); err != nil {
			return fmt.Errorf("standing audit: keep the verdict: %w", err)
		}
	}
}
