package ledger

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// maxEntryBytes is the most that an encoded entry may have: the record size of the event store,
	// eventstore.MaxRecordBytes, which the domain can't import.
	maxEntryBytes = 1 << 20
	// entryOverhead is what an entry has besides its facts: times, offsets, digest, signer, lengths.
	entryOverhead = 256
	// maxRejectionBytes bounds a rejection in an answer: a field of 200 bytes, two numbers, a job.
	maxRejectionBytes = 300
	// factOverhead is the tag and length before each fact, and its claim number.
	factOverhead = 8
)

// room keeps an answer within a record. On the data shards a thousand claims and all that can be due
// beside them always fit, as a test shows. On control one batch is most of a record, and a report may
// hold one, undo it and hold another: what does not fit any more is rejected, and can be said again in
// a report of its own.
type room struct {
	counted bool
	left    int
	claims  int // still to be answered, each at least with a rejection
}

func (s *State) roomFor(answer *v1.Answer, claims int) room {
	r := room{counted: s.shard == domain.Control, left: maxEntryBytes - entryOverhead, claims: claims}
	if r.counted {
		for _, due := range answer.Facts {
			r.left -= due.SizeVT() + factOverhead
		}
	}
	return r
}

// take lets a fact pass if the answers to all claims behind it still have room for a rejection.
func (r *room) take(fact *v1.Fact) *v1.Fact {
	if !r.counted {
		return fact
	}
	r.claims--
	free := r.left - r.claims*maxRejectionBytes
	size := fact.SizeVT() + factOverhead
	if size > free {
		fact = rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "claims", int64(size), int64(free))
		size = fact.SizeVT() + factOverhead
	}
	r.left -= size
	return fact
}
