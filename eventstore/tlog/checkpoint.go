package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/filature/filature/domain"
)

// MaxCheckpointBytes bounds a checkpoint with all its signatures: three lines, and a hundred signatures, which
// is what the note library takes, of 130 bytes and a name.
const MaxCheckpointBytes = 64 << 10

// Kinds of keys, as signed-note numbers them.
const (
	kindEd25519     = 0x01 // a log's
	kindCosignature = 0x04 // a witness's: cosignature/v1
)

// body is the text of a note, without its signatures.
func body(signed []byte) string {
	before, _, _ := strings.Cut(string(signed), "\n\n")
	return before + "\n"
}

// text is the body of a checkpoint.
func text(log Log, head Head) string {
	return fmt.Sprintf("%s\n%d\n%s\n", log.Origin(), head.Size, base64.StdEncoding.EncodeToString(head.Root[:]))
}

// parseText reads what text wrote, and accepts no other form of it: extension lines neither, as nobody could
// audit them.
func parseText(s string) (Log, Head, error) {
	lines := strings.Split(s, "\n")
	if len(lines) != 4 {
		return Log{}, Head{}, fmt.Errorf("checkpoint: has %d lines, want origin, size and root", len(lines)-1)
	}
	log, err := ParseOrigin(lines[0])
	if err != nil {
		return Log{}, Head{}, fmt.Errorf("checkpoint: %w", err)
	}
	size, _ := strconv.ParseInt(lines[1], 10, 64)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != sha256.Size {
		return Log{}, Head{}, fmt.Errorf("checkpoint of %s: root %q: want %d bytes in base64", log.Origin(), lines[2], sha256.Size)
	}
	head := Head{size, domain.Digest(root)}
	if size < 0 || text(log, head) != s {
		return Log{}, Head{}, fmt.Errorf("checkpoint of %s: size %q: want a decimal number", log.Origin(), lines[1])
	}
	return log, head, nil
}

// Peek reads what a checkpoint says, and checks no signature.
func Peek(signed []byte) (Log, Head, error) { return parseText(body(signed)) }

// Sign makes a checkpoint. Whoever signs must never sign two heads of one log that are not of one history.
func Sign(log Log, head Head, key ed25519.PrivateKey) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: text(log, head)}, logSigner{logVerifier(log.Origin(), publicOf(key)), key})
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint of %s: %w", log.Origin(), err)
	}
	return signed, nil
}

// NetworkKey is the verifier key (vkey) that stands for the logs of all shards of a network in a Policy.
func NetworkKey(network domain.NetworkID, public ed25519.PublicKey) string {
	return vkey(NetworkName(network), kindEd25519, public)
}

// LogKey is the verifier key of one log, for witnesses and monitors: they want the log's own name in it.
func LogKey(log Log, public ed25519.PublicKey) string {
	return vkey(log.Origin(), kindEd25519, public)
}

// WitnessKey is the verifier key of a witness.
func WitnessKey(name string, public ed25519.PublicKey) string {
	return vkey(name, kindCosignature, public)
}

// Cosign adds a witness's signature to a checkpoint, and returns the signature line. Whoever cosigns must have
// checked that the checkpoint is consistent with the last one that it cosigned of the log.
func Cosign(checkpoint []byte, witness string, key ed25519.PrivateKey, at time.Time) ([]byte, error) {
	body, _, found := strings.Cut(string(checkpoint), "\n\n")
	if !found {
		return nil, errors.New("cosign: not a signed note")
	}
	verifier := keyVerifier{witness, keyID(witness, kindCosignature, publicOf(key)), publicOf(key), verifyCosignature}
	signed, err := note.Sign(&note.Note{Text: body + "\n"}, cosigner{verifier, key, at})
	if err != nil {
		return nil, fmt.Errorf("cosign as %s: %w", witness, err)
	}
	return signed[len(body)+2:], nil
}

// keyVerifier checks one key's signatures on notes.
type keyVerifier struct {
	name   string
	id     uint32
	public ed25519.PublicKey
	verify func(public ed25519.PublicKey, msg, signature []byte) bool
}

func (v keyVerifier) Name() string                   { return v.name }
func (v keyVerifier) KeyHash() uint32                { return v.id }
func (v keyVerifier) Verify(msg, signed []byte) bool { return v.verify(v.public, msg, signed) }

func logVerifier(name string, public ed25519.PublicKey) keyVerifier {
	return keyVerifier{name, keyID(name, kindEd25519, public), public, ed25519.Verify}
}

// verifyCosignature checks a timestamped_signature: eight bytes of seconds since 1970, then ed25519.
func verifyCosignature(public ed25519.PublicKey, msg, signature []byte) bool {
	at, signature, ok := cutTime(signature)
	return ok && ed25519.Verify(public, cosigned(msg, at), signature)
}

const timeBytes = 8

func cutTime(signature []byte) (at uint64, rest []byte, ok bool) {
	if len(signature) != timeBytes+ed25519.SignatureSize {
		return 0, nil, false
	}
	at = binary.BigEndian.Uint64(signature)
	return at, signature[timeBytes:], at <= 1<<63-1
}

// cosigned is what a witness signs (tlog-cosignature, "Ed25519 signed message").
func cosigned(msg []byte, at uint64) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), msg...)
}

type logSigner struct {
	keyVerifier
	key ed25519.PrivateKey
}

func (s logSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

type cosigner struct {
	keyVerifier
	key ed25519.PrivateKey
	at  time.Time
}

func (s cosigner) Sign(msg []byte) ([]byte, error) {
	if s.at.Unix() < 0 {
		return nil, fmt.Errorf("time %s is before 1970", s.at)
	}
	at := uint64(s.at.Unix())
	return append(binary.BigEndian.AppendUint64(nil, at), ed25519.Sign(s.key, cosigned(msg, at))...), nil
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey {
	return key.Public().(ed25519.PublicKey)
}

// keyID is signed-note's: it names a key in a signature line.
func keyID(name string, kind byte, public ed25519.PublicKey) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"+string(rune(kind))), public...))
	return binary.BigEndian.Uint32(sum[:])
}

// vkey is signed-note's verifier key: name, key id and key.
func vkey(name string, kind byte, public ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, kind, public), base64.StdEncoding.EncodeToString(append([]byte{kind}, public...)))
}

// parseVKey reads what vkey wrote, and accepts no other form of it.
func parseVKey(s string, kind byte) (name string, public ed25519.PublicKey, err error) {
	parts := strings.Split(s, "+")
	for len(parts) > 3 { // base64 has plus signs of its own
		parts = append(parts[:2], parts[2]+"+"+strings.Join(parts[3:], "+"))
	}
	if len(parts) == 3 {
		raw, _ := base64.StdEncoding.DecodeString(parts[2])
		if len(raw) == 1+ed25519.PublicKeySize && raw[0] == kind {
			name, public = parts[0], ed25519.PublicKey(raw[1:])
		}
	}
	if name == "" || vkey(name, kind, public) != s {
		return "", nil, fmt.Errorf("verifier key %q: want name+id+key, the key ed25519 of kind %#02x, as signed-note writes it", s, kind)
	}
	return name, public, nil
}
