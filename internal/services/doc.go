// Package services knows how tests come by the servers that Filature works with: it starts real ones,
// without Docker, and stops them, or takes those that the environment names.
package services
