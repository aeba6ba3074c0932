//go:build tools

// Package tools pins the Jaeger that the answers of pkg/observability are compared with.
package tools

import _ "github.com/jaegertracing/jaeger/cmd/all-in-one"
