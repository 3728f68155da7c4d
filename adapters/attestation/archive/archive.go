// Package archive knows how what a verifier's results rest on is kept: evidence, policies, collateral and the results
// themselves, each in a file that is named by its SHA-256.
//
//	files/7f/7f83b1…            evidence (an encoded Evidence), a policy (YAML), or a file of collateral
//	results/7f/7f83b1…/5994…    an encoded AttestationResult, under the challenge that it answers
//
// Nothing is ever changed. So folders of several verifiers are merged by copying one over the other, and a copy that is
// taken while a verifier works lacks at most the last files. The folder proves nothing by itself: whoever audits compares it
// with the ledger, which has the digests.
package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// maxFileBytes is the longest file that is read: a policy at its limit.
	maxFileBytes = 1 << 20
	// maxResults is how many results of one challenge are read. There is one, and one more for each time that a verifier
	// was interrupted between the archive and the ledger.
	maxResults = 64
	// maxKnown is how many digests are remembered as kept.
	maxKnown = 1 << 16

	filesFolder, resultsFolder = "files", "results"
)

var (
	// ErrMissing: the archive has no such file.
	ErrMissing = errors.New("is not in the archive")
	// ErrDamaged: a file is not what its name says.
	ErrDamaged = errors.New("is not what its name says")
)

// Folder is an archive in a folder. Any number of programs may use one. Safe for many goroutines.
type Folder struct {
	root string

	mu    sync.Mutex
	known map[domain.Digest]bool // durable for sure
}

// Open returns the archive in a folder, which need not be there yet.
func Open(root string) *Folder { return &Folder{root: root, known: map[domain.Digest]bool{}} }

// Keep keeps encoded evidence and its result. When it returns nil both are durable. Keeping the same twice is as good as once.
func (f *Folder) Keep(_ context.Context, evidence []byte, result *v1.AttestationResult) error {
	if digest := sha256.Sum256(evidence); digest != [32]byte(result.EvidenceDigest) {
		return fmt.Errorf("archive: a result about %x, with evidence %x", result.EvidenceDigest, digest)
	}
	raw, err := v1.Encode(result)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if err := f.KeepFile(evidence); err != nil {
		return err
	}
	digest := sha256.Sum256(raw)
	return f.keep(filepath.Join(f.challenge(domain.Digest(result.Challenge)), hex.EncodeToString(digest[:])), raw)
}

// KeepFile keeps a file. When it returns nil it is durable.
func (f *Folder) KeepFile(content []byte) error {
	digest := domain.Digest(sha256.Sum256(content))
	f.mu.Lock()
	known := f.known[digest]
	f.mu.Unlock()
	if known {
		return nil
	}
	if len(content) > maxFileBytes {
		return fmt.Errorf("archive %s: has %d bytes, at most %d are kept", digest, len(content), maxFileBytes)
	}
	if err := f.keep(f.file(digest), content); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) >= maxKnown {
		clear(f.known)
	}
	f.known[digest] = true
	return nil
}

// File returns the file with a digest.
func (f *Folder) File(digest domain.Digest) ([]byte, error) {
	content, err := read(f.file(digest))
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(content) != digest {
		return nil, fmt.Errorf("file %s %w", digest, ErrDamaged)
	}
	return content, nil
}

// Results returns the results for a challenge; none is no error. A file among them that is no result, or not what its name
// says, is an ErrDamaged.
func (f *Folder) Results(challenge domain.Digest) ([]*v1.AttestationResult, error) {
	folder := f.challenge(challenge)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var results []*v1.AttestationResult
	for _, entry := range entries {
		if entry.Name()[0] == '.' {
			continue // a crash left it
		}
		if len(results) == maxResults {
			return nil, fmt.Errorf("challenge %s: more than %d results", challenge, maxResults)
		}
		raw, err := read(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		if digest := sha256.Sum256(raw); hex.EncodeToString(digest[:]) != entry.Name() {
			return nil, fmt.Errorf("result %s of challenge %s %w", entry.Name(), challenge, ErrDamaged)
		}
		result := new(v1.AttestationResult)
		if err := v1.Decode(raw, result); err != nil {
			return nil, fmt.Errorf("result %s of challenge %s %w: %w", entry.Name(), challenge, ErrDamaged, err)
		}
		results = append(results, result)
	}
	return results, nil
}

func (f *Folder) file(digest domain.Digest) string {
	name := digest.String()
	return filepath.Join(f.root, filesFolder, name[:2], name)
}

func (f *Folder) challenge(challenge domain.Digest) string {
	name := challenge.String()
	return filepath.Join(f.root, resultsFolder, name[:2], name)
}

func read(path string) (_ []byte, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %w", filepath.Base(path), ErrMissing)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		return nil, fmt.Errorf("%s %w: it has more than %d bytes", filepath.Base(path), ErrDamaged, maxFileBytes)
	}
	return content, err
}

// keep makes a file durable, as a whole or not at all. One that is there already may be of another process that
// has not synced it yet, or damaged, so it is written again: the bytes are the same.
func (f *Folder) keep(path string, content []byte) (err error) {
	folder := filepath.Dir(path)
	if err := f.makeFolder(folder); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	temporary, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("archive %s: %w", filepath.Base(path), errors.Join(err, os.Remove(temporary.Name())))
	}
	return syncFolder(folder)
}

// makeFolder makes a folder and has its name durable in those above.
func (f *Folder) makeFolder(folder string) error {
	if _, err := os.Stat(folder); err == nil {
		return nil
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	for above := filepath.Dir(folder); len(above) >= len(f.root); above = filepath.Dir(above) {
		if err := syncFolder(above); err != nil {
			return err
		}
		if above == filepath.Dir(above) {
			break
		}
	}
	return nil
}

func syncFolder(folder string) error {
	opened, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
