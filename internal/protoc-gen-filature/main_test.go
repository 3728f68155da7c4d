package main

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	typeBytes   = descriptorpb.FieldDescriptorProto_TYPE_BYTES
	typeString  = descriptorpb.FieldDescriptorProto_TYPE_STRING
	typeInt64   = descriptorpb.FieldDescriptorProto_TYPE_INT64
	typeDouble  = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE
	typeFixed   = descriptorpb.FieldDescriptorProto_TYPE_FIXED64
	typeMessage = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
)

// A schema that forgets a bound, or uses what has no place in an event, must not build.
func TestASchemaWithoutBoundsDoesNotBuild(t *testing.T) {
	repeated := func(f *descriptorpb.FieldDescriptorProto) {
		f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	}
	option := func(number protowire.Number, value uint64) func(*descriptorpb.FieldDescriptorProto) {
		return func(f *descriptorpb.FieldDescriptorProto) {
			if f.Options == nil {
				f.Options = new(descriptorpb.FieldOptions)
			}
			raw := protowire.AppendTag(f.Options.ProtoReflect().GetUnknown(), number, protowire.VarintType)
			f.Options.ProtoReflect().SetUnknown(protowire.AppendVarint(raw, value))
		}
	}
	size, limit, optional := option(optionSize, 32), option(optionMax, 8), option(optionOptional, 1)

	for _, c := range []struct {
		name    string
		kind    descriptorpb.FieldDescriptorProto_Type
		options []func(*descriptorpb.FieldDescriptorProto)
		want    string // empty: it builds
	}{
		{"bytes with a size", typeBytes, with(size), ""},
		{"bytes with a size, or empty", typeBytes, with(size, optional), ""},
		{"bytes with a max", typeBytes, with(limit), ""},
		{"bytes", typeBytes, nil, "a bytes field needs a size or a max"},
		{"optional bytes without a size", typeBytes, with(limit, optional), "optional is for bytes of one size"},
		{"a string with a max", typeString, with(limit), ""},
		{"a string", typeString, nil, "a string needs a max"},
		{"a string with a size", typeString, with(limit, size), "a size is for bytes, not for string"},
		{"a number", typeInt64, nil, ""},
		{"a number with a max", typeInt64, with(limit), "a max is for bytes, strings and repeated fields"},
		{"an optional number", typeInt64, with(optional), "optional is for bytes of one size"},
		{"numbers with a max", typeInt64, with(repeated, limit), ""},
		{"numbers", typeInt64, with(repeated), "a repeated field needs a max"},
		{"bytes of one size, with a max", typeBytes, with(repeated, limit, size), ""},
		{"many bytes without a size", typeBytes, with(repeated, limit), "repeated bytes need a size"},
		{"many bytes without a max", typeBytes, with(repeated, size), "a repeated field needs a max"},
		{"many optional bytes", typeBytes, with(repeated, limit, size, optional), "a repeated field is optional by itself"},
		{"many strings", typeString, with(repeated, limit), "repeated strings have no bound"},
		{"messages with a max", typeMessage, with(repeated, limit), ""},
		{"messages", typeMessage, with(repeated), "a repeated field needs a max"},
		{"a float", typeDouble, nil, "double is not allowed in an event"},
		{"floats", typeDouble, with(repeated, limit), "double is not allowed in an event"},
		{"a fixed width", typeFixed, nil, "fixed64 is not allowed in an event"},
		{"a message", typeMessage, nil, ""},
		{"a number in a oneof", typeInt64, with(func(f *descriptorpb.FieldDescriptorProto) {
			f.OneofIndex = proto.Int32(0)
		}), "a oneof holds messages only"},
		{"the keyword optional", typeInt64, with(func(f *descriptorpb.FieldDescriptorProto) {
			f.OneofIndex, f.Proto3Optional = proto.Int32(0), proto.Bool(true)
		}), "use the option, not the keyword optional"},
	} {
		t.Run(c.name, func(t *testing.T) {
			field := &descriptorpb.FieldDescriptorProto{
				Name: proto.String("field"), Number: proto.Int32(1), Type: c.kind.Enum(),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}
			if c.kind == typeMessage {
				field.TypeName = proto.String(".test.Empty")
			}
			for _, apply := range c.options {
				apply(field)
			}
			subject := &descriptorpb.DescriptorProto{
				Name: proto.String("Subject"), Field: []*descriptorpb.FieldDescriptorProto{field},
			}
			if field.OneofIndex != nil {
				subject.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: proto.String("_field")}}
			}
			wantError(t, generateFor(t, subject), c.want)
		})
	}
}

func TestNestedMessagesAndMapsDoNotBuild(t *testing.T) {
	subject := &descriptorpb.DescriptorProto{
		Name:       proto.String("Subject"),
		NestedType: []*descriptorpb.DescriptorProto{{Name: proto.String("Inner")}},
	}
	wantError(t, generateFor(t, subject), "neither nested messages nor maps are allowed")
}

func TestAMessageThatContainsItselfDoesNotBuild(t *testing.T) {
	subject := &descriptorpb.DescriptorProto{
		Name: proto.String("Subject"),
		Field: []*descriptorpb.FieldDescriptorProto{{
			Name: proto.String("again"), Number: proto.Int32(1), Type: typeMessage.Enum(), TypeName: proto.String(".test.Subject"),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}},
	}
	wantError(t, generateFor(t, subject), "a message must not contain itself")
}

// TestGeneratedChecksAreCurrent runs the generator over the schema that is compiled into this test
// and compares with the files in the tree.
func TestGeneratedChecksAreCurrent(t *testing.T) {
	var files []*descriptorpb.FileDescriptorProto
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		files = append(files, unresolved(t, protodesc.ToFileDescriptorProto(file)))
	}
	protoregistry.GlobalFiles.RangeFilesByPackage(v1.File_filature_v1_report_proto.Package(),
		func(file protoreflect.FileDescriptor) bool {
			add(file)
			return true
		})

	plugin := newPlugin(t, files)
	for _, file := range plugin.Files {
		if strings.HasPrefix(file.Desc.Path(), "filature/v1/") && len(file.Messages)+len(file.Enums) != 0 {
			if err := generate(plugin, file); err != nil {
				t.Fatal(err)
			}
		}
	}
	var compared []string
	for _, made := range plugin.Response().File {
		have, err := os.ReadFile("../../schemas/filature/v1/" + path.Base(made.GetName()))
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != made.GetContent() {
			t.Errorf("%s is not what the generator makes of the schema: run make generate", made.GetName())
		}
		compared = append(compared, "../../schemas/filature/v1/"+path.Base(made.GetName()))
	}
	inTree, err := filepath.Glob("../../schemas/filature/v1/*_check.pb.go")
	slices.Sort(compared)
	if err != nil || !slices.Equal(compared, inTree) {
		t.Errorf("compared %v, in the tree are %v, %v", compared, inTree, err)
	}
}

// unresolved returns a copy whose options are raw bytes, as the plugin gets them: it does not import
// the package with our options.
func unresolved(t *testing.T, file *descriptorpb.FileDescriptorProto) *descriptorpb.FileDescriptorProto {
	t.Helper()
	raw, err := proto.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	again := new(descriptorpb.FileDescriptorProto)
	if err := (proto.UnmarshalOptions{Resolver: new(protoregistry.Types)}).Unmarshal(raw, again); err != nil {
		t.Fatal(err)
	}
	return again
}

func generateFor(t *testing.T, subject *descriptorpb.DescriptorProto) error {
	t.Helper()
	plugin := newPlugin(t, []*descriptorpb.FileDescriptorProto{{
		Name: proto.String("test.proto"), Package: proto.String("test"), Syntax: proto.String("proto3"),
		Options:     &descriptorpb.FileOptions{GoPackage: proto.String("example.com/test")},
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Empty")}, subject},
	}})
	return generate(plugin, plugin.Files[0])
}

func newPlugin(t *testing.T, files []*descriptorpb.FileDescriptorProto) *protogen.Plugin {
	t.Helper()
	var names []string
	for _, file := range files {
		names = append(names, file.GetName())
	}
	plugin, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: names,
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      files,
	})
	if err != nil {
		t.Fatal(err)
	}
	return plugin
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want it to build", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %q", err, want)
	}
}

func with(options ...func(*descriptorpb.FieldDescriptorProto)) []func(*descriptorpb.FieldDescriptorProto) {
	return options
}
