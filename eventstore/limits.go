package eventstore

import "fmt"

// CheckBatch says whether a batch keeps the limits that hold for every Log; its error wraps
// ErrTooLarge and names the record and the limit. Every Append begins with it.
func CheckBatch(values [][]byte) error {
	if len(values) > MaxBatch {
		return fmt.Errorf("batch of %d records; want at most %d: %w", len(values), MaxBatch, ErrTooLarge)
	}
	sum := 0
	for i, v := range values {
		if len(v) > MaxRecordBytes {
			return fmt.Errorf("record %d of the batch has %d bytes; want at most %d: %w", i, len(v), MaxRecordBytes, ErrTooLarge)
		}
		sum += len(v)
	}
	if sum > MaxBatchBytes {
		return fmt.Errorf("batch of %d bytes; want at most %d: %w", sum, MaxBatchBytes, ErrTooLarge)
	}
	return nil
}
