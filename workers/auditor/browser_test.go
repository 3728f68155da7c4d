package auditor_test

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
	"testing"
)

// browser is a real Chromium without a window, spoken to over a pipe in the DevTools protocol. One goroutine owns it.
type browser struct {
	t       *testing.T
	to      io.Writer
	from    *bufio.Reader
	session string
	last    int
	// What happened on the page so far.
	console, requests []string
	loads             int
}

type devtools struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// openBrowser starts Chromium, which .ci/packages installs, with one empty page, and ends it with the test.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	chromium := exec.CommandContext(context.WithoutCancel(t.Context()), "chromium",
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
	b := &browser{t: t, to: ours, from: bufio.NewReader(answers)}
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
func (b *browser) do(method string, params, result any) {
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

func (b *browser) next() devtools {
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
		b.console = append(b.console, string(message.Params))
	case "Network.requestWillBeSent":
		var sent struct {
			Request struct {
				URL string `json:"url"`
			} `json:"request"`
		}
		if err := json.Unmarshal(message.Params, &sent); err != nil {
			b.t.Fatal(err)
		}
		b.requests = append(b.requests, sent.Request.URL)
	case "Page.loadEventFired":
		b.loads++
	}
	return message
}

// open shows a page, on a screen of some width, and waits until all of it is there.
func (b *browser) open(html []byte, width int, scheme string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "report.html")
	if err := os.WriteFile(file, html, 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	b.console, b.requests = nil, nil
	before := b.loads
	b.do("Page.navigate", map[string]any{"url": "file://" + file}, nil)
	for b.loads == before {
		b.next()
	}
}

// ask evaluates an expression on the page.
func (b *browser) ask(expression string, answer any) {
	b.t.Helper()
	var got struct {
		Result struct{ Value json.RawMessage }
	}
	b.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &got)
	if err := json.Unmarshal(got.Result.Value, answer); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// shoot writes what the page looks like, top to bottom.
func (b *browser) shoot(file string) error {
	var shot struct{ Data []byte }
	b.do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	if err := os.WriteFile(file, shot.Data, 0o600); err != nil {
		return fmt.Errorf("screenshot: %w", err)
	}
	return nil
}
