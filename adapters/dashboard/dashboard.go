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
	"regexp"
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

const (
	page     = "index.html"                    // what is served for all of them
	theme    = "js/theme.js"                   // a plain script, which runs before anything is drawn
	plots    = "thirdparty/uplot/uPlot.esm.js" // the one module of others that each page loads
	iconFile = "icon.png"
)

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

// site is all files by name, and their edition: a digest of all of them together.
type site struct {
	Config

	files           map[string]file
	wallets         file
	policy, edition string
}

// Handler serves the pages at their paths, their files below /assets/, and what wallets read. It is made once: all that it
// serves it holds in memory, 0.5 MB.
//
// A page names its files by an edition, /assets/EDITION/js/main.js, and so do they each other, since they do it by relative
// paths. What is named so never changes, and a browser asks for it once. A page of another edition, from before the program was
// replaced or from its neighbour behind the same address, gets the files that there are.
func Handler(cfg Config) http.Handler {
	all, err := build(cfg)
	if err != nil {
		panic(fmt.Sprintf("dashboard: what was compiled in can't be read: %v", err))
	}
	return all
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", s.policy)
	w.Header().Set("Cache-Control", "no-cache") // asked for each time, so that a newer program shows its own pages at once
	switch r.URL.Path {
	case manifestPath:
		s.sendManifest(w, r)
		return
	case iconPath:
		forAnyOrigin(w.Header())
		s.files[iconFile].send(w, r)
		return
	case walletsPath:
		s.wallets.send(w, r)
		return
	}
	name, found := strings.CutPrefix(r.URL.Path, "/assets/")
	edition, rest, _ := strings.Cut(name, "/")
	if found && isEdition.MatchString(edition) {
		name = rest
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); slices.Contains(pages, first) {
		name, found = page, true
	}
	one, is := s.files[name]
	if !is || !found {
		http.NotFound(w, r)
		return
	}
	if edition == s.edition && name != page {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	one.send(w, r)
}

var isEdition = regexp.MustCompile(`^[0-9a-f]{16}$`)

// build reads what was compiled in.
func build(cfg Config) (*site, error) {
	plain, names := map[string][]byte{}, []string{}
	err := fs.WalkDir(files, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		short := strings.TrimPrefix(name, "static/")
		plain[short], err = files.ReadFile(name)
		names = append(names, short)
		return err
	})
	if err != nil {
		return nil, err
	}
	digest := sha256.New()
	for _, name := range names { // as the walk is: in the order of their names
		_, _ = fmt.Fprintf(digest, "%s %d\n", name, len(plain[name])) // a hash never fails to be written
		_, _ = digest.Write(plain[name])
	}
	s := &site{Config: cfg, files: map[string]file{}, policy: policyWith(cfg.Wallets), edition: hex.EncodeToString(digest.Sum(nil)[:8])}
	if s.wallets, err = listOf(cfg.Wallets); err != nil {
		return nil, err
	}
	plain[page] = s.edit(plain[page], names)
	for _, name := range names {
		if s.files[name], err = open(name, plain[name]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// edit makes the page name the files of this edition, and all modules at once, so that a browser need not read one to learn of
// the next.
func (s *site) edit(page []byte, names []string) []byte {
	folder := "/assets/" + s.edition + "/"
	var modules strings.Builder
	for _, name := range names {
		if strings.HasPrefix(name, "js/") && name != theme || name == plots {
			fmt.Fprintf(&modules, "<link rel=\"modulepreload\" href=%q>\n", folder+name)
		}
	}
	edited := strings.ReplaceAll(string(page), "/assets/", folder)
	return []byte(strings.Replace(edited, "</head>", modules.String()+"</head>", 1))
}

// open makes the tag of a file, and its packed form.
func open(name string, plain []byte) (f file, err error) {
	f.plain = plain
	if f.kind = mime.TypeByExtension(path.Ext(name)); path.Ext(name) == ".mjs" || path.Ext(name) == ".js" {
		f.kind = "text/javascript; charset=utf-8" // a machine's own table of types may know better, and be wrong
	}
	digest := sha256.Sum256(f.plain)
	f.tag = `W/"` + hex.EncodeToString(digest[:8]) + `"`
	var packed bytes.Buffer
	to, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = to.Write(f.plain)
	}
	if err == nil {
		err = to.Close()
	}
	if err != nil {
		return f, fmt.Errorf("pack %s: %w", name, err)
	}
	f.gzip = packed.Bytes()
	return f, nil
}

// send answers with the file, or with nothing if whoever asks has it already.
func (f file) send(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
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
