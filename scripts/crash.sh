#!/bin/sh
# make crash: kill -9 the program at random moments under load, and look for what it lost.
# SEED=7 KILLS=50 scripts/crash.sh runs it with another seed (0 draws one) and another number of kills.
set -eu
cd "$(dirname "$0")/.."
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/filature" ./cmd/filature
go build -o "$bin/crash" ./internal/crash
"$bin/crash" -program "$bin/filature" -seed "${SEED:-0}" -kills "${KILLS:-36}"
