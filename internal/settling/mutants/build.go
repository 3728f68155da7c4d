package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// program is the test with a switch for each guard, and a contract without one.
type program struct {
	test         string
	claimAccount string // compiled, as JSON
	patience     time.Duration
	always       sync.Map // by step and guards: whether it fails though nothing goes wrong
}

// Files that are added to the packages that have edits: the switch, and what some edits call.
//
//go:embed overlay
var overlay embed.FS

var errNotOnce = errors.New("stands there not once: the guard has moved, and with it must its edit in guards.go")

// edited returns the sources with all edits, by their path in the repository.
func edited(read func(file string) ([]byte, error)) (map[string]string, error) {
	sources := map[string]string{}
	for _, g := range guards {
		for _, e := range g.edits {
			source, known := sources[e.file]
			if !known {
				raw, err := read(e.file)
				if err != nil {
					return nil, err
				}
				source = string(raw)
			}
			if n := strings.Count(source, e.was); n != 1 {
				return nil, fmt.Errorf("guard %q, %s: %q is there %d times: %w", g.name, e.file, e.was, n, errNotOnce)
			}
			sources[e.file] = strings.Replace(source, e.was, e.is, 1)
		}
	}
	return sources, nil
}

// build builds the test in a folder. It is called in the repository's.
func build(ctx context.Context, folder string) (*program, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	sources, err := edited(os.ReadFile)
	if err != nil {
		return nil, err
	}
	p := &program{test: filepath.Join(folder, "test"), claimAccount: filepath.Join(folder, "build", "claim_account.json")}
	if err := compile(ctx, root, folder, sources); err != nil {
		return nil, err
	}
	replace := map[string]string{}
	put := func(file, source string) error {
		copied := filepath.Join(folder, strings.ReplaceAll(file, "/", "_"))
		replace[filepath.Join(root, file)] = copied
		return os.WriteFile(copied, []byte(source), 0o600)
	}
	for file, source := range sources {
		if path.Ext(file) != ".go" {
			continue
		}
		pkg := path.Dir(file)
		off, err := overlay.ReadFile("overlay/off.txt")
		if err != nil {
			return nil, err
		}
		if err := errors.Join(put(file, source), put(pkg+"/guards_off.go", "package "+path.Base(pkg)+"\n"+string(off))); err != nil {
			return nil, err
		}
		if more, err := overlay.ReadFile("overlay/" + strings.ReplaceAll(pkg, "/", "_") + ".txt"); err == nil {
			if err := put(pkg+"/guards_off_more.go", string(more)); err != nil {
				return nil, err
			}
		}
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return nil, err
	}
	return p, command(ctx, root, "go", "test", "-overlay", file, "-c", "-o", p.test, "./internal/settling")
}

// compile compiles the contracts with their edits. It needs what contracts/package.json names (make contracts/node_modules).
func compile(ctx context.Context, root, folder string, sources map[string]string) error {
	contracts := filepath.Join(root, "contracts")
	if err := errors.Join(
		os.Mkdir(filepath.Join(folder, "build"), 0o700),
		os.Symlink(filepath.Join(contracts, "node_modules"), filepath.Join(folder, "node_modules")),
	); err != nil {
		return err
	}
	for _, name := range []string{"compile.mjs", "package.json", "messages.tolk", "vault.tolk", "claim_account.tolk"} {
		source, edited := sources["contracts/"+name]
		if !edited {
			raw, err := os.ReadFile(filepath.Join(contracts, name))
			if err != nil {
				return err
			}
			source = string(raw)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(source), 0o600); err != nil { //nolint:gosec // a folder of our own
			return err
		}
	}
	return command(ctx, folder, "node", "compile.mjs")
}

func command(ctx context.Context, dir, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...) //nolint:gosec // go and node, which build
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
