package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/filature/filature/internal/workload"
)

const (
	// startLimit is how long the program may take to be ready; it takes about a second.
	startLimit = 30 * time.Second
	// endLimit is how long it may take to end when it is told to: its own grace is ten seconds.
	endLimit = 15 * time.Second
	lookAt   = 5 * time.Millisecond
	// paceUpTo is waited at random between two requests of a lane, so that a slice lasts about as long as a life.
	paceUpTo = 80 * time.Millisecond
)

// victim is the program under test: at most one process at a time, in a group of its own. Its methods
// but url are for one goroutine.
type victim struct {
	program, data string
	output        *os.File // all that all processes wrote

	process *process
	repairs int // torn ends that were cut off

	mu      sync.Mutex
	address string // of the process that serves now; empty if none does
}

// process is one life of the victim.
type process struct {
	command *exec.Cmd
	read    sync.WaitGroup // the goroutine that reads its log
	ended   chan struct{}
	err     error // of Wait; when ended is closed
}

// url is where the program serves now, empty if it does not.
func (v *victim) url() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.address == "" {
		return ""
	}
	return "http://" + v.address
}

func (v *victim) serveAt(address string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.address = address
}

// start begins a life. Times are the shortest that there are, so that money matures, is sealed and is paid
// within seconds, while the kills go on.
func (v *victim) start(ctx context.Context) error {
	// Without the cancellation: a run that is broken off kills the program by slay, its whole group.
	command := exec.CommandContext(context.WithoutCancel(ctx), v.program, "serve", "--data", v.data, "--listen", "127.0.0.1:0",
		"--shards", fmt.Sprint(workload.DataShards), "--dispute-window", "1s", "--bucket", "1s", "--threshold", "0.000000001",
		"--batch-every", "1s", "--delay", "1s", "--verbose")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stderr, err := command.StderrPipe()
	if err != nil {
		return err
	}
	command.Stdout = v.output
	if err := command.Start(); err != nil {
		return err
	}
	p := &process{command: command, ended: make(chan struct{})}
	p.read.Go(func() { v.listen(stderr) })
	go func() { // ends with the process; kill and end wait for it
		p.read.Wait()
		p.err = command.Wait()
		close(p.ended)
	}()
	v.process = p
	return nil
}

// listen reads the program's log, one JSON object a line, until it ends.
func (v *victim) listen(log io.Reader) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(v.output, lines.Text())
		var line struct {
			Msg     string `json:"msg"`
			Address string `json:"address"`
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // an error that ends the program is a plain line
		}
		switch {
		case line.Msg == "serving":
			v.serveAt(line.Address)
		case strings.HasPrefix(line.Msg, "torn end"):
			v.mu.Lock()
			v.repairs++
			v.mu.Unlock()
		}
	}
	v.serveAt("")
}

// errDied: the program ended, and nobody had told it to.
var errDied = errors.New("the program ended by itself")

// awaitReady waits until the program takes reports.
func (v *victim) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		if url := v.url(); url != "" {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
			if err != nil {
				return err
			}
			if response, err := http.DefaultClient.Do(request); err == nil {
				_ = response.Body.Close()
				if response.StatusCode == http.StatusOK {
					return nil
				}
			}
		}
		if err := v.rest(ctx, lookAt); err != nil {
			return fmt.Errorf("wait for the program to be ready: %w", err)
		}
	}
}

// rest waits while the program lives.
func (v *victim) rest(ctx context.Context, d time.Duration) error {
	select {
	case <-v.process.ended:
		return errors.Join(errDied, v.process.err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// kill lets the program live up to the moment, and kills it. It tells false where the program had ended,
// as it was told, before it could be killed.
func (v *victim) kill(ctx context.Context, k kill) (bool, error) {
	if k.Moment == underLoad || k.Moment == inShutdown {
		if err := v.awaitReady(ctx); err != nil {
			return false, err
		}
	}
	if err := v.rest(ctx, k.After); err != nil {
		return false, err
	}
	if k.Moment == inShutdown {
		if err := v.process.command.Process.Signal(syscall.SIGTERM); err != nil {
			return false, err
		}
		select {
		case <-v.process.ended:
		case <-time.After(k.Grace):
		}
	}
	select {
	case <-v.process.ended:
		if v.process.err != nil {
			return false, fmt.Errorf("told to end, the program failed: %w", v.process.err)
		}
		return false, nil
	default:
	}
	v.slay()
	return true, nil
}

// slay ends the program's process group at once, if it lives.
func (v *victim) slay() {
	if v.process == nil {
		return
	}
	select {
	case <-v.process.ended:
	default:
		_ = syscall.Kill(-v.process.command.Process.Pid, syscall.SIGKILL) // it may have ended just now
		<-v.process.ended
	}
}

// end tells the program to end, and wants it to do so in time and with exit code 0.
func (v *victim) end() error {
	if err := v.process.command.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-v.process.ended:
	case <-time.After(endLimit):
		return fmt.Errorf("told to end, the program went on for %s", endLimit)
	}
	if v.process.err != nil {
		return fmt.Errorf("told to end, the program failed: %w", v.process.err)
	}
	return nil
}
