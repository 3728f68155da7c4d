package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

const (
	// cradles are new folders, each killed up to cradleKills times in the first moments of its life.
	cradles     = 8
	cradleKills = 3
	// cradleMoment is about as long as it takes until everything is opened.
	cradleMoment = 120 * time.Millisecond
)

// rock kills the program while it makes its folder: keys, logs, tables, chain. Whatever it leaves, it must
// be able to go on from there, to a network that is ready and passes its audit. It returns the number of
// kills.
func rock(ctx context.Context, program, dir string, lots *rand.Rand) (kills int, err error) {
	output, err := os.Create(filepath.Join(dir, "cradles.log"))
	if err != nil {
		return 0, err
	}
	defer output.Close()
	for i := range cradles {
		v := &victim{program: program, data: filepath.Join(dir, fmt.Sprintf("cradle-%d", i)), output: output}
		n := 1 + lots.IntN(cradleKills)
		for range n {
			if err := v.start(ctx); err != nil {
				return kills, err
			}
			_, err := v.kill(ctx, kill{Moment: inFoundation, After: time.Duration(lots.Int64N(int64(cradleMoment)))})
			if err != nil {
				return kills, fmt.Errorf("%s, in the cradle: %w", v.data, err)
			}
			kills++
		}
		if err := v.outgrow(ctx); err != nil {
			return kills, fmt.Errorf("%s, killed %d times in the cradle: %w", v.data, n, err)
		}
	}
	return kills, nil
}

// outgrow wants the program to get ready, to end when it is told to, and to pass its audit.
func (v *victim) outgrow(ctx context.Context) error {
	if err := v.start(ctx); err != nil {
		return err
	}
	defer v.slay()
	if err := v.awaitReady(ctx); err != nil {
		return err
	}
	if err := v.end(); err != nil {
		return err
	}
	return audit(ctx, v.program, v.data)
}
