package seglog

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// A reader that asks whether a log is live holds the lock for a moment; a writer that comes at
	// that moment tries again.
	lockTries = 10
	lockPause = 5 * time.Millisecond
)

// ErrInUse: another process, or another Log of this one, has the folder open for writing.
var ErrInUse = errors.New("log folder is in use")

// lockDir takes the only write lock of a folder. The lock is on the folder itself, so that the
// folder holds nothing but the log, and the kernel drops it when the process dies.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock log folder: %w", err)
	}
	for try := 1; ; try++ {
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock log folder %s: %w", dir, err), f.Close())
		}
		if try == lockTries {
			who := ""
			if pid, ok := lockHolder(f); ok {
				who = " by process " + strconv.Itoa(pid)
			}
			return nil, errors.Join(fmt.Errorf("open log folder %s for writing: %w%s", dir, ErrInUse, who), f.Close())
		}
		<-time.After(lockPause)
	}
}

func (d osDisk) live() (bool, error) {
	f, err := os.Open(string(d))
	if err != nil {
		return false, fmt.Errorf("open log folder: %w", err)
	}
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB)
	closed := f.Close() // drops the lock, too
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, closed
	case err != nil:
		return false, fmt.Errorf("probe the lock of log folder %s: %w", string(d), err)
	}
	return false, closed
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// lockHolder looks the folder up in the kernel's list of locks. It finds nothing if the holder
// lives in another container.
func lockHolder(dir *os.File) (pid int, ok bool) {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return 0, false
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0, false
	}
	defer func() { _ = locks.Close() }() // it was only read
	want := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK  ADVISORY  WRITE 4242 fe:00:131074 0 EOF
		f := strings.Fields(lines.Text())
		if len(f) > 5 && f[1] == "FLOCK" && f[3] == "WRITE" && f[5] == want {
			pid, err := strconv.Atoi(f[4])
			return pid, err == nil && pid > 0
		}
	}
	return 0, false
}
