// Package dashboard knows how the books look to a person: pages that ask the API what they show, and the plain files that
// they are. No build makes them, and they load nothing from elsewhere.
package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed static
var files embed.FS

// policy lets a page run its own scripts and styles and ask its own server, and nothing else: what an answer of the API
// says can't become code. Styles that scripts set on an element are no inline styles to a browser.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pages are the first parts of the paths that the page itself finds its way by (static/js/main.js). Any other path is
// not found, so that a mistyped path of the API is never answered with a page.
var pages = []string{"", "jobs", "providers", "workers", "market", "clients", "batches", "network", "audit", "find"}

// page is what is served for all of them.
const page = "static/index.html"

// file is one file, ready to be sent.
type file struct {
	kind        string
	plain, gzip []byte
	tag         string
}

// Config is what pages know besides what the API says.
type Config struct {
	// Wallets are those that a page offers for claims. With none it speaks to nobody but its own server.
	Wallets []Wallet
	// PublicURL is where wallets reach this server. Empty: where whoever asks did.
	PublicURL string
}

// Handler serves the pages at their paths, their files below /assets/, and what wallets read. It is made once: all that it
// serves it holds in memory, 0.4 MB.
func Handler(cfg Config) http.Handler {
	all := map[string]file{}
	err := fs.WalkDir(files, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		all[name], err = open(name)
		return err
	})
	var wallets file
	if err == nil {
		wallets, err = listOf(cfg.Wallets)
	}
	if err != nil {
		panic(fmt.Sprintf("dashboard: what was compiled in can't be read: %v", err))
	}
	policy := policyWith(cfg.Wallets)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		switch r.URL.Path {
		case manifestPath:
			cfg.sendManifest(w, r)
			return
		case iconPath:
			forAnyOrigin(w.Header())
			all["static/icon.png"].send(w, r)
			return
		case walletsPath:
			wallets.send(w, r)
			return
		}
		name, found := "static/"+strings.TrimPrefix(r.URL.Path, "/assets/"), strings.HasPrefix(r.URL.Path, "/assets/")
		if first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); slices.Contains(pages, first) {
			name, found = page, true
		}
		if one, is := all[name]; is && found {
			one.send(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

func open(name string) (f file, err error) {
	if f.plain, err = files.ReadFile(name); err != nil {
		return f, err
	}
	if f.kind = mime.TypeByExtension(path.Ext(name)); path.Ext(name) == ".mjs" || path.Ext(name) == ".js" {
		f.kind = "text/javascript; charset=utf-8" // a machine's own table of types may know better, and be wrong
	}
	if err := f.pack(); err != nil {
		return f, fmt.Errorf("pack %s: %w", name, err)
	}
	return f, nil
}

// pack makes the tag and the packed form.
func (f *file) pack() error {
	digest := sha256.Sum256(f.plain)
	f.tag = `W/"` + hex.EncodeToString(digest[:8]) + `"`
	var packed bytes.Buffer
	to := gzip.NewWriter(&packed)
	if _, err := to.Write(f.plain); err != nil {
		return err
	}
	if err := to.Close(); err != nil {
		return err
	}
	f.gzip = packed.Bytes()
	return nil
}

// send answers with the file, or with nothing if whoever asks has it already. It is asked for each time, so that a
// newer program shows its own pages at once.
func (f file) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Type", f.kind)
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("ETag", f.tag)
	header.Set("Referrer-Policy", "no-referrer") // a page's path names a job or a payee
	header.Set("Vary", "Accept-Encoding")
	header.Set("X-Content-Type-Options", "nosniff")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	case r.Header.Get("If-None-Match") == f.tag:
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.plain
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	header.Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(body) // who went away has nothing to be told
	}
}
