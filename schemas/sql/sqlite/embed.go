// Package sqliteschema knows the tables that the SQLite store keeps its rows in: the migrations, in the
// order of their numbers. A migration that was ever released is never edited; a change is a new one.
package sqliteschema

import "embed"

// Migrations are the files NNNN_what.sql; each is applied once, in one transaction.
//
//go:embed *.sql
var Migrations embed.FS
