package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/adapters/attestation/tdx"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// attestCmd is about the machines of workers.
type attestCmd struct {
	Verify attestVerifyCmd `cmd:"" help:"Say what evidence proves under a policy, check by check."`
}

// attestVerifyCmd appraises files of evidence. It asks no server.
type attestVerifyCmd struct {
	Files          []string   `arg:"" name:"file" type:"existingfile" help:"Evidence: as a worker sent it, or a bare SEV-SNP report or TDX quote."`
	Policy         string     `required:"true" type:"existingfile" help:"The policy, in YAML."`
	Collateral     string     `required:"true" type:"existingdir" help:"Folder of what vendors publish: lists of revoked keys, Intel's levels."`
	Challenge      string     `type:"existingfile" help:"The challenge that the evidence answers, in JSON. Without it no evidence is taken."`
	EndorsementKey string     `type:"existingfile" help:"For a bare SEV-SNP report: the certificate (DER) of the key that signed it."`
	At             *time.Time `help:"Appraise as of this time (RFC 3339), for a result of the past. Default: now."`
	JSON           bool       `help:"Print JSON, one result a line."`
}

// challengeFile is a challenge in JSON. All ids are 64 hexadecimal digits.
type challengeFile struct {
	Network     domain.NetworkID `json:"network"`
	Worker      domain.WorkerID  `json:"worker"`
	Key         domain.KeyID     `json:"key"`
	Nonce       domain.Digest    `json:"nonce"`
	Epoch       uint64           `json:"epoch"`
	ExpiresAtMs int64            `json:"expires_at_ms"`
}

// maxEvidenceFile has room for a signed answer with as much evidence as is appraised.
const maxEvidenceFile = attestation.MaxEvidenceBytes + 4096

// Run appraises each file with all checks, and says the verdict in its exit code, too.
func (c *attestVerifyCmd) Run(out *console) error {
	text, err := readUpTo(c.Policy, attestation.MaxPolicyBytes)
	if err != nil {
		return err
	}
	policy, err := attestation.ParsePolicy(text)
	if err != nil {
		return usage("%s: %w", c.Policy, err)
	}
	collateral, err := attestation.ReadCollateral(c.Collateral)
	if err != nil {
		return usage("%w", err)
	}
	now := time.Now()
	if c.At != nil {
		now = *c.At
	}
	challenge, err := c.challenge(now)
	if err != nil {
		return err
	}
	verifier, refused, untold := attestation.New(), 0, 0
	for _, name := range c.Files {
		evidence, err := c.evidence(name)
		if err != nil {
			return usage("%s: %w", name, err)
		}
		result := verifier.Appraise(attestation.Case{
			Evidence: evidence, Challenge: challenge, Policy: policy, Collateral: collateral, Now: now, Thorough: true,
		})
		switch {
		case attestation.Accepted(result):
		case result.Status == v1.AttestationStatus_ATTESTATION_STATUS_NONE:
			untold++
		default:
			refused++
		}
		if c.JSON {
			fmt.Fprintf(out.out, "%s\n", v1.AppendJSON(nil, result))
		} else {
			explainAttestation(out.out, name, result)
		}
	}
	switch {
	case refused != 0:
		return &exitError{code: exitNo}
	case untold != 0:
		return &exitError{exitUnfinished, errors.New("the verifier lacks collateral: fill the folder and run it again")}
	default:
		return nil
	}
}

// challenge reads the challenge. Without one it is empty, and no report is bound to that.
func (c *attestVerifyCmd) challenge(now time.Time) (domain.Challenge, error) {
	if c.Challenge == "" {
		return domain.Challenge{ExpiresMs: now.Add(time.Minute).UnixMilli()}, nil
	}
	raw, err := readUpTo(c.Challenge, 4096)
	if err != nil {
		return domain.Challenge{}, err
	}
	var said challengeFile
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&said); err != nil {
		return domain.Challenge{}, usage("%s: %w", c.Challenge, err)
	}
	return domain.Challenge{
		Network: said.Network, Worker: said.Worker, Key: said.Key, Nonce: said.Nonce, Epoch: said.Epoch, ExpiresMs: said.ExpiresAtMs,
	}, nil
}

// evidence reads a file of any of the four forms, which can't be taken for one another.
func (c *attestVerifyCmd) evidence(name string) (*v1.Evidence, error) {
	raw, err := readUpTo(name, maxEvidenceFile)
	if err != nil {
		return nil, err
	}
	var key []byte
	if c.EndorsementKey != "" {
		if key, err = readUpTo(c.EndorsementKey, maxEvidenceFile); err != nil {
			return nil, err
		}
	}
	switch {
	case len(raw) == sevsnp.ReportBytes:
		return &v1.Evidence{Tee: v1.Tee_TEE_SEV_SNP, Report: raw, EndorsementKey: key}, nil
	case isQuote(raw):
		return &v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: raw}, nil
	}
	signed, answer := new(v1.SignedAnswer), new(v1.AttestationAnswer)
	if v1.Decode(raw, signed) == nil {
		if err := v1.Decode(signed.Answer, answer); err != nil {
			return nil, fmt.Errorf("the answer: %w", err)
		}
		return answer.Evidence, nil
	}
	evidence := new(v1.Evidence)
	if err := v1.Decode(raw, evidence); err != nil {
		return nil, fmt.Errorf("is no SEV-SNP report (%d bytes), TDX quote, Evidence or SignedAnswer: %w", sevsnp.ReportBytes, err)
	}
	return evidence, nil
}

// isQuote says whether a file begins as a quote of TDX does.
func isQuote(raw []byte) bool {
	return len(raw) > 8 && len(raw) <= tdx.MaxQuoteBytes && raw[0] <= 5 && raw[1] == 0 && binary.LittleEndian.Uint32(raw[4:]) == 0x81
}

func readUpTo(name string, limit int64) (_ []byte, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	raw, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, usage("%s: more than %d bytes", name, limit)
	}
	return raw, nil
}

var marks = map[v1.CheckOutcome]string{
	v1.CheckOutcome_CHECK_OUTCOME_UNSPECIFIED: " ", v1.CheckOutcome_CHECK_OUTCOME_PASS: "✓", v1.CheckOutcome_CHECK_OUTCOME_WARN: "!",
	v1.CheckOutcome_CHECK_OUTCOME_FAIL: "✗", v1.CheckOutcome_CHECK_OUTCOME_FAULT: "?",
}

// explainAttestation writes a result for people.
func explainAttestation(out io.Writer, name string, r *v1.AttestationResult) {
	status := strings.ToLower(strings.TrimPrefix(r.Status.String(), "ATTESTATION_STATUS_"))
	verdict := "not taken"
	switch {
	case attestation.Accepted(r):
		verdict = "taken, until " + time.UnixMilli(r.ValidUntilMs).UTC().Format(time.RFC3339)
	case r.Status == v1.AttestationStatus_ATTESTATION_STATUS_NONE:
		verdict = "the verifier can't tell; this says nothing about the worker"
	}
	fmt.Fprintf(out, "%s: %s: %s\n\n", name, status, verdict)
	for _, line := range [][2]string{
		{"Processor", r.Product}, {"Chip", hexOrNothing(r.Chip)}, {"Level", r.Tcb}, {"Advisories", r.Advisories},
		{"Image", hexOrNothing(r.ImageHash)}, {"Evidence", hexOrNothing(r.EvidenceDigest)},
		{"Policy", r.PolicyId + " " + hexOrNothing(r.PolicyDigest)},
	} {
		if line[1] != "" {
			fmt.Fprintf(out, "  %-12s%s\n", line[0], line[1])
		}
	}
	v := r.Vector
	fmt.Fprintf(out, "  %-12sinstance-identity %d, configuration %d, executables %d, hardware %d, runtime-opaque %d\n\n",
		"Claims", v.InstanceIdentity, v.Configuration, v.Executables, v.Hardware, v.RuntimeOpaque)
	for _, check := range r.Checks {
		fmt.Fprintf(out, "  %s %-22s %s\n", marks[check.Outcome], check.Name, check.Says)
		if check.Outcome == v1.CheckOutcome_CHECK_OUTCOME_PASS {
			continue
		}
		for _, detail := range [][2]string{{"have", check.Have}, {"want", check.Want}} {
			if detail[1] != "" {
				fmt.Fprintf(out, "    %-22s %s %s\n", "", detail[0], detail[1])
			}
		}
	}
	for _, use := range r.Collateral {
		digest := hexOrNothing(use.Digest)
		if digest == "" {
			digest = "missing"
		}
		fmt.Fprintf(out, "  . %s %s\n", use.Name, digest)
	}
	fmt.Fprintln(out)
}

func hexOrNothing(b []byte) string { return fmt.Sprintf("%x", b) }
