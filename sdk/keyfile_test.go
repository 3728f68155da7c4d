package sdk_test

import (
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/filature/filature/sdk"
)

func aKey(first byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = first
	return ed25519.NewKeyFromSeed(seed)
}

func TestAKeyComesBackFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	if err := sdk.WriteKey(path, aKey(1)); err != nil {
		t.Fatal(err)
	}
	key, err := sdk.ReadKey(path)
	if err != nil || !key.Equal(aKey(1)) {
		t.Fatalf("read another key, or none: %v", err)
	}
}

func TestAKeyIsNeverOverwrittenAndNothingIsLeftBeside(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.key")
	if err := sdk.WriteKey(path, aKey(1)); err != nil {
		t.Fatal(err)
	}
	if err := sdk.WriteKey(path, aKey(2)); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a second key: %v, want fs.ErrExist", err)
	}
	if key, err := sdk.ReadKey(path); err != nil || !key.Equal(aKey(1)) {
		t.Fatalf("the first key is gone: %v", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Fatalf("the folder has %d files (%v), want the key alone", len(entries), err)
	}
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.key")
	if err := sdk.WriteKey(path, aKey(1)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.ReadKey(path); !errors.Is(err, sdk.ErrKeyExposed) {
		t.Fatalf("got %v, want ErrKeyExposed", err)
	}
}
