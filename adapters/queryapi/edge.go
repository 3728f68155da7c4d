package queryapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// What every question goes through, from the outside in: the access log, the gate, which knows who may ask what and reads
// no body, Connect's decoding, and edge, which bounds and codes what a method does.

// heard is what the access log says of a question.
type heard struct {
	method, protocol string
	asker            Asker
	code             string
	control          *http.ResponseController // for streams, which outlive the times of a request
}

type heardKey struct{}

// unread is the code of a question that no method got to see: Connect refused its form.
const unread = "unread"

// hear returns the line of a question under way.
func hear(ctx context.Context) *heard {
	if line, is := ctx.Value(heardKey{}).(*heard); is {
		return line
	}
	return &heard{}
}

func (h *heard) ended(err error) {
	h.code = "ok"
	if err != nil {
		h.code = connect.CodeOf(err).String()
	}
}

// logged writes the access log: a line for each question, however it ends.
func (s *server) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.Now()
		line := &heard{code: unread, control: http.NewResponseController(w)}
		ctx := context.WithValue(r.Context(), heardKey{}, line)
		next.ServeHTTP(w, r.WithContext(ctx))
		if s.Log == nil {
			return
		}
		s.Log.InfoContext(ctx, "question", "method", line.method, "protocol", line.protocol, "from", r.RemoteAddr,
			"key", line.asker.Name, "role", string(line.asker.Role), "code", line.code, "ms", s.Now().Sub(began).Milliseconds())
	})
}

type askerKey struct{}

// askerIn is who asks; gate has put it there.
func askerIn(ctx context.Context) Asker {
	asker, _ := ctx.Value(askerKey{}).(Asker)
	return asker
}

// gate lets in who may ask a method, before the question is read, and leaves it to the method where that depends on what
// is asked for.
func (s *server) gate(ctx context.Context, spec connect.Spec, peer connect.Peer, header http.Header) (context.Context, error) {
	asker, known := s.Keys.asker(header)
	line := hear(ctx)
	line.method, line.protocol, line.asker = spec.Procedure, peer.Protocol, asker
	err := s.mayAsk(spec.Procedure, asker, known)
	if err != nil {
		line.ended(err)
		return nil, err
	}
	return context.WithValue(ctx, askerKey{}, asker), nil
}

func (s *server) mayAsk(method string, asker Asker, known bool) error {
	if !known {
		return problem(connect.CodeUnauthenticated, "authorization", "want Bearer and a key that this server knows")
	}
	if !s.pace.allow(asker.Name, s.Now()) {
		return problem(connect.CodeResourceExhausted, "authorization", fmt.Sprintf("a key may ask %d times a second", questionsPerSecond))
	}
	switch rule := accesses[method]; {
	case rule == open, rule == own, rule == books && asker.seesAll(), rule == act && asker.Role != RoleAuditor:
		return nil
	default:
		return errForbidden(asker)
	}
}

// edge is what is around each method. It implements connect.Interceptor.
type edge struct{ within time.Duration }

// WrapUnary bounds an answer in time, refuses a question that was misread, and tells a cache what it has already.
func (e edge) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (response connect.AnyResponse, err error) {
		line := hear(ctx)
		defer func() { line.ended(err) }()
		if err := misreadAny(request.Any()); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, e.within)
		defer cancel()
		if response, err = next(ctx, request); err != nil || request.HTTPMethod() != http.MethodGet {
			return response, err
		}
		return response, tagged(request.Header(), response)
	}
}

// WrapStreamingClient implements connect.Interceptor. This is a server.
func (edge) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler refuses a question that was misread. A stream lasts as long as its reader stays.
func (edge) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, strictConn{conn})
		hear(ctx).ended(err)
		return err
	}
}

// strictConn refuses messages that were misread.
type strictConn struct{ connect.StreamingHandlerConn }

// Receive implements connect.StreamingHandlerConn.
func (c strictConn) Receive(message any) error {
	if err := c.StreamingHandlerConn.Receive(message); err != nil {
		return err
	}
	return misreadAny(message)
}

func misreadAny(message any) error {
	asked, is := message.(proto.Message)
	if !is {
		return connect.NewError(connect.CodeInternal, fmt.Errorf("a question is a %T", message))
	}
	return misread(asked)
}

// tagged gives the answer to a GET its tag (RFC 9110, section 8.8.3), and is Connect's "not modified" where the asker has
// that very answer. Who kept it has to ask again: an answer holds until the ledger grows.
func tagged(asked http.Header, response connect.AnyResponse) error {
	message, is := response.Any().(proto.Message)
	if !is {
		return connect.NewError(connect.CodeInternal, fmt.Errorf("an answer is a %T", response.Any()))
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	tag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	header := response.Header()
	header.Set("ETag", tag)
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Vary", "Authorization, Accept-Encoding")
	for has := range strings.SplitSeq(asked.Get("If-None-Match"), ",") {
		if strings.TrimSpace(has) == tag {
			return connect.NewNotModifiedError(header)
		}
	}
	return nil
}
