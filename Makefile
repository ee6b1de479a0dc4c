# klined: everything runs in .venv, made from constraints.txt with nothing but python3, make and a C compiler.
#
#   make demo          the daemon on a generated market: no network, no keys
#   make test          the whole suite
#   make test-train    what needs stable-baselines3 and torch, which it installs
#   make coverage      the same, and what it did not reach
#   make check         format, lint, layers, types
#   make check-security  canary secrets, file modes, bandit, pip-audit (when its service can be reached)
#   make bench         every speed figure, one table, build/bench.json
#   make prove         the long proofs (kills, fuzzing, every bar of the recorded market); SEEDS=10000, PROVE_SECONDS=600

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := build/peers
WORKERS ?= 2
SHELL := /bin/bash
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: install demo test test-train coverage check check-security format prove bless bench bench-check bench-peers docs clean help

help:
	@sed -n '/^#   /s/^#   //p' Makefile

install: $(STAMP)

# Nothing is done while neither the dependencies nor the build changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(f"klined needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.13" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/klined demo $(ARGS)

test: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m 'not slow' $(ARGS)

# torch first, as pinned: a plain resolve would bring the newest, with a GPU's libraries.
test-train: $(STAMP)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[train]'
	$(BIN)/pytest tests/envs/test_sb3.py $(ARGS)

coverage: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m 'not slow' --cov --cov-report=term --cov-report=html:build/coverage $(ARGS)

prove: $(STAMP)
	rm -f build/prove.json
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)
	$(BIN)/klined sim --prove $(if $(SEEDS),--seeds $(SEEDS))

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/mypy scripts examples benchmarks/*.py
	$(BIN)/pyright

# pip-audit asks a service for known vulnerabilities of what is installed; where it cannot be reached, it says so and
# the rest still counts.
check-security: $(STAMP)
	$(BIN)/pytest tests/security
	$(BIN)/bandit -q -r daemon plugins models -c pyproject.toml
	@mkdir -p build; $(BIN)/pip-audit --local --skip-editable --progress-spinner off --timeout 10 >build/audit.txt 2>&1; code=$$?; \
	if grep -q 'known vulnerabilit' build/audit.txt && test $$code != 0; then cat build/audit.txt; exit 1; fi; \
	if test $$code != 0 || grep -q 'could not be audited' build/audit.txt; then \
	echo "pip-audit: NOT done, its service did not answer for $$(grep -c 'could not be audited' build/audit.txt) packages; see build/audit.txt"; \
	else tail -n 1 build/audit.txt; fi

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Accept new outcomes: rewrites the digests of the recorded replays. Look at the diff before committing it.
bless: $(STAMP)
	KLINED_BLESS=1 $(BIN)/pytest tests/replay $(ARGS)

bench: $(STAMP) bench-peers
	$(BIN)/python -m benchmarks $(ARGS)

bench-check: $(STAMP) bench-peers
	$(BIN)/python -m benchmarks --check $(ARGS)

# One environment per baseline, since their dependencies exclude each other. One that will not install leaves its
# reason in a file, and its rows say so.
bench-peers: $(PEERS)/nautilus/.installed $(PEERS)/vectorbt/.installed $(PEERS)/gyms/.installed

$(PEERS)/%/.installed: benchmarks/peers/%.txt
	@mkdir -p $(PEERS)
	$(PYTHON) -m venv --clear $(PEERS)/$*
	@if $(PEERS)/$*/bin/python -m pip install -q -r $< 2>$(PEERS)/$*/install.log; then rm -f $(PEERS)/$*/absent; \
	else tail -n 1 $(PEERS)/$*/install.log | tee $(PEERS)/$*/absent; fi
	@touch $@

docs: $(STAMP)
	$(BIN)/python -c 'from klined.config.reference import settings_markdown as text; print(text(), end="")' > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md
	$(BIN)/python scripts/api_reference.py docs/api

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage $(VENV)
	find . -name __pycache__ -prune -exec rm -rf {} +
