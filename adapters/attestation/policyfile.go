package attestation

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"

	"go.yaml.in/yaml/v3"
)

// ParsePolicy reads a policy in YAML, strictly: a field that is not known, given twice or of another type is an
// error, so a typo can't open what it was meant to close. References (&, *) and several documents are refused:
// a policy is read by people, top to bottom.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > MaxPolicyBytes {
		return nil, fmt.Errorf("attestation policy: has %d bytes, at most %d are read", len(text), MaxPolicyBytes)
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("attestation policy: %w", err)
	}
	if err := plain(&tree); err != nil {
		return nil, fmt.Errorf("attestation policy: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	p := new(Policy)
	if err := decoder.Decode(p); errors.Is(err, io.EOF) {
		return nil, errors.New("attestation policy: is empty")
	} else if err != nil {
		return nil, fmt.Errorf("attestation policy: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("attestation policy: holds more than one document")
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("attestation policy: %w", err)
	}
	p.digest = sha256.Sum256(text)
	return p, nil
}

// decimal is a number that can be written in no other way: 1, 0x1 and 01 would be one index and three fields.
var decimal = regexp.MustCompile(`^(?:0|[1-9][0-9]*)$`)

// plain refuses references: with them a small text can mean a huge tree, or one thing here and another there.
func plain(node *yaml.Node) error {
	if node.Kind == yaml.AliasNode || node.Anchor != "" || node.Tag == "!!merge" {
		return fmt.Errorf("line %d: references (&, *, <<) are not allowed", node.Line)
	}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 && child.Tag == "!!int" && !decimal.MatchString(child.Value) {
			return fmt.Errorf("line %d: the index %s is not written as a plain number", child.Line, child.Value)
		}
		if err := plain(child); err != nil {
			return err
		}
	}
	return nil
}
