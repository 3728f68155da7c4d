package filaturev1

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"
)

// The claim of all three: bytes that are accepted are the one encoding of what they mean, and
// Google's own parser, which is lenient, reads the same value out of them.

func FuzzDecodeSignedReport(f *testing.F) {
	for _, g := range readGoldens(f) {
		if g.isClaim() {
			f.Add(g.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) { fuzzDecode(t, raw, new(SignedReport), new(SignedReport)) })
}

func FuzzDecodeReport(f *testing.F) {
	for _, g := range readGoldens(f) {
		if _, report := g.decode(f); g.isClaim() {
			f.Add(mustEncode(f, report))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) { fuzzDecode(t, raw, new(Report), new(Report)) })
}

func FuzzDecodeEntry(f *testing.F) {
	for _, g := range readGoldens(f) {
		if !g.isClaim() {
			f.Add(g.bytes)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) { fuzzDecode(t, raw, new(Entry), new(Entry)) })
}

func fuzzDecode(t *testing.T, raw []byte, into Message, official proto.Message) {
	if Decode(raw, into) != nil {
		return
	}
	again, err := Encode(into)
	if err != nil || !bytes.Equal(again, raw) {
		t.Fatalf("accepted %x, encodes to %x, %v", raw, again, err)
	}
	if err := proto.Unmarshal(raw, official); err != nil {
		t.Fatalf("google's parser refuses %x: %v", raw, err)
	}
	if !proto.Equal(official, into.(proto.Message)) {
		t.Fatalf("google's parser reads %v, ours %v", official, into)
	}
}

func FuzzParseClaim(f *testing.F) {
	for _, g := range readGoldens(f) {
		if _, report := g.decode(f); g.isClaim() {
			f.Add(AppendJSON(nil, report.(*Report).Claims[0]))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		claim, err := ParseClaim(line)
		if err != nil {
			return
		}
		again, err := ParseClaim(AppendJSON(nil, claim))
		if err != nil || !proto.Equal(claim, again) {
			t.Fatalf("%s means %v, printed and parsed again %v, %v", line, claim, again, err)
		}
	})
}
