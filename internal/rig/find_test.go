package rig_test

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// TestWhoMayNotListPartiesDoesNotFindThem: models and workers are for everybody, providers and clients for finance and auditors.
func TestWhoMayNotListPartiesDoesNotFindThem(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	keys := queryapi.Keys{}
	l := openLibrary(t, live(t, store), store, keys)
	for name, asker := range map[string]queryapi.Asker{
		"provider": {Role: queryapi.RoleProvider, Subject: l.job.Provider}, "client": {Role: queryapi.RoleClient, Subject: l.job.Client},
		"auditor": {Role: queryapi.RoleAuditor}, "finance": {Role: queryapi.RoleFinance},
	} {
		keys[sha256.Sum256([]byte(name))] = asker
		for kind, id := range map[string]string{
			"model": l.job.Model.String(), "worker": l.job.Worker.String(), "provider": l.job.Provider.String(), "client": l.job.Client.String(),
		} {
			answer, err := l.clients(ways["JSON"], name).Find(projectionstest.Context(t), &queryv1.FindRequest{Text: id[:10]})
			if err != nil {
				t.Fatal(err)
			}
			var want []*queryv1.Named
			if kind == "model" || kind == "worker" || name == "auditor" || name == "finance" {
				want = []*queryv1.Named{{Kind: kind, Id: id}}
			}
			same := func(have, want *queryv1.Named) bool { return have.Kind == want.Kind && have.Id == want.Id }
			if !slices.EqualFunc(answer.Found, want, same) {
				t.Errorf("a %s asks for a %s, and finds %v", name, kind, answer.Found)
			}
			names, err := l.clients(ways["JSON"], name).ListNames(projectionstest.Context(t), &queryv1.ListNamesRequest{})
			if err != nil {
				t.Fatal(err)
			}
			isListed := slices.ContainsFunc(names.Names, func(n *queryv1.Named) bool { return n.Kind == kind && n.Id == id && n.Name != "" && n.SinceMs != 0 })
			if isListed != (want != nil && kind != "worker") {
				t.Errorf("a %s is told the name of a %s: %t", name, kind, isListed)
			}
		}
	}
	c := l.clients(ways["gRPC"], "auditor")
	for _, text := range []string{"", strings.Repeat("a", 129), "a\x00"} {
		if _, err := c.Find(projectionstest.Context(t), &queryv1.FindRequest{Text: text}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("the text %q: %v", text, err)
		}
	}
}
