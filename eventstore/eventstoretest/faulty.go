package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// Fault is a way for an Append to go wrong.
type Fault int

const (
	// Pass lets the Append through: for a fault that comes later.
	Pass Fault = iota
	// Lost: Append fails with ErrInjected, and the batch was not kept.
	Lost
	// Kept: Append fails with ErrInjected, and the batch was kept.
	Kept
	// Cancelled: the batch was kept, but the caller gave up before it could hear so; Append fails
	// with context.Canceled.
	Cancelled
)

func (f Fault) String() string {
	names := [...]string{Pass: "pass", Lost: "lost", Kept: "kept", Cancelled: "cancelled"}
	if f < 0 || int(f) >= len(names) {
		return fmt.Sprintf("fault %d", int(f))
	}
	return names[f]
}

// ErrInjected is the error of an Append that a test made fail.
var ErrInjected = errors.New("injected fault")

// FaultyLog is a Log whose Appends fail as a test wants, in each way that the contract of Append
// allows. Reading always works. It is safe for many goroutines.
type FaultyLog struct {
	eventstore.Log

	mu     sync.Mutex
	plan   []Fault // of the next Appends
	stop   bool    // fail for good after the next fault
	failed bool
}

var _ eventstore.Log = (*FaultyLog)(nil)

// Faulty wraps a log. Without a call of FailNext or FailForGood it changes nothing.
func Faulty(log eventstore.Log) *FaultyLog { return &FaultyLog{Log: log} }

// FailNext plans the next Appends that have something to write, in order, behind what is planned
// already. Those after them pass.
func (f *FaultyLog) FailNext(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = append(f.plan, faults...)
}

// FailForGood plans as FailNext does. After the first planned fault that is not Pass, all Appends
// fail with eventstore.ErrFailed and write nothing, as a fail-stop log does, until Reopen.
func (f *FaultyLog) FailForGood(faults ...Fault) {
	f.FailNext(faults...)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop = true
}

// Reopen forgets all faults, planned and past: what closing a failed log and opening it again does.
func (f *FaultyLog) Reopen() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan, f.stop, f.failed = nil, false, false
}

// Planned returns how many planned Appends have not come yet, so that a test can tell that its
// fault struck.
func (f *FaultyLog) Planned() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.plan)
}

// Append implements eventstore.Appender.
func (f *FaultyLog) Append(ctx context.Context, shard domain.Shard, values [][]byte) (domain.Offset, error) {
	if len(values) == 0 || eventstore.CheckBatch(values) != nil {
		return f.Log.Append(ctx, shard, values) // says what is wrong, and writes nothing
	}
	fault, failed := f.take()
	switch {
	case failed:
		return 0, fmt.Errorf("append to shard %d: %w", shard, eventstore.ErrFailed)
	case fault == Pass:
		return f.Log.Append(ctx, shard, values)
	case fault == Lost:
		return 0, fmt.Errorf("append to shard %d: %w (%v)", shard, ErrInjected, fault)
	}
	// The caller's context must not undo the keeping that the test asked for.
	if _, err := f.Log.Append(context.WithoutCancel(ctx), shard, values); err != nil {
		return 0, err
	}
	if fault == Cancelled {
		return 0, context.Canceled
	}
	return 0, fmt.Errorf("append to shard %d: %w (%v)", shard, ErrInjected, fault)
}

// take returns the fault of this Append, or that the log has failed for good.
func (f *FaultyLog) take() (fault Fault, failed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed {
		return Pass, true
	}
	if len(f.plan) == 0 {
		return Pass, false
	}
	fault, f.plan = f.plan[0], f.plan[1:]
	f.failed = f.stop && fault != Pass
	return fault, false
}
