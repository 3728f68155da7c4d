package kafka

import (
	"cmp"
	"slices"

	"github.com/filature/filature/domain"
)

// member is a process that takes part in a group, and the shards that it works on.
type member struct {
	id    string
	owned []domain.Shard
}

// share gives each shard to one member. No member gets two more than another, and otherwise each keeps
// what it has: a clerk that gets a new shard has to read its whole ledger first.
func share(members []member, shards []domain.Shard) map[string][]domain.Shard {
	if len(members) == 0 {
		return nil
	}
	// Who has most comes first, and so gets the places that are left over.
	members = slices.SortedFunc(slices.Values(members), func(a, b member) int {
		return cmp.Or(len(b.owned)-len(a.owned), cmp.Compare(a.id, b.id))
	})
	free := map[domain.Shard]bool{}
	for _, shard := range shards {
		free[shard] = true
	}
	room := func(place int) int {
		n := len(shards) / len(members)
		if place < len(shards)%len(members) {
			n++
		}
		return n
	}
	shared := map[string][]domain.Shard{}
	for place, m := range members {
		shared[m.id] = []domain.Shard{}
		for _, shard := range slices.Sorted(slices.Values(m.owned)) {
			if free[shard] && len(shared[m.id]) < room(place) {
				shared[m.id] = append(shared[m.id], shard)
				delete(free, shard)
			}
		}
	}
	rest := slices.DeleteFunc(slices.Sorted(slices.Values(shards)), func(s domain.Shard) bool { return !free[s] })
	for place, m := range members {
		n := min(room(place)-len(shared[m.id]), len(rest))
		shared[m.id] = append(shared[m.id], rest[:n]...)
		rest = rest[n:]
	}
	return shared
}
