package main

import (
	"maps"
	"slices"
	"strings"
)

// role is a part of the engine's work that a process can take on by itself.
type role string

const (
	roleGateway   role = "gateway"   // takes reports in over HTTP
	roleClerk     role = "clerk"     // decides; processes share the shards
	roleProjector role = "projector" // folds the tables; one at a time, others stand by
	roleSettler   role = "settler"   // seals batches and pays; one at a time
	roleWatcher   role = "watcher"   // books what happened on chain; one at a time
	roleRelay     role = "relay"     // publishes streams and calls webhooks; processes share the shards
	roleVerifier  role = "verifier"  // has workers prove what they run; one asks, all share the answers
	rolePublisher role = "publisher" // publishes the ledger's trees; one at a time
	roleAuditor   role = "auditor"   // audits logs, tables and chain again and again; one at a time
	roleAPI       role = "api"       // answers questions and streams completions over HTTP
)

// workReconciler is no role of its own: who watches the chain compares it with the ledger, too.
const workReconciler role = "reconciler"

// everyRole is what a process does that is told nothing else; a verifier, a publisher and an auditor only where the config
// says how.
var everyRole = []role{roleGateway, roleClerk, roleProjector, roleSettler, roleWatcher, roleRelay, roleVerifier, rolePublisher, roleAuditor, roleAPI}

// roles are what one process does.
type roles map[role]bool

func allRoles() roles { return rolesOf(everyRole...) }

// embeddedRoles is all but the relay, as a folder has no topics, and verifier, publisher and auditor, unless somebody wants
// them.
func embeddedRoles() roles {
	return allRoles().without(roleRelay, roleVerifier, rolePublisher, roleAuditor)
}

// without is all of them but some.
func (r roles) without(some ...role) roles {
	rest := maps.Clone(r)
	for _, one := range some {
		delete(rest, one)
	}
	return rest
}

func rolesOf(some ...role) roles {
	r := make(roles)
	for _, one := range some {
		r[one] = true
	}
	return r
}

// parseRoles reads names of roles; none is all of them, as is "all".
func parseRoles(names []string) (roles, error) {
	r := make(roles)
	for _, name := range names {
		switch {
		case name == "all":
			return allRoles(), nil
		case !slices.Contains(everyRole, role(name)):
			return nil, usage("--role %q: want one of %s, or all", name, allRoles())
		}
		r[role(name)] = true
	}
	if len(r) == 0 {
		return allRoles(), nil
	}
	return r, nil
}

// String names them in the order of everyRole.
func (r roles) String() string {
	var names []string
	for _, one := range everyRole {
		if r[one] {
			names = append(names, string(one))
		}
	}
	return strings.Join(names, ", ")
}
