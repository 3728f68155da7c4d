// Package browser knows how to show a page to a real browser, for tests: Chromium without a window, which .ci/packages
// installs, spoken to over a pipe in the DevTools protocol.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a page may take to become what a test waits for, on a machine that is busy with others.
const patience = 60 * time.Second

// Browser is one browser with one page. One goroutine owns it.
type Browser struct {
	t       *testing.T
	to      io.Writer
	from    *bufio.Reader
	session string
	last    int
	loads   int

	// Console is what scripts, and the browser about them, said since the page was opened; Requests is what the page asked for.
	Console, Requests []string
}

// Screen is what a page is shown on.
type Screen struct {
	Width  int    // pixels; below 600 it is a phone
	Scheme string // "light", "dark"
}

func (s Screen) String() string { return fmt.Sprintf("%d-%s", s.Width, s.Scheme) }

type devtools struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// Open starts a browser with an empty page, and ends it with the test.
func Open(t *testing.T) *Browser {
	t.Helper()
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	chromium := exec.CommandContext(context.WithoutCancel(t.Context()), "chromium", //nolint:gosec // the folder is the test's own
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--hide-scrollbars", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	chromium.ExtraFiles = []*os.File{theirs, theirAnswers}
	var said bytes.Buffer
	chromium.Stderr = &said
	if err := chromium.Start(); err != nil {
		t.Fatalf("start Chromium (.ci/packages installs it): %v", err)
	}
	for _, file := range []*os.File{theirs, theirAnswers} {
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	b := &Browser{t: t, to: ours, from: bufio.NewReader(answers)}
	t.Cleanup(func() {
		b.do("Browser.close", nil, nil)
		_ = chromium.Wait() // how it ends is no claim of ours
		if err := ours.Close(); err != nil {
			t.Error(err)
		}
		if err := answers.Close(); err != nil {
			t.Error(err)
		}
	})
	var target struct{ TargetID, SessionID string }
	b.do("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	b.do("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	b.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.do(domain+".enable", nil, nil)
	}
	return b
}

// do gives a command, waits for its answer, and notes what happens meanwhile.
func (b *Browser) do(method string, params, result any) {
	b.t.Helper()
	b.last++
	command := map[string]any{"id": b.last, "method": method}
	if params != nil {
		command["params"] = params
	}
	if b.session != "" && method != "Browser.close" {
		command["sessionId"] = b.session
	}
	raw, err := json.Marshal(command)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(raw, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		message := b.next()
		if message.ID != b.last {
			continue
		}
		if message.Error != nil {
			b.t.Fatalf("%s: %s", method, message.Error)
		}
		if result != nil {
			if err := json.Unmarshal(message.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

func (b *Browser) next() devtools {
	b.t.Helper()
	raw, err := b.from.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("Chromium went away: %v", err)
	}
	var message devtools
	if err := json.Unmarshal(raw[:len(raw)-1], &message); err != nil {
		b.t.Fatal(err)
	}
	switch message.Method {
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded":
		b.Console = append(b.Console, string(message.Params))
	case "Network.requestWillBeSent":
		var sent struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		if err := json.Unmarshal(message.Params, &sent); err != nil {
			b.t.Fatal(err)
		}
		if !strings.HasPrefix(sent.Request.URL, "data:") { // nobody is asked: the icon of a date's field, for one
			b.Requests = append(b.Requests, sent.Request.URL)
		}
	case "Page.loadEventFired":
		b.loads++
	}
	return message
}

// ShowHTML shows a page that is in no server.
func (b *Browser) ShowHTML(html []byte, screen Screen) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "page.html")
	if err := os.WriteFile(file, html, 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.Show("file://"+file, screen)
}

// BeforeEach has every page that is opened from now on run a script before its own.
func (b *Browser) BeforeEach(script string) {
	b.t.Helper()
	b.do("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": script}, nil)
}

// Show opens an address, and waits until all that its page names is there. What scripts fetch then comes later: see Until.
func (b *Browser) Show(url string, screen Screen) {
	b.t.Helper()
	b.Resize(screen)
	b.Console, b.Requests = nil, nil
	before := b.loads
	b.do("Page.navigate", map[string]any{"url": url}, nil)
	for b.loads == before {
		b.next()
	}
}

// Resize shows the page that is open on another screen.
func (b *Browser) Resize(screen Screen) {
	b.t.Helper()
	b.resize(screen.Width, 900)
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": screen.Scheme}}}, nil)
}

func (b *Browser) resize(width, height int) {
	b.t.Helper()
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
}

// Ask evaluates an expression on the page, waits for it if it is a promise, and puts its value into answer, unless that is
// nil.
func (b *Browser) Ask(expression string, answer any) {
	b.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true}, &got)
	if got.ExceptionDetails != nil {
		b.t.Fatalf("%.200s: %s", expression, got.ExceptionDetails)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(got.Result.Value, answer); err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
}

// Until waits until an expression on the page is true.
func (b *Browser) Until(expression string) {
	b.t.Helper()
	var held bool
	b.Ask(fmt.Sprintf(`new Promise((done) => {
		const end = Date.now() + %d;
		const look = () => ((%s) ? done(true) : Date.now() > end ? done(false) : setTimeout(look, 20));
		look();
	})`, patience.Milliseconds(), expression), &held)
	if !held {
		var seen string
		b.Ask("document.body.innerText.slice(0, 1500)", &seen)
		b.t.Fatalf("not so after %s: %s\nthe page says:\n%s\nthe console: %s", patience, expression, seen, b.Console)
	}
}

// Click waits for a button or a link whose first line is what it is called by, and which can be clicked, and clicks it.
func (b *Browser) Click(called string) {
	b.t.Helper()
	found := fmt.Sprintf(`[...document.querySelectorAll("button, a")].find(
		(e) => e.innerText.split("\n")[0] === %q && !e.disabled && e.checkVisibility())`, called)
	b.Until(found)
	b.Ask(found+".click()", nil)
}

// Press presses a key, as a person would: "Tab", "Enter", "Escape", or a character.
func (b *Browser) Press(key string) {
	b.t.Helper()
	params := map[string]any{"type": "keyDown", "key": key, "code": key}
	switch key {
	case "Tab":
		params["windowsVirtualKeyCode"] = 9
	case "Enter":
		params["windowsVirtualKeyCode"], params["text"] = 13, "\r"
	case "Escape":
		params["windowsVirtualKeyCode"] = 27
	default:
		params["text"] = key
	}
	b.do("Input.dispatchKeyEvent", params, nil)
	b.do("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key}, nil)
}

// Shoot writes what the page looks like, top to bottom.
func (b *Browser) Shoot(file string) error {
	var size struct{ Width, Height int }
	b.Ask(`({Width: innerWidth, Height: document.documentElement.scrollHeight})`, &size)
	b.resize(size.Width, size.Height)
	var shot struct{ Data []byte }
	b.do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	if err := os.WriteFile(file, shot.Data, 0o600); err != nil {
		return fmt.Errorf("screenshot: %w", err)
	}
	return nil
}
