package queryapi

import (
	"fmt"
	"net/http"
	"strings"

	"connectrpc.com/connect"
)

// Connect refuses some requests before it knows of a method, with a status and no words. Here they get what every other error
// has: a code, and the field and the rule.

// spoken gives words to what is refused without any. gRPC has its own way of telling, and keeps it.
func spoken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			w = &speaker{ResponseWriter: w, asked: r}
		}
		next.ServeHTTP(w, r)
	})
}

// speaker writes an answer. The body of one that it has words for is its own.
type speaker struct {
	http.ResponseWriter
	asked *http.Request
	spoke bool
}

// Unwrap is for http.ResponseController.
func (s *speaker) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (s *speaker) WriteHeader(status int) {
	var said error
	switch isJSON := strings.HasPrefix(s.Header().Get("Content-Type"), "application/json"); {
	case isJSON, s.spoke:
	case status == http.StatusNotFound:
		said = problem(connect.CodeUnimplemented, "method", fmt.Sprintf("there is no %s: /openapi.json has what there is", short(s.asked.URL.Path)))
	case status == http.StatusMethodNotAllowed:
		said = problem(connect.CodeUnimplemented, "method", "want "+s.Header().Get("Allow"))
	case status == http.StatusUnsupportedMediaType && s.asked.Method == http.MethodGet:
		said = problem(connect.CodeInvalidArgument, "encoding", "want encoding=json, and the question as message")
	case status == http.StatusUnsupportedMediaType:
		said = problem(connect.CodeInvalidArgument, "Content-Type", "want application/json, or another of Accept-Post")
	}
	if said == nil {
		s.ResponseWriter.WriteHeader(status)
		return
	}
	s.spoke = true
	// Connect's words for an error; the status stays. An asker who is gone is told nothing.
	_ = connect.NewErrorWriter().Write(sameStatus{s.ResponseWriter, status}, s.asked, said)
}

// Write implements http.ResponseWriter.
func (s *speaker) Write(body []byte) (int, error) {
	if s.spoke {
		return len(body), nil
	}
	return s.ResponseWriter.Write(body)
}

// Flush implements http.Flusher, which Connect looks for.
func (s *speaker) Flush() { _ = http.NewResponseController(s.ResponseWriter).Flush() }

// sameStatus is an answer whose status is settled.
type sameStatus struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s sameStatus) WriteHeader(int) { s.ResponseWriter.WriteHeader(s.status) }
