package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/sdk/proof"
)

// verifyCmd checks a proof file.
type verifyCmd struct {
	File string `arg:"" type:"existingfile" help:"Proof, as filature prove wrote it."`

	Key    []string `help:"Key of the network's logs, as filature publish prints it. May be repeated."`
	Policy string   `type:"existingfile" help:"C2SP tlog-policy file: keys of logs, and the witnesses who have to have cosigned."`
	Vault  string   `help:"Address of the network's vault; with --ton-config: ask the chain."`
	Data   string   `type:"existingdir" help:"Ask the chain of this data folder, and take its word for the vault. For trying it out."`
	JSON   bool     `help:"Print JSON."`

	Chain chainFlags `embed:""`
}

// verdict is what verify prints as JSON.
type verdict struct {
	About       proof.Subject      `json:"about"`
	Network     string             `json:"network"`
	Checkpoints []verdictHead      `json:"checkpoints"`
	Batch       uint32             `json:"batch,omitempty"`
	ByChain     bool               `json:"by_chain"`
	Amount      string             `json:"amount_coins,omitempty"`
	Records     []verdictOfARecord `json:"records"`
}

type verdictHead struct {
	Origin    string      `json:"origin"`
	Size      int64       `json:"size"`
	Root      string      `json:"root"`
	Witnesses []witnessed `json:"witnesses"`
}

type witnessed struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

type verdictOfARecord struct {
	Position    string `json:"position"`
	BySignature bool   `json:"by_signature"`
	ByChain     bool   `json:"by_chain"`
	Void        bool   `json:"void"`
}

// Run checks the file, and exits with 1 where it proves nothing.
func (c *verifyCmd) Run(ctx context.Context, out *console) error {
	raw, err := readProof(c.File)
	if err != nil {
		return err
	}
	trust, err := c.trust(ctx, raw)
	if err != nil {
		return err
	}
	proven, err := proof.Verify(raw, trust)
	if err != nil {
		return &exitError{exitNo, fmt.Errorf("%s: %w", c.File, err)}
	}
	if c.JSON {
		return out.json(verdictOf(proven))
	}
	return proof.WriteText(out.out, proven)
}

func readProof(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > proof.MaxBytes {
		return nil, usage("%s: has %d bytes, want at most %d", file, info.Size(), proof.MaxBytes)
	}
	return os.ReadFile(file)
}

// trust is what the flags say to believe. It asks the chain for the batch that the file names.
func (c *verifyCmd) trust(ctx context.Context, raw []byte) (trust proof.Trust, err error) {
	trust.Payout = ton.VerifyPayout
	switch {
	case len(c.Key) > 0 && c.Policy != "":
		return trust, usage("--key: does not go with --policy; the file has the keys")
	case c.Vault != "" && c.Chain.TonConfig == "":
		return trust, usage("--vault: goes with --ton-config, which says how the chain is reached")
	case c.Vault == "" && c.Chain.TonConfig != "":
		return trust, usage("--ton-config: goes with --vault, which says where the network keeps its money")
	case c.Vault != "" && c.Data != "":
		return trust, usage("--data: does not go with --vault")
	case len(c.Key) == 0 && c.Policy == "" && c.Vault == "" && c.Data == "":
		return trust, usage("what is to be believed? Give --key or --policy for checkpoints, --vault and --ton-config for the chain, or both")
	case len(c.Key) > 0:
		if trust.Policy, err = tlog.Keys(c.Key...); err != nil {
			return trust, usage("--key: %w", err)
		}
	case c.Policy != "":
		file, err := readBounded(c.Policy)
		if err != nil {
			return trust, usage("--policy: %w", err)
		}
		if trust.Policy, err = tlog.ParsePolicy(file); err != nil {
			return trust, usage("--policy %s: %w", c.Policy, err)
		}
	}
	file, err := proof.Parse(raw)
	if err != nil {
		return trust, &exitError{exitNo, fmt.Errorf("%s: %w", c.File, err)}
	}
	claimed, ok := file.OnChain()
	if !ok || c.Vault == "" && c.Data == "" {
		return trust, nil
	}
	told, err := c.askChain(ctx, claimed.Epoch)
	trust.Chain = &told
	return trust, err
}

// askChain is what the vault activated under a batch's number.
func (c *verifyCmd) askChain(ctx context.Context, number uint32) (told settlement.OnChain, err error) {
	at, err := c.vaultAddress(ctx)
	if err != nil {
		return told, err
	}
	client, end, err := c.Chain.look(ctx, c.Data)
	if err != nil {
		return told, err
	}
	defer func() { err = errors.Join(err, end()) }()
	told, err = client.Vault(at).Activated(ctx, number)
	if errors.Is(err, ton.ErrNeverActivated) {
		err = &exitError{exitNo, fmt.Errorf("%s: %w", c.File, err)}
	}
	return told, err
}

func (c *verifyCmd) vaultAddress(ctx context.Context) (_ ton.Address, err error) {
	if c.Vault != "" {
		at, err := ton.ParseAddress(c.Vault)
		if err != nil {
			return at, usage("--vault: %w", err)
		}
		return at, nil
	}
	log, err := seglog.OpenReadOnly(filepath.Join(c.Data, ledgerDir))
	if err != nil {
		return ton.Address{}, usage("--data %s: %w", c.Data, err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	vault, err := readVault(ctx, log)
	return ton.Address{Account: vault}, err
}

func verdictOf(p *proof.Proven) verdict {
	v := verdict{About: p.About, Network: p.Network.String(), ByChain: p.ByChain, Checkpoints: []verdictHead{}, Records: []verdictOfARecord{}}
	if p.Batch != nil {
		v.Batch = p.Batch.Epoch
	}
	if p.About.Kind == proof.Payout {
		v.Amount = p.Amount.String()
	}
	for _, c := range p.Checkpoints {
		head := verdictHead{Origin: c.Log.Origin(), Size: c.Head.Size, Root: c.Head.Root.String(), Witnesses: []witnessed{}}
		for _, w := range c.Witnessed {
			head.Witnesses = append(head.Witnesses, witnessed{w.Witness, w.At})
		}
		v.Checkpoints = append(v.Checkpoints, head)
	}
	for _, r := range p.Records {
		v.Records = append(v.Records, verdictOfARecord{fmt.Sprintf("%d/%d", r.Shard, r.Offset), r.BySignature, r.ByChain, r.Void})
	}
	return v
}
