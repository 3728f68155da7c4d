package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// The demo's workers that are not simply attested. Who they are and what becomes of their pay does not depend on how
// fast the demo runs, so the same seed ends with the same payouts.
const (
	// tardyWorker has shown nothing when it begins, and passes in the middle: its pay waits, and is released.
	tardyWorker = "Baikal GPU/3"
	// outdatedWorker runs an image that is retired in the middle: its pay is held and goes back to the clients, until
	// it has passed with the new one.
	outdatedWorker = "Northern Racks/4"
	// unprovenWorker never shows anything, and leaves in the end: the clients get all of it back.
	unprovenWorker = "Kepler Farm/1"
)

const (
	// demoAttested is how long an attestation is good for, and demoReattest how long pay waits for one: longer than any demo.
	// Whether the tardy worker passes in time must not depend on the machine.
	demoAttested = (demoParts + 1) * demoDay
	demoReattest = demoAttested
	// demoAppeal is how long pay waits that only an arbiter could release. None does.
	demoAppeal = 2 * time.Second
)

// demoPolicy is the default policy at the demo's pace, and without what would depend on it: when a score falls, and what
// is held back at that moment, is another in each run, so nobody is suspended and nothing forfeited.
func demoPolicy() *v1.ReputationPolicy {
	p := reputation.Default()
	for i, tier := range p.Tiers {
		tier.HoldBuckets = uint32(i) // of a second each
	}
	p.SuspendBelowPpm, p.SlashedForfeitPermille, p.RevokedForfeitPermille = 0, 0, 0
	return p
}

// policies sets the rules about who is paid.
func (w *world) policies(ctx context.Context) error {
	return w.engine.claimAs(ctx, w.engine.operator,
		&v1.Claim{Body: &v1.Claim_SetHoldPolicy{SetHoldPolicy: &v1.SetHoldPolicy{
			ReattestWithinMs: demoReattest.Milliseconds(), AppealWithinMs: demoAppeal.Milliseconds(),
		}}},
		&v1.Claim{Body: &v1.Claim_SetReputationPolicy{SetReputationPolicy: &v1.SetReputationPolicy{Policy: demoPolicy()}}},
	)
}

// attestAtFirst has the verifier pass every worker but those that have nothing to show.
func (w *world) attestAtFirst(ctx context.Context) error {
	var some []*demoWorker
	for _, worker := range w.workers {
		if !w.suspicious || worker.name != tardyWorker && worker.name != unprovenWorker {
			some = append(some, worker)
		}
	}
	return w.attest(ctx, some...)
}

// attest has the verifier challenge and pass workers. What evidence a worker shows is the verifier's business; the
// ledger has its result. An outdated worker shows the image that it has until that is retired.
func (w *world) attest(ctx context.Context, workers ...*demoWorker) error {
	var claims []*v1.Claim
	now := w.engine.now()
	policy := w.seedOf("policy")
	for _, worker := range workers {
		w.challenges++
		challenge, evidence := w.seedOf("challenge/%d", w.challenges), w.seedOf("evidence/%d", w.challenges)
		image := w.seedOf("image")
		if worker.name == outdatedWorker && !w.retired {
			image = w.oldImage()
		}
		claims = append(claims,
			&v1.Claim{Body: &v1.Claim_ChallengeAttestation{ChallengeAttestation: &v1.ChallengeAttestation{
				Worker: worker.id[:], Challenge: challenge[:], ExpiresAtMs: now.Add(time.Minute).UnixMilli(),
			}}},
			&v1.Claim{Body: &v1.Claim_PassAttestation{PassAttestation: &v1.PassAttestation{
				Worker: worker.id[:], Challenge: challenge[:], EvidenceDigest: evidence[:], PolicyDigest: policy[:],
				ImageHash: image[:], ValidUntilMs: now.Add(demoAttested).UnixMilli(),
			}}},
		)
	}
	return w.engine.claimAs(ctx, w.engine.reporter("verifier"), claims...)
}

func (w *world) oldImage() [32]byte { return w.seedOf("old image") }

func (w *world) worker(name string) *demoWorker {
	return w.workers[slices.IndexFunc(w.workers, func(d *demoWorker) bool { return d.name == name })]
}

// turn is something that happens between two parts of the traffic, when all that was said is decided.
type turn struct {
	before int // the part, from 0; the last parts may not come to pass
	do     func(*world, context.Context) error
	said   string
}

var turns = []turn{
	{2, (*world).tardyPasses, "✓ " + tardyWorker + " has passed its attestation: its held pay is released"},
	{2, (*world).retireImage, "✓ an image is retired that " + outdatedWorker + " runs: its pay is held from here on"},
	{3, (*world).outdatedPasses, "✓ " + outdatedWorker + " has passed with the new image, and earns again"},
	{demoParts, (*world).unprovenLeaves, "✓ " + unprovenWorker + " has left without showing anything: clients get their charges back"},
}

func (w *world) tardyPasses(ctx context.Context) error { return w.attest(ctx, w.worker(tardyWorker)) }

func (w *world) retireImage(ctx context.Context) error {
	w.retired = true
	image := w.oldImage()
	return w.engine.claimAs(ctx, w.engine.operator, &v1.Claim{Body: &v1.Claim_RetireImage{RetireImage: &v1.RetireImage{
		ImageHash: image[:], Reason: "it leaked what it was asked",
	}}})
}

func (w *world) outdatedPasses(ctx context.Context) error {
	return w.attest(ctx, w.worker(outdatedWorker))
}

func (w *world) unprovenLeaves(ctx context.Context) error {
	worker := w.worker(unprovenWorker)
	return w.engine.claimAs(ctx, w.engine.operator, &v1.Claim{Body: &v1.Claim_Retire{Retire: &v1.Retire{
		Kind: v1.SubjectKind_SUBJECT_KIND_WORKER, Subject: worker.id[:],
	}}})
}

// dismissUnproven leaves out the worker that has left.
func (w *world) dismissUnproven() {
	w.workers = slices.DeleteFunc(w.workers, func(d *demoWorker) bool { return w.suspicious && d.name == unprovenWorker })
}

// takeTurns does what happens before a part.
func (w *world) takeTurns(ctx context.Context, part int, out *console) error {
	for w.suspicious && len(w.ahead) > 0 && w.ahead[0].before <= part {
		if err := w.ahead[0].do(w, ctx); err != nil {
			return fmt.Errorf("before part %d: %w", part+1, err)
		}
		out.stepf("%s", w.ahead[0].said)
		w.ahead = w.ahead[1:]
	}
	return nil
}

// tell has every shard learn what control has decided: in the end nobody else speaks any more.
func (w *world) tell(ctx context.Context) error {
	clock := w.engine.reporter("clock")
	for shard := range w.engine.dataShards() {
		if _, err := clock.Report(ctx, domain.Shard(shard+1), &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}}); err != nil {
			return err
		}
	}
	return nil
}

// unattested is the pay that waits for its worker, and so for nothing that log time brings soon.
func unattested(ctx context.Context, r projections.Reader) (sum domain.Nano, err error) {
	totals, err := r.HoldTotals(ctx, domain.WorkerID{}, projections.HoldTotal{}, projections.MaxRows)
	for _, t := range totals {
		if t.State == projections.HoldWaiting {
			sum += t.Amount
		}
	}
	return sum, err
}

// heldResult is one line of the demo's table of held pay.
type heldResult struct {
	Name string `json:"name"` // the worker's
	projections.HoldTotal
}

// standingResult is how a provider stands.
type standingResult struct {
	Name      string      `json:"name"`
	ScorePPM  int64       `json:"score_ppm"` // over all shards
	Completed int64       `json:"completed"`
	NotDone   int64       `json:"failed_or_expired"`
	Lost      int64       `json:"disputes_lost"`
	HeldBack  domain.Nano `json:"held_back_nano"` // and released since
}

// collectTrust reads whose pay waited, how providers stand, and what the market was.
func (r *demoResult) collectTrust(ctx context.Context, reader projections.Reader, w *world) error {
	totals, err := reader.HoldTotals(ctx, domain.WorkerID{}, projections.HoldTotal{}, projections.MaxRows)
	if err != nil {
		return err
	}
	r.Held = make([]heldResult, 0, len(totals))
	for _, t := range totals {
		at := slices.IndexFunc(w.workers, func(d *demoWorker) bool { return d.id == t.Worker })
		r.Held = append(r.Held, heldResult{Name: w.workers[at].name, HoldTotal: t})
	}
	heldBack := map[domain.ProviderID]domain.Nano{}
	for back, err := range projections.RowsOf(ctx, reader, projections.Holdbacks) {
		if err != nil {
			return err
		}
		heldBack[back.Provider] += back.Amount
	}
	byProvider := map[[32]byte][]projections.Standing{}
	for s, err := range projections.RowsOf(ctx, reader, projections.Standings) {
		if err != nil {
			return err
		}
		if s.Kind == projections.SubjectName(v1.SubjectKind_SUBJECT_KIND_PROVIDER) {
			byProvider[s.Subject] = append(byProvider[s.Subject], s)
		}
	}
	for _, p := range w.providers {
		line := standingResult{Name: p.name, ScorePPM: projections.ScoreOver(byProvider[p.id]), HeldBack: heldBack[p.id]}
		for _, s := range byProvider[p.id] {
			line.Completed += s.Record.Count(v1.EvidenceKind_EVIDENCE_KIND_COMPLETED)
			line.NotDone += s.Record.Count(v1.EvidenceKind_EVIDENCE_KIND_FAILED) + s.Record.Count(v1.EvidenceKind_EVIDENCE_KIND_EXPIRED)
			line.Lost += s.Record.Count(v1.EvidenceKind_EVIDENCE_KIND_DISPUTE_LOST) + s.Record.Count(v1.EvidenceKind_EVIDENCE_KIND_SLASHED)
		}
		r.Standings = append(r.Standings, line)
	}
	r.models = map[domain.ModelID]string{}
	for _, m := range w.models {
		r.models[m.id] = m.name
	}
	now := w.engine.now()
	hours, err := projections.Market(ctx, reader, projections.MarketFilter{FromMs: now.Add(-demoDay).UnixMilli(), ToMs: now.Add(time.Hour).UnixMilli()})
	for _, m := range w.models { // as each was when it was last asked for
		for _, hour := range slices.Backward(hours) {
			if hour.Model == m.id {
				r.Market = append(r.Market, hour)
				break
			}
		}
	}
	return err
}

func (r *demoResult) printTrust(out *console) {
	if len(r.Held) > 0 {
		fmt.Fprint(out.out, "\nPay that waited for its worker's attestation\n\n")
		var rows [][]string
		var jobs int64
		var amount domain.Nano
		for _, h := range r.Held {
			rows = append(rows, []string{h.Name, h.Cause, h.State, count(h.Jobs), h.Amount.String()})
			jobs += h.Jobs
			amount += h.Amount
		}
		out.table([]string{"worker", "it had", "the pay was", "jobs", "amount"}, rows, []string{"all", "", "", count(jobs), amount.String()})
	}
	if len(r.Standings) > 0 {
		fmt.Fprint(out.out, "\nHow providers stand, by the published policy; what was held back is paid by now\n\n")
		var rows [][]string
		for _, s := range r.Standings {
			rows = append(rows, []string{s.Name, permille(s.ScorePPM), count(s.Completed), count(s.NotDone), count(s.Lost), s.HeldBack.String()})
		}
		out.table([]string{"provider", "score", "done", "not done", "disputes lost", "held back"}, rows, nil)
	}
	fmt.Fprint(out.out, "\nThe market, in the last hour of each model: coefficients in thousandths, as offered and as cleared; coins for a million tokens\n\n")
	var rows [][]string
	for _, m := range r.Market {
		rows = append(rows, []string{
			time.UnixMilli(m.HourMs).UTC().Format("15:04"), r.models[m.Model], count(m.Active), count(m.Busy),
			count(m.Lowest), count(m.Median), count(m.Highest), count(m.ClearedCoefficient), count(m.Tokens), m.PerMillion.String(),
		})
	}
	out.table([]string{"hour", "model", "active", "busy", "lowest", "median", "highest", "cleared", "tokens", "per million"}, rows, nil)
}

// permille writes millionths as "0.987".
func permille(ppm int64) string { return fmt.Sprintf("%d.%03d", ppm/1_000_000, ppm%1_000_000/1000) }
