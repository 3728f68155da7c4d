package projections

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// FindingName is what a finding is about.
type FindingName string

// Findings that there are.
const (
	// FoundByAudit is what the standing audit came to: a queryv1.Audit.
	FoundByAudit FindingName = "audit"
	// FoundOnChain is what the vault held, against what it has to hold by the ledger: a queryv1.Reconciliation.
	FoundOnChain FindingName = "chain"
)

// MaxFindingBytes bounds the body of a finding: far more than an audit says that found all that it lists.
const MaxFindingBytes = 1 << 20

// Finding is what somebody found who looked at the ledger and at the chain, when it was looked at last. It is no fact, so it
// is in no log, and no read model has it: nobody can fold it again, and no audit compares it. Decision 0028 says why.
type Finding struct {
	Name FindingName
	// AtMs is when it was looked, by the clock of whoever did, or of the chain.
	AtMs int64
	// Body is a message, encoded.
	Body []byte
}

// Findings keeps the last finding of each name. Safe for many goroutines and many processes.
type Findings interface {
	// KeepFinding takes the place of the finding that is kept under its name, whole or not at all. One that is older than
	// what is kept changes nothing: who was asleep is late. It is as durable as Store.Commit.
	KeepFinding(ctx context.Context, finding Finding) error
	// Finding returns what is kept under a name; ErrNotFound where there is nothing.
	Finding(ctx context.Context, name FindingName) (Finding, error)
}

// WriteFinding keeps a message under a name, as of a time.
func WriteFinding(ctx context.Context, in Findings, name FindingName, atMs int64, found proto.Message) error {
	body, err := proto.Marshal(found)
	if err != nil {
		return fmt.Errorf("keep finding %s: %w", name, err)
	}
	return in.KeepFinding(ctx, Finding{Name: name, AtMs: atMs, Body: body})
}

// ReadFinding reads what is kept under a name into a message, and tells whether there is anything.
func ReadFinding(ctx context.Context, in Findings, name FindingName, into proto.Message) (bool, error) {
	kept, err := in.Finding(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	if err := proto.Unmarshal(kept.Body, into); err != nil {
		return false, fmt.Errorf("finding %s: %w", name, err)
	}
	return true, nil
}
