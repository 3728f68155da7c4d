package rig_test

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// described is the document as a validator reads it.
type described struct {
	document map[string]any
	compiler *jsonschema.Compiler
}

const documentURL = "https://filature.example/openapi.json"

func describedAPI(t *testing.T) described {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(queryv1.OpenAPI))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(documentURL, document); err != nil {
		t.Fatal(err)
	}
	return described{document.(map[string]any), compiler}
}

// at goes down from the document, or is nil.
func (d described) at(keys ...string) (found any) {
	found = d.document
	for _, key := range keys {
		object, _ := found.(map[string]any)
		found = object[key]
	}
	return found
}

// fits says what a schema of the document holds against some JSON. ref is "#/components/schemas/…".
func (d described) fits(t *testing.T, ref any, raw []byte) error {
	t.Helper()
	name, is := ref.(string)
	if !is {
		t.Fatalf("there is no schema: %v", ref)
	}
	compiled, err := d.compiler.Compile(documentURL + name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// TestTheDescriptionIsOpenAPI, by the schema of the OpenAPI Initiative: https://spec.openapis.org/oas/3.1/schema/2022-10-07.
func TestTheDescriptionIsOpenAPI(t *testing.T) {
	t.Parallel()
	d := describedAPI(t)
	file, err := os.Open("testdata/openapi-3.1-schema.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rules, err := jsonschema.UnmarshalJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	const rulesURL = "https://spec.openapis.org/oas/3.1/schema/2022-10-07"
	if err := d.compiler.AddResource(rulesURL, rules); err != nil {
		t.Fatal(err)
	}
	schema, err := d.compiler.Compile(rulesURL)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(any(d.document)); err != nil {
		t.Error(err)
	}
}

// TestEachPathOfTheDescriptionAnswersAsItSays: with a question and an answer of the described form, by POST and GET.
func TestEachPathOfTheDescriptionAnswersAsItSays(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	d := describedAPI(t)
	asked := l.paths(t)
	paths, _ := d.at("paths").(map[string]any)
	const stream = queryv1.CompletionServiceFollowCompletionsProcedure
	if d.at("paths", stream, "post", "requestBody", "content", "application/connect+json") == nil {
		t.Errorf("%s is not described as a stream", stream)
	}
	delete(paths, stream) // follow_test.go asks it
	if have, want := slices.Sorted(maps.Keys(paths)), slices.Sorted(maps.Keys(asked)); !slices.Equal(have, want) {
		t.Fatalf("described are %v, and there are %v", have, want)
	}
	for path, question := range asked {
		if err := d.fits(t, d.at("paths", path, "post", "requestBody", "content", "application/json", "schema", "$ref"), question); err != nil {
			t.Errorf("%s: the question %s: %v", path, question, err)
		}
		status, raw := l.post(t, path, "application/json", string(question))
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, raw)
			continue
		}
		if err := d.fits(t, d.at("paths", path, "post", "responses", "200", "content", "application/json", "schema", "$ref"), raw); err != nil {
			t.Errorf("%s: the answer %s: %v", path, raw, err)
		}
		isLink := d.at("paths", path, "get") != nil
		status, _, refusal := l.get(t, l.url+path+"?encoding=json&message=%7B%7D", "")
		if isLink == (status == http.StatusMethodNotAllowed) {
			t.Errorf("%s is described as a link: %t, and GET says %d", path, isLink, status)
		}
		if status == http.StatusBadRequest {
			if err := d.fits(t, "#/components/schemas/Error", refusal); err != nil {
				t.Errorf("%s: the refusal %s: %v", path, refusal, err)
			}
		}
		// What the description does not have is refused, and what is refused is not in the description.
		unknown := []byte(`{"nothing":1}`)
		if d.fits(t, d.at("paths", path, "post", "requestBody", "content", "application/json", "schema", "$ref"), unknown) == nil {
			t.Errorf("%s: an unknown field is described", path)
		}
	}
}
