// Package domain knows the words of the network and the rules that hold for each alone: amounts, ids,
// positions in a log, shards, and what tokens cost.
//
// It is pure, as are the packages below it: no clock, no chance, no I/O, and no floating point but in the
// one rule that has to give Cocoon's own numbers. What it returns follows from what it is given.
package domain
