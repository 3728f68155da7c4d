package browser

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// installPatience is how long npm may take.
const installPatience = 3 * time.Minute

// Violation is a rule of accessibility that a page breaks.
type Violation struct {
	ID, Impact, Help string
	Nodes            []string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s (%s): %s: %s", v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "; "))
}

// Violations returns what axe-core finds on the page: the rules of WCAG 2.2 A and AA, and its own best practices.
func (b *Browser) Violations() []Violation {
	b.t.Helper()
	var loaded bool
	if b.Ask("typeof axe !== 'undefined'", &loaded); !loaded {
		b.Ask(axe(b.t)+"\n;undefined", nil)
	}
	var found []Violation
	b.Ask(`axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations.map((v) => ({
		ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + " " + (n.failureSummary ?? "")),
	})))`, &found)
	return found
}

// Shifts returns how far what was on the screen has moved by itself since the page was opened: the sum of the scores of
// the Layout Instability API.
func (b *Browser) Shifts() float64 {
	b.t.Helper()
	var sum float64
	b.Ask(`new Promise((done) => {
		let sum = 0;
		const add = (list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) sum += e.value; };
		new PerformanceObserver(add).observe({type: "layout-shift", buffered: true});
		requestAnimationFrame(() => setTimeout(() => done(sum), 0));
	})`, &sum)
	return sum
}

//go:embed package-lock.json
var lock []byte

// axe returns axe-core's source. npm brings it, at the version and with the digest that package-lock.json says.
func axe(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(moduleFolder(t), "internal/browser")
	const name = "node_modules/axe-core"
	type npmPackage struct {
		Version string `json:"version"`
	}
	var have npmPackage
	var pinned struct {
		Packages map[string]npmPackage `json:"packages"`
	}
	if err := json.Unmarshal(lock, &pinned); err != nil {
		t.Fatal(err)
	}
	installed, err := os.ReadFile(filepath.Join(folder, name, "package.json"))
	if err != nil || json.Unmarshal(installed, &have) != nil || have.Version != pinned.Packages[name].Version {
		ctx, cancel := context.WithTimeout(t.Context(), installPatience)
		defer cancel()
		npm := exec.CommandContext(ctx, "npm", "ci", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund") //nolint:gosec // our own folder
		said, err := npm.CombinedOutput()
		if err != nil {
			t.Fatalf("install axe-core: npm ci: %v\n%s", err, said)
		}
	}
	source, err := os.ReadFile(filepath.Join(folder, name, "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// moduleFolder is the folder of go.mod, above the one that a test runs in.
func moduleFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	for err == nil {
		if _, none := os.Stat(filepath.Join(folder, "go.mod")); none == nil {
			return folder
		}
		if folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	t.Fatalf("no go.mod above the test's folder: %v", err)
	return ""
}
