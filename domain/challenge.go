package domain

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Domains keep one hash from being passed for another. The version goes up if what follows changes.
const (
	reportDataDomain  = "filature/attestation/v1\x00"
	gpuNonceDomain    = "filature/attestation/gpu-nonce/v1\x00"
	gpuEvidenceDomain = "filature/attestation/gpu-evidence/v1\x00"
	modelsDomain      = "filature/attestation/models/v1\x00"
)

// Challenge asks a worker to prove what it runs. A verifier drew it, and it is a fact in the ledger before
// the worker hears of it, so an answer can't be older than the question.
type Challenge struct {
	Network NetworkID
	Worker  WorkerID
	// Key signs the worker's metered events. The answer ties it to the machine that was measured.
	Key KeyID
	// Nonce is drawn for this challenge and counts once.
	Nonce Digest
	// Epoch is the offset, in control's ledger, of the fact that issued the challenge: a number that grows
	// and that both sides know from v1.AttestationRequest.
	Epoch uint64
	// ExpiresMs is the log time, in Unix milliseconds, from which on an answer is too late.
	ExpiresMs int64
}

// ReportData is what the worker has its processor sign: SHA-512 over the domain and then, each behind its
// length as four bytes, big-endian: network, worker key, nonce, epoch (eight bytes), gpus. The last is
// GPUEvidenceDigest, zero where there are none.
//
// A report with this value was made for this key, after this challenge, with these GPUs beside it. It
// says so on no other network and to no other challenge.
func (c Challenge) ReportData(gpus Digest) [64]byte {
	return sha512.Sum512(c.bound(reportDataDomain, gpus[:]))
}

// ReportDataServing is ReportData of a worker whose image vouches for the models that it has loaded: as a last field the
// SHA-256 over "filature/attestation/models/v1\0", how many there are as four bytes, and their hashes in their order. Without
// models it is ReportData.
func (c Challenge) ReportDataServing(gpus Digest, models [][]byte) [64]byte {
	if len(models) == 0 {
		return c.ReportData(gpus)
	}
	bound := append([]byte(modelsDomain), lengthOf(len(models))...)
	for _, model := range models {
		bound = append(bound, model...)
	}
	digest := sha256.Sum256(bound)
	return sha512.Sum512(c.bound(reportDataDomain, gpus[:], digest[:]))
}

// GPUNonce is what the worker hands its GPUs as SPDM nonce. It follows from the challenge as ReportData
// does, but a GPU's evidence has to be there first.
func (c Challenge) GPUNonce() Digest {
	return sha256.Sum256(c.bound(gpuNonceDomain))
}

func (c Challenge) bound(domain string, more ...[]byte) []byte {
	bound := []byte(domain)
	for _, field := range append([][]byte{c.Network[:], c.Key[:], c.Nonce[:], binary.BigEndian.AppendUint64(nil, c.Epoch)}, more...) {
		bound = appendField(bound, field)
	}
	return bound
}

// CocoonReportData is the value that Cocoon's own workers put in their quotes: SHA-512 of the key and
// nothing else. It proves no time, so a report with it can be shown again for ever.
// (Cocoon, tee/cocoon/tdx.cpp at b75d444.)
func CocoonReportData(key KeyID) [64]byte { return sha512.Sum512(key[:]) }

// GPUEvidenceDigest names the evidence of all GPUs of a worker, in their order; zero where there is none.
func GPUEvidenceDigest(gpus []*v1.GpuEvidence) Digest {
	if len(gpus) == 0 {
		return Digest{}
	}
	bound := append([]byte(gpuEvidenceDomain), lengthOf(len(gpus))...)
	for _, gpu := range gpus {
		bound = appendField(bound, gpu.GetReport())
		bound = append(bound, lengthOf(len(gpu.GetCertificates()))...)
		for _, certificate := range gpu.GetCertificates() {
			bound = appendField(bound, certificate.GetDer())
		}
	}
	return sha256.Sum256(bound)
}

func appendField(to, field []byte) []byte {
	return append(append(to, lengthOf(len(field))...), field...)
}

func lengthOf(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }
