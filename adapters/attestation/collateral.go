package attestation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/domain"
)

// Bounds of collateral. Real files have up to 30 KiB.
const (
	// MaxCollateralBytes is the longest file that is read.
	MaxCollateralBytes = 256 << 10
	// MaxCollateralFiles is how many there may be: one a chip, and a few dozen for all.
	MaxCollateralFiles = 20_000
)

// Names of collateral. A name is the file's path in the folder, and there is one place on the vendors' servers where it
// comes from (package fetch).
const (
	intelRootRevocations = "intel/root.crl"       // DER
	intelTCBSigner       = "intel/tcb-signer.pem" // who signs the two JSON files
	intelQEIdentity      = "intel/tdx-qe-identity.json"
)

func amdRevocations(line string, signer sevsnp.Signer) string {
	return "amd/" + line + "/" + string(signer) + ".crl" // DER
}

// amdChipKey is the certificate (DER) of a chip's VCEK at one level.
func amdChipKey(line string, chip [64]byte, level sevsnp.TCB) string {
	id := chip[:]
	if line == sevsnp.Turin {
		id = chip[:8]
	}
	return fmt.Sprintf("amd/%s/vcek/%s-%016x.der", line, hex.EncodeToString(id), level.Encode(line))
}

func intelPCKSigner(ca string) string      { return "intel/pck-" + ca + ".pem" }
func intelPCKRevocations(ca string) string { return "intel/pck-" + ca + ".crl" } // DER
func intelTCBInfo(fmspc string) string     { return "intel/tdx-tcb-" + fmspc + ".json" }

// collateralName is the grammar of all names.
var collateralName = regexp.MustCompile(`^(?:amd/(?:Milan|Genoa|Turin)/(?:(?:vcek|vlek)\.crl|vcek/(?:[0-9a-f]{128}|[0-9a-f]{16})-[0-9a-f]{16}\.der)` +
	`|intel/(?:root\.crl|tcb-signer\.pem|tdx-qe-identity\.json|pck-(?:platform|processor)\.(?:pem|crl)|tdx-tcb-[0-9a-f]{12}\.json))$`)

// IsCollateral says whether a name is one that a verifier would ask for.
func IsCollateral(name string) bool { return collateralName.MatchString(name) }

// Collateral is what vendors publish and a verifier has to have, as it was at one moment. It does not change, so
// any number of appraisals may use it. The zero value is empty.
type Collateral struct{ files map[string]file }

type file struct {
	bytes  []byte
	digest domain.Digest
}

// NewCollateral makes one of files by name. It keeps the slices.
func NewCollateral(files map[string][]byte) (Collateral, error) {
	c := Collateral{files: make(map[string]file, len(files))}
	if len(files) > MaxCollateralFiles {
		return c, fmt.Errorf("collateral: %d files, at most %d are read", len(files), MaxCollateralFiles)
	}
	for name, content := range files {
		if !IsCollateral(name) {
			return c, fmt.Errorf("collateral %s: no verifier would ask for this name", name)
		}
		if len(content) > MaxCollateralBytes {
			return c, fmt.Errorf("collateral %s: has %d bytes, at most %d are read", name, len(content), MaxCollateralBytes)
		}
		c.files[name] = file{content, sha256.Sum256(content)}
	}
	return c, nil
}

// Len is how many files there are.
func (c Collateral) Len() int { return len(c.files) }

// ReadCollateral reads a folder. Names that no verifier would ask for are refused, since one is a file that somebody
// believes to be in use; only those that begin with a dot are passed over.
func ReadCollateral(folder string) (_ Collateral, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return Collateral{}, fmt.Errorf("collateral: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	files := map[string][]byte{}
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && path.Base(name)[0] == '.':
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case len(files) == MaxCollateralFiles:
			return fmt.Errorf("more than %d files", MaxCollateralFiles)
		}
		files[name], err = readBounded(root, name)
		return err
	})
	if err != nil {
		return Collateral{}, fmt.Errorf("collateral in %s: %w", filepath.Clean(folder), err)
	}
	return NewCollateral(files)
}

func readBounded(root *os.Root, name string) (_ []byte, err error) {
	opened, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	content, err := io.ReadAll(io.LimitReader(opened, MaxCollateralBytes+1))
	if len(content) > MaxCollateralBytes {
		return nil, fmt.Errorf("%s: more than %d bytes", name, MaxCollateralBytes)
	}
	return content, err
}
