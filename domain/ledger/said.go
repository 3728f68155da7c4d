package ledger

import (
	"crypto/sha256"
	"strings"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Said is one intake record, read but not yet judged.
type Said struct {
	Offset domain.Offset
	// AtMs is when the log took the record.
	AtMs int64
	// Digest is the SHA-256 of the record.
	Digest domain.Digest
	// Report is what the record says; nil if it could not be read, and then Malformed says why.
	Report    *v1.Report
	Malformed *v1.FieldError
	// Signed tells whether the signature is the signer's, under the rule of domain/signing. Checking
	// many at once is far cheaper than one by one, so it is done before, outside of the state.
	Signed bool
}

// Read decodes one intake record. Of the result only Signed is open: see ReadSignature.
func Read(offset domain.Offset, atMs int64, record []byte) (said Said, signed *v1.SignedReport) {
	said = Said{Offset: offset, AtMs: atMs, Digest: sha256.Sum256(record)}
	signed = &v1.SignedReport{}
	report := &v1.Report{}
	if err := v1.Decode(record, signed); err != nil {
		said.Malformed = v1.AsFieldError(err)
		return said, nil
	}
	if err := v1.Decode(signed.Report, report); err != nil {
		said.Malformed = v1.AsFieldError(err)
		return said, nil
	}
	said.Report = report
	return said, signed
}

// replayWindow is how many of a signer's latest reports a shard can tell from forgeries by their
// bytes. An older sequence number is refused all the same, but as replayed, without saying whether
// the bytes were the same; the reports projection knows that for ever.
const replayWindow = 32

// signer is what a shard remembers of one key: a number, so that it never forgets a report, and the
// digests of the last few.
type signer struct {
	last   uint64
	recent []heard // a ring once it is full; next is the oldest
	next   int
}

type heard struct {
	sequence uint64
	digest   domain.Digest
	offset   domain.Offset
}

// refuse checks what holds for a report as a whole, in the order of the Reason numbers.
func (s *State) refuse(said *Said) *v1.Rejection {
	report := said.Report
	if report == nil {
		return &v1.Rejection{Reason: v1.Reason_REASON_MALFORMED, Field: malformed(said.Malformed)}
	}
	if domain.NetworkID(report.Network) != s.control.network {
		return &v1.Rejection{Reason: v1.Reason_REASON_WRONG_NETWORK, Field: "network"}
	}
	if domain.Shard(report.Shard) != s.shard {
		return &v1.Rejection{Reason: v1.Reason_REASON_WRONG_SHARD, Field: "shard", Have: int64(report.Shard), Want: int64(s.shard)}
	}
	key := domain.KeyID(report.Signer)
	if _, known := s.control.keyring[key]; !known {
		return &v1.Rejection{Reason: v1.Reason_REASON_UNKNOWN_SIGNER, Field: "signer"}
	}
	if !said.Signed {
		return &v1.Rejection{Reason: v1.Reason_REASON_BAD_SIGNATURE, Field: "signature"}
	}
	var last uint64
	if past := s.signers[key]; past != nil {
		last = past.last
		for _, h := range past.recent {
			if h.sequence != report.Sequence {
				continue
			}
			if h.digest == said.Digest {
				return &v1.Rejection{Reason: v1.Reason_REASON_DUPLICATE_REPORT, Field: "sequence", Have: int64(report.Sequence), Want: int64(h.offset)}
			}
			return &v1.Rejection{Reason: v1.Reason_REASON_SEQUENCE_CONFLICT, Field: "sequence", Have: int64(report.Sequence), Want: int64(h.offset)}
		}
	}
	if report.Sequence <= last {
		return &v1.Rejection{Reason: v1.Reason_REASON_SEQUENCE_REPLAYED, Field: "sequence", Have: int64(report.Sequence), Want: int64(last + 1)}
	}
	return nil
}

// remember notes an accepted report of a signer.
func (s *State) remember(answer *v1.Answer) {
	key := domain.KeyID(answer.Signer)
	past := s.signers[key]
	if past == nil {
		past = &signer{}
		s.signers[key] = past
	}
	past.last = answer.Sequence
	h := heard{sequence: answer.Sequence, digest: domain.Digest(answer.IntakeDigest), offset: domain.Offset(answer.IntakeOffset)}
	if len(past.recent) < replayWindow {
		past.recent = append(past.recent, h)
		return
	}
	past.recent[past.next] = h
	past.next = (past.next + 1) % replayWindow
}

// malformed says what cannot be read. Behind a colon in a rule are the words of the library that
// read it, and those differ from version to version, even from build to build: a fact must not.
func malformed(err *v1.FieldError) string {
	rule, _, _ := strings.Cut(err.Rule, ": ")
	return clip(err.Field + ": " + rule)
}

// clip keeps a text within Rejection.field, and UTF-8.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
