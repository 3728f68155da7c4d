package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// operators are the keys of an embedded network, and the role that each is given at its founding. The
// operator is named in the genesis; treasury and guardian are wallets, log
// signs the ledger's checkpoints, and none of the three says anything in the ledger.
var operators = []struct {
	name string
	role v1.Role
}{
	{"operator", v1.Role_ROLE_UNSPECIFIED},
	{"clock", v1.Role_ROLE_CLOCK},
	{"watcher", v1.Role_ROLE_WATCHER},
	{"settler", v1.Role_ROLE_SETTLER},
	{"proxy", v1.Role_ROLE_PROXY},
	{"verifier", v1.Role_ROLE_VERIFIER},
	{"arbiter", v1.Role_ROLE_ARBITER},
	{"treasurer", v1.Role_ROLE_TREASURER},
	{"treasury", v1.Role_ROLE_UNSPECIFIED},
	{"guardian", v1.Role_ROLE_UNSPECIFIED},
	{logKey, v1.Role_ROLE_UNSPECIFIED},
}

// keysOf are the keys that a role speaks with.
func keysOf(r role) []string {
	switch r {
	case roleClerk:
		return []string{"clock"}
	case roleWatcher:
		return []string{"watcher"}
	case roleSettler:
		return []string{"settler", "treasury"}
	case rolePublisher:
		return []string{logKey}
	case roleVerifier:
		return []string{"verifier"}
	case roleGateway, roleProjector, roleRelay, roleAuditor, roleAPI, workChallenges, workAnswers, workReconciler:
	}
	return nil
}

const keySuffix = ".key"

// keys are an operator's private keys, by name, each in a file of its own.
type keys struct{ held map[string]ed25519.PrivateKey }

// makeKeys reads all keys in a folder and makes those that are missing.
func makeKeys(dir string) (*keys, error) {
	k := &keys{held: map[string]ed25519.PrivateKey{}}
	for _, o := range operators {
		key, err := makeKey(filepath.Join(dir, o.name+keySuffix))
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", o.name, err)
		}
		k.held[o.name] = key
	}
	return k, nil
}

// makeKey reads a key file, or makes one, and its folder.
func makeKey(path string) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	key, err := sdk.ReadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, key, err = ed25519.GenerateKey(rand.Reader); err == nil {
			err = sdk.WriteKey(path, key)
		}
	}
	return key, err
}

// readKeys reads those keys in a folder that a process with some roles speaks with, and no others: they need not
// be there.
func readKeys(dir string, r roles) (*keys, error) {
	k := &keys{held: map[string]ed25519.PrivateKey{}}
	var errs []error
	for _, one := range everyRole {
		for _, name := range keysOf(one) {
			if !r[one] {
				continue
			}
			key, err := sdk.ReadKey(filepath.Join(dir, name+keySuffix))
			if err != nil {
				errs = append(errs, fmt.Errorf("key %s, which a %s speaks with: copy it from the folder where filature init made it: %w", name, one, err))
			}
			k.held[name] = key
		}
	}
	return k, errors.Join(errs...)
}

func (k *keys) of(name string) ed25519.PrivateKey { return k.held[name] }

func (k *keys) id(name string) domain.KeyID { return signing.KeyOf(k.held[name]) }

// keygenCmd makes a key file, or shows the public half of one.
type keygenCmd struct {
	Out  string `arg:"" type:"path" help:"File to write the key to. It must not exist."`
	Show bool   `help:"Make no key: print the public key of the file that is there."`
	JSON bool   `help:"Print the public key as JSON."`
}

// key is a new one, in the file, or that of the file.
func (c *keygenCmd) key() (key ed25519.PrivateKey, err error) {
	if c.Show {
		key, err = sdk.ReadKey(c.Out)
	} else if _, key, err = ed25519.GenerateKey(rand.Reader); err == nil {
		err = sdk.WriteKey(c.Out, key)
	}
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return key, nil
}

// Run prints the public half, which is what an admin registers.
func (c *keygenCmd) Run(out *console) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	id := signing.KeyOf(key)
	if c.JSON {
		return out.json(map[string]string{"file": c.Out, "public_key": id.String()})
	}
	if !c.Show {
		out.stepf("Private key in %s: keep it. Public key, to be registered:", c.Out)
	}
	fmt.Fprintln(out.out, id)
	return nil
}
