package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// process is one life of a program, in a group of its own.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	err     error // of Wait; when ended is closed
}

// begin starts a program. What it writes goes to the output, and each line of it to hear, in its order.
func begin(ctx context.Context, output io.Writer, hear func(line []byte), env []string, program string, args ...string) (*process, error) {
	// Without the cancellation: whoever ends a run ends its processes, one by one.
	command := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	command.Env = env
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	heard := io.MultiWriter(output, &lines{hear: hear})
	command.Stdout, command.Stderr = heard, heard // which makes them one pipe
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &process{command: command, ended: make(chan struct{})}
	go func() { // ends with the process; whoever ends it waits for it
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) signal(signal os.Signal) {
	_ = p.command.Process.Signal(signal) // it may have ended just now, which its keeper sees
}

// lines cuts what is written to it into lines. The last one, without an end, is lost: its writer was killed.
type lines struct {
	hear func(line []byte)
	rest []byte
}

func (l *lines) Write(text []byte) (int, error) {
	l.rest = append(l.rest, text...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(text), nil
		}
		l.hear(line)
		l.rest = rest
	}
}
