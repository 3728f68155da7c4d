package archtest

import (
	"strings"
	"testing"
	"testing/fstest"
)

// A rule that never bites proves nothing: each is shown a small tree that breaks it, and one beside it
// that does not.

type fixture struct {
	name string
	path string
	body string // what follows the package clause
	want string // part of the one offence, or "" if the file is good
}

func (f fixture) tree(t *testing.T) *Tree {
	t.Helper()
	return load(t, f.path, "package x\n"+f.body)
}

func load(t *testing.T, path, source string) *Tree {
	t.Helper()
	tree, err := Load(fstest.MapFS{path: {Data: []byte(source)}})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func (f fixture) check(t *testing.T, offences []Offence) {
	t.Helper()
	switch {
	case f.want == "" && len(offences) != 0:
		t.Errorf("a good file is refused: %v", offences)
	case f.want == "":
	case len(offences) != 1 || !strings.Contains(offences[0].String(), f.want):
		t.Errorf("offences %q, want one that says %q", offences, f.want)
	}
}

func TestEachWrongImportIsCaught(t *testing.T) {
	for _, c := range []struct{ path, imports, want string }{
		{"domain/x.go", "~/schemas/filature/v1", ""},
		{"domain/x.go", "~/eventstore", "domain may not know eventstore"},
		{"domain/x_test.go", "~/workers", "domain may not know workers"},
		{"domain/ledger/x.go", "~/domain/settlement", ""},
		{"schemas/filature/v1/x.go", "~/domain", "schemas may not know domain"},
		{"eventstore/x.go", "~/domain", ""},
		{"eventstore/x.go", "~/projections", "eventstore may not know projections"},
		{"eventstore/x.go", "~/eventstore/seglog", "only cmd chooses it"},
		{"eventstore/seglog/x.go", "~/eventstore", ""},
		{"eventstore/seglog/x_test.go", "~/eventstore/seglog", ""},
		{"eventstore/seglog/x_test.go", "~/eventstore/eventstoretest", ""},
		{"eventstore/seglog/x.go", "~/eventstore/eventstoretest", "eventstoretest is test support"},
		{"eventstore/eventstoretest/x.go", "testing", ""},
		{"eventstore/seglog/x.go", "testing", "only tests and test support import testing"},
		{"projections/x.go", "~/eventstore", ""},
		{"projections/x.go", "~/workers", "projections may not know workers"},
		{"projections/x.go", "~/adapters/sqlite", "projections may not know adapters/sqlite"},
		{"workers/x.go", "~/projections", ""},
		{"workers/x.go", "~/adapters/ton", "workers may not know adapters/ton"},
		{"workers/x_test.go", "~/adapters/ton", "workers may not know adapters/ton"},
		{"workers/x.go", "~/eventstore/seglog", "only cmd chooses it"},
		{"workers/x_test.go", "~/eventstore/memlog", ""},
		{"workers/x_test.go", "~/internal/sim", ""},
		{"workers/x.go", "~/internal/sim", "internal/sim is test support"},
		{"adapters/ton/x.go", "~/contracts", ""},
		{"adapters/ton/x.go", "~/adapters/ton/localchain", ""},
		{"adapters/ton/localchain/x.go", "~/adapters/ton", ""},
		{"adapters/ton/x.go", "~/adapters/sqlite", "adapters never know each other"},
		{"workers/auditor/recount/x.go", "~/schemas/filature/v1", ""},
		{"workers/auditor/recount/x.go", "~/domain", "so that it is a second opinion"},
		{"workers/auditor/recount/x.go", "~/eventstore", "so that it is a second opinion"},
		{"workers/auditor/recount/x_test.go", "~/domain", ""},
		{"adapters/ton/x.go", "~/workers", "adapters may not know workers"},
		{"adapters/ton/x_test.go", "~/workers", "adapters may not know workers"},
		{"adapters/ton/x.go", "~/sdk", "adapters may not know sdk"},
		{"adapters/ton/x_test.go", "~/sdk", ""},
		{"adapters/ton/x.go", "github.com/xssnick/tonutils-go/tvm/cell", ""},
		{"adapters/sqlite/x.go", "github.com/xssnick/tonutils-go/tvm/cell", "only adapters/ton knows"},
		{"domain/settlement/x_test.go", "github.com/xssnick/tonutils-go/tvm/cell", ""},
		{"workers/x.go", "modernc.org/sqlite", "only adapters/sqlite knows"},
		{"workers/x.go", "github.com/jackc/pgx/v5", "only adapters/postgres knows"},
		{"workers/x.go", "github.com/segmentio/kafka-go", "only adapters/kafka knows"},
		{"workers/x.go", "github.com/alecthomas/kong", "only cmd knows"},
		{"sdk/x.go", "~/schemas/filature/v1", ""},
		{"sdk/x.go", "~/domain/signing", ""},
		{"sdk/x.go", "~/domain/ledger", "sdk may not know domain/ledger"},
		{"sdk/x.go", "~/eventstore/seglog", ""},
		{"sdk/x.go", "~/projections", "sdk may not know projections"},
		{"contracts/x.go", "~/domain", "contracts may not know domain"},
		{"cmd/filature/x.go", "~/adapters/ton", ""},
		{"cmd/filature/x.go", "~/internal/sim", "internal/sim is test support"},
		{"internal/sim/x.go", "~/workers", ""},
		{"internal/sim/x.go", "~/cmd/filature", "internal may not know cmd"},
		{"plugins/x.go", "fmt", "plugins is in no layer"},
	} {
		importPath := strings.Replace(c.imports, "~/", modulePath+"/", 1)
		f := fixture{path: c.path, body: "import _ \"" + importPath + "\"", want: c.want}
		t.Run(c.path+" imports "+c.imports, func(t *testing.T) { f.check(t, Layers(f.tree(t))) })
	}
}

func TestEachImpurityOfTheDomainIsCaught(t *testing.T) {
	imports, err := CompiledImports(t.Context(), root, append(standardFixtures, domainImportsOf["domain/signing"]...)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []fixture{
		{"whole numbers", "domain/x.go", `import "math"; const x int64 = math.MaxInt64; var y = int64(1e18)`, ""},
		{"a file", "domain/x.go", `import _ "os"`, "may not import os"},
		{"a network", "domain/x.go", `import _ "net"`, "may not import net"},
		{"a context", "domain/x.go", `import _ "context"`, "may not import context"},
		{"a log", "domain/x.go", `import _ "log/slog"`, "may not import log/slog"},
		{"a database", "domain/x.go", `import _ "database/sql"`, "may not import database/sql"},
		{"chance", "domain/x.go", `import _ "math/rand/v2"`, "may not import math/rand/v2"},
		{"entropy", "domain/x.go", `import _ "crypto/rand"`, "may not import crypto/rand"},
		{"a lock", "domain/x.go", `import _ "sync"`, "may not import sync"},
		{"the curve, where signatures are", "domain/signing/x.go", `import _ "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"`, ""},
		{"the curve, elsewhere", "domain/ledger/x.go", `import _ "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"`, "may not import"},
		{"a test that does all this", "domain/x_test.go", `import _ "os"; var x = 0.5`, ""},
		{"another layer that does all this", "workers/x.go", `import _ "os"; var x = 0.5`, ""},

		{"a time that is given", "domain/x.go", `import "time"; func x(at time.Time) time.Time { return at.Add(time.Second).UTC() }`, ""},
		{"a method that is called Now", "domain/x.go", `type clock struct{}; func (clock) Now() int { return 0 }; var x = clock{}.Now()`, ""},
		{"the clock", "domain/x.go", `import "time"; var x = time.Now()`, "may not use time.Now"},
		{"the clock by another name", "domain/x.go", `import . "time"; var x = Since(Time{})`, "may not use time.Since"},
		{"the clock, not called", "domain/x.go", `import "time"; var x func() time.Time = time.Now`, "may not use time.Now"},
		{"the machine's time zone", "domain/x.go", `import "time"; var x = time.Local`, "may not use time.Local"},
		{"standard output", "domain/x.go", `import "fmt"; func x() { fmt.Println() }`, "may not use fmt.Println"},
		{"entropy of its own", "domain/signing/x.go", `import "crypto/ed25519"; var x = ed25519.GenerateKey`, "may not use ed25519.GenerateKey"},

		{"a float type", "domain/x.go", `func x(float64) {}`, "floating point"},
		{"a float32 type", "domain/x.go", `type x struct { y float32 }`, "floating point"},
		{"a float literal", "domain/x.go", `const x = 1.5`, "floating point"},
		{"a type made of floats", "domain/x.go", `type x float64`, "floating point"},
		{"a float from elsewhere", "domain/x.go", `import "time"; func x(d time.Duration) bool { return d.Seconds() > 1 }`, "floating point"},
		{"a float that is thrown away", "domain/x.go", `import "math"; func x() int { return int(math.Sqrt(4)) }`, "floating point"},
		{"a complex number", "domain/x.go", `var x = 1i`, "floating point"},
		{"Cocoon's floats", "domain/rating_cocoon.go", `func x(n int64) int64 { return int64(float64(n) * 0.001) }`, ""},

		{"a goroutine", "domain/x.go", `func x() { go x() }`, "no goroutines"},
		{"a channel", "domain/x.go", `func x() { _ = make(chan int) }`, "no goroutines and no channels"},
		{"a select", "domain/x.go", `func x() { select {} }`, "no goroutines and no channels"},
	} {
		t.Run(f.name, func(t *testing.T) {
			offences, err := DomainPurity(f.tree(t), imports)
			if err != nil {
				t.Fatal(err)
			}
			f.check(t, offences)
		})
	}
}

// standardFixtures are what the trees above import from the standard library.
var standardFixtures = []string{
	"context", "crypto/rand", "database/sql", "fmt", "log/slog", "math", "math/rand/v2", "net", "os", "sync", "time",
}

func TestALongFileIsCaughtUnlessAMachineWroteIt(t *testing.T) {
	const machine = "// Code generated by x. DO NOT EDIT.\n"
	for _, c := range []struct {
		name, header string
		lines        int
		want         string
	}{
		{"the limit", "", maxFileLines, ""},
		{"one line more", "", maxFileLines + 1, "701 lines"},
		{"a machine's", machine, 10 * maxFileLines, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := c.header + "package x\n"
			source += strings.Repeat("\n", c.lines-strings.Count(source, "\n"))
			fixture{want: c.want}.check(t, FileLength(load(t, "domain/x.go", source)))
		})
	}
}

func TestAnEmptyNameOrAMissingCommentIsCaught(t *testing.T) {
	for _, c := range []struct{ name, source, wantName, wantComment string }{
		{"a good package", "// Package ledger knows what is owed.\npackage ledger", "", ""},
		{"a good program", "// Command filature runs it all.\npackage main", "", ""},
		{"utils", "// Package utils knows nothing.\npackage utils", "the name says nothing", ""},
		{"helpers, in its tests only", "// Package helpers_test knows nothing.\npackage helpers_test", "the name says nothing", ""},
		{"no comment", "package ledger", "", "no comment says"},
		{"a comment on something else", "// Copyright\npackage ledger", "", "no comment says"},
		{"a comment that is not next to the package", "// Package ledger knows.\n\npackage ledger", "", "no comment says"},
		{"a program that calls itself a package", "// Package main runs it all.\npackage main", "", "no comment says"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := load(t, "domain/x.go", c.source)
			fixture{want: c.wantName}.check(t, PackageNames(tree))
			fixture{want: c.wantComment}.check(t, PackageComments(tree))
		})
	}
}

func TestWhatTheGoToolDoesNotSeeIsNotLoaded(t *testing.T) {
	for path, want := range map[string]int{
		"domain/x.go":                    1,
		"domain/testdata/x.go":           0,
		"contracts/node_modules/x/x.go":  0,
		".git/x.go":                      0,
		"_drafts/x.go":                   0,
		"domain/x.proto":                 0,
		"adapters/ton/localchain/net.go": 1,
	} {
		if got := len(load(t, path, "package x").files); got != want {
			t.Errorf("%s: %d files loaded, want %d", path, got, want)
		}
	}
}
