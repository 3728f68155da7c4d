package ton

import "fmt"

// exitCodes puts the contracts' errors (contracts/messages.tolk) and the virtual machine's common
// ones into words. A test compares the first group with the source.
var exitCodes = map[int32]string{
	101: "only the admin may do this",
	102: "only the guardian may veto or unpause",
	103: "the vault is paused",
	104: "the proof is no Merkle proof cell",
	105: "the proof is for another root than the active one",
	106: "the proven tree has no such payee",
	107: "the epoch is not the next one, or is not the pending one",
	108: "the total is below the active root's",
	109: "the vault's balance does not cover what is owed",
	110: "the pay request is not from the payee's claim account",
	111: "the sender is not the claim account's vault",
	112: "payouts would exceed the root's total",
	113: "too little coin attached",
	114: "what is pending is not due yet",
	115: "another root is pending",
	116: "no root is pending",
	117: "only the proposed admin may accept",
	118: "the code is not the one that was proposed",
	119: "another change of admin or code is pending",
	120: "no such change of admin or code is pending",
	121: "the admin must be an account of the basechain, and not the guardian",

	0xffff: "unknown message",

	2:   "stack underflow",
	4:   "integer overflow",
	5:   "integer out of range",
	8:   "cell overflow",
	63:  "not a message for this contract",
	9:   "cell underflow: malformed message, or a proof of another payee",
	-14: "out of gas",
	32:  "action list is invalid",
	34:  "action is invalid or not supported",
	37:  "not enough coins for an action",
	40:  "not enough coins to process a message",
}

// ExitReason says what an exit code of the vault's or a claim account's transaction means.
func ExitReason(code int32) string {
	if words, ok := exitCodes[code]; ok {
		return words
	}
	return fmt.Sprintf("exit code %d", code)
}
