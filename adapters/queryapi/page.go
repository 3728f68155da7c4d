package queryapi

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

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

// A cursor is the numbers of the last row of a page, as varints, behind a mark that says whose rows they are. It is
// opaque to others, and no secret: whoever makes one up gets another page of what it may see anyway.

// cursor names a row.
func cursor(mark byte, numbers ...int64) string {
	raw := []byte{mark}
	for _, n := range numbers {
		raw = binary.AppendVarint(raw, n)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// maxCursorChars is more than the longest cursor has.
const maxCursorChars = 128

// after reads a page's cursor into numbers. It is false for the first page.
func after(p *queryv1.Page, mark byte, numbers ...*int64) (bool, error) {
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
	for _, to := range numbers {
		n, read := binary.Varint(raw)
		if read <= 0 {
			return false, bad
		}
		*to, raw = n, raw[read:]
	}
	if len(raw) != 0 {
		return false, bad
	}
	return true, nil
}
