package domain

import "fmt"

// RangeError says which field of a claim lies outside which limit, so that a rejection can name the
// field and say by how much.
type RangeError struct {
	Field string // as in the schema, from the claim on: "usage.cached_tokens"
	Have  int64  // the value found
	Want  int64  // the limit that it breaks, the last value that is allowed
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("%s: %d is out of range, the limit is %d", e.Field, e.Have, e.Want)
}

// OverflowError says which result left the range of int64. It is ErrAmountOverflow to errors.Is.
type OverflowError struct {
	Field string // the field of the fact that would have held the result: "charge_nano"
}

func (e *OverflowError) Error() string { return e.Field + ": " + ErrAmountOverflow.Error() }

func (e *OverflowError) Unwrap() error { return ErrAmountOverflow }
