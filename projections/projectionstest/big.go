package projectionstest

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// What a large network has, whatever its age. BigJobsPerHour makes ten million jobs in six weeks.
const (
	BigProviders   = 500
	BigWorkers     = 2_000 // four of each provider
	BigModels      = 20
	BigClients     = 1_000
	BigAccounts    = 4_000 // four of each client
	BigJobsPerHour = 10_000
	bigShards      = 4
	bigOpenJobs    = 500 // of the latest
	bigPool        = 8   // workers to which an account's jobs go
	bigJournaled   = 8   // of so many jobs one is in the journal
)

// Big is the tables of a large network: what many jobs, folded, leave behind. The sums and jobs in it are what the folds make
// of facts; what settlement and attestation leave is made up. Of the journal it has two lines of each eighth completed job: what
// the client paid, and what the provider earned. The same Jobs and Seed give the same rows.
type Big struct {
	Jobs int
	Seed uint64
	// AnHour is how many of the jobs are submitted in each hour; 0 is BigJobsPerHour.
	AnHour int
}

// EndMs is the log time of the end.
func (b Big) EndMs() int64 { return StartMs + int64(b.Hours())*projections.HourMs }

// Hours is how long it goes on.
func (b Big) Hours() int { return (b.Jobs + b.anHour() - 1) / b.anHour() }

func (b Big) anHour() int {
	if b.AnHour > 0 {
		return b.AnHour
	}
	return BigJobsPerHour
}

// Names of those who take part, and of a job. A client's accounts and a provider's workers follow from their numbers.
func (Big) provider(n int) string  { return fmt.Sprintf("provider-%04d", n) }
func (Big) worker(n int) string    { return fmt.Sprintf("%08x-worker", uint32(n+1)*0x9e3779b1) }
func (Big) model(n int) string     { return fmt.Sprintf("model-%02d", n) }
func (Big) client(n int) string    { return fmt.Sprintf("client-%04d", n) }
func (Big) account(n int) string   { return fmt.Sprintf("%08x-account", uint32(n+1)*0x85ebca6b) }
func (b Big) job(n int) string     { return fmt.Sprintf("%016x-job", b.jobNumber(n)) }
func (Big) jobNumber(n int) uint64 { return uint64(n+1) * 0x9e3779b97f4a7c15 }

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
	anHour := b.anHour()
	return StartMs + int64(n/anHour)*projections.HourMs + int64(n%anHour)*projections.HourMs/int64(anHour)
}

// skewed is a number below n, the low ones far more often: the lowest tenth is nearly half of all.
func skewed(by *rand.Rand, n int) int {
	f := by.Float64()
	return int(f * f * f * float64(n))
}

// of is the n-th job.
func (b Big) of(n int) Job {
	by := rand.New(rand.NewPCG(b.Seed, uint64(n))) //nolint:gosec // a test's rows come from a seed
	account := skewed(by, BigAccounts)
	pool := rand.New(rand.NewPCG(^b.Seed, uint64(account*bigPool+skewed(by, bigPool)))) //nolint:gosec // as above
	worker := skewed(pool, BigWorkers)
	prompt, completion := 200+by.Int64N(4000), 50+by.Int64N(2000)
	charge := 20 * (prompt + 3*completion)
	return Job{
		Name: b.job(n), Account: b.account(account), Client: b.client(account / (BigAccounts / BigClients)), Model: b.model(worker % BigModels),
		Worker: b.worker(worker), Provider: b.provider(worker / (BigWorkers / BigProviders)), Number: uint64(n + 1),
		Reserve: 400_000, Charge: charge, Part: charge * 9 / 10, Prompt: prompt, Cached: prompt / 4, Completion: completion,
	}
}

// Fill writes the rows of some models, hour by hour, into a store that has none of them.
func (b Big) Fill(ctx context.Context, store projections.Store, models []projections.Model) error {
	for changes, err := range b.Changes(models) {
		if err != nil {
			return err
		}
		if err := store.Commit(ctx, changes); err != nil {
			return fmt.Errorf("fill a store: %w", err)
		}
	}
	return nil
}

// Changes yields the rows of some models as commits of one hour each: of every model one change, its rows in the order of their
// keys. No row comes twice.
func (b Big) Changes(models []projections.Model) iter.Seq2[[]projections.Change, error] {
	return func(yield func([]projections.Change, error) bool) {
		f := newFilling(b, models)
		f.begin()
		for hour := range b.Hours() {
			if err := f.hour(hour); err != nil {
				yield(nil, fmt.Errorf("hour %d of a large network: %w", hour, err))
				return
			}
			if !yield(f.changes(StartMs+int64(hour+1)*projections.HourMs, hour == b.Hours()-1), nil) {
				return
			}
		}
	}
}

// filling is what Changes has at hand.
type filling struct {
	Big
	models []projections.Model
	at     projections.Checkpoint
	by     *rand.Rand
	made   map[string][]projections.Row // by table
	folds  []func(*projections.Entry) error

	journaled bool // what is folded just now

	jobs     pile[domain.JobID, projections.Job, *projections.Job]
	journal  pile[projections.PostingKey, projections.JournalLine, *projections.JournalLine]
	moves    pile[projections.MovementKey, projections.Movement, *projections.Movement]
	balances pile[projections.BalanceKey, projections.Balance, *projections.Balance]
	usage    pile[projections.UsageKey, projections.Usage, *projections.Usage]
	totals   pile[projections.UsageTotalKey, projections.UsageTotal, *projections.UsageTotal]
	work     pile[projections.WorkKey, projections.Work, *projections.Work]
	holds    pile[domain.JobID, projections.Hold, *projections.Hold]
	workers  pile[projections.WorkerDayKey, projections.WorkerDay, *projections.WorkerDay]
	clients  pile[projections.ClientDayKey, projections.ClientDay, *projections.ClientDay]
	flows    pile[projections.MonthFlowKey, projections.MonthFlow, *projections.MonthFlow]
	kinds    pile[projections.KindFlowKey, projections.KindFlow, *projections.KindFlow]
}

func newFilling(b Big, models []projections.Model) *filling {
	by := rand.New(rand.NewPCG(b.Seed, 0)) //nolint:gosec // a test's rows come from a seed
	f := &filling{Big: b, models: models, at: make(projections.Checkpoint, 1+bigShards), by: by}
	journal := f.journal.of(projections.Journal)
	for _, folded := range []struct {
		model projections.Model
		fold  func(*projections.Entry) error
	}{
		{projections.Jobs, f.jobs.of(projections.Jobs)},
		{projections.Journal, func(e *projections.Entry) error {
			if !f.journaled {
				return nil
			}
			return journal(e)
		}},
		{projections.Movements, f.moves.of(projections.Movements)},
		{projections.Balances, f.balances.of(projections.Balances)},
		{projections.UsageByHour, f.usage.of(projections.UsageByHour)},
		{projections.UsageSummed, f.totals.of(projections.UsageSummed)},
		{projections.WorkByHour, f.work.of(projections.WorkByHour)},
		{projections.Holds, f.holds.of(projections.Holds)},
		{projections.WorkerDays, f.workers.of(projections.WorkerDays)},
		{projections.ClientDays, f.clients.of(projections.ClientDays)},
		{projections.MonthFlows, f.flows.of(projections.MonthFlows)},
		{projections.KindFlows, f.kinds.of(projections.KindFlows)},
	} {
		if slices.Contains(models, folded.model) {
			f.folds = append(f.folds, folded.fold)
		}
	}
	return f
}

// pile folds into memory.
type pile[K comparable, R any, P interface {
	*R
	projections.Row
}] struct {
	rows map[K]*R
}

// of folds a model into the pile.
func (p *pile[K, R, P]) of(model *projections.Definition[K, R, P]) func(*projections.Entry) error {
	p.rows = map[K]*R{}
	find := func(k K) *R {
		if row, there := p.rows[k]; there {
			return row
		}
		row := model.Row(k)
		p.rows[k] = &row
		return &row
	}
	return func(e *projections.Entry) error { return model.Fold(e, find) }
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
	for n := hour * f.anHour(); n < min(f.Jobs, (hour+1)*f.anHour()); n++ {
		if err := f.live(n); err != nil {
			return err
		}
	}
	if err := f.settle(hour, startMs); err != nil {
		return err
	}
	if hour%24 == 0 {
		f.day(startMs)
	}
	return nil
}

// live is the life of one job, which ends in the hour in which it began.
func (f *filling) live(n int) error {
	job, nowMs := f.of(n), f.submittedMs(n)
	latestMs := nowMs - nowMs%projections.HourMs + projections.HourMs - 1
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
		f.journaled = n%bigJournaled == 0
		if err := f.fold(e); err != nil {
			return err
		}
	}
	return nil
}

func (f *filling) fold(e *projections.Entry) error {
	for _, fold := range f.folds {
		if err := fold(e); err != nil {
			return err
		}
	}
	return nil
}
