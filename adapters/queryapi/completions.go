package queryapi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// blockCompletions is how many completions one message has at most: some 100 KB.
const blockCompletions = 256

// FollowCompletions implements queryv1.CompletionServiceHandler.
func (s *server) FollowCompletions(
	ctx context.Context, asked *queryv1.FollowCompletionsRequest, to *connect.ServerStream[queryv1.FollowCompletionsResponse],
) error {
	filter, err := followed(ctx, asked)
	if err != nil {
		return err
	}
	if s.Completions == nil {
		return problem(connect.CodeUnimplemented, "after", "ask a server that has the ledger")
	}
	follower, err := s.Completions.Follow(ctx, filter, asked.After)
	if err != nil {
		return notFollowed(err)
	}
	defer follower.Leave()
	out := &told{to: to, control: hear(ctx).control}
	if err := out.open(follower.Cursor()); err != nil {
		return asError(err)
	}
	if err := follower.Run(ctx, out); err != nil {
		return asError(err)
	}
	if out.late { // a context that has ended tells nothing: net/http ends it with a write that failed
		return connect.NewError(connect.CodeResourceExhausted, errTooSlow) // for the log: whom it is about does not read
	}
	return nil
}

var errTooSlow = fmt.Errorf("the reader did not take a message within %v", completions.Slowest)

// followed is what an asker gets to follow: what it asks for, and of that its own.
func followed(ctx context.Context, asked *queryv1.FollowCompletionsRequest) (filter completions.Filter, err error) {
	if filter.Client, err = idIfAny[domain.ClientID]("client", asked.Client); err != nil {
		return filter, err
	}
	if filter.Provider, err = idIfAny[domain.ProviderID]("provider", asked.Provider); err != nil {
		return filter, err
	}
	if len(asked.Accounts) > completions.MaxAccounts {
		return filter, wrong("accounts", fmt.Sprintf("want at most %d", completions.MaxAccounts))
	}
	for i, text := range asked.Accounts {
		account, err := idOf[domain.AccountID](fmt.Sprintf("accounts[%d]", i), text)
		if err != nil {
			return filter, err
		}
		if filter.Accounts == nil {
			filter.Accounts = map[domain.AccountID]bool{}
		}
		filter.Accounts[account] = true
	}
	if asker := askerIn(ctx); !asker.seesAll() && filter.Within(asker.own()) != nil {
		return filter, errForbidden(asker)
	}
	return filter, nil
}

// notFollowed gives the reason why there is no stream its code.
func notFollowed(err error) error {
	misasked, is := errors.AsType[*completions.CursorError](err)
	switch {
	case is:
		return wrong("after", misasked.Error())
	case errors.Is(err, completions.ErrFull), errors.Is(err, completions.ErrNotBegun), errors.Is(err, completions.ErrAhead):
		return connect.NewError(connect.CodeUnavailable, err)
	default:
		return asError(err)
	}
}

// told writes to one reader. It is a completions.Sink.
type told struct {
	to      *connect.ServerStream[queryv1.FollowCompletionsResponse]
	control *http.ResponseController
	block   queryv1.FollowCompletionsResponse
	late    bool // the reader did not take a message in time
}

// open says where the stream begins, so that a reader who is cut off before the first completion misses none.
func (t *told) open(cursor string) error {
	// Reading was over with the request. A deadline that passes would look like a reader who left.
	if err := t.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("begin a stream: %w", err)
	}
	return t.Beat(cursor)
}

// Completion implements completions.Sink.
func (t *told) Completion(c *v1.Completion, cursor string) error {
	t.block.Cursor = cursor
	t.block.Completions = append(t.block.Completions, completion(c))
	if len(t.block.Completions) < blockCompletions {
		return nil
	}
	return t.Flush()
}

// Beat implements completions.Sink.
func (t *told) Beat(cursor string) error {
	t.block.Cursor = cursor
	return t.Flush()
}

// Flush implements completions.Sink. A reader who does not take it in time is disconnected.
func (t *told) Flush() error {
	if t.block.Cursor == "" {
		return nil
	}
	deadline := time.Now().Add(completions.Slowest)
	err := t.control.SetWriteDeadline(deadline)
	if err == nil {
		err = t.to.Send(&t.block)
	}
	if t.late = !time.Now().Before(deadline); t.late {
		return fmt.Errorf("%w: %w", completions.ErrGone, errTooSlow) // net/http does not tell of a flush that failed
	}
	if err == nil { // the next block has a time of its own; one that passed meanwhile would end a stream of HTTP/2
		err = t.control.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		return fmt.Errorf("%w: %w", completions.ErrGone, err)
	}
	t.block.Cursor, t.block.Completions = "", t.block.Completions[:0]
	return nil
}

func completion(c *v1.Completion) *queryv1.Completion {
	u := c.GetUsage()
	return &queryv1.Completion{
		Shard: c.GetPosition().GetShard(), LedgerOffset: c.GetPosition().GetOffset(), Fact: c.GetPosition().GetFact(), AtMs: c.AtMs,
		Outcome: projections.OutcomeName(c.Outcome), Failure: projections.FailureName(c.Failure),
		Job: hex.EncodeToString(c.Job), Account: hex.EncodeToString(c.Account), Client: hex.EncodeToString(c.Client), Model: hex.EncodeToString(c.Model),
		Worker: hex.EncodeToString(c.Worker), Provider: hex.EncodeToString(c.Provider), Coefficient: c.Coefficient,
		Tokens: &queryv1.Tokens{
			Prompt: u.GetPromptTokens(), Cached: u.GetCachedTokens(), Completion: u.GetCompletionTokens(), Reasoning: u.GetReasoningTokens(),
		},
		AdjustedTokens: c.AdjustedTokens, RateCard: hex.EncodeToString(c.RateCard),
		ChargeNano: c.ChargeNano, ReleasedNano: c.ReleasedNano, DisputableUntilMs: c.DisputableUntilMs,
	}
}
