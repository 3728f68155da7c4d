package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// sharedRun is a demo that many tests look at: it is run once, when the first of them asks.
type sharedRun struct {
	args []string // of demo

	once   sync.Once
	dir    string
	said   answer
	result demoResult
}

var (
	sharedDemo  = sharedRun{args: []string{"--jobs", "300"}}
	sharedTrace = sharedRun{args: []string{"--trace", traceFile(), "--seed", "3"}}
)

// folder is the demo's data. Who wants to change it, or to serve it, takes a copy.
func (d *sharedRun) folder(t *testing.T) string {
	t.Helper()
	return d.ended(t).Data
}

func (d *sharedRun) copied(t *testing.T) string {
	t.Helper()
	return mustCopy(t, d.folder(t))
}

// ended is how the demo ended.
func (d *sharedRun) ended(t *testing.T) *demoResult {
	t.Helper()
	d.once.Do(func() {
		dir, err := os.MkdirTemp("", "filature-test-") //nolint:usetesting // it outlives the test that comes first
		if err != nil {
			t.Fatal(err)
		}
		d.dir = dir
		args := append([]string{"demo", "--json", "--data", filepath.Join(dir, "data")}, d.args...)
		d.said = invokeWith(context.WithoutCancel(t.Context()), args...)
		if d.said.code == exitOK {
			d.result = decoded[demoResult](t, d.said)
		}
	})
	d.said.want(t, exitOK)
	return &d.result
}

// onServers runs the same demo on Kafka and PostgreSQL, and returns how both ended.
func (d *sharedRun) onServers(t *testing.T) (embedded, production *demoResult) {
	t.Helper()
	s := newSite(t)
	args := append([]string{"demo", "--json", "--production", "--config", s.config(t), "--data", filepath.Join(s.dir, "servers")}, d.args...)
	there := decoded[demoResult](t, invoke(t, args...).want(t, exitOK))
	return d.ended(t), &there
}

// removeShared takes away what the shared demos have left.
func removeShared() {
	for _, d := range []*sharedRun{&sharedDemo, &sharedTrace} {
		if d.dir != "" {
			_ = os.RemoveAll(d.dir) // it is in the machine's temporary folder
		}
	}
}
