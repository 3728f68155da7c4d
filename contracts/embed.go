// Package contracts knows the compiled code of Filature's TON contracts: the vault that holds the
// network's money and the claim account that remembers what one payee was paid.
//
// The sources are the .tolk files beside this one. build/ is written by compile.mjs, which also
// proves (--check) that it is current; nothing here needs Node.
package contracts

import (
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

var (
	//go:embed build/vault.json
	vaultJSON []byte
	//go:embed build/claim_account.json
	claimAccountJSON []byte
)

// Code is one compiled contract.
type Code struct {
	BoC  []byte   // bag of cells with one root, as the compiler wrote it
	Hash [32]byte // hash of the root cell: what explorers and verifiers call the code hash
	Tolk string   // version of the compiler
}

// Vault returns the code of the vault.
func Vault() Code { return decode("vault", vaultJSON) }

// ClaimAccount returns the code of the claim account; a vault carries it in its first data.
func ClaimAccount() Code { return decode("claim_account", claimAccountJSON) }

// decode panics on a damaged file: it is compiled into the program, so that is a broken build.
func decode(name string, raw []byte) Code {
	var file struct {
		Tolk string `json:"tolk"`
		Hash string `json:"hash"`
		Code []byte `json:"code"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		panic(fmt.Sprintf("contracts: build/%s.json: %v", name, err))
	}
	hash, err := hex.DecodeString(file.Hash)
	if err != nil || len(hash) != 32 {
		panic(fmt.Sprintf("contracts: build/%s.json: hash %q: want 64 hexadecimal digits", name, file.Hash))
	}
	return Code{BoC: file.Code, Hash: [32]byte(hash), Tolk: file.Tolk}
}
