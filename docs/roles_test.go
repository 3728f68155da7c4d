package docs

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filature/filature/internal/services"
)

// The pages for people are run as they stand, in the order in which one reads them, in one empty folder. A block of
// ```sh is run; a block of ```console is what the commands before it print, with … for what differs from run to run: within a
// line any text, as a line of its own any lines. A block of ```go is of a program in docs/examples, which some block of
// ```sh runs. There is no other block. What a page leaves running, the next pages use.
var pages = []string{"README", "node", "worker", "production", "completions", "finance", "audit", "settlement"}

const (
	// pageLimit is for a page on a machine with other work; a page takes seconds.
	pageLimit = 5 * time.Minute
	// endLimit is how long what the pages left running may take to end.
	endLimit = time.Minute
)

func TestThePagesForPeopleDoWhatTheySay(t *testing.T) {
	all, scripts := map[string][]step{}, ""
	shown := map[string]string{} // programs, by where
	for _, page := range pages {
		raw, err := os.ReadFile(filepath.Join("roles", page+".md"))
		if err != nil {
			t.Fatal(err)
		}
		d := parse("docs/roles/"+page+".md", string(raw))
		if all[page], err = steps(d); err != nil {
			t.Fatal(err)
		}
		for _, step := range all[page] {
			scripts += step.script + "\n"
		}
		for _, f := range d.fences {
			if f.language == "go" {
				shown[fmt.Sprintf("%s:%d", d.path, f.line)] = filepath.Base(filepath.Dir(f.of))
			}
		}
	}
	for at, program := range shown {
		if !regexp.MustCompile(`(?m)^` + program + ` -`).MatchString(scripts) {
			t.Errorf("%s: no page runs %s", at, program)
		}
	}
	s := newSession(t)
	for _, page := range pages {
		t.Run(page, func(t *testing.T) { s.run(t, page, all[page]) })
	}
}

func TestABlockThatNobodyKnowsHowToRunIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"```sh\ntrue\n```\n":                                          "",
		"```sh\ntrue\n```\n```console\n```\n":                         "",
		"```go docs/examples/report/main.go\n```\n```sh\ntrue\n```\n": "",
		"```sh\ntrue\n```\n```python\n```\n":                          "python",
		"```sh\ntrue\n```\n```\n```\n":                                "nobody knows",
		"```sh\ntrue\n```\n```go\n```\n":                              "docs/examples",
		"```sh\ntrue\n```\n```go sdk/http.go\n```\n":                  "docs/examples",
		"```console\n```\n":                                           "printed by what",
		"prose":                                                       "no commands",
	} {
		_, err := steps(parse("page.md", text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestEachPageForPeopleIsRun(t *testing.T) {
	for _, name := range sourceFiles(t, ".md") {
		if page, ok := strings.CutPrefix(name, "docs/roles/"); ok && !slices.Contains(pages, strings.TrimSuffix(page, ".md")) {
			t.Errorf("%s is not run", name)
		}
	}
}

// step is one block of commands, and what it prints if the page says so.
type step struct {
	at      string // file:line
	script  string
	shown   bool
	printed string
}

// steps are the blocks of a page that are run.
func steps(d document) ([]step, error) {
	var all []step
	for _, f := range d.fences {
		at := fmt.Sprintf("%s:%d", d.path, f.line)
		switch last := len(all) - 1; {
		case f.language == "sh" && f.of == "":
			all = append(all, step{at: at, script: f.text})
		case f.language == "console" && f.of == "":
			if last < 0 || all[last].shown {
				return nil, fmt.Errorf("%s: printed by what?", at)
			}
			all[last].shown, all[last].printed = true, f.text
		case f.language == "go":
			if !strings.HasPrefix(f.of, "docs/examples/") {
				return nil, fmt.Errorf("%s: want Go to be of a program in docs/examples, which is run", at)
			}
		default:
			return nil, fmt.Errorf("%s: nobody knows how to run a block of %q", at, f.language)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no commands", d.path)
	}
	return all, nil
}

// session is a folder in which pages are run, one after the other, by a shell each.
type session struct {
	folder string
	env    []string
	// stand says what stands in for addresses and names of the pages: they are taken where a test runs.
	stand map[string]string
	// held is inherited by all that pages start, so its other end tells when they have ended.
	held *os.File
	// groups are the process groups of the shells, which what they left running belongs to.
	groups []int
}

func newSession(t *testing.T) *session {
	t.Helper()
	programs := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", programs+"/", "./cmd/filature", "./docs/examples/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	s := &session{folder: t.TempDir(), stand: servers(t)}
	s.env = append(slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "FILATURE_") }),
		"PATH="+programs+string(filepath.ListSeparator)+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
	ended, held, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.held = held
	t.Cleanup(func() {
		_ = held.Close()
		for _, group := range s.groups {
			_ = syscall.Kill(-group, syscall.SIGTERM)
		}
		_ = ended.SetReadDeadline(time.Now().Add(endLimit))
		if _, err := ended.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("what the pages started does not end: %v", err)
		}
	})
	return s
}

// servers are a real Kafka and a real PostgreSQL, with names on them that nobody else has, for those that the pages name.
func servers(t *testing.T) map[string]string {
	t.Helper()
	lot := strings.ToLower(rand.Text()[:8])
	reader := "silk_finance_" + lot
	var database string
	t.Cleanup(func() { // a role outlives the database
		server, err := url.Parse(database)
		if err != nil {
			t.Fatal(err)
		}
		server.Path = "/postgres"
		drop := exec.CommandContext(context.WithoutCancel(t.Context()), "psql", server.String(), "-qc", "DROP ROLE IF EXISTS "+reader)
		if said, err := drop.CombinedOutput(); err != nil {
			t.Errorf("drop role %s: %v\n%s", reader, err, said)
		}
	})
	database = services.Postgres(t)
	return map[string]string{
		"127.0.0.1:9092": services.Kafka(t)[0], "postgres://filature@127.0.0.1:5432/silk": database,
		"silk-mill": "silk-mill-" + lot, "silk_finance": reader,
	}
}

// run runs a page. What it leaves running ends with the session.
func (s *session) run(t *testing.T, page string, all []step) {
	t.Helper()
	var script strings.Builder
	for i, step := range all {
		fmt.Fprintf(&script, "printf '%s%d\\n'\n%s\n", mark, i, s.ours(t, step.script))
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithTimeout(t.Context(), pageLimit)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-eu", "-c", script.String())
	shell.Dir, shell.Env, shell.Stdout, shell.Stderr, shell.ExtraFiles = s.folder, s.env, out, out, []*os.File{s.held}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	failed := shell.Run()
	if shell.Process != nil {
		s.groups = append(s.groups, shell.Process.Pid)
	}
	raw, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(raw), mark)[1:]
	for i, part := range parts {
		_, printed, _ := strings.Cut(part, "\n")
		printed = s.theirs(printed)
		if failed != nil && i == len(parts)-1 {
			t.Fatalf("%s: %v\n%s\nIt printed:\n%s", all[i].at, failed, all[i].script, printed)
		}
		if why := differs(all[i].printed, printed); all[i].shown && why != "" {
			t.Errorf("%s: %s\nIt printed:\n%s", all[i].at, why, printed)
		}
	}
	if len(parts) != len(all) {
		t.Fatalf("%s ended after %d of %d blocks: %v", page, len(parts), len(all), failed)
	}
}

// mark parts what blocks print. It is in nobody's text.
const mark = "\x1e"

// addressPattern is an address that pages serve at.
var addressPattern = regexp.MustCompile(`127\.0\.0\.1:84\d\d`)

// ours puts free addresses, and our servers, in place of those that pages name.
func (s *session) ours(t *testing.T, text string) string {
	t.Helper()
	for _, named := range []string{"127.0.0.1:9092", "postgres://filature@127.0.0.1:5432/silk", "silk-mill", "silk_finance"} {
		text = strings.ReplaceAll(text, named, s.stand[named])
	}
	return addressPattern.ReplaceAllStringFunc(text, func(address string) string {
		if s.stand[address] == "" {
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s.stand[address] = listener.Addr().String()
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return s.stand[address]
	})
}

// theirs is what a reader of the pages would have seen.
func (s *session) theirs(printed string) string {
	for address, stand := range s.stand {
		printed = strings.ReplaceAll(printed, stand, address)
	}
	return strings.ReplaceAll(printed, s.folder+"/", "/tmp/silk/")
}

// differs says where what was printed is other than what the page shows, or nothing.
func differs(shown, printed string) string {
	lines := strings.Split(strings.TrimRight(shown, "\n"), "\n")
	for i := range lines {
		begin := i == len(lines)-1
		if !begins(lines[:i+1], printed, begin) {
			if begin && begins(lines, printed, false) {
				return "behind what is shown it printed more"
			}
			return fmt.Sprintf("it did not print %q, where that is shown", lines[i])
		}
	}
	return ""
}

// begins tells whether a text begins with lines, or is all of them.
func begins(lines []string, text string, whole bool) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range lines {
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:[^\n]*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(line, " ")), "…", `[^\n]*`) + ` *\n`)
	}
	if whole {
		pattern.WriteString(`\z`)
	}
	return regexp.MustCompile(pattern.String()).MatchString(strings.TrimRight(text, "\n") + "\n")
}

func TestWhatAPageShowsIsComparedWithWhatItPrints(t *testing.T) {
	for _, one := range []struct {
		shown, printed string
		same           bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a\nb\n", "a\nb", true},
		{"a\nb\n", "a\nc\n", false},
		{"a\n", "a\nb\n", false},
		{"a\nb\n", "a\n", false},
		{"a … c\n", "a b c\n", true},
		{"a … c\n", "a\nb c\n", false},
		{"a … c\n", "a b d\n", false},
		{"a\n…\nd\n", "a\nb\nc\nd\n", true},
		{"a\n…\nd\n", "a\nd\n", true},
		{"a\n…\nd\n", "a\nb\n", false},
		{"…\nd\n…\n", "a\nd\ne\n", true},
		{"…\nd\n…\n", "a\nde\n", false},
		{"0.5 (a)\n", "0x5 (a)\n", false},
	} {
		if why := differs(one.shown, one.printed); (why == "") != one.same {
			t.Errorf("%q shown, %q printed: %q", one.shown, one.printed, why)
		}
	}
}
