package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/workers/auditor"
)

// asProgram has the test binary be the program, so that it can be killed.
const asProgram = "FILATURE_TEST_AS_PROGRAM"

// killed runs an audit as a process of its own and ends it with SIGKILL when it is told to. Where it was over before, it
// returns what it said.
func killed(t *testing.T, when func(ctx context.Context), args ...string) (stdout []byte, over bool) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	command.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+t.TempDir()) // who is killed tidies nothing up
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, ended := context.WithCancel(t.Context())
	killer := make(chan struct{})
	go func() {
		defer close(killer)
		if when(ctx); ctx.Err() == nil {
			_ = command.Process.Kill() // it may be over by now
		}
	}()
	err := command.Wait()
	ended()
	<-killer
	if exit, is := errors.AsType[*exec.ExitError](err); is && !exit.Exited() {
		return nil, false
	}
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	return out.Bytes(), true
}

// whenThere waits for a file to be there, and looks a thousand times a second.
func whenThere(path string) func(context.Context) {
	return func(ctx context.Context) {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			if _, err := os.Stat(path); err == nil {
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

func after(wait time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// undisturbed is a report, but for what it took from earlier runs, and whether that was anything.
func undisturbed(t *testing.T, raw []byte) (report string, resumed bool) {
	t.Helper()
	var r auditor.Report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	resumed, r.Resumed = r.Resumed != nil, nil
	again, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(again), resumed
}

// TestAnAuditThatIsKilledGoesOnToTheSameReport kills an audit with SIGKILL where it has saved something for the first time,
// where it folds tables, and at moments that a seed decides.
func TestAnAuditThatIsKilledGoesOnToTheSameReport(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	began := time.Now()
	whole, over := killed(t, func(ctx context.Context) { <-ctx.Done() }, "audit", "--data", folder, "--json")
	took := time.Since(began)
	want, resumed := undisturbed(t, whole)
	if !over || resumed {
		t.Fatalf("an audit that nobody disturbed took over something: %s", whole)
	}
	for seed := range uint64(3) {
		dir := filepath.Join(t.TempDir(), "state")
		lots := rand.New(rand.NewPCG(seed, 5))
		places := []func(context.Context){
			whenThere(filepath.Join(dir, "audit.json")), whenThere(filepath.Join(dir, projectionFile+"-wal")),
			after(time.Duration(lots.Int64N(int64(took)))), after(time.Duration(lots.Int64N(int64(took)))),
			func(ctx context.Context) { <-ctx.Done() },
		}
		for run, when := range places {
			raw, over := killed(t, when, "audit", "--data", folder, "--json", "--resume", dir)
			if !over {
				continue
			}
			have, resumed := undisturbed(t, raw)
			if have != want {
				t.Fatalf("seed %d: after %d runs the report is\n%s\nwant\n%s", seed, run+1, have, want)
			}
			t.Logf("seed %d: run %d came to the end, with something taken over: %t", seed, run+1, resumed)
			break
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder is left behind when the audit is over: %v", err)
		}
	}
}

func TestAnInterruptedAuditSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	folder, dir := sharedDemo.folder(t), filepath.Join(t.TempDir(), "state")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	invokeWith(ctx, "audit", "--data", folder).want(t, exitUnfinished, "nothing was kept", "--resume FOLDER")
	invokeWith(ctx, "audit", "--data", folder, "--resume", dir).want(t, exitUnfinished, "the same command goes on", dir)
	invoke(t, "audit", "--data", folder, "--resume", dir).want(t, exitOK, "Verdict: PASS")
}

func TestAStateThatDoesNotFitIsRefusedWithAWayOut(t *testing.T) {
	t.Parallel()
	folder, dir := sharedDemo.folder(t), t.TempDir()
	state := filepath.Join(dir, "audit.json")
	if err := os.WriteFile(state, []byte(`{"progress":{},"sha256":"00"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	said := invoke(t, "audit", "--data", folder, "--resume", dir).want(t, exitUsage, "--resume "+dir, "remove the folder")
	if strings.Contains(said.stdout, "Verdict") {
		t.Error("there is a verdict all the same")
	}
	if _, err := os.Stat(state); err != nil {
		t.Errorf("the state is gone: %v", err)
	}
}
