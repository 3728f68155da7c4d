package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/settler"
)

// proveCmd proves one payee's amount.
type proveCmd struct {
	Payee string `arg:"" help:"Payee: a TON address, or the account id in hexadecimal."`
	Data  string `required:"true" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	Batch uint32 `help:"Batch to prove it in. Default: the one that is active."`
	Out   string `type:"path" help:"Also write the proof, a bag of cells as the vault takes it, to this file."`
	JSON  bool   `help:"Print JSON."`
}

// payoutProof is what prove prints.
type payoutProof struct {
	Payee      string      `json:"payee"`
	Address    string      `json:"address"`
	Batch      uint32      `json:"batch"`
	Root       string      `json:"root"`
	Cumulative domain.Nano `json:"cumulative_nano"`
	// Proof is a Merkle proof cell: hash and depth of the root, and the tree pruned but for the payee.
	Proof string `json:"proof_boc"`
}

// Run makes the proof from the projections, checks it as the vault would, and prints it.
func (c *proveCmd) Run(ctx context.Context, out *console) (err error) {
	payee, err := parsePayee(c.Payee)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var found settler.Tree
	err = store.View(ctx, func(view projections.View) (err error) {
		found, err = settler.ReadTree(ctx, view, c.Batch)
		return err
	})
	if errors.Is(err, projections.ErrNotFound) {
		return &exitError{exitNo, err}
	}
	if err != nil {
		return err
	}
	tree, err := ton.NewPayoutTree(found.Leaves)
	if err != nil {
		return err
	}
	proof, err := tree.Proof(payee)
	if err != nil {
		return &exitError{exitNo, err}
	}
	amount, err := ton.VerifyPayout(found.Root, payee, proof)
	if err != nil {
		return fmt.Errorf("the proof just made does not hold: %w", err)
	}
	if c.Out != "" {
		if err := os.WriteFile(c.Out, proof, 0o600); err != nil {
			return err
		}
	}
	result := payoutProof{
		Payee: payee.String(), Address: ton.PayeeAddress(payee).String(), Batch: found.Number,
		Root: found.Root.String(), Cumulative: amount, Proof: hex.EncodeToString(proof),
	}
	if c.JSON {
		return out.json(result)
	}
	const text = "Payee       %s\nBatch       %d\nRoot        %s\n" +
		"Cumulative  %s coins, all that this payee was ever owed\nProof       %d bytes, checked\n\n%s\n"
	fmt.Fprintf(out.out, text,
		result.Address, result.Batch, result.Root, result.Cumulative, len(proof), result.Proof)
	return nil
}

func parsePayee(s string) (domain.ProviderID, error) {
	if id, err := domain.ParseID[domain.ProviderID](s); err == nil {
		return id, nil
	}
	address, err := ton.ParseAddress(s)
	if err != nil || address.Workchain != 0 {
		return domain.ProviderID{}, usage("payee %q: want an address of the basechain (UQ…) or 64 hexadecimal digits", s)
	}
	return address.Account, nil
}
