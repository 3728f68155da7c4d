package auditor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// savedForm goes up when what is saved, or what it means, changes.
	savedForm = 1
	savedFile = "audit.json"
	// saveEvery is how many entries and facts are checked between two saves. It takes a second or less to check them
	// again, and saving takes a few milliseconds.
	saveEvery = 1 << 16
	// maxSavedBytes is far more than a thousand shards and all batches of years take.
	maxSavedBytes = 256 << 20
)

// ErrOtherState says that what is saved is not of this audit, or not of this log as it is now, or was changed. Nothing of it
// is believed. Remove the folder's files and audit from the beginning.
var ErrOtherState = errors.New("the saved state does not fit")

// Saved keeps, in a file of a folder, how far an audit has come. It is for one audit at a time.
//
// What it holds is little: the cut that the audit goes to, and for each shard how many entries were found to follow from
// what was said, with the Merkle heads of both logs up to there. It holds no balance and no state of the ledger: those
// are made again out of the same records, and the heads say that they are the same. So an audit that goes on leaves out
// signatures and decisions that were checked, and nothing else. The batches, once all were made again, are kept whole.
//
// Whoever may write in the folder can have an audit believe a signature. Keep it as safe as the program.
type Saved struct {
	dir, program string
	every        int64 // saveEvery, but in tests

	mu    sync.Mutex
	found *progressOf // what was there at the beginning; nil where there was nothing
	now   progressOf
	dirty int64
}

// progressOf is what is in the file.
type progressOf struct {
	Form    int           `json:"form"`
	Program string        `json:"program"`
	Genesis string        `json:"genesis,omitempty"` // digest of the one that was asked for
	Shards  []savedShard  `json:"shards"`
	Batches *savedBatches `json:"batches,omitempty"`
}

// savedShard is how far one shard was checked.
type savedShard struct {
	// LedgerEnd and IntakeEnd are the cut of the audit, exclusive.
	LedgerEnd domain.Offset `json:"ledger_end"`
	IntakeEnd domain.Offset `json:"intake_end"`
	Checked   savedPoint    `json:"checked"`
}

// savedPoint is a place between two entries of a shard.
type savedPoint struct {
	Ledger domain.Offset `json:"ledger"`
	Intake domain.Offset `json:"intake"`
	// LedgerHead is the RFC 6962 root of the entries below; IntakeHead that of the intake records that they answer, each
	// behind its log time.
	LedgerHead domain.Digest `json:"ledger_head"`
	IntakeHead domain.Digest `json:"intake_head"`
}

// savedBatches is the step that makes batches again, when it was done for all shards to their ends.
type savedBatches struct {
	Step     Step        `json:"step"`
	Rows     []Batch     `json:"rows"`
	Offences []Offence   `json:"offences,omitempty"`
	Totals   []KindTotal `json:"totals,omitempty"`
}

// sealedProgress is the file: what is saved, and its SHA-256, so that a damaged file is not taken for a state.
type sealedProgress struct {
	Progress json.RawMessage `json:"progress"`
	SHA256   string          `json:"sha256"`
}

// OpenSaved reads what an audit saved in a folder, and makes the folder where there is none. Program is what audits: what
// another version checked is not believed. The error is ErrOtherState where there is something that can't be used.
func OpenSaved(dir, program string) (*Saved, error) {
	s := &Saved{dir: dir, program: program, every: saveEvery, now: progressOf{Form: savedForm, Program: program}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for an audit's state: %w", err)
	}
	path := filepath.Join(dir, savedFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil && info.Size() > maxSavedBytes {
		return nil, fmt.Errorf("%s: %d bytes: %w", path, info.Size(), ErrOtherState)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("state of an audit: %w", err)
	}
	if s.found, err = readProgress(raw); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrOtherState, err)
	}
	if s.found.Form != savedForm || s.found.Program != program {
		return nil, fmt.Errorf("%s: is of form %d by %q, and this is form %d by %q: %w",
			path, s.found.Form, s.found.Program, savedForm, program, ErrOtherState)
	}
	return s, nil
}

var errChecksum = errors.New("the file is damaged: its SHA-256 is another")

func readProgress(raw []byte) (*progressOf, error) {
	var sealed sealedProgress
	if err := strictly(raw, &sealed); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(sealed.Progress); hex.EncodeToString(sum[:]) != sealed.SHA256 {
		return nil, errChecksum
	}
	var p progressOf
	if err := strictly(sealed.Progress, &p); err != nil {
		return nil, err
	}
	return &p, nil
}

func strictly(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// Resumes tells whether there is something to go on from.
func (s *Saved) Resumes() bool { return s != nil && s.found != nil }

// Remove throws away what was saved, when the audit is over.
func (s *Saved) Remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Remove(filepath.Join(s.dir, savedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the state of an audit: %w", err)
	}
	return nil
}

// begin takes the cut of an audit, and returns the one to go to: the saved one, where an audit goes on, and this one
// otherwise. Logs that are shorter than they were are not the same logs.
func (s *Saved) begin(genesis *v1.Genesis, cut []savedShard) ([]savedShard, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if genesis != nil {
		raw, err := v1.Encode(genesis)
		if err != nil {
			return nil, fmt.Errorf("genesis: %w", err)
		}
		sum := sha256.Sum256(raw)
		s.now.Genesis = hex.EncodeToString(sum[:])
	}
	if s.found != nil {
		if err := s.found.fits(s.now.Genesis, cut); err != nil {
			return nil, err
		}
		cut = s.found.Shards
		s.now.Batches = s.found.Batches
	}
	s.now.Shards = slices.Clone(cut)
	return cut, nil
}

func (p *progressOf) fits(genesis string, cut []savedShard) error {
	if len(p.Shards) != len(cut) || p.Genesis != genesis {
		return fmt.Errorf("it is of %d shards and genesis %q, this ledger has %d and %q: %w",
			len(p.Shards), p.Genesis, len(cut), genesis, ErrOtherState)
	}
	for shard, saved := range p.Shards {
		at := saved.Checked
		switch {
		case at.Ledger < 0 || at.Intake < 0 || at.Ledger > saved.LedgerEnd || at.Intake > saved.IntakeEnd:
			return fmt.Errorf("shard %d: checked beyond the cut: %w", shard, ErrOtherState)
		case saved.LedgerEnd > cut[shard].LedgerEnd || saved.IntakeEnd > cut[shard].IntakeEnd:
			return fmt.Errorf("shard %d: the ledger ends at %d and intake at %d, and they had %d and %d records: %w",
				shard, cut[shard].LedgerEnd, cut[shard].IntakeEnd, saved.LedgerEnd, saved.IntakeEnd, ErrOtherState)
		}
	}
	return nil
}

// note takes in how far a shard was checked, and saves when enough work has come together.
func (s *Saved) note(shard domain.Shard, at savedPoint, work int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Shards[shard].Checked = at
	if s.dirty += work; s.dirty < s.every {
		return nil
	}
	return s.save()
}

// flush saves what was noted since the last time.
func (s *Saved) flush() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dirty == 0 {
		return nil
	}
	return s.save()
}

func (s *Saved) noteBatches(b savedBatches) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.Batches = &b
	return s.save()
}

// batches returns the step of the batches, if it was done.
func (s *Saved) batches() *savedBatches {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found == nil {
		return nil
	}
	return s.found.Batches
}

// save needs mu. The file is there whole or as it was before, whenever the program or the machine stops.
func (s *Saved) save() error {
	if err := s.write(); err != nil {
		return fmt.Errorf("%w: %w", errNotSaved, err)
	}
	s.dirty = 0
	return nil
}

func (s *Saved) write() error {
	raw, err := json.Marshal(s.now)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	if raw, err = json.Marshal(sealedProgress{raw, hex.EncodeToString(sum[:])}); err != nil {
		return err
	}
	path := filepath.Join(s.dir, savedFile)
	if err := writeDurably(path+".new", raw); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// errNotSaved ends an audit: whoever wants to go on later has to know that this won't do.
var errNotSaved = errors.New("the state of the audit could not be saved")

func writeDurably(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
