package main

import (
	"fmt"
	"runtime/debug"

	"github.com/filature/filature/contracts"
)

// versionCmd says which program this is, and which contract it settles on.
type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

// Run prints it.
func (c *versionCmd) Run(out *console) error {
	version, revision := buildOf()
	vault, claim := contracts.Vault(), contracts.ClaimAccount()
	if c.JSON {
		return out.json(map[string]string{
			"version": version, "revision": revision,
			"vault_code_hash": fmt.Sprintf("%x", vault.Hash), "claim_account_code_hash": fmt.Sprintf("%x", claim.Hash),
		})
	}
	fmt.Fprintf(out.out, "filature       %s\nrevision       %s\nvault code     %x\nclaim account  %x\n", version, revision, vault.Hash, claim.Hash)
	return nil
}

// buildOf is what the compiler noted of this program: its version, and the commit that it was built from.
func buildOf() (version, revision string) {
	version, revision = "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	return version, revision
}
