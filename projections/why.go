package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Outcome is what became of the pay for something. It is always exactly one.
type Outcome string

// Outcomes.
const (
	// Paid on chain, in a finalized transaction.
	Paid Outcome = "paid"
	// Held while a dispute is open, or while its worker is not attested.
	Held Outcome = "held"
	// NotPaid, and never will be, for a reason that is named: the claim was rejected, or nothing was charged.
	NotPaid Outcome = "rejected"
	// Pending: not yet.
	Pending Outcome = "pending"
	// Booked is for reports that were taken and that no pay hangs on.
	Booked Outcome = "booked"
)

// Verdict says what became of something, why, and which facts of the ledger made it so.
type Verdict struct {
	Outcome Outcome
	// Reason is one word for programs: a ReasonName, or one of the words in this file.
	Reason string
	// Because is one sentence for people.
	Because string
	// Amount is the pay that it is about.
	Amount domain.Nano
	// Facts are in the order in which they happened.
	Facts []Evidence
}

// Evidence is one fact of the ledger.
type Evidence struct {
	At   domain.Position
	AtMs int64
	What string
}

func (v *Verdict) showf(shard domain.Shard, when Moment, format string, args ...any) {
	if when.AtMs != 0 {
		v.Facts = append(v.Facts, Evidence{domain.Position{Shard: shard, Offset: when.Offset}, when.AtMs, fmt.Sprintf(format, args...)})
	}
}

func (v Verdict) isf(outcome Outcome, reason, format string, args ...any) Verdict {
	v.Outcome, v.Reason, v.Because = outcome, reason, fmt.Sprintf(format, args...)
	return v
}

// WhyJob says what became of the worker's part of a job. It is ErrNotFound for a job that no fact names.
func WhyJob(ctx context.Context, r Reader, job domain.JobID) (Verdict, error) {
	rejected, err := r.RejectionsOfJob(ctx, job)
	if err != nil {
		return Verdict{}, fmt.Errorf("why job %s: %w", job, err)
	}
	j, err := r.Job(ctx, job)
	switch {
	case errors.Is(err, ErrNotFound) && len(rejected) > 0:
		last := rejected[len(rejected)-1]
		return showRejections(Verdict{}, rejected).isf(NotPaid, last.Reason, "no claim for this job was accepted: %s", last.Rule()), nil
	case err != nil:
		return Verdict{}, fmt.Errorf("why job %s: %w", job, err)
	}
	v := showRejections(j.evidence(), rejected)
	v, err = whyPay(ctx, r, &j, v)
	if err != nil {
		return Verdict{}, fmt.Errorf("why job %s: %w", job, err)
	}
	// What was held back is released whenever its time comes, before its pay's batch or after it.
	slices.SortStableFunc(v.Facts, func(a, b Evidence) int { return cmp.Compare(a.AtMs, b.AtMs) })
	return v, nil
}

// evidence lists the life of the job.
func (r *Job) evidence() Verdict {
	v := Verdict{Amount: r.WorkerPart}
	v.showf(r.Shard, r.Submitted, "job_submitted: %s reserved", r.Reserved)
	v.showf(r.Shard, r.Assigned, "job_assigned: to worker %s", r.Worker)
	v.showf(r.Shard, r.Started, "job_started")
	v.showf(r.Shard, r.Closed, "job_%s: %s charged, %s of it for the worker", r.State, r.Charge, r.WorkerPart)
	v.showf(r.Shard, r.Disputed, "job_disputed: %s, %s held", r.DisputeReason, r.Held)
	v.showf(r.Shard, r.Resolved, "dispute_resolved: %s back to the client, %s to the provider, %s slashed", r.Refund, r.Released, r.Slashed)
	return v
}

// whyPay follows the worker's part from the job's end to the chain.
func whyPay(ctx context.Context, r Reader, j *Job, v Verdict) (Verdict, error) {
	switch {
	case j.Closed.AtMs == 0:
		return v.isf(Pending, "open", "the job is %s and has not ended", j.State), nil
	case j.WorkerPart == 0:
		return v.isf(NotPaid, "nothing_charged", "the job %s, and its rate card charges nothing for that", j.State), nil
	}
	hold, err := r.Hold(ctx, j.Job)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return v, err
	}
	matures := Moment{j.DisputableUntilMs, j.Closed.Offset}
	if err := showHold(ctx, r, &hold, &v); err != nil {
		return v, err
	}
	switch {
	case hold.State == HoldRefused:
		return v.isf(NotPaid, "not_attested", "the worker was not attested (%s, by %s), so the client got its charge back: %s",
			hold.Cause, hold.by(), hold.rule()), nil
	case j.Dispute == DisputeOpen:
		return v.isf(Held, "disputed", "the client disputes the job (%s); %s is held until an arbiter decides", j.DisputeReason, j.Held), nil
	case hold.State == HoldWaiting:
		v.Amount = hold.Amount
		return v.isf(Held, "not_attested", "the worker was not attested (%s, by %s), so %s is held: %s",
			hold.Cause, hold.by(), hold.Amount, hold.rule()), nil
	case hold.State == HoldReleased && hold.BucketMs != 0 && (j.Dispute == "" || j.Released == 0 && j.Resolved.Offset <= hold.Ended.Offset):
		v.Amount, matures = hold.Amount, Moment{hold.BucketMs, hold.Ended.Offset}
	case j.Dispute == DisputeResolved && j.Released == 0:
		return v.isf(NotPaid, "dispute_lost", "the dispute left nothing for the provider"), nil
	case j.Dispute == DisputeResolved:
		v.Amount = j.Released
		return whyBatch(ctx, r, j.Provider, domain.Position{Shard: j.Shard, Offset: j.Resolved.Offset}, v)
	}
	return whyMature(ctx, r, j, matures, v)
}

// logTime writes a moment of log time for people.
func logTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000") }

// whyMature follows pay from a bucket, which ends at matures.AtMs, and is found from an offset on.
func whyMature(ctx context.Context, r Reader, j *Job, matures Moment, v Verdict) (Verdict, error) {
	matured, err := r.MaturityOf(ctx, j.Provider, matures.AtMs, domain.Position{Shard: j.Shard, Offset: matures.Offset})
	if errors.Is(err, ErrNotFound) {
		return v.isf(Pending, "dispute_window", "the pay is mature when log time in shard %d reaches %s", j.Shard, logTime(matures.AtMs)), nil
	}
	if err != nil {
		return v, err
	}
	v.showf(matured.Shard, Moment{matured.AtMs, matured.Ledger}, "earnings_matured: %s of the provider, this job's among it", matured.Amount)
	back, err := r.Holdback(ctx, HoldbackKey{j.Provider, j.Shard, matures.AtMs})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return v, err
	}
	v.showf(j.Shard, back.Held, "held back: %s of it, until log time reaches %s", back.Amount, logTime(back.UntilMs))
	v.showf(j.Shard, back.LastForfeits, "holdback_forfeited: %s in all (%s)", back.Forfeited, back.Cause)
	if err := showReleased(ctx, r, j, &back, &v); err != nil {
		return v, err
	}
	return whyBatch(ctx, r, j.Provider, domain.Position{Shard: matured.Shard, Offset: matured.Ledger}, v)
}

// showReleased shows that what was held back is free, and in which batch it is: a later one than the pay's own, if that was
// sealed before.
func showReleased(ctx context.Context, r Reader, j *Job, back *Holdback, v *Verdict) error {
	if back.ReleasedAt.AtMs == 0 {
		return nil
	}
	line, err := r.FirstLine(ctx, j.Provider, domain.Position{Shard: j.Shard, Offset: back.ReleasedAt.Offset})
	switch {
	case errors.Is(err, ErrNotFound):
		v.showf(j.Shard, back.ReleasedAt, "holdback_released: %s", back.Released)
	case err != nil:
		return err
	default:
		v.showf(j.Shard, back.ReleasedAt, "holdback_released: %s, in batch %d", back.Released, line.Number)
	}
	return nil
}

// whyBatch follows pay that is payable since a place in the ledger into its batch and onto the chain.
func whyBatch(ctx context.Context, r Reader, payee domain.ProviderID, since domain.Position, v Verdict) (Verdict, error) {
	line, err := r.FirstLine(ctx, payee, since)
	if errors.Is(err, ErrNotFound) {
		return v.isf(Pending, "payable", "the pay is mature and goes into the next batch in which the provider is owed the threshold"), nil
	}
	if err != nil {
		return v, err
	}
	batch, err := r.Batch(ctx, line.Number)
	if err != nil {
		return v, err
	}
	v.showf(domain.Control, batch.Sealed, "batch_sealed: batch %d adds %s, %s in all", line.Number, line.Delta, line.Cumulative)
	v.showf(domain.Control, batch.Proposed, "batch_proposed: the vault has its root")
	v.showf(domain.Control, batch.Activated, "batch_activated: it can be claimed")
	payment, err := r.PaymentReaching(ctx, payee, line.Cumulative)
	if errors.Is(err, ErrNotFound) {
		return v.isf(Pending, "batch_"+batch.State, "the pay is in batch %d, which is %s", line.Number, batch.State), nil
	}
	if err != nil {
		return v, err
	}
	v.showf(domain.Control, payment.Seen, "payout_observed: %s in transaction %s", payment.Amount, payment.TxHash)
	return v.isf(Paid, "paid", "paid with batch %d", line.Number), nil
}

// Rule says in words which rule was broken, as far as numbers and names can.
func (r *Rejected) Rule() string {
	switch {
	case r.Field == "":
		return r.Reason
	case r.Have == 0 && r.Want == 0:
		return fmt.Sprintf("%s (%s)", r.Reason, r.Field)
	default:
		return fmt.Sprintf("%s (%s: have %d, want %d)", r.Reason, r.Field, r.Have, r.Want)
	}
}

func showRejections(v Verdict, rejected []Rejected) Verdict {
	for i := range rejected {
		v.showf(rejected[i].Shard, Moment{rejected[i].AtMs, rejected[i].Ledger}, "rejected: claim %d: %s", rejected[i].Claim, rejected[i].Rule())
	}
	return v
}

// WhyReport says what became of a report: rejected if nothing in it was accepted; otherwise held, pending
// or paid as the jobs are that its claims moved, the least settled of them first; booked if no pay hangs on
// it. The facts are read from the ledger itself. It is ErrNotFound for a report that was never answered.
func WhyReport(ctx context.Context, r Reader, ledger eventstore.Reader, key ReportKey) (Verdict, error) {
	fail := func(err error) (Verdict, error) {
		return Verdict{}, fmt.Errorf("why report %d of %s in shard %d: %w", key.Sequence, key.Signer, key.Shard, err)
	}
	rejected, err := r.RejectionsOfReport(ctx, key)
	if err != nil {
		return fail(err)
	}
	report, err := r.Report(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound) && len(rejected) > 0:
		last := rejected[len(rejected)-1]
		return showRejections(Verdict{}, rejected).isf(NotPaid, last.Reason, "the report was refused: %s", last.Rule()), nil
	case err != nil:
		return fail(err)
	}
	v := Verdict{}
	v.showf(key.Shard, report.Answered, "answered: %d claims accepted, %d rejected", report.Accepted, report.Rejected)
	v = showRejections(v, rejected)
	if report.Accepted == 0 && report.Rejected > 0 {
		return v.isf(NotPaid, rejected[0].Reason, "no claim of the report was accepted: %s", rejected[0].Rule()), nil
	}
	jobs, err := jobsMovedAt(ctx, ledger, domain.Position{Shard: key.Shard, Offset: report.Answered.Offset})
	if err != nil {
		return fail(err)
	}
	return whyAll(ctx, r, jobs, v)
}

// whyAll joins the verdicts on jobs: the first of held, pending, paid and rejected that any of them has.
func whyAll(ctx context.Context, r Reader, jobs []domain.JobID, v Verdict) (Verdict, error) {
	verdicts := make([]Verdict, len(jobs))
	for i, job := range jobs {
		var err error
		if verdicts[i], err = WhyJob(ctx, r, job); err != nil {
			return Verdict{}, err
		}
		v.Facts = append(v.Facts, verdicts[i].Facts...)
	}
	for _, outcome := range []Outcome{Held, Pending, Paid, NotPaid} {
		same := slices.DeleteFunc(slices.Clone(verdicts), func(one Verdict) bool { return one.Outcome != outcome })
		if len(same) == 0 {
			continue
		}
		for _, one := range same {
			if err := add(&v.Amount, int64(one.Amount)); err != nil {
				return Verdict{}, err
			}
		}
		return v.isf(outcome, same[0].Reason, "of %d jobs that it moved, %d are %s: %s", len(jobs), len(same), outcome, same[0].Because), nil
	}
	return v.isf(Booked, "booked", "the report was taken, and no pay hangs on it"), nil
}

// jobsMovedAt reads the entry at a place in the ledger and returns the jobs that its claims moved.
func jobsMovedAt(ctx context.Context, ledger eventstore.Reader, at domain.Position) ([]domain.JobID, error) {
	records, err := ledger.Read(ctx, at.Shard, at.Offset, 1)
	if err != nil {
		return nil, fmt.Errorf("read ledger %s: %w", at, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("read ledger %s: %w", at, eventstore.ErrGap)
	}
	var entry v1.Entry
	if err := v1.Decode(records[0].Value, &entry); err != nil {
		return nil, &EntryError{At: at, Err: err}
	}
	var jobs []domain.JobID
	seen := map[domain.JobID]bool{{}: true} // the zero id is none
	for _, fact := range entry.GetAnswer().GetFacts() {
		if job := jobOf(fact); fact.Claim > 0 && fact.GetRejection() == nil && !seen[job] {
			seen[job] = true
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

// ProviderPay is where a provider's money is: in all that is not paid yet, and what was paid.
type ProviderPay struct {
	Earned    domain.Nano `json:"earned_nano"` // in its dispute window
	Held      domain.Nano `json:"held_nano"`
	Payable   domain.Nano `json:"payable_nano"`   // in no batch yet
	Committed domain.Nano `json:"committed_nano"` // in a batch, not yet seen paid
	Paid      domain.Nano `json:"paid_nano"`
}

// WhyProvider says where a provider's money is. The verdict is pending while anything is on its way, held
// while all that is left is held, and paid when nothing is left.
func WhyProvider(ctx context.Context, r Reader, provider domain.ProviderID) (Verdict, ProviderPay, error) {
	var pay ProviderPay
	fail := func(err error) (Verdict, ProviderPay, error) {
		return Verdict{}, pay, fmt.Errorf("why provider %s: %w", provider, err)
	}
	registered, err := r.Provider(ctx, provider)
	if err != nil {
		return fail(err)
	}
	balances, err := r.BalancesOf(ctx, provider)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fail(err)
	}
	for _, b := range balances {
		switch b.Kind {
		case KindName(v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED):
			pay.Earned = b.Amount
		case KindName(v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD):
			pay.Held = b.Amount
		case KindName(v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE):
			pay.Payable = b.Amount
		case KindName(v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED):
			pay.Committed = b.Amount
		}
	}
	payout, err := r.Payout(ctx, provider)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fail(err)
	}
	pay.Paid = payout.Paid
	v := Verdict{}
	v.showf(domain.Control, registered.Registered, "provider_registered: %s", registered.Name)
	v.showf(domain.Control, payout.LastPaid, "payout_observed: the last of %d, %s in all", payout.Payments, payout.Paid)
	return pay.verdict(v), pay, nil
}

func (p ProviderPay) verdict(v Verdict) Verdict {
	onTheWay := p.Earned + p.Payable + p.Committed
	switch {
	case onTheWay != 0:
		v.Amount = onTheWay
		return v.isf(Pending, "on_the_way", "%s in the dispute window, %s payable, %s in a batch; %s held, %s paid",
			p.Earned, p.Payable, p.Committed, p.Held, p.Paid)
	case p.Held != 0:
		v.Amount = p.Held
		return v.isf(Held, "held", "%s held: disputed, held back, or not attested; %s paid", p.Held, p.Paid)
	case p.Paid != 0:
		v.Amount = p.Paid
		return v.isf(Paid, "paid", "all of %s paid", p.Paid)
	default:
		return v.isf(Pending, "nothing_earned", "nothing was earned yet")
	}
}
