package filaturev1

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

var update = flag.Bool("update", false, "rewrite testdata/golden.txt from the samples")

const goldenPath = "testdata/golden.txt"

const goldenHeader = `# One message per block: its name, its bytes in hexadecimal, and what they say.
# A claim is a SignedReport; its text is the Report inside, and its signature is good under the key
# whose seed is 32 bytes of 7. An entry or fact is an Entry. A message is what its name says.
# "full" has every field set, "least" as little as the schema allows. Numbers mean nothing.
# Old blocks must decode for ever. After a new event type: go test ./schemas/filature/v1 -update
`

// golden is one block of the golden file.
type golden struct {
	name  string
	bytes []byte
	text  string
}

func (g golden) isClaim() bool { return strings.HasPrefix(g.name, "claim ") }

// decode reads a golden record, and the report inside of a claim's.
func (g golden) decode(t testing.TB) (body, text Message) {
	t.Helper()
	if !g.isClaim() {
		body := Message(new(Entry))
		if of, ok := strings.CutPrefix(g.name, "message "); ok {
			name, _, _ := strings.Cut(of, " ")
			body = newNamed(protoreflect.Name(name))
		}
		if err := Decode(g.bytes, body); err != nil {
			t.Fatalf("%s: %v", g.name, err)
		}
		return body, body
	}
	signed, report := new(SignedReport), new(Report)
	if err := Decode(g.bytes, signed); err != nil {
		t.Fatalf("%s: %v", g.name, err)
	}
	if err := Decode(signed.Report, report); err != nil {
		t.Fatalf("%s: %v", g.name, err)
	}
	return signed, report
}

func readGoldens(t testing.TB) []golden {
	t.Helper()
	file, err := os.Open(goldenPath)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var goldens []golden
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "name":
			goldens = append(goldens, golden{name: value})
		case "bytes":
			if goldens[len(goldens)-1].bytes, err = hex.DecodeString(value); err != nil {
				t.Fatalf("%s: %v", goldens[len(goldens)-1].name, err)
			}
		case "text":
			goldens[len(goldens)-1].text = value
		default:
			t.Fatalf("%s: line %q", goldenPath, line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return goldens
}

func TestGoldenFileIsWhatTheSamplesEncodeTo(t *testing.T) {
	var made bytes.Buffer
	made.WriteString(goldenHeader)
	for _, r := range sampleRecords(t) {
		fmt.Fprintf(&made, "\nname %s\nbytes %x\ntext %s\n", r.name, mustEncode(t, r.body), jsonOf(r.text))
	}
	if *update {
		if err := os.WriteFile(goldenPath, made.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(goldenPath)
	if err != nil {
		t.Fatal(err)
	}
	haveLines, madeLines := strings.Split(string(have), "\n"), strings.Split(made.String(), "\n")
	for i := range min(len(haveLines), len(madeLines)) {
		if haveLines[i] != madeLines[i] {
			t.Fatalf("%s:%d: have\n%s\nmade\n%s\nif that is meant: go test -update", goldenPath, i+1, haveLines[i], madeLines[i])
		}
	}
	if len(haveLines) != len(madeLines) {
		t.Fatalf("%s has %d lines, made %d", goldenPath, len(haveLines), len(madeLines))
	}
}

func TestGoldenBytesDecodeAndEncodeToThemselves(t *testing.T) {
	for _, g := range readGoldens(t) {
		t.Run(g.name, func(t *testing.T) {
			body, text := g.decode(t)
			if again := mustEncode(t, body); !bytes.Equal(again, g.bytes) {
				t.Errorf("encoded again:\n%x, want\n%x", again, g.bytes)
			}
			if got := jsonOf(text); got != g.text {
				t.Errorf("text:\n%s, want\n%s", got, g.text)
			}
			// Google's encoder knows nothing of our generated one.
			official, err := proto.MarshalOptions{Deterministic: true}.Marshal(body.(proto.Message))
			if err != nil || !bytes.Equal(official, g.bytes) {
				t.Errorf("google's encoder: %v\n%x, want\n%x", err, official, g.bytes)
			}
			signed, ok := body.(*SignedReport)
			if !ok {
				return
			}
			message := append([]byte("filature/report/v1\x00"), signed.Report...)
			if !ed25519.Verify(text.(*Report).Signer, message, signed.Signature) {
				t.Error("the signature is bad")
			}
		})
	}
}

// TestEveryTypeAndFieldHasAGolden fails when somebody adds a message, a field or a kind of claim or
// fact and no golden shows its bytes.
func TestEveryTypeAndFieldHasAGolden(t *testing.T) {
	shown := map[protoreflect.FullName]bool{}
	var walk func(protoreflect.Message)
	walk = func(m protoreflect.Message) {
		shown[m.Descriptor().FullName()] = true
		m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			shown[field.FullName()] = true
			switch {
			case field.Kind() != protoreflect.MessageKind:
			case field.IsList():
				for i := range value.List().Len() {
					walk(value.List().Get(i).Message())
				}
			default:
				walk(value.Message())
			}
			return true
		})
	}
	for _, g := range readGoldens(t) {
		body, text := g.decode(t)
		walk(body.(proto.Message).ProtoReflect())
		walk(text.(proto.Message).ProtoReflect())
	}
	messages := 0
	everyMessageType(func(m protoreflect.MessageDescriptor) {
		messages++
		if !shown[m.FullName()] {
			t.Errorf("no golden has a %s", m.FullName())
			return
		}
		for i := range m.Fields().Len() {
			if name := m.Fields().Get(i).FullName(); !shown[name] {
				t.Errorf("no golden has a %s", name)
			}
		}
	})
	if messages < 50 {
		t.Errorf("looked at %d types only", messages)
	}
}

// everyMessageType visits all message types of the package.
func everyMessageType(visit func(protoreflect.MessageDescriptor)) {
	protoregistry.GlobalFiles.RangeFilesByPackage("filature.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Messages().Len() {
			visit(file.Messages().Get(i))
		}
		return true
	})
}

func jsonOf(m Message) string { return string(AppendJSON(nil, m.(proto.Message))) }
