package main

import "github.com/filature/filature/internal/settling"

// removed are the guards that are taken away together to see a cell fail: one, or all those of which each is enough.
func removed(cell settling.Cell) []string {
	switch cell.Fault {
	case "dropped", "delayed":
		return []string{"same bytes"}
	case "expires":
		return []string{"expiry"}
	case "old seqno", "wallet shared":
		return []string{"used number"}
	case "wallet poor":
		return []string{"balance"}
	case "refused":
		if cell.Step == "claim" {
			return []string{"pause", "patience"}
		}
		return []string{"pause"}
	case "vault short":
		return []string{"cover"}
	case "crash before send", "append lost", "crash before append":
		return []string{"forgets"}
	case "crash after send":
		if cell.Step == "claim" {
			return []string{"difference"}
		}
		return []string{"what is there"}
	case "append kept", "crash after append":
		if cell.Step == "seal" {
			return []string{"books first", "one open", "numbered", "cumulative"}
		}
		return append([]string{"behind the books"}, bookedTwice(cell.Step)...)
	case "stale node":
		return stale(cell.Step)
	case "node went back":
		switch cell.Step {
		case "propose":
			return []string{"not behind", "fate", "chain's number"}
		default:
			return []string{"not behind"}
		}
	case "timeouts":
		return []string{"waits out"}
	case "two at once":
		switch cell.Step {
		case "seal":
			return []string{"one open", "numbered", "cumulative"}
		case "propose", "activate", "claim":
			return []string{"used number"}
		default:
			return bookedTwice(cell.Step)
		}
	default:
		return nil
	}
}

// bookedTwice is what has to go for the ledger to take an event a second time.
func bookedTwice(step string) []string {
	switch step {
	case "book payout":
		return []string{"payout once", "owed"}
	case "book deposit":
		return []string{"deposit once"}
	default:
		return []string{"veto once"}
	}
}

// stale is what has to go for a late answer to do harm.
func stale(step string) []string {
	switch step {
	case "seal", "propose", "activate":
		return []string{"fate", "chain's number"}
	case "claim":
		return []string{"fate", "chain's number", "patience"}
	default:
		return []string{"looks again"}
	}
}
