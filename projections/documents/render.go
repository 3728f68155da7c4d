package documents

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// Format is how a document is written down.
type Format string

// Formats.
const (
	HTML Format = "html"
	CSV  Format = "csv"
	JSON Format = "json"
)

// MediaType is what a web server says of a format.
func (f Format) MediaType() string {
	switch f {
	case HTML:
		return "text/html; charset=utf-8"
	case CSV:
		return "text/csv; charset=utf-8"
	case JSON:
		return "application/json"
	default:
		return ""
	}
}

// Document is one of *queryv1.Statement, *queryv1.Invoice and *queryv1.TrialBalance.
type Document interface {
	proto.Message
	GetHeading() *queryv1.Heading
}

// Write writes a document. The same document is the same bytes, always.
func Write(to io.Writer, document Document, format Format) error {
	switch format {
	case HTML:
		return writeHTML(to, document)
	case CSV:
		return writeCSV(to, document)
	case JSON:
		return writeJSON(to, document)
	default:
		return fmt.Errorf("format %q: want html, csv or json", format)
	}
}

// writeJSON writes what the API answers, indented. The library varies its blanks on purpose, so they are taken out.
func writeJSON(to io.Writer, document proto.Message) error {
	said, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(document)
	if err != nil {
		return fmt.Errorf("write as JSON: %w", err)
	}
	var compact, indented bytes.Buffer
	if err := json.Compact(&compact, said); err != nil {
		return fmt.Errorf("write as JSON: %w", err)
	}
	if err := json.Indent(&indented, compact.Bytes(), "", "  "); err != nil {
		return fmt.Errorf("write as JSON: %w", err)
	}
	indented.WriteByte('\n')
	_, err = to.Write(indented.Bytes())
	return err
}
