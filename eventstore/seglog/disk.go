package seglog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// disk is all that a log asks of a folder. Names have no slashes. Tests break it call by call.
type disk interface {
	// list returns the names and lengths of the files in the folder.
	list() ([]listed, error)
	open(name string, write bool) (file, error)
	// create makes an empty file, or empties the one that is there.
	create(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	// sync makes creations, renames and removals durable.
	sync() error
	// live reports whether somebody has the folder open for writing.
	live() (bool, error)
}

// listed is one file of a folder.
type listed struct {
	name  string
	bytes int64
}

// file is all that a log asks of one file. WriteAt writes all of p or fails. Sync makes written
// bytes and the length durable; after it failed, nothing that was written since the last one that
// did not may be trusted, and calling it again proves nothing.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// osDisk is a folder of the operating system.
type osDisk string

func (d osDisk) list() ([]listed, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("list log folder: %w", err)
	}
	files := make([]listed, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // a live writer renamed it meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list log folder: %w", err)
		}
		files = append(files, listed{name: e.Name(), bytes: info.Size()})
	}
	return files, nil
}

func (d osDisk) open(name string, write bool) (file, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(filepath.Join(string(d), name), flag, 0)
	if err != nil {
		return nil, fmt.Errorf("open log file: %w", err)
	}
	return osFile{f}, nil
}

func (d osDisk) create(name string) (file, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create log file: %w", err)
	}
	return osFile{f}, nil
}

func (d osDisk) rename(from, to string) error {
	if err := os.Rename(filepath.Join(string(d), from), filepath.Join(string(d), to)); err != nil {
		return fmt.Errorf("name log file: %w", err)
	}
	return nil
}

func (d osDisk) remove(name string) error {
	if err := os.Remove(filepath.Join(string(d), name)); err != nil {
		return fmt.Errorf("remove log file: %w", err)
	}
	return nil
}

func (d osDisk) sync() error {
	f, err := os.Open(string(d))
	if err != nil {
		return fmt.Errorf("sync log folder: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// osFile is a file whose Sync leaves out what reading it back does not need, such as its times.
type osFile struct{ *os.File }

func (f osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if errors.Is(err, unix.EINTR) {
			continue // interrupted before it began: this is not the failed sync that must not be repeated
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}
