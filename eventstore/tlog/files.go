package tlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Files is where a tree is published. Names have slashes, and nobody else writes there.
type Files interface {
	// Read returns a file whole; it is fs.ErrNotExist where there is none.
	Read(name string) ([]byte, error)
	// Write makes or replaces a file. Readers see the old content or the new, never a part. After a crash the file
	// has either, until Sync has returned.
	Write(name string, content []byte) error
	// Sync makes all writes before it durable. After an error nothing is known of them.
	Sync() error
	// RemoveAll removes a folder and all in it; it need not be there. It need not be durable.
	RemoveAll(folder string) error
}

// ErrInUse says that another process writes the files.
var ErrInUse = errors.New("another process publishes here")

// Folder keeps files in a folder of the local disk, from where any web server may serve them.
type Folder struct {
	path  string
	lock  *os.File // nil where it is only read
	dirty []string // folders whose names are not durable yet
}

// OpenFolder opens a folder for writing, and makes it if it is missing. It is ErrInUse while another process has it.
func OpenFolder(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o755); err != nil { //nolint:gosec // a web server that runs as another user reads it
		return nil, err
	}
	lock, err := os.Open(path) // the lock is on the folder itself, so that there is nothing in it that is not served
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%s: %w", path, ErrInUse)
		}
		return nil, errors.Join(err, lock.Close())
	}
	return &Folder{path: path, lock: lock}, nil
}

// ReadFolder reads a folder that another process may be writing. It must not be written through this.
func ReadFolder(path string) *Folder { return &Folder{path: path} }

// Close lets another process write.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	return f.lock.Close()
}

// In is a folder within, under the same lock. What is written there is synced there.
func (f *Folder) In(name string) *Folder { return &Folder{path: filepath.Join(f.path, name)} }

// Read implements Files.
func (f *Folder) Read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(f.path, filepath.FromSlash(name)))
}

// Write implements Files.
func (f *Folder) Write(name string, content []byte) (err error) {
	path := filepath.Join(f.path, filepath.FromSlash(name))
	folder := filepath.Dir(path)
	if err := f.mkdir(folder); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(content)
	if err == nil {
		err = temporary.Chmod(0o644)
	}
	if err == nil {
		err = temporary.Sync()
	}
	if err = errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	f.touched(folder)
	return os.Rename(temporary.Name(), path)
}

// mkdir makes a folder and those above it, and notes whose names changed.
func (f *Folder) mkdir(folder string) error {
	if _, err := os.Stat(folder); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(folder)
	if err := f.mkdir(above); err != nil {
		return err
	}
	f.touched(above)
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { //nolint:gosec // as above
		return err
	}
	return nil
}

func (f *Folder) touched(folder string) {
	if !slices.Contains(f.dirty, folder) {
		f.dirty = append(f.dirty, folder)
	}
}

// Sync implements Files.
func (f *Folder) Sync() error {
	for _, folder := range f.dirty {
		opened, err := os.Open(folder)
		if err != nil {
			return err
		}
		if err := errors.Join(opened.Sync(), opened.Close()); err != nil {
			return fmt.Errorf("sync %s: %w", folder, err)
		}
	}
	f.dirty = nil
	return nil
}

// RemoveAll implements Files.
func (f *Folder) RemoveAll(folder string) error {
	return os.RemoveAll(filepath.Join(f.path, filepath.FromSlash(folder)))
}
