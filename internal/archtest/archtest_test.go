package archtest

import (
	"os"
	"testing"
)

const root = "../.."

func source(t *testing.T) *Tree {
	t.Helper()
	tree, err := Load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) == 0 {
		t.Fatal("no source found: the rules below would hold of nothing")
	}
	return tree
}

func refuse(t *testing.T, offences []Offence) {
	t.Helper()
	for _, offence := range offences {
		t.Error(offence)
	}
}

func TestDependenciesPointOneWay(t *testing.T) { refuse(t, Layers(source(t))) }

func TestTheDomainOnlyComputes(t *testing.T) {
	tree := source(t)
	imports, err := CompiledImports(t.Context(), root, "./domain/...")
	if err != nil {
		t.Fatal(err)
	}
	offences, err := DomainPurity(tree, imports)
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, offences)
}

func TestEachFileIsReadInOneSitting(t *testing.T) { refuse(t, FileLength(source(t))) }

func TestEachPackageIsNamedAfterWhatItKnows(t *testing.T) { refuse(t, PackageNames(source(t))) }

func TestEachPackageSaysWhatItKnows(t *testing.T) { refuse(t, PackageComments(source(t))) }
