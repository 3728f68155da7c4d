// Command follow shows how a client's backend follows completions over HTTP: it adds up what each account spent. It keeps its
// place in a file, so after a crash the last completion may come again, and is told by its position.
//
//	follow -api http://127.0.0.1:8420 -place place -count 10
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/sdk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "follow:", err)
		os.Exit(1) //nolint:forbidigo,gocritic // this is main, and what stop gives back ends with the process
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("follow", flag.ContinueOnError)
	api := flags.String("api", "http://127.0.0.1:8420", "where completions are told")
	place := flags.String("place", "", "file that keeps how far we are")
	count := flags.Int("count", 0, "end after so many; 0 goes on for ever")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	told, spent := 0, int64(0)
	err := sdk.Follow(ctx, sdk.FollowConfig{
		API: *api, FromStart: true, Cursor: sdk.FileCursor(*place),
		Trouble: func(err error) { fmt.Fprintln(os.Stderr, err) }, // it connects again by itself
	}, func(_ context.Context, c sdk.Completion) error {
		spent += c.ChargeNano // a real one keeps this, and c.Cursor, in one transaction of its database
		fmt.Fprintf(out, "%s at %s: %d nanotons\n", c.Outcome, stream.PositionOf(c.Position), c.ChargeNano)
		if told++; told == *count {
			done()
		}
		return nil
	})
	fmt.Fprintf(out, "%d completions, %d nanotons\n", told, spent)
	return err
}
