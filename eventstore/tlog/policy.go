package tlog

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/filature/filature/domain"
)

// ErrNotWitnessed says that a log signed a checkpoint, but too few of the witnesses whom the policy names did.
// Ask them, or come back later.
var ErrNotWitnessed = errors.New("too few witnesses have cosigned")

// ErrUnknownLog says that a policy lists no key for a checkpoint's log.
var ErrUnknownLog = errors.New("no key for this log was given")

// SeenError says that a witness saw a checkpoint of another size last than the one that it was told: it wants to know
// that the new one goes on from there.
type SeenError struct{ Size int64 }

func (e *SeenError) Error() string { return fmt.Sprintf("the witness saw %d records last", e.Size) }

// MaxPolicyBytes bounds a policy file; maxPolicyKeys its logs, witnesses and groups, each: the format asks for 32.
const (
	MaxPolicyBytes = 1 << 20
	maxPolicyKeys  = 64
)

// Policy says whom to believe about a log: by which keys it signs, and which witnesses have to have cosigned. It
// never changes.
type Policy struct {
	logs      []logKey
	witnesses []Witness
	members   map[string]member // of a quorum, by name
	quorum    string            // a name in members; empty for none
}

type logKey struct {
	name   string
	public ed25519.PublicKey
}

// Witness is one that a policy names.
type Witness struct {
	Name string // in the policy
	URL  string // where it takes checkpoints (tlog-witness, "submission prefix"); may be empty
	key  keyVerifier
}

// member is a witness, or a group, of which at least need have to agree.
type member struct {
	of   []string // empty for a witness
	need int
}

// Checkpoint is a head that a policy's keys stand for.
type Checkpoint struct {
	Log       Log
	Head      Head
	Witnessed []Cosignature // by witnesses that the policy names, in its order
}

// Cosignature is a witness's word that the head was consistent with all it saw of the log before.
type Cosignature struct {
	Witness string // its name in the policy
	At      time.Time
}

// Keys is the policy that believes keys of logs alone, without witnesses.
func Keys(vkeys ...string) (*Policy, error) {
	p := &Policy{members: map[string]member{}}
	for _, key := range vkeys {
		if err := p.addLog(key); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ParsePolicy reads a policy file (C2SP tlog-policy). One thing is added to the format: a log key that has the name
// of a network, "filature/<network>", stands for the logs of all its shards.
func ParsePolicy(file []byte) (*Policy, error) {
	if len(file) > MaxPolicyBytes {
		return nil, fmt.Errorf("policy: has %d bytes, want at most %d", len(file), MaxPolicyBytes)
	}
	if i := bytes.IndexFunc(file, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == '\x7f' }); i >= 0 {
		return nil, fmt.Errorf("policy: byte %d is a control character", i)
	}
	p := &Policy{members: map[string]member{}}
	quorums := 0
	for i, line := range strings.Split(string(file), "\n") {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		var err error
		switch {
		case words[0] == "log" && (len(words) == 2 || len(words) == 3):
			err = p.addLog(words[1])
		case words[0] == "witness" && (len(words) == 3 || len(words) == 4):
			err = p.addWitness(words[1], words[2], strings.Join(words[3:], ""))
		case words[0] == "group" && len(words) >= 4:
			err = p.addGroup(words[1], words[2], words[3:])
		case words[0] == "quorum" && len(words) == 2:
			quorums++
			err = p.setQuorum(words[1])
		default:
			err = fmt.Errorf("%q: want log VKEY [URL], witness NAME VKEY [URL], group NAME all|any|K NAME..., or quorum NAME", line)
		}
		if err != nil {
			return nil, fmt.Errorf("policy, line %d: %w", i+1, err)
		}
	}
	if quorums != 1 {
		return nil, fmt.Errorf("policy: has %d quorum lines, want one", quorums)
	}
	return p, nil
}

func (p *Policy) addLog(vkey string) error {
	name, public, err := parseVKey(vkey, kindEd25519)
	switch {
	case err != nil:
		return fmt.Errorf("log: %w", err)
	case slices.ContainsFunc(p.logs, func(l logKey) bool { return l.public.Equal(public) }):
		return fmt.Errorf("log %s: its key is listed twice", name)
	case len(p.logs) == maxPolicyKeys:
		return fmt.Errorf("log %s: want at most %d", name, maxPolicyKeys)
	}
	p.logs = append(p.logs, logKey{name, public})
	return nil
}

func (p *Policy) addWitness(name, vkey, url string) error {
	keyName, public, err := parseVKey(vkey, kindCosignature)
	switch {
	case err != nil:
		return fmt.Errorf("witness %s: %w", name, err)
	case slices.ContainsFunc(p.witnesses, func(w Witness) bool { return w.key.public.Equal(public) }):
		return fmt.Errorf("witness %s: its key is listed twice", name)
	case len(p.witnesses) == maxPolicyKeys:
		return fmt.Errorf("witness %s: want at most %d", name, maxPolicyKeys)
	}
	key := keyVerifier{keyName, keyID(keyName, kindCosignature, public), public, verifyCosignature}
	p.witnesses = append(p.witnesses, Witness{Name: name, URL: url, key: key})
	return p.define(name, member{})
}

func (p *Policy) addGroup(name, need string, of []string) error {
	group := member{of: of}
	switch need {
	case "any":
		group.need = 1
	case "all":
		group.need = len(of)
	default:
		group.need, _ = strconv.Atoi(need)
		if strconv.Itoa(group.need) != need || group.need < 1 || group.need > len(of) {
			return fmt.Errorf("group %s: %q: want all, any, or 1 to %d", name, need, len(of))
		}
	}
	for _, one := range of {
		if _, known := p.members[one]; !known {
			return fmt.Errorf("group %s: no line above defines %s", name, one)
		}
		for other, m := range p.members { // or a witness would count twice
			if slices.Contains(m.of, one) {
				return fmt.Errorf("group %s: %s is in group %s already", name, one, other)
			}
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(of)))) != len(of) {
		return fmt.Errorf("group %s: lists a member twice", name)
	}
	return p.define(name, group)
}

func (p *Policy) define(name string, m member) error {
	if _, known := p.members[name]; known || name == noQuorum {
		return fmt.Errorf("%s: the name is taken", name)
	}
	if len(p.members) == 2*maxPolicyKeys {
		return fmt.Errorf("%s: want at most %d witnesses and groups", name, 2*maxPolicyKeys)
	}
	p.members[name] = m
	return nil
}

const noQuorum = "none"

func (p *Policy) setQuorum(name string) error {
	if name == noQuorum {
		return nil
	}
	if _, known := p.members[name]; !known {
		return fmt.Errorf("quorum: no line above defines %s", name)
	}
	p.quorum = name
	return nil
}

// Witnesses are those that the policy names, in its order.
func (p *Policy) Witnesses() []Witness { return slices.Clone(p.witnesses) }

// Quorum says in words what the policy wants of witnesses.
func (p *Policy) Quorum() string {
	if p.quorum == "" {
		return "no witness is asked for"
	}
	m := p.members[p.quorum]
	if len(m.of) == 0 {
		return "witness " + p.quorum
	}
	return fmt.Sprintf("%d of %s", m.need, strings.Join(m.of, ", "))
}

// Open checks a checkpoint: a key that the policy lists for the log signed it, and witnesses as it wants them.
// Signatures of keys that the policy does not know say nothing. It is ErrNotWitnessed where only witnesses lack;
// the checkpoint is returned then, too.
func (p *Policy) Open(signed []byte) (*Checkpoint, error) {
	if len(signed) > MaxCheckpointBytes {
		return nil, fmt.Errorf("checkpoint: has %d bytes, want at most %d", len(signed), MaxCheckpointBytes)
	}
	origin, _, _ := strings.Cut(string(signed), "\n")
	log, err := ParseOrigin(origin)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	var known []note.Verifier
	for _, key := range p.logs {
		if key.name == origin || key.name == NetworkName(log.Network) {
			known = append(known, logVerifier(origin, key.public))
		}
	}
	logKeys := len(known)
	if logKeys == 0 {
		return nil, fmt.Errorf("checkpoint of %s: %w", origin, ErrUnknownLog)
	}
	for _, w := range p.witnesses {
		known = append(known, w.key)
	}
	opened, err := note.Open(signed, note.VerifierList(known...))
	if err != nil {
		return nil, fmt.Errorf("checkpoint of %s: %w", origin, err)
	}
	_, head, err := parseText(opened.Text)
	if err != nil {
		return nil, err
	}
	if err := canonical(opened); err != nil {
		return nil, fmt.Errorf("checkpoint of %s: %w", origin, err)
	}
	checkpoint := &Checkpoint{Log: log, Head: head}
	by := func(v note.Verifier) *note.Signature {
		for i, s := range opened.Sigs {
			if s.Name == v.Name() && s.Hash == v.KeyHash() {
				return &opened.Sigs[i]
			}
		}
		return nil
	}
	if !slices.ContainsFunc(known[:logKeys], func(v note.Verifier) bool { return by(v) != nil }) {
		return nil, fmt.Errorf("checkpoint of %s: not signed by a key of this log", origin)
	}
	agreed := map[string]bool{}
	for _, w := range p.witnesses {
		if signature := by(w.key); signature != nil {
			agreed[w.Name] = true
			checkpoint.Witnessed = append(checkpoint.Witnessed, Cosignature{w.Name, timeOf(signature)})
		}
	}
	if p.quorum != "" && !p.agrees(p.quorum, agreed) {
		return checkpoint, fmt.Errorf("checkpoint of %s, %d records: %w: have %d, want %s", origin, head.Size, ErrNotWitnessed, len(agreed), p.Quorum())
	}
	return checkpoint, nil
}

func (p *Policy) agrees(name string, agreed map[string]bool) bool {
	m := p.members[name]
	if len(m.of) == 0 {
		return agreed[name]
	}
	count := 0
	for _, one := range m.of {
		if p.agrees(one, agreed) {
			count++
		}
	}
	return count >= m.need
}

// canonical refuses signatures in a form in which nobody writes them: the note library ignores spare bits of base64.
func canonical(n *note.Note) error {
	for _, s := range n.Sigs {
		raw, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		if err != nil || base64.StdEncoding.EncodeToString(raw) != s.Base64 {
			return fmt.Errorf("signature of %s: not in plain base64", s.Name)
		}
	}
	return nil
}

// timeOf is when a cosignature was made. Its signature was checked.
func timeOf(s *note.Signature) time.Time {
	const idBytes = 4
	raw, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil || len(raw) < idBytes {
		return time.Time{}
	}
	at, _, _ := cutTime(raw[idBytes:])
	return time.Unix(int64(at), 0).UTC()
}

// Believes reports whether the policy lists a key for a network's logs.
func (p *Policy) Believes(network domain.NetworkID) bool {
	return slices.ContainsFunc(p.logs, func(key logKey) bool {
		log, err := ParseOrigin(key.name)
		return key.name == NetworkName(network) || err == nil && log.Network == network
	})
}

// AddCosignatures adds to a checkpoint those lines of a witness's answer that a policy knows the key of, as the
// tlog-witness protocol asks of clients. What is no signature line, or wrong, is an error.
func (p *Policy) AddCosignatures(signed, lines []byte) ([]byte, error) {
	opened, err := note.Open(append(slices.Clone(signed), lines...), note.VerifierList(p.verifiers()...))
	if err != nil {
		return nil, fmt.Errorf("cosignatures: %w", err)
	}
	added := slices.Clone(signed)
	for _, s := range opened.Sigs {
		line := fmt.Sprintf("— %s %s\n", s.Name, s.Base64)
		if !strings.Contains(string(signed), line) {
			added = append(added, line...)
		}
	}
	return added, nil
}

func (p *Policy) verifiers() []note.Verifier {
	all := make([]note.Verifier, len(p.witnesses))
	for i, w := range p.witnesses {
		all[i] = w.key
	}
	return all
}
