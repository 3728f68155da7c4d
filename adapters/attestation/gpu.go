package attestation

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/filature/filature/adapters/attestation/nvgpu"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// gpu is a GPU's evidence, read.
type gpu struct {
	report *nvgpu.Report
	chain  nvgpu.Chain
}

// readGPU reads the evidence of a GPU.
func readGPU(evidence *v1.GpuEvidence) (gpu, error) {
	report, err := nvgpu.Parse(evidence.Report)
	if err != nil {
		return gpu{}, fmt.Errorf("its report: %w", err)
	}
	var ders [][]byte
	for _, certificate := range evidence.Certificates {
		ders = append(ders, certificate.Der)
	}
	chain, err := nvgpu.ParseChain(ders)
	if err != nil {
		return gpu{}, fmt.Errorf("its certificates: %w", err)
	}
	return gpu{report, chain}, nil
}

// appraiseGPUs looks at what GPUs say. It is cheap; verifyGPUs is not.
func (a *appraisal) appraiseGPUs() {
	shown, policy := a.Evidence.Gpus, a.Policy.GPU
	a.check(hardware, unrecognised, "gpu/count", len(shown) >= policy.Required, "there are as many GPUs as the policy asks for",
		fmt.Sprint(len(shown)), fmt.Sprintf("at least %d", policy.Required))
	nonce, devices := a.Challenge.GPUNonce(), map[[32]byte]bool{}
	for i, evidence := range shown {
		which := fmt.Sprintf("GPU %d", i)
		read, err := readGPU(evidence)
		if err != nil {
			err = fmt.Errorf("%s: %w", which, err)
		}
		if !a.holds(unexpected, "gpu/format", which+": the report is one that NVIDIA's firmware writes", err) {
			continue
		}
		a.check(identity, cryptoFailed, "gpu/nonce", read.report.Nonce == nonce, which+": the report was made for this challenge",
			fmt.Sprintf("%x", read.report.Nonce), nonce.String())
		a.check(identity, cryptoFailed, "gpu/twice", !devices[read.chain.Device()], which+": is not shown twice", "", "")
		devices[read.chain.Device()] = true
		firmware, known := policy.firmware(read.report.Driver, read.report.VBIOS)
		if !a.check(executables, unknownImage, "gpu/firmware", known, which+": the policy names its driver and VBIOS",
			"driver "+read.report.Driver+", VBIOS "+read.report.VBIOS, "") {
			continue
		}
		a.measurements(which, read.report, firmware)
	}
}

// measurements compares what the GPU measured with what NVIDIA published. The first that differs is enough.
func (a *appraisal) measurements(which string, report *nvgpu.Report, firmware GPUFirmware) {
	for _, index := range slices.Sorted(maps.Keys(firmware.Measurements)) {
		have, golden := report.Measurements[index], firmware.Measurements[index]
		if !bytes.Equal(have, golden) {
			a.fail(executables, unacceptable, "gpu/measurements", fmt.Sprintf("%s: measurement %d is not what NVIDIA published", which, index),
				fmt.Sprintf("%x", have), fmt.Sprintf("%x", golden))
			return
		}
	}
	a.check(executables, unacceptable, "gpu/measurements", true, which+": its measurements are what NVIDIA published", "", "")
}

// verifyGPUs checks who speaks for the GPUs.
func (a *appraisal) verifyGPUs() {
	for i, evidence := range a.Evidence.Gpus {
		if a.hopeless() {
			return
		}
		read, err := readGPU(evidence)
		if err != nil {
			continue // said already
		}
		which := fmt.Sprintf("GPU %d: ", i)
		key, err := a.gpuKeys.of(chainKey(evidence.Certificates), func() (*nvgpu.Key, error) { return read.chain.Key(a.anchors.NVIDIA) })
		if err == nil {
			err = read.chain.InTime(a.anchors.NVIDIA, a.Now)
		}
		if err != nil {
			err = fmt.Errorf("%s%w", which, err)
		}
		if !a.holds(cryptoFailed, "gpu/chain", which+"NVIDIA certifies its key", err) {
			continue
		}
		if err = read.report.VerifySignature(key); err != nil {
			err = fmt.Errorf("%s%w", which, err)
		}
		a.holds(cryptoFailed, "gpu/signature", which+"the report is signed by its key", err)
	}
}

// chainKey names a chain as it is written.
func chainKey(certificates []*v1.Certificate) domain.Digest {
	var all []byte
	for _, certificate := range certificates {
		all = append(binary.BigEndian.AppendUint32(all, uint32(len(certificate.Der))), certificate.Der...)
	}
	return keyOf("nvidia", all)
}
