// Command run starts the servers that tests need, runs a command with their addresses in its environment,
// and stops them: scripts/with-services.sh go test ./...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/filature/filature/internal/services"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := services.With(ctx, os.Args[1:])
	stop()
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = max(exit.ExitCode(), 1) // -1 if a signal ended it
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // this is main
}
