package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

const (
	// lookTimeout bounds what one scrape may ask of logs, tables and chain together. Prometheus itself gives
	// up after ten seconds if it is not told otherwise.
	lookTimeout = 2 * time.Second
	// endsAtOnce is how many shards' ends are asked for at a time.
	endsAtOnce = 16
)

// sources are what a process can be looked at. Each is left out where the process has none: a gateway looks
// at no chain, and one process that looks at the tables is enough for a network.
type sources struct {
	intake, ledger ends
	tables         store
	// vault looks at the vault on chain.
	vault func(context.Context) (settlement.Seen, error)
	// clerks tells how far the clerks of this process have answered intake, by shard.
	clerks func() map[domain.Shard]domain.Offset
	// works tells what this process does, and how that goes.
	works func() []work
}

// ends is a log whose shards end somewhere; see eventstore.Reader.
type ends interface {
	Shards() int
	End(ctx context.Context, shard domain.Shard) (domain.Offset, error)
}

// work is one thing that a process does as long as it lives.
type work struct {
	role    role
	shard   domain.Shard // domain.Control where one process does it for all shards
	running bool         // false: it stopped, and waits to be taken up again
	stops   int          // how often it stopped by itself
}

// sights are the metrics that are looked at when somebody asks.
type sights struct {
	from sources
	now  func() time.Time
}

func sight(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(metricsPrefix+"_"+name, help, labels, nil)
}

var (
	intakeEnd  = sight("intake_end_records", "Where the intake log ends: how many records were ever taken in.", "shard")
	ledgerEnd  = sight("ledger_end_records", "Where the ledger log ends, void entries included.", "shard")
	clerkLag   = sight("clerk_lag_records", "Records of intake that this process's clerk of the shard has still to answer.", "shard")
	tablesLag  = sight("projection_lag_records", "Entries of the ledger that the rearmost table has still to take in.", "shard")
	answersLag = sight("answers_lag_records", "Records of intake whose answers the tables do not know yet: clerk and projector together.", "shard")

	batchCount   = sight("batches", "Settlement batches, by state.", "state")
	batchLast    = sight("batch_last_number", "Number of the last batch; 0 before the first.")
	batchOpenAge = sight("batch_open_age_seconds", "Age of the batch that is sealed and neither activated nor vetoed; 0 if there is none.")
	batchSealed  = sight("batch_last_sealed_timestamp_seconds", "Log time at which the last batch was sealed; 0 before the first.")
	balances     = sight("balance_nanotons", "Sum of all accounts of a kind. vault/cash is negative: what the vault holds for all others.", "kind")
	balanceCount = sight("balance_accounts", "Accounts of a kind that were ever posted to.", "kind")
	trialBalance = sight("trial_balance_nanotons", "Sum of all accounts of all kinds, which is zero.")
	vaultFree    = sight("vault_free_nanotons", "What the vault holds on chain, less what it never pays out.")
	vaultBooked  = sight("vault_booked_nanotons", "What the vault holds by the ledger.")
	vaultSurplus = sight("vault_surplus_nanotons", "What the vault holds more than the ledger says: what the network put in itself, and what is not booked yet.")
	vaultPaused  = sight("vault_paused", "1 if the vault is paused.")
	roleRunning  = sight("role_running", "1 if this process does the work, 0 if the work stopped and waits to be taken up again.", "role", "shard")
	roleRestarts = sight("role_restarts_total", "How often the work stopped by itself in this process.", "role", "shard")
	auditPassed  = sight("audit_passed", "1 if the last audit passed, with all that was looked at.")
	auditFound   = sight("audit_offences", "Offences that the last audit found.")
	auditAt      = sight("audit_last_timestamp_seconds", "When the last audit began.")
	lookOK       = sight("look_ok", "1 if a source could be looked at within two seconds; else its metrics are missing.", "source")
	lookSeconds  = sight("look_seconds", "How long the look took.", "source")
	allSights    = []*prometheus.Desc{
		intakeEnd, ledgerEnd, clerkLag, tablesLag, answersLag, batchCount, batchLast, batchOpenAge, batchSealed, balances, balanceCount, trialBalance,
		vaultFree, vaultBooked, vaultSurplus, vaultPaused, roleRunning, roleRestarts, auditPassed, auditFound, auditAt, lookOK, lookSeconds,
	}
)

// Describe implements prometheus.Collector.
func (s *sights) Describe(to chan<- *prometheus.Desc) {
	for _, one := range allSights {
		to <- one
	}
}

// seen is what a scrape saw. A part is missing where it could not be looked at.
type seen struct {
	intake, ledger []domain.Offset
	tables         *tablesSeen
	vault          *settlement.Seen
	answered       map[domain.Shard]domain.Offset
}

type tablesSeen struct {
	at      projections.Checkpoint // of the rearmost table, per shard
	trial   []projections.KindTotal
	sum     domain.Nano // of trial
	booked  domain.Nano // what the vault holds for all accounts
	batches []projections.Batch
	audit   *queryv1.Audit // the verdict that stands; blank where there is none
}

// Collect implements prometheus.Collector. It looks at all sources at once and waits for the last.
func (s *sights) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	var saw seen
	var looks sync.WaitGroup
	look := func(source string, there bool, look func() error) {
		if !there {
			return
		}
		looks.Go(func() {
			begun := s.now()
			err := look()
			gauge(to, lookOK, truth(err == nil), source)
			gauge(to, lookSeconds, s.now().Sub(begun).Seconds(), source)
		})
	}
	if s.from.clerks != nil { // before the ends: what is answered by then is not beyond them
		saw.answered = s.from.clerks()
	}
	look("tables", s.from.tables != nil, func() (err error) {
		saw.tables, err = lookAtTables(ctx, s.from.tables)
		return err
	})
	look("vault", s.from.vault != nil, func() error {
		state, err := s.from.vault(ctx)
		if err == nil {
			saw.vault = &state
		}
		return err
	})
	look("intake", s.from.intake != nil, func() (err error) {
		saw.intake, err = endsOf(ctx, s.from.intake)
		return err
	})
	look("ledger", s.from.ledger != nil, func() (err error) {
		saw.ledger, err = endsOf(ctx, s.from.ledger)
		return err
	})
	looks.Wait()
	saw.tellLogs(to)
	saw.tellMoney(to)
	saw.tellBatches(to, s.now())
	saw.tellAudit(to)
	if s.from.works != nil {
		for _, w := range s.from.works() {
			gauge(to, roleRunning, truth(w.running), string(w.role), shardLabel(w.shard))
			to <- prometheus.MustNewConstMetric(roleRestarts, prometheus.CounterValue, float64(w.stops), string(w.role), shardLabel(w.shard))
		}
	}
}

func gauge(to chan<- prometheus.Metric, of *prometheus.Desc, value float64, labels ...string) {
	to <- prometheus.MustNewConstMetric(of, prometheus.GaugeValue, value, labels...)
}

func shardLabel(shard domain.Shard) string { return strconv.Itoa(int(shard)) }

// endsOf returns where each shard ends.
func endsOf(ctx context.Context, log ends) ([]domain.Offset, error) {
	all := make([]domain.Offset, log.Shards())
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(endsAtOnce)
	for shard := range all {
		group.Go(func() (err error) {
			all[shard], err = log.End(ctx, domain.Shard(shard))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("ends of a log: %w", err)
	}
	return all, nil
}

// lookAtTables reads all at one moment.
func lookAtTables(ctx context.Context, tables store) (*tablesSeen, error) {
	var saw tablesSeen
	err := tables.Read(ctx, func(reader projections.Reader) (err error) {
		for _, model := range projections.All() {
			at, err := reader.Checkpoint(ctx, model.Table())
			if err != nil {
				return err
			}
			saw.at = rearmost(saw.at, at)
		}
		if saw.trial, err = reader.TrialBalance(ctx); err != nil {
			return err
		}
		for _, total := range saw.trial {
			if saw.sum, err = saw.sum.Add(total.Amount); err != nil {
				return err
			}
			if total.Kind == projections.KindName(v1.AccountKind_ACCOUNT_KIND_VAULT_CASH) {
				saw.booked = -total.Amount // what is held is negative in the books
			}
		}
		for batch, err := range projections.RowsOf(ctx, reader, projections.Batches) {
			if err != nil {
				return err
			}
			saw.batches = append(saw.batches, batch)
		}
		return nil
	})
	if err == nil {
		saw.audit, err = lastAudit(ctx, tables)
	}
	if err != nil {
		return nil, fmt.Errorf("look at the tables: %w", err)
	}
	return &saw, nil
}

// rearmost is, per shard, the smaller of two places; a nil one is no place yet.
func rearmost(a, b projections.Checkpoint) projections.Checkpoint {
	if a == nil {
		return append(projections.Checkpoint{}, b...)
	}
	least := make(projections.Checkpoint, min(len(a), len(b)))
	for shard := range least {
		least[shard] = projections.Progress{
			Ledger: min(a[shard].Ledger, b[shard].Ledger), Intake: min(a[shard].Intake, b[shard].Intake),
		}
	}
	return least
}

// place is where a checkpoint stands in a shard; the beginning where it does not know the shard yet.
func place(at projections.Checkpoint, shard int) projections.Progress {
	if shard < len(at) {
		return at[shard]
	}
	return projections.Progress{}
}

func (s *seen) tellLogs(to chan<- prometheus.Metric) {
	for shard, end := range s.intake {
		label := shardLabel(domain.Shard(shard))
		gauge(to, intakeEnd, float64(end), label)
		if answered, ours := s.answered[domain.Shard(shard)]; ours {
			gauge(to, clerkLag, float64(max(0, end-answered)), label)
		}
		if s.tables != nil {
			gauge(to, answersLag, float64(max(0, end-place(s.tables.at, shard).Intake)), label)
		}
	}
	for shard, end := range s.ledger {
		label := shardLabel(domain.Shard(shard))
		gauge(to, ledgerEnd, float64(end), label)
		if s.tables != nil {
			gauge(to, tablesLag, float64(max(0, end-place(s.tables.at, shard).Ledger)), label)
		}
	}
}

func (s *seen) tellMoney(to chan<- prometheus.Metric) {
	if s.tables != nil {
		for _, total := range s.tables.trial {
			gauge(to, balances, float64(total.Amount), total.Kind)
			gauge(to, balanceCount, float64(total.Accounts), total.Kind)
		}
		gauge(to, trialBalance, float64(s.tables.sum))
		gauge(to, vaultBooked, float64(s.tables.booked))
	}
	if s.vault != nil {
		gauge(to, vaultFree, float64(s.vault.Free))
		gauge(to, vaultPaused, truth(s.vault.Paused))
	}
	if s.tables == nil || s.vault == nil {
		return
	}
	if surplus, err := s.vault.Free.Sub(s.tables.booked); err == nil { // it overflows only if one of them is absurd, and shown
		gauge(to, vaultSurplus, float64(surplus))
	}
}

func (s *seen) tellBatches(to chan<- prometheus.Metric, now time.Time) {
	if s.tables == nil {
		return
	}
	states := map[string]int{projections.BatchSealed: 0, projections.BatchProposed: 0, projections.BatchActivated: 0, projections.BatchVetoed: 0,
		projections.BatchVoided: 0}
	var last uint32
	var sealedMs int64
	var openAge time.Duration
	for _, batch := range s.tables.batches {
		states[batch.State]++
		last, sealedMs = max(last, batch.Number), max(sealedMs, batch.Sealed.AtMs)
		if batch.State == projections.BatchSealed || batch.State == projections.BatchProposed {
			openAge = max(openAge, now.Sub(time.UnixMilli(batch.Sealed.AtMs)))
		}
	}
	for state, n := range states {
		gauge(to, batchCount, float64(n), state)
	}
	gauge(to, batchLast, float64(last))
	gauge(to, batchOpenAge, openAge.Seconds())
	gauge(to, batchSealed, float64(sealedMs)/1000)
}

// tellAudit tells the verdict that stands. Nothing is told before the first: no audit is no failed one.
func (s *seen) tellAudit(to chan<- prometheus.Metric) {
	if s.tables == nil || s.tables.audit.Verdict == "" {
		return
	}
	var found int64
	for _, of := range s.tables.audit.Offences {
		found += of.Count
	}
	gauge(to, auditPassed, truth(s.tables.audit.Verdict == string(auditor.Pass)))
	gauge(to, auditFound, float64(found))
	gauge(to, auditAt, float64(s.tables.audit.BeganAtMs)/1000)
}
