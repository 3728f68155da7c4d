// Package queryv1 knows what may be asked of the books, and how it is answered: the messages and services that
// adapters/queryapi serves. All of it is generated from the .proto files beside it.
package queryv1
