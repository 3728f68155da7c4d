package main

// The parts of an OpenAPI document that are needed here (OpenAPI 3.1.0, section 4.8), in its own words.

type document struct {
	OpenAPI    string                `json:"openapi"`
	Info       info                  `json:"info"`
	Servers    []server              `json:"servers"`
	Security   []map[string][]string `json:"security"`
	Tags       []tag                 `json:"tags"`
	Paths      map[string]pathItem   `json:"paths"`
	Components components            `json:"components"`
}

type info struct {
	Title       string  `json:"title"`
	Summary     string  `json:"summary"`
	Description string  `json:"description"`
	Version     string  `json:"version"`
	License     license `json:"license"`
}

type license struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier"`
}

type server struct {
	URL         string `json:"url"`
	Description string `json:"description"`
}

type tag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

type pathItem struct {
	Get  *operation `json:"get,omitempty"`
	Post *operation `json:"post,omitempty"`
}

type operation struct {
	Tags        []string          `json:"tags"`
	ID          string            `json:"operationId"` //nolint:tagliatelle // OpenAPI's name
	Summary     string            `json:"summary"`
	Description string            `json:"description"`
	Parameters  []parameter       `json:"parameters,omitempty"`
	Body        *body             `json:"requestBody,omitempty"` //nolint:tagliatelle // OpenAPI's name
	Responses   map[string]answer `json:"responses"`
}

type parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Description string  `json:"description"`
	Required    bool    `json:"required,omitempty"`
	Schema      *schema `json:"schema,omitempty"`
	Content     content `json:"content,omitempty"`
}

type body struct {
	Required bool    `json:"required"`
	Content  content `json:"content"`
}

// content is by media type.
type content map[string]media

type media struct {
	Schema schema `json:"schema"`
}

type answer struct {
	Description string  `json:"description"`
	Content     content `json:"content,omitempty"`
}

type components struct {
	Schemas  map[string]schema   `json:"schemas"`
	Security map[string]security `json:"securitySchemes"` //nolint:tagliatelle // OpenAPI's name
}

type security struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme"`
	Description string `json:"description"`
}

// schema is a JSON schema. Type is a name or several.
type schema struct {
	Ref         string            `json:"$ref,omitempty"`
	Type        any               `json:"type,omitempty"`
	Format      string            `json:"format,omitempty"`
	Pattern     string            `json:"pattern,omitempty"`
	Minimum     *int64            `json:"minimum,omitempty"`
	Maximum     *int64            `json:"maximum,omitempty"`
	Description string            `json:"description,omitempty"`
	Enum        []string          `json:"enum,omitempty"`
	Items       *schema           `json:"items,omitempty"`
	AnyOf       []schema          `json:"anyOf,omitempty"` //nolint:tagliatelle // JSON Schema's name
	Properties  map[string]schema `json:"properties,omitempty"`
	Required    []string          `json:"required,omitempty"`
	// Additional is false for our own objects: a question with another field is refused.
	Additional *bool `json:"additionalProperties,omitempty"` //nolint:tagliatelle // OpenAPI's name
}

func refTo(schemaName string) schema { return schema{Ref: "#/components/schemas/" + schemaName} }

// refusals say what the answers mean that are none, by HTTP status: what Connect gives for the codes that the services use.
var refusals = map[string]string{
	"400":     "The question breaks a rule (`invalid_argument`, with the field), or what it asks for cannot be now (`failed_precondition`).",
	"401":     "No key, or one that this server does not know (`unauthenticated`).",
	"403":     "The key's role may not ask this, or the thing is somebody else's or not there (`permission_denied`).",
	"404":     "There is no such thing (`not_found`).",
	"415":     "The question is of another media type, or a link without `encoding=json` (`invalid_argument`).",
	"429":     "The key asks too often, or the question is too large (`resource_exhausted`).",
	"503":     "The books have not been read as far as `reading.atLeast` says, or are just being rebuilt (`unavailable`). Ask again.",
	"504":     "It took too long (`deadline_exceeded`).",
	"default": "The fault is not the asker's (`internal`), or this server does not do this (`unimplemented`).",
}

// refused adds the answers that are none.
func refused(answers map[string]answer) map[string]answer {
	for status, why := range refusals {
		answers[status] = answer{why, content{"application/json": {refTo("Error")}}}
	}
	return answers
}

// describe is the document without services.
func describe() *document {
	return &document{
		OpenAPI: "3.1.0",
		Info: info{
			Title: "Filature", Version: "v1", Summary: "What people and programs ask of the books.",
			Description: "Ids, keys and digests are 64 hexadecimal digits in lower case. Amounts are nanotons, 10^-9 of a coin. Times are Unix " +
				"milliseconds of log time. What is 0 or empty is left out of an answer. Numbers of 64 bits are strings in answers, and may be " +
				"numbers in questions. null is as if the field was not there. A question with a field that is not here is refused. gRPC and " +
				"gRPC-Web are answered at the same paths.",
			License: license{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
		},
		Servers:  []server{{"/", "The server that this document is from."}},
		Security: []map[string][]string{{"key": {}}, {}},
		Paths:    map[string]pathItem{},
		Components: components{
			Schemas: map[string]schema{"Error": errorSchema()},
			Security: map[string]security{"key": {
				Type: "http", Scheme: "bearer", Description: "A key that filature apikey made. A server without a keys file on 127.0.0.1 wants none.",
			}},
		},
	}
}

// codes are Connect's (https://connectrpc.com/docs/protocol, "error codes").
var codes = []string{
	"canceled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists", "permission_denied", "resource_exhausted",
	"failed_precondition", "aborted", "out_of_range", "unimplemented", "internal", "unavailable", "data_loss", "unauthenticated",
}

// errorSchema is how Connect writes an error.
func errorSchema() schema {
	detail := schema{
		Type: "object", Required: []string{"type", "value"},
		Properties: map[string]schema{
			"type":  {Type: "string", Description: "Name of the message in value: filature.query.v1.Problem, mostly."},
			"value": {Type: "string", Description: "The message, as protobuf in base64 without padding."},
			"debug": {Description: "The message as JSON.", AnyOf: []schema{refTo("Problem"), refTo("Claim")}},
		},
	}
	return schema{
		Type: "object", Description: "Error is why a question has no answer.", Required: []string{"code"},
		Properties: map[string]schema{
			"code":    {Type: "string", Enum: codes},
			"message": {Type: "string", Description: "The same for people."},
			"details": {Type: "array", Items: &detail, Description: "Which field breaks which rule, or what the error is about."},
		},
	}
}
