package ledger

import (
	"bytes"
	"container/heap"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// maxDue bounds the facts that log time alone adds to one answer, so that an entry stays within a
// record. What is left over is done with the next record.
const maxDue = 900

type timerKind uint8

// The order of kinds is the order in which things due at the same moment are decided.
const (
	jobExpires timerKind = iota
	disputeExpires
	bucketMatures
	attestationExpires
	payReleased
	payRefused
	holdbackEnds
	workerStands
	providerStands
)

// timer is one thing that log time will do. Its place in the heap is kept, so that it can be taken
// out when the thing ends otherwise: the heap is as large as what is open.
type timer struct {
	atMs  int64
	kind  timerKind
	id    [32]byte
	place int // in the heap, from 1; 0: not in it
}

// timers is a heap ordered by time, then kind, then id: an order that does not depend on when things
// were put in, so that every machine sees the same first one.
type timers []*timer

func (t timers) Len() int { return len(t) }

func (t timers) Less(i, j int) bool {
	a, b := t[i], t[j]
	switch {
	case a.atMs != b.atMs:
		return a.atMs < b.atMs
	case a.kind != b.kind:
		return a.kind < b.kind
	default:
		return bytes.Compare(a.id[:], b.id[:]) < 0
	}
}

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i+1, j+1
}

// Push is for container/heap.
func (t *timers) Push(x any) {
	added, _ := x.(*timer)
	*t = append(*t, added)
	added.place = len(*t)
}

// Pop is for container/heap.
func (t *timers) Pop() any {
	last := (*t)[len(*t)-1]
	(*t)[len(*t)-1] = nil
	*t = (*t)[:len(*t)-1]
	last.place = 0
	return last
}

func (t *timers) set(tm *timer, kind timerKind, id [32]byte, atMs int64) {
	t.clear(tm)
	tm.kind, tm.id, tm.atMs = kind, id, atMs
	heap.Push(t, tm)
}

func (t *timers) clear(tm *timer) {
	if tm.place != 0 {
		heap.Remove(t, tm.place-1)
	}
}

// decideDue adds what log time has brought about. Evolving a fact takes its timer out.
func (s *State) decideDue(answer *v1.Answer) {
	for len(s.timers) > 0 && s.timers[0].atMs <= s.nowMs && len(answer.Facts) < maxDue {
		due := s.timers[0]
		var fact *v1.Fact
		switch due.kind {
		case jobExpires:
			fact = s.decideJobExpired(s.jobs[due.id])
		case disputeExpires:
			fact = s.decideDisputeExpired(s.jobs[due.id])
		case bucketMatures:
			fact = s.decideEarningsMatured(s.buckets[bucketKey{domain.ProviderID(due.id), due.atMs}])
		case attestationExpires:
			fact = s.decideAttestationEnded(due)
		case payReleased:
			fact = s.decidePayReleased(s.jobs[due.id])
		case payRefused:
			fact = s.decideHoldEnds(s.jobs[due.id])
		case holdbackEnds:
			fact = s.decideHoldbackEnds(s.parcels[due.id])
		case workerStands:
			fact = s.decideStanding(subjectKey{v1.SubjectKind_SUBJECT_KIND_WORKER, due.id})
		case providerStands:
			fact = s.decideStanding(subjectKey{v1.SubjectKind_SUBJECT_KIND_PROVIDER, due.id})
		}
		answer.Facts = append(answer.Facts, fact)
		s.evolve(fact)
	}
}
