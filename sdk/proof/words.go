package proof

import (
	"fmt"
	"io"
	"strings"
	"time"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// WriteText says in words what was proven, what that relies on, and what was not shown.
func WriteText(w io.Writer, p *Proven) error {
	t := &text{w: w}
	t.proven(p)
	t.reliedOn(p)
	t.linef("\nNot shown")
	switch p.About.Kind {
	case Job:
		t.linef("  that these are all the facts about the job: ask filature why, or audit the log.")
	case Payout:
		t.linef("  that the amount is right: an audit makes the payout tree again from the log.")
	}
	if p.About.Kind != Payout {
		t.linef("  that the decisions were right: an audit makes each of them again.")
	}
	return t.err
}

// text keeps the first error.
type text struct {
	w   io.Writer
	err error
}

func (t *text) linef(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", args...)
	}
}

func (t *text) proven(p *Proven) {
	t.linef("Proven, of network %s", p.Network)
	if p.About.Kind == Payout {
		t.linef("  Payee %s was ever owed %s coins, as of batch %d.", p.About.ID, p.Amount, p.Batch.Epoch)
		return
	}
	if p.About.Kind == Job {
		t.linef("  About job %s the ledger decided", p.About.ID)
	}
	for _, r := range p.Records {
		at := time.UnixMilli(r.Entry.AtMs).UTC().Format("2006-01-02 15:04:05.000")
		t.linef("  %d/%d  %s%s", r.Shard, r.Offset, at, kindOf(r))
		if answer := r.Entry.GetAnswer(); answer != nil && !r.Void {
			t.linef("    answers intake %d/%d, SHA-256 %x, signed by %x", r.Shard, answer.IntakeOffset, answer.IntakeDigest, answer.Signer)
		}
		for _, fact := range r.Facts {
			t.linef("    %s", v1.AppendJSON(nil, fact))
		}
	}
}

func kindOf(r ProvenRecord) string {
	switch {
	case r.Void:
		return "  void: another clerk wrote first, and this decides nothing"
	case r.Entry.GetGenesis() != nil:
		return fmt.Sprintf("  genesis %s", v1.AppendJSON(nil, r.Entry.GetGenesis()))
	case r.Entry.GetPin() != nil:
		return fmt.Sprintf("  pin: control is known up to %d", r.Entry.GetPin().ControlOffset)
	case r.Entry.GetAnswer().GetRefusal() != nil:
		return fmt.Sprintf("  refused: %s", v1.AppendJSON(nil, r.Entry.GetAnswer().GetRefusal()))
	default:
		return ""
	}
}

func (t *text) reliedOn(p *Proven) {
	t.linef("\nRelies on")
	for _, c := range p.Checkpoints {
		var seen []string
		for _, w := range c.Witnessed {
			seen = append(seen, fmt.Sprintf("%s at %s", w.Witness, w.At.Format(time.RFC3339)))
		}
		witnessed := "no witness"
		if len(seen) > 0 {
			witnessed = "witnessed by " + strings.Join(seen, ", ")
		}
		t.linef("  the checkpoint of %s, %d records, root %s, signed by a key that you gave; %s", c.Log.Origin(), c.Head.Size, c.Head.Root, witnessed)
	}
	switch {
	case p.ByChain:
		t.linef("  the vault on chain: batch %d has commitment %s and payout root %s", p.Batch.Epoch, p.Batch.Commitment, p.Batch.Root)
	case p.Batch != nil:
		t.linef("  (the chain was not asked whether batch %d has commitment %s)", p.Batch.Epoch, p.Batch.Commitment)
	}
	for _, r := range p.Records {
		var by []string
		if r.BySignature {
			by = append(by, "the checkpoint")
		}
		if r.ByChain {
			by = append(by, "the chain")
		}
		t.linef("  %d/%d by %s", r.Shard, r.Offset, strings.Join(by, " and by "))
	}
}
