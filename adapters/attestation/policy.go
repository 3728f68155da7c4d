package attestation

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/adapters/attestation/tdx"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Tier is how good a result may become.
type Tier string

// The tiers that a policy may name, from the best down.
const (
	Affirming Tier = "affirming"
	Warning   Tier = "warning"
)

func (t Tier) known() bool { return t == Affirming || t == Warning }

// Role is what an image is for, as in Cocoon's root contract: worker_hashes and proxy_hashes.
type Role string

// The roles.
const (
	RoleWorker Role = "worker"
	RoleProxy  Role = "proxy"
)

// Bounds of a policy. They keep a result's size and an appraisal's time bounded; they are far above what a
// network has.
const (
	// MaxPolicyBytes is the longest policy that is read.
	MaxPolicyBytes = 1 << 20
	maxID          = 64
	maxList        = 10_000
	maxFirmware    = 256
	// maxValidity is the longest time that a result may hold: what is found on a machine gets old.
	maxValidity = 24 * time.Hour
	minValidity = time.Minute
)

// Policy says what a network accepts. It is data: two verifiers with the same policy, collateral and time come to
// the same result. Whatever it does not name is refused, and an empty list allows nothing.
type Policy struct {
	ID string `yaml:"id"`
	// Validity is how long a result holds.
	Validity Span `yaml:"validity"`
	// Accept is the worst tier that a worker may earn with.
	Accept Tier `yaml:"accept"`
	// CocoonBinding also takes reports that are bound to the key alone, as Cocoon's own workers make them, with a
	// warning: nothing in them is new.
	CocoonBinding bool          `yaml:"cocoon_binding"`
	Measurements  []Measurement `yaml:"measurements"`
	// Models are what an image may load. Where there are some, a worker has to show at least one.
	Models    []Model    `yaml:"models"`
	Platforms Platforms  `yaml:"platforms"`
	SNP       *SNPPolicy `yaml:"sev_snp"`
	TDX       *TDXPolicy `yaml:"tdx"`
	GPU       GPUPolicy  `yaml:"gpu"`

	digest domain.Digest
}

// Measurement is one image that may run.
type Measurement struct {
	// Launch is the launch measurement of SEV-SNP (SHA-384), Image the image hash of Cocoon for TDX (SHA-256). One of
	// them.
	Launch Hex  `yaml:"launch"`
	Image  Hex  `yaml:"image"`
	Role   Role `yaml:"role"`
	// NotAfter is when the image is retired.
	NotAfter time.Time `yaml:"not_after"`
	Note     string    `yaml:"note"`
}

// Model is one model that may be served, by Cocoon's name for it: SHA-256 of "name@commit:verity_hash", as in model_hashes of
// Cocoon's root contract.
type Model struct {
	Hash Hex `yaml:"hash"`
	// NotAfter is when the model is retired.
	NotAfter time.Time `yaml:"not_after"`
	Note     string    `yaml:"note"`
}

// Platforms says which processors may run it: by AMD's CHIP_ID or Intel's PPID. Whoever holds a machine in hand can
// take its keys out with enough effort, so a network that knows its machines names them.
type Platforms struct {
	// Any takes every genuine processor, with a warning.
	Any   bool  `yaml:"any"`
	Allow []Hex `yaml:"allow"`
	// Deny names processors whose keys are known to be out.
	Deny []Hex `yaml:"deny"`
}

// SNPPolicy is about AMD. Without it no SNP report is taken.
type SNPPolicy struct {
	// Products by line: Milan, Genoa, Turin.
	Products map[string]SNPProduct `yaml:"products"`
	// Keys are the kinds of keys that may sign: vcek, vlek.
	Keys []sevsnp.Signer `yaml:"keys"`
	// AllowSMT takes guests that may run on a core whose other thread is somebody else's.
	AllowSMT bool `yaml:"allow_smt"`
	// AllowTIO takes machines whose devices may reach into guests (SEV-TIO).
	AllowTIO bool `yaml:"allow_tio"`
	// RequireCiphertextHiding and RequireRAPLDisabled ask for protections that only newer machines have.
	RequireCiphertextHiding bool `yaml:"require_ciphertext_hiding"`
	RequireRAPLDisabled     bool `yaml:"require_rapl_disabled"`
}

// SNPProduct is what is asked of one line of processors.
type SNPProduct struct {
	Tier Tier  `yaml:"tier"`
	Min  Floor `yaml:"min_tcb"`
}

// Floor is the least level that is taken. Each number is written out, zero too, so that none is left open by mistake;
// fmc on Turin, which alone has one.
type Floor struct {
	FMC        *uint8 `yaml:"fmc"`
	Bootloader *uint8 `yaml:"bootloader"`
	TEE        *uint8 `yaml:"tee"`
	SNP        *uint8 `yaml:"snp"`
	Microcode  *uint8 `yaml:"microcode"`
}

func (f Floor) check(line string) error {
	for name, number := range map[string]*uint8{"bootloader": f.Bootloader, "tee": f.TEE, "snp": f.SNP, "microcode": f.Microcode} {
		if number == nil {
			return fmt.Errorf("%s: is missing", name)
		}
	}
	if (f.FMC != nil) != (line == sevsnp.Turin) {
		return fmt.Errorf("fmc: Turin has one, and no other line does")
	}
	return nil
}

// level is the floor as a level. The policy was checked.
func (f Floor) level() sevsnp.TCB {
	level := sevsnp.TCB{Bootloader: *f.Bootloader, TEE: *f.TEE, SNP: *f.SNP, Microcode: *f.Microcode}
	if f.FMC != nil {
		level.FMC = *f.FMC
	}
	return level
}

// TDXPolicy is about Intel. Without it no quote is taken.
type TDXPolicy struct {
	// Status gives each of Intel's statuses that is taken a tier.
	Status map[tdx.Status]Tier `yaml:"status"`
	// MinEvaluation is the least tcbEvaluationDataNumber that Intel's lists may have. An old list calls an old
	// machine up to date.
	MinEvaluation int `yaml:"min_tcb_evaluation_data_number"`
	// FMSPCs are the kinds of processors that are taken.
	FMSPCs []Hex `yaml:"fmspcs"`
}

// GPUPolicy is about the GPUs beside the processor.
type GPUPolicy struct {
	// Required is how many genuine GPUs there must be. With 0 GPUs need not be shown; those that are, are looked at.
	Required int           `yaml:"required"`
	Firmware []GPUFirmware `yaml:"firmware"`
}

// GPUFirmware is a driver and VBIOS that go together, and what they measure to: the golden measurements of NVIDIA's
// reference integrity manifests (RIM), by index.
type GPUFirmware struct {
	Driver       string        `yaml:"driver"`
	VBIOS        string        `yaml:"vbios"`
	Measurements map[uint8]Hex `yaml:"measurements"`
}

// Digest names the policy: the SHA-256 of its text.
func (p *Policy) Digest() domain.Digest { return p.digest }

// Hex is bytes that are written in hexadecimal.
type Hex []byte

// UnmarshalText reads hexadecimal digits of either case.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	if *h, err = hex.DecodeString(string(text)); err != nil {
		return fmt.Errorf("%q: want hexadecimal digits", text)
	}
	return nil
}

// MarshalText is the reverse.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// Span is a length of time, written as 30m or 1h.
type Span time.Duration

// UnmarshalText reads what time.ParseDuration does.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = Span(d)
	return err
}

// check says what is wrong with a policy: the field and the rule.
func (p *Policy) check() error {
	switch {
	case p.ID == "" || len(p.ID) > maxID:
		return fmt.Errorf("id: want 1 to %d bytes", maxID)
	case time.Duration(p.Validity) < minValidity || time.Duration(p.Validity) > maxValidity:
		return fmt.Errorf("validity: is %s, want %s to %s", time.Duration(p.Validity), minValidity, maxValidity)
	case !p.Accept.known():
		return fmt.Errorf("accept: is %q, want affirming or warning", p.Accept)
	case len(p.Measurements) > maxList:
		return fmt.Errorf("measurements: has %d, at most %d are read", len(p.Measurements), maxList)
	case len(p.Models) > maxList:
		return fmt.Errorf("models: has %d, at most %d are read", len(p.Models), maxList)
	case p.CocoonBinding && len(p.Models) != 0:
		return fmt.Errorf("cocoon_binding: such a report names no model, and models asks for one")
	case p.CocoonBinding && p.Accept == Affirming:
		return fmt.Errorf("cocoon_binding: such a result is a warning at best, and accept: affirming refuses it")
	}
	seen := map[string]bool{}
	for i, m := range p.Measurements {
		if err := m.check(); err != nil {
			return fmt.Errorf("measurements[%d].%w", i, err)
		}
		name := string(m.Role) + string(m.Launch) + "/" + string(m.Image)
		if seen[name] {
			return fmt.Errorf("measurements[%d]: is there twice, and both have an end", i)
		}
		seen[name] = true
	}
	for i, m := range p.Models {
		switch {
		case len(m.Hash) != 32:
			return fmt.Errorf("models[%d].hash: has %d bytes, want 32", i, len(m.Hash))
		case m.NotAfter.IsZero():
			return fmt.Errorf("models[%d].not_after: is missing: each model has an end", i)
		case seen[string(m.Hash)]:
			return fmt.Errorf("models[%d]: is there twice, and both have an end", i)
		}
		seen[string(m.Hash)] = true
	}
	if err := p.Platforms.check(); err != nil {
		return fmt.Errorf("platforms.%w", err)
	}
	if p.SNP != nil {
		if err := p.SNP.check(); err != nil {
			return fmt.Errorf("sev_snp.%w", err)
		}
	}
	if p.TDX != nil {
		if err := p.TDX.check(); err != nil {
			return fmt.Errorf("tdx.%w", err)
		}
	}
	if err := p.GPU.check(); err != nil {
		return fmt.Errorf("gpu.%w", err)
	}
	return nil
}

func (m Measurement) check() error {
	switch {
	case (len(m.Launch) == 0) == (len(m.Image) == 0):
		return fmt.Errorf("launch: want one of launch and image")
	case len(m.Launch) != 0 && len(m.Launch) != 48:
		return fmt.Errorf("launch: has %d bytes, want 48", len(m.Launch))
	case len(m.Image) != 0 && len(m.Image) != 32:
		return fmt.Errorf("image: has %d bytes, want 32", len(m.Image))
	case m.Role != RoleWorker && m.Role != RoleProxy:
		return fmt.Errorf("role: is %q, want worker or proxy", m.Role)
	case m.NotAfter.IsZero():
		return fmt.Errorf("not_after: is missing: each image has an end")
	}
	return nil
}

func (p Platforms) check() error {
	if p.Any && len(p.Allow) != 0 {
		return fmt.Errorf("any: is set, so allow would mean nothing")
	}
	for name, list := range map[string][]Hex{"allow": p.Allow, "deny": p.Deny} {
		if len(list) > maxList {
			return fmt.Errorf("%s: has %d, at most %d are read", name, len(list), maxList)
		}
		for i, chip := range list {
			if n := len(chip); n != 64 && n != 16 {
				return fmt.Errorf("%s[%d]: has %d bytes, want 64 (AMD's chip id) or 16 (Intel's PPID)", name, i, n)
			}
		}
	}
	return nil
}

func (p *SNPPolicy) check() error {
	for line, product := range p.Products {
		switch {
		case line != sevsnp.Milan && line != sevsnp.Genoa && line != sevsnp.Turin:
			return fmt.Errorf("products.%s: is no line that we can read; want Milan, Genoa or Turin", line)
		case !product.Tier.known():
			return fmt.Errorf("products.%s.tier: is %q, want affirming or warning", line, product.Tier)
		case line == sevsnp.Milan && product.Tier == Affirming:
			// arXiv 2605.12990: software can read the secret from which all levels' keys are derived, so a
			// floor proves nothing on Milan.
			return fmt.Errorf("products.Milan.tier: at most warning: the secret behind its keys was read out in software")
		}
		if err := product.Min.check(line); err != nil {
			return fmt.Errorf("products.%s.min_tcb.%w", line, err)
		}
	}
	for i, key := range p.Keys {
		if key != sevsnp.VCEK && key != sevsnp.VLEK {
			return fmt.Errorf("keys[%d]: is %q, want vcek or vlek", i, key)
		}
	}
	return nil
}

func (p *TDXPolicy) check() error {
	for status, tier := range p.Status {
		switch {
		case !status.Known():
			return fmt.Errorf("status.%s: is no status that can be taken", status)
		case !tier.known():
			return fmt.Errorf("status.%s: is %q, want affirming or warning", status, tier)
		case tier == Affirming && status != tdx.UpToDate:
			return fmt.Errorf("status.%s: at most warning: Intel asks for something to be done", status)
		}
	}
	if p.MinEvaluation < 1 {
		return fmt.Errorf("min_tcb_evaluation_data_number: is missing")
	}
	for i, fmspc := range p.FMSPCs {
		if len(fmspc) != 6 {
			return fmt.Errorf("fmspcs[%d]: has %d bytes, want 6", i, len(fmspc))
		}
	}
	return nil
}

func (p GPUPolicy) check() error {
	if p.Required < 0 || p.Required > 16 {
		return fmt.Errorf("required: is %d, want 0 to 16", p.Required)
	}
	if len(p.Firmware) > maxFirmware {
		return fmt.Errorf("firmware: has %d, at most %d are read", len(p.Firmware), maxFirmware)
	}
	seen := map[string]bool{}
	for i, firmware := range p.Firmware {
		name := firmware.Driver + " " + strings.ToLower(firmware.VBIOS)
		switch {
		case seen[name]:
			return fmt.Errorf("firmware[%d]: is there twice, and one would hide the other", i)
		case firmware.Driver == "" || firmware.VBIOS == "":
			return fmt.Errorf("firmware[%d]: want a driver and a vbios", i)
		case len(firmware.Measurements) == 0:
			return fmt.Errorf("firmware[%d].measurements: an empty list allows nothing", i)
		}
		for index, measurement := range firmware.Measurements {
			if len(measurement) != 48 {
				return fmt.Errorf("firmware[%d].measurements.%d: has %d bytes, want 48", i, index, len(measurement))
			}
		}
		seen[name] = true
	}
	return nil
}

// image finds a measurement for a role. If there is none for the role but one for another, that one is returned.
func (p *Policy) image(tee v1.Tee, measured []byte, role Role) (Measurement, bool) {
	is := func(m Measurement) bool {
		if tee == v1.Tee_TEE_SEV_SNP {
			return len(m.Launch) != 0 && string(m.Launch) == string(measured)
		}
		return len(m.Image) != 0 && string(m.Image) == string(measured)
	}
	for _, exactly := range []bool{true, false} {
		if i := slices.IndexFunc(p.Measurements, func(m Measurement) bool { return is(m) && (m.Role == role || !exactly) }); i >= 0 {
			return p.Measurements[i], true
		}
	}
	return Measurement{}, false
}

// model finds a model by its hash.
func (p *Policy) model(hash []byte) (Model, bool) {
	i := slices.IndexFunc(p.Models, func(m Model) bool { return string(m.Hash) == string(hash) })
	if i < 0 {
		return Model{}, false
	}
	return p.Models[i], true
}

func holds(list []Hex, id []byte) bool {
	return slices.ContainsFunc(list, func(h Hex) bool { return string(h) == string(id) })
}

// firmware finds what is allowed for a GPU's driver and VBIOS.
func (p GPUPolicy) firmware(driver, vbios string) (GPUFirmware, bool) {
	i := slices.IndexFunc(p.Firmware, func(f GPUFirmware) bool { return f.Driver == driver && strings.EqualFold(f.VBIOS, vbios) })
	if i < 0 {
		return GPUFirmware{}, false
	}
	return p.Firmware[i], true
}
