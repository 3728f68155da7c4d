package ledger

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// dump writes down all that a state knows, in one order, so that two states can be compared. What it
// leaves out, a test of two states would not see.
func (s *State) dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "shard %d now %d entry %d intake %d lt %d\n", s.shard, s.nowMs, s.nextEntry, s.nextIntake, s.lastDepositLT)
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for key, past := range s.signers {
		add("signer %x last %d next %d recent %v", key, past.last, past.next, past.recent)
	}
	for key, amount := range s.balances {
		add("balance %s %x %d", key.kind, key.owner, amount)
	}
	for id, acc := range s.accounts {
		add("account %x %x %d %d", id, acc.client, acc.lastNumber, acc.openJobs)
	}
	for id, j := range s.jobs {
		add("job %x is %x %s of %x %x %x %x limits %d %d %d reserved %d at %x %x %d usage %v cost %d %d until %d %d "+
			"timer %s assigned %d %d uncovered %d %d %d hold %s", id,
			j.id, j.state, j.account, j.client, j.model, j.card, j.maxPromptTokens, j.maxCompletionTokens, j.maxCoefficient,
			j.reserved, j.worker, j.provider, j.coefficient, j.usage, j.chargeNano, j.workerNano, j.disputableMs, j.bucketMs, j.timer.dump(),
			j.assignedAtMs, j.promisedMs, j.uncovered, j.uncoveredFor, j.uncoveredAt, j.hold.dump())
	}
	for key, bucket := range s.buckets {
		ids := make([]string, 0, len(bucket.jobs))
		for place, j := range bucket.jobs {
			if j.inBucket != place {
				ids = append(ids, "misplaced")
			}
			ids = append(ids, j.id.String())
		}
		slices.Sort(ids)
		add("bucket %v %v %d %s %v", key, bucket.key, bucket.amount, bucket.timer.dump(), ids)
	}
	for worker, jobs := range s.held {
		ids := make([]string, 0, len(jobs))
		for id, j := range jobs {
			ids = append(ids, fmt.Sprintf("%s %d", id, j.hold.cause))
		}
		slices.Sort(ids)
		add("held %x %v", worker, ids)
	}
	for who, st := range s.standings {
		add("standing %v %v news %t set %t holds back %d %d suspended %d timer %s", who, st.record, st.news, st.set,
			st.holdbackPermille, st.holdBuckets, st.suspendedUntilMs, st.timer.dump())
	}
	for id, p := range s.parcels {
		if s.pledged[p.provider][id] != p {
			add("parcel %x is not its provider's", id)
		}
		add("parcel %x %x of %x %d amount %d until %d cause %d timer %s", id, p.id, p.provider, p.bucketMs, p.amount, p.untilMs, p.cause, p.timer.dump())
	}
	for provider, parcels := range s.pledged {
		add("pledged %x %d", provider, len(parcels))
	}
	for _, t := range s.timers {
		add("timer %s", t.dump())
	}
	s.control.dump(add)
	slices.Sort(lines)
	b.WriteString(strings.Join(lines, "\n"))
	return b.String()
}

func (h *hold) dump() string {
	if h == nil {
		return "none"
	}
	return fmt.Sprintf("%d since %d until %d over %t timer %s", h.cause, h.sinceMs, h.untilMs, h.over, h.timer.dump())
}

func (t *timer) dump() string {
	if t.place == 0 {
		return "off"
	}
	return fmt.Sprintf("%d %d %x", t.atMs, t.kind, t.id)
}

func (c *control) dump(add func(string, ...any)) {
	add("control next %d network %x shards %d admins %d card %x", c.next, c.network, c.dataShards, c.admins, c.defaultCard)
	if c.params != nil {
		add("params %s", encoded(c.params))
	}
	if c.disputes != nil {
		add("disputes %s", encoded(c.disputes))
	}
	if c.hold != nil {
		add("hold %s", encoded(c.hold))
	}
	if c.reputation != nil {
		add("reputation %v", *c.reputation)
	}
	for image := range c.retiredImages {
		add("retired image %x", image)
	}
	for id, card := range c.cards {
		add("card %x %s", id, encoded(card))
	}
	for model, card := range c.cardsByModel {
		add("card of model %x %x", model, card)
	}
	for model := range c.models {
		add("model %x", model)
	}
	for key, who := range c.keyring {
		add("key %x %v", key, who)
	}
	for id, client := range c.clients {
		add("client %x %v", id, *client)
	}
	for id, provider := range c.providers {
		add("provider %x %v", id, *provider)
	}
	for id, w := range c.workers {
		offers := make([]string, 0, len(w.offers))
		for model, offer := range w.offers {
			offers = append(offers, fmt.Sprintf("%x=%v", model, offer))
		}
		slices.Sort(offers)
		add("worker %x %v of %x offers %v until %d challenge %x %d timer %s image %x cause %d told %d passed %d asked %d", id, w.subject, w.provider, offers,
			w.attestedUntilMs, w.challenge, w.challengeEndsMs, w.expiry.dump(), w.image, w.unattested, w.toldAt, w.passedAt, w.askedMs)
	}
	b := c.batches
	if b == nil {
		return
	}
	add("batches last %d cut %v total %d lt %d", b.last, b.lastCut, b.committed.Total(), b.lastPayoutLT)
	for leaf := range b.committed.Leaves() {
		add("committed %x %d", leaf.Payee, leaf.Cumulative)
	}
	for payee, amount := range b.paid {
		add("paid %x %d", payee, amount)
	}
	if o := b.open; o != nil {
		lines := make([]string, 0, len(o.lines))
		for _, line := range o.lines {
			lines = append(lines, encoded(line))
		}
		add("open %d %x %v before %d %t", o.number, o.root, lines, o.before.Root(), o.proposed)
	}
}

func encoded(m v1.Message) string {
	size := m.SizeVT()
	buf := bytes.Repeat([]byte{0}, size)
	if _, err := m.MarshalToSizedBufferVTStrict(buf); err != nil {
		return err.Error()
	}
	return hex.EncodeToString(buf)
}
