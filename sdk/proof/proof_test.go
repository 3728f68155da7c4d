package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/tlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var (
	logKey     = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	theGenesis = &v1.Genesis{Name: "proof", Shards: 1, Operator: bytes.Repeat([]byte{3}, 32), CreatedAtMs: 1}
	theNetwork = networkOf(theGenesis)
	theJob     = domain.JobID{7}
	thePayee   = domain.ProviderID{8}
)

const (
	theShard = domain.Shard(1)
	cut      = 300 // of the shard, at the batch
	size     = 700 // of the shard, at the checkpoint
)

// jobAt are the entries of the shard that are about theJob: two in the batch, one behind it.
var jobAt = []domain.Offset{10, 299, 500}

func networkOf(genesis *v1.Genesis) domain.NetworkID {
	raw, err := v1.Encode(genesis)
	if err != nil {
		panic(err)
	}
	return sha256.Sum256(raw)
}

// world is a shard with its batch and its checkpoint.
type world struct {
	tree    *tlog.Published
	records [][]byte
	note    []byte
	batch   *Batch
}

func newWorld(t testing.TB) *world {
	t.Helper()
	log := tlog.Log{Network: theNetwork, Shard: theShard}
	files := tlog.ReadFolder(t.TempDir())
	public := logKey.Public().(ed25519.PublicKey)
	tree, err := tlog.OpenTree(log, files, public)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	for i := range domain.Offset(size) {
		raw := entry(t, i)
		w.records = append(w.records, raw)
		if err := tree.Append(raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := tree.Flush(); err != nil {
		t.Fatal(err)
	}
	head, err := tree.Head()
	if err != nil {
		t.Fatal(err)
	}
	if w.note, err = tlog.Sign(log, head, logKey); err != nil {
		t.Fatal(err)
	}
	w.tree = tlog.Read(files, head)
	atCut, err := w.tree.HeadAt(cut)
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := v1.Encode(&v1.Entry{AtMs: 1, Body: &v1.Entry_Genesis{Genesis: theGenesis}})
	if err != nil {
		t.Fatal(err)
	}
	w.batch = &Batch{
		Number: 3, PayoutRoot: payoutRoot, TotalNano: 1000, Payees: 2, ThresholdNano: 5, MaxPayees: 4096,
		Cut: []int64{1, cut}, LogRoots: []domain.Digest{tlog.LeafHash(genesis), atCut.Root},
		Genesis: Genesis{Path: []domain.Digest{}, Entry: genesis},
	}
	return w
}

// entry is one of the shard: those at jobAt meter theJob beside another, the others another alone.
func entry(t testing.TB, at domain.Offset) []byte {
	t.Helper()
	other, key := domain.JobID{1, byte(at), byte(at >> 8)}, [32]byte{9}
	metered := func(job domain.JobID) *v1.Fact {
		return &v1.Fact{Claim: 1, Body: &v1.Fact_JobMetered{JobMetered: &v1.MeterJob{Job: job[:], Usage: &v1.Usage{PromptTokens: int64(at)}}}}
	}
	answer := &v1.Answer{IntakeOffset: int64(at), IntakeDigest: key[:], Signer: key[:], Sequence: uint64(at + 1), Facts: []*v1.Fact{metered(other)}}
	for _, one := range jobAt {
		if at == one {
			answer.Facts = append(answer.Facts, metered(theJob))
		}
	}
	raw, err := v1.Encode(&v1.Entry{AtMs: 1_700_000_000_000 + int64(at), Offset: int64(at), Body: &v1.Entry_Answer{Answer: answer}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (w *world) record(t testing.TB, at domain.Offset, in string) Record {
	t.Helper()
	of := int64(size)
	if in == InBatch {
		of = cut
	}
	path, err := w.tree.Inclusion(of, at)
	if err != nil {
		t.Fatal(err)
	}
	return Record{Shard: theShard, Offset: at, In: in, Path: path, Entry: w.records[at]}
}

func (w *world) signed(t testing.TB) SignedHead {
	t.Helper()
	path, err := w.tree.Consistency(cut)
	if err != nil {
		t.Fatal(err)
	}
	return SignedHead{Note: string(w.note), FromBatch: path}
}

func (w *world) job(t testing.TB) *File {
	t.Helper()
	return &File{
		Format: Format, Network: theNetwork, About: Subject{Kind: Job, ID: domain.Digest(theJob)}, Batch: w.batch,
		Checkpoints: []SignedHead{w.signed(t)},
		Records:     []Record{w.record(t, jobAt[0], InBatch), w.record(t, jobAt[1], InBatch), w.record(t, jobAt[2], InCheckpoint)},
	}
}

func (w *world) fact(t testing.TB, in string) *File {
	t.Helper()
	f := &File{Format: Format, Network: theNetwork, About: Subject{Kind: Fact, Shard: theShard, Offset: 20}, Records: []Record{w.record(t, 20, in)}}
	if in == InBatch {
		f.Batch = w.batch
	} else {
		f.Checkpoints = []SignedHead{{Note: string(w.note)}}
	}
	return f
}

// The payout proof of these tests is a hash: what a real one is, adapters/ton knows.
func payoutBOC(payee domain.ProviderID, amount domain.Nano) []byte {
	return fmt.Appendf(nil, "%s is owed %s", payee, amount)
}

var payoutRoot = domain.Digest(sha256.Sum256(payoutBOC(thePayee, 600)))

func checkPayout(root domain.Digest, payee domain.ProviderID, boc []byte) (domain.Nano, error) {
	if payee != thePayee || domain.Digest(sha256.Sum256(boc)) != root {
		return 0, errors.New("is not in the tree")
	}
	return 600, nil
}

func (w *world) payout() *File {
	return &File{
		Format: Format, Network: theNetwork, About: Subject{Kind: Payout, ID: domain.Digest(thePayee)}, Batch: w.batch,
		Payout: &PayeeProof{Payee: thePayee, CumulativeNano: 600, BOC: payoutBOC(thePayee, 600)},
	}
}

// Whom to believe.
func (w *world) keys(t testing.TB) Trust {
	t.Helper()
	policy, err := tlog.Keys(tlog.NetworkKey(theNetwork, logKey.Public().(ed25519.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	return Trust{Policy: policy, Payout: checkPayout}
}

func (w *world) chain() Trust {
	told := w.batch.onChain()
	return Trust{Chain: &told, Payout: checkPayout}
}

func (w *world) both(t testing.TB) Trust {
	t.Helper()
	trust := w.chain()
	trust.Policy = w.keys(t).Policy
	return trust
}

func encoded(t testing.TB, f *File) []byte {
	t.Helper()
	raw, err := Encode(f)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAProofIsAsGoodAsWhatIsBelieved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody := Trust{Payout: checkPayout}
	for _, c := range []struct {
		name  string
		file  *File
		trust Trust
		ok    bool
	}{
		{"job, keys", w.job(t), w.keys(t), true},
		{"job, chain: one record is behind the batch", w.job(t), w.chain(), false},
		{"job, both", w.job(t), w.both(t), true},
		{"job, nobody", w.job(t), nobody, false},
		{"fact in the checkpoint, keys", w.fact(t, InCheckpoint), w.keys(t), true},
		{"fact in the checkpoint, chain", w.fact(t, InCheckpoint), w.chain(), false},
		{"fact in the batch, chain", w.fact(t, InBatch), w.chain(), true},
		{"fact in the batch, keys", w.fact(t, InBatch), w.keys(t), false},
		{"payout, chain", w.payout(), w.chain(), true},
		{"payout, keys", w.payout(), w.keys(t), false},
	} {
		proven, err := Verify(encoded(t, c.file), c.trust)
		switch {
		case c.ok && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case !c.ok && !errors.Is(err, ErrNothingToBelieve):
			t.Errorf("%s: %v, want ErrNothingToBelieve", c.name, err)
		case c.ok && len(proven.Records) != len(c.file.Records):
			t.Errorf("%s: %d records are proven", c.name, len(proven.Records))
		}
	}
}

func TestWhatIsProvenIsWhatTheFileSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proven, err := Verify(encoded(t, w.job(t)), w.both(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range proven.Records {
		byChain := jobAt[i] < cut
		if r.Offset != jobAt[i] || len(r.Facts) != 1 || JobOf(r.Facts[0]) != theJob || !r.BySignature || r.ByChain != byChain {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	payout, err := Verify(encoded(t, w.payout()), w.chain())
	if err != nil || payout.Amount != 600 || !payout.ByChain {
		t.Errorf("%+v, %v", payout, err)
	}
	var words bytes.Buffer
	if err := WriteText(&words, proven); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		theJob.String(), "1/299 by the checkpoint and by the chain", "1/500 by the checkpoint\n", `"job_metered"`, "Not shown", "700 records",
	} {
		if !strings.Contains(words.String(), want) {
			t.Errorf("the text lacks %q:\n%s", want, words.String())
		}
	}
}

func TestNoByteOfAFileCanBeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	trust := w.both(t)
	for name, f := range map[string]*File{"job": w.job(t), "fact": w.fact(t, InBatch), "signed fact": w.fact(t, InCheckpoint), "payout": w.payout()} {
		raw := encoded(t, f)
		if _, err := Verify(raw, trust); err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			changed := bytes.Clone(raw)
			changed[i] ^= 1 << (i % 6)
			if _, err := Verify(changed, trust); err == nil {
				t.Errorf("%s: byte %d, %q for %q, is taken:\n%s", name, i, changed[i], raw[i], changed[max(0, i-40):i+20])
			}
		}
		for _, cut := range []int{0, 1, len(raw) / 2, len(raw) - 1} {
			if _, err := Verify(raw[:cut], trust); err == nil {
				t.Errorf("%s: the first %d bytes are taken", name, cut)
			}
		}
		if _, err := Verify(append(bytes.Clone(raw), raw...), trust); err == nil {
			t.Errorf("%s: twice is taken", name)
		}
	}
}

// Each field is set to another value of its type, one by one, wherever it is.
func TestNoFieldOfAFileCanBeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	trust := w.both(t)
	changes := 0
	for name, fresh := range map[string]func() *File{
		"job": func() *File { return w.job(t) }, "fact": func() *File { return w.fact(t, InBatch) }, "payout": w.payout,
	} {
		for n := 0; ; n++ {
			f := fresh()
			if f.Batch != nil {
				batch := *f.Batch
				batch.Cut, batch.LogRoots = append([]int64{}, batch.Cut...), append([]domain.Digest{}, batch.LogRoots...)
				batch.Genesis.Entry = bytes.Clone(batch.Genesis.Entry)
				f.Batch = &batch
			}
			for i := range f.Records {
				f.Records[i].Entry = bytes.Clone(f.Records[i].Entry)
			}
			left := n
			where := changeField(reflect.ValueOf(f).Elem(), "", &left)
			if where == "" {
				break
			}
			changes++
			if _, err := Verify(encoded(t, f), trust); err == nil {
				t.Errorf("%s: another %s is taken", name, where)
			}
		}
	}
	if changes < 100 {
		t.Errorf("only %d fields were changed", changes)
	}
}

// changeField changes the field that is left-th in order, and returns its name.
func changeField(v reflect.Value, name string, left *int) string {
	switch v.Kind() { //nolint:exhaustive // the file has no others, and the default says so
	case reflect.Struct:
		for i := range v.NumField() {
			if where := changeField(v.Field(i), name+"."+v.Type().Field(i).Name, left); where != "" {
				return where
			}
		}
		return ""
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return changeField(v.Elem(), name, left)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			for i := range v.Len() {
				if where := changeField(v.Index(i), fmt.Sprintf("%s[%d]", name, i), left); where != "" {
					return where
				}
			}
			return ""
		}
	default:
	}
	if *left--; *left >= 0 {
		return ""
	}
	switch v.Kind() { //nolint:exhaustive // as above
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	case reflect.Slice, reflect.Array:
		last := v.Index(v.Len() - 1)
		last.SetUint(last.Uint() ^ 1)
	default:
		panic("what is a " + v.Kind().String())
	}
	return name
}

func TestARecordThatIsNotAboutTheJobProvesNothingAboutIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.job(t)
	f.Records[0] = w.record(t, 11, InBatch)
	if _, err := Verify(encoded(t, f), w.both(t)); err == nil {
		t.Error("it is taken")
	}
	f = w.job(t)
	f.Records[1] = f.Records[0]
	if _, err := Verify(encoded(t, f), w.both(t)); err == nil {
		t.Error("a record counts twice")
	}
}

func TestACheckpointOfAnotherLogProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	head := w.tree.Head()
	for _, log := range []tlog.Log{{Network: theNetwork, Shard: theShard + 1}, {Network: domain.NetworkID{6}, Shard: theShard}} {
		note, err := tlog.Sign(log, head, logKey)
		if err != nil {
			t.Fatal(err)
		}
		f := w.fact(t, InCheckpoint)
		f.Checkpoints[0].Note = string(note)
		if _, err := Verify(encoded(t, f), w.both(t)); err == nil {
			t.Errorf("a checkpoint of %s is taken", log.Origin())
		}
	}
}

func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	trust := w.both(f)
	for _, file := range []*File{w.job(f), w.fact(f, InBatch), w.fact(f, InCheckpoint), w.payout()} {
		f.Add(encoded(f, file))
	}
	f.Add([]byte(`{"format":"filature-proof/v1"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		proven, err := Verify(raw, trust)
		if err != nil {
			return
		}
		if err := WriteText(&bytes.Buffer{}, proven); err != nil {
			t.Error(err)
		}
		for _, r := range proven.Records {
			if !bytes.Equal(w.records[r.Offset], entry(t, r.Offset)) || r.Shard != theShard {
				t.Errorf("a record was forged: %s", raw)
			}
		}
	})
}
