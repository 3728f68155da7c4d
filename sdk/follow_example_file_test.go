package sdk_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/filature/filature/sdk"
)

// A program that only wants to see what comes, and remembers where it was in a file. What it was told and had not
// stored when it died, it is told again.
func ExampleFollow_file() {
	folder, err := os.MkdirTemp("", "cursor") // a real one stays
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	ctx, done := context.WithCancel(context.Background())
	err = sdk.Follow(ctx, sdk.FollowConfig{
		API:       "http://127.0.0.1:8420",
		Cursor:    sdk.FileCursor(filepath.Join(folder, "cursor")),
		FromStart: true,
		HTTP:      &http.Client{Transport: newServer(2)}, // plays the server; leave it out
	}, func(_ context.Context, c sdk.Completion) error {
		fmt.Printf("%s for %d nanotons, at %d/%d\n", c.Outcome, c.ChargeNano, c.Position.Shard, c.Position.Offset)
		if c.Position.Offset == 1 {
			done() // a real one goes on for ever
		}
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// OUTCOME_COMPLETED for 100 nanotons, at 1/0
	// OUTCOME_COMPLETED for 101 nanotons, at 2/1
}
