// Package docs knows whether what the documents say is so: that links lead somewhere, that the files,
// tests and commands they name are there, and that what they quote is what stands in the file.
package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

// document is one Markdown file, by its path from the root.
type document struct {
	path, text string
	prose      string // what is outside of code fences
	fences     []fence
}

// fence is a block of code. Its first line is "```language of/which/file".
type fence struct {
	language, of, text string
	line               int // of the document, where its text begins
}

func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	for _, name := range sourceFiles(t, ".md") {
		if strings.Contains(name, "testdata/") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parse(name, string(raw)))
	}
	if len(all) < 10 {
		t.Fatalf("found %d documents only", len(all))
	}
	return all
}

// parse takes code fences apart from prose.
func parse(name, text string) document {
	d := document{path: name, text: text}
	line := 0 // in which part begins
	for i, part := range strings.Split("\n"+text, "\n```") {
		if i%2 == 0 {
			d.prose += part
		} else {
			head, body, _ := strings.Cut(part, "\n")
			language, of, _ := strings.Cut(head, " ")
			d.fences = append(d.fences, fence{language, of, body, line + 1})
		}
		line += strings.Count(part, "\n") + 1
	}
	return d
}

// sourceFiles lists files of the tree, without what tools and runs leave behind.
func sourceFiles(t *testing.T, suffix string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"bin", "data", "node_modules"}, entry.Name())) {
			return fs.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(name, suffix) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return err == nil
}

var (
	linkPattern    = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)
	headingPattern = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor    = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

func TestLinksLeadSomewhere(t *testing.T) {
	links := 0
	for _, d := range documents(t) {
		for _, link := range linkPattern.FindAllStringSubmatch(d.prose, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			links++
			target := path.Join(path.Dir(d.path), link[1])
			if link[1] == "" {
				target = d.path
			}
			if !exists(target) {
				t.Errorf("%s: %s leads nowhere", d.path, link[1])
			} else if link[2] != "" && !slices.Contains(anchors(t, target), link[2]) {
				t.Errorf("%s: %s has no heading #%s", d.path, target, link[2])
			}
		}
	}
	if links < 30 {
		t.Errorf("found %d links only", links)
	}
}

// anchors are the headings of a document as links name them.
func anchors(t *testing.T, name string) []string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, heading := range headingPattern.FindAllStringSubmatch(parse(name, string(raw)).prose, -1) {
		all = append(all, strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-"))
	}
	return all
}

var (
	filePattern     = regexp.MustCompile("`([a-z][\\w.-]*/[\\w./-]+\\.(?:go|proto|sql|tlb|tolk|md|txt|json|yml))`")
	testNamePattern = regexp.MustCompile("`(Test[A-Z]\\w+)`")
	testPattern     = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

func TestFilesAndTestsThatAreNamedAreThere(t *testing.T) {
	tests := map[string]bool{}
	for _, name := range sourceFiles(t, "_test.go") {
		raw, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range testPattern.FindAllStringSubmatch(string(raw), -1) {
			tests[found[1]] = true
		}
	}
	files, named := 0, 0
	for _, d := range documents(t) {
		for _, found := range filePattern.FindAllStringSubmatch(d.prose, -1) {
			files++
			if !exists(found[1]) {
				t.Errorf("%s: there is no %s", d.path, found[1])
			}
		}
		for _, found := range testNamePattern.FindAllStringSubmatch(d.prose, -1) {
			named++
			// STYLE.md has examples of good names.
			if !tests[found[1]] && d.path != "STYLE.md" {
				t.Errorf("%s: there is no test %s", d.path, found[1])
			}
		}
	}
	if files < 80 || named < 40 {
		t.Errorf("found the names of %d files and %d tests only", files, named)
	}
}

func TestWhatIsQuotedStandsInTheFile(t *testing.T) {
	quotes := 0
	for _, d := range documents(t) {
		for _, f := range d.fences {
			if f.of == "" {
				continue
			}
			quotes++
			raw, err := os.ReadFile(filepath.Join(root, f.of))
			if err != nil {
				t.Errorf("%s quotes %s: %v", d.path, f.of, err)
			} else if !strings.Contains("\n"+string(raw), "\n"+strings.TrimSuffix(f.text, "\n")+"\n") {
				t.Errorf("%s quotes %s, which does not say:\n%s", d.path, f.of, f.text)
			}
		}
	}
	if quotes < 15 {
		t.Errorf("found %d quotes only", quotes)
	}
}

// TestTheFileMapHasEveryPackage keeps the map in ARCHITECTURE.md whole.
func TestTheFileMapHasEveryPackage(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for _, name := range sourceFiles(t, ".go") {
		folder := path.Dir(name)
		if path.Dir(folder) == "docs/examples" || strings.Contains(folder, "testdata") {
			continue
		}
		packages++
		if !strings.Contains(string(raw), "\n| `"+folder+"` | ") {
			t.Errorf("the file map in ARCHITECTURE.md has no line for %s (%s)", folder, name)
		}
	}
	if packages < 100 {
		t.Errorf("found %d files only", packages)
	}
}

var (
	commandPattern = regexp.MustCompile(`(?:^|\s)(?:bin/|go run \./cmd/)?filature ([a-z]+)( [a-z][a-z-]*)?(.*)`)
	flagPattern    = regexp.MustCompile(`(?:^|\s)(--[a-z-]+)`)
	makePattern    = regexp.MustCompile(`(?:^|\s)make ([a-z]+)(?:\s|$)`)
	spanPattern    = regexp.MustCompile("`([^`\n]+)`")
)

func TestCommandsThatAreShownExist(t *testing.T) {
	helpOf := builtHelp(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, d := range documents(t) {
		for _, line := range commandLines(d) {
			if command := commandPattern.FindStringSubmatch(line); command != nil {
				shown++
				name := command[1] + command[2] // config check
				if _, two := helpOf[name]; !two {
					name = command[1]
				}
				help, known := helpOf[name]
				if !known && !isGroup(helpOf, name) {
					t.Errorf("%s: there is no command %q: %s", d.path, name, line)
				}
				for _, flag := range flagPattern.FindAllStringSubmatch(command[3], -1) {
					if known && flag[1] != "--help" && !slices.Contains(flagsOf(help), flag[1]) {
						t.Errorf("%s: %s has no flag %s: %s", d.path, name, flag[1], line)
					}
				}
			}
			if target := makePattern.FindStringSubmatch(line); target != nil {
				shown++
				if !strings.Contains(string(makefile), "\n"+target[1]+":") {
					t.Errorf("%s: there is no make %s", d.path, target[1])
				}
			}
		}
	}
	if shown < 40 {
		t.Errorf("found %d commands only", shown)
	}
}

// isGroup tells whether a name stands for several commands, as poison does for poison list and poison replay.
func isGroup(helpOf map[string]string, name string) bool {
	for command := range helpOf {
		if strings.HasPrefix(command, name+" ") {
			return true
		}
	}
	return false
}

// TestEachCommandAndFlagIsExplained reads docs/commands.md as somebody who looks a flag up.
func TestEachCommandAndFlagIsExplained(t *testing.T) {
	raw, err := os.ReadFile("commands.md")
	if err != nil {
		t.Fatal(err)
	}
	for command, help := range builtHelp(t) {
		_, section, found := strings.Cut(string(raw), "\n## filature "+command+"\n")
		if !found {
			t.Errorf("docs/commands.md says nothing of %s", command)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		for _, flag := range flagsOf(help) {
			if flag != "--help" && !strings.Contains(section, "\n| `"+flag+"`") {
				t.Errorf("docs/commands.md does not explain %s of %s", flag, command)
			}
		}
	}
}

// commandLines are the lines of shell blocks, and what stands between backticks.
func commandLines(d document) []string {
	var lines []string
	for _, f := range d.fences {
		if f.language == "sh" {
			lines = append(lines, strings.Split(f.text, "\n")...)
		}
	}
	for _, span := range spanPattern.FindAllStringSubmatch(d.prose, -1) {
		if strings.HasPrefix(span[1], "make ") || strings.HasPrefix(span[1], "filature ") {
			lines = append(lines, span[1])
		}
	}
	return lines
}

var listedPattern = regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z][a-z-]*)?)  `)

// builtHelp builds the program and asks it for the help of each of its commands.
func builtHelp(t *testing.T) map[string]string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "filature")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/filature")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	help := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), program, append(args, "--help")...).Output()
		if err != nil {
			t.Fatalf("%v --help: %v", args, err)
		}
		return string(out)
	}
	all := map[string]string{}
	for _, command := range listedPattern.FindAllStringSubmatch(help(), -1) {
		all[command[1]] = help(strings.Fields(command[1])...)
	}
	if len(all) < 7 {
		t.Fatalf("the program lists %d commands only", len(all))
	}
	return all
}

var flagLinePattern = regexp.MustCompile(`(?m)^ +(?:-\w, +)?(--[a-z-]+)`)

func flagsOf(help string) []string {
	_, flags, _ := strings.Cut(help, "\nFlags:\n")
	var all []string
	for _, flag := range flagLinePattern.FindAllStringSubmatch(flags, -1) {
		all = append(all, flag[1])
	}
	return all
}
