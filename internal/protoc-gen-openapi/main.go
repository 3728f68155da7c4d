// Command protoc-gen-openapi knows how the services in schemas/filature/query/v1 look to programs that speak HTTP and
// JSON: it writes them down as one OpenAPI document (version 3.1), in the form that Connect gives them on the wire.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// name is the document's, beside the schemas.
const name = "openapi.json"

func main() {
	protogen.Options{}.Run(func(plugin *protogen.Plugin) error {
		plugin.SupportedFeatures = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL)
		w := &writer{describe()}
		folder := ""
		for _, file := range plugin.Files {
			if !file.Generate {
				continue
			}
			folder = path.Dir(file.Desc.Path())
			if err := w.file(file); err != nil {
				return err
			}
		}
		var out bytes.Buffer
		to := json.NewEncoder(&out)
		to.SetEscapeHTML(false)
		to.SetIndent("", " ")
		if err := to.Encode(w.document); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, err := plugin.NewGeneratedFile(path.Join(folder, name), "").Write(out.Bytes())
		return err
	})
}

// writer adds services and messages to a document.
type writer struct{ *document }

func (w *writer) file(file *protogen.File) error {
	for _, service := range file.Services {
		w.Tags = append(w.Tags, tag{service.GoName, words(service.Comments)})
		for _, method := range service.Methods {
			if words(method.Comments) == "" {
				return fmt.Errorf("%s: want a comment that says what it returns", method.Desc.FullName())
			}
			w.Paths[fmt.Sprintf("/%s/%s", service.Desc.FullName(), method.Desc.Name())] = methodPath(service, method)
		}
	}
	for _, message := range file.Messages {
		schema, err := objectOf(message)
		if err != nil {
			return err
		}
		w.Components.Schemas[string(message.Desc.Name())] = schema
	}
	for _, enum := range file.Enums {
		w.Components.Schemas[string(enum.Desc.Name())] = enumOf(enum)
	}
	return nil
}

// methodPath is how a method is asked: by POST, and by GET where it changes nothing.
func methodPath(service *protogen.Service, method *protogen.Method) pathItem {
	asked, answered := refTo(string(method.Input.Desc.Name())), refTo(string(method.Output.Desc.Name()))
	form := "application/json"
	if method.Desc.IsStreamingServer() {
		form = "application/connect+json"
	}
	post := operation{
		Tags: []string{service.GoName}, ID: service.GoName + "." + method.GoName,
		Summary: summary(method), Description: words(method.Comments),
		Body:      &body{Required: true, Content: content{form: {asked}}},
		Responses: refused(map[string]answer{"200": {Description: "The answer.", Content: content{form: {answered}}}}),
	}
	if method.Desc.IsStreamingServer() {
		post.Description += "\n\nA stream: question and answers are enveloped, as the Connect protocol has it."
		post.Responses = map[string]answer{"415": post.Responses["415"], "200": {
			Description: "Answers, as they come. The last envelope says how the stream ended.", Content: content{form: {answered}},
		}}
		return pathItem{Post: &post}
	}
	item := pathItem{Post: &post}
	options, is := method.Desc.Options().(*descriptorpb.MethodOptions)
	if is && options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS {
		get := post
		get.ID, get.Body = post.ID+".get", nil
		get.Parameters = []parameter{
			{Name: "message", In: "query", Required: true, Description: "The question.", Content: content{"application/json": {asked}}},
			{Name: "encoding", In: "query", Required: true, Description: "How the question is written.", Schema: &schema{Type: "string", Enum: []string{"json"}}},
			{Name: "connect", In: "query", Description: "The version of the Connect protocol.", Schema: &schema{Type: "string", Enum: []string{"v1"}}},
			{Name: "If-None-Match", In: "header", Description: "The ETag of an answer that the asker has.", Schema: &schema{Type: "string"}},
		}
		get.Responses = refused(map[string]answer{"200": post.Responses["200"], "304": {Description: "The asker has this very answer."}})
		item.Get = &get
	}
	return item
}

// summary is the first sentence of a method's comment, without its name.
func summary(method *protogen.Method) string {
	said, _, _ := strings.Cut(words(method.Comments), ". ")
	said = strings.TrimPrefix(strings.TrimSuffix(said, "."), method.GoName+" ")
	return strings.ToUpper(said[:1]) + said[1:]
}

// words is what a comment says, without the line breaks that only the source has.
func words(comments protogen.CommentSet) string {
	lines := strings.Split(strings.TrimSpace(string(comments.Leading)), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, " ")
}
