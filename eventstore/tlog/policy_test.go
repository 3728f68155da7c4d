package tlog

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/filature/filature/domain"
)

func witnessKey(i int) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(100 + i)}, ed25519.SeedSize))
}

func witnessName(i int) string { return fmt.Sprintf("witness.example/w%d", i) }

var (
	testHead = Head{42, domain.Digest{9}}
	testTime = time.Unix(1_790_000_000, 0).UTC()
)

// signedBy is a checkpoint of testHead with cosignatures.
func signedBy(t testing.TB, witnesses ...int) []byte {
	t.Helper()
	signed, err := Sign(testLog, testHead, testKey)
	if err != nil {
		t.Fatal(err)
	}
	all := signed
	for _, w := range witnesses {
		line, err := Cosign(signed, witnessName(w), witnessKey(w), testTime)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, line...)
	}
	return all
}

func policyOf(t testing.TB, lines string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(policyText(lines)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// policyText has the keys in the places of LOG, NET and W1 to W4.
func policyText(lines string) string {
	replace := []string{"LOG", LogKey(testLog, publicOf(testKey)), "NET", NetworkKey(testLog.Network, publicOf(testKey))}
	for i := 1; i <= 4; i++ {
		replace = append(replace, fmt.Sprintf("W%d", i), WitnessKey(witnessName(i), publicOf(witnessKey(i))))
	}
	return strings.NewReplacer(replace...).Replace(lines)
}

// The verifiers are other people's.
func TestOthersVerifyWhatWeSign(t *testing.T) {
	t.Parallel()
	log, err := note.NewVerifier(LogKey(testLog, publicOf(testKey)))
	if err != nil {
		t.Fatal(err)
	}
	witness, err := formats.NewVerifierForCosignatureV1(WitnessKey(witnessName(1), publicOf(witnessKey(1))))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open(signedBy(t, 1), note.VerifierList(log, witness))
	if err != nil {
		t.Fatal(err)
	}
	if len(opened.Sigs) != 2 {
		t.Fatalf("%d of 2 signatures verify", len(opened.Sigs))
	}
	if at, err := formats.CoSigV1Timestamp(opened.Sigs[1]); err != nil || !at.Equal(testTime) {
		t.Errorf("cosigned at %v, %v", at, err)
	}
	want := testLog.Origin() + "\n42\nCQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	if opened.Text != want {
		t.Errorf("text %q, want %q", opened.Text, want)
	}
}

func TestAQuorumIsWhatThePolicySays(t *testing.T) {
	t.Parallel()
	const witnesses = "log NET\nwitness a W1\nwitness b W2 https://b.example/\nwitness c W3\nwitness d W4\n"
	for _, c := range []struct {
		name, policy string
		signed       []int
		ok           bool
	}{
		{"none is asked for", "log LOG\nquorum none\n", nil, true},
		{"the network's key stands for its logs", "log NET\nquorum none\n", nil, true},
		{"one is there", witnesses + "quorum a\n", []int{1}, true},
		{"another is there", witnesses + "quorum a\n", []int{2}, false},
		{"two of three", witnesses + "group g 2 a b c\nquorum g\n", []int{1, 3}, true},
		{"one of two of three", witnesses + "group g 2 a b c\nquorum g\n", []int{3}, false},
		{"one, twice", witnesses + "group g 2 a b c\nquorum g\n", []int{3, 3}, false},
		{"one outside the group", witnesses + "group g 2 a b c\nquorum g\n", []int{3, 4}, false},
		{"any", witnesses + "group g any a b\nquorum g\n", []int{2}, true},
		{"all but one", witnesses + "group g all a b\nquorum g\n", []int{2}, false},
		{"groups of groups", witnesses + "# two houses\ngroup x any a b\n\tgroup y  all c d \ngroup both all x y\nquorum both\n", []int{2, 3, 4}, true},
		{"half of groups of groups", witnesses + "group x any a b\ngroup y all c d\ngroup both all x y\nquorum both\n", []int{1, 2, 3}, false},
	} {
		checkpoint, err := policyOf(t, c.policy).Open(signedBy(t, c.signed...))
		switch {
		case c.ok && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case !c.ok && !errors.Is(err, ErrNotWitnessed):
			t.Errorf("%s: %v, want ErrNotWitnessed", c.name, err)
		case checkpoint.Log != testLog || checkpoint.Head != testHead:
			t.Errorf("%s: opened as %v", c.name, checkpoint)
		}
	}
	checkpoint, err := policyOf(t, witnesses+"quorum none\n").Open(signedBy(t, 3, 1))
	if err != nil || len(checkpoint.Witnessed) != 2 || checkpoint.Witnessed[1] != (Cosignature{"c", testTime}) {
		t.Errorf("witnessed by %v, %v", checkpoint.Witnessed, err)
	}
}

func TestEachWrongPolicyIsRefused(t *testing.T) {
	t.Parallel()
	for _, lines := range []string{
		"", "log LOG\n", "quorum none\nquorum none\n", "log LOG\nquorum a\n", "log LOG\nlog NET\nquorum none\n", "log W1\nquorum none\n",
		"witness a LOG\nquorum a\n", "witness a W1\nwitness b W1\nquorum a\n", "witness a W1\nwitness a W2\nquorum a\n", "witness none W1\nquorum none\n",
		"witness a W1\ngroup g 2 a\nquorum g\n", "witness a W1\ngroup g 0 a\nquorum g\n", "witness a W1\ngroup g 01 a\nquorum g\n",
		"witness a W1\ngroup g any b\nquorum g\n", "witness a W1\nwitness b W2\ngroup g 2 a a\nquorum g\n",
		"witness a W1\nwitness b W2\ngroup g any a\ngroup h all a b\nquorum h\n", "group g any g\nquorum g\n", "log LOG\nquorum none\r\n",
		"log LOG a b\nquorum none\n", "log filature/x+00000000+AA==\nquorum none\n", "trust me\nquorum none\n",
	} {
		if _, err := ParsePolicy([]byte(policyText(lines))); err == nil {
			t.Errorf("%q is taken", lines)
		}
	}
}

func TestNoByteOfACheckpointCanBeChanged(t *testing.T) {
	t.Parallel()
	policy := policyOf(t, "log NET\nwitness a W1\nwitness b W2\ngroup g all a b\nquorum g\n")
	signed := signedBy(t, 1, 2)
	if _, err := policy.Open(signed); err != nil {
		t.Fatal(err)
	}
	for i := range signed {
		changed := bytes.Clone(signed)
		changed[i] ^= 1 << (i % 6)
		if _, err := policy.Open(changed); err == nil {
			t.Errorf("byte %d, %q for %q, is taken", i, changed[i], signed[i])
		}
	}
	// The spare bits of base64, which the note library does not look at.
	for line := range bytes.Lines(signed) {
		padding := bytes.IndexByte(line, '=')
		if padding < 0 {
			continue
		}
		at := bytes.Index(signed, line) + padding - 1
		for _, digit := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
			changed := bytes.Clone(signed)
			changed[at] = digit
			if _, err := policy.Open(changed); (err == nil) != (digit == signed[at]) {
				t.Errorf("byte %d, %q for %q: %v", at, digit, signed[at], err)
			}
		}
	}
	for cut := range signed {
		if _, err := policy.Open(signed[:cut]); err == nil {
			t.Errorf("the first %d bytes are taken", cut)
		}
	}
}

func TestACheckpointOfAnotherLogOrKeyIsRefused(t *testing.T) {
	t.Parallel()
	policy := policyOf(t, "log LOG\nquorum none\n")
	otherShard, otherNetwork := testLog, testLog
	otherShard.Shard++
	otherNetwork.Network[0]++
	for what, sign := range map[string]func() ([]byte, error){
		"shard":   func() ([]byte, error) { return Sign(otherShard, testHead, testKey) },
		"network": func() ([]byte, error) { return Sign(otherNetwork, testHead, testKey) },
		"key":     func() ([]byte, error) { return Sign(testLog, testHead, witnessKey(1)) },
	} {
		signed, err := sign()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Open(signed); err == nil {
			t.Errorf("a checkpoint of another %s is taken", what)
		}
	}
	everyLog := policyOf(t, "log NET\nquorum none\n")
	signed, err := Sign(otherShard, testHead, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := everyLog.Open(signed); err != nil {
		t.Errorf("the network's key does not stand for shard %d: %v", otherShard.Shard, err)
	}
	if signed, err = Sign(otherNetwork, testHead, testKey); err != nil {
		t.Fatal(err)
	}
	if _, err := everyLog.Open(signed); err == nil {
		t.Error("a network's key stands for another network")
	}
}

func TestOnlyCosignaturesOfKnownWitnessesAreAdded(t *testing.T) {
	t.Parallel()
	policy := policyOf(t, "witness a W1\nwitness b W2\ngroup g all a b\nquorum g\nlog NET\n")
	signed := signedBy(t, 1)
	answer := bytes.TrimPrefix(signedBy(t, 2, 3, 1), signedBy(t))
	added, err := policy.AddCosignatures(signed, answer)
	if err != nil || !bytes.Equal(added, signedBy(t, 1, 2)) {
		t.Errorf("%v:\n%s", err, added)
	}
	wrong := bytes.Replace(answer, []byte(" "), []byte("  "), 1)
	if added, err := policy.AddCosignatures(signed, wrong); err == nil {
		t.Errorf("nonsense is added:\n%s", added)
	}
}

func FuzzOpen(f *testing.F) {
	policy := policyOf(f, "log NET\nwitness a W1\nquorum none\n")
	f.Add(signedBy(f, 1))
	f.Fuzz(func(t *testing.T, signed []byte) {
		if checkpoint, err := policy.Open(signed); err == nil && checkpoint.Head != testHead {
			t.Errorf("a checkpoint was forged: %q", signed)
		}
	})
}
