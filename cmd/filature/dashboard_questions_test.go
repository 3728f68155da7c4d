package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filature/filature/internal/browser"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

const (
	dashboardFolder = "../../adapters/dashboard"
	// pageQuestions has what each page asks. BenchmarkQuestions of internal/rig asks it of ten million jobs.
	pageQuestions = dashboardFolder + "/testdata/questions.txt"
)

// noteQuestions notes what a page asks until it shows itself, in the order in which it does. Until then its clock stands still,
// so that there is one answer to how long ago the times are that it asks for.
const noteQuestions = `(() => {
	const clock = Date.now, ask = window.fetch, openedMs = clock();
	const shown = () => document.querySelector("main h1");
	window.noted = {OpenedMs: openedMs, Questions: []};
	Date.now = () => (shown() ? clock() : openedMs);
	window.fetch = (url, options) => {
		const [, method] = url.split("/filature.query.v1.");
		if (method && !shown()) window.noted.Questions.push({Method: method, Body: options.body});
		return ask(url, options);
	};
})()`

// questionsOf are what the page that is open has asked, a line each: the method and its request in JSON. In place of what
// is another in each run stands a name: "{provider}" for the id of the one that the page is of; "{hour-47}" and "{day-29}" for when an
// hour or a day of UTC began, the one under way less so many. The position that a question is to be answered from is left out:
// each has that of the answers before it.
func questionsOf(t *testing.T, b *browser.Browser, page dashboardPage) string {
	t.Helper()
	var noted struct {
		OpenedMs  int64
		Questions []struct{ Method, Body string }
	}
	b.Ask("noted", &noted)
	var lines strings.Builder
	for _, q := range noted.Questions {
		decoder := json.NewDecoder(strings.NewReader(q.Body))
		decoder.UseNumber()
		var request map[string]any
		if err := decoder.Decode(&request); err != nil {
			t.Fatalf("%s asks %s with %s: %v", page.name, q.Method, q.Body, err)
		}
		delete(request, "reading")
		byDay := strings.Contains(q.Body, `"USAGE_COLUMN_DAY"`)
		for field, value := range request {
			switch of := fmt.Sprint(value); {
			case strings.HasSuffix(field, "Ms"):
				request[field] = timeName(t, of, noted.OpenedMs, byDay)
			case of == path.Base(page.path):
				request[field] = "{" + page.name + "}"
			}
		}
		body, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "\t%s %s\n", q.Method, body)
	}
	return lines.String()
}

// timeName is the name of a time. At eleven in the evening the same is the beginning of a day and of an hour that is whole days
// ago: who asks by day means the day.
func timeName(t *testing.T, ms string, nowMs int64, byDay bool) string {
	t.Helper()
	var at int64
	if _, err := fmt.Sscan(ms, &at); err != nil {
		t.Fatalf("a time is %q: %v", ms, err)
	}
	name, width := "hour", int64(projections.HourMs)
	if byDay {
		name, width = "day", projections.DayMs
	}
	if at%width != 0 {
		return ms // none of the times that pages ask for
	}
	return fmt.Sprintf("{%s-%d}", name, (nowMs-nowMs%width-at)/width)
}

// checkQuestions compares what pages have asked with what they are known to ask. Every page that the dashboard has is there.
func checkQuestions(t *testing.T, pages []dashboardPage, asked map[string]string) {
	t.Helper()
	scripts, err := filepath.Glob(dashboardFolder + "/static/js/pages/*.js")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d pages: %v", len(scripts), err)
	}
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".js")
		if !slices.ContainsFunc(pages, func(p dashboardPage) bool { return p.name == name }) {
			t.Errorf("nobody opens the page %q", name)
		}
	}
	var text bytes.Buffer
	for _, page := range pages {
		fmt.Fprintf(&text, "%s\n%s", page.name, asked[page.name])
	}
	if *update {
		if err := os.WriteFile(pageQuestions, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(pageQuestions)
	if err != nil {
		t.Fatalf("%v (go test ./cmd/filature -run TheDashboardShows -update makes it)", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(text.String(), "\n")); diff != "" {
		t.Errorf("pages ask something else; if you meant that: go test ./cmd/filature -run TheDashboardShows -update\n%s", diff)
	}
}

// TestTimesThatPagesAskForHaveTheSameNamesAtAnyHour: what is written down in the morning is compared in the evening.
func TestTimesThatPagesAskForHaveTheSameNamesAtAnyHour(t *testing.T) {
	t.Parallel()
	const hourMs, dayMs = int64(projections.HourMs), int64(projections.DayMs)
	for hour := range int64(24) {
		for _, within := range []int64{0, 1, hourMs - 1} {
			nowMs := projectionstest.StartMs + hour*hourMs + within
			for name, ms := range map[string]int64{
				"{hour-23}": nowMs - nowMs%hourMs - 23*hourMs, "{hour-47}": nowMs - nowMs%hourMs - 47*hourMs, "{day-29}": nowMs - nowMs%dayMs - 29*dayMs,
			} {
				if named := timeName(t, fmt.Sprint(ms), nowMs, strings.HasPrefix(name, "{day")); named != name {
					t.Errorf("%d ms into hour %d: %s is named %s", within, hour, name, named)
				}
			}
		}
	}
}
