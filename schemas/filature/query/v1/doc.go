// Package queryv1 knows what may be asked of the books, and how it is answered: the messages and services that
// adapters/queryapi serves. All of it is generated from the .proto files beside it.
package queryv1

import _ "embed" // the document

// OpenAPI describes the services to programs that speak HTTP and JSON.
//
//go:embed openapi.json
var OpenAPI []byte
