package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the goldens anew")

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	m.Run()
	removeShared()
}

// answer is what the program said.
type answer struct {
	code           int
	stdout, stderr string
}

// invoke runs the program as a shell would.
func invoke(t *testing.T, args ...string) answer {
	t.Helper()
	return invokeWith(t.Context(), args...)
}

func invokeWith(ctx context.Context, args ...string) answer {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	return answer{code, stdout.String(), stderr.String()}
}

// want ends the test where the program ended otherwise.
func (a answer) want(t *testing.T, code int, parts ...string) answer {
	t.Helper()
	if a.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", a.code, code, a.stdout, a.stderr)
	}
	for _, part := range parts {
		if !strings.Contains(a.stdout+a.stderr, part) {
			t.Errorf("nothing says %q\nstdout: %s\nstderr: %s", part, a.stdout, a.stderr)
		}
	}
	return a
}

// decoded is what stands on stdout, as JSON without a field that we do not know.
func decoded[T any](t *testing.T, a answer) (value T) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(a.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("stdout is not the JSON that it should be: %v\n%s", err, a.stdout)
	}
	if decoder.More() {
		t.Errorf("something stands behind the JSON\n%s", a.stdout)
	}
	return value
}

// subcommands are their names, as the struct has them.
func subcommands() []string {
	var names []string
	for field := range reflect.TypeFor[program]().Fields() {
		names = append(names, strings.ToLower(field.Name))
	}
	return names
}

func TestHelpIsAsItWas(t *testing.T) {
	t.Parallel()
	for _, name := range append([]string{""}, subcommands()...) {
		args, golden := []string{name, "--help"}, name
		if name == "" {
			args, golden = []string{"--help"}, "filature"
		}
		text := invoke(t, args...).want(t, exitOK).stdout
		path := filepath.Join("testdata", "help", golden+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v (go test ./cmd/filature -run Help -update makes it)", err)
		}
		if text != string(want) {
			t.Errorf("help of %q has changed; if you meant that: go test ./cmd/filature -run Help -update\nnow:\n%s\nwas:\n%s", golden, text, want)
		}
	}
}

func TestWithoutArgumentsTheProgramSaysWhereToBegin(t *testing.T) {
	t.Parallel()
	invoke(t).want(t, exitOK, "Begin with", "filature demo")
}

func TestWhatTheUserCanMendExitsWithTwoAndSaysHow(t *testing.T) {
	t.Parallel()
	folder, nowhere := t.TempDir(), filepath.Join(t.TempDir(), "nowhere")
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, []byte("ARRIVED,ContextTokens,GeneratedTokens\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	job := strings.Repeat("0", 64)
	for _, c := range []struct {
		args string
		says []string
	}{
		{"weave", []string{"unexpected argument weave", "filature --help"}},
		{"serve", []string{"--data", "filature serve --help"}},
		{"serve --data " + folder + " --colour red", []string{"unknown flag --colour", "filature serve --help"}},
		{"serve --data " + nowhere + " --threshold 0", []string{`--threshold "0"`, "1.5"}},
		{"serve --data " + nowhere + " --threshold 0.0000000001", []string{"--threshold"}},
		{"serve --data " + nowhere + " --shards 0", []string{"--shards 0", "1 to 1024"}},
		{"serve --data " + nowhere + " --delay soon", []string{"--delay"}},
		{"serve --data " + nowhere + " --delay 1500ms", []string{"--delay 1.5s", "whole seconds"}},
		{"serve --data " + nowhere + " --bucket 0s", []string{"--bucket 0s"}},
		{"serve --data " + nowhere + " --dispute-window=-1s", []string{"--dispute-window -1s"}},
		{"serve --data " + nowhere + " --batch-every=-1s", []string{"--batch-every -1s"}},
		{"demo --jobs 0", []string{"--jobs 0", "1 to 1000000"}},
		{"demo --payees 1000001", []string{"--payees 1000001", "1 to 1000000"}},
		{"demo --shards 0", []string{"--shards 0", "1 to 1024"}},
		{"demo --data " + folder, []string{"exists already", "new folder"}},
		{"demo --trace " + nowhere, []string{"--trace", "no such file"}},
		{"demo --trace " + file, []string{"first row", "ARRIVED", "TIMESTAMP"}},
		{"audit", []string{"--data", "filature audit --help"}},
		{"audit --data " + nowhere, []string{"no such file or directory"}},
		{"audit --data " + folder, []string{folder, "serve or demo"}},
		{"export table balances --data " + folder, []string{folder, "serve or demo"}},
		{"statement Nobody --data " + folder, []string{folder, "serve or demo"}},
		{"why job " + job + " --data " + folder, []string{folder, "serve or demo"}},
		{"why letter 7 --data " + folder, []string{"letter", "job"}},
		{"prove payout " + job + " --data " + folder, []string{folder, "serve or demo"}},
		{"prove payout nobody --data " + folder, []string{`"nobody"`, "64 hexadecimal digits"}},
		{"keygen " + file, []string{file, "exists"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			said := invoke(t, strings.Fields(c.args)...).want(t, exitUsage, c.says...)
			if said.stdout != "" {
				t.Errorf("an error stands on stdout: %s", said.stdout)
			}
			if _, err := os.Stat(nowhere); err == nil {
				t.Error("a folder was made all the same")
			}
		})
	}
}

func TestVersionNamesTheContractsThatItBrings(t *testing.T) {
	t.Parallel()
	v := decoded[map[string]string](t, invoke(t, "version", "--json").want(t, exitOK))
	text := invoke(t, "version").want(t, exitOK).stdout
	for _, name := range []string{"version", "revision", "vault_code_hash", "claim_account_code_hash"} {
		if v[name] == "" || !strings.Contains(text, v[name]) {
			t.Errorf("%s is %q in the JSON, and the text is\n%s", name, v[name], text)
		}
	}
	if len(v) != 4 {
		t.Errorf("the JSON has %d fields: %v", len(v), v)
	}
}

func TestAKeyThatWasMadeIsPrintedByItsPublicHalf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "worker.key")
	made := decoded[map[string]string](t, invoke(t, "keygen", path, "--json").want(t, exitOK))
	if made["file"] != path || len(made["public_key"]) != 64 {
		t.Errorf("got %v", made)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, %v", info, err)
	}
	invoke(t, "keygen", path).want(t, exitUsage, "exists")
	// KEY=$(filature keygen FILE) is what people write.
	if bare := invoke(t, "keygen", path+"2"); len(bare.stdout) != 65 || !strings.Contains(bare.stderr, path+"2") {
		t.Errorf("it printed %q, and said %q", bare.stdout, bare.stderr)
	}
}

func TestCountsAreWrittenInGroups(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -1234: "-1 234"} {
		if have := count(n); have != want {
			t.Errorf("%d: %q, want %q", n, have, want)
		}
	}
}

func TestFiguresStandInColumns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	(&console{out: &out}).table([]string{"name", "n"}, [][]string{{"a", "1 000"}, {"é…", "7"}}, []string{"all", "1 007"})
	want := "  name      n\n  ────  ─────\n  a     1 000\n  é…        7\n  ────  ─────\n  all   1 007\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// copyFolder copies all but what SQLite keeps beside its file while somebody has it open: other tests read the
// same demo meanwhile.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || strings.HasPrefix(entry.Name(), projectionFile+"-") {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o750)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), raw, 0o600)
	})
}

func mustCopy(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := copyFolder(from, to); err != nil {
		t.Fatal(fmt.Errorf("copy %s: %w", from, err))
	}
	return to
}

// TestWhoErrsIsLedToTheHelpOfTheCommand that was meant, nested ones by their whole name.
func TestWhoErrsIsLedToTheHelpOfTheCommand(t *testing.T) {
	for args, want := range map[string]string{
		"audit --bogus": "audit", "attest verify": "attest verify", "poison list": "poison list", "poison replay --bogus": "poison replay",
		"attest bogus": "attest", "bogus": "", "--bogus": "",
	} {
		help := strings.Join(append([]string{"Try: filature"}, append(strings.Fields(want), "--help\n")...), " ")
		invoke(t, strings.Fields(args)...).want(t, exitUsage, help)
		invoke(t, append(strings.Fields(want), "--help")...).want(t, exitOK, "Usage: filature")
	}
}
