package main

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	"github.com/filature/filature/workers/auditor"
	"github.com/filature/filature/workers/reconciler"
)

const (
	// toldOfKind and toldDifferences are how many offences of a kind, and how many differences, are told over the API: enough to
	// see what is the matter. The report in the auditor's folder, and filature reconcile, have more.
	toldOfKind, toldDifferences = 3, 20
	// toldText is how long a text of them is at most, in bytes.
	toldText = 400
)

// lastAudit is the verdict that stands; an empty one where there is none.
func lastAudit(ctx context.Context, from projections.Findings) (*queryv1.Audit, error) {
	last := &queryv1.Audit{}
	_, err := projections.ReadFinding(ctx, from, projections.FoundByAudit, last)
	return last, err
}

// auditMessage is an audit as it is kept in the store, and told over the API.
func auditMessage(r *auditor.Report, span auditor.Span, every time.Duration, chain string) *queryv1.Audit {
	m := &queryv1.Audit{
		Verdict: string(r.Verdict), BeganAtMs: span.Began.UnixMilli(), EndedAtMs: span.Ended.UnixMilli(), EveryMs: every.Milliseconds(),
		Chain: chainNone, Program: programName(), Batches: int64(len(r.Batches)),
	}
	for _, total := range r.Totals {
		m.Offences = append(m.Offences, &queryv1.OffenceCount{Kind: string(total.Kind), Count: total.Total})
	}
	for _, step := range r.Steps {
		told := &queryv1.AuditStep{Name: step.Name, State: string(step.State), Why: cutText(step.Why), Offences: step.Offences}
		for _, c := range step.Checked {
			told.Checked = append(told.Checked, &queryv1.AuditCount{Number: c.Number, Of: c.Of})
		}
		if step.Name == "chain" && step.State == auditor.StepDone {
			m.Chain = chain
		}
		m.Steps = append(m.Steps, told)
	}
	for _, s := range r.Shards {
		m.Shards = append(m.Shards, &queryv1.AuditedShard{
			Shard: uint32(s.Shard), CheckedTo: int64(s.Checked), End: int64(s.End), Facts: s.Facts, Signatures: s.Signatures,
		})
	}
	for _, b := range r.Batches {
		if b.Equal {
			m.BatchesEqual++
		}
	}
	of := make(map[auditor.Kind]int)
	for i := range r.Offences {
		if of[r.Offences[i].Kind]++; of[r.Offences[i].Kind] <= toldOfKind {
			m.First = append(m.First, offenceMessage(&r.Offences[i]))
		}
	}
	if r.Resumed != nil {
		for _, s := range r.Resumed.Shards {
			m.ResumedEntries += int64(s.Entries)
		}
	}
	return m
}

func offenceMessage(o *auditor.Offence) *queryv1.AuditOffence {
	m := &queryv1.AuditOffence{
		Kind: string(o.Kind), Log: string(o.Log), Batch: o.Batch, Table: o.Table, Row: cutText(o.Row),
		Field: o.Field, Have: cutText(o.Have), Want: cutText(o.Want), Why: cutText(o.Why),
	}
	if o.At != nil {
		m.Placed, m.Shard, m.Offset = true, uint32(o.At.Shard), o.At.Offset
	}
	return m
}

// cutText is a text, or the beginning of it, in whole characters.
func cutText(text string) string {
	if len(text) <= toldText {
		return text
	}
	end := toldText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// States of a reconciliation, as queryv1.Reconciliation has them.
const (
	chainAgrees   = "agree"
	chainInFlight = "in_flight"
	chainAlarm    = "alarm"
)

// reconciliationMessage is what a comparison of ledger and chain found, as it is kept in the store, and told over the API.
func reconciliationMessage(r *reconciler.Report) *queryv1.Reconciliation {
	m := &queryv1.Reconciliation{
		State: chainAgrees, AtMs: r.AtMs, Lt: r.LT, Ledger: &queryv1.Position{LedgerOffsets: offsetsOf(r.Ledger)},
		HoldsNano: int64(r.Holds), HasToHoldNano: int64(r.HasToHold), ToppedUpNano: int64(r.ToppedUp),
		PaidLedgerNano: int64(r.PaidLedger), PaidChainNano: int64(r.PaidChain),
		Movements: r.Movements, PayeesAsked: int64(r.Asked), Payees: int64(r.Payees),
	}
	differences := slices.Clone(r.Differences)
	slices.SortStableFunc(differences, func(a, b settlement.Difference) int {
		return urgency[a.State] - urgency[b.State]
	})
	for i, d := range differences {
		switch d.State {
		case settlement.Alarm:
			m.Alarms++
		case settlement.InFlight:
			m.InFlight++
		case settlement.Noted:
			m.Noted++
		}
		if i < toldDifferences {
			m.Differences = append(m.Differences, &queryv1.ChainDifference{
				Kind: string(d.Kind), State: string(d.State), Subject: cutText(d.Subject), Ledger: cutText(d.Ledger), Chain: cutText(d.Chain), SinceMs: d.SinceMs,
			})
		}
	}
	switch {
	case m.Alarms > 0:
		m.State = chainAlarm
	case m.InFlight > 0:
		m.State = chainInFlight
	}
	return m
}

// urgency is in which order differences are told.
var urgency = map[settlement.DifferenceState]int{settlement.Alarm: 0, settlement.InFlight: 1, settlement.Noted: 2}

func offsetsOf(cut []domain.Offset) []int64 {
	offsets := make([]int64, len(cut))
	for shard, offset := range cut {
		offsets[shard] = int64(offset)
	}
	return offsets
}
