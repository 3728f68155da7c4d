package archive_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/adapters/attestation/archive"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func result(evidence []byte, at int64) *v1.AttestationResult {
	digest := sha256.Sum256(evidence)
	return &v1.AttestationResult{
		Status: v1.AttestationStatus_ATTESTATION_STATUS_AFFIRMING, Vector: &v1.TrustVector{}, Worker: make([]byte, 32),
		Challenge: bytes.Repeat([]byte{1}, 32), EvidenceDigest: digest[:], PolicyDigest: make([]byte, 32), IssuedAtMs: at,
	}
}

// files lists the files of a folder.
func files(t *testing.T, root string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestWhatIsKeptIsThereByItsDigest, after a restart too, and twice is as good as once.
func TestWhatIsKeptIsThereByItsDigest(t *testing.T) {
	root := filepath.Join(t.TempDir(), "archive")
	a, evidence := archive.Open(root), []byte("evidence")
	for range 2 {
		if err := errors.Join(a.Keep(t.Context(), evidence, result(evidence, 5)), a.KeepFile([]byte("policy"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Keep(t.Context(), evidence, result(evidence, 6)); err != nil { // interrupted, and appraised again
		t.Fatal(err)
	}
	if names := files(t, root); len(names) != 4 {
		t.Errorf("files %v", names)
	}
	a = archive.Open(root)
	for _, content := range []string{"evidence", "policy"} {
		if have, err := a.File(sha256.Sum256([]byte(content))); err != nil || string(have) != content {
			t.Errorf("%q, %v", have, err)
		}
	}
	results, err := a.Results(domain.Digest(bytes.Repeat([]byte{1}, 32)))
	if err != nil || len(results) != 2 {
		t.Fatalf("%v, %v", results, err)
	}
	if five, six := result(evidence, 5), result(evidence, 6); !proto.Equal(results[0], five) && !proto.Equal(results[0], six) {
		t.Errorf("%v", results[0])
	}
	if results, err := a.Results(domain.Digest{}); err != nil || len(results) != 0 {
		t.Errorf("of a challenge that nobody answered: %v, %v", results, err)
	}
	if _, err := a.File(domain.Digest{}); !errors.Is(err, archive.ErrMissing) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestAChangedByteOfAnyFileIsNoticed.
func TestAChangedByteOfAnyFileIsNoticed(t *testing.T) {
	root, evidence := t.TempDir(), []byte("evidence")
	a := archive.Open(root)
	if err := a.Keep(t.Context(), evidence, result(evidence, 5)); err != nil {
		t.Fatal(err)
	}
	for _, name := range files(t, root) {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range content {
			content[i] ^= 4
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
			content[i] ^= 4
			_, errFile := a.File(sha256.Sum256(evidence))
			_, errResults := a.Results(domain.Digest(bytes.Repeat([]byte{1}, 32)))
			if !errors.Is(errors.Join(errFile, errResults), archive.ErrDamaged) {
				t.Fatalf("byte %d of %s: %v, %v", i, name, errFile, errResults)
			}
		}
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// What was damaged is mended by whoever keeps it again.
	name := files(t, filepath.Join(root, "files"))[0]
	if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := archive.Open(root).KeepFile(evidence); err != nil {
		t.Fatal(err)
	}
	if _, err := a.File(sha256.Sum256(evidence)); err != nil {
		t.Error(err)
	}
}

// TestWhatDoesNotBelongTogetherIsNotKept.
func TestWhatDoesNotBelongTogetherIsNotKept(t *testing.T) {
	root := t.TempDir()
	a := archive.Open(root)
	if err := a.Keep(t.Context(), []byte("other"), result([]byte("evidence"), 5)); err == nil {
		t.Error("a result with another one's evidence is kept")
	}
	if err := a.KeepFile(make([]byte, 2<<20)); err == nil {
		t.Error("a file of any size is kept")
	}
	if names := files(t, root); len(names) != 0 {
		t.Errorf("files %v", names)
	}
}

// TestAFolderThatCantBeWrittenIsAnError, and what was asked for again is kept when it can.
func TestAFolderThatCantBeWrittenIsAnError(t *testing.T) {
	root := t.TempDir()
	blocked := filepath.Join(root, "files")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := archive.Open(root)
	if err := a.KeepFile([]byte("policy")); err == nil {
		t.Fatal("it is kept in a file")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	if err := a.KeepFile([]byte("policy")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.File(sha256.Sum256([]byte("policy"))); err != nil {
		t.Error(err)
	}
}

// TestManyMayKeepTheSame.
func TestManyMayKeepTheSame(t *testing.T) {
	root := t.TempDir()
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			if err := archive.Open(root).KeepFile(fmt.Appendf(nil, "file %d", i%2)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if names := files(t, root); len(names) != 2 {
		t.Errorf("files %v", names)
	}
}
