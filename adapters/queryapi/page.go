package queryapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// listing is a list that is told in pages. A page goes on behind the last row of the one before, wherever that stands by then, so
// rows that come meanwhile neither shift nor double others.
type listing[Row, Message any] struct {
	// mark tells cursors of this list from those of others.
	mark byte
	// place points at what gives a row its place in the list. A cursor names the place of the last row of a page.
	place func(*Row) []any
	// first stands before all rows, where the zero row does not.
	first Row
	// rows returns rows behind one, of which only the place is known, and refuses who may not see them.
	rows    func(ctx context.Context, r projections.Reader, after Row, limit int) ([]Row, error)
	message func(Row) Message
}

// paged is a question for a page.
type paged interface {
	GetReading() *queryv1.Reading
	GetPage() *queryv1.Page
}

// list returns the page that is asked for, from where it was read, and the cursor of the next one.
func list[Row, Message any](
	ctx context.Context, s *server, asked paged, of listing[Row, Message],
) (at *queryv1.Position, page []Message, next string, err error) {
	size, err := sizeOf(asked.GetPage())
	if err != nil {
		return nil, nil, "", err
	}
	last := of.first
	if err := readCursor(asked.GetPage().GetCursor(), of.mark, of.place(&last)); err != nil {
		return nil, nil, "", err
	}
	var rows []Row
	at, err = answer(ctx, s, asked.GetReading(), func(r projections.Reader, at *queryv1.Position) (_ *queryv1.Position, err error) {
		rows, err = of.rows(ctx, r, last, size+1) // the one too many tells that there is another page
		return at, err
	})
	if err != nil {
		return nil, nil, "", err
	}
	if len(rows) > size {
		rows = rows[:size]
		next = cursor(of.mark, of.place(&rows[size-1]))
	}
	return at, each(rows, of.message), next, nil
}

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

// A cursor names the last row of a page by numbers (varints), ids (32 bytes) and words (their length and bytes), behind a
// mark that says whose rows they are. It is opaque to others, and no secret: whoever makes one up gets another page of
// what it may see anyway.

// cursor names a place by what the parts point at.
func cursor(mark byte, parts []any) string {
	raw := []byte{mark}
	for _, part := range parts {
		switch part := reflect.ValueOf(part).Elem(); part.Kind() { //nolint:exhaustive // a cursor has no others
		case reflect.Int32, reflect.Int64:
			raw = binary.AppendVarint(raw, part.Int())
		case reflect.Uint32, reflect.Uint64:
			raw = binary.AppendUvarint(raw, part.Uint())
		case reflect.String:
			raw = append(binary.AppendUvarint(raw, uint64(part.Len())), part.String()...)
		case reflect.Array:
			raw = append(raw, part.Bytes()...)
		default:
			panic(fmt.Sprintf("queryapi: a cursor has no %s", part.Type()))
		}
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// maxCursorChars is more than the longest cursor has: a name of at most 256 bytes, and an id.
const maxCursorChars = 512

// readCursor reads a cursor into what the parts point at. That of the first page, "", leaves them as they are.
func readCursor(text string, mark byte, parts []any) error {
	if text == "" {
		return nil
	}
	bad := wrong("page.cursor", "want next_cursor of a page of the same method")
	if len(text) > maxCursorChars {
		return bad
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 || raw[0] != mark {
		return bad
	}
	raw = raw[1:]
	for _, part := range parts {
		n := readPart(raw, reflect.ValueOf(part).Elem())
		if n <= 0 {
			return bad
		}
		raw = raw[n:]
	}
	if len(raw) != 0 {
		return bad
	}
	return nil
}

// readPart reads one part and returns how many bytes it has, or less than one where it is not there. A number is none that no
// store can hold.
func readPart(raw []byte, into reflect.Value) int {
	switch into.Kind() { //nolint:exhaustive // a cursor has no others
	case reflect.Int32, reflect.Int64:
		number, n := binary.Varint(raw)
		if into.OverflowInt(number) {
			return 0
		}
		into.SetInt(number)
		return n
	case reflect.Uint32, reflect.Uint64:
		number, n := binary.Uvarint(raw)
		if into.OverflowUint(number) || int64(number) < 0 {
			return 0
		}
		into.SetUint(number)
		return n
	case reflect.String:
		size, n := binary.Uvarint(raw)
		if n <= 0 || size > uint64(len(raw)-n) || !isText(raw[n:][:size]) {
			return 0
		}
		into.SetString(string(raw[n:][:size]))
		return n + int(size)
	case reflect.Array:
		if len(raw) < into.Len() {
			return 0
		}
		return reflect.Copy(into, reflect.ValueOf(raw))
	default:
		panic(fmt.Sprintf("queryapi: a cursor has no %s", into.Type()))
	}
}

// isText reports that every store takes the bytes for text.
func isText(b []byte) bool { return utf8.Valid(b) && !bytes.Contains(b, []byte{0}) }
