// Package settling knows that settler, watcher, wallet, vault and ledger come through whatever the way to the chain does
// to them: its test is a table of each step of settlement against each fault, on a real chain with a lite-server that
// misbehaves. docs/settlement.md has the table.
package settling
