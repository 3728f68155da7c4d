package projectionstest

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// What a large network has, whatever its age. BigJobsPerHour makes ten million jobs in three months.
const (
	BigProviders   = 500
	BigWorkers     = 2_000 // four of each provider
	BigModels      = 20
	BigClients     = 1_000
	BigAccounts    = 4_000 // four of each client
	BigJobsPerHour = 4_630
	bigShards      = 4
	bigOpenJobs    = 500 // of the latest
)

// Big is the tables of a large network: what many jobs, folded, leave behind. The sums and jobs in it are what the folds make
// of facts; what settlement and attestation leave is made up. Of the journal it has two lines of each completed job: what the
// client paid, and what the provider earned. The same Jobs and Seed give the same rows.
type Big struct {
	Jobs int
	Seed uint64
}

// EndMs is the log time of the end.
func (b Big) EndMs() int64 { return StartMs + int64(b.hours())*projections.HourMs }

func (b Big) hours() int { return (b.Jobs + BigJobsPerHour - 1) / BigJobsPerHour }

// Names of those who take part, and of a job. A client's accounts and a provider's workers follow from their numbers.
func (Big) provider(n int) string { return fmt.Sprintf("provider-%04d", n) }
func (Big) worker(n int) string   { return fmt.Sprintf("%08x-worker", uint32(n+1)*0x9e3779b1) }
func (Big) model(n int) string    { return fmt.Sprintf("model-%02d", n) }
func (Big) client(n int) string   { return fmt.Sprintf("client-%04d", n) }
func (Big) account(n int) string  { return fmt.Sprintf("%08x-account", uint32(n+1)*0x85ebca6b) }
func (Big) job(n int) string      { return fmt.Sprintf("%016x-job", uint64(n+1)*0x9e3779b97f4a7c15) }

// Someone is a job of the network and all who had to do with it.
type Someone struct {
	Job      domain.JobID
	Provider domain.ProviderID
	Worker   domain.WorkerID
	Model    domain.ModelID
	Client   domain.ClientID
	Account  domain.AccountID
	AtMs     int64 // when the job was submitted
}

// Someone returns one by lot: who has many jobs is met often.
func (b Big) Someone(by *rand.Rand) Someone {
	n := by.IntN(b.Jobs)
	j := b.of(n)
	return Someone{
		ID[domain.JobID](j.Name), ID[domain.ProviderID](j.Provider), ID[domain.WorkerID](j.Worker), ID[domain.ModelID](j.Model),
		ID[domain.ClientID](j.Client), ID[domain.AccountID](j.Account), b.submittedMs(n),
	}
}

func (b Big) submittedMs(n int) int64 {
	return StartMs + int64(n/BigJobsPerHour)*projections.HourMs + int64(n%BigJobsPerHour)*projections.HourMs/BigJobsPerHour
}

// skewed is a number below n, the low ones far more often: the lowest tenth is nearly half of all.
func skewed(by *rand.Rand, n int) int {
	f := by.Float64()
	return int(f * f * f * float64(n))
}

// of is the n-th job.
func (b Big) of(n int) Job {
	by := rand.New(rand.NewPCG(b.Seed, uint64(n))) //nolint:gosec // a test's rows come from a seed
	worker, account := skewed(by, BigWorkers), skewed(by, BigAccounts)
	prompt, completion := 200+by.Int64N(4000), 50+by.Int64N(2000)
	charge := 20 * (prompt + 3*completion)
	return Job{
		Name: b.job(n), Account: b.account(account), Client: b.client(account / (BigAccounts / BigClients)), Model: b.model(worker % BigModels),
		Worker: b.worker(worker), Provider: b.provider(worker / (BigWorkers / BigProviders)), Number: uint64(n + 1),
		Reserve: 400_000, Charge: charge, Part: charge * 9 / 10, Prompt: prompt, Cached: prompt / 4, Completion: completion,
	}
}

// Fill writes the rows, hour by hour, into an empty store, and tells how many jobs are in.
func (b Big) Fill(ctx context.Context, store projections.Store, told func(jobs int)) error {
	f := &filling{Big: b, at: make(projections.Checkpoint, 1+bigShards), by: rand.New(rand.NewPCG(b.Seed, 0))} //nolint:gosec // as above
	f.begin()
	for hour := range b.hours() {
		if err := f.hour(hour); err != nil {
			return fmt.Errorf("hour %d: %w", hour, err)
		}
		changes := f.changes(StartMs+int64(hour+1)*projections.HourMs, hour == b.hours()-1)
		if err := store.Commit(ctx, changes); err != nil {
			return fmt.Errorf("hour %d: %w", hour, err)
		}
		told(min(b.Jobs, (hour+1)*BigJobsPerHour))
	}
	return nil
}

// filling is what Fill has at hand.
type filling struct {
	Big
	at   projections.Checkpoint
	by   *rand.Rand
	made map[string][]projections.Row // by table

	jobs     pile[domain.JobID, projections.Job, *projections.Job]
	journal  pile[projections.PostingKey, projections.JournalLine, *projections.JournalLine]
	moves    pile[projections.MovementKey, projections.Movement, *projections.Movement]
	balances pile[projections.BalanceKey, projections.Balance, *projections.Balance]
	usage    pile[projections.UsageKey, projections.Usage, *projections.Usage]
	totals   pile[projections.UsageTotalKey, projections.UsageTotal, *projections.UsageTotal]
	work     pile[projections.WorkKey, projections.Work, *projections.Work]
	holds    pile[domain.JobID, projections.Hold, *projections.Hold]
}

// pile folds into memory.
type pile[K comparable, R any, P interface {
	*R
	projections.Row
}] struct {
	rows map[K]*R
}

func (p *pile[K, R, P]) fold(model *projections.Definition[K, R, P], e *projections.Entry) error {
	if p.rows == nil {
		p.rows = map[K]*R{}
	}
	return model.Fold(e, func(k K) *R {
		if row, there := p.rows[k]; there {
			return row
		}
		row := model.Row(k)
		p.rows[k] = &row
		return &row
	})
}

// taken returns the rows that are done and forgets them.
func (p *pile[K, R, P]) taken(done func(*R) bool) []projections.Row {
	var rows []projections.Row
	for k, row := range p.rows {
		if done(row) {
			rows = append(rows, P(row))
			delete(p.rows, k)
		}
	}
	return rows
}

func (f *filling) add(model projections.Model, row projections.Row) {
	name := model.Table().Name
	f.made[name] = append(f.made[name], row)
}

// hour makes the jobs that are submitted in one hour, and what else happens in it.
func (f *filling) hour(hour int) error {
	startMs := StartMs + int64(hour)*projections.HourMs
	for n := hour * BigJobsPerHour; n < min(f.Jobs, (hour+1)*BigJobsPerHour); n++ {
		if err := f.live(n, startMs+projections.HourMs-1); err != nil {
			return err
		}
	}
	f.settle(hour, startMs)
	if hour%24 == 0 {
		f.day(startMs)
	}
	return nil
}

// live is the life of one job.
func (f *filling) live(n int, latestMs int64) error {
	job, nowMs := f.of(n), f.submittedMs(n)
	job.DisputableUntilMs = nowMs + projections.HourMs
	shard := domain.Shard(1 + n%bigShards)
	steps := []*v1.Fact{job.Submitted(nowMs), job.Assigned(), job.Started(), job.Metered()}
	switch chance := n % 1000; {
	case n >= f.Jobs-bigOpenJobs:
		steps = steps[:1+n%4]
	case chance < 10:
		job.Charge, job.Part = 0, 0
		steps = append(steps, job.Failed())
	case chance < 20:
		job.Charge, job.Part = 0, 0
		steps = append(steps, job.Cancelled())
	case chance < 25:
		job.Charge, job.Part = 0, 0
		steps = append(steps, job.Expired())
	case chance < 27:
		steps = append(steps, job.Completed(), job.Disputed(nowMs+1000))
	case chance < 29:
		steps = append(steps, job.Completed(), job.Disputed(nowMs+1000), job.Resolved(job.Part/2))
	case chance < 34:
		steps = append(steps, job.Held(v1.UnattestedCause_UNATTESTED_CAUSE_EXPIRED, nowMs+projections.DayMs, 1))
	default:
		steps = append(steps, job.Completed())
	}
	for i, fact := range steps {
		e := &projections.Entry{
			Position: domain.Position{Shard: shard, Offset: domain.Offset(8*n + i)}, AtMs: min(nowMs+int64(i)*2500, latestMs),
			Answer: &v1.Answer{Facts: []*v1.Fact{fact}},
		}
		if err := f.fold(e); err != nil {
			return err
		}
	}
	return nil
}

func (f *filling) fold(e *projections.Entry) error {
	for _, fold := range []func() error{
		func() error { return f.jobs.fold(projections.Jobs, e) },
		func() error { return f.moves.fold(projections.Movements, e) },
		func() error { return f.balances.fold(projections.Balances, e) },
		func() error { return f.usage.fold(projections.UsageByHour, e) },
		func() error { return f.totals.fold(projections.UsageSummed, e) },
		func() error { return f.work.fold(projections.WorkByHour, e) },
		func() error { return f.holds.fold(projections.Holds, e) },
		func() error { return f.journal.fold(projections.Journal, e) },
	} {
		if err := fold(); err != nil {
			return err
		}
	}
	return nil
}
