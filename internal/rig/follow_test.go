package rig_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// follow reads the stream until it has so many completions, and returns them with the cursors of their messages. It leaves then.
func (l *library) follow(
	t *testing.T, way connect.ClientOption, key string, asked *queryv1.FollowCompletionsRequest, count int,
) (told []*queryv1.Completion, cursors []string, err error) {
	t.Helper()
	ctx, leave := context.WithCancel(projectionstest.Context(t))
	defer leave()
	ctx, call := connect.NewClientContext(ctx)
	if key != "" {
		call.RequestHeader().Set("Authorization", "Bearer "+key)
	}
	stream, err := queryv1.NewCompletionServiceClient(l.http, l.url, way).FollowCompletions(ctx, asked)
	if err != nil {
		return nil, nil, err
	}
	defer stream.Close()
	for len(cursors) == 0 || len(told) < count {
		if !stream.Receive() {
			return told, cursors, stream.Err()
		}
		told, cursors = append(told, stream.Msg().Completions...), append(cursors, stream.Msg().Cursor)
	}
	return told, cursors, nil
}

// ended are the jobs of a world that have come to an end.
func ended(t *testing.T, store shelf, wants func(projections.Job) bool) map[string]projections.Job {
	t.Helper()
	jobs := map[string]projections.Job{}
	ctx := projectionstest.Context(t)
	if err := store.Read(ctx, func(r projections.Reader) error {
		for job, err := range projections.RowsOf(ctx, r, projections.Jobs) {
			if err != nil {
				return err
			}
			if job.Closed.AtMs != 0 && wants(job) {
				jobs[job.Job.String()] = job
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return jobs
}

// TestAStreamTellsTheEndOfEachJobOnceInEveryWayOfAsking, and what it cost, as the tables have it.
func TestAStreamTellsTheEndOfEachJobOnceInEveryWayOfAsking(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	client, provider, account := l.job.Client.String(), l.job.Provider.String(), l.job.Account.String()
	for name, one := range map[string]struct {
		asked *queryv1.FollowCompletionsRequest
		wants func(projections.Job) bool
	}{
		"all":           {&queryv1.FollowCompletionsRequest{}, func(projections.Job) bool { return true }},
		"of a client":   {&queryv1.FollowCompletionsRequest{Client: client}, func(j projections.Job) bool { return j.Client == l.job.Client }},
		"of a provider": {&queryv1.FollowCompletionsRequest{Provider: provider}, func(j projections.Job) bool { return j.Provider == l.job.Provider }},
		"of an account": {&queryv1.FollowCompletionsRequest{Accounts: []string{account}}, func(j projections.Job) bool { return j.Account == l.job.Account }},
	} {
		want := ended(t, store, one.wants)
		one.asked.After = completions.FromStart
		for way, speaking := range ways {
			told, _, err := l.follow(t, speaking, "", one.asked, len(want))
			if err != nil || len(told) != len(want) || len(want) == 0 {
				t.Fatalf("%s, %s: %d of %d completions, %v", name, way, len(told), len(want), err)
			}
			once := map[string]bool{}
			for _, c := range told {
				job := want[c.Job]
				if once[c.Job] || c.Outcome != job.State || c.ChargeNano != int64(job.Charge) || c.AtMs != job.Closed.AtMs ||
					c.LedgerOffset != int64(job.Closed.Offset) || c.Failure != job.Failure || c.Tokens.Prompt != job.Tokens.Prompt {
					t.Errorf("%s, %s: told is %v, the table has %+v", name, way, c, job)
				}
				once[c.Job] = true
			}
		}
	}
}

// TestAStreamGoesOnBehindACursor: cut anywhere, the parts together are the whole.
func TestAStreamGoesOnBehindACursor(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	world := live(t, store)
	l := openLibrary(t, world, store, nil)
	start := &queryv1.FollowCompletionsRequest{After: completions.FromStart}
	count := len(ended(t, store, func(projections.Job) bool { return true }))
	first, cursors, err := l.follow(t, ways["gRPC"], "", start, count)
	if err != nil {
		t.Fatal(err)
	}
	behind := &queryv1.FollowCompletionsRequest{After: cursors[len(cursors)-1]}
	world.Live(30)
	world.Work()
	world.Fold()
	more := len(ended(t, store, func(projections.Job) bool { return true })) - count
	second, _, err := l.follow(t, ways["JSON"], "", behind, more)
	if err != nil || more == 0 || len(second) != more {
		t.Fatalf("%d of %d completions, %v", len(second), more, err)
	}
	whole, _, err := l.follow(t, ways["gRPC"], "", start, count+more)
	if err != nil {
		t.Fatal(err)
	}
	jobs := func(told []*queryv1.Completion) (ids []string) {
		for _, c := range told {
			ids = append(ids, c.Job)
		}
		slices.Sort(ids)
		return ids
	}
	if !slices.Equal(jobs(slices.Concat(first, second)), jobs(whole)) {
		t.Error("the parts are not the whole")
	}
}

func TestEachRoleFollowsItsOwn(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	keys := queryapi.Keys{}
	l := openLibrary(t, live(t, store), store, keys)
	add := func(name string, role queryapi.Role, subject [32]byte) {
		keys[sha256.Sum256([]byte(name))] = queryapi.Asker{Name: name, Role: role, Subject: subject}
	}
	add("provider", queryapi.RoleProvider, l.job.Provider)
	add("client", queryapi.RoleClient, l.job.Client)
	add("auditor", queryapi.RoleAuditor, [32]byte{})
	add("nobody", "", [32]byte{})
	client, provider, other := l.job.Client.String(), l.job.Provider.String(), strings.Repeat("ab", 32)
	clients, providers := func(j projections.Job) bool { return j.Client == l.job.Client }, func(j projections.Job) bool { return j.Provider == l.job.Provider }
	for _, one := range []struct {
		key   string
		asked *queryv1.FollowCompletionsRequest
		code  connect.Code
		sees  func(projections.Job) bool
	}{
		{"client", &queryv1.FollowCompletionsRequest{}, 0, clients},
		{"client", &queryv1.FollowCompletionsRequest{Client: client}, 0, clients},
		{"client", &queryv1.FollowCompletionsRequest{Client: other}, connect.CodePermissionDenied, nil},
		{"client", &queryv1.FollowCompletionsRequest{Provider: provider}, 0, func(j projections.Job) bool { return clients(j) && providers(j) }},
		{"provider", &queryv1.FollowCompletionsRequest{}, 0, providers},
		{"provider", &queryv1.FollowCompletionsRequest{Provider: other}, connect.CodePermissionDenied, nil},
		{"auditor", &queryv1.FollowCompletionsRequest{}, 0, func(projections.Job) bool { return true }},
		{"nobody", &queryv1.FollowCompletionsRequest{}, connect.CodePermissionDenied, nil},
		{"a stranger", &queryv1.FollowCompletionsRequest{}, connect.CodeUnauthenticated, nil},
		{"", &queryv1.FollowCompletionsRequest{}, connect.CodeUnauthenticated, nil},
	} {
		one.asked.After = completions.FromStart
		want := map[string]projections.Job{}
		if one.sees != nil {
			want = ended(t, store, one.sees)
		}
		told, _, err := l.follow(t, ways["JSON"], one.key, one.asked, len(want))
		var code connect.Code
		if err != nil {
			code = connect.CodeOf(err)
		}
		if code != one.code || len(told) != len(want) {
			t.Errorf("%q asks for %v: %d of %d, %v", one.key, one.asked, len(told), len(want), err)
		}
		for _, c := range told {
			if _, own := want[c.Job]; !own {
				t.Errorf("%q asks for %v and is told of %v", one.key, one.asked, c)
			}
		}
	}
}

func TestARefusedStreamNamesTheFieldAndTheRule(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	later := &queryv1.FollowCompletionsRequest{}
	later.ProtoReflect().SetUnknown([]byte{0x78, 1}) // field 15
	for field, asked := range map[string]*queryv1.FollowCompletionsRequest{
		"after":       {After: "nowhere"},
		"client":      {Client: "12"},
		"accounts[1]": {Accounts: []string{strings.Repeat("ab", 32), ""}},
		"accounts":    {Accounts: make([]string, completions.MaxAccounts+1)},
		"15":          later,
	} {
		_, _, err := l.follow(t, ways["gRPC"], "", asked, 1)
		failed, _ := errors.AsType[*connect.Error](err)
		if failed == nil || failed.Code() != connect.CodeInvalidArgument || len(failed.Details()) != 1 {
			t.Errorf("%s: %v", field, err)
			continue
		}
		if detail, err := failed.Details()[0].Value(); err != nil || detail.(*queryv1.Problem).Field != field {
			t.Errorf("%s: the detail is %v, %v", field, detail, err)
		}
	}
}

// TestAStreamThatStopsEndsWithoutAnError: its reader comes back, to another process.
func TestAStreamThatStopsEndsWithoutAnError(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	l.completions.Stop()
	told, cursors, err := l.follow(t, ways["JSON"], "", &queryv1.FollowCompletionsRequest{}, 1)
	if err != nil || len(told) != 0 || len(cursors) != 1 {
		t.Errorf("%d completions, cursors %v, %v", len(told), cursors, err)
	}
}
