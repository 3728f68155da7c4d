package signing

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math/rand"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
)

const vectorFile = "testdata/zip215.json"

var update = flag.Bool("update", false, "write the vector file anew")

func readVectors(t *testing.T) []vector {
	t.Helper()
	raw, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

func (v vector) signed(t *testing.T) signed {
	t.Helper()
	key, err := domain.ParseID[domain.KeyID](v.Key)
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return signed{key: key, report: unhex(t, v.Report), signature: unhex(t, v.Signature), holds: v.Holds}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Others build verifiers against the file, so it may not drift from what this package crafts.
func TestThePublishedVectorsAreTheCraftedOnes(t *testing.T) {
	var made bytes.Buffer
	encoder := json.NewEncoder(&made)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(craftVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(vectorFile, made.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, made.Bytes()) {
		t.Errorf("%s is not what craftVectors makes; look at why, then run with -update", vectorFile)
	}
}

func TestEachVectorIsAnsweredByTheRule(t *testing.T) {
	verifier := NewVerifier(4)
	for _, v := range readVectors(t) {
		s := v.signed(t)
		for _, cached := range []string{"key seen for the first time", "key cached"} {
			if got := verifier.Verify(s.key, s.report, s.signature); got != v.Holds {
				t.Errorf("%s, %s: holds = %v, want %v", v.Name, cached, got, v.Holds)
			}
		}
		batch := verifier.NewBatch(1)
		batch.Add(s.key, s.report, s.signature)
		if got := verdicts(t, batch, 1); !slices.Equal(got, []bool{v.Holds}) {
			t.Errorf("%s, batch of one: holds = %v, want %v", v.Name, got, v.Holds)
		}
	}
}

// The file's second column is true, and it shows why one of the two rules had to be chosen.
func TestTheStandardLibraryDisagreesOnCraftedSignatures(t *testing.T) {
	disagreements := 0
	for _, v := range readVectors(t) {
		s := v.signed(t)
		standard := ed25519.Verify(s.key[:], signedBytes(nil, s.report), s.signature)
		if standard != v.StandardLibrary {
			t.Errorf("%s: crypto/ed25519 says %v, the file says that it says %v", v.Name, standard, v.StandardLibrary)
		}
		if standard && !v.Holds {
			t.Errorf("%s: crypto/ed25519 accepts what the rule refuses", v.Name)
		}
		if standard != v.Holds {
			disagreements++
		}
	}
	if disagreements < 100 {
		t.Errorf("%d disagreements: the vectors no longer tell the two rules apart", disagreements)
	}
}

// The twelve signatures of "Taming the many EdDSAs", as the authors published them (ed25519-speccheck,
// cases.json). Their messages carry no prefix, so this asks the rule itself.
func TestTheRuleIsZIP215OnThePublishedCases(t *testing.T) {
	for _, c := range speccheck {
		t.Run(c.name, func(t *testing.T) {
			got := voi.VerifyWithOptions(unhex(t, c.key), unhex(t, c.message), unhex(t, c.signature), zip215)
			if got != c.holds {
				t.Errorf("holds = %v, want %v", got, c.holds)
			}
		})
	}
}

// This is the claim that the rule was chosen for.
func TestBatchAndSingleAgreeInAnyMix(t *testing.T) {
	var pool []signed
	for _, v := range readVectors(t) {
		pool = append(pool, v.signed(t))
	}
	for signer := range 40 {
		pool = append(pool, honest(signer, signer, signer))
	}
	forged := honest(1, 2, 3)
	forged.report, forged.holds = []byte("not what was signed"), false
	pool = append(pool, forged)

	alone := NewVerifier(1)
	for i, s := range pool {
		if got := alone.Verify(s.key, s.report, s.signature); got != s.holds {
			t.Fatalf("signature %d checked alone: holds = %v, want %v", i, got, s.holds)
		}
	}

	good := slices.DeleteFunc(slices.Clone(pool), func(s signed) bool { return !s.holds })
	garbage := rapid.Custom(func(t *rapid.T) signed {
		draw := func(atLeast, atMost int) []byte {
			return rapid.SliceOfN(rapid.Byte(), atLeast, atMost).Draw(t, "bytes")
		}
		s := signed{key: domain.KeyID(draw(32, 32)), report: draw(0, 10), signature: draw(Size-1, Size+1)}
		s.holds = alone.Verify(s.key, s.report, s.signature)
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		// Batches of good ones only take the fast path, and those of 95 or more a different algorithm.
		from := rapid.SampledFrom(good)
		if rapid.Bool().Draw(t, "bad ones too") {
			from = rapid.OneOf(rapid.SampledFrom(pool), garbage)
		}
		mix := rapid.SliceOfN(from, 0, 150).Draw(t, "mix")
		verifier := NewVerifier(rapid.IntRange(1, 100).Draw(t, "cached keys"))
		entropy := rand.New(rand.NewSource(rapid.Int64().Draw(t, "entropy")))

		batch := verifier.NewBatch(rapid.IntRange(0, 10).Draw(t, "room"))
		for range 2 { // the second round uses the emptied batch again
			for _, s := range mix {
				batch.Add(s.key, s.report, s.signature)
			}
			if batch.Len() != len(mix) {
				t.Fatalf("batch of %d says that it has %d", len(mix), batch.Len())
			}
			got, err := batch.Verify(entropy)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(mix) {
				t.Fatalf("%d verdicts on %d signatures", len(got), len(mix))
			}
			for i, s := range mix {
				if got[i] != s.holds {
					t.Fatalf("signature %d of %d: holds = %v in the batch, %v alone", i, len(mix), got[i], s.holds)
				}
			}
		}
	})
}

// Without the factor of 8 a batch may refuse what each single check accepts. Should the library's
// preset ever change, this fails.
func TestTheRuleIsCofactored(t *testing.T) {
	if o := zip215.Verify; o.CofactorlessVerify || !o.AllowNonCanonicalA || !o.AllowNonCanonicalR || !o.AllowSmallOrderA || !o.AllowSmallOrderR {
		t.Errorf("the rule is %+v", *o)
	}
}

func TestWhatIsNotSixtyFourBytesDoesNotHold(t *testing.T) {
	verifier := NewVerifier(1)
	s := honest(1, 1, 10)
	batch := verifier.NewBatch(0)
	for _, signature := range [][]byte{nil, {}, s.signature[:63], append(slices.Clone(s.signature), 0), s.signature} {
		want := len(signature) == Size
		if verifier.Verify(s.key, s.report, signature) != want {
			t.Errorf("%d bytes: holds = %v", len(signature), !want)
		}
		batch.Add(s.key, s.report, signature)
	}
	if got := verdicts(t, batch, 5); !slices.Equal(got, []bool{false, false, false, false, true}) {
		t.Errorf("in a batch: %v", got)
	}
}

// Golden bytes: a signer in another language must make the same.
func TestASignatureCoversThePrefixAndTheReport(t *testing.T) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	report := []byte("sixty-four claims")
	want := ed25519.Sign(private, []byte("filature/report/v1\x00sixty-four claims"))
	if got := Sign(private, report); !bytes.Equal(got, want) {
		t.Errorf("signature is %x, want %x", got, want)
	}
	if !NewVerifier(1).Verify(KeyOf(private), report, want) {
		t.Error("a signature by crypto/ed25519 does not hold")
	}
	if NewVerifier(1).Verify(KeyOf(private), report, ed25519.Sign(private, report)) {
		t.Error("a signature of the bare bytes holds as a report's")
	}
}

func TestABatchWithoutEntropyGivesNoVerdictAndKeepsItsSignatures(t *testing.T) {
	s := honest(1, 1, 10)
	batch := NewVerifier(1).NewBatch(1)
	batch.Add(s.key, s.report, s.signature)
	dry := errors.New("dry")
	if holds, err := batch.Verify(iotest.ErrReader(dry)); !errors.Is(err, dry) || holds != nil {
		t.Errorf("verdicts %v and error %v, want none and %v", holds, err, dry)
	}
	if got := verdicts(t, batch, 1); !slices.Equal(got, []bool{true}) {
		t.Errorf("afterwards: %v", got)
	}
}

func TestManyGoroutinesShareAVerifierWhoseCacheIsTooSmall(t *testing.T) {
	const signers, rounds, readers = 8, 20, 4
	verifier := NewVerifier(signers / 2)
	var work sync.WaitGroup
	for reader := range readers {
		work.Go(func() {
			batch := verifier.NewBatch(signers)
			for round := range rounds {
				for signer := range signers {
					s := honest(signer, round*readers+reader, 20)
					s.holds = (signer+round)%5 != 0
					if !s.holds {
						s.signature[0] ^= 1
					}
					if verifier.Verify(s.key, s.report, s.signature) != s.holds {
						t.Errorf("signer %d, round %d: want holds = %v", signer, round, s.holds)
					}
					batch.Add(s.key, s.report, s.signature)
				}
				for signer, got := range verdicts(t, batch, int64(round)) {
					if want := (signer+round)%5 != 0; got != want {
						t.Errorf("signer %d, round %d in a batch: want holds = %v", signer, round, want)
					}
				}
			}
		})
	}
	work.Wait()
}

func TestTheCacheForgetsKeys(t *testing.T) {
	const strangers, keyBytes = 3000, 1500
	verifier := NewVerifier(10)
	before := heapBytes()
	for stranger := range strangers {
		// Half of the 32-byte strings are keys, of nobody.
		key := domain.KeyID{0: byte(stranger), 1: byte(stranger >> 8), 2: 1}
		verifier.Verify(key, nil, make([]byte, Size))
	}
	if grown := heapBytes() - before; grown > strangers*keyBytes/10 {
		t.Errorf("%d strangers left %d bytes behind in a cache of 10 keys", strangers, grown)
	}
	runtime.KeepAlive(verifier)
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestACacheOfNoKeysIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewVerifier(0)
}

func verdicts(t *testing.T, batch *Batch, entropy int64) []bool {
	t.Helper()
	holds, err := batch.Verify(rand.New(rand.NewSource(entropy)))
	if err != nil {
		t.Fatal(err)
	}
	return holds
}
