#!/bin/sh
# make chaos: production mode on three real brokers, disturbed in every way, and a look for what that lost.
# SEED=7 KILLS=60 scripts/chaos.sh runs it with another seed (0 draws one) and another number of disturbances.
set -eu
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/filature" ./cmd/filature
go build -o "$bin/chaos" ./internal/chaos
"$bin/chaos" -program "$bin/filature" -seed "${SEED:-0}" -kills "${KILLS:-26}"
