package httpapi

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

const (
	// policyOfAnswers is the content security policy (W3C CSP, level 3) of answers for programs: a browser that shows one
	// loads nothing. Pages have one of their own.
	policyOfAnswers = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// secureFor is how long a browser keeps to TLS with a server that it reached so (RFC 6797).
	secureFor = "max-age=31536000"
)

// guarded is what all paths share: headers that keep browsers from helping strangers, and no request that a page of another
// origin makes on behalf of whoever looks at it.
func (cfg Config) guarded(next http.Handler) http.Handler {
	next = http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policyOfAnswers)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.TLS != nil {
			header.Set("Strict-Transport-Security", secureFor)
		}
		if cfg.AtAddress && !isAddress(r.Host) {
			fail(w, http.StatusMisdirectedRequest, errByName)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var errByName = errors.New("this server asks nobody for a key, so it answers at its address or as localhost, and not by another name")

// isAddress says whether a request's Host is an IP address or localhost. A name of somebody else's can be made to lead
// here, and a browser would let its pages read all answers (DNS rebinding).
func isAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost"
}

// logged writes a line for each request: what was refused is for everybody, the others for those who want to see all.
// Questions have a log of their own, and nobody wants to know of probes.
func (cfg Config) logged(programs *http.ServeMux, next http.Handler) http.Handler {
	if cfg.Log == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := programs.Handler(r)
		if _, isQuestion := cfg.Queries[pattern]; isQuestion || isProbe(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		began, seen := time.Now(), &statusSeen{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		level := slog.LevelDebug
		if seen.status >= http.StatusBadRequest {
			level = slog.LevelInfo
		}
		cfg.Log.Log(r.Context(), level, "request", "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr,
			"status", seen.status, "ms", time.Since(began).Milliseconds())
	})
}

func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// statusSeen notes the status of an answer.
type statusSeen struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusSeen) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what a stream needs.
func (s *statusSeen) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// besides adds the pages, at every path that programs have no use for. What looks like a program's path is none.
func (cfg Config) besides(programs *http.ServeMux) http.Handler {
	if cfg.Pages == nil {
		return programs
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := programs.Handler(r)
		if pattern != "" || strings.HasPrefix(r.URL.Path, "/v1/") || strings.HasPrefix(r.URL.Path, "/filature.") {
			programs.ServeHTTP(w, r)
			return
		}
		cfg.Pages.ServeHTTP(w, r)
	})
}
