package services

import (
	"context"
	"os/exec"
	"syscall"
)

// leash is a shell that waits for the end of its input, which is ours: when we let go, or this process
// ends in whatever way, it kills each process whose number stands in <folder>/*/pid, and removes the folder
// unless somebody wants to find it again.
type leash struct {
	shell *exec.Cmd
	let   func() error
}

// What becomes of the folder.
const (
	thrownAway = "throw away"
	kept       = "keep"
)

func newLeash(folder, afterwards string) (*leash, error) {
	const script = `read -r _
cat "$1"/*/pid 2>/dev/null | xargs -r kill -9 2>/dev/null
[ "$2" = keep ] && exit
rm -rf "$1" 2>/dev/null || { sleep 1; rm -rf "$1"; }` // a server's children may need a moment to notice
	shell := exec.CommandContext(context.Background(), "/bin/sh", "-c", script, "sh", folder, afterwards) //nolint:gosec // a folder that we made
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true}                                                // what is typed at the terminal is for us
	input, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	return &leash{shell, input.Close}, nil
}

func (l *leash) release() {
	_ = l.let()
	_ = l.shell.Wait() // how the servers ended says nothing about the test
}
