package ledger

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// parcel is what was held back of one bucket of a provider: a pledge for work that was not disputed in time, and of
// which something bad may still come to light.
type parcel struct {
	id       [32]byte
	provider domain.ProviderID
	bucketMs int64
	amount   domain.Nano
	untilMs  int64
	// cause is there while a part of it is about to be taken.
	cause v1.ForfeitCause
	timer timer
}

// parcelID names a parcel: a bucket matures once.
func parcelID(provider domain.ProviderID, bucketMs int64) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(provider[:], uint64(bucketMs)))
}

// decideHoldback says how much of what a provider earned in a bucket is held back, and until when.
func (s *State) decideHoldback(b *bucket) (amount domain.Nano, untilMs int64) {
	if s.control.reputation == nil {
		return 0, 0
	}
	permille, buckets := s.holdbackOf(b.key.provider)
	if amount = b.amount.Share(permille, domain.WholePermille); amount == 0 {
		return 0, 0
	}
	return amount, b.key.endMs + buckets*s.control.params.MaturityBucketMs
}

func (s *State) holdBack(provider domain.ProviderID, fact *v1.EarningsMatured) {
	p := &parcel{
		id: parcelID(provider, fact.BucketMs), provider: provider, bucketMs: fact.BucketMs,
		amount: domain.Nano(fact.HeldNano), untilMs: fact.HeldUntilMs,
	}
	s.timers.set(&p.timer, holdbackEnds, p.id, p.untilMs)
	s.parcels[p.id] = p
	of := s.pledged[provider]
	if of == nil {
		of = map[[32]byte]*parcel{}
		s.pledged[provider] = of
	}
	of[p.id] = p
}

// forfeit has a part of all that is held back of a provider taken, parcel by parcel: there may be more of them than
// facts in an answer. A parcel that is about to be taken for one cause is not taken for another, too. One whose time was
// over when the cause came is the provider's, though log time has yet to say so: a shard may be quiet, or have much to do.
func (s *State) forfeit(provider domain.ProviderID, cause v1.ForfeitCause, causedMs int64) {
	if s.control.reputation == nil || s.control.reputation.ForfeitPermille(cause) == 0 {
		return
	}
	for _, p := range s.pledged[provider] {
		if p.cause == v1.ForfeitCause_FORFEIT_CAUSE_UNSPECIFIED && p.untilMs > causedMs {
			p.cause = cause
			s.timers.set(&p.timer, holdbackEnds, p.id, s.nowMs)
		}
	}
}

// decideHoldbackEnds is called by log time: a parcel is paid out at its time, or a part of it taken before.
func (s *State) decideHoldbackEnds(p *parcel) *v1.Fact {
	if p.cause == v1.ForfeitCause_FORFEIT_CAUSE_UNSPECIFIED {
		return &v1.Fact{
			Postings: move(p.amount, held(p.provider), payable(p.provider)),
			Body: &v1.Fact_HoldbackReleased{HoldbackReleased: &v1.HoldbackReleased{
				Provider: p.provider[:], BucketMs: p.bucketMs, AmountNano: int64(p.amount),
			}},
		}
	}
	taken := p.amount.Share(s.control.reputation.ForfeitPermille(p.cause), domain.WholePermille)
	return &v1.Fact{
		Postings: move(taken, held(p.provider), slashed),
		Body: &v1.Fact_HoldbackForfeited{HoldbackForfeited: &v1.HoldbackForfeited{
			Provider: p.provider[:], BucketMs: p.bucketMs, AmountNano: int64(taken), Cause: p.cause,
		}},
	}
}

func (s *State) evolveHoldbackReleased(fact *v1.HoldbackReleased) {
	s.forget(s.parcels[parcelID(domain.ProviderID(fact.Provider), fact.BucketMs)])
}

func (s *State) evolveHoldbackForfeited(fact *v1.HoldbackForfeited) {
	p := s.parcels[parcelID(domain.ProviderID(fact.Provider), fact.BucketMs)]
	if p.amount -= domain.Nano(fact.AmountNano); p.amount == 0 {
		s.forget(p)
		return
	}
	p.cause = v1.ForfeitCause_FORFEIT_CAUSE_UNSPECIFIED
	s.timers.set(&p.timer, holdbackEnds, p.id, p.untilMs)
}

func (s *State) forget(p *parcel) {
	s.timers.clear(&p.timer)
	delete(s.parcels, p.id)
	of := s.pledged[p.provider]
	if delete(of, p.id); len(of) == 0 {
		delete(s.pledged, p.provider)
	}
}
