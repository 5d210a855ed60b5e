# Everything installs itself into .venv; nothing outside this folder is touched but the package caches (and Debian packages for tests).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX

BIN := .venv/bin
UV := .boot/bin/uv
PIP := $(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt
CORE := $(shell find rust -path rust/fuzz -prune -o -path rust/benches -prune -o -name '*.rs' -print 2>/dev/null) Cargo.toml Cargo.lock
FUZZ_S ?= 60
export PYO3_PYTHON := $(abspath $(BIN)/python)
export CARGO_TERM_PROGRESS_WHEN := never
ifndef ARRL_SHARED
ifneq ($(wildcard $(abspath ..)/shared/curves),)
export ARRL_SHARED := $(abspath ..)/shared
endif
endif

##@ Use
.PHONY: demo
demo: .venv/.core ## run a real campaign on embedded defaults, about a minute
	@$(BIN)/arrl $(ARGS)

.PHONY: env
env: .venv/.core ## make the environment and build the core; then `. .venv/bin/activate`

.PHONY: showcase
showcase: .venv/.test ## run both examples and draw docs/images
	@$(BIN)/python benchmarks/showcase.py

##@ Check
.PHONY: test
test: .venv/.test system lint ## lint and every contract
	@FUZZ_S=5 cargo test --quiet --no-default-features --lib # six properties: half a minute of random inputs
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not soak"

.PHONY: test-fast
test-fast: .venv/.test ## what takes less than two minutes
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not soak"

.PHONY: soak
soak: .venv/.test system ## full matrices, long fault runs, fuzzing
	@PROPTEST_CASES=20000 cargo test --quiet --release --no-default-features --lib
	@$(MAKE) fuzz FUZZ_S=300
	@HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -n 2 --dist worksteal -m soak
	@HYPOTHESIS_PROFILE=soak $(BIN)/python -m pytest -n 2 --dist worksteal -m "not soak and not slow" tests/core tests/controller tests/policy tests/test_space.py

.PHONY: lint
lint: .venv/.test ## ruff, mypy --strict, stubtest, cargo fmt, clippy
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --strict
	@$(BIN)/python -m mypy.stubtest autoresearch_rl._core
	@cargo fmt --check && cargo fmt --check --manifest-path rust/fuzz/Cargo.toml
	@cargo clippy --quiet --all-targets -- -D warnings

.PHONY: fuzz
fuzz: ## FUZZ_S seconds of each fuzz target of the core
	@[ -x .boot/bin/cargo-fuzz ] || cargo install --quiet --root .boot cargo-fuzz
	@for target in patch_read patch_apply patch_diff pool; do \
	  PATH="$(abspath .boot/bin):$$PATH" cargo fuzz run --fuzz-dir rust/fuzz --target-dir target/fuzz --sanitizer none -O $$target -- \
	    -max_total_time=$(FUZZ_S) -max_len=6000 -timeout=10; \
	done

.PHONY: bench
bench: .venv/.bench ## benchmarks beside named peers, a quarter of an hour; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks.run_all $(ARGS)

##@ Environment
$(UV):
	@for name in python3 python3.13 python3.12 python3.11; do \
	  if $$name -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then echo "No Python 3.11, 3.12 or 3.13 with venv is on PATH; install one of them." >&2; exit 1; fi; \
	command -v cargo >/dev/null || { echo "No Rust toolchain is on PATH (cargo); install one, e.g. with rustup." >&2; exit 1; }; \
	echo "Making the environment in .venv (once; about two minutes) ..."; \
	rm -rf .boot .venv; $$python -m venv .boot; .boot/bin/python -m pip install --quiet --disable-pip-version-check uv; \
	$(UV) venv --quiet --python "$$($$python -c 'import sys; print(sys.executable)')" .venv

.venv/.packages: $(UV) pyproject.toml constraints.txt
	@$(PIP) --requirements pyproject.toml
	@touch $@

.venv/.core: .venv/.packages $(CORE)
	@echo "Building the Rust core ..."
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m compileall -q autoresearch_rl
	@touch $@

.venv/.test: .venv/.core
	@echo "Installing what the tests need (PyTorch among it: 2.6 GB, once) ..."
	@$(PIP) --requirements pyproject.toml --extra dev --extra learned
	@touch $@

.venv/.bench: .venv/.core
	@$(PIP) --requirements pyproject.toml --extra bench
	@touch $@

.PHONY: system
system: # Debian packages that tests use; installed where we are root and they are missing
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v bwrap >/dev/null || missing="$$missing bubblewrap"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing$$missing ..."; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	  else echo "Not installed:$$missing; the tests that use them are skipped."; fi; \
	fi

.PHONY: constraints
constraints: $(UV) ## pin the newest versions that fit together
	@$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
	  --no-header --no-annotate --no-emit-index-url --quiet --output-file constraints.txt

.PHONY: clean
clean: ## remove the environment and everything built
	@rm -rf .venv .boot target autoresearch_rl/_core.*.so

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
