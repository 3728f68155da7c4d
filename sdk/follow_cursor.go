package sdk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxCursorBytes bounds a cursor file: a cursor of a thousand shards has 11 KiB.
const maxCursorBytes = 64 << 10

// FileCursor keeps a cursor in a file, durably: each Store costs a sync of the disk. The file is replaced whole,
// so after a crash it holds the old or the new one, and perhaps a ".cursor-" file is left that nobody knows of.
// One follower has one file.
func FileCursor(path string) Cursor { return fileCursor(path) }

type fileCursor string

// Load implements Cursor.
func (path fileCursor) Load(context.Context) (string, error) {
	raw, err := os.ReadFile(string(path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	cursor := strings.TrimSuffix(string(raw), "\n")
	if cursor == "" || len(cursor) > maxCursorBytes || strings.ContainsAny(cursor, "\r\n") {
		return "", fmt.Errorf("%s: want one line with a cursor", string(path))
	}
	return cursor, nil
}

// Store implements Cursor.
func (path fileCursor) Store(_ context.Context, cursor string) (err error) {
	folder := filepath.Dir(string(path))
	file, err := os.CreateTemp(folder, ".cursor-*")
	if err != nil {
		return err
	}
	_, err = file.WriteString(cursor + "\n")
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), string(path))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncFolder(folder)
}
