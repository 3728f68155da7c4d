package projectionstest

import (
	"bytes"
	"math/bits"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// changes are all rows to which nothing is added after a moment; at the end, all rows.
func (f *filling) changes(nowMs int64, end bool) []projections.Change {
	to := make(projections.Checkpoint, len(f.at))
	for shard, at := range f.at {
		to[shard] = projections.Progress{Ledger: at.Ledger + 1, Intake: at.Intake + 1}
	}
	f.made["jobs"] = f.jobs.taken(func(*projections.Job) bool { return true })
	f.made["movements"] = f.moves.taken(func(*projections.Movement) bool { return true })
	f.made["usage"] = f.usage.taken(func(*projections.Usage) bool { return true })
	f.made["work"] = f.work.taken(func(*projections.Work) bool { return true })
	f.made["balances"] = f.balances.taken(func(*projections.Balance) bool { return end })
	f.made["holds"] = f.holds.taken(func(h *projections.Hold) bool { return h.State != "" })
	clear(f.holds.rows) // of jobs that were never held
	f.made["journal"] = f.journal.taken(func(l *projections.JournalLine) bool {
		return l.What == "job_completed" && (l.Kind == projections.KindName(Earned) || l.Kind == projections.KindName(Available))
	})
	clear(f.journal.rows)
	f.made["usage_totals"] = f.totals.taken(func(u *projections.UsageTotal) bool {
		return end || u.Width != "all" && (u.Width != "day" || u.StartMs+projections.DayMs <= nowMs)
	})
	f.made["worker_days"] = f.workers.taken(func(d *projections.WorkerDay) bool { return end || d.DayMs+projections.DayMs <= nowMs })
	f.made["client_days"] = f.clients.taken(func(d *projections.ClientDay) bool { return end || d.DayMs+projections.DayMs <= nowMs })
	f.made["month_flows"] = f.flows.taken(func(m *projections.MonthFlow) bool { return end || domain.NextMonth(m.MonthMs) <= nowMs })
	now := projections.SinceOf(nowMs)
	begun := map[string]int64{"minute": now.MinuteMs, "hour": now.HourMs, "day": now.DayMs, "month": now.MonthMs}
	f.made["kind_flows"] = f.kinds.taken(func(k *projections.KindFlow) bool { return end || k.StartMs < begun[k.Width] })
	changes := make([]projections.Change, 0, len(f.models))
	for _, model := range f.models {
		table := model.Table()
		rows := f.made[table.Name]
		inKeyOrder(rows, table.KeyColumns)
		changes = append(changes, projections.Change{Table: table, From: f.at, To: to, Rows: rows})
	}
	f.at, f.made = to, map[string][]projections.Row{}
	return changes
}

// inKeyOrder sorts rows of one table.
func inKeyOrder(rows []projections.Row, keyColumns int) {
	type keyed struct {
		key []byte
		row projections.Row
	}
	all := make([]keyed, len(rows))
	var columns []projections.Column
	for i, row := range rows {
		columns = row.Columns(columns[:0])
		all[i] = keyed{projections.SortKey(nil, columns[:keyColumns]), row}
	}
	slices.SortFunc(all, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	for i, k := range all {
		rows[i] = k.row
	}
}

// begin makes who takes part.
func (f *filling) begin() {
	f.made = map[string][]projections.Row{}
	since := projections.Moment{AtMs: StartMs, Offset: 1}
	f.add(projections.TheNetwork, &projections.Network{Singleton: 1, ID: ID[domain.NetworkID]("big"), Name: "big", Shards: bigShards, CreatedMs: StartMs})
	for shard := range domain.Shard(1 + bigShards) { // as far as the log goes
		f.add(projections.Months, &projections.Month{
			MonthKey: projections.MonthKey{Shard: shard}, ReachedMs: f.EndMs() - 1, Size: 1 << 40, Nodes: bytes.Repeat([]byte{byte(shard)}, 32),
		})
	}
	f.add(projections.RateCards, &projections.RateCard{RateCard: ID[domain.RateCardID]("card"), Rule: "exact/v1", PricePerToken: 20, Set: since})
	last := uint32(f.Hours())
	f.add(projections.TheProgress, &projections.SettlementProgress{Singleton: 1, Last: last, Active: last, Cash: -1 << 50, Paid: 1 << 40})
	for n := range BigModels {
		f.add(projections.Models, &projections.ListedModel{Model: ID[domain.ModelID](f.model(n)), Name: f.model(n), Listed: since})
	}
	for n := range BigClients {
		f.add(projections.Clients, &projections.Client{Client: ID[domain.ClientID](f.client(n)), Name: f.client(n), Registered: since})
	}
	for n := range BigAccounts {
		f.add(projections.Accounts, &projections.Account{
			Account: ID[domain.AccountID](f.account(n)), Client: ID[domain.ClientID](f.client(n / (BigAccounts / BigClients))),
			Shard: domain.Shard(1 + n%bigShards), Opened: since,
		})
	}
	for n := range BigProviders {
		provider := ID[domain.ProviderID](f.provider(n))
		f.add(projections.Providers, &projections.Provider{Provider: provider, Name: f.provider(n), Key: domain.KeyID(provider), Registered: since})
		f.add(projections.Payouts, &projections.Payout{Payee: provider, Committed: 2_000_000, Paid: 1_000_000, Payments: 1})
		f.judged("provider", provider)
	}
	for n := range BigWorkers {
		worker, model := ID[domain.WorkerID](f.worker(n)), ID[domain.ModelID](f.model(n%BigModels))
		f.add(projections.Workers, &projections.Worker{
			Worker: worker, Provider: ID[domain.ProviderID](f.provider(n / (BigWorkers / BigProviders))), Key: domain.KeyID(worker),
			Registered: since, AttestedUntilMs: f.EndMs(),
		})
		f.add(projections.Trusts, &projections.Trust{Worker: worker, State: projections.Attested, Told: since, UntilMs: f.EndMs()})
		f.add(projections.Offers, &projections.Offer{OfferKey: projections.OfferKey{Worker: worker, Model: model}, Coefficient: 1000, Set: since})
		f.judged("worker", worker)
	}
}

func (f *filling) judged(kind string, subject [32]byte) {
	for shard := range bigShards {
		f.add(projections.Standings, &projections.Standing{
			StandingKey: projections.StandingKey{Kind: kind, Subject: subject, Shard: domain.Shard(1 + shard)}, ScorePPM: 900_000,
			Set: projections.Moment{AtMs: StartMs, Offset: 1},
		})
	}
}

// settle makes what an hour leaves of settlement, and what was said and refused in it. Offsets only have to differ.
func (f *filling) settle(hour int, startMs int64) error {
	number, offset := uint32(hour+1), domain.Offset(1_000_000*(hour+1))
	when := projections.Moment{AtMs: startMs, Offset: offset}
	const lines = BigProviders / 5
	f.add(projections.Batches, &projections.Batch{
		Number: number, State: projections.BatchActivated, Total: 1 << 40, Payees: BigProviders, Lines: lines, Sealed: when, Proposed: when, Activated: when,
	})
	for shard := range 1 + bigShards {
		f.add(projections.BatchCuts, &projections.BatchCut{BatchCutKey: projections.BatchCutKey{Number: number, Shard: domain.Shard(shard)}, Ledger: offset})
	}
	for i := range lines {
		payee := ID[domain.ProviderID](f.provider((i*5 + hour) % BigProviders))
		place := offset + domain.Offset(i)
		f.add(projections.BatchLines, &projections.BatchLine{
			BatchLineKey: projections.BatchLineKey{Number: number, Payee: payee}, Cumulative: domain.Nano(1_000_000 * (hour + 1)), Delta: 5_000_000,
		})
		f.add(projections.Payments, &projections.Payment{
			PaymentKey: projections.PaymentKey{Payee: payee, LT: uint64(place)}, TxHash: domain.Digest{1}, Amount: 5_000_000, Seen: when,
		})
		if err := f.post(when, Paid(f.provider((i*5+hour)%BigProviders), 5_000_000, uint64(place))); err != nil {
			return err
		}
		f.add(projections.Maturities, &projections.Maturity{
			MaturityKey: projections.MaturityKey{Shard: domain.Shard(1 + hour%bigShards), Ledger: place, Fact: 1},
			Provider:    payee, BucketMs: startMs, Amount: 5_000_000, AtMs: startMs,
		})
	}
	for i := range BigJobsPerHour / 20 {
		f.add(projections.Reports, &projections.Report{
			ReportKey: projections.ReportKey{
				Signer: ID[domain.KeyID](f.worker(skewed(f.by, BigWorkers))), Shard: domain.Shard(1 + i%bigShards), Sequence: uint64(hour*BigJobsPerHour + i),
			},
			IntakeDigest: domain.Digest{1}, Answered: projections.Moment{AtMs: startMs, Offset: offset + domain.Offset(i)}, Accepted: 64,
		})
	}
	reasons := []string{"bad_signature", "duplicate_report", "unknown_job", "wrong_job_state", "insufficient_funds"}
	counts := make([]int64, len(reasons))
	for i := range BigJobsPerHour / 100 {
		reason := skewed(f.by, len(reasons))
		counts[reason]++
		f.add(projections.Rejections, &projections.Rejected{
			RejectionKey: projections.RejectionKey{Shard: domain.Shard(1 + i%bigShards), Ledger: offset + domain.Offset(i), Fact: 1}, AtMs: startMs,
			Signer: ID[domain.KeyID](f.worker(skewed(f.by, BigWorkers))), Sequence: uint64(i), Reason: reasons[reason],
			Job: ID[domain.JobID](f.job(f.by.IntN(f.Jobs))),
		})
	}
	for i, count := range counts {
		if count > 0 {
			f.add(projections.Reasons, &projections.ReasonHour{ReasonKey: projections.ReasonKey{HourMs: startMs, Reason: reasons[i]}, Count: count})
		}
	}
	if domain.MonthStart(startMs) == startMs {
		f.month(startMs, uint64(hour))
	}
	for i := range 25 {
		account := f.account(skewed(f.by, BigAccounts))
		f.add(projections.Deposits, &projections.Deposit{
			DepositKey: projections.DepositKey{Shard: domain.Shard(1 + i%bigShards), LT: uint64(offset) + uint64(i)}, TxHash: domain.Digest{1},
			Account: ID[domain.AccountID](account), Amount: 1 << 30, Booked: when,
		})
		if err := f.post(when, Funded(account, 1<<30, uint64(offset)+uint64(i))); err != nil {
			return err
		}
	}
	return nil
}

// post folds what a fact of settlement moved, so that statements add up.
func (f *filling) post(when projections.Moment, fact *v1.Fact) error {
	f.journaled = false
	return f.fold(&projections.Entry{
		Position: domain.Position{Shard: 1, Offset: when.Offset}, AtMs: when.AtMs, Answer: &v1.Answer{Facts: []*v1.Fact{fact}},
	})
}

// month makes what closes the books of a month.
func (f *filling) month(startMs int64, hour uint64) {
	for shard := range domain.Shard(1 + bigShards) {
		f.add(projections.Months, &projections.Month{
			MonthKey: projections.MonthKey{Shard: shard, MonthMs: startMs}, ReachedMs: startMs,
			Size: 1 << bits.Len64(hour), Nodes: bytes.Repeat([]byte{byte(shard)}, 32), // a complete tree
		})
	}
}

// day makes what a day leaves of attestations, offers and holdbacks.
func (f *filling) day(startMs int64) {
	offset := domain.Offset(startMs / 1000)
	for n := range BigWorkers {
		worker := ID[domain.WorkerID](f.worker(n))
		for i, what := range []string{"attestation_challenged", "attestation_passed", "attestation_challenged", "attestation_passed"} {
			f.add(projections.Attestations, &projections.Attestation{
				AttestationKey: projections.AttestationKey{Worker: worker, Offset: offset + domain.Offset(4*n+i), Fact: 1}, What: what,
				Challenge: domain.Digest{1}, EvidenceDigest: domain.Digest{2}, PolicyDigest: domain.Digest{3}, ImageHash: domain.Digest{4},
				UntilMs: startMs + projections.DayMs, AtMs: startMs,
			})
		}
		f.add(projections.OfferHistory, &projections.OfferChange{
			OfferChangeKey: projections.OfferChangeKey{Model: ID[domain.ModelID](f.model(n % BigModels)), Worker: worker, Offset: offset + domain.Offset(n), Fact: 1},
			Coefficient:    uint32(800 + f.by.IntN(400)), AtMs: startMs,
		})
	}
	for n := range BigProviders {
		for shard := range bigShards {
			h := &projections.Holdback{
				HoldbackKey: projections.HoldbackKey{Provider: ID[domain.ProviderID](f.provider(n)), Shard: domain.Shard(1 + shard), BucketMs: startMs},
				Amount:      1_000_000, UntilMs: startMs + 7*projections.DayMs, Held: projections.Moment{AtMs: startMs, Offset: offset},
			}
			if h.UntilMs < f.EndMs() {
				h.Released = h.Amount
			}
			f.add(projections.Holdbacks, h)
		}
	}
}
