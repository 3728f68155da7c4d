package dashboard_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/filature/filature/adapters/dashboard"
)

var handler = sync.OnceValue(func() http.Handler { return dashboard.Handler(dashboard.Config{}) })

// get asks for one path and returns the answer with its body.
func get(t *testing.T, method, path string, header http.Header) (*httptest.ResponseRecorder, []byte) {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	maps.Copy(request.Header, header)
	recorder := httptest.NewRecorder()
	handler().ServeHTTP(recorder, request)
	return recorder, recorder.Body.Bytes()
}

func TestPagesAreServedAtTheirPathsAndNowhereElse(t *testing.T) {
	_, page := get(t, http.MethodGet, "/", nil)
	if !bytes.Contains(page, []byte("<title>Filature</title>")) {
		t.Fatalf("/ is %.80q", page)
	}
	for _, path := range []string{"/jobs", "/jobs/00ff", "/batches/3", "/audit", "/find"} {
		if answer, body := get(t, http.MethodGet, path, nil); answer.Code != http.StatusOK || !bytes.Equal(body, page) {
			t.Errorf("%s: status %d, %d bytes, want the page", path, answer.Code, len(body))
		}
	}
	for _, path := range []string{
		"/assets/index.htm", "/0123456789abcdef/js/main.js",
		"/v1/report", "/filature.query.v1.JobService/GetJobs", "/assets/", "/assets/../dashboard.go", "/assets/js/none.js", "/index.html",
	} {
		if answer, _ := get(t, http.MethodGet, path, nil); answer.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, answer.Code)
		}
	}
	if answer, _ := get(t, http.MethodPost, "/jobs", nil); answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /jobs: status %d, want 405", answer.Code)
	}
}

func TestAPageRunsNothingButItsOwnFiles(t *testing.T) {
	answer, page := get(t, http.MethodGet, "/jobs", nil)
	policy := answer.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q trusts what is inline", policy)
	}
	if found := regexp.MustCompile(`(?:src|href)="(?:https?:)?//|<script>|<style| style="| on[a-z]+="`).Find(page); found != nil {
		t.Errorf("the page has %q, which its policy refuses", found)
	}
}

func TestAFileIsSentOnceAndPackedWhereThatIsUnderstood(t *testing.T) {
	plain, body := get(t, http.MethodGet, "/assets/js/main.js", nil)
	packed, small := get(t, http.MethodGet, "/assets/js/shell.js", http.Header{"Accept-Encoding": {"gzip, br"}})
	if kind := plain.Header().Get("Content-Type"); kind != "text/javascript; charset=utf-8" || len(body) == 0 {
		t.Errorf("main.js: %s, %d bytes", kind, len(body))
	}
	if packed.Header().Get("Content-Encoding") != "gzip" || !bytes.HasPrefix(small, []byte{0x1f, 0x8b}) {
		t.Errorf("shell.js is not packed: %q", small[:2])
	}
	again, rest := get(t, http.MethodGet, "/assets/js/main.js", http.Header{"If-None-Match": {plain.Header().Get("ETag")}})
	if again.Code != http.StatusNotModified || len(rest) != 0 {
		t.Errorf("asked again: status %d, %d bytes", again.Code, len(rest))
	}
}

// TestAFileOfThisEditionIsAskedForOnce: the page itself is asked for each time, and names all others by their edition.
func TestAFileOfThisEditionIsAskedForOnce(t *testing.T) {
	answer, page := get(t, http.MethodGet, "/", nil)
	if cache := answer.Header().Get("Cache-Control"); cache != "no-cache" {
		t.Errorf("the page: %s", cache)
	}
	named := regexp.MustCompile(`"(/assets/([^/"]+)/[^"]+)"`).FindAllSubmatch(page, -1)
	if len(named) < 30 || bytes.Count(page, []byte("/assets/")) != len(named) {
		t.Fatalf("%d files are named by their edition:\n%s", len(named), page)
	}
	for _, one := range named {
		answer, body := get(t, http.MethodGet, string(one[1]), nil)
		if cache := answer.Header().Get("Cache-Control"); answer.Code != http.StatusOK || !strings.Contains(cache, "immutable") {
			t.Errorf("%s: status %d, %s", one[1], answer.Code, cache)
		}
		if absolute := regexp.MustCompile(`(?:from|import) '/`).Find(body); absolute != nil {
			t.Errorf("%s names a module by its absolute path, which has no edition", one[1])
		}
	}
	other := strings.Replace(string(named[0][1]), string(named[0][2]), "0123456789abcdef", 1)
	if answer, _ := get(t, http.MethodGet, other, nil); answer.Code != http.StatusOK || answer.Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("of another edition: status %d, %s", answer.Code, answer.Header().Get("Cache-Control"))
	}
}

// TestEveryFileIsThereThatAnotherOneNames: there is no build that would find out.
func TestEveryFileIsThereThatAnotherOneNames(t *testing.T) {
	names := regexp.MustCompile(`(?:from|import) '([^']+)'|(?:src|href)="(/assets/[^"]+)"`)
	seen := 0
	err := fs.WalkDir(os.DirFS("static"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(name, "thirdparty") {
			return err
		}
		text, err := os.ReadFile(path.Join("static", name))
		for _, found := range names.FindAllSubmatch(text, -1) {
			other := string(found[1]) + string(found[2])
			if !strings.HasPrefix(other, "/") {
				other = path.Join("/assets", path.Dir(name), other)
			}
			if answer, _ := get(t, http.MethodGet, other, nil); answer.Code != http.StatusOK {
				t.Errorf("%s names %s, which is not served", name, found[0])
			}
			seen++
		}
		return err
	})
	if err != nil || seen < 20 {
		t.Fatalf("%d names of files seen: %v", seen, err)
	}
}

func TestOtherPeoplesFilesAreUnchanged(t *testing.T) {
	const folder = "static/thirdparty"
	listed, err := os.ReadFile(folder + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == "README.md" || path.Base(name) == "LICENSE" {
			return err
		}
		content, err := os.ReadFile(path.Join(folder, name))
		digest := sha256.Sum256(content)
		if sum := hex.EncodeToString(digest[:]); !regexp.MustCompile(fmt.Sprintf(`\| %s \|.*\| %s \|`, name, sum)).Match(listed) {
			t.Errorf("%s has the sum %s, which README.md does not list", name, sum)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
