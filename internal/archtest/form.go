package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
)

// maxFileLines is what a person can read in one sitting.
const maxFileLines = 700

// emptyNames say nothing about what a package knows.
var emptyNames = []string{"base", "common", "helper", "helpers", "lib", "manager", "misc", "shared", "types", "util", "utils"}

// FileLength finds hand-written files that are too long to read in one sitting.
func FileLength(tree *Tree) []Offence {
	var found []Offence
	for _, f := range tree.files {
		if f.lines > maxFileLines && !f.generated {
			found = append(found, Offence{f.path, fmt.Sprintf("%d lines, and %d are the limit: it knows more than one thing", f.lines, maxFileLines)})
		}
	}
	return found
}

// PackageNames finds packages that are named after nothing.
func PackageNames(tree *Tree) []Offence {
	var found []Offence
	for _, folder := range tree.folders() {
		name := strings.TrimSuffix(folder[0].syntax.Name.Name, "_test")
		if slices.Contains(emptyNames, name) {
			found = append(found, Offence{folder[0].folder(), fmt.Sprintf("package %s: the name says nothing about what it knows", name)})
		}
	}
	return found
}

// PackageComments finds packages that do not begin by saying what they know: "Package x ...", or
// "Command x ..." for a program.
func PackageComments(tree *Tree) []Offence {
	var found []Offence
	for _, folder := range tree.folders() {
		if !slices.ContainsFunc(folder, hasPackageComment) {
			found = append(found, Offence{folder[0].folder(), "no comment says what package " + folder[0].syntax.Name.Name + " knows"})
		}
	}
	return found
}

func hasPackageComment(f file) bool {
	return f.syntax.Doc != nil && !f.generated && beginsWell(f.syntax.Name, f.syntax.Doc.Text())
}

func beginsWell(name *ast.Ident, comment string) bool {
	if name.Name == "main" {
		return strings.HasPrefix(comment, "Command ")
	}
	return strings.HasPrefix(comment, "Package "+name.Name+" ")
}
