package settlement

import (
	"fmt"
	"iter"

	"github.com/filature/filature/domain"
)

// Tree is a payout tree that is kept: each fork with its hash, so that the next root costs the paths
// that change, and a proof one path. A Tree never changes. With returns another, which shares with it
// all that stayed, so to take a vetoed batch back is to go on with the tree before it.
//
// It takes about 130 bytes a payee. The zero Tree has no payees.
type Tree struct {
	top    subtree
	payees int
	total  domain.Nano
}

// subtree is one payee, or a fork to two subtrees, or nothing.
type subtree struct {
	leaf *Leaf
	fork *fork
}

// fork is where the payees below it part, for the first time, at a bit.
type fork struct {
	edge
	at    uint16
	some  *domain.ProviderID // any payee below: the bits before at are all of theirs
	below [2]subtree
}

// NewTree builds the tree of leaves, which must be as Root wants them.
func NewTree(leaves []Leaf) (Tree, error) {
	if err := checkLeaves(leaves); err != nil {
		return Tree{}, err
	}
	return Tree{}.with(leaves)
}

// With returns the tree in which these payees have these amounts; one with zero is left out. Leaves
// must be sorted by payee, each payee once, no amount below zero; the error names the offender. It is
// domain.ErrAmountOverflow where the total has no int64.
func (t Tree) With(leaves []Leaf) (Tree, error) {
	for i := range leaves {
		if leaves[i].Cumulative < 0 {
			return Tree{}, fmt.Errorf("payout tree: payee %s: cumulative amount %d: must not be below zero", leaves[i].Payee, leaves[i].Cumulative)
		}
	}
	if err := checkOrder(leaves); err != nil {
		return Tree{}, err
	}
	return t.with(leaves)
}

func (t Tree) with(leaves []Leaf) (Tree, error) {
	g := grower{kept: t.total, payees: t.payees}
	top := g.change(t.top, 0, leaves)
	if g.err != nil {
		return Tree{}, fmt.Errorf("payout tree: total: %w", g.err)
	}
	total, err := g.kept.Add(g.put)
	if err != nil {
		return Tree{}, fmt.Errorf("payout tree: total: %w", err)
	}
	return Tree{top: top, payees: g.payees, total: total}, nil
}

// Root is what Root says of the leaves.
func (t Tree) Root() domain.Digest {
	if t.top == (subtree{}) {
		return domain.Digest{}
	}
	var b edgeBuilder
	return t.top.edge(&b, 0).hash
}

// Payees is how many leaves there are.
func (t Tree) Payees() int { return t.payees }

// Total is the sum of the leaves.
func (t Tree) Total() domain.Nano { return t.total }

// Of is a payee's amount, zero where it is not in the tree.
func (t Tree) Of(payee domain.ProviderID) domain.Nano {
	at := t.top
	for at.fork != nil {
		at = at.fork.below[bitAt(&payee, int(at.fork.at))]
	}
	if at.leaf == nil || at.leaf.Payee != payee {
		return 0
	}
	return at.leaf.Cumulative
}

// Leaves yields the leaves in the order of their payees.
func (t Tree) Leaves() iter.Seq[Leaf] {
	return func(yield func(Leaf) bool) { t.top.each(yield) }
}

func (s subtree) each(yield func(Leaf) bool) bool {
	switch {
	case s.leaf != nil:
		return yield(*s.leaf)
	case s.fork != nil:
		return s.fork.below[0].each(yield) && s.fork.below[1].each(yield)
	}
	return true
}

// edge is the edge to a subtree whose payees share their first from bits. A fork was hashed for the one
// place where it hangs; a payee's edge is hashed when it is asked for, which saves its 32 bytes.
func (s subtree) edge(b *edgeBuilder, from int) edge {
	if s.fork != nil {
		return s.fork.edge
	}
	return b.payee(s.leaf, from)
}

// key is any payee below.
func (s subtree) key() *domain.ProviderID {
	if s.fork != nil {
		return s.fork.some
	}
	return &s.leaf.Payee
}

// grower makes a tree out of another.
type grower struct {
	builder edgeBuilder
	payees  int
	kept    domain.Nano // total of the leaves that no change named so far
	put     domain.Nano // total of the changes so far
	err     error       // of put
}

// change puts changes into a subtree; it and they share their first from bits.
func (g *grower) change(s subtree, from int, changes []Leaf) subtree {
	switch {
	case len(changes) == 0:
		return s
	case s == subtree{}:
		return g.grow(from, changes)
	case s.leaf != nil && len(changes) == 1 && changes[0].Payee == s.leaf.Payee:
		g.payees--
		g.kept -= s.leaf.Cumulative
		return g.plant(changes[0])
	}
	key := s.key()
	at := min(commonBits(key, &changes[0].Payee), commonBits(key, &changes[len(changes)-1].Payee))
	var below [2]subtree
	if s.fork != nil && at >= int(s.fork.at) {
		at, below = int(s.fork.at), s.fork.below
	} else {
		below[bitAt(key, at)] = g.move(s, at+1) // it comes to hang on a new fork
	}
	split := firstWithBit(changes, at)
	return g.join(from, at, g.change(below[0], at+1, changes[:split]), g.change(below[1], at+1, changes[split:]))
}

// grow makes a subtree of leaves alone.
func (g *grower) grow(from int, leaves []Leaf) subtree {
	if len(leaves) == 1 {
		return g.plant(leaves[0])
	}
	at := commonBits(&leaves[0].Payee, &leaves[len(leaves)-1].Payee)
	split := firstWithBit(leaves, at)
	return g.join(from, at, g.grow(at+1, leaves[:split]), g.grow(at+1, leaves[split:]))
}

// plant makes a leaf, or nothing where the amount is zero.
func (g *grower) plant(leaf Leaf) subtree {
	if leaf.Cumulative == 0 {
		return subtree{}
	}
	g.payees++
	var err error
	if g.put, err = g.put.Add(leaf.Cumulative); err != nil {
		g.err = err
	}
	return subtree{leaf: &leaf}
}

// join makes a fork of two subtrees that hang on it. Where one is nothing there is no fork, and the other
// comes to hang where it would be.
func (g *grower) join(from, at int, left, right subtree) subtree {
	switch {
	case left == subtree{}:
		return g.move(right, from)
	case right == subtree{}:
		return g.move(left, from)
	}
	f := &fork{at: uint16(at), some: left.key(), below: [2]subtree{left, right}}
	f.rehash(&g.builder, from)
	return subtree{fork: f}
}

// move hangs a subtree where its payees share their first from bits: its label is another.
func (g *grower) move(s subtree, from int) subtree {
	if s.fork == nil {
		return s
	}
	moved := *s.fork
	moved.rehash(&g.builder, from)
	return subtree{fork: &moved}
}

func (f *fork) rehash(b *edgeBuilder, from int) {
	below := int(f.at) + 1
	children := [2]edge{f.below[0].edge(b, below), f.below[1].edge(b, below)}
	f.edge = b.fork(f.some, from, int(f.at), &children)
}
