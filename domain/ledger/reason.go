package ledger

import (
	"fmt"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Words says a reason in a few words, as a table shows it: "insufficient funds". A reason that this
// program does not know, because a newer one decided it, is named by its number.
func Words(reason v1.Reason) string {
	if w, known := wordings[reason]; known {
		return w.label
	}
	return fmt.Sprintf("reason %d", reason)
}

// Explain says in one sentence which rule a claim or report broke, by how much, and in which field:
// "account: holds 1.2 coins free, 2.5 are needed: short by 1.3". The sentence is made from the
// rejection alone, so that it can be said again of any old one.
func Explain(r *v1.Rejection) string {
	sentence := Words(r.Reason)
	if w, known := wordings[r.Reason]; known {
		sentence = w.say(r)
	}
	if r.Field == "" {
		return sentence
	}
	return r.Field + ": " + sentence
}

// wording is a reason in words.
type wording struct {
	label string
	say   func(*v1.Rejection) string
}

// wordings has every Reason that can be decided.
var wordings = map[v1.Reason]wording{
	v1.Reason_REASON_MALFORMED:         {"malformed report", plain("the record cannot be read as a report")},
	v1.Reason_REASON_WRONG_NETWORK:     {"wrong network", plain("the report was signed for another network")},
	v1.Reason_REASON_WRONG_SHARD:       {"wrong shard", numbers("the report is for shard %d, and stands in shard %d")},
	v1.Reason_REASON_UNKNOWN_SIGNER:    {"unknown signer", plain("no subject and no operator has this key")},
	v1.Reason_REASON_BAD_SIGNATURE:     {"bad signature", plain("is not the signer's, over these bytes")},
	v1.Reason_REASON_DUPLICATE_REPORT:  {"duplicate report", numbers("report %d was answered before, as intake record %d, and nothing is counted twice")},
	v1.Reason_REASON_SEQUENCE_CONFLICT: {"sequence conflict", numbers("report %d is recorded with other bytes, as intake record %d: the first one counts")},
	v1.Reason_REASON_SEQUENCE_REPLAYED: {"sequence replayed", numbers("is %d, and the signer's next number here is %d or more")},

	v1.Reason_REASON_WRONG_LOG:        {"wrong log", plain("a claim of this kind belongs to control, or to the data shards, and this is the other")},
	v1.Reason_REASON_ROLE_NOT_ALLOWED: {"role not allowed", plain("has no right to make this claim")},
	v1.Reason_REASON_OUT_OF_RANGE:     {"out of range", sayOutOfRange},
	v1.Reason_REASON_AMOUNT_OVERFLOW:  {"amount overflow", plain("no amount is as large as the sum would be")},
	v1.Reason_REASON_ALREADY_EXISTS:   {"already exists", plain("exists already")},
	v1.Reason_REASON_NOT_SET_UP:       {"not set up", plain("an admin has to set it before this claim can hold")},

	v1.Reason_REASON_UNKNOWN_CLIENT:     {"unknown client", plain("is not registered, or has retired")},
	v1.Reason_REASON_UNKNOWN_ACCOUNT:    {"unknown account", plain("was never opened in this shard")},
	v1.Reason_REASON_NOT_YOUR_ACCOUNT:   {"not your account", plain("belongs to another client than the signer")},
	v1.Reason_REASON_INSUFFICIENT_FUNDS: {"insufficient funds", sayShort},
	v1.Reason_REASON_ALREADY_BOOKED:     {"already booked", numbers("is %d, and transactions before %d are booked already")},
	v1.Reason_REASON_MISPLACED_ACCOUNT:  {"misplaced account", numbers("was named in shard %d, and belongs to shard %d")},

	v1.Reason_REASON_UNKNOWN_MODEL:         {"unknown model", plain("is not listed")},
	v1.Reason_REASON_NO_RATE_CARD:          {"no rate card", plain("has no price list, and there is none for all models")},
	v1.Reason_REASON_JOB_NUMBER_USED:       {"job number used", numbers("is %d, and the account's next free number is %d")},
	v1.Reason_REASON_TOO_MANY_OPEN_JOBS:    {"too many open jobs", numbers("has %d open jobs, and %d are allowed")},
	v1.Reason_REASON_UNKNOWN_JOB:           {"unknown job", plain("was never submitted, or is closed for good")},
	v1.Reason_REASON_NOT_YOUR_JOB:          {"not your job", plain("belongs to another than the signer")},
	v1.Reason_REASON_WRONG_JOB_STATE:       {"wrong job state", sayJobState},
	v1.Reason_REASON_UNKNOWN_WORKER:        {"unknown worker", plain("is not registered")},
	v1.Reason_REASON_WORKER_RETIRED:        {"worker retired", plain("has retired, or its provider has")},
	v1.Reason_REASON_NO_OFFER:              {"no offer", plain("does not offer the job's model")},
	v1.Reason_REASON_COEFFICIENT_TOO_HIGH:  {"coefficient too high", sayCoefficient},
	v1.Reason_REASON_NOT_ATTESTED:          {"not attested", sayNotAttested},
	v1.Reason_REASON_USAGE_WENT_BACK:       {"usage went back", numbers("counts %d, after %d was counted already")},
	v1.Reason_REASON_USAGE_INCONSISTENT:    {"usage inconsistent", sayOutOfRange},
	v1.Reason_REASON_USAGE_OVER_LIMIT:      {"usage over limit", numbers("counts %d, and the client allowed %d")},
	v1.Reason_REASON_DISPUTE_WINDOW_CLOSED: {"dispute window closed", sayEnded("its dispute window ended %s earlier")},

	v1.Reason_REASON_WORKER_SUSPENDED: {"worker suspended", saySuspended},

	v1.Reason_REASON_UNKNOWN_PROVIDER:   {"unknown provider", plain("is not registered, or has retired")},
	v1.Reason_REASON_UNKNOWN_SUBJECT:    {"unknown subject", plain("is not registered, or has retired")},
	v1.Reason_REASON_KEY_IN_USE:         {"key in use", plain("speaks for somebody already")},
	v1.Reason_REASON_LAST_ADMIN:         {"last admin", plain("would leave the network without an admin")},
	v1.Reason_REASON_UNKNOWN_CHALLENGE:  {"unknown challenge", plain("is not the open challenge of this worker")},
	v1.Reason_REASON_CHALLENGE_EXPIRED:  {"challenge expired", sayEnded("ended %s earlier")},
	v1.Reason_REASON_WRONG_BATCH_NUMBER: {"wrong batch number", numbers("is %d, and must be %d")},
	v1.Reason_REASON_BATCH_OPEN:         {"batch open", numbers("is %d, and batch %d is not finished")},
	v1.Reason_REASON_WRONG_BATCH_STATE:  {"wrong batch state", plain("a batch is sealed, proposed, then activated or vetoed; this one stands elsewhere")},
	v1.Reason_REASON_CUT_WENT_BACK:      {"cut went back", numbers("is %d, and the last batch counted to %d")},
	v1.Reason_REASON_WRONG_BATCH_TOTAL:  {"wrong batch total", sayTotal},
	v1.Reason_REASON_WRONG_ROOT:         {"wrong root", plain("is not what the ledger computes")},
	v1.Reason_REASON_PAID_TOO_MUCH:      {"paid too much", sayPaid},
	v1.Reason_REASON_IMAGE_RETIRED:      {"image retired", plain("must not run any more")},
}

func plain(sentence string) func(*v1.Rejection) string {
	return func(*v1.Rejection) string { return sentence }
}

// numbers is a sentence with have and want in it, in this order.
func numbers(format string) func(*v1.Rejection) string {
	return func(r *v1.Rejection) string { return fmt.Sprintf(format, r.Have, r.Want) }
}

// sayOutOfRange has no numbers to say where the rule is about what a field may be, not how large.
func sayOutOfRange(r *v1.Rejection) string {
	switch {
	case r.Have < r.Want:
		return fmt.Sprintf("is %s, must be at least %s", quantity(r, r.Have), quantity(r, r.Want))
	case r.Have > r.Want:
		return fmt.Sprintf("is %s, must be at most %s", quantity(r, r.Have), quantity(r, r.Want))
	default:
		return "is not allowed here"
	}
}

func sayShort(r *v1.Rejection) string {
	return fmt.Sprintf("holds %s coins free, %s are needed: short by %s", coins(r.Have), coins(r.Want), coins(r.Want-r.Have))
}

func sayPaid(r *v1.Rejection) string {
	return fmt.Sprintf("%s coins were paid, where %s were owed: %s too much", coins(r.Have), coins(r.Want), coins(r.Have-r.Want))
}

func sayTotal(r *v1.Rejection) string {
	return fmt.Sprintf("says %s, and must be %s", quantity(r, r.Have), quantity(r, r.Want))
}

func sayJobState(r *v1.Rejection) string {
	have, want := jobState(r.Have), jobState(r.Want)
	if have < want {
		return fmt.Sprintf("is only %s, must be %s first", have, want)
	}
	return fmt.Sprintf("is %s, too late for what had to be said while it was %s", have, want)
}

func sayCoefficient(r *v1.Rejection) string {
	return fmt.Sprintf("asks %d thousandths of the price, and the client allowed %d", r.Have, r.Want)
}

func sayNotAttested(r *v1.Rejection) string {
	if r.Have == 0 {
		return "has no valid attestation"
	}
	return fmt.Sprintf("has no valid attestation: the last one ended %s earlier", span(r.Want-r.Have))
}

func saySuspended(r *v1.Rejection) string {
	return fmt.Sprintf("has failed too often and gets no jobs for another %s", span(r.Have-r.Want))
}

// sayEnded is for a rule with a deadline: have is the time, want when it ended.
func sayEnded(format string) func(*v1.Rejection) string {
	return func(r *v1.Rejection) string { return fmt.Sprintf(format, span(r.Have-r.Want)) }
}

// quantity writes a number in the unit that its field is named after.
func quantity(r *v1.Rejection, n int64) string {
	switch {
	case strings.HasSuffix(r.Field, "_nano"):
		return coins(n) + " coins"
	case strings.HasSuffix(r.Field, "_at_ms"), strings.HasSuffix(r.Field, "_until_ms"):
		return instant(n)
	case strings.HasSuffix(r.Field, "_ms"):
		return span(n)
	default:
		return fmt.Sprintf("%d", n)
	}
}

// coins writes an amount without the zeros at its end: "1.2".
func coins(nano int64) string {
	return strings.TrimSuffix(strings.TrimRight(domain.Nano(nano).String(), "0"), ".")
}

// span writes milliseconds as a duration, "1h0m1.5s", or as they are where no rule has one as long.
func span(ms int64) string {
	if ms < -maxSpanMs || ms > maxSpanMs {
		return fmt.Sprintf("%d ms", ms)
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

// instant writes a time of the log: "2026-01-01T00:00:00.001Z".
func instant(ms int64) string {
	if ms < 0 || ms > latestMs {
		return fmt.Sprintf("%d ms", ms)
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339Nano)
}
