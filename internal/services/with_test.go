package services_test

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNoServerOutlivesWhoStartedIt, even if that one is killed and can clean up nothing.
func TestNoServerOutlivesWhoStartedIt(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "run")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./run").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	// The command says where the server is, and ends when we close its input.
	run := exec.CommandContext(t.Context(), program, "sh", "-c", `echo "$FILATURE_KAFKA"; exec cat`)
	temporary := t.TempDir()
	run.Env = append(os.Environ(), "FILATURE_KAFKA=", "FILATURE_POSTGRES=postgres://not-needed", "TMPDIR="+temporary)
	input, err := run.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	output, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("it did not start: %v", err)
	}
	address := strings.TrimSpace(line)
	if !answers(t.Context(), address) {
		t.Errorf("no server at %s", address)
	}
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = input.Close()
	_ = run.Wait() // it was killed
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(20 * time.Second)
	for {
		left, err := os.ReadDir(temporary)
		if err != nil {
			t.Fatal(err)
		}
		alive := answers(t.Context(), address)
		if !alive && len(left) == 0 {
			return
		}
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("after its starter was killed the server answers: %v, and left %v", alive, left)
		}
	}
}

func answers(ctx context.Context, address string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
