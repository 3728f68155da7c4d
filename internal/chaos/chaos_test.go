package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestABrokerAClerkAndAZombieLoseNothing is make chaos in a minute: three real brokers, three disturbances, and the
// same questions afterwards. The plan says what has to come out, so there is no undisturbed run.
func TestABrokerAClerkAndAZombieLoseNothing(t *testing.T) {
	program := filepath.Join(t.TempDir(), "filature")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/filature").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	s, err := startServers()
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	const replaced = 8 * time.Second // a session of 6 s, and some for the others to share its shards
	strikes := []strike{
		{Kind: killBroker, Down: time.Second}, // and while it is away:
		{Kind: killClerk, Alone: true, Down: replaced},
		{Kind: freezeClerk, Alone: true, Down: replaced},
	}
	o, err := perform(t.Context(), t.Output(), s, program, t.TempDir(), "short", 7, slicesFor(strikes), strikes)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range o.wrong {
		t.Error(wrong)
	}
	if err := printTables(t.Output(), o, nil); err != nil {
		t.Error(err)
	}
}
