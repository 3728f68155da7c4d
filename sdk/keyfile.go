// Package sdk is what other people's programs import: keys, and the emission of claims that are not
// lost while the network, the gateway or the machine is.
package sdk

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A key file is one line: the 32-byte ed25519 seed (RFC 8032, "private key") in hexadecimal.

// ErrKeyExposed: other users of the machine can read a key file.
var ErrKeyExposed = errors.New("key file can be read by others; chmod 600 it")

// ReadKey reads a key file. It refuses one that others can read.
func ReadKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w", path, ErrKeyExposed)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s: want one line of %d hexadecimal digits", path, 2*ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// WriteKey writes a key file that only its owner can read, durably. It never overwrites: a key that is
// gone can't be made again. A file that is there (fs.ErrExist) is there whole: the key is written under
// another name first, so a crash leaves either no key, or all of it, or beside it a ".key-" file that
// nobody knows of.
func WriteKey(path string, key ed25519.PrivateKey) (err error) {
	folder := filepath.Dir(path)
	file, err := os.CreateTemp(folder, ".key-*") // for its owner only
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	_, err = file.WriteString(hex.EncodeToString(key.Seed()) + "\n")
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// syncFolder makes the names in a folder durable.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
