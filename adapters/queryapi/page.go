package queryapi

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// sizeOf returns how many rows a page has at most.
func sizeOf(p *queryv1.Page) (int, error) {
	switch size := p.GetSize(); {
	case size == 0:
		return pageRows, nil
	case size > maxPageRows:
		return 0, wrong("page.size", fmt.Sprintf("want at most %d", maxPageRows))
	default:
		return int(size), nil
	}
}

// turn cuts rows, of which one more than a page was asked for, to a page, and returns the cursor behind it.
func turn[R any](rows []R, size int, place func(last R) string) ([]R, string) {
	if len(rows) <= size {
		return rows, ""
	}
	return rows[:size], place(rows[size-1])
}

// A cursor names the last row of a page by numbers (varints), ids (32 bytes) and words (their length and bytes), behind a
// mark that says whose rows they are. It is opaque to others, and no secret: whoever makes one up gets another page of
// what it may see anyway.

// cursor names a row.
func cursor(mark byte, parts ...any) string {
	raw := []byte{mark}
	for _, part := range parts {
		switch part := part.(type) {
		case int64:
			raw = binary.AppendVarint(raw, part)
		case [32]byte:
			raw = append(raw, part[:]...)
		case string:
			raw = append(binary.AppendVarint(raw, int64(len(part))), part...)
		default:
			panic(fmt.Sprintf("queryapi: a cursor has no %T", part))
		}
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// maxCursorChars is more than the longest cursor has: a name of at most 256 bytes, and an id.
const maxCursorChars = 512

// after reads a page's cursor into *int64, *[32]byte and *string. It is false for the first page.
func after(p *queryv1.Page, mark byte, parts ...any) (bool, error) {
	text := p.GetCursor()
	if text == "" {
		return false, nil
	}
	bad := wrong("page.cursor", "want next_cursor of a page of the same method")
	if len(text) > maxCursorChars {
		return false, bad
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 || raw[0] != mark {
		return false, bad
	}
	raw = raw[1:]
	for _, part := range parts {
		if raw = readPart(raw, part); raw == nil {
			return false, bad
		}
	}
	if len(raw) != 0 {
		return false, bad
	}
	return true, nil
}

// readPart reads one part and returns what is behind it; nil where it is not there.
func readPart(raw []byte, part any) []byte {
	if id, is := part.(*[32]byte); is {
		if len(raw) < len(id) {
			return nil
		}
		copy(id[:], raw)
		return raw[len(id):]
	}
	n, read := binary.Varint(raw)
	if read <= 0 {
		return nil
	}
	raw = raw[read:]
	switch part := part.(type) {
	case *int64:
		*part = n
		return raw
	case *string:
		if n < 0 || n > int64(len(raw)) || !isText(raw[:n]) {
			return nil
		}
		*part = string(raw[:n])
		return raw[n:]
	default:
		panic(fmt.Sprintf("queryapi: a cursor has no %T", part))
	}
}

// isText reports that every store takes the bytes for text.
func isText(b []byte) bool { return utf8.Valid(b) && !bytes.Contains(b, []byte{0}) }
