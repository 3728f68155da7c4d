// Package archive knows what an auditor is handed: both logs as segment files, the signed heads of the ledger's trees, and a
// manifest that names every file by its hash and every shard by its root.
//
// What is in the logs of an archive depends on the records alone. Wherever a log comes from, each shard is written as a segment log of
// its own, each record with the time that counts for whoever decides: the latest so far in its shard. So two exports of the
// same records are the same files, byte for byte, from a folder and from Kafka, by whoever made them; and an export that was
// cut off goes on where it stopped. An archive that is exported again into the same folder grows, and then differs from one
// that was made at once in where its groups end, and in nothing that is recorded.
package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/filature/filature/domain"
)

// Names in an archive.
const (
	ManifestName = "manifest.json"
	IntakeDir    = "intake"
	LedgerDir    = "ledger"
	// CheckpointsDir has C2SP checkpoints: "checkpoints/0003/000000001042" is one of shard 3 with 1042 entries.
	CheckpointsDir = "checkpoints"
)

// format is the number of this layout.
const format = 2

// maxManifestBytes is room for a hundred thousand segments.
const maxManifestBytes = 16 << 20

// Manifest says what an archive holds.
type Manifest struct {
	Format  int    `json:"format"`
	Network string `json:"network"`
	// Intake and Ledger are the offsets per shard, control first, up to which (exclusive) the records are there.
	Intake []domain.Offset `json:"intake"`
	Ledger []domain.Offset `json:"ledger"`
	// Roots are the RFC 6962 roots over the ledger's records up to those ends, per shard, in hexadecimal. They are what two
	// people compare who want to know whether they hold the same history.
	Roots []string `json:"roots"`
	// Vault is where the network keeps its money, as the ledger says; empty where it has none yet.
	Vault string `json:"vault,omitempty"`
	// ZeroState is the root hash of the zero state of the TON network that it settles on, in base64, as global config files
	// have it; empty where the exporter did not know.
	ZeroState string `json:"zero_state,omitempty"`
	// LogKey is the verifier key of the ledger's checkpoints; empty where the exporter did not know it.
	LogKey string `json:"log_key,omitempty"`
	// Files are all others in the archive, in the order of their names.
	Files []File `json:"files"`
}

// File is one file of an archive.
type File struct {
	Name   string `json:"name"` // with slashes: "ledger/0003/000000000000.seg"
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// errForeign says that something is in the folder that no export put there.
var (
	errForeign  = errors.New("is no file of an archive")
	errFormat   = errors.New("has another format than this program reads")
	errManifest = errors.New("names a file that can't be there")
)

// Seal hashes and syncs all files of an archive and writes its manifest, last and whole: a folder without one is an export
// that was cut off.
func Seal(dir string, m Manifest) error {
	m.Format, m.Files = format, nil
	names, err := filesIn(dir)
	if err != nil {
		return fmt.Errorf("seal archive %s: %w", dir, err)
	}
	for _, name := range names {
		file, err := hashFile(dir, name)
		if err != nil {
			return fmt.Errorf("seal archive %s: %w", dir, err)
		}
		m.Files = append(m.Files, file)
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("seal archive %s: %w", dir, err)
	}
	if err := writeWhole(filepath.Join(dir, ManifestName), append(raw, '\n')); err != nil {
		return fmt.Errorf("seal archive %s: %w", dir, err)
	}
	return nil
}

// filesIn lists all files but the manifest, by their names with slashes, in order.
func filesIn(dir string) ([]string, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() || name == ManifestName:
			return nil
		case !entry.Type().IsRegular() || !Known(name):
			return fmt.Errorf("%s: %w", name, errForeign)
		}
		names = append(names, name)
		return nil
	})
	slices.Sort(names)
	return names, err
}

// Known tells whether an archive has files of a name: those in the folders of the shards of the two logs, and checkpoints.
func Known(name string) bool { return knownName.MatchString(name) }

var knownName = regexp.MustCompile(`^((` + IntakeDir + `|` + LedgerDir + `)/[0-9]{4}/[0-9a-z]+(\.seg)?|` + CheckpointsDir + `/[0-9]{4}/[0-9]{12,19})$`)

// Checkpoint is the name of the file with a checkpoint of a shard.
func Checkpoint(shard domain.Shard, size int64) string {
	return fmt.Sprintf("%s/%04d/%012d", CheckpointsDir, shard, size)
}

// WriteCheckpoint puts a checkpoint into an archive that has no manifest yet. One of the same size gives way to it.
func WriteCheckpoint(dir string, shard domain.Shard, size int64, signed []byte) error {
	name := filepath.Join(dir, filepath.FromSlash(Checkpoint(shard, size)))
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	return writeWhole(name, signed)
}

// Checkpoints are the names of all checkpoints that a manifest lists.
func (m Manifest) Checkpoints() (names []string) {
	for _, file := range m.Files {
		if strings.HasPrefix(file.Name, CheckpointsDir+"/") {
			names = append(names, file.Name)
		}
	}
	return names
}

func hashFile(dir, name string) (_ File, err error) {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return File{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	digest := sha256.New()
	n, err := io.Copy(digest, f)
	if err != nil {
		return File{}, err
	}
	return File{Name: name, Bytes: n, SHA256: hex.EncodeToString(digest.Sum(nil))}, f.Sync()
}

// writeWhole makes a file that is there whole or not at all.
func writeWhole(name string, content []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// Reopen takes the manifest out of an archive that is about to grow.
func Reopen(dir string) error {
	err := os.Remove(filepath.Join(dir, ManifestName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Read reads the manifest of an archive. Its error is fs.ErrNotExist where there is none: that is no archive, or an export
// that was cut off.
func Read(dir string) (Manifest, error) {
	f, err := os.Open(filepath.Join(dir, ManifestName))
	if err != nil {
		return Manifest{}, fmt.Errorf("read archive: %w", err)
	}
	decoder := json.NewDecoder(io.LimitReader(f, maxManifestBytes))
	decoder.DisallowUnknownFields()
	var m Manifest
	err = decoder.Decode(&m)
	if err = errors.Join(err, f.Close()); err != nil {
		return Manifest{}, fmt.Errorf("read archive %s: %w", dir, err)
	}
	if m.Format != format {
		return Manifest{}, fmt.Errorf("read archive %s: %w: %d, want %d", dir, errFormat, m.Format, format)
	}
	for _, file := range m.Files {
		if !Known(file.Name) {
			return Manifest{}, fmt.Errorf("read archive %s: %w: %q", dir, errManifest, file.Name)
		}
	}
	return m, nil
}

// Wrong is a file that is not as the manifest says.
type Wrong struct{ Name, Why string }

// Check reads every file of an archive and compares it with the manifest, both ways.
func Check(ctx context.Context, dir string, m Manifest) (wrong []Wrong, err error) {
	names, err := filesIn(dir)
	if err != nil {
		return nil, fmt.Errorf("check archive %s: %w", dir, err)
	}
	listed := map[string]File{}
	for _, file := range m.Files {
		listed[file.Name] = file
		if _, there := slices.BinarySearch(names, file.Name); !there {
			wrong = append(wrong, Wrong{file.Name, "is in the manifest, and missing"})
		}
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		want, is := listed[name]
		if !is {
			wrong = append(wrong, Wrong{name, "is not in the manifest"})
			continue
		}
		have, err := hashFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("check archive %s: %w", dir, err)
		}
		if have != want {
			const why = "has %d bytes and SHA-256 %s; the manifest says %d and %s"
			wrong = append(wrong, Wrong{name, fmt.Sprintf(why, have.Bytes, have.SHA256, want.Bytes, want.SHA256)})
		}
	}
	return wrong, nil
}
