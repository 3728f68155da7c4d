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
	"strings"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// A spool is a folder:
//
//	log-000000000001/   a segment log of signed reports, in the order in which they were signed
//	cursor              how far the gateway answered; replaced as a whole
//	network             the network that the reports are for
//	refused.jsonl       what the gateway will never take, and why; for people
//
// When all of a log is answered and it has grown, the cursor is moved to the next log, which is empty,
// and the old one is removed: in this order, so that a crash in between leaves at worst an old log that
// the next open removes.
const (
	cursorName  = "cursor"
	networkName = "network"
	refusedName = "refused.jsonl"
	logPrefix   = "log-"
	// spoolSegmentBytes keeps a young spool small; a spool of 1 GiB has 64 files.
	spoolSegmentBytes = 16 << 20
	// renewBytes is how large a log may grow before it is worth the three syncs of a new one.
	renewBytes = 8 << 20
)

// cursor says how far a spool was answered.
type cursor struct {
	Log    uint64        `json:"log"`
	Offset domain.Offset `json:"offset"` // of the first report in the log that is not answered
	// Sequence is the highest number that was answered; those in the log behind Offset are higher.
	Sequence uint64 `json:"sequence"`
	// RefusedBytes is how long refused.jsonl was then. What is behind belongs to reports that will be
	// answered again, and is cut off when the spool is opened.
	RefusedBytes int64 `json:"refused_bytes"`
}

// spool keeps signed reports until they are answered. It has one owner at a time.
type spool struct {
	dir     string
	now     func() time.Time
	log     *seglog.Log
	refused *os.File
	cursor  cursor
	end     domain.Offset // of the log
	bytes   int64         // of the reports in the log, answered or not
	last    uint64        // the highest number that was ever used
}

// openSpool opens a spool, or makes one. It fails with seglog.ErrInUse if somebody else has it.
func openSpool(ctx context.Context, dir string, now func() time.Time) (_ *spool, err error) {
	s := &spool{dir: dir, now: now}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open spool %s: %w", dir, err), s.close())
		}
	}()
	if err := s.readCursor(); err != nil {
		return nil, err
	}
	locked := s.cursor.Log
	if err := s.openLog(); err != nil { // which makes the spool's own folder, too, durably
		return nil, err
	}
	// Only now is the spool ours. Its owner may have gone on to another log just before we took this one.
	if err := s.readCursor(); err != nil {
		return nil, err
	}
	if s.cursor.Log != locked {
		return nil, seglog.ErrInUse
	}
	if err := s.removeOtherLogs(); err != nil {
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

func (s *spool) logDir() string {
	return filepath.Join(s.dir, fmt.Sprintf("%s%012d", logPrefix, s.cursor.Log))
}

func (s *spool) openLog() (err error) {
	s.log, err = seglog.Open(s.logDir(), seglog.Options{Shards: 1, Now: s.now, SegmentBytes: spoolSegmentBytes})
	return err
}

func (s *spool) removeOtherLogs() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), logPrefix) && entry.Name() != filepath.Base(s.logDir()) {
			if err := os.RemoveAll(filepath.Join(s.dir, entry.Name())); err != nil {
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

// recount finds out what the log holds.
func (s *spool) recount(ctx context.Context) (err error) {
	if s.end, err = s.log.End(ctx, 0); err != nil {
		return err
	}
	if s.end < s.cursor.Offset {
		return fmt.Errorf("the log ends at %d, and was answered up to %d: %w", s.end, s.cursor.Offset, eventstore.ErrGap)
	}
	s.last = s.cursor.Sequence
	return eventstore.Each(ctx, s.log, 0, 0, s.end, func(rec eventstore.Record) error {
		s.bytes += int64(len(rec.Value))
		if rec.Offset < s.cursor.Offset {
			return nil
		}
		report, err := readReport(rec.Value)
		if err != nil {
			return fmt.Errorf("report %d of %s: %w: %w", rec.Offset, s.logDir(), eventstore.ErrCorrupt, err)
		}
		s.last = max(s.last, report.Sequence)
		return nil
	})
}

// readReport decodes a report that we signed.
func readReport(record []byte) (*v1.Report, error) {
	signed, report := &v1.SignedReport{}, &v1.Report{}
	if err := v1.Decode(record, signed); err != nil {
		return nil, err
	}
	return report, v1.Decode(signed.Report, report)
}

// append makes reports durable, all of them or none. After an error other than ErrSpoolFull nobody knows
// which: close the spool and open it again.
func (s *spool) append(ctx context.Context, reports [][]byte) error {
	// A caller who leaves would not know what was kept; a disk takes milliseconds.
	if _, err := s.log.Append(context.WithoutCancel(ctx), 0, reports); err != nil {
		return fmt.Errorf("spool %d reports: %w", len(reports), err)
	}
	s.end += domain.Offset(len(reports))
	for _, r := range reports {
		s.bytes += int64(len(r))
	}
	return nil
}

// waiting is how many reports are not answered yet.
func (s *spool) waiting() int { return int(s.end - s.cursor.Offset) }

// next reads the first reports that are not answered, as many as fit one body.
func (s *spool) next(ctx context.Context) ([][]byte, error) {
	limit := min(s.waiting(), MaxReports)
	records, err := s.log.Read(ctx, 0, s.cursor.Offset, limit)
	if err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("read spool from %d of %d: %w", s.cursor.Offset, s.end, eventstore.ErrGap)
	}
	var reports [][]byte
	size := 0
	for _, rec := range records {
		if size += len(rec.Value); size > MaxBytes && len(reports) > 0 {
			break
		}
		reports = append(reports, rec.Value)
	}
	return reports, nil
}

// answered notes that the gateway answered the next reports, up to a sequence number, and keeps those
// that it refused. If we crash before the cursor is durable, the same reports are sent again, and are
// duplicates then.
func (s *spool) answered(reports int, sequence uint64, refused []byte) error {
	c := s.cursor
	c.Offset += domain.Offset(reports)
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
	return s.moveCursor(c)
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

// renew begins an empty log once all of the old one is answered and it has grown to a size.
func (s *spool) renew(size int64) error {
	if s.waiting() > 0 || s.bytes < size || s.bytes == 0 {
		return nil
	}
	old, oldDir, c := s.log, s.logDir(), s.cursor
	c.Log++
	c.Offset = 0
	if err := s.moveCursor(c); err != nil {
		return err
	}
	s.log, s.end, s.bytes = nil, 0, 0
	// The new log is opened, and so locked, before the old one is let go: the spool is never without owner.
	if err := s.openLog(); err != nil {
		return errors.Join(fmt.Errorf("renew spool: %w", err), old.Close())
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("renew spool: %w", err)
	}
	_ = os.RemoveAll(oldDir) // the next open removes what is left of it
	return nil
}

func (s *spool) close() error {
	var errs []error
	if s.log != nil {
		errs = append(errs, s.log.Close())
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
