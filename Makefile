# make          lists what there is
# make check    is what has to be clean before a commit; make test what has to pass
# Both need Go, gcc, git and npm, and the tests Java 17 and Maven (for Kafka) and Debian's PostgreSQL. Everything
# else is fetched at a pinned version: see .ci/tools and internal/services.

SHELL := /bin/sh
.SHELLFLAGS := -euc
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The pinned tools come before whatever else a machine has.
export PATH := $(CURDIR)/.tools:$(PATH)

# What there was at the last release; a later schema must be able to read it.
RELEASED_SCHEMAS := schemas/released.binpb

# A package that hangs is stopped and shows its goroutines. The slowest takes about two minutes
# with the race detector on two cores.
TEST_TIMEOUT := 15m

# The detector looks at all Go but SQLite, which is C made into Go by machine, and the arithmetic of ed25519: instrumented,
# they were two thirds of what the tests cost. What SQLite's locks order is C's memory, of which the detector knows nothing.
# No package whose atomics order Go's memory may be added: it would see races where there are none.
PLAIN := modernc.org/sqlite/lib modernc.org/libc filippo.io/edwards25519/... crypto/internal/fips140/edwards25519/...
RACE := -race $(PLAIN:%=-gcflags=%=-race=false)

# make test PKG=./domain/...     make bench PKG=./eventstore/seglog BENCH=Append BENCHTIME=3s
PKG ?= ./...
BENCH ?= .
BENCHTIME ?= 1s

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/filature, the one program
	go build -trimpath -o bin/filature ./cmd/filature

# All packages share one Kafka and one PostgreSQL; a package that is tested alone starts what it needs.
SERVICES := $(if $(filter ./...,$(PKG)),scripts/with-services.sh)

.PHONY: test
test: ## all tests with the race detector (PKG=./domain/... for some)
	.ci/packages
	$(SERVICES) go test $(RACE) -timeout $(TEST_TIMEOUT) $(PKG)

.PHONY: bench
bench: ## all benchmarks with allocations (PKG=, BENCH=, BENCHTIME=)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -timeout 60m $(PKG)

# Each parser of what strangers send, and the API's edge, for FUZZTIME each.
FUZZ ?= ./adapters/attestation/... ./internal/rig
FUZZTIME ?= 60s

.PHONY: fuzz
fuzz: ## the same with Go's own fuzzing, on demand (FUZZ=./pkg/..., FUZZTIME=60s a parser)
	.ci/fuzz '$(FUZZ)' '$(FUZZTIME)'

# All parsers of evidence share the time, so a minute is a minute: a minute each would be most of what CI may take. Every
# run has mutants of its own; the seed of one that failed is in what it says.
MUTATE ?= 60s
ASK ?= 10s
SEED ?= $(shell date +%s)

.PHONY: mutations
mutations: ## spoil what parsers of evidence and the API read, and see them stand (MUTATE=10m ASK=1m SEED=1)
	@echo '== mutants for $(MUTATE), seed $(SEED)'
	go test -count=1 -run '^TestEveryParserStandsWhateverItReads$$' ./adapters/attestation -args -mutate.for=$(MUTATE) -mutate.seed=$(SEED)
	@echo '== spoiled questions for $(ASK), seed $(SEED)'
	go test -count=1 -run '^TestTheEdgeStandsWhateverIsAsked$$' ./internal/rig -args -edge.for=$(ASK) -edge.seed=$(SEED)

.PHONY: attest-mutants
attest-mutants: ## switch off each check of an attestation, and see a test fail
	scripts/attest-mutants.sh

.PHONY: settle-mutants
settle-mutants: contracts/node_modules ## take away what holds each cell of settlement's table of faults, and see it fail
	go run ./internal/settling/mutants

.PHONY: vault-mutants
vault-mutants: contracts/node_modules ## break the contracts in every listed way, and see a test fail
	scripts/vault-mutants.sh

.PHONY: crash
crash: ## kill -9 the program at random under load, and look for what it lost
	scripts/crash.sh

.PHONY: chaos
chaos: ## disturb production mode on three real brokers in every way, and look for what it lost
	scripts/chaos.sh

# Makes the ledger first, in TMPDIR: about 130 bytes a fact.
FACTS ?= 5000000
CLAIMS ?= 64

.PHONY: audit-scale
audit-scale: ## audit FACTS=5000000 facts in files, and see how much memory that takes (CLAIMS=64 to a report)
	go test -run '^$$' -bench '^BenchmarkScale$$' -benchtime 1x -timeout 60m ./workers/auditor -args -audit.facts=$(FACTS) -audit.claims=$(CLAIMS)

# A whole trace takes about twenty seconds; make test runs a small one.
TRACE ?= ../shared/data/AzureLLMInferenceTrace_conv.csv

.PHONY: trace
trace: ## the demo on a whole trace, checked to the token and the nanoton (TRACE=file.csv)
	FILATURE_TRACE=$(abspath $(TRACE)) go test -count=1 -v -run TestATraceIsOneJobARowAndNoTokenMore ./cmd/filature

.PHONY: generate
generate: tools contracts/node_modules ## Go and OpenAPI from the schemas, code from the contracts
	buf generate
	buf generate --template buf.gen.query.yaml
	node contracts/compile.mjs

.PHONY: check
check: format vet schemas generated contracts tidy lint vulncheck ## everything but the tests: format, lint, generated files current

.PHONY: fix
fix: tools ## format, and let the linters mend what they can
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')
	golangci-lint run --allow-serial-runners --fix ./...

# The parts of check, each of which can be run alone.

.PHONY: format
format:
	@echo '== gofmt'
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi

.PHONY: vet
vet:
	@echo '== go vet'
	@go vet ./...

.PHONY: lint
lint: tools
	@echo '== golangci-lint'
	@golangci-lint run --allow-serial-runners ./...

.PHONY: vulncheck
vulncheck: tools
	@echo '== govulncheck'
	@.ci/vulncheck

.PHONY: schemas
schemas: tools
	@echo '== buf lint, buf breaking'
	@buf lint
	@if [ -e $(RELEASED_SCHEMAS) ]; then buf breaking --against $(RELEASED_SCHEMAS); \
	else echo 'no schema was released yet: there is nothing to break'; fi

.PHONY: generated
generated: tools
	@echo '== generated Go and OpenAPI are current'
	@.ci/generated

.PHONY: contracts
contracts: contracts/node_modules
	@echo '== compiled contracts are current'
	@node contracts/compile.mjs --check

# -e, because a test of modernc.org/sqlite imports a module that can't be loaded.
.PHONY: tidy
tidy:
	@echo '== go.mod is tidy'
	@go mod tidy -e -diff

.PHONY: tools
tools:
	@.ci/tools

contracts/node_modules: contracts/package-lock.json
	npm ci --prefix contracts --ignore-scripts --no-audit --no-fund
	@touch $@
