package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/settler"
)

// proveCmd proves what is in the books to somebody who trusts nobody.
type proveCmd struct {
	Payout provePayoutCmd `cmd:"" help:"Prove a payee's amount against a batch's payout root, and say how to claim it."`
	Job    proveJobCmd    `cmd:"" help:"Prove what the ledger decided about a job."`
	Fact   proveFactCmd   `cmd:"" help:"Prove that an entry is in the ledger."`
}

// provePayoutCmd proves one payee's amount.
type provePayoutCmd struct {
	Payee string `arg:"" help:"Payee: a TON address, or the account id in hexadecimal."`
	Data  string `required:"true" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	Batch uint32 `help:"Batch to prove it in. Default: the one that is active."`
	Out   string `type:"path" help:"Also write the proof, a bag of cells as the vault takes it, to this file."`
	Proof string `type:"path" help:"Also write a proof file, for filature verify."`
	JSON  bool   `help:"Print JSON."`
}

// offerTime is how long a wallet that is handed a TON Connect request may take to send it. The vault takes the proof
// for as long as its batch is active.
const offerTime = time.Hour

// payoutProof is what prove payout prints.
type payoutProof struct {
	Payee      string      `json:"payee"`
	Address    string      `json:"address"`
	Batch      uint32      `json:"batch"`
	Root       string      `json:"root"`
	Cumulative domain.Nano `json:"cumulative_nano"`
	// Proof is a Merkle proof cell: hash and depth of the root, and the tree pruned but for the payee.
	Proof string `json:"proof_boc"`
	// Claim is for the payee's own wallet, while the batch is the active one.
	Claim *claimOffer `json:"claim,omitempty"`
}

type claimOffer struct {
	Vault      string          `json:"vault"`
	Link       string          `json:"link"`
	TONConnect ton.Transaction `json:"ton_connect"`
}

// Run makes the proof from the projections, checks it as the vault would, and prints it.
func (c *provePayoutCmd) Run(ctx context.Context, out *console) (err error) {
	payee, err := parsePayee(c.Payee)
	if err != nil {
		return err
	}
	store, err := readStore(ctx, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	result, err := c.prove(ctx, store, payee)
	if errors.Is(err, projections.ErrNotFound) || errors.Is(err, settlement.ErrNotInTree) {
		return &exitError{exitNo, err}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return out.json(result)
	}
	const text = "Payee       %s\nBatch       %d\nRoot        %s\n" +
		"Cumulative  %s coins, all that this payee was ever owed\nProof       %d bytes, checked\n\n%s\n"
	fmt.Fprintf(out.out, text,
		result.Address, result.Batch, result.Root, result.Cumulative, len(result.Proof)/2, result.Proof)
	if result.Claim != nil {
		fmt.Fprintf(out.out, "\nOpen this in any wallet to claim what the payee did not get yet; the money only goes to the payee\n\n%s\n", result.Claim.Link)
	}
	return nil
}

func (c *provePayoutCmd) prove(ctx context.Context, store projections.Store, payee domain.ProviderID) (*payoutProof, error) {
	active, err := settler.ReadActive(ctx, store)
	number, tree := active.Batch.Number, active.Tree
	if c.Batch != 0 && c.Batch != number {
		number = c.Batch
		err = store.View(ctx, func(view projections.View) (err error) {
			tree, err = settler.ReadTree(ctx, view, number)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	proof, err := tree.Proof(payee)
	if err != nil {
		return nil, err
	}
	amount, err := ton.VerifyPayout(tree.Root(), payee, proof)
	if err != nil {
		return nil, fmt.Errorf("the proof just made does not hold: %w", err)
	}
	if c.Out != "" {
		if err := os.WriteFile(c.Out, proof, 0o600); err != nil {
			return nil, err
		}
	}
	if c.Proof != "" {
		if err := provePayout(ctx, ledgerFlags{Data: c.Data}, number, payee, amount, proof, c.Proof); err != nil {
			return nil, err
		}
	}
	result := &payoutProof{
		Payee: payee.String(), Address: ton.PayeeAddress(payee).String(), Batch: number,
		Root: tree.Root().String(), Cumulative: amount, Proof: hex.EncodeToString(proof),
	}
	if number == active.Batch.Number {
		request, err := requestOf(ctx, store, payee, proof)
		if err != nil {
			return nil, err
		}
		result.Claim = &claimOffer{Vault: request.To.String(), Link: request.Link(), TONConnect: request.TONConnect(time.Now().Add(offerTime))}
	}
	return result, nil
}

// requestOf makes of a proof what a wallet can send.
func requestOf(ctx context.Context, store projections.Store, payee domain.ProviderID, proof []byte) (ton.ClaimRequest, error) {
	var vault ton.Address
	if err := store.View(ctx, func(view projections.View) error {
		for network, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil {
				return err
			}
			vault.Account = network.Vault
		}
		return nil
	}); err != nil {
		return ton.ClaimRequest{}, err
	}
	return ton.RequestClaim(vault, payee, proof)
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
