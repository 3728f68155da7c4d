#!/bin/sh
# Switches off each check of an attestation, one at a time, and runs the package's tests: a check that no test misses is no
# check. Prints the table of docs/attestation.md, and fails if some check is missed by nobody.
#
#   scripts/attest-mutants.sh             # all of them, some minutes
#   scripts/attest-mutants.sh snp/debug
#
# The switch is in a copy of appraisal.go that the compiler is given in its place (go build -overlay): no program has it.
set -eu
cd "$(dirname "$0")/.."

package=adapters/attestation
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Each way to note something asks first whether its check is off. A fault and a warning are checks of their own.
awk '
  /^import \(/ { print; print "\t\"os\""; next }
  { print }
  /^func \(a \*appraisal\) check\(/ { print "\tholds = holds || name == off" }
  /^func \(a \*appraisal\) fail\(/  { print "\tif name == off {\n\t\treturn\n\t}" }
  /^func \(a \*appraisal\) holds\(/ { print "\tif name == off {\n\t\terr = nil\n\t}" }
  /^func \(a \*appraisal\) warn\(/  { print "\tif \"warn:\"+name == off {\n\t\treturn\n\t}" }
  /^func \(a \*appraisal\) fault\(/ { print "\tif \"fault:\"+name == off {\n\t\treturn\n\t}" }
  END { print "\nvar off = os.Getenv(\"CHECK_OFF\")" }
' "$package/appraisal.go" >"$work/appraisal.go"
echo "{\"Replace\": {\"$PWD/$package/appraisal.go\": \"$work/appraisal.go\"}}" >"$work/overlay.json"
go test -overlay "$work/overlay.json" -c -o "$work/test" "./$package"

# The names stand in the code as they are, but for those of the four levels.
names() {
  grep -hoE "$1" "$package"/*.go --exclude='*_test.go' | grep -oE '[a-z]+/[a-z-]+' | grep -vE '^verifier/|/$|-$' | sort -u
}
checks=${*:-$(
  names '"(evidence|challenge|binding|image|model|platform|snp|tdx|gpu)/[a-z-]+"'
  for point in reported committed launch current; do echo "snp/tcb-$point"; done
  echo warn:platform/allowed warn:binding/report-data warn:snp/product-tier warn:tdx/tcb-status
  echo fault:snp/revocation fault:snp/key-chain fault:tdx/pck-chain fault:tdx/revocation fault:tdx/tcb-status
)}

cd "$package"
slow='EveryParser|LinksNoTestKeys|AtOnce' # they know nothing of single checks
CHECK_OFF='' "$work/test" -test.run '^Test' -test.skip "$slow" >/dev/null || { echo 'the tests fail with all checks on' >&2; exit 1; }
echo '| check | switched off, this fails | cases |'
echo '|---|---|---|'
missed=''
for check in $checks; do
  [ "$check" = snp/product-tier ] && continue # only ever a warning
  if CHECK_OFF=$check "$work/test" -test.run '^Test' -test.skip "$slow" -test.timeout 5m >"$work/out" 2>&1; then
    missed="$missed $check"
    echo "| \`$check\` | NOTHING | |"
    continue
  fi
  tests=$(sed -n 's/^--- FAIL: \([A-Za-z0-9_]*\).*/`\1`/p' "$work/out" | head -2 | paste -sd, | sed 's/,/, /g')
  cases=$(sed -n 's/^ *--- FAIL: [A-Za-z0-9]*\/\(.*\) (.*/\1/p' "$work/out" | tr _ ' ')
  some=$(echo "$cases" | head -2 | paste -sd';' | sed 's/;/; /g')
  more=$(($(echo "$cases" | wc -l) - 2))
  [ "$more" -gt 0 ] && some="$some (and $more more)"
  echo "| \`$check\` | $tests | $some |"
done
[ -z "$missed" ] || { echo "no test misses:$missed" >&2; exit 1; }
