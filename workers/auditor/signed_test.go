package auditor_test

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/workers/auditor"
)

// logKeyOf is a key of some name.
func logKeyOf(name byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{name}, ed25519.SeedSize))
}

func policyOf(t *testing.T, lines ...string) *tlog.Policy {
	t.Helper()
	policy, err := tlog.ParsePolicy([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// headAt is the head of the first entries of a shard.
func headAt(t *testing.T, p paper, shard domain.Shard, size int) tlog.Head {
	t.Helper()
	tree := tlog.NewGrowing()
	for _, record := range p[shard][:size] {
		if err := tree.Append(record.Value); err != nil {
			t.Fatal(err)
		}
	}
	head, err := tree.Head()
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// noted are checkpoints of every shard: of its first half, which a witness cosigned, and of all of it.
func noted(t *testing.T, network domain.NetworkID, p paper) (notes []auditor.Note) {
	t.Helper()
	for shard := range p {
		log := tlog.Log{Network: network, Shard: domain.Shard(shard)}
		for _, size := range []int{len(p[shard]) / 2, len(p[shard])} {
			signed, err := tlog.Sign(log, headAt(t, p, log.Shard, size), logKeyOf('l'))
			if err != nil {
				t.Fatal(err)
			}
			if size < len(p[shard]) {
				line, err := tlog.Cosign(signed, "witness.example/w", logKeyOf('w'), time.Unix(1_767_225_600, 0))
				if err != nil {
					t.Fatal(err)
				}
				signed = append(signed, line...)
			}
			notes = append(notes, auditor.Note{From: log.Origin(), Signed: signed})
		}
	}
	return notes
}

func stepNamed(t *testing.T, r auditor.Report, name string) auditor.Step {
	t.Helper()
	for _, step := range r.Steps {
		if step.Name == name {
			return step
		}
	}
	t.Fatalf("there is no step %s:\n%s", name, text(t, r))
	return auditor.Step{}
}

func TestALedgerIsComparedWithEachHeadThatWasSignedOfIt(t *testing.T) {
	w := lived(t, rig.Options{Seed: 71}, 40)
	ledger := copyOf(t, w.Ledger)
	public := func(name byte) ed25519.PublicKey { return logKeyOf(name).Public().(ed25519.PublicKey) }
	logLine := "log " + tlog.NetworkKey(w.Network, public('l'))
	witnessLine := "witness w " + tlog.WitnessKey("witness.example/w", public('w'))
	keyOnly, oneWitness := policyOf(t, logLine, witnessLine, "quorum none"), policyOf(t, logLine, witnessLine, "quorum w")
	twoWitnesses := policyOf(t, logLine, witnessLine, "witness x "+tlog.WitnessKey("x", public('x')), "group both all w x", "quorum both")

	under := func(t *testing.T, policy *tlog.Policy) auditor.Report {
		t.Helper()
		cfg := config(w)
		cfg.Published = &auditor.Published{Notes: noted(t, w.Network, ledger), Policy: policy, Wanted: policy != nil}
		return audit(t, cfg)
	}

	t.Run("all of it is under a checkpoint, and half under one that was witnessed", func(t *testing.T) {
		r := under(t, keyOnly)
		step := stepNamed(t, r, "checkpoints")
		if r.Verdict != auditor.Pass || step.State != auditor.StepDone || step.Checked[0].Number != 6 || step.Checked[1].Number != 3 {
			t.Fatalf("%+v\n%s", step, text(t, r))
		}
		for shard, row := range r.Shards {
			if row.SignedTo != int64(len(ledger[shard])) || row.WitnessedTo != row.SignedTo/2 {
				t.Errorf("shard %d of %d entries is signed to %d, witnessed to %d", shard, len(ledger[shard]), row.SignedTo, row.WitnessedTo)
			}
		}
		if r := under(t, oneWitness); r.Verdict != auditor.Pass || r.Shards[1].SignedTo != int64(len(ledger[1])/2) {
			t.Errorf("where a witness is wanted the checkpoint that it signed counts:\n%s", text(t, r))
		}
		if r := under(t, twoWitnesses); r.Verdict != auditor.Incomplete || !strings.Contains(stepNamed(t, r, "checkpoints").Why, "2 of w, x") {
			t.Errorf("no checkpoint has two witnesses:\n%s", text(t, r))
		}
	})

	for name, c := range map[string]struct {
		change func(*auditor.Published)
		want   auditor.Offence
	}{
		"it was signed by another key": {
			func(p *auditor.Published) {
				p.Policy = policyOf(t, "log "+tlog.NetworkKey(w.Network, public('x')), "quorum none")
			},
			auditor.Offence{Kind: auditor.BadCheckpoint, Log: auditor.Ledger},
		},
		"a byte of it was changed": {
			func(p *auditor.Published) { p.Notes[1].Signed[len(p.Notes[1].Signed)-20] ^= 1 },
			auditor.Offence{Kind: auditor.BadCheckpoint, Log: auditor.Ledger},
		},
		"it is of another network": {
			func(p *auditor.Published) {
				other := domain.NetworkID{1}
				p.Policy, p.Notes = policyOf(t, "log "+tlog.NetworkKey(other, public('l')), "quorum none"), noted(t, other, ledger)
			},
			auditor.Offence{Kind: auditor.BadCheckpoint, Log: auditor.Ledger},
		},
		"it is of a shard that is not there": {
			func(p *auditor.Published) { p.Notes = noted(t, w.Network, append(ledger, ledger[1])) },
			auditor.Offence{Kind: auditor.BadCheckpoint, Log: auditor.Ledger},
		},
		"an entry was another one": {
			func(p *auditor.Published) {
				before := append(paper(nil), ledger...)
				before[2] = append(before[2][:0:0], ledger[2]...)
				before[2][3].Value = []byte("another")
				p.Notes = noted(t, w.Network, before)
			},
			auditor.Offence{Kind: auditor.RewrittenLog, Log: auditor.Ledger, Have: headAt(t, ledger, 2, len(ledger[2])/2).Root.String()},
		},
		"the ledger was longer": {
			func(p *auditor.Published) {
				before := append(paper(nil), ledger...)
				before[0] = append(slices.Clip(before[0]), ledger[1][0])
				p.Notes = noted(t, w.Network, before)
			},
			auditor.Offence{Kind: auditor.RewrittenLog, Log: auditor.Ledger},
		},
		"a manifest has another root": {
			func(p *auditor.Published) {
				p.Told = []auditor.ToldHead{{From: "manifest.json", Shard: 1, Head: tlog.Head{Size: 3, Root: domain.Digest{9}}}}
			},
			auditor.Offence{Kind: auditor.RewrittenLog, Log: auditor.Ledger, Have: headAt(t, ledger, 1, 3).Root.String(), Want: domain.Digest{9}.String()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(w)
			cfg.Published = &auditor.Published{Notes: noted(t, w.Network, ledger), Policy: keyOnly, Wanted: true}
			c.change(cfg.Published)
			r := audit(t, cfg)
			names(t, r, c.want)
			for _, o := range r.Offences {
				if o.Kind != c.want.Kind {
					t.Errorf("the ledger is as it was, and %s", o)
				}
			}
		})
	}

	t.Run("without a key nothing that is signed is believed, and the trees are compared all the same", func(t *testing.T) {
		r := under(t, nil)
		if r.Verdict != auditor.Pass || r.Shards[1].SignedTo != 0 || !strings.Contains(stepNamed(t, r, "checkpoints").Why, "no key") {
			t.Errorf("%s", text(t, r))
		}
	})
}
