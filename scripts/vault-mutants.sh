#!/bin/sh
# Breaks the contracts in every way that is listed here, one at a time, and runs the tests against the broken code: a guard
# that no test misses is no guard. Each assertion is left out, and what else keeps the money is bent. Prints the table of
# docs/threat-model.md, and fails if something is missed by nobody.
#
#   scripts/vault-mutants.sh              # all of them: half an hour on an idle machine
#   scripts/vault-mutants.sh claim        # those whose name has "claim" in it
#
# The sources are changed in a copy. The tests read the compiled code from there, by an embed.go that the compiler is given
# in place of ours (go build -overlay): no program has it.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/build"
cp contracts/compile.mjs contracts/package.json "$work"
ln -s "$PWD/contracts/node_modules" "$work/node_modules"

awk '
  /^import \(/ { print; print "\t\"os\""; next }
  /_ "embed"/ || /go:embed/ { next }
  { sub(/func Vault\(\) Code { return decode\("vault", vaultJSON\)/, "func Vault() Code { return decode(\"vault\", read(\"vault\"))") }
  { sub(/func ClaimAccount\(\) Code { return decode\("claim_account", claimAccountJSON\)/, "func ClaimAccount() Code { return decode(\"claim_account\", read(\"claim_account\"))") }
  /^\t(vault|claimAccount)JSON \[\]byte/ { next }
  { print }
  END {
    print "\nfunc read(name string) []byte {\n\traw, err := os.ReadFile(os.Getenv(\"MUTANT\") + \"/build/\" + name + \".json\")"
    print "\tif err != nil {\n\t\tpanic(err)\n\t}\n\treturn raw\n}"
  }
' contracts/embed.go | sed '/^var (/,/^)/d' >"$work/embed.go"
echo "{\"Replace\": {\"$PWD/contracts/embed.go\": \"$work/embed.go\"}}" >"$work/overlay.json"
go test -overlay "$work/overlay.json" -c -o "$work/test" ./adapters/ton

# name|file|sed program. First what is no assertion; then each assertion, by its line, left out to its end.
mutants() {
  cat <<'END'
claim account forgets to take back|claim_account.tolk|s/^    note.claimed -= request.amount;//
claim account pays without noting|claim_account.tolk|0,/note.save();/s/note.save();//
excess goes without a reserve|vault.tolk|/^fun returnExcess/,/^}/s/reserveToncoinsOnBalance(own,/reserveToncoinsOnBalance(0,/
claim goes without a reserve|vault.tolk|s/reserveToncoinsOnBalance(own, RESERVE_MODE_EXACT_AMOUNT | RESERVE_MODE_BOUNCE_ON_ACTION_FAIL);/reserveToncoinsOnBalance(0, RESERVE_MODE_EXACT_AMOUNT);/
payout is not counted|vault.tolk|s/vault.paid += msg.amount;//
root is active before its delay|vault.tolk|s/if (pending.activateAt > blockchain.now())/if (false)/
root has no delay|vault.tolk|s/blockchain.now() + vault.delay/blockchain.now()/
change has no delay|vault.tolk|s/dueAt: blockchain.now() + self.delay/dueAt: blockchain.now()/
epoch is not kept|vault.tolk|s/vault.lastEpoch = msg.epoch;//
activated root stays pending|vault.tolk|/^fun Vault.promoteIfDue/,/^}/s/self.pending = null;//
payout leaves ten years of rent|vault.tolk|s/own - msg.amount >= rent(YEARS_LEFT_BY_PAYOUT)/own - msg.amount >= rent(YEARS_LEFT_BY_PROPOSAL)/
frozen claim account eats the coin|vault.tolk|/^fun onBouncedMessage/,/^}/s/claim.responseTo != null/false/
claim account keeps no rent|messages.tolk|s/CLAIM_ACCOUNT_YEARS \* SECONDS_PER_YEAR/0/
END
  for file in vault claim_account; do
    awk -v file="$file" '
      /^        [A-Z][A-Za-z]* => \{/ { where = $1 }
      /^fun / { where = $2; sub(/\(.*/, "", where) }
      /^ +assert / { match($0, /ERR_[A-Z_]+/); error = RSTART ? substr($0, RSTART, RLENGTH) : "ERR_LOW_VALUE"
                     print where " without " error " (line " NR ")|" file ".tolk|" NR "{:more /;/!{N;b more};s/.*//}" }
    ' "contracts/$file.tolk"
  done
}

mutants | grep -i -- "${1:-}" >"$work/mutants"
sources=$PWD/contracts
cd adapters/ton
tests='Vault|Claim|Deposit|Propose|Owed|Epochs|Pause|Veto|Activation|Step|Payout|Root|Forge|Handover|Upgrade|Stolen|Delay|Rent|Last|Frozen|Taking'
slow='NoHistory|AnyHistory|NewPayout|Settle|Stock'
echo '| broken | a law that a history breaks | tests that fail |'
echo '|---|---|---|'
missed=''
while IFS='|' read -r name file program; do
  cp "$sources"/*.tolk "$work"
  sed -i "$program" "$work/$file"
  if ! node "$work/compile.mjs" >"$work/out" 2>&1; then
    echo "| $name | does not compile | |"
    continue
  fi
  law=$(MUTANT=$work timeout 120 "$work/test" -test.run NoHistory 2>&1 | sed -n 's/.*message 0x[0-9a-f]*, exit -*[0-9]*: //p; s/.*history [0-9]*: nothing is on its way, and .*/what was noted is not what was paid/p; s/.*history [0-9]*: in the end .*/in the end a payee has not all of his/p' |
    head -1 | sed 's/[0-9.]\{6,\}/…/g; s/[EU]Q[A-Za-z0-9_-]*/…/g; s/{.*}/…/g' | cut -c1-100)
  failed=$(MUTANT=$work "$work/test" -test.run "$tests" -test.skip "$slow" 2>&1 | sed -n 's/^--- FAIL: \([A-Za-z0-9_]*\).*/`\1`/p' | head -2 | paste -sd, | sed 's/,/, /g')
  echo "| $name | $law | $failed |"
  [ -n "$law$failed" ] || missed="$missed; $name"
done <"$work/mutants"
[ -z "$missed" ] || { echo "no test misses${missed}" >&2; exit 1; }
