// Package postgresschema knows the tables that the PostgreSQL store keeps its rows in and the views that
// finance reads: the migrations, in the order of their numbers. A migration that was ever released is
// never edited; a change is a new one.
package postgresschema

import "embed"

// Migrations are the files NNNN_what.sql; each is applied once.
//
//go:embed *.sql
var Migrations embed.FS
