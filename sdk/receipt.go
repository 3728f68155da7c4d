package sdk

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Status is what the gateway did with a report.
type Status string

// The statuses of v1.ReceiptStatus, by their JSON names.
const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate" // it was accepted before: after a crash, or an answer that was lost
	Conflict  Status = "conflict"  // another report has its number; this one does not count
	Refused   Status = "refused"
)

const (
	statusPrefix = "RECEIPT_STATUS_"
	reasonPrefix = "REASON_"
)

// Lost says that the report will not count. Such reports are kept in the RefusedFile.
func (s Status) Lost() bool { return s == Conflict || s == Refused }

// Receipt is the gateway's answer to one report.
type Receipt struct {
	Status   Status        `json:"status"`
	Shard    domain.Shard  `json:"shard"`
	Sequence uint64        `json:"sequence"`
	Claims   int           `json:"claims"`
	Offset   domain.Offset `json:"offset"` // in the shard's intake; nothing for a refused one
	// FirstOffset is the report that took the number, in a conflict.
	FirstOffset domain.Offset `json:"first_offset,omitempty"`
	Reason      string        `json:"reason,omitempty"` // why it was refused: "unknown_signer"
	Field       string        `json:"field,omitempty"`
}

// readReceipt joins an answer with the report that it answers.
func readReceipt(answer *v1.Receipt, report *v1.Report) (Receipt, error) {
	r := Receipt{
		Status: Status(strings.ToLower(strings.TrimPrefix(answer.Status.String(), statusPrefix))),
		Shard:  domain.Shard(report.Shard), Sequence: report.Sequence, Claims: len(report.Claims),
		Offset: domain.Offset(answer.Offset), Field: answer.Field,
	}
	if answer.Reason != v1.Reason_REASON_UNSPECIFIED {
		r.Reason = strings.ToLower(strings.TrimPrefix(answer.Reason.String(), reasonPrefix))
	}
	switch r.Status {
	case Accepted, Duplicate, Refused:
	case Conflict:
		r.FirstOffset = domain.Offset(answer.FirstOffset)
	default:
		return Receipt{}, mistakeError{fmt.Errorf("the receipt of report %d has a status that this program does not know: %q", r.Sequence, r.Status)}
	}
	return r, nil
}

// refusedLine is one line of the RefusedFile.
type refusedLine struct {
	At time.Time `json:"at"`
	Receipt
	ClaimsJSON []json.RawMessage `json:"said"`
	Report     string            `json:"report"` // the signed bytes, in hexadecimal
}

func appendRefusal(buf []byte, at time.Time, r Receipt, report *v1.Report, record []byte) ([]byte, error) {
	line := refusedLine{At: at.UTC(), Receipt: r, Report: hex.EncodeToString(record)}
	for _, c := range report.Claims {
		line.ClaimsJSON = append(line.ClaimsJSON, v1.AppendJSON(nil, c))
	}
	raw, err := json.Marshal(line)
	if err != nil {
		return nil, fmt.Errorf("write down refused report %d: %w", r.Sequence, err)
	}
	return append(append(buf, raw...), '\n'), nil
}
