package queryapi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// lookAgain is how often tables that are behind are looked at.
const lookAgain = 20 * time.Millisecond

// errBehind: the tables have not read as far as was asked for.
var errBehind = errors.New("the tables have not read the ledger that far")

// answer asks one Reader, so that all of an answer is from one place in the log: at.
func answer[R any](ctx context.Context, s *server, reading *queryv1.Reading, ask func(r projections.Reader, at *queryv1.Position) (*R, error)) (*R, error) {
	want, err := s.offsets(reading.GetAtLeast())
	if err != nil {
		return nil, err
	}
	var found *R
	look := func() error {
		return s.Source.Read(ctx, func(r projections.Reader) error {
			at, err := r.At(ctx)
			if err != nil {
				return err
			}
			if !at.Covers(want) {
				return fmt.Errorf("%w: they stand at %v", errBehind, at.Cut())
			}
			found, err = ask(r, position(at))
			return err
		})
	}
	err = look()
	for deadline := s.Now().Add(s.Wait); errors.Is(err, errBehind) && s.Now().Before(deadline); err = look() {
		select {
		case <-ctx.Done():
			return nil, asError(ctx.Err())
		case <-time.After(lookAgain):
		}
	}
	if err != nil {
		return nil, asError(err)
	}
	return found, nil
}

// asError gives an error its code. What is nobody's fault but ours keeps its words: whoever runs us reads them, too.
func asError(err error) error {
	code := connect.CodeInternal
	_, isProblem := errors.AsType[*connect.Error](err)
	switch {
	case isProblem:
		return err
	case errors.Is(err, projections.ErrNotFound):
		code = connect.CodeNotFound
	case errors.Is(err, errBehind), errors.Is(err, projections.ErrNotTogether):
		code = connect.CodeUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	}
	return connect.NewError(code, err)
}

// wrong says which field of a request breaks which rule.
func wrong(field, rule string) error { return problem(connect.CodeInvalidArgument, field, rule) }

func problem(code connect.Code, field, rule string) error {
	failed := connect.NewError(code, fmt.Errorf("%s: %s", field, rule))
	// A Problem can always be encoded: it is two strings.
	if detail, err := connect.NewErrorDetail(&queryv1.Problem{Field: field, Rule: rule}); err == nil {
		failed.AddDetail(detail)
	}
	return failed
}

// idOf reads an id that has to be there.
func idOf[T ~[32]byte](field, text string) (T, error) {
	id, err := domain.ParseID[T](text)
	if err != nil {
		return id, wrong(field, "want 64 hexadecimal digits")
	}
	return id, nil
}

// idIfAny reads an id that may be "".
func idIfAny[T ~[32]byte](field, text string) (id T, err error) {
	if text == "" {
		return id, nil
	}
	return idOf[T](field, text)
}

// text is how an id goes out.
func text[T ~[32]byte](id T) string {
	if id == (T{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

func position(at projections.Checkpoint) *queryv1.Position {
	cut := at.Cut()
	p := &queryv1.Position{LedgerOffsets: make([]int64, len(cut))}
	for shard, offset := range cut {
		p.LedgerOffsets[shard] = int64(offset)
	}
	return p
}

// offsets reads a position. One that the ledger will never have is refused, as waiting for it is in vain.
func (s *server) offsets(p *queryv1.Position) ([]domain.Offset, error) {
	const field = "reading.at_least.ledger_offsets"
	if len(p.GetLedgerOffsets()) == 0 {
		return nil, nil
	}
	if shards := s.Ledger.Shards(); len(p.GetLedgerOffsets()) > shards {
		return nil, wrong(field, fmt.Sprintf("want at most %d: control, and the data shards", shards))
	}
	cut := make([]domain.Offset, len(p.GetLedgerOffsets()))
	for shard, offset := range p.GetLedgerOffsets() {
		if offset < 0 {
			return nil, wrong(fmt.Sprintf("%s[%d]", field, shard), "want 0 or more")
		}
		cut[shard] = domain.Offset(offset)
	}
	return cut, nil
}

func moment(m projections.Moment) *queryv1.Moment {
	return &queryv1.Moment{AtMs: m.AtMs, Offset: int64(m.Offset)}
}

func tokens(t projections.Tokens) *queryv1.Tokens {
	return &queryv1.Tokens{Prompt: t.Prompt, Cached: t.Cached, Completion: t.Completion, Reasoning: t.Reasoning}
}

// each turns rows into messages.
func each[A, B any](rows []A, message func(A) B) []B {
	messages := make([]B, len(rows))
	for i, row := range rows {
		messages[i] = message(row)
	}
	return messages
}
