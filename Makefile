# Everything a developer or CI does. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

## --- the virtual environment -------------------------------------------------

.PHONY: venv
venv: $(VENV)/.dev ## Make .venv with everything that development needs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1 || true); Sentinel needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; \
	  else \
	    echo "make: $(PYTHON) cannot make virtual environments (no ensurepip): sudo apt-get install python3-venv" >&2; exit 1; \
	  fi; }
	@$(PYTHON) -m venv $(VENV)

# The locks are installed exactly as pinned; Sentinel itself without asking for anything more.
$(VENV)/.runtime: requirements/build.txt requirements/runtime.txt pyproject.toml | $(BIN)/python
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

## --- checks and tests --------------------------------------------------------

REPORTS := .lab/reports
# Bounded, so that a test that hangs ends the run with its name on the screen.
NATIVE_SECONDS := 1500

.PHONY: check
check: venv ## Lint, types, and the tests that touch no other process (a minute)
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "make: not formatted: make format" >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -m pure --junitxml=$(REPORTS)/pure.xml

.PHONY: format
format: venv ## Lay out the code, and mend what the linter can mend
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format

.PHONY: native
native: deps ## The tests that start real processes on this machine
	@timeout --foreground --kill-after=20 $(NATIVE_SECONDS) \
	  $(BIN)/python -m pytest -v -m native --durations=10 --junitxml=$(REPORTS)/native.xml

.PHONY: kernel
kernel: deps ## The tests that need cgroup v2: here, or in a VM for each kernel
	@$(BIN)/python -m tests.lab.suite

.PHONY: test
test: venv ## Everything: check, native, kernel
	@rm -rf $(REPORTS)
	@status=0; \
	$(MAKE) --no-print-directory check && $(MAKE) --no-print-directory --keep-going native kernel || status=$$?; \
	$(BIN)/python -m tests.lab.reports || status=1; \
	exit $$status

.PHONY: test-containers
test-containers: venv ## The compose file with a real Docker engine, emulated: half an hour
	@$(BIN)/python -m tests.containers.engine

# What the tests need beyond Python: a compiler for the small C programs that they guard,
# and virtual machines where this machine has no cgroup v2 to give.
LAB_PACKAGES := busybox-static docker-compose e2fsprogs fish gcc libc6-dev man-db ncat netcat-openbsd qemu-system-x86 socat user-mode-linux zsh
APT_INSTALL  := DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

.PHONY: lab-deps
lab-deps: ## Install all that the tests need, kernels included (root, Debian)
	@[ "$$(id -u)" = 0 ] || { echo "make: the tests need $(LAB_PACKAGES): sudo make lab-deps" >&2; exit 1; }
	@apt-get update -qq
	@$(APT_INSTALL) $(LAB_PACKAGES)
	@$(PYTHON) -m tests.lab.kernels
	@$(PYTHON) -m tests.lab.layer
	@command -v npm >/dev/null || $(APT_INSTALL) npm
	@$(PYTHON) -m tests.observability.programs

# The same, as far as this machine needs it: root installs it, others are told.
.PHONY: deps
deps: venv
	@missing="$$($(BIN)/python -m tests.lab.suite --missing)"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ]; then apt-get update -qq; $(APT_INSTALL) $$missing; \
	else echo "make: some tests cannot run here without $$missing: sudo make lab-deps" >&2; \
	fi

## --- seeing it work ----------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.runtime ## Let a leaking program run into a limit of 200 MiB
	@status=0; \
	$(BIN)/sentinel exec --limit 200M -- $(BIN)/python tests/leaker.py || status=$$?; \
	if [ $$status != 124 ]; then echo "make: the demo ended with status $$status, not with 124" >&2; exit 1; fi; \
	echo "exit status 124: sentinel ended the leak"

.PHONY: bench
bench: venv ## Measure ratios against named baselines (see benchmarks/README.md)
	@$(BIN)/python -m benchmarks

.PHONY: diagram
diagram: venv ## Draw the docs' diagrams again from the code's own tables
	@$(BIN)/python -m docs.diagram

.PHONY: dashboards
dashboards: venv ## Write Grafana's dashboards again from their one source
	@$(BIN)/python -m grafana.generate

.PHONY: lock
lock: venv ## Pin the newest versions of all dependencies, with hashes
	@for set in build runtime dev; do \
	  CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe \
	    --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	    --output-file requirements/$$set.txt requirements/$$set.in; \
	done
