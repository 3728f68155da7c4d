package localchain

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Snapshot copies a chain that nobody runs into another folder, to be opened and looked at there while the
// original stays untouched. It is ErrInUse where somebody runs the chain, and fs.ErrNotExist where there is
// none. A chain that is started during the copy waits for nothing: it finds the folder in use.
func Snapshot(from, to string) (err error) {
	journal, err := os.Open(filepath.Join(from, JournalName))
	if err != nil {
		return fmt.Errorf("snapshot of local chain: %w", err)
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	if err := unix.Flock(int(journal.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		return fmt.Errorf("snapshot of local chain %s: %w", from, ErrInUse)
	}
	copied, err := os.OpenFile(filepath.Join(to, JournalName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("snapshot of local chain %s: %w", from, err)
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	if _, err := io.Copy(copied, journal); err != nil {
		return fmt.Errorf("snapshot of local chain %s: %w", from, err)
	}
	return nil
}
