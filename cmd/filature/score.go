package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// scoreCmd shows how good a worker or a provider has been, and what makes it so.
type scoreCmd struct {
	ID   string `arg:"" help:"Id of a worker or a provider, in hexadecimal."`
	Data string `required:"true" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	JSON bool   `help:"Print JSON."`
}

// scored is a score as programs read it. Shares are in millionths unless their name says otherwise.
type scored struct {
	Kind      string                        `json:"kind"`
	ID        string                        `json:"id"`
	Provider  string                        `json:"provider_name"`
	ScorePPM  int64                         `json:"score_ppm"`
	Policy    domain.Digest                 `json:"policy"`
	PolicySet string                        `json:"policy_set_at"` // shard/offset in the ledger
	Factors   []projections.ScoredDimension `json:"dimensions"`
	Evidence  []projections.WeighedEvidence `json:"evidence"`
	Shards    []shardStanding               `json:"shards"`
	HeldBack  []heldBack                    `json:"held_back,omitempty"`
	Trust     *workerTrust                  `json:"attestation,omitempty"`
	AsOf      []domain.Offset               `json:"as_of"` // as explanation.AsOf
}

// shardStanding is what one shard of the ledger goes by.
type shardStanding struct {
	Shard            domain.Shard `json:"shard"`
	ScorePPM         int64        `json:"score_ppm"`
	HoldbackPermille int64        `json:"holdback_permille"`
	HoldBuckets      int64        `json:"hold_buckets"`
	SuspendedUntil   *time.Time   `json:"suspended_until,omitempty"`
	Set              string       `json:"set_at"` // shard/offset in the ledger
}

type heldBack struct {
	Shard  domain.Shard `json:"shard"`
	Amount domain.Nano  `json:"remaining_nano"`
	Until  time.Time    `json:"until"`
}

// workerTrust is how a worker's attestation stands.
type workerTrust struct {
	State string     `json:"state"` // "attested", or why it is not
	Until *time.Time `json:"until,omitempty"`
	Told  string     `json:"told_at,omitempty"` // shard/offset in the ledger
	Image string     `json:"image_hash,omitempty"`
}

func trustOf(t *projections.Trust) *workerTrust {
	w := &workerTrust{State: t.State, Until: timeOf(t.UntilMs)}
	if t.Told.AtMs != 0 {
		w.Told = ledgerPlace(domain.Control, t.Told)
	}
	if t.ImageHash != (domain.Digest{}) {
		w.Image = t.ImageHash.String()
	}
	return w
}

func ledgerPlace(shard domain.Shard, m projections.Moment) string {
	return domain.Position{Shard: shard, Offset: m.Offset}.String()
}

// timeOf is a time in milliseconds; nil where there is none.
func timeOf(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	at := time.UnixMilli(ms).UTC()
	return &at
}

// readFolder asks the projections of a folder, and returns how far they have read the ledger.
func readFolder(ctx context.Context, dir string, ask func(projections.Reader) error) (asOf []domain.Offset, err error) {
	store, err := readStore(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	err = store.Read(ctx, func(r projections.Reader) error {
		at, err := r.At(ctx)
		if err != nil {
			return err
		}
		asOf = at.Cut()
		return ask(r)
	})
	return asOf, err
}

// Run asks the folder's projections.
func (c *scoreCmd) Run(ctx context.Context, out *console) error {
	id, err := domain.ParseID[domain.Digest](c.ID)
	if err != nil {
		return usage("%s: %w", c.ID, err)
	}
	var s projections.Score
	asOf, err := readFolder(ctx, c.Data, func(r projections.Reader) (err error) {
		s, err = projections.ScoreOf(ctx, r, id, time.Now().UnixMilli())
		return err
	})
	if errors.Is(err, projections.ErrNotFound) {
		return &exitError{exitNo, err}
	}
	if err != nil {
		return err
	}
	result := newScored(&s, asOf)
	if c.JSON {
		return out.json(result)
	}
	result.print(out)
	return nil
}

func newScored(s *projections.Score, asOf []domain.Offset) *scored {
	x := &scored{
		Kind: s.Kind, ID: hex.EncodeToString(s.Subject[:]), Provider: s.Name, ScorePPM: s.ScorePPM, Policy: s.Policy,
		PolicySet: ledgerPlace(domain.Control, s.PolicySet), Factors: s.Dimensions, Evidence: s.Evidence, AsOf: asOf, Shards: []shardStanding{},
	}
	for i := range s.Standings {
		st := &s.Standings[i]
		x.Shards = append(x.Shards, shardStanding{
			Shard: st.Shard, ScorePPM: st.ScorePPM, HoldbackPermille: st.HoldbackPermille, HoldBuckets: st.HoldBuckets,
			SuspendedUntil: timeOf(st.SuspendedUntilMs), Set: ledgerPlace(st.Shard, st.Set),
		})
	}
	for i := range s.HeldBack {
		h := &s.HeldBack[i]
		x.HeldBack = append(x.HeldBack, heldBack{h.Shard, h.Amount - h.Released - h.Forfeited, time.UnixMilli(h.UntilMs).UTC()})
	}
	if s.Kind == "worker" {
		x.Trust = trustOf(&s.Trust)
	}
	return x
}

func (x *scored) print(out *console) {
	fmt.Fprintf(out.out, "%s %s, of %s\n  score %s over all shards; policy %s, set at %s\n",
		x.Kind, x.ID, x.Provider, permille(x.ScorePPM), x.Policy, x.PolicySet)
	if len(x.Shards) == 0 {
		fmt.Fprint(out.out, "  no shard has judged it yet: this is a newcomer's score\n")
	}
	if t := x.Trust; t != nil {
		fmt.Fprintf(out.out, "  attestation: %s\n", t)
	}
	fmt.Fprint(out.out, "\nThe score is the product of four means, good / (good + bad); lambda is what is kept when new evidence comes\n\n")
	var rows [][]string
	for _, d := range x.Factors {
		rows = append(rows, []string{d.Name, millionths(d.GoodMicro), millionths(d.BadMicro), permille(d.MeanPPM), millionths(int64(d.KeptPPM))})
	}
	out.table([]string{"dimension", "good", "bad", "mean", "lambda"}, rows, nil)
	fmt.Fprint(out.out, "\nAll evidence since the beginning\n\n")
	rows = nil
	for _, e := range x.Evidence {
		rows = append(rows, []string{e.Name, e.Dimension, count(e.Count), fmt.Sprintf("%d.%03d", e.WeightMilli/1000, e.WeightMilli%1000)})
	}
	out.table([]string{"evidence", "dimension", "count", "weight"}, rows, nil)
	if len(x.Shards) > 0 {
		fmt.Fprint(out.out, "\nWhat each shard goes by\n\n")
		rows = nil
		for _, s := range x.Shards {
			suspended := "no"
			if s.SuspendedUntil != nil {
				suspended = s.SuspendedUntil.Format(time.DateTime)
			}
			rows = append(rows, []string{
				strconv.Itoa(int(s.Shard)), permille(s.ScorePPM), fmt.Sprintf("%d.%d %%", s.HoldbackPermille/10, s.HoldbackPermille%10),
				count(s.HoldBuckets), suspended, s.Set,
			})
		}
		out.table([]string{"shard", "score", "held back", "buckets", "suspended until", "since"}, rows, nil)
	}
	if len(x.HeldBack) > 0 {
		fmt.Fprint(out.out, "\nHeld back now\n\n")
		rows = nil
		var sum domain.Nano
		for _, h := range x.HeldBack {
			rows = append(rows, []string{h.Until.Format(time.DateTime), strconv.Itoa(int(h.Shard)), h.Amount.String()})
			sum += h.Amount
		}
		out.table([]string{"until", "shard", "coins"}, rows, []string{"all", "", sum.String()})
	}
	fmt.Fprintf(out.out, "\nAs of ledger %v.\n", x.AsOf)
}

// String says it in one line.
func (w *workerTrust) String() string {
	said := w.State
	if w.Until != nil {
		said += ", its last result is until " + w.Until.Format(time.DateTime)
	}
	if w.Told != "" {
		said += ", by " + w.Told
	}
	return said
}

// millionths writes "20.980000".
func millionths(micro int64) string { return fmt.Sprintf("%d.%06d", micro/1_000_000, micro%1_000_000) }
