package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// A spool is a folder:
//
//	log-000000000001/   segment logs of signed reports, in the order in which they were signed; their
//	log-000000000002/   numbers follow each other, the last one is written, and the first one is sent
//	cursor              how far the gateway answered; replaced as a whole
//	network             the network that the reports are for
//	refused.jsonl       what the gateway will never take, and why; for people
//
// When all of a log is answered and there is a next one, the cursor moves there, and then the log is
// removed: a crash in between leaves at worst an old log that the next open removes.
const (
	cursorName  = "cursor"
	networkName = "network"
	refusedName = "refused.jsonl"
	logPrefix   = "log-"
	// spoolLogs is how many logs a full spool has: answered reports leave the disk a sixteenth of it at a
	// time, and sixteen logs are some seventy open files.
	spoolLogs = 16
	// spoolSegmentBytes is more than a log of the default spool, so it is one file.
	spoolSegmentBytes = 32 << 20
	// appendReports and appendBytes bound one append to a log, well within what it takes at once.
	appendReports = 1000
	appendBytes   = 8 << 20
)

// cursor says how far a spool was answered.
type cursor struct {
	Log    uint64        `json:"log"`
	Offset domain.Offset `json:"offset"` // of the first report in the log that is not answered
	// Sequence is the highest number that was answered; those in the logs behind Offset are higher.
	Sequence uint64 `json:"sequence"`
	// RefusedBytes is how long refused.jsonl was then. What is behind belongs to reports that will be
	// answered again, and is cut off when the spool is opened.
	RefusedBytes int64 `json:"refused_bytes"`
}

// spool keeps signed reports until they are answered. One goroutine at a time may append, and another may
// read and answer. After an error of either nobody knows what is on the disk: close it and open it again.
type spool struct {
	dir      string
	now      func() time.Time
	logBytes int64 // a log as long as this is followed by another
	refused  *os.File
	cursor   cursor // of who answers
	last     uint64 // the highest number that was used before the spool was opened

	mu    sync.Mutex // guards all below
	logs  []*spoolLog
	count int   // reports that are not answered
	bytes int64 // of these
	gone  int   // reports that were answered since the spool was opened
}

// spoolLog is one of the logs.
type spoolLog struct {
	number uint64
	*seglog.Log
	end   domain.Offset
	bytes int64 // of its reports, answered or not; of who appends
}

// openSpool opens a spool, or makes one, that is to hold about so many bytes. It fails with seglog.ErrInUse
// if somebody else has it.
func openSpool(ctx context.Context, dir string, most int64, now func() time.Time) (_ *spool, err error) {
	s := &spool{dir: dir, now: now, logBytes: most / spoolLogs}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open spool %s: %w", dir, err), s.close())
		}
	}()
	if err := s.readCursor(); err != nil {
		return nil, err
	}
	locked := s.cursor.Log
	if err := s.openLog(locked); err != nil { // which makes the spool's own folder, too, durably
		return nil, err
	}
	// Only now is the spool ours. Its owner may have gone on to another log just before we took this one.
	if err := s.readCursor(); err != nil {
		return nil, err
	}
	if s.cursor.Log != locked {
		return nil, seglog.ErrInUse
	}
	if err := s.openOtherLogs(); err != nil {
		return nil, err
	}
	if err := s.openRefused(); err != nil {
		return nil, err
	}
	return s, s.recount(ctx)
}

func (s *spool) readCursor() error {
	raw, err := os.ReadFile(filepath.Join(s.dir, cursorName))
	if errors.Is(err, fs.ErrNotExist) {
		s.cursor = cursor{Log: 1}
		return nil
	}
	if err != nil {
		return err
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	var c cursor
	if err := strict.Decode(&c); err != nil || c.Log == 0 || c.Offset < 0 || c.RefusedBytes < 0 {
		return fmt.Errorf("cursor %q is damaged: %w", raw, errors.Join(err, eventstore.ErrCorrupt))
	}
	s.cursor = c
	return nil
}

func (s *spool) logDir(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s%012d", logPrefix, number))
}

// openLog opens the log behind those that are open, or makes it.
func (s *spool) openLog(number uint64) error {
	log, err := seglog.Open(s.logDir(number), seglog.Options{Shards: 1, Now: s.now, SegmentBytes: spoolSegmentBytes})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = append(s.logs, &spoolLog{number: number, Log: log})
	return nil
}

// openOtherLogs opens the logs behind the cursor's, and removes those before it.
func (s *spool) openOtherLogs() error {
	entries, err := os.ReadDir(s.dir) // sorted by name, and so by number
	if err != nil {
		return err
	}
	for _, entry := range entries {
		digits, isLog := strings.CutPrefix(entry.Name(), logPrefix)
		number, err := strconv.ParseUint(digits, 10, 64)
		if !isLog || err != nil {
			continue
		}
		switch next := s.logs[len(s.logs)-1].number + 1; {
		case number < s.cursor.Log:
			if err := os.RemoveAll(filepath.Join(s.dir, entry.Name())); err != nil {
				return err
			}
		case number > next:
			return fmt.Errorf("there is %s where log %d belongs: %w", entry.Name(), next, eventstore.ErrGap)
		case number == next:
			if err := s.openLog(number); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *spool) openRefused() (err error) {
	if s.refused, err = os.OpenFile(filepath.Join(s.dir, refusedName), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	info, err := s.refused.Stat()
	if err != nil || info.Size() <= s.cursor.RefusedBytes {
		return err
	}
	return s.refused.Truncate(s.cursor.RefusedBytes)
}

// recount finds out what the logs hold.
func (s *spool) recount(ctx context.Context) (err error) {
	s.last = s.cursor.Sequence
	answered := s.cursor.Offset // of the first log
	for _, l := range s.logs {
		if l.end, err = l.End(ctx, 0); err != nil {
			return err
		}
		if l.end < answered {
			return fmt.Errorf("log %d ends at %d, and was answered up to %d: %w", l.number, l.end, answered, eventstore.ErrGap)
		}
		err = eventstore.Each(ctx, l, 0, 0, l.end, func(rec eventstore.Record) error {
			l.bytes += int64(len(rec.Value))
			if rec.Offset < answered {
				return nil
			}
			report, err := readReport(rec.Value)
			if err != nil {
				return fmt.Errorf("report %d of %s: %w: %w", rec.Offset, s.logDir(l.number), eventstore.ErrCorrupt, err)
			}
			s.count, s.bytes = s.count+1, s.bytes+int64(len(rec.Value))
			s.last = max(s.last, report.Sequence)
			return nil
		})
		if err != nil {
			return err
		}
		answered = 0
	}
	return nil
}

// readReport decodes a report that we signed.
func readReport(record []byte) (*v1.Report, error) {
	signed, report := &v1.SignedReport{}, &v1.Report{}
	if err := v1.Decode(record, signed); err != nil {
		return nil, err
	}
	return report, v1.Decode(signed.Report, report)
}

// append makes reports durable. After an error nobody knows which.
func (s *spool) append(ctx context.Context, reports [][]byte) error {
	for len(reports) > 0 {
		n, size := firstFew(reports, appendReports, appendBytes)
		l, err := s.growing()
		if err != nil {
			return fmt.Errorf("begin another log of spool %s: %w", s.dir, err)
		}
		// A caller who leaves would not know what was kept; a disk takes milliseconds.
		if _, err := l.Append(context.WithoutCancel(ctx), 0, reports[:n]); err != nil {
			return fmt.Errorf("spool %d reports: %w", n, err)
		}
		l.bytes += size
		s.mu.Lock()
		l.end += domain.Offset(n)
		s.count, s.bytes = s.count+n, s.bytes+size
		s.mu.Unlock()
		reports = reports[n:]
	}
	return nil
}

// growing is the log to append to.
func (s *spool) growing() (*spoolLog, error) {
	last := func() *spoolLog {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.logs[len(s.logs)-1]
	}
	l := last()
	if l.bytes == 0 || l.bytes < s.logBytes {
		return l, nil
	}
	if err := s.openLog(l.number + 1); err != nil {
		return nil, err
	}
	return last(), nil
}

// firstFew is how many reports may go together, one at least, and their bytes.
func firstFew(reports [][]byte, mostReports int, mostBytes int64) (n int, size int64) {
	for n < len(reports) && n < mostReports && (n == 0 || size+int64(len(reports[n])) <= mostBytes) {
		size += int64(len(reports[n]))
		n++
	}
	return n, size
}

// waiting is how many reports are not answered yet, and their bytes.
func (s *spool) waiting() (reports int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.bytes
}

// done is how many reports were answered since the spool was opened, and end how many will have been when
// all is that is in it now.
func (s *spool) done() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

func (s *spool) end() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone + s.count
}

// next reads the first reports that are not answered, as many as fit one body. There must be one.
func (s *spool) next(ctx context.Context) ([][]byte, error) {
	first, end, err := s.sending()
	if err != nil {
		return nil, err
	}
	records, err := first.Read(ctx, 0, s.cursor.Offset, int(min(end-s.cursor.Offset, MaxReports)))
	if err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("read spool from %d of %d: %w", s.cursor.Offset, end, eventstore.ErrGap)
	}
	reports := make([][]byte, len(records))
	for i, rec := range records {
		reports[i] = rec.Value
	}
	n, _ := firstFew(reports, MaxReports, MaxBytes)
	return reports[:n], nil
}

// sending is the log that has the next report, and where it ends. Logs that are answered are removed on
// the way.
func (s *spool) sending() (*spoolLog, domain.Offset, error) {
	for {
		s.mu.Lock()
		first, end := s.logs[0], s.logs[0].end
		s.mu.Unlock()
		if s.cursor.Offset < end {
			return first, end, nil
		}
		// The next log is open, and so locked, before the old one is let go: the spool is never without owner.
		c := s.cursor
		c.Log, c.Offset = first.number+1, 0
		if err := s.moveCursor(c); err != nil {
			return nil, 0, err
		}
		s.mu.Lock()
		s.logs = slices.Delete(s.logs, 0, 1)
		s.mu.Unlock()
		if err := first.Close(); err != nil {
			return nil, 0, fmt.Errorf("close an answered log of the spool: %w", err)
		}
		_ = os.RemoveAll(s.logDir(first.number)) // the next open removes what is left of it
	}
}

// answered notes that the gateway answered the next reports, up to a sequence number, and keeps those
// that it refused. If we crash before the cursor is durable, the same reports are sent again, and are
// duplicates then.
func (s *spool) answered(reports [][]byte, sequence uint64, refused []byte) error {
	c := s.cursor
	c.Offset += domain.Offset(len(reports))
	c.Sequence = max(c.Sequence, sequence)
	if len(refused) > 0 {
		if _, err := s.refused.Write(refused); err != nil {
			return fmt.Errorf("keep refused reports: %w", err)
		}
		if err := s.refused.Sync(); err != nil {
			return fmt.Errorf("keep refused reports: %w", err)
		}
	}
	info, err := s.refused.Stat()
	if err != nil {
		return err
	}
	c.RefusedBytes = info.Size()
	if err := s.moveCursor(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count -= len(reports)
	s.gone += len(reports)
	for _, r := range reports {
		s.bytes -= int64(len(r))
	}
	return nil
}

func (s *spool) moveCursor(c cursor) error {
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := replaceFile(s.dir, cursorName, append(raw, '\n')); err != nil {
		return fmt.Errorf("move cursor: %w", err)
	}
	s.cursor = c
	return nil
}

// close lets the logs go, the first one last: whoever gets that one gets all.
func (s *spool) close() error {
	var errs []error
	for _, l := range slices.Backward(s.logs) {
		errs = append(errs, l.Close())
	}
	if s.refused != nil {
		errs = append(errs, s.refused.Close())
	}
	return errors.Join(errs...)
}

// replaceFile gives a file new contents, durably and as a whole: a crash leaves the old or the new.
func replaceFile(dir, name string, contents []byte) (err error) {
	path := filepath.Join(dir, name)
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(contents)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
