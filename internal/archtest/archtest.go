// Package archtest knows the shape of the source tree: which package may know which, what the
// domain must never touch, and how large and how named a thing may be. Its tests hold the tree to it.
//
// The rules are in layers.go (who imports whom), purity.go (the domain) and form.go (files, names and
// comments). Each is a function from a tree to offences, so that each is tested on small trees that
// break it.
package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// modulePath is what the import paths of our own packages begin with.
const modulePath = "github.com/filature/filature"

// Offence is one place that breaks a rule.
type Offence struct {
	Where string // file:line, or a folder, relative to the module
	Rule  string // what is wrong, and which rule says so
}

func (o Offence) String() string { return o.Where + ": " + o.Rule }

// Tree is the source of a module, parsed.
type Tree struct {
	fset  *token.FileSet
	files []file // ordered by path
}

type file struct {
	path      string // relative to the module, with slashes
	syntax    *ast.File
	lines     int
	generated bool
}

func (f file) folder() string { return path.Dir(f.path) }
func (f file) test() bool     { return strings.HasSuffix(f.path, "_test.go") }

// Load parses each Go file of a module, given from its root down. Build constraints are not looked
// at: a rule holds on every platform.
func Load(module fs.FS) (*Tree, error) {
	tree := &Tree{fset: token.NewFileSet()}
	err := fs.WalkDir(module, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && outsideTheModule(entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		source, err := fs.ReadFile(module, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(tree.fset, name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		tree.files = append(tree.files, file{
			path:      name,
			syntax:    syntax,
			lines:     bytes.Count(source, []byte("\n")),
			generated: ast.IsGenerated(syntax),
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the source: %w", err)
	}
	return tree, nil
}

// outsideTheModule says which folders the go tool does not look into either, and node_modules.
func outsideTheModule(folder string) bool {
	return folder == "testdata" || folder == "node_modules" || folder == "vendor" ||
		strings.HasPrefix(folder, ".") || strings.HasPrefix(folder, "_")
}

// folders returns the files of each folder.
func (t *Tree) folders() [][]file {
	var all [][]file
	for _, f := range t.files {
		same := func(files []file) bool { return files[0].folder() == f.folder() }
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i] = append(all[i], f)
		} else {
			all = append(all, []file{f})
		}
	}
	return all
}

func (t *Tree) at(p token.Pos) string {
	position := t.fset.Position(p)
	return position.Filename + ":" + strconv.Itoa(position.Line)
}

// imported is the path that an import names.
func imported(spec *ast.ImportSpec) string { return strings.Trim(spec.Path.Value, "`\"") }

// within says whether a package path is a folder or something below it.
func within(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

func withinAny(pkg string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(pkg, folder) })
}
