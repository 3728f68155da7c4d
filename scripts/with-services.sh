#!/bin/sh
# with-services.sh command argument...
#
# Runs a command while a real Kafka and a real PostgreSQL run, and stops them after it, however it ended.
# It finds them in FILATURE_KAFKA (host:port,...) and FILATURE_POSTGRES (a URL). Set either to use a server of
# your own. Without a command it opens a shell.
set -eu
cd "$(dirname "$0")/.."
mkdir -p .tools
go build -o .tools/services ./internal/services/run
[ $# -gt 0 ] || set -- "${SHELL:-/bin/sh}"
exec .tools/services "$@"
