package archtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// domainImports is all that the domain may import from elsewhere: packages that compute and do
// nothing else. What is not here reads a clock, a file, a network or a random number, writes a log, or
// waits for somebody to argue.
var domainImports = []string{
	"bytes", "cmp", "container/heap", "crypto/sha256", "crypto/sha512", "encoding/binary", "encoding/hex", "errors", "fmt", "hash",
	"iter", "maps", "math", "math/big", "math/bits", "slices", "sort", "strconv", "strings", "time", "unicode/utf8",
	"github.com/cockroachdb/apd/v3",
	"google.golang.org/protobuf/encoding/protowire",
}

// domainImportsOf adds to it for one package.
var domainImportsOf = map[string][]string{
	// Signatures: the curve, and entropy that comes in as a reader.
	"domain/signing": {
		"crypto/ed25519", "io",
		"github.com/oasisprotocol/curve25519-voi/primitives/ed25519",
		"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/cache",
	},
}

// impure are the names in those packages that the domain may not use all the same.
var impure = map[string][]string{
	"crypto/ed25519": {"GenerateKey"},
	"fmt":            {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"time": {
		"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer", // the clock
		"Local", "LoadLocation", // the machine's time zone
	},
}

// floatFiles may compute in floating point: cocoon/v1 gives the very numbers that Cocoon's C++ gives.
var floatFiles = []string{"domain/rating_cocoon.go"}

// DomainPurity checks that the domain only computes: from its arguments, in whole numbers or
// decimals, on the goroutine that asked. Its tests may do as they like.
//
// The imports of the packages of the domain come compiled from the resolver, so that each expression
// has its exact type.
func DomainPurity(tree *Tree, imports types.Importer) ([]Offence, error) {
	var found []Offence
	for _, folder := range tree.folders() {
		name := folder[0].folder()
		sources := slices.DeleteFunc(slices.Clone(folder), file.test)
		if !within(name, "domain") || len(sources) == 0 {
			continue
		}
		info := &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{},
			Defs:  map[*ast.Ident]types.Object{},
			Uses:  map[*ast.Ident]types.Object{},
		}
		var syntax []*ast.File
		for _, f := range sources {
			syntax = append(syntax, f.syntax)
		}
		config := types.Config{Importer: imports}
		if _, err := config.Check(modulePath+"/"+name, tree.fset, syntax, info); err != nil {
			return nil, fmt.Errorf("check the types of %s: %w", name, err)
		}
		for _, f := range sources {
			found = append(found, impureImports(tree, f)...)
			found = append(found, impureCode(tree, f, info)...)
		}
	}
	return found, nil
}

func impureImports(tree *Tree, f file) []Offence {
	var found []Offence
	for _, spec := range f.syntax.Imports {
		name := imported(spec)
		if strings.HasPrefix(name, modulePath+"/") || slices.Contains(domainImports, name) || slices.Contains(domainImportsOf[f.folder()], name) {
			continue
		}
		found = append(found, Offence{tree.at(spec.Pos()), fmt.Sprintf("%s may not import %s: it is not on the list of what only computes", f.folder(), name)})
	}
	return found
}

// impureCode finds clocks, printing, goroutines and floating point; each rule once per line.
func impureCode(tree *Tree, f file, info *types.Info) []Offence {
	var found []Offence
	report := func(at token.Pos, rule string) {
		if offence := (Offence{tree.at(at), rule}); !slices.Contains(found, offence) {
			found = append(found, offence)
		}
	}
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt, *ast.ChanType:
			report(node.Pos(), "the domain has no goroutines and no channels")
		case *ast.Ident:
			if used := info.Uses[node]; used != nil && used.Pkg() != nil && used.Parent() == used.Pkg().Scope() &&
				slices.Contains(impure[used.Pkg().Path()], used.Name()) {
				report(node.Pos(), fmt.Sprintf("the domain may not use %s.%s: time, randomness and output belong to the caller", used.Pkg().Name(), used.Name()))
			}
		}
		if expression, ok := node.(ast.Expr); ok && isFloat(typeOf(expression, info)) && !slices.Contains(floatFiles, f.path) {
			report(node.Pos(), "floating point in the domain: only "+strings.Join(floatFiles, ", ")+" may, as Cocoon does")
		}
		return true
	})
	return found
}

func typeOf(expression ast.Expr, info *types.Info) types.Type {
	if recorded, ok := info.Types[expression]; ok {
		return recorded.Type
	}
	if name, ok := expression.(*ast.Ident); ok {
		for _, object := range []types.Object{info.Defs[name], info.Uses[name]} {
			if object != nil {
				return object.Type()
			}
		}
	}
	return types.Typ[types.Invalid]
}

func isFloat(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&(types.IsFloat|types.IsComplex) != 0
}

// CompiledImports resolves imports to what the go tool compiled for the packages that match the
// patterns, and for all that those import. Go's own cache makes this cheap after a build.
func CompiledImports(ctx context.Context, root string, patterns ...string) (types.Importer, error) {
	arguments := append([]string{"list", "-export", "-deps", "-json=ImportPath,Export"}, patterns...)
	list := exec.CommandContext(ctx, "go", arguments...) //nolint:gosec // the arguments are the test's own
	list.Dir = root
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list -export %s: %w", strings.Join(patterns, " "), err)
	}
	compiled := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var pkg struct {
			ImportPath string `json:"ImportPath"` //nolint:tagliatelle // the go tool's own spelling
			Export     string `json:"Export"`     //nolint:tagliatelle // likewise
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the output of go list: %w", err)
		}
		compiled[pkg.ImportPath] = pkg.Export
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(name string) (io.ReadCloser, error) {
		if compiled[name] == "" {
			return nil, fmt.Errorf("nothing compiled for %s", name)
		}
		return os.Open(compiled[name])
	}), nil
}
