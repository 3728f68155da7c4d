package domain

import "time"

// MonthStart is when the month of a moment begins, in UTC. Both are Unix milliseconds.
func MonthStart(atMs int64) int64 {
	at := time.UnixMilli(atMs).UTC()
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMilli()
}

// NextMonth is when the month of a moment ends.
func NextMonth(atMs int64) int64 {
	at := time.UnixMilli(atMs).UTC()
	return time.Date(at.Year(), at.Month()+1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
}
