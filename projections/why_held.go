package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// showHold lists the life of the hold, with what control said that it goes by; there is none for the pay of most jobs.
func showHold(ctx context.Context, r Reader, hold *Hold, v *Verdict) error {
	if hold.State == "" {
		return nil
	}
	if err := showWord(ctx, r, hold, v); err != nil {
		return err
	}
	v.showf(hold.Shard, hold.Held, "held: %s, as the worker was not attested (%s, by %s)", hold.Amount, hold.Cause, hold.by())
	extensions, err := r.HoldExtensions(ctx, hold.Job)
	if err != nil {
		return err
	}
	for i := range extensions {
		e := &extensions[i]
		why := "the verifier has not asked the worker for a result yet"
		if e.AskedAtMs != 0 {
			why = "the verifier asked the worker at " + logTime(e.AskedAtMs)
		}
		v.showf(hold.Shard, Moment{e.AtMs, e.Offset}, "hold_extended: until %s, as %s", logTime(e.UntilMs), why)
	}
	if err := showEnd(ctx, r, hold, v); err != nil {
		return err
	}
	switch hold.State {
	case HoldReleased:
		v.showf(hold.Shard, hold.Ended, "pay_released: the worker passed")
	case HoldRefused:
		v.showf(hold.Shard, hold.Ended, "pay_refused: %s back to the client", hold.Refund)
	}
	// Control's word came before the end of the job.
	slices.SortStableFunc(v.Facts, func(a, b Evidence) int { return cmp.Compare(a.AtMs, b.AtMs) })
	return nil
}

// showWord shows the word of control that a hold goes by: one on the worker, or an image that was retired.
func showWord(ctx context.Context, r Reader, hold *Hold, v *Verdict) error {
	if hold.Control == 0 {
		return nil
	}
	word, err := r.AttestationAt(ctx, hold.Worker, hold.Control)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil {
		word.show(v)
	}
	if hold.Cause != causeNames[v1.UnattestedCause_UNATTESTED_CAUSE_IMAGE_RETIRED] {
		return nil
	}
	ran, err := ranAt(ctx, r, hold)
	if err != nil || ran == (domain.Digest{}) {
		return err
	}
	image, err := r.RetiredImage(ctx, ran)
	if err != nil {
		return ignoreNotFound(err)
	}
	v.showf(domain.Control, image.Retired, "image_retired: %s, which the worker ran: %s", image.Image, image.Reason)
	return nil
}

// maxWords bounds how far back a worker's history is searched for one word: some weeks of renewals by the hour.
const maxWords = 1000

// ranAt returns the image that the worker was last found to run when its pay was held; zero where that is too long ago.
func ranAt(ctx context.Context, r Reader, hold *Hold) (domain.Digest, error) {
	passed, err := lastWord(ctx, r, hold.Worker, FactName(&v1.Fact{Body: &v1.Fact_AttestationPassed{}}), hold.Held.AtMs)
	return passed.ImageHash, err
}

// lastWord returns the last word of a kind on a worker at a moment, the zero word where there is none among the latest.
func lastWord(ctx context.Context, r Reader, worker domain.WorkerID, what string, atMs int64) (Attestation, error) {
	words, err := r.AttestationsLike(ctx, AttestationFilter{Worker: worker}, AttestationKey{}, maxWords)
	for _, word := range words {
		if word.What == what && word.AtMs <= atMs {
			return word, err
		}
	}
	return Attestation{}, err
}

// showEnd shows the word of control that ended a hold: the worker passed, or retired.
func showEnd(ctx context.Context, r Reader, hold *Hold, v *Verdict) error {
	what := FactName(&v1.Fact{Body: &v1.Fact_AttestationPassed{}})
	switch {
	case hold.State == HoldRefused && hold.Ended.AtMs < hold.UntilMs:
		what = FactName(&v1.Fact{Body: &v1.Fact_Retired{}})
	case hold.State != HoldReleased:
		return nil
	}
	word, err := lastWord(ctx, r, hold.Worker, what, hold.Ended.AtMs)
	if err == nil {
		word.show(v)
	}
	return err
}

func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (r *Attestation) show(v *Verdict) {
	v.showf(domain.Control, Moment{r.AtMs, r.Offset}, "%s: worker %s%s", r.What, r.Worker, r.details())
}

// details are what a word on a worker says beside its name.
func (r *Attestation) details() string {
	var said strings.Builder
	if r.UntilMs != 0 {
		said.WriteString(", until " + logTime(r.UntilMs))
	}
	for _, part := range []struct{ name, value string }{{"cause", r.Cause}, {"fault", r.Fault}, {"reason", r.Reason}} {
		if part.value != "" {
			said.WriteString(", " + part.name + " " + part.value)
		}
	}
	return said.String()
}

// by names the entry of control that a hold goes by.
func (r *Hold) by() string {
	if r.Control == 0 {
		return "no word of control"
	}
	return domain.Position{Shard: domain.Control, Offset: r.Control}.String()
}

// rule says what becomes, or became, of held pay: docs/decisions/0018 and 0021.
func (r *Hold) rule() string {
	waited := "an arbiter alone could release it, until log time in shard %d reached %s"
	switch {
	case r.State == HoldWaiting && curableCauses[r.Cause]:
		waited = "the worker's next pass releases it; once it was asked and has not passed, the client gets its charge back when " +
			"log time in shard %d reaches %s"
	case r.State == HoldWaiting:
		waited = "no later pass releases it; an arbiter may, until log time in shard %d reaches %s and the client gets its charge back"
	case curableCauses[r.Cause]:
		waited = "it had to pass before log time in shard %d reached %s, and not to retire"
	}
	return fmt.Sprintf(waited, r.Shard, logTime(r.UntilMs))
}

// curableCauses are those where nothing bad is known.
var curableCauses = map[string]bool{
	causeNames[v1.UnattestedCause_UNATTESTED_CAUSE_NEVER_PASSED]: true,
	causeNames[v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED]:      true,
	causeNames[v1.UnattestedCause_UNATTESTED_CAUSE_KEY_ROTATED]:  true,
}
