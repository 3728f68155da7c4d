package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// layers is the dependency rule: what the packages of each top folder may know of our own. Adapters
// and the SDK are told apart below it.
var layers = map[string][]string{
	"schemas":     {"schemas"},
	"contracts":   {},
	"domain":      {"schemas", "domain"},
	"eventstore":  {"schemas", "domain", "eventstore"},
	"projections": {"schemas", "domain", "eventstore", "projections"},
	"workers":     {"schemas", "domain", "eventstore", "projections", "workers"},
	"adapters":    {"schemas", "domain", "eventstore", "projections", "contracts"},
	"sdk":         {"schemas", "sdk"},
	"docs":        {"schemas", "domain", "sdk"}, // examples: programs of other people
	"cmd":         {"schemas", "domain", "eventstore", "projections", "workers", "adapters", "contracts", "sdk", "cmd"},
	"internal":    {"schemas", "domain", "eventstore", "projections", "workers", "adapters", "contracts", "sdk", "internal"},
}

// sdkKnows is what the programs of other people get to link besides the schemas: names and
// signatures, the log that their spool is, what a batch commits to and how a log is proven, and nothing that decides.
var sdkKnows = []string{"domain", "domain/settlement", "domain/signing", "eventstore", "eventstore/seglog", "eventstore/tlog"}

// testsKnow is what the tests of a layer may know besides: domain has bounds that must agree with the log's,
// and a gateway of an adapter's is tested, and shown, with the emitter that it is for and the clerk that
// reads what it wrote.
var testsKnow = map[string][]string{"domain": {"eventstore"}, "adapters": {"sdk", "workers/clerk"}}

// strangers know less than their layer does, so that what they find out, nobody told them.
var strangers = map[string][]string{
	// The second count of the books shares no code with the first: a mistake in the one is not one in the other.
	"workers/auditor/recount": {"schemas"},
}

// engines are implementations that live beside their port. Like an adapter, one is chosen in cmd.
var engines = []string{"eventstore/seglog", "eventstore/memlog"}

// technologies names the one place that may know a technology. Tests may use it where they like, and so may the programs of
// other people that docs/examples shows.
var technologies = []struct{ module, home string }{
	{"github.com/xssnick/tonutils-go", "adapters/ton"},
	{"modernc.org/sqlite", "adapters/sqlite"},
	{"github.com/jackc/pgx", "adapters/postgres"},
	{"github.com/segmentio/kafka-go", "adapters/kafka"},
	{"github.com/parquet-go/parquet-go", "adapters/parquet"},
	{"github.com/google/go-sev-guest", "adapters/attestation"},
	{"go.yaml.in/yaml", "adapters/attestation"},
	{"github.com/alecthomas/kong", "cmd"},
}

// Layers checks the dependency rule: schemas, domain, eventstore, projections, workers, each knowing
// only those before it; adapters know the ports they serve and never each other; only cmd knows
// them all; test support is for tests.
func Layers(tree *Tree) []Offence {
	var found []Offence
	for _, f := range tree.files {
		top, _, _ := strings.Cut(f.path, "/")
		if _, known := layers[top]; !known {
			found = append(found, Offence{f.path, fmt.Sprintf("%s is in no layer: give it one in internal/archtest/layers.go and in ARCHITECTURE.md", top)})
			continue
		}
		for _, spec := range f.syntax.Imports {
			if rule := importRule(f, imported(spec)); rule != "" {
				found = append(found, Offence{tree.at(spec.Pos()), rule})
			}
		}
	}
	return found
}

// importRule says why a file may not import a path, or nothing if it may.
func importRule(f file, importPath string) string {
	support := isSupport(f.folder())
	if importPath == "testing" && !f.test() && !support {
		return "only tests and test support import testing"
	}
	own, isOwn := strings.CutPrefix(importPath, modulePath+"/")
	if !isOwn {
		for _, technology := range technologies {
			if within(importPath, technology.module) && !f.test() && !within(f.path, technology.home) && !withinAny(f.path, []string{"internal", "docs/examples"}) {
				return fmt.Sprintf("only %s knows %s", technology.home, technology.module)
			}
		}
		return ""
	}
	if isSupport(own) {
		if f.test() || support {
			return ""
		}
		return fmt.Sprintf("%s is test support, and this is not a test", own)
	}
	top, _, _ := strings.Cut(f.path, "/")
	switch {
	case f.test() && own == f.folder(): // a test from outside the package
		return ""
	case top == "sdk" && slices.Contains(sdkKnows, own):
		return ""
	case top == "adapters" && within(own, "adapters"):
		if adapter(own) == adapter(f.folder()) {
			return ""
		}
		return fmt.Sprintf("%s may not know %s: adapters never know each other", adapter(f.folder()), adapter(own))
	case f.test() && slices.Contains(testsKnow[top], own):
		return ""
	case strangers[f.folder()] != nil && !f.test() && !withinAny(own, strangers[f.folder()]):
		return fmt.Sprintf("%s may not know %s: it may know %s, so that it is a second opinion", f.folder(), own, strings.Join(strangers[f.folder()], ", "))
	case !withinAny(own, layers[top]):
		return fmt.Sprintf("%s may not know %s: it may know %s", top, own, strings.Join(layers[top], ", "))
	case withinAny(own, engines) && !f.test() && !support && top != "cmd" && top != "internal" && !within(f.folder(), own):
		return fmt.Sprintf("%s is one of several engines: only cmd chooses it", own)
	default:
		return ""
	}
}

// isSupport says whether a package exists for tests: what is in internal, and each package that holds
// a conformance suite and is named after its port, as eventstore/eventstoretest is.
func isSupport(pkg string) bool {
	parent, name := path.Split(pkg)
	return within(pkg, "internal") || parent != "" && name == path.Base(parent)+"test"
}

// adapter is the technology's own folder: adapters/ton for adapters/ton/localchain.
func adapter(pkg string) string {
	parts := strings.SplitN(pkg, "/", 3)
	return path.Join(parts[:min(len(parts), 2)]...)
}
